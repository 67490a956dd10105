/**
 * Every seeded bug still fits the code: each of its edits finds its text exactly once. A bug that no longer
 * fits would otherwise be noticed only when somebody runs it, which takes minutes.
 */
import { assertEquals, assertNotEquals } from "@std/assert";
import { mutate } from "../simulation/mutations/mutation.ts";
import { MUTATIONS } from "../simulation/mutations/mutations.ts";
import { REGISTER_MUTATIONS } from "../simulation/mutations/register_mutations.ts";

const ROOT = new URL("../../", import.meta.url);

const ALL = [...MUTATIONS, ...REGISTER_MUTATIONS];

for (const mutation of ALL) {
  Deno.test(`the seeded bug fits the code: ${mutation.name}`, async () => {
    const source = await Deno.readTextFile(new URL(mutation.file, ROOT));
    assertNotEquals(mutate(source, mutation), source);
  });
}

Deno.test("seeded bugs have names of their own", () => {
  assertEquals(new Set(ALL.map(({ name }) => name)).size, ALL.length);
});
