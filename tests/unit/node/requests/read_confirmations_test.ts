import { assertEquals } from "@std/assert";
import {
  type ConfirmedPrimary,
  ReadConfirmations,
} from "../../../../node/requests/read_confirmations.ts";
import type { NodeId } from "../../../../shared/cluster/cluster_map.ts";
import { CONFIRM_TIMEOUT_MS } from "../../../../shared/limits/replication.ts";
import type { Message } from "../../../../shared/wire/messages.ts";

/** A primary with reads that wait; it asks again by itself after a round that failed, if told to. */
class FakePrimary implements ConfirmedPrimary {
  readonly config;
  /** Reads that wait, and how each round ended. */
  waiting = 1;
  readonly ends: boolean[] = [];
  targets: NodeId[];

  constructor(term: number, targets: NodeId[]) {
    this.config = { term, primary: "me", inSync: ["me", ...targets], learners: [] };
    this.targets = targets;
  }

  beginConfirmation(): boolean {
    return this.waiting > 0;
  }

  confirmTargets(): NodeId[] {
    return this.targets;
  }

  endConfirmation(confirmed: boolean): void {
    this.ends.push(confirmed);
  }
}

class Bench {
  readonly primaries = new Map<number, FakePrimary>();
  readonly asked: [node: NodeId, message: Message<"confirm">][] = [];
  nowMs = 0;
  #deferred: (() => void)[] = [];
  readonly confirmations = new ReadConfirmations({
    nowMs: () => this.nowMs,
    defer: (callback) => this.#deferred.push(callback),
    primary: (partition) => this.primaries.get(partition),
    ask: (node, message) => this.asked.push([node, message]),
  });

  add(partition: number, term: number, targets: NodeId[]): FakePrimary {
    const primary = new FakePrimary(term, targets);
    this.primaries.set(partition, primary);
    return primary;
  }

  /** These have reads that wait; then the turn ends. */
  want(...partitions: number[]): void {
    for (const partition of partitions) this.confirmations.want(partition);
    this.turn();
  }

  turn(): void {
    for (const callback of this.#deferred.splice(0)) callback();
  }

  /** Takes the questions so far: node, round, parts. */
  take(): [node: NodeId, round: number, parts: unknown][] {
    return this.asked.splice(0).map(([node, { round, parts }]) => [node, round, parts]);
  }

  answer(from: NodeId, round: number, refused: number[] = []): void {
    this.confirmations.onConfirmed({ req_type: "confirmed", round, refused }, from);
  }
}

Deno.test("ReadConfirmations: asks each peer one question for all partitions of a turn", () => {
  const bench = new Bench();
  bench.add(1, 5, ["a", "b"]);
  bench.add(2, 6, ["b"]);
  bench.confirmations.want(1);
  bench.confirmations.want(2);
  bench.confirmations.want(1);
  assertEquals(bench.take(), [], "not before the turn ends");
  bench.turn();
  assertEquals(bench.take(), [["a", 1, [[1, 5]]], ["b", 1, [[1, 5], [2, 6]]]]);
});

Deno.test("ReadConfirmations: a partition is confirmed when all that must have confirmed", () => {
  const bench = new Bench();
  const [one, two] = [bench.add(1, 5, ["a", "b"]), bench.add(2, 6, ["b"])];
  bench.want(1, 2);
  bench.answer("b", 1);
  assertEquals([one.ends, two.ends], [[], [true]]);
  bench.answer("b", 1);
  assertEquals(one.ends, [], "an answer counts once");
  bench.answer("a", 1);
  assertEquals([one.ends, two.ends], [[true], [true]]);
});

Deno.test("ReadConfirmations: one refusal ends that partition's round, and no other's", () => {
  const bench = new Bench();
  const [one, two] = [bench.add(1, 5, ["a", "b"]), bench.add(2, 6, ["a"])];
  bench.want(1, 2);
  bench.answer("a", 1, [1]);
  assertEquals([one.ends, two.ends], [[false], [true]]);
  bench.answer("b", 1);
  assertEquals(one.ends, [false], "what comes later is of no use");
});

Deno.test("ReadConfirmations: who was not asked cannot answer, nor can an old round", () => {
  const bench = new Bench();
  const one = bench.add(1, 5, ["a"]);
  bench.want(1);
  bench.answer("stranger", 1);
  bench.answer("a", 99);
  assertEquals(one.ends, []);
  bench.answer("a", 1);
  bench.want(1);
  bench.answer("a", 1);
  assertEquals(one.ends, [true], "the second round has a question of its own");
  bench.answer("a", 2);
  assertEquals(one.ends, [true, true]);
});

Deno.test("ReadConfirmations: a partition with a question under way asks no second one", () => {
  const bench = new Bench();
  bench.add(1, 5, ["a"]);
  bench.want(1);
  bench.want(1);
  assertEquals(bench.take().length, 1);
  bench.answer("a", 1);
  bench.want(1);
  assertEquals(bench.take(), [["a", 2, [[1, 5]]]]);
});

Deno.test("ReadConfirmations: without replicas that must confirm, the answer is there at once", () => {
  const bench = new Bench();
  const alone = bench.add(1, 5, []);
  bench.want(1);
  assertEquals([alone.ends, bench.take()], [[true], []]);
});

Deno.test("ReadConfirmations: asks nothing if no read waits, or nobody is primary any more", () => {
  const bench = new Bench();
  bench.add(1, 5, ["a"]).waiting = 0;
  bench.want(1, 2);
  assertEquals(bench.take(), []);
});

Deno.test("ReadConfirmations.tick: gives up after a while, and the next question is a new one", () => {
  const bench = new Bench();
  const one = bench.add(1, 5, ["a", "b"]);
  bench.want(1);
  bench.answer("a", 1);
  bench.nowMs = CONFIRM_TIMEOUT_MS - 1;
  bench.confirmations.tick(bench.nowMs);
  assertEquals(one.ends, []);
  bench.nowMs = CONFIRM_TIMEOUT_MS;
  bench.confirmations.tick(bench.nowMs);
  assertEquals(one.ends, [false]);
  bench.take();
  bench.want(1);
  assertEquals(bench.take(), [["a", 2, [[1, 5]]], ["b", 2, [[1, 5]]]]);
  bench.answer("b", 1);
  bench.answer("a", 2);
  assertEquals(one.ends, [false], "b has not answered the second question");
  bench.answer("b", 2);
  assertEquals(one.ends, [false, true]);
});

Deno.test("ReadConfirmations: an answer for a primary that is gone says nothing to its successor", () => {
  const bench = new Bench();
  const before = bench.add(1, 5, ["a"]);
  bench.want(1);
  const after = bench.add(1, 7, ["a"]);
  bench.answer("a", 1);
  assertEquals([before.ends, after.ends], [[], []]);
});
