import { assertEquals } from "@std/assert";
import { ValueCache } from "../../../../coordinator/gateway/value_cache.ts";
import type {
  ClusterMap,
  NodeInfo,
  PartitionConfig,
} from "../../../../shared/cluster/cluster_map.ts";
import { SETTINGS } from "../../../support/worlds/membership_world.ts";

const VALUE = { req_type: "data", message: "v", version: 1 } as const;

function filled(): ValueCache {
  const cache = new ValueCache(10, 1_000_000);
  cache.endRead(cache.beginRead("k", 0, "n", 0), VALUE);
  return cache;
}

function map(epoch: number, term: number, node: Partial<NodeInfo> = {}): ClusterMap {
  const info: NodeInfo = {
    id: "n",
    host: "h",
    port: 1,
    httpPort: 0,
    zone: "z",
    weight: 1,
    incarnation: 1,
    state: "up",
    ...node,
  };
  const config: PartitionConfig = { term, primary: "n", inSync: ["n"], learners: [] };
  return {
    epoch,
    settings: { ...SETTINGS, partitionCount: 1 },
    nodes: [info],
    partitions: [config],
  };
}

Deno.test("ValueCache: keeps what was read, drops what is invalidated", () => {
  const cache = filled();
  assertEquals(cache.get("k", 0), VALUE);
  cache.invalidate("other");
  assertEquals(cache.get("k", 0), VALUE);
  cache.invalidate("k");
  assertEquals(cache.get("k", 0), undefined);
  assertEquals(cache.stats(), { entries: 0, capacity: 10, hits: 2, misses: 1 });
});

Deno.test("ValueCache: a value is not put in once anything happened to its key, node or partition", () => {
  const events: [string, (cache: ValueCache) => void, boolean][] = [
    ["invalidated", (cache) => cache.invalidate("k"), false],
    ["another key", (cache) => cache.invalidate("x"), true],
    ["connection lost", (cache) => cache.dropNode("n"), false],
    ["another's connection", (cache) => cache.dropNode("m"), true],
    ["term changed", (cache) => cache.adoptMap(map(1, 1), map(2, 2)), false],
    ["same term", (cache) => cache.adoptMap(map(1, 1), map(2, 1)), true],
    ["node down", (cache) => cache.adoptMap(map(1, 1), map(2, 1, { state: "down" })), false],
    ["node moved", (cache) => cache.adoptMap(map(1, 1), map(2, 1, { port: 2 })), false],
    ["node restarted", (cache) => cache.adoptMap(map(1, 1), map(2, 1, { incarnation: 2 })), false],
    ["node gone", (cache) => cache.adoptMap(map(1, 1), { ...map(2, 1), nodes: [] }), false],
    ["first map", (cache) => cache.adoptMap(undefined, map(2, 2)), true],
  ];
  for (const [name, happen, kept] of events) {
    const cache = new ValueCache(10, 1_000_000);
    const read = cache.beginRead("k", 0, "n", 0);
    happen(cache);
    cache.endRead(read, VALUE);
    assertEquals(cache.get("k", 0) !== undefined, kept, `under way: ${name}`);
    const later = filled();
    happen(later);
    assertEquals(later.get("k", 0) !== undefined, kept, `in the cache: ${name}`);
  }
});

Deno.test("ValueCache: of two reads of a key only the later one may be good", () => {
  const cache = new ValueCache(10, 1_000_000);
  const early = cache.beginRead("k", 0, "n", 0);
  cache.invalidate("k");
  const late = cache.beginRead("k", 0, "n", 0);
  cache.endRead(late, { ...VALUE, version: 2 });
  cache.endRead(early, VALUE);
  assertEquals(cache.get("k", 0)?.version, 2);
});

Deno.test("ValueCache: an expired value is not given", () => {
  const cache = new ValueCache(10, 1_000_000);
  cache.endRead(cache.beginRead("k", 0, "n", 0), { ...VALUE, ttl_ms: 100 });
  assertEquals(cache.get("k", 99)?.version, 1);
  assertEquals(cache.get("k", 100), undefined);
  assertEquals(cache.get("k", 99), undefined);
});

Deno.test("ValueCache: is bounded by entries and bytes, and may be off", () => {
  const cache = new ValueCache(4, 10_000);
  for (let i = 0; i < 10; i++) cache.endRead(cache.beginRead(`k${i}`, 0, "n", 0), VALUE);
  assertEquals(cache.stats().entries, 4);
  cache.endRead(cache.beginRead("big", 0, "n", 0), { ...VALUE, message: "x".repeat(3_000) });
  assertEquals(cache.stats().entries < 4, true);
  cache.endRead(cache.beginRead("huge", 0, "n", 0), { ...VALUE, message: "x".repeat(30_000) });
  assertEquals(cache.get("huge", 0), undefined);
  const off = new ValueCache(0, 10_000);
  assertEquals(off.enabled, false);
  off.endRead(off.beginRead("k", 0, "n", 0), VALUE);
  assertEquals(off.get("k", 0), undefined);
});

Deno.test("ValueCache: a read that gave nothing leaves nothing behind", () => {
  const cache = new ValueCache(4, 10_000);
  cache.endRead(cache.beginRead("k", 0, "n", 0), undefined);
  assertEquals(cache.stats().entries, 0);
});
