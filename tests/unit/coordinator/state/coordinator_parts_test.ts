import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { clusterSettings } from "../../../../coordinator/state/cluster_settings.ts";
import { MoveQueue } from "../../../../coordinator/partitions/move_queue.ts";
import { PartitionTable } from "../../../../coordinator/state/partition_table.ts";
import { newCluster, parseStoredCluster } from "../../../../coordinator/state/stored_cluster.ts";
import { COORDINATOR_PROGRAM } from "../../../../coordinator/settings.ts";
import { loadConfig } from "../../../../shared/program/config.ts";
import { InvariantError, KvError } from "../../../../shared/base/errors.ts";
import { SETTINGS } from "../../../support/worlds/membership_world.ts";

// PartitionTable.

function table() {
  const config = { term: 3, primary: "a", inSync: ["a", "b"], learners: ["c"] };
  const changes: number[] = [];
  return { table: new PartitionTable([config], (p) => changes.push(p)), changes, config };
}

Deno.test("PartitionTable.reconfigure: the term grows with all but the addition of a learner", () => {
  const rows: [
    Partial<{ primary: string | undefined; inSync: string[]; learners: string[] }>,
    number,
  ][] = [
    [{ learners: ["c", "d"] }, 3],
    [{ learners: [] }, 4],
    [{ learners: ["d"] }, 4],
    [{ primary: "b" }, 4],
    [{ primary: undefined }, 4],
    [{ inSync: ["a"] }, 4],
    [{ inSync: ["b", "a"] }, 4],
    [{ inSync: ["a", "b", "c"], learners: [] }, 4],
  ];
  for (const [change, term] of rows) {
    const { table: t, changes, config } = table();
    assert(t.reconfigure(0, { ...config, ...change }));
    assertEquals(t.get(0).term, term, JSON.stringify(change));
    assertEquals(changes, [0]);
  }
});

Deno.test("PartitionTable.reconfigure: nothing new is no change; options raise the term", () => {
  const { table: t, changes, config } = table();
  assertEquals(t.reconfigure(0, config), false);
  assertEquals(changes, []);
  assert(t.reconfigure(0, config, { newTerm: true }));
  assertEquals(t.get(0).term, 4);
  t.reconfigure(0, { ...config, primary: "b" }, { termFloor: 9 });
  assertEquals(t.get(0).term, 10);
});

Deno.test("PartitionTable.reconfigure: refuses what is no configuration", () => {
  const { table: t, config } = table();
  assertThrows(() => t.reconfigure(0, { ...config, primary: "x" }), InvariantError);
  assertThrows(() => t.reconfigure(0, { ...config, learners: ["a"] }), InvariantError);
  assertThrows(() => t.reconfigure(1, config), InvariantError);
});

Deno.test("PartitionTable: knows what each node holds and learns", () => {
  const { table: t, config } = table();
  assertEquals([...t.heldBy("c")], [0]);
  assertEquals([...t.learnedBy("c")], [0]);
  assertEquals(t.learnerCount, 1);
  t.reconfigure(0, { ...config, inSync: ["a", "c"], learners: [] });
  assertEquals([t.heldBy("b").size, t.heldBy("c").size, t.learnedBy("c").size], [0, 1, 0]);
});

// MoveQueue.

Deno.test("MoveQueue: urgent ones first, then in order; nothing twice", () => {
  const queue = new MoveQueue();
  queue.add("b", 1, false);
  queue.add("a", 2, false);
  queue.add("a", 3, true);
  queue.add("a", 4, false);
  queue.add("a", 4, true);
  queue.add("a", 3, false);
  assertEquals(queue.nodes(), ["a", "b"]);
  assertEquals(queue.size, 4);
  assertEquals([1, 2, 3, 4].map(() => queue.take("a")), [3, 4, 2, undefined]);
  assertEquals(queue.nodes(), ["b"]);
});

// clusterSettings.

Deno.test("clusterSettings: a new cluster has the defaults where nothing is said", () => {
  const settings = clusterSettings({ replicationFactor: 2 }, undefined, "id");
  assertEquals(settings, {
    clusterId: "id",
    clusterName: "kv",
    partitionCount: 256,
    replicationFactor: 2,
    minInSync: 1,
    minInSyncByDefault: true,
    leaseMs: 1_500,
    heartbeatIntervalMs: 500,
    failureTimeoutMs: 2_500,
  });
});

Deno.test("clusterSettings: a write needs half of the replicas, rounded up, unless something else is given", () => {
  const minInSync = [1, 2, 3, 4, 5].map((replicationFactor) =>
    clusterSettings({ replicationFactor }, undefined, "id").minInSync
  );
  assertEquals(minInSync, [1, 1, 2, 2, 3]);
  assertEquals(clusterSettings({}, undefined, "id").minInSync, 2);
  const given = clusterSettings({ minInSync: 1 }, undefined, "id");
  assertEquals(given.minInSync, 1);
  assertEquals("minInSyncByDefault" in given, false);
});

