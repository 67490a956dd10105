import { assert, assertEquals, assertRejects } from "@std/assert";
import { SeededKeyHash } from "../../../../node/storage/key_hash.ts";
import { GroupCommit, NO_STATE, PartitionStore } from "../../../../node/storage/partition_store.ts";
import { recordKey } from "../../../../node/storage/record.ts";
import { RowCache } from "../../../../node/storage/row_cache.ts";
import { type Entry } from "../../../../shared/base/entry.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { BACKUP_SNAPSHOT_IDLE_MS, BACKUP_SNAPSHOTS_MAX } from "../../../../shared/limits/backup.ts";
import { SCAN_BYTES_MAX } from "../../../../shared/limits/scans.ts";
import type { Message, Reply } from "../../../../shared/wire/messages.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { NodeCluster, put } from "../../../support/worlds/node_cluster.ts";
import { entryOf, PartitionModel, randomTurn } from "../../../support/data/partition_model.ts";
import { ScriptedStorage } from "../../../support/doubles/scripted_storage.ts";

const PARTITION = 3;

function setUp() {
  const clock = new ManualClock();
  const storage = new ScriptedStorage();
  const queue = new GroupCommit(storage, clock, {
    fsync: "always",
    cache: new RowCache(4_096, new SeededKeyHash(new SeededRandom(1))),
    onError: (error) => {
      throw error;
    },
  });
  const store = new PartitionStore(queue, PARTITION, NO_STATE, () => {});
  /** Some writes reach the disk, or all. */
  const finish = (count = Infinity) => {
    clock.settle();
    for (; storage.writes.length > 0 && count > 0; count--) {
      storage.complete();
      clock.settle();
    }
  };
  return { clock, storage, store, finish };
}

Deno.test("PartitionStore.snapshot is what the store held, wherever its writes were", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new SeededRandom(seed);
    const { storage, store, finish } = setUp();
    const model = new PartitionModel(PARTITION);
    const turns = (count: number) => {
      for (let i = 0; i < count; i++) {
        randomTurn(random, store, model);
        finish(randomBelow(random, 3));
      }
    };
    turns(30);
    const page = { rowsMax: 1 + randomBelow(random, 5), bytesMax: 1 + randomBelow(random, 300) };
    const snapshot = store.snapshot(page);
    const wanted = model.sorted();
    assertEquals([snapshot.asOfSeq, snapshot.term], [store.state.lastSeq, store.state.term]);
    const found: Entry[] = [];
    for (let ended = false; !ended;) {
      const next = await snapshot.next();
      assert(next.entries.length <= page.rowsMax);
      found.push(...next.entries);
      ended = next.ended;
      turns(2);
    }
    assertEquals(found, wanted, `seed ${seed}`);
    snapshot.close();
    assertEquals(storage.snapshots, 0);
  }
});

Deno.test("PartitionStore.snapshot finds a damaged record, also under a newer write", async () => {
  const { storage, store, finish } = setUp();
  for (const [seq, key] of ["a", "b"].entries()) {
    store.apply(entryOf(key, seq + 1, "x"));
    store.setState({ lastSeq: seq + 1 });
  }
  finish();
  storage.flip(recordKey(PARTITION, "b"), 77);
  // As a replica that has the entry in its cache would.
  store.apply(entryOf("a", 3, "y"));
  store.setState({ lastSeq: 3 });
  const snapshot = store.snapshot({ rowsMax: 10, bytesMax: 1_000 });
  const error = await assertRejects(() => snapshot.next(), KvError);
  assertEquals(error.code, "corrupt");
  snapshot.close();
});

/** Asks a node for pages of a backup. */
function backupOf(cluster: NodeCluster, id: string) {
  const ask = async (request: Partial<Message<"backup_partition">> = {}): Promise<Reply> => {
    const replies: Reply[] = [];
    const full = { req_type: "backup_partition", partition: 0, ...request } as const;
    cluster.node(id).backupPartition(full, (reply) => replies.push(reply));
    for (let ms = 0; replies.length === 0 && ms < 20_000; ms += 10) await cluster.run(10);
    const [reply] = replies;
    assert(reply !== undefined && replies.length === 1);
    return reply;
  };
  const page = async (request?: Partial<Message<"backup_partition">>) => {
    const reply = await ask(request);
    assert(reply.req_type === "entries", JSON.stringify(reply));
    return { ...reply, keys: reply.entries.map(([key]) => key) };
  };
  const refusal = async (request?: Partial<Message<"backup_partition">>) => {
    const reply = await ask(request);
    return reply.req_type === "error" ? reply.code : reply.req_type;
  };
  return { ask, page, refusal };
}

