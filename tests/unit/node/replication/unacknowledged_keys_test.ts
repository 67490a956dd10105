import { assertEquals } from "@std/assert";
import { RESYNC_UNACKNOWLEDGED_MAX } from "../../../../shared/limits/replication.ts";
import { UnacknowledgedKeys } from "../../../../node/replication/unacknowledged_keys.ts";
import type { PartitionStore } from "../../../../node/storage/partition_store.ts";

/** Knowledge of a store whose searches end when the test says so, and what was told. */
function setUp({ clean = true, commitSeq = 0, lastSeq = 0 } = {}) {
  const state = { commitSeq, lastSeq };
  const searches: PromiseWithResolvers<readonly string[] | undefined>[] = [];
  const store = {
    state,
    keysBeyond: () => {
      const search = Promise.withResolvers<readonly string[] | undefined>();
      searches.push(search);
      return search.promise;
    },
  } as unknown as PartitionStore;
  const told: unknown[] = [];
  const keys = new UnacknowledgedKeys(store, clean, {
    onFound: (keys) => told.push(keys ?? "everything"),
    onFailed: (error) => told.push(`failed: ${error}`),
  });
  const ask = () => {
    keys.ask();
    return told.splice(0);
  };
  return { state, searches, told, keys, ask };
}

Deno.test("UnacknowledgedKeys: lists what was taken until it is committed, each key once", () => {
  const { state, keys, ask } = setUp();
  assertEquals(ask(), [[]]);
  for (const [seq, key] of [[1, "a"], [2, "b"], [3, "a"]] as const) keys.onTaken(seq, key);
  Object.assign(state, { lastSeq: 3 });
  assertEquals(ask(), [["a", "b"]]);
  state.commitSeq = 2;
  keys.onCommitted();
  assertEquals(ask(), [["a"]]);
});

Deno.test("UnacknowledgedKeys: more than may be listed are told as everything", () => {
  const { keys, ask } = setUp();
  for (let seq = 1; seq <= RESYNC_UNACKNOWLEDGED_MAX; seq++) keys.onTaken(seq, `k${seq}`);
  assertEquals((ask()[0] as string[]).length, RESYNC_UNACKNOWLEDGED_MAX);
  keys.onTaken(RESYNC_UNACKNOWLEDGED_MAX + 1, "one more");
  assertEquals(ask(), ["everything"]);
});

Deno.test("UnacknowledgedKeys: searches the disk once for all who ask before anything changes", async () => {
  const { searches, told, keys, ask } = setUp({ clean: false, lastSeq: 5 });
  assertEquals([ask(), ask(), searches.length], [[], [], 1]);
  searches[0]?.resolve(["x"]);
  await Promise.resolve();
  assertEquals([told.splice(0), ask(), searches.length], [[["x"]], [["x"]], 1]);
  keys.unlist();
  assertEquals([ask(), searches.length], [[], 2]);
});

Deno.test("UnacknowledgedKeys: what a search finds after a change is not told, and one that fails is begun again", async () => {
  const { searches, told, keys, ask } = setUp({ clean: false, lastSeq: 5 });
  ask();
  keys.unlist();
  searches[0]?.resolve(["old"]);
  await Promise.resolve();
  assertEquals(told, []);
  ask();
  searches[1]?.reject("read");
  await Promise.resolve();
  await Promise.resolve();
  assertEquals(told.splice(0), ["failed: read"]);
  ask();
  assertEquals(searches.length, 3);
});

Deno.test("UnacknowledgedKeys: begins a list when all is known to be committed", () => {
  const { state, searches, keys, ask } = setUp({ clean: false, lastSeq: 5 });
  state.commitSeq = 5;
  keys.onCommitted();
  assertEquals([ask(), searches.length], [[[]], 0]);
});

Deno.test("UnacknowledgedKeys: damage is told as nothing, lasts until all is deleted, and is not forgotten for less", () => {
  const { keys, ask } = setUp();
  keys.markDamaged();
  keys.markLacking();
  keys.unlist();
  assertEquals([keys.damaged, ask()], [true, []]);
  keys.onCleared();
  assertEquals([keys.damaged, ask()], [false, [[]]]);
});

Deno.test("UnacknowledgedKeys: who lacks everything says so until a resync has ended", () => {
  const { state, keys, ask } = setUp();
  keys.markLacking();
  keys.unlist();
  assertEquals(ask(), ["everything"]);
  Object.assign(state, { commitSeq: 4, lastSeq: 4 });
  keys.onResynced();
  assertEquals(ask(), [[]]);
});
