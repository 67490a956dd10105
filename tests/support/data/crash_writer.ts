/**
 * A process that writes to a data folder as a node does, until it is killed. Prints
 * `partition lastSeq` for each acknowledgement, from the line `open` on.
 *
 * Usage: crash_writer.ts FOLDER FSYNC
 *
 * @module
 */
import { DataFolder } from "../../../node/storage/leveldb/data_folder.ts";
import { SeededKeyHash } from "../../../node/storage/key_hash.ts";
import {
  type FsyncMode,
  GroupCommit,
  NO_STATE,
  openPartitionStores,
  PartitionStore,
} from "../../../node/storage/partition_store.ts";
import { RowCache } from "../../../node/storage/row_cache.ts";
import { SystemClock } from "../../../shared/platform/clock.ts";
import { SystemRandom } from "../../../shared/platform/random.ts";
import { CRASH_PARTITIONS, crashEntry } from "./crash_entries.ts";

const WRITES_IN_FLIGHT_MAX = 64;

async function main(path: string, fsync: FsyncMode): Promise<void> {
  const clock = new SystemClock();
  const folder = await DataFolder.open(path, { random: new SystemRandom() });
  const opened = await openPartitionStores(folder.storage, CRASH_PARTITIONS);
  const queue = new GroupCommit(folder.storage, clock, {
    fsync,
    cache: new RowCache(100_000, new SeededKeyHash(new SystemRandom())),
    onError: (error) => {
      throw error;
    },
  });
  const encoder = new TextEncoder();
  const write = (line: string) => Deno.stdout.writeSync(encoder.encode(line));
  write("open\n");
  for (let p = 0; p < CRASH_PARTITIONS; p++) {
    let acked = 0;
    const fill = () => {
      while (store.state.lastSeq - acked < WRITES_IN_FLIGHT_MAX) {
        const seq = store.state.lastSeq + 1;
        store.apply(crashEntry(p, seq));
        store.setState({ lastSeq: seq, term: 1, commitSeq: acked });
        if (seq % 7 === 0) break;
      }
    };
    const store: PartitionStore = new PartitionStore(
      queue,
      p,
      opened.get(p) ?? NO_STATE,
      (lastSeq) => {
        acked = lastSeq;
        write(`${p} ${lastSeq}\n`);
        fill();
      },
    );
    acked = store.state.lastSeq;
    fill();
  }
}

if (import.meta.main) {
  const [path = "", fsync = "always"] = Deno.args;
  await main(path, fsync as FsyncMode);
}