async function startCluster(nodes: number): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes });
  await cluster.startAll();
  return cluster;
}

const LARGE = "v".repeat(SCAN_BYTES_MAX);

Deno.test("backup_partition gives a partition as of one seq, live keys alone", async () => {
  const cluster = await startCluster(2);
  for (const key of ["a", "b", "c", "d"]) await cluster.ask("n1", put(key, "1"));
  await cluster.ask("n1", { req_type: "delete", key: "b" });
  await cluster.ask("n1", { req_type: "put", key: "soon", value: "x", ttl_ms: 1 });
  await cluster.ask("n1", {
    req_type: "increment",
    key: "n",
    session: "session",
    request_number: 1,
  });
  await cluster.run(50);
  const { page, refusal } = backupOf(cluster, "n1");
  const { keys, seq, term, next } = await page();
  assertEquals([keys, term, next], [["a", "c", "d", "n"], 1, undefined]);
  assert((seq ?? 0) >= 7);
  assertEquals(await backupOf(cluster, "n2").refusal(), "not_primary");
  assertEquals(await refusal({ partition: 4_000 }), "bad_request");
});

Deno.test("backup_partition: what is written behind the first page is in no page", async () => {
  const cluster = await startCluster(2);
  for (const key of ["a", "c", "e"]) await cluster.ask("n1", put(key, LARGE));
  const { page, refusal } = backupOf(cluster, "n1");
  const first = await page();
  assertEquals(first.keys, ["a"]);
  for (const key of ["b", "c", "d", "f"]) await cluster.ask("n1", put(key, "new"));
  await cluster.ask("n1", { req_type: "delete", key: "e" });
  const second = await page({ snapshot: first.next });
  assertEquals([second.keys, second.entries[0]?.[1]], [["c"], 2]);
  const third = await page({ snapshot: second.next });
  assertEquals(third.keys, ["e"]);
  assertEquals([first.seq, second.seq, third.seq], [3, 3, 3]);
  // A page is given once, and a snapshot that is at its end is gone.
  assertEquals(await refusal({ snapshot: first.next }), "unavailable");
  const last = third.next === undefined ? undefined : await page({ snapshot: third.next });
  assertEquals(last?.keys ?? [], []);
  assertEquals(await refusal({ snapshot: third.next ?? "x.1" }), "unavailable");
});

Deno.test("backup_partition leaves with nothing that is not committed", async () => {
  const cluster = await startCluster(2);
  await cluster.ask("n1", put("a", "1"));
  cluster.network.cut("n1", "n2");
  const replies: Reply[] = [];
  cluster.node("n1").execute(put("b", "2"), () => {});
  const request = { req_type: "backup_partition", partition: 0 } as const;
  cluster.node("n1").backupPartition(request, (reply) => replies.push(reply));
  await cluster.run(500);
  assertEquals(replies, [], "the replica has not acknowledged it");
  // The coordinator takes the silent replica out of the set.
  await cluster.run(3_000);
  const [reply] = replies;
  assert(reply?.req_type === "entries");
  assertEquals(reply.entries.map(([key]) => key), ["a", "b"]);
});

Deno.test("backup_partition: a snapshot stays true after a hand-over to another primary", async () => {
  const cluster = await startCluster(2);
  for (const key of ["a", "b"]) await cluster.ask("n1", put(key, LARGE));
  const { page, refusal } = backupOf(cluster, "n1");
  const first = await page();
  cluster.configure(0, { primary: "n2" });
  await cluster.run(200);
  await cluster.ask("n2", put("b", "new"));
  const second = await page({ snapshot: first.next });
  assertEquals(second.entries.map(([key, seq]) => [key, seq]), [["b", 2]]);
  assertEquals(await refusal(), "not_primary");
});

Deno.test("backup_partition: snapshots are bounded in number, and closed when nobody reads them", async () => {
  const cluster = await startCluster(1);
  for (const key of ["a", "b"]) await cluster.ask("n1", put(key, LARGE));
  const { page, refusal } = backupOf(cluster, "n1");
  const firsts = [];
  for (let i = 0; i < BACKUP_SNAPSHOTS_MAX; i++) firsts.push(await page());
  assertEquals(await refusal(), "overloaded");
  await cluster.run(BACKUP_SNAPSHOT_IDLE_MS / 2);
  const kept = await page({ snapshot: firsts[0]?.next });
  assertEquals(kept.keys, ["b"]);
  await cluster.run(BACKUP_SNAPSHOT_IDLE_MS / 2 + 500);
  assertEquals(await refusal({ snapshot: firsts[1]?.next }), "unavailable");
  assertEquals((await page()).keys, ["a"]);
});
