/**
 * Transactions and batches against real processes, with a primary killed in the middle.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { SystemClock } from "../../../shared/platform/clock.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { judgeAtomic } from "../../simulation/checkers/atomic_checker.ts";
import { groupKeys } from "../../simulation/checkers/atomic_history.ts";
import { AtomicWorkload } from "../../simulation/workload/atomic_workload.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { LineClient } from "../../support/clients/line_client.ts";

Deno.test("cluster: transactions stay whole while their primary is killed and comes back", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  const kvs = await Promise.all([1, 2, 3].map(() => cluster.connect()));
  const clock = new SystemClock();
  const clients = kvs.map((kv, i) => ({
    name: `c${i}`,
    kv,
    clock,
    concurrency: 1,
    gateway: false,
  }));
  const workload = new AtomicWorkload(
    { random: new SeededRandom(7), nowMs: () => performance.now() },
    clients,
    // Longer than any failover on a loaded machine.
    { groups: 3, pauseMsMax: 4, timeoutMsMin: 60_000, timeoutMsMax: 60_000 },
  );
  const { calls } = workload;
  const ended = (count: number) =>
    cluster.poll(`${count} transactions`, () => {
      const done = calls.filter(({ outcome }) => outcome === "ok").length;
      return Promise.resolve(done >= count ? true : undefined);
    });
  workload.start();
  await ended(150);
  const victim = await cluster.primaryOf(groupKeys(0).log);
  await cluster.crash(victim);
  await ended(calls.length + 150);
  await cluster.restart(victim);
  await cluster.whole({ nodes: 3 });
  await ended(calls.length + 50);
  await workload.stop();
  assertEquals(await workload.lookAtAll(), true);
  assertEquals(judgeAtomic(calls), undefined);
  // In a client session each is repeated until its outcome is known.
  assertEquals(calls.filter(({ code }) => code !== undefined), []);
  assert(calls.some(({ outcome }) => outcome === "refused"), "no check has ever failed");
  for (const kv of kvs) kv.close();
});

Deno.test("cluster: many keys and batches, at a node, at the coordinator and in the library", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await using kv = await cluster.connect();
  const entries = Array.from({ length: 1_000 }, (_, i) => [`k${i}`, `v${i}`] as const);
  const put = await kv.putMany(entries);
  assertEquals(put.filter(({ ok }) => !ok), []);
  const got = await kv.getMany([...entries.map(([key]) => key), "none"]);
  const text = new TextDecoder();
  assertEquals(
    got.map((result) => result.ok && result.value && text.decode(result.value.value)),
    [...entries.map(([, value]) => value), undefined],
  );
  const requests = [
    { req_type: "get", key: "k1" },
    { req_type: "get", key: "k2", consistency: 7 },
    { req_type: "put", key: "new", value: "1" },
    { req_type: "get", key: "none" },
    { req_type: "transaction", key: "{a}1", requests: [{ req_type: "get", key: "{b}1" }] },
    {
      req_type: "transaction",
      key: "{a}1",
      requests: [{ req_type: "increment", key: "{a}1" }, { req_type: "get", key: "{a}1" }],
    },
  ];
  for (const [n, address] of [cluster.nodeAddress(0), cluster.coordinatorAddress].entries()) {
    using line = await LineClient.connect(address);
    const reply = await line.ask({ id: 1, req_type: "batch", requests });
    const results = reply.result as Record<string, unknown>[];
    assertEquals(
      results.map((one) => one.code ?? one.message ?? one.req_type),
      ["v1", "bad_request", "success", "not_found", "result", "result"],
    );
    const [sum, found] = results[5]?.result as Record<string, unknown>[];
    assertEquals([sum?.result, found?.message], [String(n + 1), String(n + 1)]);
  }
  const deleted = await kv.deleteMany(["k1", "none"]);
  assertEquals(deleted.map((result) => result.ok && result.value), [true, false]);
});
