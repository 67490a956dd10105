import { assertEquals } from "@std/assert";
import { ValueCache } from "../../../../coordinator/gateway/value_cache.ts";
import { GATEWAY_CACHE_AGE_MS_MAX } from "../../../../shared/limits/requests.ts";

const VALUE = { req_type: "data", message: "v", version: 1 } as const;

/** A cache that holds the value of `k`, read at `atMs`. */
function filled(atMs = 0): ValueCache {
  const cache = new ValueCache(10, 1_000_000);
  cache.endRead(cache.beginRead("k", atMs), VALUE);
  return cache;
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

Deno.test("ValueCache: a value's age counts from when its read was begun, and is bounded", () => {
  const cache = new ValueCache(10, 1_000_000);
  const read = cache.beginRead("k", 1_000);
  // The answer took its time.
  cache.endRead(read, VALUE);
  assertEquals(cache.get("k", 1_000 + GATEWAY_CACHE_AGE_MS_MAX - 1), VALUE);
  assertEquals(cache.get("k", 1_000 + GATEWAY_CACHE_AGE_MS_MAX), undefined);
});

Deno.test("ValueCache: that a value is asked for does not make it last longer", () => {
  const cache = filled();
  for (let ms = 0; ms < GATEWAY_CACHE_AGE_MS_MAX; ms += 100) {
    assertEquals(cache.get("k", ms), VALUE);
  }
  assertEquals(cache.get("k", GATEWAY_CACHE_AGE_MS_MAX), undefined);
});

Deno.test("ValueCache: a read that was overtaken by a write puts nothing in", () => {
  const events: [string, (cache: ValueCache) => void, boolean][] = [
    ["the key is written", (cache) => cache.invalidate("k"), false],
    ["another key is written", (cache) => cache.invalidate("x"), true],
    ["everything is forgotten", (cache) => cache.clear(), false],
  ];
  for (const [name, happen, kept] of events) {
    const cache = new ValueCache(10, 1_000_000);
    const read = cache.beginRead("k", 0);
    happen(cache);
    cache.endRead(read, VALUE);
    assertEquals(cache.get("k", 0) !== undefined, kept, `under way: ${name}`);
    const later = filled();
    happen(later);
    assertEquals(later.get("k", 0) !== undefined, kept, `in the cache: ${name}`);
  }
});

Deno.test("ValueCache: of two reads of a key the later one counts, whichever ends first", () => {
  for (const earlyFirst of [true, false]) {
    const cache = new ValueCache(10, 1_000_000);
    const early = cache.beginRead("k", 0);
    const late = cache.beginRead("k", 1);
    const ends = [() => cache.endRead(early, VALUE), () => {
      cache.endRead(late, { ...VALUE, version: 2 });
    }];
    for (const end of earlyFirst ? ends : ends.reverse()) end();
    assertEquals(cache.get("k", 2)?.version, 2);
  }
});

Deno.test("ValueCache: an expired value is not given, and what is left to live grows shorter", () => {
  const cache = new ValueCache(10, 1_000_000);
  cache.endRead(cache.beginRead("k", 0), { ...VALUE, ttl_ms: 100 });
  assertEquals(cache.get("k", 99)?.ttl_ms, 1);
  assertEquals(cache.get("k", 100), undefined);
});

Deno.test("ValueCache: is bounded by entries and bytes, and may be off", () => {
  const cache = new ValueCache(4, 10_000);
  for (let i = 0; i < 10; i++) cache.endRead(cache.beginRead(`k${i}`, 0), VALUE);
  assertEquals(cache.stats().entries, 4);
  assertEquals(cache.get("k9", 0), VALUE, "those that were used last are kept");
  cache.endRead(cache.beginRead("big", 0), { ...VALUE, message: "x".repeat(4_600) });
  assertEquals(cache.stats().entries < 4, true);
  cache.endRead(cache.beginRead("huge", 0), { ...VALUE, message: "x".repeat(30_000) });
  assertEquals(cache.get("huge", 0), undefined);
  const off = new ValueCache(0, 10_000);
  off.endRead(off.beginRead("k", 0), VALUE);
  assertEquals(off.get("k", 0), undefined);
});

Deno.test("ValueCache: a read that gave nothing leaves nothing behind", () => {
  const cache = new ValueCache(4, 10_000);
  cache.endRead(cache.beginRead("k", 0), undefined);
  assertEquals(cache.stats().entries, 0);
});
