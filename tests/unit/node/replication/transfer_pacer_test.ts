import { assertAlmostEquals, assertEquals } from "@std/assert";
import { TRANSFER_PIECE_MS_MAX } from "../../../../shared/limits/replication.ts";
import { TransferPacer } from "../../../../node/replication/transfer_pacer.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

function makePacer() {
  const clock = new ManualClock();
  clock.advance(10_000);
  const pacer = new TransferPacer(clock);
  const begin = clock.monotonicMs();
  const sent: [name: string, atMs: number][] = [];
  const pace = (name: string) =>
    pacer.pace(() => sent.push([name, Math.round(clock.monotonicMs() - begin)]));
  const learn = (ms: number) => {
    for (let i = 0; i < 200; i++) pacer.written("n1", ms);
  };
  return { clock, pacer, pace, learn, sent };
}

Deno.test("TransferPacer: the first piece goes at once, the next after a rest as long as a piece takes", () => {
  const { clock, learn, pace, sent } = makePacer();
  learn(100);
  for (const name of ["a", "b", "c"]) pace(name);
  assertEquals(sent, [["a", 0]]);
  clock.advance(1_000);
  assertEquals(sent, [["a", 0], ["b", 200], ["c", 400]]);
});

Deno.test("TransferPacer: time in which nothing was to be sent is not saved up", () => {
  const { clock, learn, pace, sent } = makePacer();
  learn(100);
  clock.advance(60_000);
  for (const name of ["a", "b", "c"]) pace(name);
  assertEquals(sent, [["a", 60_000]]);
  clock.advance(399);
  assertEquals(sent.length, 2);
});

Deno.test("TransferPacer: pieces that take longer are sent more seldom, and again more often", () => {
  const { clock, learn, pace, sent } = makePacer();
  const gap = () => {
    const count = sent.length;
    pace("a");
    pace("b");
    clock.advance(10_000);
    const [[, first] = ["", 0], [, second] = ["", 0]] = sent.slice(count);
    return second - first;
  };
  learn(5);
  assertAlmostEquals(gap(), 10, 1);
  learn(250);
  assertAlmostEquals(gap(), 500, 1);
  learn(5);
  assertAlmostEquals(gap(), 10, 1);
});

Deno.test("TransferPacer: one slow piece alone does not stop the others", () => {
  const { clock, pacer, learn, pace, sent } = makePacer();
  learn(8);
  pacer.written("n1", 60_000);
  pace("a");
  pace("b");
  clock.advance(2 * (TRANSFER_PIECE_MS_MAX / 8 + 8));
  assertEquals(sent.map(([name]) => name), ["a", "b"]);
});

Deno.test("TransferPacer: a long way is no load: the network's time does not count", () => {
  const { clock, pacer, pace, sent } = makePacer();
  pacer.answered("n1", 300);
  pacer.answered("n1", 100);
  pacer.answered("n1", 200);
  for (let i = 0; i < 200; i++) pacer.written("n1", 110);
  pace("a");
  pace("b");
  clock.advance(1_000);
  assertEquals(sent, [["a", 0], ["b", 20]]);
});

Deno.test("TransferPacer.close: what rests is not sent any more", () => {
  const { clock, pacer, learn, pace, sent } = makePacer();
  learn(100);
  for (const name of ["a", "b"]) pace(name);
  pacer.close();
  clock.advance(1_000);
  assertEquals(sent, [["a", 0]]);
});
