import { wireForm } from "../../../../shared/wire/wire_form.ts";
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Entry } from "../../../../shared/base/entry.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { EXPIRY_DATE_MAX } from "../../../../shared/limits/storage.ts";
import {
  dataReply,
  type Operation,
  type Outcome,
  type WriteOperation,
} from "../../../../shared/operations/operation.ts";
import { type OperationName, OPERATIONS } from "../../../../shared/operations/table.ts";

const NOW = 1_000_000;
const utf8 = new TextEncoder();

function entry(value: string, expiresAtMs = 0): Entry {
  return {
    key: "k",
    seq: 7,
    term: 1,
    flags: 0,
    timestampMs: 5,
    expiresAtMs,
    value: utf8.encode(value),
  };
}

function run(
  name: OperationName,
  args: Record<string, unknown>,
  current: Entry | undefined,
): Outcome {
  const operation = OPERATIONS[name] as unknown as WriteOperation;
  return operation.evaluate({ req_type: name, key: "k", ...args }, current, {
    wallMs: NOW,
    valueBytesMax: 100,
  });
}

/** An outcome in a form that tables can hold: what is written, and what is answered. */
function show(outcome: Outcome): unknown[] {
  if ("answer" in outcome) {
    const { answer } = outcome;
    if (answer.req_type === "error") return [answer.code];
    return ["kept", answer.req_type === "result" ? answer.result : answer.req_type];
  }
  const { write, reply } = outcome;
  const value = write.flags === 1 ? "deleted" : new TextDecoder().decode(write.value);
  const answer = reply && wireForm(reply(8));
  const told = answer === undefined
    ? []
    : answer.req_type === "result"
    ? [answer.result]
    : answer.req_type === "ack"
    ? [answer.previous]
    : [answer.req_type];
  return [value, write.expiresAtMs, ...told];
}

