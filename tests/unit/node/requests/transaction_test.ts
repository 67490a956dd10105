import { assert, assertEquals } from "@std/assert";
import { decodeMessage } from "../../../../shared/wire/codec.ts";
import { VALUE_BYTES_MAX } from "../../../../shared/limits/wire.ts";
import type { Message, PlainRequest, Reply } from "../../../../shared/wire/messages.ts";
import { checkKeyRequest } from "../../../../shared/validation/request_checks.ts";
import { onlyReads } from "../../../../shared/operations/repeat.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { wireForm } from "../../../../shared/wire/wire_form.ts";
import { get, NodeCluster, put } from "../../../support/worlds/node_cluster.ts";

async function startCluster(nodes: number, partitions = 1): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes, partitions });
  await cluster.startAll();
  return cluster;
}

function transaction(
  requests: PlainRequest[],
  more: Partial<Message<"transaction">> = {},
): Message<"transaction"> {
  return { req_type: "transaction", key: requests[0]?.key ?? "a", requests, ...more };
}

function code(reply: Reply | undefined): string | undefined {
  return reply?.req_type === "error" ? reply.code : undefined;
}

/** What each request of a transaction was answered, in short. */
function answers(reply: Reply): unknown[] {
  assert(reply.req_type === "result", JSON.stringify(reply));
  return (reply.result as Reply[]).map(wireForm).map((one) => {
    switch (one.req_type) {
      case "data":
        return one.message;
      case "error":
        return one.code;
      case "result":
        return one.result;
      default:
        return one.req_type === "ack" ? one.version : one.req_type;
    }
  });
}

Deno.test("transaction: requests see those before them, and one that fails stops no other", async () => {
  const cluster = await startCluster(2);
  await cluster.ask("n1", put("text", "x"));
  const reply = await cluster.ask(
    "n1",
    transaction([
      put("a", "1"),
      { req_type: "increment", key: "a", by: "41" },
      { req_type: "increment", key: "text" },
      get("a"),
      { req_type: "create", key: "a", value: "no" },
      { req_type: "delete", key: "text" },
      get("text"),
      { req_type: "delete", key: "text" },
      { req_type: "exists", key: "a" },
      { req_type: "put", key: "a", value: "z", if_version: 3 },
    ]),
  );
  assertEquals(answers(reply), [
    2,
    "42",
    "not_an_integer",
    "42",
    "exists",
    4,
    "not_found",
    "not_found",
    true,
    5,
  ]);
  assert(reply.req_type === "result");
  assertEquals(reply.version, 5);
  const found = await cluster.ask("n1", get("a"));
  assert(found.req_type === "data");
  assertEquals([found.message, found.version], ["z", 5]);
  await cluster.run(200);
  assertEquals(await cluster.contents("n2"), { a: "z" });
});

Deno.test("transaction: one whose checks fail does nothing, and names the key", async () => {
  const cluster = await startCluster(2);
  await cluster.ask("n1", put("a", "1"));
  await cluster.ask("n1", put("b", "1"));
  const requests = [put("a", "2"), put("c", "2")];
  const refused = await cluster.ask("n1", transaction(requests, { checks: [["a", 1], ["b", 1]] }));
  assert(refused.req_type === "error");
  assertEquals(refused.code, "version_mismatch");
  assertEquals(refused.detail, { key: "b", version: 2 });
  assertEquals(await cluster.contents("n1"), { a: "1", b: "1" });
  const there = await cluster.ask("n1", transaction(requests, { checks: [["c", 3]] }));
  assertEquals((there as Message<"error">).detail, { key: "c", version: 0 });
  const checks: [string, number][] = [["a", 1], ["b", 2], ["c", 0]];
  assertEquals(answers(await cluster.ask("n1", transaction(requests, { checks }))), [3, 4]);
  assertEquals(await cluster.contents("n2"), { a: "2", b: "1", c: "2" });
});

