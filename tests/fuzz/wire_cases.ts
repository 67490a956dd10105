/**
 * Lines of the JSON wire as a hostile client, node or coordinator would send them: messages of the table with
 * fields that are sound, wrong or missing, and lines that are no messages.
 *
 * @module
 */
import fc from "fast-check";
import { MESSAGES } from "../../shared/wire/messages.ts";
import type { Field } from "../../shared/schema/fields.ts";
import {
  anyText,
  bytesOf,
  damaged,
  deepJson,
  joined,
  jsonText,
  numberText,
  objectText,
} from "./hostile.ts";

/** What would stop or empty the cluster by right, as long as anybody may. */
const LEFT_OUT = new Set(["force", "leave", "forget_node", "compact"]);

/** A value that a field may take, as text; often a sound one. */
function soundValue({ form, choices, requires }: Field<unknown>): fc.Arbitrary<string> {
  if (choices.length > 0) return fc.constantFrom(...choices.map((word) => JSON.stringify(word)));
  switch (form) {
    case "text":
      return fc.oneof(
        fc.constantFrom('"k"', '"{t}k"', '"7"'),
        anyText.map((t) => JSON.stringify(t)),
      );
    case "uint":
    case "duration":
    case "date":
      return fc.oneof(fc.nat(300).map(String), numberText);
    case "number":
      return numberText;
    case "flag":
      return fc.constantFrom("true", "false");
    default:
      return requires.startsWith("an array")
        ? fc.oneof(
          fc.constantFrom("[]", '[["k",1,1,0,0,0,"v"]]', "[[0,1,1,1]]", "[[0,1]]"),
          jsonText,
        )
        : jsonText;
  }
}

/** A message of the table. Requests may have another one inside, as batches and transactions do. */
function messageText(types: readonly string[]): fc.Arbitrary<string> {
  return fc.constantFrom(...types).chain((type) => {
    const { fields } = MESSAGES[type as keyof typeof MESSAGES];
    const values: Record<string, fc.Arbitrary<string>> = {
      req_type: fc.constant(JSON.stringify(type)),
      id: fc.oneof(fc.nat(9).map(String), fc.constant(""), jsonText),
    };
    for (const [name, field] of Object.entries(fields as Record<string, Field<unknown>>)) {
      if (field.local !== true) values[name] = soundValue(field);
    }
    if ("requests" in values) {
      const inner = fc.array(fc.constantFrom(...INNER), { maxLength: 4 });
      values.requests = inner.map((requests) => `[${requests.join(",")}]`);
    }
    return objectText(values);
  });
}

const INNER = [
  '{"req_type":"put","key":"k","value":"v"}',
  '{"req_type":"get","key":"k"}',
  '{"req_type":"increment","key":"n"}',
  '{"req_type":"transaction","key":"k","requests":[]}',
  '{"req_type":"batch","requests":[]}',
  '{"key":"k"}',
  "null",
  "[]",
];

const ALL_TYPES = Object.keys(MESSAGES).filter((type) => !LEFT_OUT.has(type));

function typesOf(...directions: readonly string[]): string[] {
  return ALL_TYPES.filter((type) =>
    directions.includes(MESSAGES[type as keyof typeof MESSAGES].direction)
  );
}

const line = (text: fc.Arbitrary<string>): fc.Arbitrary<Uint8Array> =>
  fc.tuple(text, fc.constantFrom("\n", "\n", "\n", "\r\n", "", "\n\n", "\0\n"))
    .map(([body, end]) => bytesOf(body + end));

const nonsense: fc.Arbitrary<Uint8Array> = fc.oneof(
  line(deepJson),
  line(jsonText),
  line(anyText),
  fc.uint8Array({ maxLength: 200 }),
  fc.nat(200_000).map((length) =>
    bytesOf(`{"req_type":"put","key":"k","value":"${"x".repeat(length)}`)
  ),
);

function lines(
  firsts: readonly string[],
  text: fc.Arbitrary<string>,
): fc.Arbitrary<Uint8Array> {
  const one = fc.oneof(
    { weight: 5, arbitrary: damaged(line(text)) },
    { weight: 1, arbitrary: nonsense },
  );
  return fc.tuple(fc.constantFrom(...firsts), fc.array(one, { minLength: 1, maxLength: 5 }))
    .map(([first, all]) => joined(bytesOf(first), ...all));
}

/** What a client may send, and more. */
export const CLIENT_LINES: fc.Arbitrary<Uint8Array> = lines([""], messageText(ALL_TYPES));

/** Somebody who says that he is a node, and what for. */
export const PEER_LINES: fc.Arbitrary<Uint8Array> = lines(
  ["peer", "member", "node"].map((role) =>
    `{"req_type":"hello","protocol":1,"role":"${role}","node":"stranger","id":1}\n`
  ),
  messageText(typesOf("downstream", "upstream", "member", "push", "reply")),
);

const name: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('"c1"', '"c2"', '"f"'),
  anyText.map((text) => JSON.stringify(text)),
);
const count: fc.Arbitrary<string> = fc.oneof(fc.nat(9).map(String), numberText);
const coordinatorAddress = objectText({ host: fc.constant('"127.0.0.1"'), port: fc.constant("1") });
const knownStart = objectText({ folder: name, start: count, run: name, writes: count });
const generation = objectText({ number: count, coordinator: name, run: name });
const stamp = objectText({ generation, revision: count });
const coordinatorSet = objectText({
  voters: fc.oneof(
    objectText({ id: name, folder: name, address: coordinatorAddress }).map((one) => `[${one}]`),
    fc.constant("[]"),
  ),
  joint: fc.constantFrom("true", "false"),
});
const AGREEMENT_TYPES = [
  "hello",
  "welcome",
  "inquire",
  "promise",
  "accept",
  "confirm",
  "release",
  "old_copy",
  "not_member",
  "inquired",
  "promised",
  "accepted",
  "need_whole",
  "confirmed",
  "refused",
  "held",
].map((type) => JSON.stringify(type));

/** What coordinators say to each other; what is nested in it as well. */
const agreementText: fc.Arbitrary<string> = objectText({
  req_type: fc.constant('"agree"'),
  from: objectText({
    id: name,
    folder: name,
    address: coordinatorAddress,
    start: count,
    run: name,
    writes: count,
    at: stamp,
  }),
  to: name,
  body: objectText({
    type: fc.constantFrom(...AGREEMENT_TYPES),
    round: count,
    generation,
    stamp,
    has: stamp,
    highest: generation,
    chosen: stamp,
    starts: knownStart.map((one) => `[${one}]`),
    known: knownStart,
    set: coordinatorSet,
    newer: objectText({ stamp, set: coordinatorSet }),
    change: fc.oneof(
      objectText({ whole: objectText({ set: coordinatorSet, body: jsonText }) }),
      jsonText,
    ),
  }),
});

/** Somebody who says that he is another coordinator. */
export const AGREEMENT_LINES: fc.Arbitrary<Uint8Array> = lines(
  ['{"req_type":"hello","protocol":1,"role":"coordinator","id":1}\n'],
  fc.oneof(
    { weight: 3, arbitrary: agreementText },
    { weight: 1, arbitrary: messageText(typesOf("agreement", "reply")) },
  ),
);

/** Datagrams, and lines that are none. */
export const DATAGRAMS: fc.Arbitrary<Uint8Array> = fc.oneof(
  damaged(messageText(typesOf("datagram")).map(bytesOf)),
  damaged(messageText(ALL_TYPES).map(bytesOf)),
  fc.uint8Array({ maxLength: 1_500 }),
).map((bytes) => bytes.subarray(0, 8_000));
