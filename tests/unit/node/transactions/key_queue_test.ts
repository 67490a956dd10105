import { assertEquals } from "@std/assert";
import { CALLER } from "../../../../shared/wire/caller.ts";
import type { Reply } from "../../../../shared/wire/messages.ts";
import { KeyOrder } from "../../../../node/transactions/key_order.ts";
import { KeyQueue } from "../../../../node/transactions/key_queue.ts";

class Bench {
  nowMs = 0;
  readonly held = new Set<string>();
  readonly ran: string[] = [];
  readonly queue = new KeyQueue(() => this.nowMs, (key) => this.held.has(key));

  add(name: string, keys: string[], more: object = {}): void {
    const fail = (reply: Reply) =>
      this.ran.push(`${name} ${reply.req_type === "error" ? reply.code : ""}`);
    this.queue.add(keys, { timeout_ms: 100, ...more }, fail, ({ timeout_ms }) => {
      this.ran.push(`${name} ${timeout_ms}`);
    });
  }

  free(...keys: string[]): void {
    for (const key of keys) this.held.delete(key);
    this.queue.wake(keys);
    this.runAll();
  }

  runAll(): void {
    for (let next = this.queue.takeReleased(); next; next = this.queue.takeReleased()) next.run();
  }
}

Deno.test("KeyQueue: requests for a key go on in their order, those for other keys do not wait", () => {
  const bench = new Bench();
  bench.held.add("a").add("b");
  assertEquals([bench.queue.isBusy(["a"]), bench.queue.isBusy(["c"])], [true, false]);
  bench.add("1", ["a"]);
  bench.add("2", ["a", "b"]);
  bench.add("3", ["a"]);
  bench.add("4", ["b"]);
  bench.nowMs = 30;
  bench.free("a");
  assertEquals(bench.ran, ["1 70"]);
  assertEquals(bench.queue.isBusy(["a"]), true, "others wait for it");
  bench.free("b");
  assertEquals(bench.ran, ["1 70", "2 70", "3 70", "4 70"]);
  assertEquals([bench.queue.size, bench.queue.isBusy(["a", "b"])], [0, false]);
});

Deno.test("KeyQueue: the one that runs is not held up by those behind it", () => {
  const bench = new Bench();
  bench.held.add("a");
  const seen: boolean[] = [];
  bench.queue.add(["a"], {}, () => {}, () => seen.push(bench.queue.isBusy(["a"])));
  bench.add("2", ["a"]);
  bench.free("a");
  assertEquals(seen, [false]);
  assertEquals(bench.ran, ["2 100"]);
});

Deno.test("KeyQueue: a request waits to its deadline, or until its caller is gone", () => {
  const bench = new Bench();
  bench.held.add("a");
  const caller = { closed: false, heavy: false };
  bench.add("late", ["a"], { timeout_ms: 10 });
  bench.add("gone", ["a"], { [CALLER]: caller });
  bench.add("stays", ["a"]);
  caller.closed = true;
  bench.nowMs = 20;
  bench.queue.expire(bench.nowMs);
  assertEquals(bench.ran, ["late timeout", "gone timeout"]);
  bench.free("a");
  assertEquals(bench.ran.slice(2), ["stays 80"]);
});

Deno.test("KeyQueue: all are told when the partition has another primary", () => {
  const bench = new Bench();
  bench.held.add("a");
  bench.add("1", ["a"]);
  bench.add("2", ["a"]);
  bench.queue.failAll({ req_type: "error", code: "not_primary", message: "" });
  assertEquals(bench.ran, ["1 not_primary", "2 not_primary"]);
  assertEquals(bench.queue.size, 0);
});

Deno.test("KeyOrder: each comes when it is the first for all of its keys", () => {
  const order = new KeyOrder<{ name: string; keys: string[] }>();
  const [ab, b, bc, c] = [["a", "b"], ["b"], ["b", "c"], ["c"]].map((keys) => ({
    name: keys.join(""),
    keys,
  }));
  const one = (is: typeof ab) => is ?? { name: "", keys: [] };
  assertEquals([ab, b, bc, c].map((is) => order.join(one(is))), [true, false, false, false]);
  const names = (list: { name: string }[]) => list.map(({ name }) => name);
  assertEquals(names(order.leave(one(c))), []);
  assertEquals(names(order.leave(one(ab))), ["b"]);
  assertEquals(names(order.leave(one(b))), ["bc"]);
  assertEquals(names(order.leave(one(bc))), []);
});
