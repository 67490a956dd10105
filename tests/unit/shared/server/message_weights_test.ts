import { assertEquals } from "@std/assert";
import { REQUEST_OVERHEAD_BYTES } from "../../../../shared/limits/admission.ts";
import type { Reply } from "../../../../shared/wire/messages.ts";
import { lengthOf, sizeOf } from "../../../../shared/server/message_weights.ts";

Deno.test("sizeOf: key and value in whatever form, and each request of a batch", () => {
  const put = { req_type: "put", key: "key", value: "four" };
  assertEquals(sizeOf(put), REQUEST_OVERHEAD_BYTES + 7);
  assertEquals(sizeOf({ key: "key", bytes: new Uint8Array(5) }), REQUEST_OVERHEAD_BYTES + 8);
  assertEquals(sizeOf({ key: "key", value64: "AAAA" }), REQUEST_OVERHEAD_BYTES + 7);
  assertEquals(sizeOf({ requests: [put, null, 3] }), 4 * REQUEST_OVERHEAD_BYTES + 7);
});

Deno.test("lengthOf: the values that a reply carries; nothing for one without", () => {
  const lengths: [Reply, number][] = [
    [{ req_type: "data", bytes: new Uint8Array(9) }, 9],
    [{ req_type: "data", message: "four" }, 4],
    [{ req_type: "ack", message: "success", version: 1 }, 0],
    [{ req_type: "ack", message: "success", version: 1, previous: "four" }, 4],
    [{ req_type: "error", code: "not_found", message: "no such key" }, 0],
  ];
  for (const [reply, length] of lengths) assertEquals(lengthOf(reply), length);
});
