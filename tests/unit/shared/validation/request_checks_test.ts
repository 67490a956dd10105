import { assertEquals, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { REQUEST_TIMEOUT_MS_MAX } from "../../../../shared/limits/requests.ts";
import { KEY_BYTES_MAX } from "../../../../shared/limits/wire.ts";
import type { KeyRequest } from "../../../../shared/wire/messages.ts";
import { checkKey, checkKeyRequest } from "../../../../shared/validation/request_checks.ts";

function code(action: () => unknown): string {
  try {
    action();
    return "ok";
  } catch (error) {
    if (error instanceof KvError) return error.code;
    throw error;
  }
}

const LIMITS = { keyBytesMax: 8, valueBytesMax: 12 };

Deno.test("checkKey takes keys of 1 to the limit's bytes that are Unicode text", () => {
  const cases: [key: string, code: string][] = [
    ["", "bad_request"],
    ["k", "ok"],
    ["12345678", "ok"],
    ["123456789", "key_too_large"],
    ["čččč", "ok"],
    ["čččč1", "key_too_large"],
    ["🐎🐎", "ok"],
    ["🐎🐎1", "key_too_large"],
    ["€€12", "ok"],
    ["€€123", "key_too_large"],
    ["\ud800", "bad_request"],
    ["a\udc00", "bad_request"],
    ["\n\0 ", "ok"],
    // Bytes that are not UTF-8; the second is another way to write é.
    ["\udcff".repeat(8), "ok"],
    ["\udcc3\udca9", "bad_request"],
    ["\udcff".repeat(9), "key_too_large"],
  ];
  for (const [key, wanted] of cases) {
    assertEquals(code(() => checkKey(key, LIMITS)), wanted, JSON.stringify(key));
  }
  assertEquals(code(() => checkKey("k".repeat(KEY_BYTES_MAX))), "ok");
  assertEquals(code(() => checkKey("k".repeat(KEY_BYTES_MAX + 1))), "key_too_large");
});

Deno.test("checkKeyRequest: a bound of read_ranges is a key, or a part of one", () => {
  const of = (start: string, end: string) => {
    const request = { req_type: "read_ranges", key: "k", ranges: [{ start, end, limit: 1 }] };
    return code(() => checkKeyRequest(request as KeyRequest, LIMITS));
  };
  assertEquals(of("", "\udcff"), "ok");
  assertEquals(of("\ud800", "b"), "bad_request");
  assertEquals(of("a", "\udcc3\udca9"), "bad_request");
});

Deno.test("checkKeyRequest checks a write's value: there, once, not over the limit", () => {
  const cases: [fields: object, code: string][] = [
    [{}, "bad_request"],
    [{ value: "" }, "ok"],
    [{ value: "123456789012" }, "ok"],
    [{ value: "1234567890123" }, "value_too_large"],
    [{ value: "čččččč" }, "ok"],
    [{ value: "čččččč1" }, "value_too_large"],
    [{ value64: "AAAAAAAAAAAAAAAA" }, "ok"],
    [{ value64: "AAAAAAAAAAAAAAAAAA==" }, "value_too_large"],
    [{ value64: "AAAAAAAAAAAAAA==" }, "ok"],
    [{ value: "a", value64: "YQ==" }, "bad_request"],
  ];
  for (const req_type of ["put", "update", "create"] as const) {
    for (const [fields, wanted] of cases) {
      const request = { req_type, key: "k", ...fields } as KeyRequest;
      assertEquals(code(() => checkKeyRequest(request, LIMITS)), wanted, JSON.stringify(request));
    }
  }
  for (const req_type of ["get", "exists", "delete"] as const) {
    assertEquals(code(() => checkKeyRequest({ req_type, key: "k" }, LIMITS)), "ok");
  }
});

Deno.test("checkKeyRequest checks the deadline", () => {
  const request = (timeout_ms: number): KeyRequest => ({ req_type: "get", key: "k", timeout_ms });
  assertEquals(code(() => checkKeyRequest(request(1))), "ok");
  assertEquals(code(() => checkKeyRequest(request(0))), "bad_request");
  assertEquals(code(() => checkKeyRequest(request(REQUEST_TIMEOUT_MS_MAX + 1))), "bad_request");
});

Deno.test("the errors of checkKeyRequest say what was required and what was given", () => {
  const error = assertThrows(
    () => checkKeyRequest({ req_type: "get", key: "čččč1" }, LIMITS),
    KvError,
  );
  assertEquals(error.message, "get: a key may have 8 bytes, and this one has 9");
});
