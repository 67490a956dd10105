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

function lines(firsts: readonly string[], types: readonly string[]): fc.Arbitrary<Uint8Array> {
  const one = fc.oneof(
    { weight: 5, arbitrary: damaged(line(messageText(types))) },
    { weight: 1, arbitrary: nonsense },
  );
  return fc.tuple(fc.constantFrom(...firsts), fc.array(one, { minLength: 1, maxLength: 5 }))
    .map(([first, all]) => joined(bytesOf(first), ...all));
}

/** What a client may send, and more. */
export const CLIENT_LINES: fc.Arbitrary<Uint8Array> = lines([""], ALL_TYPES);

/** Somebody who says that he is a node, and what for. */
export const PEER_LINES: fc.Arbitrary<Uint8Array> = lines(
  ["peer", "member", "node"].map((role) =>
    `{"req_type":"hello","protocol":1,"role":"${role}","node":"stranger","id":1}\n`
  ),
  typesOf("downstream", "upstream", "member", "push", "reply"),
);

/** Datagrams, and lines that are none. */
export const DATAGRAMS: fc.Arbitrary<Uint8Array> = fc.oneof(
  damaged(messageText(typesOf("datagram")).map(bytesOf)),
  damaged(messageText(ALL_TYPES).map(bytesOf)),
  fc.uint8Array({ maxLength: 1_500 }),
).map((bytes) => bytes.subarray(0, 8_000));
