import { assertEquals, assertThrows } from "@std/assert";
import { MessageParts, partsOf } from "../../../../coordinator/agreement/message_parts.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { AgreementMessage } from "../../../../shared/wire/messages.ts";

const FROM = { id: "c1", folder: "f1", address: { host: "h", port: 1 } };
const MESSAGE = {
  req_type: "agree",
  from: { ...FROM, start: 1, run: "r", writes: 1 },
  to: "ä🙂".repeat(20),
  body: { type: "hello" },
};
const TEXT = JSON.stringify(MESSAGE);

function takeAll(parts: MessageParts, lines: readonly string[]): unknown[] {
  return lines.map((line) => parts.take(JSON.parse(line) as AgreementMessage));
}

Deno.test("partsOf: a short message is one line; a long one comes together again, cut anywhere", () => {
  assertEquals(partsOf(TEXT), [TEXT]);
  for (let characters = 1; characters < 40; characters++) {
    const lines = partsOf(TEXT, characters);
    assertEquals(lines.length, Math.ceil(TEXT.length / characters));
    const taken = takeAll(new MessageParts(), lines);
    assertEquals(taken.at(-1), MESSAGE);
    assertEquals(taken.slice(0, -1).every((one) => one === undefined), true);
  }
});

Deno.test("MessageParts: what is too long, or no message together, is refused, and the next one is taken", () => {
  const parts = new MessageParts(TEXT.length);
  const lines = partsOf(TEXT, 50);
  const [first = ""] = lines;
  takeAll(parts, [first]);
  const error = assertThrows(() => takeAll(parts, lines), KvError);
  assertEquals(error.code, "frame_too_large");
  for (const text of ["{", "[]", '{"req_type":"put"}', '{"req_type":"agree","from":1}']) {
    const last = JSON.stringify({ req_type: "agree_part", text, last: true });
    assertEquals(assertThrows(() => takeAll(parts, [last]), KvError).code, "bad_request", text);
  }
  assertEquals(takeAll(parts, lines).at(-1), MESSAGE);
});
