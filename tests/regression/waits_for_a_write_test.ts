/**
 * What waited for a write to commit had no deadline and no bound: reads of its key, refusals based on it,
 * scans and backups. With the coordinator away and one replica silent, requests had no answer for as long as
 * that lasted, and everything asked in the meantime was kept. Found by a review.
 */
import { assertEquals } from "@std/assert";
import { WAITING_REQUESTS_MAX } from "../../shared/limits/replication.ts";
import { PartitionSet } from "../../shared/cluster/partition_set.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

const TIMEOUT = { timeout_ms: 1_000 };
const INCREMENT: KeyRequest = {
  req_type: "increment",
  key: "k",
  session: "l",
  request_number: 1,
  ...TIMEOUT,
};

/** A replica falls silent while the coordinator is away: a write of "k" waits until it is back. */
async function startWithWriteUnderWay(): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  cluster.coordinatorUp = false;
  cluster.network.cut("n1", "n2");
  cluster.node("n1").execute(INCREMENT, () => {});
  await cluster.run(100);
  return cluster;
}

function codesOf(replies: readonly Reply[]): Record<string, number> {
  const codes: Record<string, number> = {};
  for (const reply of replies) {
    const code = reply.req_type === "error" ? reply.code : reply.req_type;
    codes[code] = (codes[code] ?? 0) + 1;
  }
  return codes;
}

for (
  const request of [
    { ...get("k"), ...TIMEOUT },
    { req_type: "create", key: "k", value: "x", ...TIMEOUT },
    { req_type: "transaction", key: "k", requests: [get("k")], ...TIMEOUT },
  ] as KeyRequest[]
) {
  Deno.test(`a ${request.req_type} of a key whose write does not commit ends by its deadline`, async () => {
    const cluster = await startWithWriteUnderWay();
    const replies: Reply[] = [];
    for (let i = 0; i < 20_000; i++) cluster.node("n1").execute(request, (r) => replies.push(r));
    assertEquals(codesOf(replies), { overloaded: 20_000 - WAITING_REQUESTS_MAX });
    assertEquals(cluster.node("n1").partition(0)?.primary?.waitingCount, WAITING_REQUESTS_MAX);
    await cluster.run(1_200);
    assertEquals(codesOf(replies), {
      overloaded: 20_000 - WAITING_REQUESTS_MAX,
      timeout: WAITING_REQUESTS_MAX,
    });
    assertEquals(cluster.node("n1").partition(0)?.primary?.waitingCount, 0);
  });
}

Deno.test("scans and backups that wait for a write end by their deadline", async () => {
  const cluster = await startWithWriteUnderWay();
  const replies: Reply[] = [];
  const node = cluster.node("n1");
  const { partitionCount } = cluster.map.settings;
  const scan = { partitions: PartitionSet.all(partitionCount), limit: 10 };
  let covered: number | undefined;
  node.scans.scan(scan, TIMEOUT.timeout_ms, (page) => {
    if (!("req_type" in page)) covered = page.covered.size;
  });
  node.backupPartition({ req_type: "backup_partition", partition: 0, ...TIMEOUT }, (reply) => {
    replies.push(reply);
  });
  await cluster.run(1_200);
  assertEquals(codesOf(replies), { timeout: 1 });
  assertEquals(covered, 0, "the page speaks for no partition");
});

Deno.test("a request that comes again in its client session may have happened, also if nobody can tell yet", async () => {
  const cluster = await startWithWriteUnderWay();
  const replies: Reply[] = [];
  cluster.node("n1").execute(INCREMENT, (reply) => replies.push(reply));
  cluster.node("n1").execute({ ...INCREMENT, again: true } as KeyRequest, (reply) => {
    replies.push(reply);
  });
  await cluster.run(1_200);
  assertEquals(codesOf(replies), { outcome_unknown: 2 });
});

Deno.test("what has waited for the partition waits for a write no longer than is left to it", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  const { primary } = cluster.node("n1").partition(0) ?? {};
  cluster.coordinatorUp = false;
  primary?.drain(1, "n2");
  assertEquals(primary?.phase, "drained");
  const replies: Reply[] = [];
  const ask = (request: KeyRequest) => {
    cluster.node("n1").execute(request, (reply) => replies.push(reply));
  };
  ask({ ...put("k", "1"), timeout_ms: 2_500 });
  ask({ ...get("k"), timeout_ms: 2_500 });
  await cluster.run(1_000);
  cluster.network.cut("n1", "n2");
  // It goes on after two seconds.
  await cluster.run(1_300);
  assertEquals([primary?.phase, replies], ["serving", []]);
  await cluster.run(400);
  assertEquals(codesOf(replies), { outcome_unknown: 1, timeout: 1 });
});

Deno.test("what waited for a write goes on when that is committed", async () => {
  const cluster = await startWithWriteUnderWay();
  const replies: Reply[] = [];
  cluster.node("n1").execute({ ...get("k"), timeout_ms: 5_000 }, (reply) => replies.push(reply));
  await cluster.run(1_200);
  cluster.network.heal("n1", "n2");
  await cluster.run(2_000);
  assertEquals(codesOf(replies), { data: 1 });
  assertEquals(cluster.node("n1").partition(0)?.primary?.waitingCount, 0);
});
