import { assertEquals, assertGreater } from "@std/assert";
import { DataFolder } from "../../../node/storage/leveldb/data_folder.ts";
import {
  GroupCommit,
  openPartitionStores,
  PartitionStore,
} from "../../../node/storage/partition_store.ts";
import { SystemClock } from "../../../shared/platform/clock.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { CRASH_PARTITIONS, crashEntries } from "../../support/data/crash_entries.ts";

const WRITER = new URL("../../support/data/crash_writer.ts", import.meta.url);

/** Runs the writer until it has acknowledged this often, kills it, and says what it acknowledged. */
async function writeAndKill(path: string, fsync: string, acksWanted: number): Promise<number[]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", WRITER.pathname, path, fsync],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const acked = new Array<number>(CRASH_PARTITIONS).fill(0);
  let acks = 0;
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    // A line that the kill cut off was not said.
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [partition, lastSeq] = line.split(" ").map(Number);
      if (partition === undefined || lastSeq === undefined) continue;
      acked[partition] = lastSeq;
      if (++acks === acksWanted) child.kill("SIGKILL");
    }
  }
  await child.status;
  assertGreater(acks, acksWanted - 1, "the writer got so far");
  return acked;
}

/** Opens the folder and compares everything with what must be there. */
async function checkFolder(path: string, acked: readonly number[]): Promise<void> {
  const folder = await DataFolder.open(path, { random: new SeededRandom(1) });
  try {
    const opened = await openPartitionStores(folder.storage, CRASH_PARTITIONS);
    assertEquals([...opened.damaged], []);
    const queue = new GroupCommit(folder.storage, new SystemClock(), {
      fsync: "always",
      onError: (error) => {
        throw error;
      },
    });
    for (const [partition, state] of opened) {
      assertGreater(state.lastSeq, (acked[partition] ?? 0) - 1, "acknowledged writes are there");
      const store = new PartitionStore(queue, partition, state, () => {});
      const { entries } = await store.scan(undefined, { rowsMax: 1e6, bytesMax: 1e9 });
      const found = new Map(entries.map((entry) => [entry.key, entry]));
      assertEquals(found, crashEntries(partition, state.lastSeq));
      assertEquals(await store.verify(), true);
    }
    assertEquals(opened.size, CRASH_PARTITIONS);
    await queue.close();
  } finally {
    await folder.close();
  }
}

for (const fsync of ["always", "interval", "never"]) {
  Deno.test(`a process killed in mid-write, fsync ${fsync}, has lost no acknowledged write`, async () => {
    const parent = await Deno.makeTempDir();
    try {
      for (const acksWanted of [3, 400, 900]) {
        const acked = await writeAndKill(`${parent}/data`, fsync, acksWanted);
        await checkFolder(`${parent}/data`, acked);
      }
    } finally {
      await Deno.remove(parent, { recursive: true });
    }
  });
}
