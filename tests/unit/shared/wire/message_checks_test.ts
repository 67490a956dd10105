import { assertEquals } from "@std/assert";
import { isExact, whyInvalid } from "../../../../shared/wire/message_checks.ts";

Deno.test("isExact and whyInvalid: agree on what has the fields of the table and no other", () => {
  const rows: [message: Record<string, unknown>, exact: boolean, why: string | undefined][] = [
    [{ req_type: "get", key: "k" }, true, undefined],
    [{ req_type: "get", key: "k", id: 1, timeout_ms: 5 }, true, undefined],
    [{ req_type: "get", key: "k", later: true }, false, undefined],
    [{ req_type: "get", key: "k", timeout_ms: null }, false, undefined],
    [{ req_type: "get" }, false, 'get: "key" is missing; it must be a string'],
    [{ req_type: "get", key: 1 }, false, 'get: "key" must be a string'],
    [{ req_type: "get", key: "k", id: {} }, true, 'get: "id" must be a number or a string'],
    [{ req_type: "toString" }, false, 'unknown req_type "toString"'],
    [{ key: "k" }, false, '"req_type" must be a string'],
    [{ req_type: "appended", acks: [[0, 1, 2, 3]] }, true, undefined],
    [
      { req_type: "appended", acks: [[0, 1, 2]] },
      false,
      'appended: "acks" must be an array of [partition, term, stream, seq]',
    ],
  ];
  for (const [message, exact, why] of rows) {
    const text = JSON.stringify(message);
    assertEquals([isExact(message), whyInvalid(message)], [exact, why], text);
  }
});
