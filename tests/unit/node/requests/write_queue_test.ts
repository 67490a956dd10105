import { assertEquals } from "@std/assert";
import { ByteBudget } from "../../../../shared/base/byte_budget.ts";
import { WAITING_REQUESTS_MAX } from "../../../../shared/limits/replication.ts";
import type { Reply } from "../../../../shared/wire/messages.ts";
import { errorReply, writeReply } from "../../../../shared/operations/operation.ts";
import { inFlightBytes, WriteQueue } from "../../../../node/requests/write_queue.ts";
import { entry } from "../../../support/doubles/recording_ports.ts";

const NOT_PRIMARY = errorReply("not_primary", "");

function setUp() {
  const log: string[] = [];
  const budget = new ByteBudget(1 << 20);
  const queue = new WriteQueue(budget, () => 0);
  const told = (name: string) => (reply: Reply) =>
    log.push(`${name} ${reply.req_type === "error" ? reply.code : reply.req_type}`);
  const push = (key: string, seq: number, { early = false, timeoutMs = 100 } = {}) => {
    const write = entry(key, seq);
    budget.take(inFlightBytes(write));
    queue.push({
      entry: write,
      reply: told(`${key}@${seq}`),
      answer: writeReply(seq),
      early,
      deadlineMs: timeoutMs,
      waiters: undefined,
      ends: true,
      committed: false,
      next: undefined,
    });
  };
  const wait = (name: string, key: string, timeoutMs = 100) =>
    queue.whenCommitted(
      queue.newest(key),
      { timeout_ms: timeoutMs },
      told(name),
      () => log.push(`${name} goes on`),
    );
  const release = () => {
    for (let next = queue.takeReleased(); next !== undefined; next = queue.takeReleased()) {
      next.run();
    }
  };
  return { log, budget, queue, push, wait, release };
}

Deno.test("WriteQueue.commit: answers in the order of the seqs, and no further than it is told", () => {
  const { log, queue, budget, push } = setUp();
  push("a", 1);
  push("b", 2);
  push("a", 3);
  queue.commit(2);
  assertEquals(log, ["a@1 ack", "b@2 ack"]);
  assertEquals([queue.size, queue.newest("b"), queue.newest("a")?.entry.seq], [1, undefined, 3]);
  queue.commit(3);
  assertEquals([queue.size, queue.last, budget.taken], [0, undefined, 0]);
});

Deno.test("WriteQueue.commit: clients are told something else if their writes are not safe", () => {
  const { log, queue, push } = setUp();
  push("a", 1);
  queue.commit(1, errorReply("outcome_unknown", ""));
  assertEquals(log, ["a@1 outcome_unknown"]);
});

Deno.test("WriteQueue.onDurable: answers those alone that wait for no replica, once", () => {
  const { log, queue, push } = setUp();
  push("a", 1, { early: true });
  push("b", 2);
  push("c", 3, { early: true });
  queue.onDurable(2);
  queue.onDurable(2);
  assertEquals(log, ["a@1 ack"]);
  queue.commit(3);
  assertEquals(log, ["a@1 ack", "b@2 ack", "c@3 ack"]);
});

Deno.test("WriteQueue.whenCommitted: what waits is released with its write, and fails with its deadline", () => {
  const { log, queue, push, wait, release } = setUp();
  push("a", 1);
  wait("read", "a");
  wait("hasty", "a", 10);
  wait("free", "b");
  assertEquals([log, queue.waitingCount], [["free goes on"], 2]);
  queue.expire(10, "too late");
  assertEquals([log.slice(1), queue.waitingCount], [["hasty timeout"], 1]);
  queue.commit(1);
  assertEquals(log.slice(2), ["a@1 ack"]);
  release();
  assertEquals([log.slice(3), queue.waitingCount], [["read goes on"], 0]);
});

Deno.test("WriteQueue.whenCommitted: refuses what would wait beyond the bound", () => {
  const { log, queue, push, wait } = setUp();
  push("a", 1);
  for (let i = 0; i < WAITING_REQUESTS_MAX; i++) wait("read", "a");
  wait("last", "a");
  assertEquals([log, queue.waitingCount], [["last overloaded"], WAITING_REQUESTS_MAX]);
});

Deno.test("WriteQueue.expire: tells a client that the outcome is not known; the write goes on", () => {
  const { log, queue, push } = setUp();
  push("a", 1, { timeoutMs: 10 });
  queue.expire(9, "too late");
  assertEquals(log, []);
  queue.expire(10, "too late");
  queue.commit(1);
  assertEquals(log, ["a@1 outcome_unknown"]);
});

Deno.test("WriteQueue.abandon: writes end unknown, what changed nothing as not_primary, all bytes are given back", () => {
  const { log, queue, budget, push, wait, release } = setUp();
  push("a", 1);
  wait("released", "a");
  queue.commit(1);
  push("a", 2);
  wait("read", "a");
  queue.abandon(NOT_PRIMARY);
  release();
  assertEquals(log.slice(1), ["released not_primary", "a@2 outcome_unknown", "read not_primary"]);
  assertEquals([queue.size, queue.waitingCount, budget.taken], [0, 0, 0]);
});
