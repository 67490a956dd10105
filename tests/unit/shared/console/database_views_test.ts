import { assertEquals } from "@std/assert";
import { databaseViews } from "../../../../shared/console/database_views.ts";
import { metricDocument } from "../../../../shared/metrics/metric_document.ts";
import { MetricSet } from "../../../../shared/metrics/metric_set.ts";

function documentOf(...sizes: [name: string, keys: number, expiring: number, bytes: number][]) {
  const set = new MetricSet();
  for (const [name, keys, expiring, bytes] of sizes) {
    set.set("kv_keyspace_keys", keys, name);
    set.set("kv_keyspace_expiring_keys", expiring, name);
    set.set("kv_keyspace_bytes", bytes, name);
  }
  return metricDocument(set);
}

Deno.test("databaseViews: the sums over all nodes that answer, with what the map says", () => {
  const list = [{ name: "a", number: 1, together: true as const, maxKeys: 9 }, {
    name: "b",
    number: 2,
    maxBytes: 8,
  }];
  const views = databaseViews({ next: 4, list }, [
    documentOf(["a", 2, 1, 20], ["b", 0, 0, 0], ["(others)", 5, 5, 5]),
    documentOf(["a", 3, 0, 30], ["b", 1, 1, 7]),
  ]);
  assertEquals(views, [
    { name: "a", placement: "together", keys: 5, expiring: 1, bytes: 50, maxKeys: 9 },
    { name: "b", placement: "spread", keys: 1, expiring: 1, bytes: 7, maxBytes: 8 },
    { name: "(others)", keys: 5, expiring: 5, bytes: 5 },
  ]);
  assertEquals(databaseViews(undefined, [documentOf()]), []);
});
