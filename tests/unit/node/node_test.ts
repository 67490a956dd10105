import { assertEquals } from "@std/assert";
import { MANY_KEYS } from "../../../node/node.ts";
import { OPERATIONS } from "../../../shared/operations/table.ts";
import { PART_MESSAGES } from "../../../shared/operations/part_messages.ts";
import { MESSAGES } from "../../../shared/wire/messages.ts";

Deno.test("MANY_KEYS: every request to a primary whose fields name further keys, or ranges of them", () => {
  const types = [...Object.keys(OPERATIONS), ...Object.keys(PART_MESSAGES)];
  const many = types.filter((type) => {
    const { fields } = MESSAGES[type as keyof typeof MESSAGES];
    return ["requests", "checks", "ranges", "keys"].some((name) => Object.hasOwn(fields, name));
  });
  assertEquals(new Set(many), MANY_KEYS);
});
