/**
 * That the simulation finds what is put there to be found: a small sample of the seeded bugs, those
 * that need the fewest seeds. `deno task sim:mutations` runs all of them.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { mutate, type Mutation } from "../../simulation/mutations/mutation.ts";
import { MUTATIONS } from "../../simulation/mutations/mutations.ts";
import { REGISTER_MUTATIONS } from "../../simulation/mutations/register_mutations.ts";
import { findMutation, type Unseeded } from "../../simulation/mutations/mutation_run.ts";

const SAMPLE_SEEDS_MAX = 3;

/** All of them in the storm of all kinds, so that the code as it is runs through it once for all. */
const SAMPLE = [
  "a primary commits before its own disk has the write",
  "a primary commits without one of its replicas",
  "a replica acknowledges before its disk has the write",
];

Deno.test("mutate says which mistake has no place any more", () => {
  const mutation: Mutation = { name: "m", file: "f.ts", edits: [["x", "y"]], seedsMax: 1 };
  assertEquals(mutate("a x b", mutation), "a y b");
  assertThrows(() => mutate("a b", mutation), Error, "is there 0 times");
  assertThrows(() => mutate("x x", mutation), Error, "is there 2 times");
});

/** What the code as it is does with a seed: the same for all of them. */
const unseeded: Unseeded = new Map();

Deno.test("the seeds that have found mistakes before are those of mistakes that are in the list", async () => {
  const file = new URL("../../simulation/mutations/found_seeds.json", import.meta.url);
  const known: Record<string, number> = JSON.parse(await Deno.readTextFile(file));
  for (const [name, seed] of Object.entries(known)) {
    const mutation = [...MUTATIONS, ...REGISTER_MUTATIONS].find((one) => one.name === name);
    assert(mutation !== undefined, `${name} is in no list any more`);
    assert(seed > 1 && seed <= mutation.seedsMax, `${name}: ${seed} of ${mutation.seedsMax}`);
  }
});

for (const name of SAMPLE) {
  Deno.test(`the simulation finds within ${SAMPLE_SEEDS_MAX} seeds: ${name}`, async () => {
    const mutation = MUTATIONS.find((one) => one.name === name);
    assert(mutation !== undefined);
    const { foundAfter } = await findMutation(
      { ...mutation, seedsMax: SAMPLE_SEEDS_MAX },
      1,
      unseeded,
    );
    assert(foundAfter !== undefined, "it was not found");
  });
}
