/**
 * Every seeded bug still fits the code: each of its edits finds its text exactly once. A bug that no longer
 * fits would otherwise be noticed only when somebody runs it, which takes minutes.
 */
import { assertEquals, assertNotEquals } from "@std/assert";
import { mutate, MUTATIONS } from "../simulation/mutations/mutations.ts";

const ROOT = new URL("../../", import.meta.url);

for (const mutation of MUTATIONS) {
  Deno.test(`the seeded bug fits the code: ${mutation.name}`, async () => {
    const source = await Deno.readTextFile(new URL(mutation.file, ROOT));
    assertNotEquals(mutate(source, mutation), source);
  });
}

Deno.test("seeded bugs have names of their own", () => {
  assertEquals(new Set(MUTATIONS.map(({ name }) => name)).size, MUTATIONS.length);
});
