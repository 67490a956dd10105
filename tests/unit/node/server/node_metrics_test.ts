/**
 * What a node's metrics tell of databases: whatever there is, a bounded number of series.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { collectDatabases } from "../../../../node/server/node_metrics.ts";
import { MetricSet } from "../../../../shared/metrics/metric_set.ts";
import { METRIC_DATABASES_MAX } from "../../../../shared/limits/cluster.ts";

Deno.test("collectDatabases: those with a quota first, then the oldest, and all others as one", () => {
  const count = METRIC_DATABASES_MAX + 20;
  const list = Array.from({ length: count }, (_, i) => ({
    name: `d${i + 1}`,
    number: i + 1,
    ...(i === count - 1 ? { maxKeys: 7, maxBytes: 9 } : {}),
  }));
  const usage = [
    ...list.map(({ number }) => [number, 2, 50, 1] as const),
    [
      count + 1,
      5,
      5,
      5,
    ] as const,
  ];
  const set = new MetricSet();
  // The last one of the usage was dropped.
  collectDatabases(set, { next: count + 2, list }, usage);
  const values = (name: "kv_keyspace_keys" | "kv_keyspace_bytes" | "kv_keyspace_expiring_keys") =>
    new Map(set.samples(name).map(({ labels, value }) => [labels[0], value]));
  const keys = values("kv_keyspace_keys");
  assertEquals(keys.size, METRIC_DATABASES_MAX + 1);
  assertEquals([keys.get("d1"), keys.get(`d${count}`), keys.get(`d${count - 1}`)], [
    2,
    2,
    undefined,
  ]);
  assertEquals(keys.get("(others)"), 20 * 2);
  assertEquals(values("kv_keyspace_bytes").get("(others)"), 20 * 50);
  assertEquals(values("kv_keyspace_expiring_keys").get("(others)"), 20);
  assertEquals(set.samples("kv_keyspace_keys_max"), [{ labels: [`d${count}`], value: 7 }]);
  assertEquals(set.samples("kv_keyspace_bytes_max"), [{ labels: [`d${count}`], value: 9 }]);
});

Deno.test("collectDatabases: without databases it says nothing", () => {
  const set = new MetricSet();
  collectDatabases(set, undefined, []);
  assertEquals(set.samples("kv_keyspace_keys"), []);
});