Deno.test("transaction: one that only reads waits for all that it saw, and writes nothing", async () => {
  const cluster = await startCluster(2);
  const node = cluster.node("n1");
  const replies: unknown[] = [];
  node.execute(put("a", "1"), (reply) => replies.push(reply.req_type));
  node.execute(put("b", "1"), (reply) => replies.push(reply.req_type));
  const reads = transaction([get("a"), get("none")]);
  assertEquals(onlyReads(reads), true);
  node.execute(reads, (reply) => replies.push(answers(reply)));
  const refused = transaction([put("c", "1")], { checks: [["b", 7]] });
  node.execute(refused, (reply) => replies.push(code(reply)));
  assertEquals(replies, []);
  await cluster.run(100);
  assertEquals(replies, ["ack", "ack", ["1", "not_found"], "version_mismatch"]);
  assertEquals(node.partition(0)?.store.state.lastSeq, 2);
});

Deno.test("transaction: without a lease its reads need the replicas' confirmation", async () => {
  const cluster = await startCluster(2);
  await cluster.ask("n1", put("a", "1"));
  cluster.coordinatorUp = false;
  await cluster.run(2_000);
  assertEquals(cluster.node("n1").hasLease, false);
  assertEquals(answers(await cluster.ask("n1", transaction([get("a")]))), ["1"]);
  // A refusal is a read as well: one that nobody confirms does not leave.
  cluster.crash("n2");
  let answer: Reply | undefined;
  const refused = transaction([put("a", "2")], { checks: [["a", 9]], timeout_ms: 500 });
  cluster.node("n1").execute(refused, (reply) => answer = reply);
  await cluster.run(1_000);
  assertEquals(code(answer), "timeout");
});

Deno.test("transaction: keys that have expired are deleted, whatever else comes of it", async () => {
  const cluster = await startCluster(2);
  const expiring = { ...put("old", "1"), ttl_ms: 1_000 };
  await cluster.ask("n1", expiring);
  await cluster.ask("n1", { ...expiring, key: "old2" });
  await cluster.run(1_000);
  const reads = await cluster.ask("n1", transaction([get("old")]));
  assertEquals(answers(reads), ["not_found"]);
  const refused = transaction([get("old2")], { checks: [["old2", 2]] });
  assertEquals(code(await cluster.ask("n1", refused)), "version_mismatch");
  assertEquals(await cluster.contents("n2"), {});
  // Deleted first, then written: each has its seq.
  await cluster.ask("n1", expiring);
  await cluster.run(1_000);
  const reply = await cluster.ask(
    "n1",
    transaction([{ req_type: "increment", key: "old" }, get("old")]),
  );
  assertEquals(answers(reply), ["1", "1"]);
  assertEquals((reply as Message<"result">).version, 7);
  assertEquals(await cluster.contents("n2"), { old: "1" });
});

Deno.test("transaction: in a client session it is done once, through a failover as well", async () => {
  const cluster = await startCluster(3);
  const pay = (op: number, more = {}) =>
    transaction([
      { req_type: "increment", key: "from", by: "-5" },
      { req_type: "increment", key: "to", by: "5" },
    ], { session: "l", request_number: op, ...more });
  const first = await cluster.ask("n1", pay(1));
  assertEquals(answers(first), ["-5", "5"]);
  assertEquals(await cluster.ask("n1", pay(1)), first);
  cluster.crash("n1");
  cluster.fail("n1");
  await cluster.run(100);
  assertEquals(await cluster.ask("n2", pay(1, { again: true })), first);
  assertEquals(answers(await cluster.ask("n2", pay(2))), ["-10", "10"]);
  assertEquals(code(await cluster.ask("n2", pay(1))), "bad_request");
  // What is refused to a later attempt is refused to the first one, when it comes at last.
  const refused = await cluster.ask("n2", pay(3, { again: true, checks: [["none", 1]] }));
  assertEquals(code(refused), "version_mismatch");
  assertEquals(code(await cluster.ask("n2", pay(3))), "version_mismatch");
});

Deno.test("transaction: no reader ever finds a part of one", async () => {
  const cluster = await startCluster(3);
  const node = cluster.node("n1");
  const seen: unknown[][] = [];
  let written = 0;
  for (let i = 0; i < 200; i++) {
    const pair = transaction([put("a", `${i}`), put("b", `${i}`)]);
    node.execute(pair, () => written++);
    node.execute(transaction([get("b"), get("a")]), (reply) => seen.push(answers(reply)));
    if (i % 7 === 0) await cluster.run(1);
  }
  await cluster.run(500);
  assertEquals([written, seen.length], [200, 200]);
  for (const [b, a] of seen) assertEquals(a, b);
});

