import { assert, assertEquals } from "@std/assert";
import { VALUE_BYTES_MAX } from "../../../../shared/limits/wire.ts";
import { PartitionSet } from "../../../../shared/cluster/partition_set.ts";
import type { KeyRequest, Reply } from "../../../../shared/wire/messages.ts";
import { get, NodeCluster, put } from "../../../support/worlds/node_cluster.ts";

async function startCluster(nodes: number): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes });
  await cluster.startAll();
  return cluster;
}

function code(reply: Reply): string | undefined {
  return reply.req_type === "error" ? reply.code : undefined;
}

function increment(op: number, again = false): KeyRequest {
  return {
    req_type: "increment",
    key: "n",
    session: "l",
    request_number: op,
    ...(again ? { again } : {}),
  };
}

Deno.test("a key that has expired reads as absent at once, on every replica for good", async () => {
  const cluster = await startCluster(2);
  await cluster.ask("n1", { ...put("a", "1"), ttl_ms: 1_000 });
  const before = await cluster.ask("n1", get("a"));
  assert(before.req_type === "data");
  assertEquals(before.expires_at, (before.timestamp ?? 0) + 1_000);
  await cluster.run(1_000);
  assertEquals(code(await cluster.ask("n1", get("a"))), "not_found");
  assertEquals(
    code(await cluster.ask("n1", { req_type: "update", key: "a", value: "x" })),
    "not_found",
  );
  assertEquals((await cluster.ask("n1", { req_type: "exists", key: "a" })) as unknown, {
    req_type: "result",
    result: false,
  });
  assertEquals(await cluster.contents("n2"), {});
});

Deno.test("what nobody reads is removed in the background when it has expired", async () => {
  const cluster = await startCluster(2);
  for (let i = 0; i < 2_500; i++) {
    const request = { ...put(`k${i}`, "v"), ...(i % 5 === 0 ? {} : { ttl_ms: 2_000 }) };
    cluster.node("n1").execute(request, () => {});
  }
  await cluster.run(1_000);
  assertEquals(cluster.node("n1").partition(0)?.store.state.count, 2_500);
  await cluster.run(12_000);
  for (const id of ["n1", "n2"]) {
    assertEquals(cluster.node(id).partition(0)?.store.state.count, 500, id);
  }
});

Deno.test("a request that comes again in its client session is answered as it was, and not done again", async () => {
  const cluster = await startCluster(2);
  const first = await cluster.ask("n1", increment(1));
  assertEquals(await cluster.ask("n1", increment(1)), first);
  assertEquals(await cluster.ask("n1", increment(1, true)), first);
  const second = await cluster.ask("n1", increment(2));
  assert(second.req_type === "result");
  assertEquals(second.result, "2");
  // The client session has passed it: whoever sent it so late has given it up.
  const late = await cluster.ask("n1", increment(1));
  assert(late.req_type === "error" && late.code === "bad_request");
  assertEquals(
    late.message,
    `increment: "request_number" is 1, and the client session has passed 2`,
  );
  assertEquals(
    code(await cluster.ask("n1", { req_type: "increment", key: "n", session: "l" })),
    "bad_request",
  );
});

Deno.test("a client session is remembered through a failover and a restart of everything", async () => {
  const cluster = await startCluster(3);
  const first = await cluster.ask("n1", increment(1));
  cluster.crash("n1");
  cluster.fail("n1");
  await cluster.run(100);
  assertEquals(await cluster.ask("n2", increment(1, true)), first);
  cluster.crash("n2");
  cluster.crash("n3");
  await cluster.start("n2");
  await cluster.start("n3");
  await cluster.run(200);
  assertEquals(await cluster.ask("n2", increment(1, true)), first);
  assertEquals((await cluster.ask("n2", increment(2)) as { result?: unknown }).result, "2");
});

