import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { SeededKeyHash } from "../../../../node/storage/key_hash.ts";
import { GroupCommit, NO_STATE, PartitionStore } from "../../../../node/storage/partition_store.ts";
import type { FsyncMode } from "../../../../node/storage/partition_store.ts";
import { decodeState, stateKey } from "../../../../node/storage/state_record.ts";
import { recordKey } from "../../../../node/storage/record.ts";
import { RowCache } from "../../../../node/storage/row_cache.ts";
import type { KvError } from "../../../../shared/base/errors.ts";
import {
  BATCH_ENTRIES_MAX,
  FSYNC_INTERVAL_MS,
  STATE_WRITE_DELAY_MS,
  STORAGE_RETRY_MS,
} from "../../../../shared/limits/storage.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import type { StorageChange } from "../../../../node/storage/storage.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { entryOf } from "../../../support/data/partition_model.ts";
import { hexOf, ScriptedStorage } from "../../../support/doubles/scripted_storage.ts";

function setUp(fsync: FsyncMode = "always") {
  const clock = new ManualClock();
  const storage = new ScriptedStorage();
  const errors: KvError[] = [];
  const events: string[] = [];
  const queue = new GroupCommit(storage, clock, {
    fsync,
    cache: new RowCache(10_000, new SeededKeyHash(new SeededRandom(1))),
    onError: (error) => errors.push(error),
    onRecovered: () => events.push("recovered"),
  });
  const open = (partition: number) =>
    new PartitionStore(queue, partition, NO_STATE, (lastSeq, term) => {
      events.push(`${partition}: seq ${lastSeq} term ${term}`);
    });
  return { clock, storage, queue, open, errors, events };
}

function put(store: PartitionStore, key: string, value = "v"): void {
  const seq = store.state.lastSeq + 1;
  store.apply(entryOf(key, seq, value));
  store.setState({ lastSeq: seq, term: 1 });
}

/** The keys of a batch, "state" for state records; the database's own left out. */
function keysOf(changes: readonly StorageChange[] | undefined): string[] {
  return (changes ?? []).filter(({ key }) => key[2] !== 0xff).map(({ key }) =>
    key.length === 2 ? `${key[1]}:state` : `${key[1]}:${new TextDecoder().decode(key.subarray(2))}`
  );
}

Deno.test("GroupCommit writes all of a turn, of all partitions, as one synced batch", () => {
  const { clock, storage, open, events } = setUp();
  const one = open(1);
  const two = open(2);
  put(one, "a");
  put(two, "b");
  put(one, "c");
  put(one, "a");
  assertEquals(storage.writes.length, 0, "the turn is not over");
  clock.settle();
  assertEquals(storage.writes.length, 1);
  assertEquals(storage.writes[0]?.sync, true);
  assertEquals(keysOf(storage.writes[0]?.changes), ["1:a", "2:b", "1:c", "1:state", "2:state"]);
  assertEquals(events, []);
  storage.complete();
  assertEquals(events, ["1: seq 3 term 1", "2: seq 1 term 1"]);
  clock.settle();
  assertEquals(storage.writes.length, 0);
});

Deno.test("GroupCommit fills the next batch while one is written, and acknowledges in order", () => {
  const { clock, storage, open, events } = setUp();
  const store = open(1);
  put(store, "a");
  clock.settle();
  for (const key of ["b", "c", "a"]) {
    put(store, key);
    clock.settle();
  }
  assertEquals(storage.writes.length, 1);
  storage.complete();
  assertEquals(events, ["1: seq 1 term 1"]);
  assertEquals(storage.writes.length, 1, "begun before the acknowledgements");
  assertEquals(keysOf(storage.writes[0]?.changes), ["1:b", "1:c", "1:a", "1:state"]);
  storage.complete();
  assertEquals(events.slice(1), ["1: seq 4 term 1"]);
});

Deno.test("GroupCommit lets no batch grow beyond the bound and one turn more", () => {
  const { clock, storage, open, events } = setUp();
  const store = open(1);
  put(store, "first");
  clock.settle();
  const turnWrites = 100;
  for (let n = 0; n < 2.5 * BATCH_ENTRIES_MAX; n++) {
    put(store, `k${n}`);
    if (n % turnWrites === 0) clock.settle();
  }
  clock.settle();
  const last = store.state.lastSeq;
  const sizes: number[] = [];
  while (storage.writes.length > 0) {
    const changes = storage.writes[0]?.changes ?? [];
    sizes.push(changes.length);
    storage.complete();
    clock.settle();
    const row = storage.get(stateKey(1));
    const { lastSeq } = decodeState(stateKey(1), row ?? new Uint8Array()).state;
    assertEquals(
      lastSeq,
      [...storage.rows.keys()].filter((k) => k.startsWith("0001") && k.length > 4).length,
    );
  }
  assertEquals(sizes.length, 4);
  for (const size of sizes) assertEquals(size <= BATCH_ENTRIES_MAX + turnWrites + 3, true);
  assertEquals(events.at(-1), `1: seq ${last} term 1`);
});

