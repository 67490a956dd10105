import type { Field } from "../../../../shared/schema/fields.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { whyInvalid } from "../../../../shared/wire/message_checks.ts";
import {
  operationOf,
  operationsAt,
  requestFromRow,
  requestFromWords,
  wordArguments,
  wordOptions,
} from "../../../../shared/arguments/request_words.ts";
import type { FrontEnd } from "../../../../shared/operations/operation.ts";
import { type OperationName, OPERATIONS } from "../../../../shared/operations/table.ts";
import type { RequestOption, RequestWord } from "../../../../shared/arguments/word_fields.ts";
import { wireForm } from "../../../../shared/wire/wire_form.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

const NAMES = Object.keys(OPERATIONS) as OperationName[];
const utf8 = new TextEncoder();

const GOOD: [OperationName, RequestWord[], RequestOption[], Record<string, unknown>][] = [
  ["put", ["k", "v"], [], { value: "v" }],
  ["put", ["k", ""], [], { value: "" }],
  ["put", ["k", Uint8Array.of(255)], [], { value64: "/w==" }],
  ["put", ["k", utf8.encode("é")], [], { value: "é" }],
  ["put", [utf8.encode("k"), "v"], [["ttl", "10m"]], { value: "v", ttl_ms: 600_000 }],
  ["put", ["k", "v"], [["TTL_MS", "90"]], { value: "v", ttl_ms: 90 }],
  ["put", ["k", "v"], [["if-version", "0"], ["previous"]], {
    value: "v",
    if_version: 0,
    previous: true,
  }],
  ["put", ["k"], [["value", "v"]], { value: "v" }],
  ["put", ["k", "v"], [["expires-at", "2023-11-14T22:13:20Z"]], {
    value: "v",
    expires_at: 1_700_000_000_000,
  }],
  ["increment", ["k"], [], {}],
  ["increment", ["k", "-5"], [["acks", "primary"]], { by: "-5", acks: "primary" }],
  ["expire", ["k", "1h"], [["when", "NX"]], { ttl_ms: 3_600_000, when: "nx" }],
  ["set_range", ["k", "3", "x"], [], { offset: 3, value: "x" }],
];

for (const [name, words, options, fields] of GOOD) {
  Deno.test(`requestFromWords: ${name} ${JSON.stringify([words, options])}`, () => {
    const request = wireForm(requestFromWords(name, words, options, "shell"));
    assertEquals<object>(request, { req_type: name, key: "k", ...fields });
    assertEquals(whyInvalid({ ...request }), undefined);
  });
}

const WRONG: [OperationName, RequestWord[], RequestOption[], FrontEnd, string][] = [
  ["put", [], [], "shell", "put: required 2 arguments, given 0: put KEY VALUE"],
  ["put", ["k"], [], "shell", "required 2 arguments, given 1"],
  ["put", ["k", "v", "w"], [], "shell", "required 2 arguments, given 3"],
  ["increment", ["k", "1", "2"], [], "shell", "required 1 to 2 arguments"],
  ["put", ["k", "v"], [["ttl", "600"]], "shell", "put: --ttl must be a time with its unit"],
  ["expire", ["k", "60"], [], "resp", "expire: TTL must be a time with its unit"],
  ["put", ["k", "v"], [["ttl"]], "shell", "--ttl needs a value"],
  ["put", ["k", "v"], [["TTL"]], "resp", `put: "TTL" needs a value`],
  ["put", ["k", "v"], [["TTL", "0s"]], "resp", `"TTL" must be more than 0; given "0s"`],
  ["put", ["k", "v"], [["ttl", "1m"], ["ttl-ms", "5"]], "shell", "--ttl-ms is given twice"],
  ["put", ["k", "v"], [["value", "w"]], "shell", `"value" is given twice`],
  ["put", ["k", "v"], [["nosuch", "1"]], "shell", `unknown option "nosuch"; it takes `],
  ["put", ["k", "v"], [["__proto__", "1"]], "shell", `unknown option "__proto__"`],
  ["put", ["k", "v"], [["constructor"]], "resp", `unknown option "constructor"`],
  ["put", ["k", "v"], [["key", "x"]], "shell", `unknown option "key"`],
  ["put", ["k", "v"], [["req_type", "get"]], "resp", `unknown option "req_type"`],
  ["put", ["k", "v"], [["forwarded", "true"]], "resp", `unknown option "forwarded"`],
  ["put", ["k", "v"], [["session", "x"]], "shell", `unknown option "session"`],
  ["put", ["k", "v"], [["if-version", "-1"]], "shell", `must be a whole number from 0; given "-1"`],
  ["put", ["k", "\ud800"], [], "shell", "surrogate"],
  ["set_bit", ["k", Uint8Array.of(255), "1"], [], "resp", `OFFSET must be UTF-8`],
  ["set_bit", ["k", "1"], [], "shell", "required 3 arguments, given 2: set_bit KEY OFFSET BIT"],
  ["expire", ["k"], [["when", "later"]], "shell", "one of nx, xx, gt, lt"],
  ["get", ["k"], [["x".repeat(10_000)]], "resp", "…"],
];