Deno.test("a refusal of a repeated request holds for the attempt that is still on its way", async () => {
  const cluster = await startCluster(2);
  await cluster.ask("n1", put("k", "there"));
  const create = {
    req_type: "create",
    key: "k",
    value: "v",
    session: "l",
    request_number: 1,
  } as const;
  assertEquals(code(await cluster.ask("n1", { ...create, again: true })), "exists");
  await cluster.ask("n1", { req_type: "delete", key: "k" });
  // The first attempt arrives at last: it must not create what was refused.
  assertEquals(code(await cluster.ask("n1", create)), "exists");
  assertEquals(code(await cluster.ask("n1", get("k"))), "not_found");
});

Deno.test("a refusal that a client session remembers says that no attempt has happened or will", async () => {
  const cluster = await startCluster(2);
  await cluster.ask("n1", put("n", "text"));
  const settled = (reply: Reply) => reply.req_type === "error" && reply.settled === true;
  const first = await cluster.ask("n1", increment(1));
  assertEquals(
    [code(first), settled(first)],
    ["not_an_integer", false],
    "a first attempt's is not",
  );
  for (let i = 0; i < 2; i++) {
    const repeated = await cluster.ask("n1", increment(2, true));
    assertEquals([code(repeated), settled(repeated)], ["not_an_integer", true]);
  }
  await cluster.ask("n1", put("n", "5"));
  assertEquals(code(await cluster.ask("n1", increment(2))), "not_an_integer");
  // The client session tells nothing of a number that it has passed: it may have happened.
  const passed = await cluster.ask("n1", increment(1, true));
  assertEquals([code(passed), settled(passed)], ["bad_request", false]);
});

Deno.test("what does not fit into a message is refused for the attempt on its way as well", async () => {
  const cluster = await startCluster(2);
  const value = "y".repeat(7 << 20);
  const requests = [put("k", value), put("l", value)];
  const large = { req_type: "transaction", key: "k", requests, session: "l", request_number: 1 };
  const repeated = await cluster.ask("n1", { ...large, again: true } as KeyRequest);
  assert(repeated.req_type === "error");
  assertEquals([repeated.code, repeated.settled], ["transaction_too_large", true]);
  assertEquals(code(await cluster.ask("n1", large as KeyRequest)), "transaction_too_large");
  assertEquals(code(await cluster.ask("n1", get("k"))), "not_found");
});

Deno.test("a value is replaced by another of the greatest length, and the one before told", async () => {
  const cluster = await startCluster(2);
  const before = "x".repeat(VALUE_BYTES_MAX);
  await cluster.ask("n1", put("k", before));
  const value = "y".repeat(VALUE_BYTES_MAX);
  const swap = {
    ...put("k", value),
    previous: true,
    session: "l",
    request_number: 1,
  } as KeyRequest;
  const reply = await cluster.ask("n1", swap);
  assert(reply.req_type === "ack" && reply.previous === before);
});

Deno.test("a client session's memory is not among the keys", async () => {
  const cluster = await startCluster(1);
  await cluster.ask("n1", increment(1));
  const partitions = PartitionSet.all(cluster.map.settings.partitionCount);
  let keys: string[] | undefined;
  cluster.node("n1").scans.scan({ partitions, limit: 10 }, 1_000, (page) => {
    if (!("req_type" in page)) keys = page.entries.map(({ key }) => key);
  });
  await cluster.run(50);
  assertEquals(keys, ["n"]);
});

Deno.test("arguments that do not fit are answered when what they were judged by is committed", async () => {
  const cluster = await startCluster(2);
  const replies: unknown[] = [];
  const node = cluster.node("n1");
  node.execute(put("k", "text"), (reply) => replies.push(reply.req_type));
  node.execute({ req_type: "increment", key: "k" }, (reply) => replies.push(code(reply)));
  assertEquals(replies, []);
  await cluster.run(50);
  assertEquals(replies, ["ack", "not_an_integer"]);
});

Deno.test("a client session is not forgotten by a new primary whose date is far ahead (simulation, seed 200046)", async () => {
  const cluster = await startCluster(2);
  const first = await cluster.ask("n1", increment(1));
  cluster.crash("n1");
  cluster.clock.setWall(cluster.clock.wallMs() + 10_000_000);
  cluster.fail("n1");
  await cluster.run(10_000);
  assertEquals(await cluster.ask("n2", increment(1, true)), first);
});
