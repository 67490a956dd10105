import { assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { PARTS_BYTES_MAX } from "../../../../shared/limits/requests.ts";
import { whyTooLarge } from "../../../../shared/validation/transaction_checks.ts";
import type { PlainRequest } from "../../../../shared/wire/messages.ts";

Deno.test("whyTooLarge: a value counts for its bytes, in whatever form it comes", () => {
  const room = PARTS_BYTES_MAX - "key".length;
  const forms: [name: string, of: (length: number) => object][] = [
    ["bytes", (length) => ({ bytes: new Uint8Array(length) })],
    ["text", (length) => ({ value: "x".repeat(length) })],
    ["base64", (length) => ({ value64: Buffer.alloc(length).toString("base64") })],
  ];
  for (const [name, of] of forms) {
    const why = (length: number) => {
      const request = { req_type: "put", key: "key", ...of(length) } as unknown as PlainRequest;
      return whyTooLarge({ req_type: "transaction", key: "key", requests: [request] })?.message;
    };
    assertEquals(why(room), undefined, name);
    assertMatch(why(room + 1) ?? "", new RegExp(`has ${PARTS_BYTES_MAX + 1};`), name);
  }
});