Deno.test("transaction: one that is too large in what it writes or answers does nothing", async () => {
  const cluster = await startCluster(2);
  const large = "x".repeat(VALUE_BYTES_MAX);
  await cluster.ask("n1", put("large", large));
  const reads = transaction([get("large"), get("large")]);
  assertEquals(code(await cluster.ask("n1", reads)), "transaction_too_large");
  const appends = transaction([
    put("small", "1"),
    put("a", large),
    put("b", large),
  ]);
  assertEquals(code(await cluster.ask("n1", appends)), "transaction_too_large");
  // Its writes are within the bound, and do not fit into one message to a replica.
  const part = large.slice(0, 7 << 20);
  const group = transaction([put("a", part), put("b", part)], { session: "l", request_number: 1 });
  assertEquals(code(await cluster.ask("n1", group)), "transaction_too_large");
  assertEquals(Object.keys(await cluster.contents("n1")), ["large"]);
  // What it answers is not written down.
  const deduplicated = { session: "l", request_number: 2 };
  const one = await cluster.ask("n1", transaction([put("a", large), get("large")], deduplicated));
  assertEquals(answers(one).length, 2);
});

const WRONG: [string, object, string][] = [
  ["a transaction inside", { req_type: "transaction", key: "a", requests: [] }, "bad_request"],
  ["a read that may be old", { ...get("a"), consistency: "replica" }, "bad_request"],
  ["a client session inside", { ...put("a", "1"), session: "l", request_number: 1 }, "bad_request"],
  ["acks inside", { ...put("a", "1"), acks: "primary" }, "bad_request"],
  ["an empty key", { ...put("", "1") }, "bad_request"],
  ["a long key", { ...put("k".repeat(3_000), "1") }, "key_too_large"],
  ["a long value", { ...put("k", "v".repeat(VALUE_BYTES_MAX + 1)) }, "value_too_large"],
  ["no value", { req_type: "put", key: "a" }, "bad_request"],
];

for (const [name, inner, wanted] of WRONG) {
  Deno.test(`checkKeyRequest: refuses a transaction with ${name}`, () => {
    try {
      checkKeyRequest(transaction([put("a", "1"), inner as PlainRequest]));
    } catch (error) {
      assert(error instanceof KvError);
      assertEquals(error.code, wanted);
      assert(error.message.includes("requests[1]"), error.message);
      return;
    }
    throw new Error("it was let through");
  });
}

function decode(message: object): Message | KvError {
  let error: KvError | undefined;
  const decoded = decodeMessage(JSON.stringify(message), (why) => error = why);
  const result = decoded ?? error;
  assert(result !== undefined);
  return result;
}

Deno.test("decodeMessage: looks into a transaction's requests", () => {
  const good = decode({
    ...transaction([{ ...put("a", "1"), acks: null } as unknown as PlainRequest]),
    id: 7,
  });
  assertEquals(good, {
    req_type: "transaction",
    key: "a",
    requests: [{ req_type: "put", key: "a", value: "1" }],
    id: 7,
  } as unknown as Message);
  for (
    const inner of [
      7,
      null,
      [],
      {},
      { req_type: "put", key: 7 },
      { req_type: "hello", protocol: 1, role: "client" },
      { req_type: "nonsense" },
      { req_type: "transaction", key: "a", requests: [] },
    ]
  ) {
    const wrong = decode({ req_type: "transaction", key: "a", requests: [put("a", "1"), inner] });
    assert(wrong instanceof KvError, JSON.stringify(inner));
    assertEquals(wrong.code, "bad_request");
    assert(wrong.message.includes("requests[1]"), wrong.message);
  }
  const many = decode(transaction(Array.from({ length: 1_001 }, () => get("a"))));
  assert(many instanceof KvError && many.code === "transaction_too_large");
});
