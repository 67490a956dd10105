import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { decodeMessage, encodeReply, encodeWithId } from "../../../../shared/wire/codec.ts";
import type { Message, Reply } from "../../../../shared/wire/messages.ts";
import type { Field } from "../../../../shared/schema/fields.ts";
import { isExact, whyInvalid } from "../../../../shared/wire/message_checks.ts";
import { MESSAGES } from "../../../../shared/wire/messages.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

function decode(
  line: string,
): { message?: Message; code?: string; text?: string; id?: string | number | undefined } {
  let outcome = {};
  const message = decodeMessage(line, (error, id) => {
    outcome = { code: error.code, text: error.message, id };
  });
  return message === undefined ? outcome : { message };
}

Deno.test("decodeMessage takes good messages as they are", () => {
  const lines = [
    '{"req_type":"ping"}',
    '{"id":1,"req_type":"get","key":"k"}',
    '{"id":"a","req_type":"put","key":"k","value":"v"}',
    '{"id":2,"req_type":"put","key":"k","value64":"AA==","acks":"primary","timeout_ms":5}',
    '{"req_type":"hello","protocol":1,"role":"client"}',
    '{"id":1,"req_type":"error","code":"not_found","message":"m","detail":{"a":1}}',
  ];
  for (const line of lines) assertEquals(decode(line).message, JSON.parse(line));
});

Deno.test("decodeMessage: a key in base64 is the key, wherever one can stand", () => {
  const key = "\udcffa";
  const steps = [{ req_type: "put", key, value: "v" }];
  const cases: [line: string, message: object][] = [
    ['{"req_type":"get","key64":"/2E="}', { req_type: "get", key }],
    ['{"req_type":"scan","prefix64":"/2E=","after64":null}', { req_type: "scan", prefix: key }],
    [
      '{"req_type":"transaction","key64":"/2E=","checks":[[{"key64":"/2E="},7],["k",1]],' +
      '"requests":[{"req_type":"put","key64":"/2E=","value":"v"}]}',
      { req_type: "transaction", key, checks: [[key, 7], ["k", 1]], requests: steps },
    ],
    [
      '{"req_type":"read_ranges","key":"k","ranges":[{"start64":"/2E=","end":"z","limit":1}]}',
      { req_type: "read_ranges", key: "k", ranges: [{ start: key, end: "z", limit: 1 }] },
    ],
  ];
  for (const [line, message] of cases) assertEquals(decode(line).message, message as Message);
  const wrong: [line: string, text: string][] = [
    ['{"req_type":"get","key64":"/2E"}', '"key64" must be standard base64'],
    ['{"req_type":"get","key64":7}', '"key64" must be a string'],
    ['{"req_type":"get","key":"k","key64":"/2E="}', 'give "key" or "key64", not both'],
    [
      '{"req_type":"read_ranges","key":"k","ranges":[{"start":"a","start64":"/2E=","end":"z","limit":1}]}',
      '"ranges" must be an array of',
    ],
    [
      '{"req_type":"read_ranges","key":"k","ranges":[{"start64":"/","end":"z","limit":1}]}',
      '"start64" must be standard base64',
    ],
  ];
  for (const [line, text] of wrong) assertStringIncludes(decode(line).text ?? "", text);
});

Deno.test("decodeMessage says what is wrong, and with which message", () => {
  const cases: [line: string, text: string, id: unknown][] = [
    ["{", "one JSON object per line", undefined],
    ["hello", "one JSON object per line", undefined],
    ["[1]", "must be a JSON object", undefined],
    ["null", "must be a JSON object", undefined],
    ["7", "must be a JSON object", undefined],
    ['{"id":1}', '"req_type" must be a string', 1],
    ['{"id":1,"req_type":"fly"}', 'unknown req_type "fly"', 1],
    ['{"id":1,"req_type":"__proto__"}', "unknown req_type", 1],
    ['{"id":1,"req_type":"toString"}', "unknown req_type", 1],
    ['{"id":1,"req_type":"get"}', 'get: "key" is missing', 1],
    ['{"id":"x","req_type":"get","key":7}', 'get: "key" must be a string', "x"],
    [
      '{"id":1,"req_type":"increment","key":"k","by":5}',
      'increment: "by" must be a string, as in "5": a number of JSON cannot hold every one',
      1,
    ],
    ['{"id":1,"req_type":"put","key":"k","value":5}', 'put: "value" must be a string', 1],
    ['{"id":1,"req_type":"put","key":"k","value":"v","acks":"some"}', '"acks" must be one of', 1],
    ['{"id":1,"req_type":"get","key":"k","timeout_ms":-1}', '"timeout_ms" must be', 1],
    [
      '{"id":1,"req_type":"put","key":"k","value":"v","ttl_ms":0}',
      '"ttl_ms" must be a whole number from 1',
      1,
    ],
    ['{"id":{},"req_type":"ping"}', '"id" must be a number or a string', undefined],
    ['{"id":true,"req_type":"get","key":"k"}', '"id" must be a number or a string', undefined],
    ['{"id":1e999,"req_type":"ping"}', '"id" must be a number that JSON can carry', undefined],
  ];
  for (const [line, text, id] of cases) {
    const outcome = decode(line);
    assertEquals(outcome.code, "bad_request", line);
    assertStringIncludes(outcome.text ?? "", text);
    assertEquals(outcome.id, id, line);
  }
});