Deno.test("GroupCommit retries a refused batch unchanged, acknowledging and dropping nothing", () => {
  const { clock, storage, queue, open, errors, events } = setUp();
  const store = open(1);
  put(store, "a");
  clock.settle();
  put(store, "b");
  clock.settle();
  const refused = storage.writes[0]?.changes;
  storage.fail(new Error("no space left on device"));
  assertEquals(errors.map((error) => error.code), ["storage_failed"]);
  assertEquals(queue.failure?.code, "storage_failed");
  const before = { ...store.state };
  assertEquals(
    assertThrows(() => store.apply(entryOf("c", 3, "v")), Error, "no space left") instanceof Error,
    true,
  );
  assertThrows(() => store.remove("a"), Error, "no space left");
  assertEquals(store.state, before, "a refused write changes nothing");
  assertEquals(store.get("b")?.seq, 2, "what waits can be read");

  clock.advance(STORAGE_RETRY_MS - 1);
  assertEquals(storage.writes.length, 0);
  clock.advance(1);
  assertEquals(storage.writes[0]?.changes, refused);
  storage.fail(new Error("still none"));
  clock.advance(STORAGE_RETRY_MS);
  assertEquals(storage.writes[0]?.changes, refused);
  assertEquals(errors.length, 1, "told once");
  assertEquals(events, []);
  storage.complete();
  assertEquals(queue.failure, undefined);
  assertEquals(events, ["1: seq 1 term 1", "recovered"]);
  assertEquals(keysOf(storage.writes[0]?.changes), ["1:b", "1:state"]);
  put(store, "c");
  storage.complete();
  clock.settle();
  storage.complete();
  assertEquals(events.at(-1), "1: seq 3 term 1");
  assertEquals(queue.pendingBytes, 0);
});

Deno.test("GroupCommit takes state and flush while the disk fails, and writes them after", () => {
  const { clock, storage, open, events } = setUp();
  const store = open(1);
  put(store, "a");
  clock.settle();
  storage.fail(new Error("no"));
  store.setState({ term: 9 });
  store.flush();
  clock.advance(STORAGE_RETRY_MS);
  storage.complete();
  assertEquals(events, ["1: seq 1 term 1", "recovered"]);
  storage.complete();
  assertEquals(events.at(-1), "1: seq 1 term 9");
});

Deno.test("GroupCommit writes a state that nothing carries after a while, once for all", () => {
  const { clock, storage, open, events } = setUp();
  const one = open(1);
  const two = open(2);
  one.setState({ commitSeq: 1 });
  one.setState({ commitSeq: 2 });
  two.setState({ commitSeq: 3 });
  clock.advance(STATE_WRITE_DELAY_MS - 1);
  assertEquals(storage.writes.length, 0);
  clock.advance(1);
  assertEquals(keysOf(storage.writes[0]?.changes), ["1:state", "2:state"]);
  storage.complete();
  assertEquals(events.length, 2);
  clock.advance(10 * STATE_WRITE_DELAY_MS);
  assertEquals(storage.writes.length, 0);
});

Deno.test("GroupCommit with fsync never syncs nothing", () => {
  const { clock, storage, open } = setUp("never");
  put(open(1), "a");
  clock.settle();
  assertEquals(storage.writes[0]?.sync, false);
  storage.complete();
  clock.advance(10_000);
  assertEquals(storage.writes.length, 0);
});

Deno.test("GroupCommit with fsync interval acknowledges at once and syncs a little later", () => {
  const { clock, storage, open, events } = setUp("interval");
  const store = open(1);
  put(store, "a");
  clock.settle();
  assertEquals(storage.writes[0]?.sync, false);
  storage.complete();
  assertEquals(events, ["1: seq 1 term 1"]);
  clock.advance(FSYNC_INTERVAL_MS);
  assertEquals(storage.writes[0]?.sync, true, "a batch for the sync alone");
  storage.complete();
  clock.advance(10 * FSYNC_INTERVAL_MS);
  assertEquals(storage.writes.length, 0, "everything is synced");

  put(store, "b");
  clock.settle();
  clock.advance(FSYNC_INTERVAL_MS);
  put(store, "c");
  clock.settle();
  storage.complete();
  assertEquals(storage.writes[0]?.sync, true, "the next batch carries the sync");
  storage.complete();
});

Deno.test("GroupCommit.close writes what waits, and refuses more", async () => {
  for (const fsync of ["always", "interval"] as const) {
    const { clock, storage, queue, open } = setUp(fsync);
    const store = open(1);
    put(store, "a");
    clock.settle();
    put(store, "b");
    store.setState({ commitSeq: 1 });
    const other = open(2);
    other.setState({ commitSeq: 7 });
    let closed = false;
    const closing = queue.close().then(() => closed = true);
    assertThrows(() => put(store, "c"), Error, "closing");
    let synced = false;
    while (!closed) {
      await clock.run();
      synced = storage.writes[0]?.sync ?? synced;
      if (storage.writes.length > 0) storage.complete();
    }
    await closing;
    assertEquals(synced, true, "the last batch is synced");
    assertEquals(storage.rows.has(hexOf(recordKey(1, "b"))), true);
    assertEquals(storage.rows.has(hexOf(stateKey(2))), true);
    assertEquals(clock.timers, 0);
    assertEquals(storage.closed, false);
  }
});

Deno.test("GroupCommit.close fails if the disk takes nothing", async () => {
  const { clock, storage, queue, open } = setUp();
  put(open(1), "a");
  clock.settle();
  storage.fail(new Error("no"));
  const closing = queue.close();
  storage.fail(new Error("still no"));
  await assertRejects(() => closing, Error, "still no");
  assertEquals(clock.timers, 0);
});
