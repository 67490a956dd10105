import { assertEquals, assertThrows } from "@std/assert";
import { RecentWrites } from "../../../../node/replication/recent_writes.ts";
import { RECENT_WRITES_MAX } from "../../../../shared/limits/replication.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

Deno.test("RecentWrites: gives the distinct keys after a seq", () => {
  const recent = new RecentWrites(10, RECENT_WRITES_MAX);
  for (const [seq, key] of [[11, "a"], [12, "b"], [13, "a"]] as const) recent.push(seq, key);
  assertEquals(recent.since(10), new Set(["a", "b"]));
  assertEquals(recent.since(11), new Set(["b", "a"]));
  assertEquals(recent.since(12), new Set(["a"]));
  assertEquals(recent.since(13), new Set());
  assertEquals(recent.since(99), new Set());
});

Deno.test("RecentWrites: says that it does not know what was before it, or is forgotten", () => {
  const recent = new RecentWrites(10, RECENT_WRITES_MAX);
  assertEquals(recent.since(9), undefined);
  for (let i = 1; i <= RECENT_WRITES_MAX; i++) recent.push(10 + i, `k${i}`);
  assertEquals(recent.since(10)?.size, RECENT_WRITES_MAX, "a full ring knows all of it");
  recent.push(11 + RECENT_WRITES_MAX, "next");
  assertEquals(recent.since(10), undefined);
  assertEquals(recent.since(11)?.size, RECENT_WRITES_MAX);
  assertEquals(recent.since(11)?.has("k1"), false);
});

Deno.test("RecentWrites.reset: forgets everything and goes on from another seq", () => {
  const recent = new RecentWrites(0, RECENT_WRITES_MAX);
  recent.push(1, "a");
  recent.reset(500);
  assertEquals(recent.since(0), undefined);
  assertEquals(recent.since(499), undefined);
  assertEquals(recent.since(500), new Set());
  recent.push(501, "b");
  assertEquals(recent.since(500), new Set(["b"]));
});

Deno.test("RecentWrites.push: takes no seq out of order", () => {
  const recent = new RecentWrites(5, RECENT_WRITES_MAX);
  assertThrows(() => recent.push(5, "a"));
  assertThrows(() => recent.push(7, "a"));
  recent.push(6, "a");
});

Deno.test("RecentWrites: agrees with a list of all writes", () => {
  const random = new SeededRandom(7);
  const recent = new RecentWrites(0, RECENT_WRITES_MAX);
  const all: string[] = [];
  for (let seq = 1; seq <= 3 * RECENT_WRITES_MAX; seq++) {
    const key = `k${randomBelow(random, 400)}`;
    all.push(key);
    recent.push(seq, key);
    if (seq % 97 !== 0) continue;
    const since = randomBelow(random, seq + 1);
    const wanted = since < seq - RECENT_WRITES_MAX ? undefined : new Set(all.slice(since));
    assertEquals(recent.since(since), wanted, `since ${since} of ${seq}`);
  }
});

Deno.test("RecentWrites: of none, it knows only where it stands", () => {
  const recent = new RecentWrites(3, 0);
  recent.push(4, "a");
  recent.push(5, "b");
  assertEquals(recent.lastSeq, 5);
  assertEquals(recent.since(5)?.size, 0);
  assertEquals(recent.since(4), undefined);
});
