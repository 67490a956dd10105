/**
 * What was deleted kept its space on disk: LevelDB compacts when it is written to, and after FLUSHALL it is not.
 * Three rounds of 300 MB left 376 MB for no keys, and three of 40 MB (here) about 52 MB.
 */
import { assert, assertEquals } from "@std/assert";
import {
  BATCH_BYTES_MAX,
  COMPACTION_WASTE_MAX,
  JOURNAL_RESERVE_BYTES,
  SEGMENT_BYTES,
} from "../../shared/limits/storage.ts";
import { askJson } from "../../tools/json_probe.ts";
import { NODE } from "../../tools/programs.ts";
import { ServerProcess } from "../../tools/server_process.ts";
import { RespClient } from "../support/clients/resp_client.ts";

const ROUNDS = 3;
const VALUES = 640;
const VALUE_BYTES = 64 * 1024;
/** LevelDB's log. */
const LOG_BYTES = 8 * 1024 * 1024;
/** The journal's last segment, the one that the next is written over (each may end with a batch), and what is taken in advance. */
const JOURNAL_BYTES = 2 * (SEGMENT_BYTES + 2 * BATCH_BYTES_MAX) + JOURNAL_RESERVE_BYTES;
const WAIT_BOUND_MS = 60_000;

interface NodeStats {
  entries: number;
  compacted: number;
  database_bytes: number;
}

async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { name } of Deno.readDir(folder)) {
    // A table that was replaced may go between the two.
    bytes += (await Deno.stat(`${folder}/${name}`).catch(() => undefined))?.size ?? 0;
  }
  return bytes;
}

Deno.test("what was deleted takes no space on disk after a while, and nothing has to be written for that", async () => {
  const folder = await Deno.makeTempDir({ prefix: "kv-test-" });
  const args = [
    "--port=0",
    "--standalone",
    "--partitions=8",
    "--fsync=never",
    `--data=${folder}/n`,
  ];
  const node = ServerProcess.start(NODE, args, { cwd: folder });
  try {
    const address = await node.ready;
    using client = await RespClient.connect({ hostname: address.host, port: address.port });
    const value = new Uint8Array(VALUE_BYTES);
    for (let round = 0; round < ROUNDS; round++) {
      for (let i = 0; i < VALUES; i++) {
        // What can be compressed would take less space.
        crypto.getRandomValues(value);
        assertEquals(await client.ask(["SET", `round${round}:${i}`, value]), "+OK\r\n");
      }
      assertEquals(await client.ask("FLUSHALL"), "+OK\r\n");
    }
    const endMs = performance.now() + WAIT_BOUND_MS;
    for (;;) {
      const bytes = await folderBytes(`${folder}/n/db`);
      const journalBytes = await folderBytes(`${folder}/n/journal`);
      const stats = (await askJson(address, { req_type: "stats" })).result as NodeStats;
      assertEquals(stats.entries, 0);
      const given = stats.database_bytes <= COMPACTION_WASTE_MAX && stats.compacted > 0;
      const isLittle = bytes <= COMPACTION_WASTE_MAX + LOG_BYTES && journalBytes <= JOURNAL_BYTES;
      if (given && isLittle) break;
      const seen = `${bytes} bytes, and ${journalBytes} of the journal, are on disk for no keys: ` +
        JSON.stringify(stats);
      assert(performance.now() < endMs, seen);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  } finally {
    await node.crash();
    await Deno.remove(folder, { recursive: true });
  }
});
