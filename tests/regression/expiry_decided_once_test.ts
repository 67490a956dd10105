/**
 * With fewer replicas in sync than `--min-in-sync`, or with a full queue of writes, a reader of an expired key
 * was told that it is gone, and nobody deleted it: a later primary whose clock was behind gave it back,
 * against W7 of docs/replication.md. Found by a review.
 */
import { assertEquals, assertExists } from "@std/assert";
import { IN_FLIGHT_ENTRIES_MAX } from "../../shared/limits/replication.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

/** What a reply says, of a transaction its first. */
function codeOf(reply: Reply): string {
  if (reply.req_type === "result" && Array.isArray(reply.result)) {
    return codeOf(reply.result[0] as Reply);
  }
  return reply.req_type === "error" ? reply.code : reply.req_type;
}

for (
  const request of [
    get("k"),
    { req_type: "transaction", key: "k", requests: [get("k")] },
  ] as KeyRequest[]
) {
  const what = `a key that a ${request.req_type} found expired`;
  Deno.test(`${what} does not come back with a primary whose clock is behind`, async () => {
    const cluster = new NodeCluster({ nodes: 2 });
    cluster.map = { ...cluster.map, settings: { ...cluster.map.settings, minInSync: 2 } };
    await cluster.startAll();
    const expiresAt = cluster.clock.wallMs() + 5_000;
    await cluster.ask("n1", { ...put("k", "1"), expires_at: expiresAt });
    await cluster.run(2_000);
    cluster.network.cut("n1", "n2");
    await cluster.run(100);
    cluster.fail("n2");
    await cluster.run(4_000);
    const first = codeOf(await cluster.ask("n1", request));
    cluster.network.heal("n1", "n2");
    cluster.addLearner("n2");
    await cluster.run(90);
    assertEquals(cluster.config(0).inSync, ["n1", "n2"]);
    // A hand-over to a node whose clock is three seconds behind.
    const { wallMs } = ManualClock.prototype;
    cluster.clock.wallMs = () => wallMs.call(cluster.clock) - 3_000;
    cluster.configure(0, { term: cluster.config(0).term + 1, primary: "n2" });
    assertEquals([first, codeOf(await cluster.ask("n2", request))], ["not_found", "not_found"]);
  });
}

Deno.test("a full queue of writes refuses the reader of an expired key", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", { ...put("k", "1"), ttl_ms: 500 });
  cluster.coordinatorUp = false;
  cluster.network.cut("n1", "n2");
  for (let i = 0; i < IN_FLIGHT_ENTRIES_MAX; i++) {
    cluster.node("n1").execute(put(`w${i}`, "1"), () => {});
  }
  await cluster.run(600);
  assertEquals(codeOf(await cluster.ask("n1", get("k"))), "overloaded");
});

for (
  const request of [
    get("k"),
    { req_type: "transaction", key: "k", requests: [get("k")] },
    { req_type: "update", key: "k", value: "x" },
  ] as KeyRequest[]
) {
  Deno.test(`a ${request.req_type} that waits for a deletion has changed nothing`, async () => {
    const cluster = new NodeCluster({ nodes: 2 });
    await cluster.startAll();
    await cluster.ask("n1", { ...put("k", "1"), ttl_ms: 500 });
    cluster.coordinatorUp = false;
    cluster.network.cut("n1", "n2");
    await cluster.run(600);
    const codes: string[] = [];
    for (const timeout_ms of [500, 5_000]) {
      const timed = { ...request, timeout_ms } as KeyRequest;
      cluster.node("n1").execute(timed, (reply) => codes.push(codeOf(reply)));
    }
    await cluster.run(700);
    assertEquals(codes, ["timeout"]);
    cluster.coordinatorUp = true;
    const { primary } = cluster.node("n1").partition(0) ?? {};
    assertExists(primary);
    cluster.configure(0, { term: 2, primary: "n2" });
    assertEquals(codes, ["timeout", "not_primary"]);
    assertEquals([primary.inFlightCount, primary.waitingCount], [0, 0]);
  });
}
