/**
 * A node's storage without network and replication: partition stores, group commit, journal and LevelDB.
 *
 * @module
 */
import { GroupCommit } from "../../node/storage/group_commit.ts";
import { SeededKeyHash } from "../../node/storage/key_hash.ts";
import { DenoJournalFiles } from "../../node/storage/journal/deno_journal_files.ts";
import { JournalStorage } from "../../node/storage/journal/journal_storage.ts";
import { LevelStorage } from "../../node/storage/leveldb/level_storage.ts";
import { openPartitionStores } from "../../node/storage/recovery.ts";
import { NO_STATE, PartitionStore } from "../../node/storage/partition_store.ts";
import { isControlKey } from "../../node/storage/state_record.ts";
import { RowCache } from "../../node/storage/row_cache.ts";
import { SystemClock } from "../../shared/platform/clock.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { partitionOf } from "../../shared/cluster/position.ts";
import { SystemRandom } from "../../shared/platform/random.ts";
import { type Effort, measure, type Report } from "../figure.ts";
import { sampleKeys, textOfBytes } from "../sample_data.ts";

const GROUP = "storage";
const PARTITIONS = 256;
const KEYS = 20_000;
const PAGE_ROWS = 1_000;

/** Measures them, in a folder that is empty. */
export async function measureStorage(
  effort: Effort,
  folder: string,
  report: Report,
): Promise<void> {
  const run = async (
    name: string,
    work: (times: number) => unknown | Promise<unknown>,
    operations = 1,
  ) => report(await measure(GROUP, name, effort, work, operations));
  const keys = sampleKeys(KEYS);
  const keyAt = (i: number) => keys[(i * 7_919) % KEYS] ?? "";

  for (const [mode, cacheBytes] of [["cached", 64 * 1024 * 1024], ["not cached", 0]] as const) {
    const bench = await openStores(`${folder}/${cacheBytes}`, cacheBytes);
    try {
      for (let i = 0; i < KEYS; i += PAGE_ROWS) {
        for (let j = i; j < i + PAGE_ROWS; j++) bench.put(keys[j] ?? "");
        await bench.written();
      }
      await run(`get of 100 B, ${mode}`, (times) => {
        let size = 0;
        for (let i = 0; i < times; i++) size += bench.get(keyAt(i))?.value.length ?? 0;
        return size;
      });
      if (cacheBytes === 0) continue;
      for (const batch of [1, 100, 1_000]) {
        let next = 0;
        await run(`put of 100 B, synced, ${batch} a batch`, async (times) => {
          for (let i = 0; i < times; i++) {
            for (let j = 0; j < batch; j++) bench.put(keyAt(next++));
            await bench.written();
          }
        }, batch);
      }
      await run(`scan, ${PAGE_ROWS} rows a page (per row)`, (times) => bench.scanRows(times));
    } finally {
      await bench.close();
    }
  }
}

/** The stores of all partitions on one database, as a node has them. */
interface Stores {
  put(key: string): void;
  get(key: string): Entry | undefined;
  /** When all that was put is on disk. */
  written(): Promise<void>;
  /** Reads this many rows, or a few more, partition by partition. */
  scanRows(rows: number): Promise<number>;
  close(): Promise<void>;
}

async function openStores(folder: string, cacheBytes: number): Promise<Stores> {
  const clock = new SystemClock();
  const random = new SystemRandom();
  const storage = await JournalStorage.open({
    clock,
    random,
    files: new DenoJournalFiles(`${folder}/journal`),
    table: await LevelStorage.open(`${folder}/db`),
    id: "bench",
    create: true,
    isControl: isControlKey,
  });
  await openPartitionStores(storage, PARTITIONS);
  const queue = new GroupCommit(storage, clock, {
    fsync: "always",
    cache: cacheBytes === 0
      ? undefined
      : new RowCache(cacheBytes, new SeededKeyHash(new SystemRandom())),
    onError: (error) => {
      throw error;
    },
  });
  const stores = Array.from(
    { length: PARTITIONS },
    (_, partition) => new PartitionStore(queue, partition, NO_STATE, () => {}),
  );
  const storeOf = (key: string) => {
    const store = stores[partitionOf(key, PARTITIONS)];
    if (store === undefined) throw new Error(`no partition for the key ${key}`);
    return store;
  };
  const value = new TextEncoder().encode(textOfBytes(100));
  let partition = 0;
  return {
    put(key) {
      const store = storeOf(key);
      const seq = store.state.lastSeq + 1;
      const timestampMs = clock.wallMs();
      store.apply({ key, seq, term: 1, flags: 0, timestampMs, expiresAtMs: 0, value });
      store.setState({ lastSeq: seq, commitSeq: seq });
    },
    get: (key) => storeOf(key).get(key),
    written: () =>
      new Promise((resolve, reject) =>
        queue.whenWritten((error) => error === undefined ? resolve() : reject(error))
      ),
    async scanRows(rows) {
      let seen = 0;
      while (seen < rows) {
        const store = stores[partition++ % PARTITIONS];
        let after: string | undefined;
        do {
          const page = await store?.scan(after, { rowsMax: PAGE_ROWS, bytesMax: 1024 * 1024 });
          seen += page?.entries.length ?? 0;
          after = page?.next;
        } while (after !== undefined && seen < rows);
      }
      return seen;
    },
    async close() {
      await queue.close();
      await storage.close();
    },
  };
}
