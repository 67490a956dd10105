/**
 * A learner was reported as caught up when it had acknowledged the end of its alignment, although a
 * write that was committed without it meanwhile was still on its way to its disk. Made in-sync, it
 * lacked an acknowledged write.
 */
import { replaySeed } from "../support/replay_seed.ts";

Deno.test("seed 15: a learner is in sync only with every acknowledged write on its disk", () =>
  replaySeed(15));