Deno.test("clusterSettings: the default follows the replicas, and what was given once stays", () => {
  const byDefault = clusterSettings({}, undefined, "id");
  assertEquals(clusterSettings({ replicationFactor: 1 }, byDefault, "x").minInSync, 1);
  assertEquals(clusterSettings({ replicationFactor: 5 }, byDefault, "x").minInSync, 3);
  assertEquals(clusterSettings({}, byDefault, "x"), byDefault);
  const given = clusterSettings({ minInSync: 1 }, byDefault, "x");
  assertEquals(clusterSettings({ replicationFactor: 5 }, given, "x").minInSync, 1);
  const two = clusterSettings({ minInSync: 2 }, byDefault, "x");
  assertThrows(() => clusterSettings({ replicationFactor: 1 }, two, "x"), KvError, "give both");
});

Deno.test("clusterSettings: a stored cluster keeps its own where nothing is said", () => {
  assertEquals(clusterSettings({}, SETTINGS, "other"), SETTINGS);
  const changed = clusterSettings({ replicationFactor: 2, leaseMs: 1_200 }, SETTINGS, "other");
  assertEquals(changed, { ...SETTINGS, replicationFactor: 2, leaseMs: 1_200 });
  assertEquals(clusterSettings({ partitionCount: 16 }, SETTINGS, "x").partitionCount, 16);
});

Deno.test("clusterSettings: refuses what is fixed or contradictory, and says what to do", () => {
  const rows = [
    [{ partitionCount: 32 }, SETTINGS, /--partitions is fixed.*16.*32/],
    [{ clusterName: "x" }, SETTINGS, /--cluster-name is fixed/],
    [{ partitionCount: 100 }, undefined, /power of two/],
    [{ minInSync: 4 }, undefined, /--min-in-sync \(4\)/],
    [{ partitionCount: 65_536, replicationFactor: 16 }, undefined, /at most 16384 partitions/],
    [{ replicationFactor: 4 }, { ...SETTINGS, partitionCount: 65_536 }, /at most 32768 partitions/],
    [{ heartbeatIntervalMs: 750 }, undefined, /--lease-ms \(1500\) must be more than twice/],
    [{ failureTimeoutMs: 1_600 }, undefined, /--failure-timeout-ms \(1600\) must be at least 1658/],
    [{ leaseMs: 2_400 }, SETTINGS, /--failure-timeout-ms \(2500\)/],
  ] as const;
  for (const [wanted, stored, text] of rows) {
    const error = assertThrows(() => clusterSettings(wanted, stored, "id"), KvError);
    assertEquals(error.code, "bad_config");
    assertMatch(error.message, text);
  }
  assertEquals(
    clusterSettings({ failureTimeoutMs: 1_658 }, undefined, "i").failureTimeoutMs,
    1_658,
  );
});

// The stored document.

Deno.test("parseStoredCluster: gives back what was stored", () => {
  const stored = newCluster(SETTINGS);
  const parsed = parseStoredCluster(JSON.parse(JSON.stringify(stored)));
  assertEquals(JSON.stringify(parsed), JSON.stringify(stored));
});

Deno.test("parseStoredCluster: a document from before leaseMsMax has its map's lease", () => {
  const { leaseMsMax: _, ...older } = newCluster(SETTINGS);
  assertEquals(parseStoredCluster(older).leaseMsMax, SETTINGS.leaseMs);
});

Deno.test("parseStoredCluster: refuses other formats and damage", () => {
  const good = JSON.parse(JSON.stringify(newCluster(SETTINGS)));
  const rows: [unknown, string][] = [
    [null, "corrupt"],
    [[], "corrupt"],
    ["x", "corrupt"],
    [{ ...good, format: 2 }, "wrong_version"],
    [{ ...good, map: undefined }, "corrupt"],
    [{ ...good, members: undefined }, "corrupt"],
    [{ ...good, fresh: 1 }, "corrupt"],
    [{ ...good, leaseMsMax: null }, "corrupt"],
    [{ ...good, leaseMsMax: SETTINGS.leaseMs - 1 }, "corrupt"],
    [{ ...good, map: { ...good.map, partitions: [] } }, "corrupt"],
    [{ ...good, map: { ...good.map, epoch: "1" } }, "corrupt"],
    [{ ...good, map: { ...good.map, nodes: [{}] } }, "corrupt"],
    [{ ...good, map: { ...good.map, partitions: good.map.partitions.map(() => ({})) } }, "corrupt"],
  ];
  for (const [document, code] of rows) {
    const error = assertThrows(() => parseStoredCluster(document), KvError);
    assertEquals(error.code, code, JSON.stringify(document)?.slice(0, 80));
  }
});

// The command line.

Deno.test("COORDINATOR_PROGRAM: takes host and port, and checks", () => {
  const load = (...args: string[]) => {
    const loaded = loadConfig(COORDINATOR_PROGRAM, {
      args,
      env: () => undefined,
      readFile: () => "",
    });
    assert(loaded.kind === "run");
    return loaded.values;
  };
  assertEquals([load().host, load().port, load().heartbeatPort], ["127.0.0.1", 8080, 3769]);
  assertEquals(load("9090").port, 9090);
  assertEquals(load("10.0.0.1").host, "10.0.0.1");
  assertEquals([load("h", "1").host, load("h", "1").port], ["h", 1]);
  assertEquals(load().partitions, undefined);
  assertThrows(() => load("--force-partition=3"), KvError);
  assertThrows(() => load("--partitions=x"), KvError);
  assertThrows(() => load("--no-such"), KvError);
});
