/**
 * A connection that the network had forgotten was never given up by a client whose requests each ran
 * out of their time before the silence was long enough: each began the count anew.
 */
import { replaySeed } from "../support/replay_seed.ts";

Deno.test("seed 73: short deadlines do not keep a dead connection alive", () => replaySeed(73));
