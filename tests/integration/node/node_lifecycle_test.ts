/**
 * Real nodes in a real cluster: stopping, leaving for good, passing requests on, refusing what does
 * not belong together.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { NODE } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

/** Puts keys through one node while `during` runs, and gives every reply that was no success. */
async function writeDuring(
  cluster: TestCluster,
  node: number,
  during: () => Promise<void>,
): Promise<{ written: number; failures: unknown[] }> {
  let running = true;
  const failures: unknown[] = [];
  const writing = (async () => {
    let written = 0;
    while (running) {
      const key = `during-${written++}`;
      const reply = await cluster.ask(node, { req_type: "put", key, value: key }, 15_000);
      if (reply.message !== "success") failures.push(reply);
    }
    return written;
  })();
  await during();
  running = false;
  return { written: await writing, failures };
}

Deno.test("kv-node passes on what is not its own, and says who is right when that was done already", async () => {
  await using cluster = await TestCluster.start({ nodes: 2, replicationFactor: 1 });
  for (let i = 0; i < 40; i++) {
    const reply = await cluster.ask(i % 2, { req_type: "put", key: `k${i}`, value: `v${i}` });
    assertEquals(reply.message, "success");
  }
  for (let i = 0; i < 40; i++) {
    const reply = await cluster.ask((i + 1) % 2, { req_type: "get", key: `k${i}` });
    assertEquals(reply.message, `v${i}`);
  }
  const primary = await cluster.primaryOf("k0");
  const request = { req_type: "get", key: "k0", forwarded: true };
  const reply = await cluster.ask(1 - primary, request);
  assertEquals(reply.code, "not_primary");
  const detail = reply.detail as Record<string, unknown>;
  assertEquals(detail.port, cluster.nodeAddress(primary).port);
  const stats = (await cluster.ask(0, { req_type: "stats" })).result as Record<string, number>;
  assert((stats.forwarded ?? 0) > 0);
});

Deno.test("kv-node hands its primaries over on SIGTERM, and takes its place again on its folder", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await cluster.ask(0, { req_type: "put", key: "kept", value: "1" });
  const before = (await cluster.map()).nodes.map(({ id }) => id);
  const { written, failures } = await writeDuring(cluster, 1, async () => {
    assertEquals((await cluster.node(0).stop()).code, 0);
  });
  assert(written > 0);
  assertEquals(failures, []);
  const log = cluster.node(0).log.join("\n");
  assert(!log.includes("not all partitions were handed over"), log);
  const map = await cluster.map();
  assertEquals(map.nodes.map(({ id }) => id), before, "a stop is no departure");

  await cluster.restart(0);
  await cluster.whole({ nodes: 3 });
  assertEquals((await cluster.ask(0, { req_type: "get", key: "kept" })).message, "1");
  const last = await cluster.ask(0, { req_type: "get", key: `during-${written - 1}` });
  assertEquals(last.message, `during-${written - 1}`);
});

Deno.test("kv-node leaves for good on SIGUSR1, and its data is elsewhere before it goes", async () => {
  await using cluster = await TestCluster.start({ nodes: 3, replicationFactor: 2 });
  for (let i = 0; i < 50; i++) {
    await cluster.ask(0, { req_type: "put", key: `k${i}`, value: `v${i}` });
  }
  const leaver = cluster.node(2);
  leaver.signal("SIGUSR1");
  const { code } = await leaver.status;
  assertEquals(code, 0);
  assertStringIncludes(leaver.log.join("\n"), "SIGUSR1: leaving the cluster for good");
  assertStringIncludes(leaver.lastWords(), "left the cluster");
  const map = await cluster.whole({ nodes: 2 });
  assertEquals(map.nodes.length, 2);
  for (let i = 0; i < 50; i++) {
    assertEquals((await cluster.ask(i % 2, { req_type: "get", key: `k${i}` })).message, `v${i}`);
  }
});

