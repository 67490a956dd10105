import { inspect } from "node:util";
import { assertEquals } from "@std/assert";
import { Secret } from "../../../../shared/base/secret.ts";

Deno.test("Secret: shown by no accident: JSON, templates, views, errors' causes", () => {
  const secret = new Secret("hunter2");
  const shown = [
    JSON.stringify({ secret }),
    JSON.stringify([secret]),
    `${secret}`,
    String(secret),
    "" + secret,
    Deno.inspect(secret, { depth: 9, showHidden: true }),
    Deno.inspect({ deep: [secret] }, { showHidden: true }),
    inspect(secret, { depth: 9, showHidden: true }),
    Deno.inspect(new Error("refused", { cause: { secret } })),
    JSON.stringify(Object.entries(secret)),
    JSON.stringify({ ...secret }),
  ];
  for (const text of shown) assertEquals(text.includes("hunter2"), false, text);
  assertEquals(secret.reveal(), "hunter2");
});