Deno.test("decodeMessage takes null for absent, in optional fields and the id alone", () => {
  const { message } = decode(
    '{"id":null,"req_type":"put","key":"k","value":"v","acks":null,"value64":null}',
  );
  assertEquals(message, { req_type: "put", key: "k", value: "v" });
  assertEquals(decode('{"req_type":"get","key":null}').code, "bad_request");
});

Deno.test("decodeMessage ignores unknown fields", () => {
  assertEquals(decode('{"req_type":"ping","x":1}').code, undefined);
});

Deno.test("decodeMessage never throws, whatever is done to a line", () => {
  const random = new SeededRandom(4);
  const lines = [
    '{"id":1,"req_type":"put","key":"k","value":"v","acks":"all"}',
    '{"req_type":"append","parts":[[1,2,3,4,[["k",1,1,0,0,0,"v"]]]]}',
  ];
  for (let round = 0; round < 5_000; round++) {
    const line = [...(lines[round % 2] ?? "")];
    for (let i = 0; i <= randomBelow(random, 3); i++) {
      const at = randomBelow(random, line.length);
      line.splice(at, randomBelow(random, 3), String.fromCharCode(32 + randomBelow(random, 95)));
    }
    decode(line.join(""));
  }
  decode("[".repeat(200_000));
});

Deno.test("isExact: what whyInvalid finds nothing wrong with, without nulls and unknown fields, and nothing else", () => {
  const values = [undefined, null, "t", "node", 0, 1, -1, 0.5, true, [], {}, "application/x"];
  let exact = 0;
  for (const [type, { fields }] of Object.entries(MESSAGES)) {
    const good: Record<string, unknown> = { req_type: type };
    for (const [name, wanted] of Object.entries<Field<unknown>>(fields)) {
      if (!wanted.optional) {
        good[name] = values.find((value) => wanted.is(value)) ?? "no such value";
      }
    }
    for (const name of [...Object.keys(fields), "unknown", "toString", "__proto__"]) {
      for (const value of values) {
        // Also `__proto__` is a field like any other in what JSON.parse gives.
        const text = JSON.stringify(value);
        const line = JSON.stringify({ ...good, [name]: undefined }).slice(0, -1);
        const message = JSON.parse(text === undefined ? `${line}}` : `${line},"${name}":${text}}`);
        const plain = Object.keys(message).every((key) =>
          message[key] !== null && (key === "req_type" || Object.hasOwn(fields, key))
        );
        assertEquals(
          isExact(message),
          plain && whyInvalid(message) === undefined,
          `${type} ${line}`,
        );
        if (isExact(message)) exact++;
      }
    }
  }
  assert(exact > 200, `${exact} were exact`);
  for (const type of ["toString", "__proto__", "", undefined, 7]) {
    assertEquals(isExact({ req_type: type }), false);
  }
});

Deno.test("encodeWithId puts the id in, in place of one that is there", () => {
  const cases: [object, string | number][] = [
    [{}, 1],
    [{ req_type: "ping" }, 2],
    [{ req_type: "ping", id: undefined }, 3],
    [{ id: 9, req_type: "ping" }, 4],
    [{ req_type: "ping" }, 'a"b'],
    [{ req_type: "get", key: "ž" }, "č"],
  ];
  for (const [message, id] of cases) {
    assertEquals(
      JSON.parse(encodeWithId(message, id)),
      JSON.parse(JSON.stringify({ ...message, id })),
    );
  }
});

Deno.test("encodeReply gives a reply the request's id, or none", () => {
  const replies: Reply[] = [
    { req_type: "ack", message: "success", version: 7 },
    { req_type: "ack", message: "success" },
    { req_type: "ack", message: "pong", id: 5 },
    { req_type: "data", message: 'q"\n', version: 1 },
    { req_type: "ack", message: "success", version: 8, id: 5 },
    { req_type: "error", code: "not_found", message: "m" },
  ];
  for (const reply of replies) {
    for (const id of [undefined, 0, -1.5, "x", 'q"']) {
      const { id: _, ...rest } = reply;
      const wanted = id === undefined ? rest : { ...rest, id };
      assertEquals(JSON.parse(encodeReply(reply, id)), wanted);
      assertEquals(encodeReply(reply, id).includes("\n"), false);
    }
  }
});

Deno.test("encodeReply keeps every field of data", () => {
  const given = { version: 7, timestamp: 8, expires_at: 9, ttl_ms: 4, content_type: 'text/"x"' };
  const local = ["bytes", "message", "value64"];
  assertEquals([...Object.keys(given), ...local].sort(), Object.keys(MESSAGES.data.fields).sort());
  const text = new TextEncoder().encode('g"rün\n');
  for (const rest of [given, { version: 7 }, {}]) {
    const read = (bytes: Uint8Array) =>
      JSON.parse(encodeReply({ req_type: "data", ...rest, bytes }, 3));
    assertEquals(read(text), { id: 3, req_type: "data", message: 'g"rün\n', ...rest });
    const binary = new Uint8Array([0xff, 0, 0xfe]);
    assertEquals(read(binary), { id: 3, req_type: "data", message: "", value64: "/wD+", ...rest });
  }
});

Deno.test("encodeReply keeps every field of an acknowledgement", () => {
  const plain = { req_type: "ack", message: "success", version: 7 } as const;
  assertEquals(JSON.parse(encodeReply(plain, 3)), { id: 3, ...plain });
  const more = { ...plain, previous: "before", created: false };
  assertEquals(JSON.parse(encodeReply(more, 3)), { id: 3, ...more });
  assertEquals(JSON.parse(encodeReply({ ...more, id: 9 }, 3)), { ...more, id: 3 });
});