for (const [name, words, options, frontEnd, text] of WRONG) {
  Deno.test(`requestFromWords refuses ${name} ${JSON.stringify([words, options]).slice(0, 60)}`, () => {
    const error = assertThrows(() => requestFromWords(name, words, options, frontEnd), KvError);
    assertEquals(error.code, "bad_request");
    assertStringIncludes(error.message, text);
    assert(error.message.length < 400, "the text does not repeat all of a long word");
  });
}

Deno.test("requestFromRow: arguments, then options by name, flags alone", () => {
  const table: [OperationName, RequestWord[], Record<string, unknown>][] = [
    ["put", ["k", "ttl"], { value: "ttl" }],
    ["put", ["k", "v", "PREVIOUS", "TTL", "1s"], { value: "v", previous: true, ttl_ms: 1_000 }],
    ["put", ["k", "v", "ttl-ms", "5", "keep_ttl"], { value: "v", ttl_ms: 5, keep_ttl: true }],
    ["increment", ["k"], {}],
    ["increment", ["k", "7"], { by: "7" }],
    ["increment", ["k", "ACKS", "primary"], { acks: "primary" }],
    ["increment", ["k", "7", "SESSION", "a", "REQUEST_NUMBER", "3"], {
      by: "7",
      session: "a",
      request_number: 3,
    }],
    ["put", ["k", Uint8Array.of(0, 255)], { value64: "AP8=" }],
  ];
  for (const [name, row, fields] of table) {
    const request: object = wireForm(requestFromRow(name, row, "resp"));
    assertEquals(request, { req_type: name, key: "k", ...fields });
    const bytes = row.map((word) => typeof word === "string" ? utf8.encode(word) : word);
    assertEquals<object>(wireForm(requestFromRow(name, bytes, "resp")), request);
  }
});

Deno.test("requestFromRow: random rows give a valid request or bad_request", () => {
  const random = new SeededRandom(4);
  const pick = <T>(list: readonly T[]): T => {
    const item = list[randomBelow(random, list.length)];
    if (item === undefined) throw new Error("an empty list");
    return item;
  };
  const words: RequestWord[] = [
    ...[
      "k",
      "",
      "1",
      "-1",
      "10m",
      "v",
      "TTL",
      "ttl_ms",
      "IF-VERSION",
      "previous",
      "acks",
      "primary",
    ],
    ...["when", "nx", "__proto__", "toString", "value", "value64", "/w==", "key", "offset", "bit"],
    ...[
      "\ud800",
      "\0",
      "session",
      "request_number",
      "again",
      "consistency",
      "cached",
      "1e999",
      "{}",
      "--ttl",
    ],
    Uint8Array.of(),
    Uint8Array.of(255, 0),
    utf8.encode("ttl"),
    "x".repeat(5_000),
  ];
  let good = 0;
  for (let i = 0; i < 20_000; i++) {
    const name = pick(NAMES);
    const row = Array.from({ length: randomBelow(random, 8) }, () => pick(words));
    try {
      const request = wireForm(requestFromRow(name, row, pick(["resp", "shell", "http"])));
      assertEquals(whyInvalid({ ...request }), undefined);
      assertEquals(Object.getPrototypeOf(request), Object.prototype);
      good++;
    } catch (error) {
      assert(error instanceof KvError && error.code === "bad_request", String(error));
    }
  }
  assert(good > 1_000, "some of them are requests");
});

Deno.test("OPERATIONS: each row says all that front ends, help and documents need", () => {
  for (const name of NAMES) {
    const operation = operationOf(name);
    const { summary, answers, frontEnds, fields } = operation;
    assert(summary !== "" && !summary.endsWith(".") && !answers.endsWith("."), name);
    assert(frontEnds.includes("wire"), `${name} is on the wire`);
    for (const [fieldName, field] of Object.entries<Field<unknown>>(fields)) {
      const { about, local } = field;
      if (local === true) continue;
      assert(about !== undefined, `${name}: ${fieldName} says what it is`);
      assert(!about.summary.endsWith("."), about.summary);
      if (field.form === "duration" || field.form === "date") assert(about.unit !== undefined);
      if (field.optional && fieldName !== "value" && field.local !== true) {
        assert(about.fallback !== undefined, `${name}: ${fieldName} says its default`);
      }
    }
    // What may be left out stands last, or a line could not be read.
    const optional = wordArguments(operation).map((argument) => argument.optional);
    assertEquals(optional, optional.toSorted((a, b) => Number(a) - Number(b)), name);
  }
});

Deno.test("OPERATIONS: an option's name means one kind of thing in all operations", () => {
  const forms = new Map<string, string>();
  for (const name of operationsAt("shell")) {
    for (const { field, optionNames } of wordOptions(operationOf(name), "shell")) {
      for (const option of optionNames) {
        const known = forms.get(option) ?? field.form;
        assertEquals(known, field.form, `${name} --${option}`);
        forms.set(option, known);
      }
    }
  }
  assert(forms.has("ttl") && !forms.has("session"));
});