const CASES: [OperationName, Record<string, unknown>, Entry | undefined, unknown[]][] = [
  ["put", { value: "v" }, undefined, ["v", 0]],
  ["put", { value64: "/w==" }, undefined, ["\ufffd", 0]],
  ["put", { value: "v", ttl_ms: 5 }, undefined, ["v", NOW + 5]],
  ["put", { value: "v", expires_at: NOW + 9 }, undefined, ["v", NOW + 9]],
  ["put", { value: "v", expires_at: NOW }, undefined, ["deleted", 0]],
  // Replicas take whole numbers alone: a sum beyond them must never leave the primary.
  ["put", { value: "v", ttl_ms: Number.MAX_SAFE_INTEGER }, undefined, ["v", EXPIRY_DATE_MAX]],
  ["put", { value: "v", expires_at: Number.MAX_SAFE_INTEGER }, undefined, ["v", EXPIRY_DATE_MAX]],
  ["expire", { ttl_ms: Number.MAX_SAFE_INTEGER }, entry("o"), ["o", EXPIRY_DATE_MAX, true]],
  ["get_and_expire", { ttl_ms: Number.MAX_SAFE_INTEGER }, entry("o"), [
    "o",
    EXPIRY_DATE_MAX,
    "data",
  ]],
  ["put", { value: "v" }, entry("o", NOW + 50), ["v", 0]],
  ["put", { value: "v", keep_ttl: true }, entry("o", NOW + 50), ["v", NOW + 50]],
  ["put", { value: "v", previous: true }, entry("o"), ["v", 0, "o"]],
  ["put", { value: "v", previous: true }, undefined, ["v", 0, undefined]],
  ["put", { value: "v", if_version: 7 }, entry("o"), ["v", 0]],
  ["put", { value: "v", if_version: 6 }, entry("o"), ["version_mismatch"]],
  ["put", { value: "v", if_version: 0 }, undefined, ["v", 0]],
  ["put", { value: "v", if_version: 0 }, entry("o"), ["version_mismatch"]],
  ["create", { value: "v" }, undefined, ["v", 0]],
  ["create", { value: "v" }, entry("o"), ["exists"]],
  ["update", { value: "v" }, undefined, ["not_found"]],
  ["update", { value: "v" }, entry("o"), ["v", 0]],
  ["delete", {}, undefined, ["not_found"]],
  ["delete", {}, entry("o"), ["deleted", 0]],
  ["delete", { previous: true }, entry("o"), ["deleted", 0, "o"]],
  ["delete", { if_version: 3 }, entry("o"), ["version_mismatch"]],
  ["expire", { ttl_ms: 10 }, undefined, ["kept", false]],
  ["expire", { ttl_ms: 10 }, entry("o"), ["o", NOW + 10, true]],
  ["expire", { expires_at: 0 }, entry("o"), ["deleted", 0, true]],
  ["expire", { ttl_ms: 10, when: "nx" }, entry("o", NOW + 5), ["kept", false]],
  ["expire", { ttl_ms: 10, when: "xx" }, entry("o"), ["kept", false]],
  ["expire", { ttl_ms: 10, when: "gt" }, entry("o"), ["kept", false]],
  ["expire", { ttl_ms: 10, when: "gt" }, entry("o", NOW + 5), ["o", NOW + 10, true]],
  ["expire", { ttl_ms: 10, when: "lt" }, entry("o"), ["o", NOW + 10, true]],
  ["expire", { ttl_ms: 10, when: "lt" }, entry("o", NOW + 5), ["kept", false]],
  ["persist", {}, entry("o"), ["kept", false]],
  ["persist", {}, entry("o", NOW + 5), ["o", 0, true]],
  ["get_and_expire", {}, undefined, ["not_found"]],
  ["get_and_expire", {}, entry("o"), ["kept", "data"]],
  ["get_and_expire", { ttl_ms: 3 }, entry("o"), ["o", NOW + 3, "data"]],
  ["get_and_expire", { persist: true }, entry("o", NOW + 5), ["o", 0, "data"]],
  ["increment", {}, undefined, ["1", 0, "1"]],
  ["increment", { by: "-3" }, entry("10", NOW + 5), ["7", NOW + 5, "7"]],
  ["increment", { by: "9223372036854775807" }, undefined, [
    "9223372036854775807",
    0,
    "9223372036854775807",
  ]],
  ["increment_float", { by: "0.1" }, entry("0.2"), ["0.3", 0, "0.3"]],
  ["increment_float", { by: "5e3" }, entry("1"), ["5001", 0, "5001"]],
  ["increment_float", { by: "-.3" }, entry("0.3"), ["0", 0, "0"]],
  ["increment_float", { by: "1.000000000000000005" }, entry("3"), [
    "4.00000000000000001",
    0,
    "4.00000000000000001",
  ]],
  ["append_value", { value: "b" }, undefined, ["b", 0, 1]],
  ["append_value", { value: "b" }, entry("a", NOW + 5), ["ab", NOW + 5, 2]],
  ["set_range", { offset: 2, value: "x" }, undefined, ["\0\0x", 0, 3]],
  ["set_range", { offset: 1, value: "xy" }, entry("abcd"), ["axyd", 0, 4]],
  ["set_range", { offset: 9, value: "" }, entry("abcd"), ["kept", 4]],
  ["set_bit", { offset: 7, bit: 1 }, undefined, ["\x01", 0, 0]],
  ["set_bit", { offset: 7, bit: 0 }, entry("a"), ["`", 0, 1]],
];

for (const [name, args, current, expected] of CASES) {
  const what = `${name} ${JSON.stringify(args)} on ${current === undefined ? "nothing" : "a key"}`;
  Deno.test(`operation ${what}${current?.expiresAtMs ? " that expires" : ""}`, () => {
    assertEquals(show(run(name, args, current)), expected);
  });
}

const REFUSED: [OperationName, Record<string, unknown>, Entry | undefined, string][] = [
  ["put", {}, undefined, "bad_request"],
  ["put", { value: "v", ttl_ms: 1, expires_at: 1 }, undefined, "bad_request"],
  ["put", { value: "v", ttl_ms: 1, keep_ttl: true }, undefined, "bad_request"],
  ["create", { value: "v", expires_at: 1, keep_ttl: true }, entry("o"), "bad_request"],
  ["expire", {}, entry("o"), "bad_request"],
  ["get_and_expire", { ttl_ms: 1, persist: true }, entry("o"), "bad_request"],
  ["increment", { by: "1.5" }, undefined, "not_an_integer"],
  ["increment", { by: "01" }, undefined, "not_an_integer"],
  ["increment", {}, entry("x"), "not_an_integer"],
  ["increment", {}, entry(" 1"), "not_an_integer"],
  ["increment", { by: "9223372036854775808" }, undefined, "not_an_integer"],
  ["increment", {}, entry("9223372036854775807"), "out_of_range"],
  ["increment", { by: "-1" }, entry("-9223372036854775808"), "out_of_range"],
  ["increment_float", { by: "x" }, undefined, "not_a_float"],
  ["increment_float", { by: "1" }, entry("nan"), "not_a_float"],
  ["increment_float", { by: "1e308" }, entry("1.7e308"), "out_of_range"],
  ["append_value", { value: "x".repeat(60) }, entry("y".repeat(60)), "value_too_large"],
  ["set_range", { offset: 100, value: "x" }, undefined, "value_too_large"],
  ["set_bit", { offset: 800, bit: 1 }, undefined, "value_too_large"],
  ["set_bit", { offset: 1, bit: 2 }, undefined, "bad_request"],
];

