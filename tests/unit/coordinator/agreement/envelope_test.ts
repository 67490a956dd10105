import { assertEquals, assertThrows } from "@std/assert";
import {
  formatEnvelope,
  parseCertificate,
  parseEnvelope,
} from "../../../../coordinator/agreement/envelope.ts";
import type { Answer, Envelope, Question } from "../../../../coordinator/register/messages.ts";
import { KvError } from "../../../../shared/base/errors.ts";

const generation = { number: 3, coordinator: "c1", run: "r" };
const stamp = { generation, revision: 7 };
const member = { id: "c1", folder: "f1", address: { host: "h", port: 1 } };
const set = { voters: [member], wanted: undefined, joint: false };
const document = { set, body: "text" };
const start = { folder: "f2", start: 1, run: "q", writes: 9 };
const BODIES: (Question<string> | Answer<string>)[] = [
  { type: "hello" },
  { type: "welcome", newer: { stamp, set } },
  { type: "welcome", newer: undefined },
  { type: "inquire", round: 1 },
  { type: "promise", round: 1, generation, has: stamp },
  { type: "accept", round: 1, stamp, change: { whole: document } },
  { type: "accept", round: 1, stamp, change: { base: stamp, set, difference: { a: 1 } } },
  { type: "confirm", round: 1, generation, chosen: stamp, starts: [start] },
  { type: "confirm", round: 1, generation, chosen: undefined, starts: [] },
  { type: "release", generation },
  { type: "old_copy", known: start },
  { type: "not_member", stamp, set },
  { type: "inquired", round: 1, lost: true, highest: generation },
  { type: "inquired", round: 1, lost: false, highest: undefined },
  { type: "promised", round: 1, generation, newest: { stamp, document } },
  { type: "promised", round: 1, generation, newest: undefined },
  { type: "accepted", round: 1, stamp },
  { type: "need_whole", round: 1 },
  { type: "confirmed", round: 1, generation },
  { type: "refused", round: 1, highest: generation },
  { type: "held", round: 1 },
];

function envelope(body: Question<string> | Answer<string>): Envelope<string> {
  const from = { ...member, start: 1, run: "r", writes: 4, at: stamp };
  return { from, to: "f2", toRun: undefined, body };
}

function read(text: string): Envelope<string> {
  return parseEnvelope(JSON.parse(text), (body) => {
    if (typeof body !== "string") throw new KvError("corrupt", "no text");
    return body;
  });
}

Deno.test("parseEnvelope: gives back every message of the agreement", () => {
  for (const body of BODIES) {
    const sent = formatEnvelope(envelope(body));
    assertEquals(formatEnvelope(read(sent)), sent);
  }
});

Deno.test("parseEnvelope: a field that is missing or something else is refused, in every message", () => {
  let refused = 0;
  for (const body of BODIES) {
    for (const name of Object.keys(body)) {
      for (const value of [undefined, null, -1, "x", [], {}, 1.5]) {
        const changed = { ...body, [name]: value } as typeof body;
        if (JSON.stringify(changed) === JSON.stringify(body)) continue;
        try {
          const taken = read(formatEnvelope(envelope(changed)));
          // What was taken is a message of the agreement all the same: a field that may be absent, or hold anything.
          assertEquals(formatEnvelope(read(formatEnvelope(taken))), formatEnvelope(taken));
        } catch (error) {
          assertEquals(error instanceof KvError, true, `${body.type} ${name}: ${error}`);
          refused++;
        }
      }
    }
  }
  assertEquals(refused > 200, true, `${refused}`);
});

Deno.test("parseEnvelope: a sender that is none is refused", () => {
  const good = JSON.parse(formatEnvelope(envelope({ type: "hello" })));
  const senders = [
    {},
    { ...good.from, id: "" },
    { ...good.from, id: "x".repeat(1_000) },
    { ...good.from, address: { host: "h", port: 70_000 } },
    { ...good.from, writes: -1 },
    { ...good.from, at: {} },
  ];
  for (const from of senders) {
    assertThrows(() => read(JSON.stringify({ ...good, from })), KvError);
  }
});

Deno.test("parseCertificate: gives back what was sent; none, or one that is none", () => {
  const certificate = { serial: "a1", madeMs: 1, untilMs: 2 };
  const good = JSON.parse(formatEnvelope(envelope({ type: "hello" }), certificate));
  assertEquals(parseCertificate(good), certificate);
  const signed = { ...certificate, authority: "its fingerprint" };
  const more = JSON.parse(formatEnvelope(envelope({ type: "hello" }), signed));
  assertEquals(parseCertificate(more), signed);
  assertEquals(parseCertificate({ ...good, certificate: undefined }), undefined);
  assertEquals(parseCertificate({ ...good, certificate: null }), undefined);
  for (
    const wrong of [{}, { serial: 1 }, { ...good.certificate, until_ms: -1 }, {
      ...good.certificate,
      made_ms: "1",
    }, { ...good.certificate, authority: 7 }]
  ) assertThrows(() => parseCertificate({ ...good, certificate: wrong }), KvError);
});
