import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { clusterSettings } from "../../../../coordinator/state/cluster_settings.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { SETTINGS } from "../../../support/worlds/membership_world.ts";

Deno.test("clusterSettings: a new cluster has the defaults if nothing is said", () => {
  const settings = clusterSettings({ replicationFactor: 2 }, undefined, "id");
  assertEquals(settings, {
    clusterId: "id",
    clusterName: "kv",
    partitionCount: 256,
    replicationFactor: 2,
    minInSync: 1,
    leaseMs: 1_500,
    heartbeatIntervalMs: 500,
    failureTimeoutMs: 2_500,
    byDefault: ["minInSync"],
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
  assertEquals("byDefault" in given, false);
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

Deno.test("clusterSettings: a stored cluster keeps its own if nothing is said", () => {
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