for (const [name, args, current, code] of REFUSED) {
  Deno.test(`operation ${name} ${JSON.stringify(args).slice(0, 60)} is refused with ${code}`, () => {
    const error = assertThrows(() => run(name, args, current), KvError);
    assertEquals(error.code, code);
  });
}

Deno.test("operation inspect tells of a key without its value", () => {
  const request = { req_type: "inspect", key: "k" };
  assertEquals(OPERATIONS.inspect.read(request, entry("abc", NOW + 5), NOW), {
    req_type: "result",
    result: { length: 3, version: 7, timestamp: 5, expires_at: NOW + 5, ttl_ms: 5 },
  });
  const typed = { ...entry("abc"), contentType: "a/b" };
  const { result } = OPERATIONS.inspect.read(request, typed, NOW) as { result?: unknown };
  assertEquals((result as { content_type?: string }).content_type, "a/b");
  assertEquals(OPERATIONS.inspect.read(request, undefined, NOW).req_type, "error");
});

Deno.test("increment_float writes no exponent, and at most 17 places behind the point", () => {
  const cases: [by: string, text: string][] = [
    ["0", "0"],
    ["-0", "0"],
    ["1e21", "1000000000000000000000"],
    ["1.5e-7", "0.00000015"],
    ["-1.25e-7", "-0.000000125"],
    ["1e-17", "0.00000000000000001"],
    ["4e-18", "0"],
    ["-6e-18", "-0.00000000000000001"],
    ["100.50", "100.5"],
    ["5.", "5"],
    ["-.5", "-0.5"],
  ];
  for (const [by, text] of cases) {
    const outcome = OPERATIONS.increment_float.evaluate(
      { req_type: "increment_float", key: "k", by },
      undefined,
      { wallMs: 0, valueBytesMax: 100 },
    );
    assert("write" in outcome);
    assertEquals(new TextDecoder().decode(outcome.write.value), text, by);
  }
  for (const by of ["", ".", "e5", "1e401", "1e", "0x", "1_0", " 1", "inf", "NaN", "--1"]) {
    assertThrows(() =>
      OPERATIONS.increment_float.evaluate(
        { req_type: "increment_float", key: "k", by },
        undefined,
        { wallMs: 0, valueBytesMax: 100 },
      ), KvError);
  }
});

Deno.test("a value's content type: kept where the value is kept or changed in part, else dropped", () => {
  const current = { ...entry("12"), contentType: "text/plain" };
  const after = (name: OperationName, fields: Record<string, unknown>): string | undefined => {
    const operation = OPERATIONS[name] as unknown as Operation;
    if (operation.kind === "read") throw new Error(name);
    const context = { wallMs: NOW, valueBytesMax: 100 };
    const request = { req_type: name, key: "k", ...fields };
    const outcome = operation.evaluate(request, current, context);
    return "write" in outcome ? outcome.write.contentType : "no write";
  };
  const kept: [OperationName, Record<string, unknown>][] = [
    ["expire", { ttl_ms: 5 }],
    ["get_and_expire", { ttl_ms: 5 }],
    ["append_value", { value: "3" }],
    ["set_range", { value: "3", offset: 0 }],
    ["set_bit", { bit: 1, offset: 0 }],
  ];
  for (const [name, fields] of kept) assertEquals(after(name, fields), "text/plain", name);
  const dropped: [OperationName, Record<string, unknown>][] = [
    ["put", { value: "v" }],
    ["update", { value: "v", keep_ttl: true }],
    ["increment", {}],
    ["increment_float", {}],
    ["delete", {}],
  ];
  for (const [name, fields] of dropped) assertEquals(after(name, fields), undefined, name);
  assertEquals(after("put", { value: "v", content_type: "a/b" }), "a/b");
  assertEquals(dataReply(current, NOW).content_type, "text/plain");
});