Deno.test("kv-node that leaves waits while all others are down, and may be stopped then", async () => {
  await using cluster = await TestCluster.start({ nodes: 2 });
  await cluster.ask(0, { req_type: "put", key: "kept", value: "1" });
  await cluster.node(1).crash();
  const { id } =
    (await cluster.map()).nodes.find(({ port }) => port === cluster.nodeAddress(0).port) ?? {};
  await cluster.waitFor(
    "the other's part is taken over",
    (map) => map.partitions.every(({ primary }) => primary === id),
  );
  const leaver = cluster.node(0);
  leaver.signal("SIGUSR1");
  await cluster.waitFor(
    "it is leaving",
    (map) => map.nodes.some(({ state }) => state === "leaving"),
  );
  assertEquals((await cluster.ask(0, { req_type: "get", key: "kept" })).message, "1");
  assertEquals((await leaver.stop()).code, 0);
  assertStringIncludes(leaver.lastWords(), "stopping, without having left");
  await cluster.restart(0);
  await cluster.restart(1);
  await cluster.whole({ nodes: 2 });
  assertEquals((await cluster.ask(1, { req_type: "get", key: "kept" })).message, "1");
});

Deno.test("kv-node stops on its own if no coordinator is there to ask", async () => {
  await using cluster = await TestCluster.start({ nodes: 1, minInSync: 1 });
  await cluster.ask(0, { req_type: "put", key: "a", value: "1" });
  await cluster.coordinatorProcess.crash();
  assertEquals((await cluster.node(0).stop()).code, 0);
  await cluster.restartCoordinator();
  await cluster.restart(0);
  await cluster.whole({ nodes: 1 });
  assertEquals((await cluster.ask(0, { req_type: "get", key: "a" })).message, "1");
});

Deno.test("kv-node refuses to join another cluster, or none, with a cluster's folder", async () => {
  await using cluster = await TestCluster.start({ nodes: 1, minInSync: 1 });
  await using other = await TestCluster.start({ nodes: 1, minInSync: 1 });
  await cluster.node(0).stop();
  const { host, port } = other.coordinatorAddress;
  const cases = [["--standalone"], [`--coordinator=${host}:${port}`]];
  for (const flags of cases) {
    const process = ServerProcess.start(NODE, [
      "--port=0",
      `--data=${cluster.nodeFolder(0)}`,
      ...flags,
    ]);
    const { code } = await process.status;
    assertEquals(code, 1);
    assertStringIncludes(process.lastWords(), "cluster");
    assert(!process.log.some((line) => /^\s+at /.test(line)), "no stack trace");
  }
  assertEquals((await other.map()).nodes.length, 1);
});

Deno.test("kv-node that was paused for longer than its lease finds its place again", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  const paused = await cluster.primaryOf("k");
  const others = [0, 1, 2].filter((index) => index !== paused);
  const [other = 0] = others;
  await cluster.ask(other, { req_type: "put", key: "k", value: "before" });
  const process = cluster.node(paused);
  process.signal("SIGSTOP");
  await cluster.poll("a write at the new primary", async () => {
    const reply = await cluster.ask(other, { req_type: "put", key: "k", value: "after" }, 15_000);
    // What was sent to the paused one has an unknown outcome; that it be said so is the promise.
    if (reply.message === "success") return true;
    assertEquals(reply.code, "outcome_unknown");
    return undefined;
  });
  process.signal("SIGCONT");
  // It must not answer from what it held when it was primary.
  const read = await cluster.ask(paused, { req_type: "get", key: "k" }, 15_000);
  assertEquals(read.message, "after");
  await cluster.whole({ nodes: 3 });
});

Deno.test("kv-node keeps serving without its coordinator, and registers with the next run of it", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  const before = await cluster.map();
  await cluster.coordinatorProcess.crash();
  // Longer than a lease: reads must not depend on it.
  const endMs = performance.now() + 2 * before.settings.leaseMs;
  for (let i = 0; performance.now() < endMs; i++) {
    const written = await cluster.ask(i % 3, { req_type: "put", key: "k", value: `${i}` });
    assertEquals(written.message, "success");
    const read = await cluster.ask((i + 1) % 3, { req_type: "get", key: "k" });
    assertEquals(read.message, `${i}`);
  }
  await cluster.restartCoordinator();
  const after = await cluster.whole({ nodes: 3 });
  await cluster.poll("every node registered", async () => {
    const stats = await Promise.all([0, 1, 2].map((i) => cluster.ask(i, { req_type: "stats" })));
    const leases = stats.map(({ result }) => (result as { lease: boolean }).lease);
    return leases.every((lease) => lease) ? true : undefined;
  });
  const primaries = (map: typeof before) => map.partitions.map(({ primary }) => primary);
  assertEquals(primaries(after), primaries(before), "no partition moves without need");
});
