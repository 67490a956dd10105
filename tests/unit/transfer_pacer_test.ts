import { assertEquals } from "@std/assert";
import { TransferPacer } from "../../node/transfer_pacer.ts";
import { ManualClock } from "../support/manual_clock.ts";

/** 1 byte a millisecond: bytes are milliseconds. */
const BYTES_PER_SECOND = 1_000;
const BURST = 250;

function makePacer() {
  const clock = new ManualClock();
  clock.advance(10_000);
  const pacer = new TransferPacer(clock, BYTES_PER_SECOND);
  const begin = clock.monotonicMs();
  const sent: [name: string, atMs: number][] = [];
  const send = (name: string, bytes: number) =>
    pacer.pace(bytes, () => sent.push([name, clock.monotonicMs() - begin]));
  return { clock, send, sent };
}

Deno.test("TransferPacer: lets a quarter of a second's worth through at once", () => {
  const { clock, send, sent } = makePacer();
  send("a", BURST - 50);
  send("b", 50);
  assertEquals(sent, [["a", 0], ["b", 0]]);
  send("c", 1);
  assertEquals(sent.length, 2);
  clock.advance(1);
  assertEquals(sent[2], ["c", 1]);
});

Deno.test("TransferPacer: keeps the rate and the order from then on", () => {
  const { clock, send, sent } = makePacer();
  send("burst", BURST);
  for (const name of ["a", "b", "c"]) send(name, 100);
  clock.advance(1_000);
  assertEquals(sent, [["burst", 0], ["a", 100], ["b", 200], ["c", 300]]);
});

Deno.test("TransferPacer: what was not used is kept for a quarter of a second only", () => {
  const { clock, send, sent } = makePacer();
  clock.advance(60_000);
  send("a", BURST);
  send("b", BURST);
  clock.advance(BURST - 1);
  assertEquals(sent.map(([name]) => name), ["a"]);
  clock.advance(1);
  assertEquals(sent.map(([name]) => name), ["a", "b"]);
});

Deno.test("TransferPacer: a piece larger than the rate goes all the same, and is paid for", () => {
  const { clock, send, sent } = makePacer();
  send("large", 5_000);
  send("small", 1);
  clock.advance(5_000 - BURST);
  assertEquals(sent, [["large", 5_000 - BURST]]);
  clock.advance(1);
  assertEquals(sent[1], ["small", 5_001 - BURST]);
});
