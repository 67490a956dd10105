/**
 * The coordinator's death, and the death of everything.
 *
 * @module
 */
import { assertEquals, assertNotEquals } from "@std/assert";
import { partitionConfig } from "../../../shared/cluster/cluster_map.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import { wrongValues } from "../../support/data/bulk.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { Workload } from "../../support/clients/workload.ts";

const NODES = [0, 1, 2];

Deno.test("cluster: the coordinator's death stops no read or write, and its return moves nothing", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await using kv = await cluster.connect();
  await using workload = Workload.start(kv, "loop");
  const leases = (wanted: boolean) =>
    cluster.poll(`${wanted ? "" : "no "}lease at any node`, async () => {
      const stats = await Promise.all(NODES.map((index) => cluster.stats(index)));
      return stats.every(({ lease }) => lease === wanted) ? true : undefined;
    });
  await leases(true);
  const before = await cluster.map();

  await cluster.coordinatorProcess.crash();
  await leases(false);
  for (const index of NODES) {
    for (const i of [...Array(32).keys()]) {
      const key = `at-${i}`;
      const value = `${index}/${i}`;
      const written = await cluster.ask(index, { req_type: "put", key, value }, 30_000);
      assertEquals(written.message, "success", JSON.stringify(written));
      const read = await cluster.ask((index + 1) % 3, { req_type: "get", key }, 30_000);
      assertEquals(read.message, value, JSON.stringify(read));
    }
  }
  await cluster.restartCoordinator();
  await leases(true);
  await cluster.whole({ nodes: 3 });
  const { errors, violations, unknown } = await workload.stop();
  assertEquals([errors, violations, unknown], [[], [], 0]);
  assertEquals(await workload.verify(), []);
  assertEquals((await cluster.map()).partitions, before.partitions);
});

Deno.test("cluster: a node that is killed and started again while there is no coordinator holds up no write", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  const map = await cluster.poll("the nodes keep the map", async () => {
    const map = await cluster.map();
    const kept = await Promise.all(NODES.map((index) => cluster.keptEpoch(index)));
    return kept.every((epoch) => epoch === map.epoch) ? map : undefined;
  });
  // The third node's own partitions have no primary: nobody makes it that by what it has kept.
  const port = cluster.nodeAddress(2).port;
  const third = map.nodes.find((node) => node.port === port)?.id;
  const keys = Array.from({ length: 64 }, (_, i) => `k${i}`).filter((key) =>
    partitionConfig(map, partitionOf(key, map.settings.partitionCount)).primary !== third
  );
  assertNotEquals(keys, []);
  await Promise.all([cluster.coordinatorProcess.crash(), cluster.crash(2)]);
  await cluster.restart(2);
  for (const asked of [0, 1]) {
    for (const key of keys) {
      const put = await cluster.ask(asked, { req_type: "put", key, value: `${asked}` }, 30_000);
      assertEquals(put.message, "success", JSON.stringify(put));
      const read = await cluster.ask(asked, { req_type: "get", key }, 30_000);
      assertEquals(read.message, `${asked}`, JSON.stringify(read));
    }
  }
  assertEquals((await cluster.stats(2)).epoch, 0);
  await cluster.restartCoordinator();
  await cluster.whole({ nodes: 3 });
});

Deno.test("cluster: everything killed and started again has all that was acknowledged", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  const values = new Map(Array.from({ length: 500 }, (_, i) => [`k${i}`, `v${i}`]));

  /** Writes, kills everything in the middle of it, and starts it again as told. */
  const round = async (name: string, start: () => Promise<void>) => {
    const workload = await (async () => {
      await using kv = await cluster.connect();
      for (const key of values.keys()) values.set(key, `${name} ${key}`);
      await Promise.all([...values].map(([key, value]) => kv.put(key, value)));
      const workload = Workload.start(kv, name);
      await cluster.poll("writes", () => Promise.resolve(workload.writes > 1_000 || undefined));
      await Promise.all([
        cluster.coordinatorProcess.crash(),
        ...NODES.map((index) => cluster.crash(index)),
      ]);
      const { violations } = await workload.abort();
      assertEquals(violations, []);
      return workload;
    })();
    await start();
    await using kv = await cluster.connect();
    assertEquals(await workload.verify(kv), []);
    assertEquals(await wrongValues(kv, values), []);
    await kv.put("k0", `${name} again`);
    values.set("k0", `${name} again`);
  };

  await t.step("all at once", async () => {
    await round("first", async () => {
      await cluster.restartCoordinator();
      await Promise.all(NODES.map((index) => cluster.restart(index)));
      await cluster.whole({ nodes: 3 });
    });
  });

  await t.step("the nodes before their coordinator", async () => {
    await round("second", async () => {
      const nodes = Promise.all(NODES.map((index) => cluster.restart(index)));
      await cluster.restartCoordinator();
      await nodes;
    });
    await cluster.whole({ nodes: 3 });
  });

  await t.step("one node stays away", async () => {
    await round("third", async () => {
      await cluster.restartCoordinator();
      await Promise.all([0, 1].map((index) => cluster.restart(index)));
    });
    await cluster.restart(2);
    await cluster.whole({ nodes: 3 });
    await cluster.crash(0);
    await using kv = await cluster.connect();
    assertEquals(await wrongValues(kv, values), []);
  });
});
