import { assertEquals } from "@std/assert";
import { EventStreamReader, type StreamEvent } from "../../../../client/fetch/event_stream.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

function read(...pieces: string[]): StreamEvent[] {
  const reader = new EventStreamReader();
  return pieces.flatMap((piece) => reader.read(piece));
}

Deno.test("EventStreamReader: events as the HTML standard has them", () => {
  const table: [string, StreamEvent[]][] = [
    ["event: put\nid: 7\ndata: {}\n\n", [{ type: "put", data: "{}", id: "7" }]],
    ["data: a\n\ndata: b\n\n", [
      { type: "message", data: "a", id: "" },
      { type: "message", data: "b", id: "" },
    ]],
    ["id: 1\ndata: a\n\ndata: b\n\n", [
      { type: "message", data: "a", id: "1" },
      { type: "message", data: "b", id: "1" },
    ]],
    ["data: a\ndata:b\ndata\ndata:  c\n\n", [{ type: "message", data: "a\nb\n\n c", id: "" }]],
    ["retry: 1000\n\n: a comment\n\nevent: put\n\n", []],
    ["event: a\nevent: b\ndata: x\n\n", [{ type: "b", data: "x", id: "" }]],
    ["id: a\0b\ndata: x\n\n", [{ type: "message", data: "x", id: "" }]],
    ["data: x\r\n\r\ndata: y\r\rdata: z\n\n", [
      { type: "message", data: "x", id: "" },
      { type: "message", data: "y", id: "" },
      { type: "message", data: "z", id: "" },
    ]],
    ["data: cut off", []],
    ["data: cut off\n", []],
  ];
  for (const [text, events] of table) assertEquals(read(text), events, JSON.stringify(text));
});

Deno.test("EventStreamReader: it makes no difference how the text is cut", () => {
  const text =
    "retry: 1\r\n\r\nevent: put\r\nid: 1\r\ndata: é☃\r\n\r\n:x\rdata: y\r\rdata\n\nid\ndata:z\n\n";
  const whole = read(text);
  assertEquals(whole.length, 4);
  assertEquals(read(...text), whole);
  const random = new SeededRandom(5);
  for (let round = 0; round < 300; round++) {
    const pieces: string[] = [];
    for (let at = 0; at < text.length;) {
      const length = randomBelow(random, 9);
      pieces.push(text.slice(at, at + length));
      at += length;
    }
    assertEquals(read(...pieces), whole, JSON.stringify(pieces));
  }
});
