/**
 * Runs a seed of the simulation as a test: it once found a defect. What the seed does changes with
 * the code; the invariant that it broke is checked all the same.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { simulate } from "../simulation/simulation.ts";

/** Fails where the seed fails. */
export async function replaySeed(seed: number): Promise<void> {
  const { failure } = await simulate({ seed });
  assertEquals(failure?.what, undefined, `replay: deno task sim --seeds 1 --from ${seed}`);
}
