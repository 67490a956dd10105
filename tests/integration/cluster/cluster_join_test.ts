/**
 * A fourth node joins three, and processes die while partitions move.
 *
 * @module
 */
import { assertEquals, assertGreater, assertLess } from "@std/assert";
import type { ClusterMap, NodeId } from "../../../shared/cluster/cluster_map.ts";
import { putAll, wrongValues } from "../../support/data/bulk.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { Workload } from "../../support/clients/workload.ts";

const PARTITIONS = 128;
const REPLICAS = 3;

function idAt(map: ClusterMap, port: number): NodeId | undefined {
  return map.nodes.find((node) => node.port === port)?.id;
}

function incarnationAt(map: ClusterMap, port: number): number {
  return map.nodes.find((node) => node.port === port)?.incarnation ?? 0;
}

/** What a node has in a map. */
function holdings(map: ClusterMap, id: NodeId | undefined) {
  const count = (has: (p: ClusterMap["partitions"][number]) => boolean) =>
    map.partitions.filter(has).length;
  return {
    primaries: count(({ primary }) => id !== undefined && primary === id),
    inSync: count(({ inSync }) => id !== undefined && inSync.includes(id)),
    learning: count(({ learners }) => id !== undefined && learners.includes(id)),
  };
}

/** Nothing is on the move, and everything has its replicas. */
function isSettled(map: ClusterMap): boolean {
  return map.partitions.every(({ primary, inSync, learners }) =>
    primary !== undefined && learners.length === 0 && inSync.length === REPLICAS
  );
}

/** Values that are large enough for a move to take a while. */
function data(): Map<string, string> {
  return new Map(Array.from({ length: 4_000 }, (_, i) => [`k${i}`, `${i}/`.repeat(400)]));
}

Deno.test("cluster: a fourth node takes its share while clients read and write without an error", async () => {
  await using cluster = await TestCluster.start({ nodes: 3, partitions: PARTITIONS });
  await using kv = await cluster.connect();
  const values = data();
  await putAll(kv, values);
  await using workload = Workload.start(kv, "loop");
  await cluster.poll("writes", () => Promise.resolve(workload.writes > 500 ? true : undefined));

  const begin = performance.now();
  const joined = await cluster.addNode();
  const { port } = cluster.nodeAddress(joined);
  const of = (map: ClusterMap) => holdings(map, idAt(map, port));
  // A quarter of the primaries and of all replicas, about: placement goes by random points on a ring,
  // and how even it is has tests of its own.
  const [primaries, replicas] = [PARTITIONS / 4, PARTITIONS * REPLICAS / 4];
  const map = await cluster.waitFor(
    "the fourth node's share",
    (map) =>
      isSettled(map) && of(map).primaries > primaries * 0.5 && of(map).inSync > replicas * 0.6,
    of,
  );
  console.log(
    `join: ${Math.round(performance.now() - begin)} ms, slowest call ${
      Math.round(workload.slowestMs())
    } ms, ${JSON.stringify(of(map))} of ${PARTITIONS} partitions`,
  );
  assertLess(of(map).primaries, primaries * 1.5);
  assertLess(of(map).inSync, replicas * 1.25);

  const { errors, violations, unknown, writes, reads } = await workload.stop();
  assertEquals([errors, violations, unknown], [[], [], 0]);
  assertGreater(writes, 0);
  assertGreater(reads, 0);
  assertEquals(await workload.verify(), []);
  assertEquals(await wrongValues(kv, values), []);
});

Deno.test("cluster: nothing is lost when a process is killed while partitions move", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 3, partitions: PARTITIONS });
  await using kv = await cluster.connect();
  const values = data();
  await putAll(kv, values);
  await using workload = Workload.start(kv, "loop");

  /**
   * Waits until this start of a node takes replicas in. If that was over before anybody looked,
   * nothing is moving any more; what follows must hold all the same.
   */
  const moving = async (index: number, incarnation: number) => {
    const { port } = cluster.nodeAddress(index);
    const map = await cluster.waitFor(
      `replicas on their way to node ${index}`,
      (map) => {
        const { inSync, learning } = holdings(map, idAt(map, port));
        return incarnationAt(map, port) >= incarnation && inSync + learning > 0;
      },
      (map) => holdings(map, idAt(map, port)),
    );
    console.log(`kill while ${JSON.stringify(holdings(map, idAt(map, port)))}`);
    return map;
  };
  const settled = async (nodes: number) => {
    await cluster.whole({ nodes });
    await cluster.waitFor("an end of all moves", isSettled);
  };
  const check = async () => {
    const wanted = workload.writes + 500;
    await cluster.poll("more writes", () => {
      return Promise.resolve(workload.writes > wanted ? true : undefined);
    });
  };

  let newcomer = 0;
  await t.step("the node that the replicas go to", async () => {
    newcomer = await cluster.addNode();
    await moving(newcomer, 1);
    await cluster.crash(newcomer);
    await check();
  });

  await t.step("the coordinator", async () => {
    await cluster.restart(newcomer);
    await moving(newcomer, 2);
    await cluster.coordinatorProcess.crash();
    await check();
    await cluster.restartCoordinator();
    await check();
    await settled(4);
  });

  await t.step("a node that the replicas come from", async () => {
    const next = await cluster.addNode();
    const map = await moving(next, 1);
    const id = idAt(map, cluster.nodeAddress(next).port) ?? "";
    const source = map.partitions.find(({ learners }) => learners.includes(id))?.primary;
    const index = await cluster.indexOf(source) ?? 0;
    await cluster.crash(index);
    await check();
    await settled(4);
    await cluster.restart(index);
    await settled(5);
  });

  const { errors, violations, unknown, writes } = await workload.stop();
  console.log(`${writes} writes, ${unknown} with an unknown outcome`);
  assertEquals([errors, violations], [[], []]);
  assertEquals(await workload.verify(), []);
  assertEquals(await wrongValues(kv, values), []);
});
