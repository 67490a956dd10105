/**
 * A backup of real processes while clients write, and its restore into clusters of other sizes.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { decodeChunkHead, FRAME, FRAME_HEAD_BYTES } from "../../../client/backup/backup_format.ts";
import { type Backup, openBackup } from "../../../client/backup/backup_reader.ts";
import type { KvClient, KvEntry } from "../../../client/mod.ts";
import type { Entry } from "../../../shared/base/entry.ts";
import type { KeyRequest } from "../../../shared/wire/messages.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import { KEY_BYTES_MAX } from "../../../shared/limits/wire.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const PARTITIONS = 16;
const TAGS = 24;
const FAR_MS = 86_400_000;

/** Keys that nobody touches while the backup is made, by what they are. */
async function putStill(kv: KvClient): Promise<Map<string, Uint8Array>> {
  const values = new Map<string, Uint8Array>();
  const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
  for (let i = 0; i < 1_500; i++) values.set(`still ${i}`, random(i % 400));
  values.set("grüße 🦊", new TextEncoder().encode("wörter"));
  values.set("empty", new Uint8Array());
  values.set("large", random(50_000).map((byte) => byte & 0x7f));
  values.set("x".repeat(KEY_BYTES_MAX), random(10));
  const expiresAtMs = Date.now() + FAR_MS;
  await Promise.all(
    [...values].map(([key, value], i) =>
      kv.put(key, value, i % 3 === 0 ? { expiresAtMs: expiresAtMs + i } : {})
    ),
  );
  const typed = { req_type: "put", key: "typed", value: "{}", content_type: "application/json" };
  await kv.execute(typed as KeyRequest);
  values.set("typed", new TextEncoder().encode("{}"));
  await Promise.all(["gone", "gone too"].map((key) => kv.put(key, "x")));
  assertEquals(await kv.delete("gone"), true);
  assertEquals(await kv.delete("gone too"), true);
  return values;
}

/** Writes the same number to both keys of a tag, first to one, then to the other, on and on. */
function writePairs(kv: KvClient): { rounds: () => number; stop: () => Promise<void> } {
  let stopped = false;
  let rounds = 0;
  const writers = Array.from({ length: TAGS }, async (_, tag) => {
    for (let n = 1; !stopped; n++) {
      await kv.put(`{${tag}}first`, String(n));
      await kv.put(`{${tag}}then`, String(n));
      rounds++;
    }
  });
  return {
    rounds: () => rounds,
    async stop() {
      stopped = true;
      await Promise.all(writers);
    },
  };
}

async function readBackup(path: string): Promise<{ backup: Backup; all: Map<string, Entry> }> {
  const bytes = await Deno.readFile(path);
  const backup = await openBackup({
    bytes: bytes.length,
    read: (at, length) => Promise.resolve(bytes.subarray(at, at + length)),
  });
  const all = new Map<string, Entry>();
  for (const { partition, seq } of backup.sections) {
    for await (const entries of backup.read(partition)) {
      for (const entry of entries) {
        assert(entry.seq <= seq, "a snapshot holds nothing that is newer than it says");
        assert(!all.has(entry.key));
        all.set(entry.key, entry);
      }
    }
  }
  return { backup, all };
}

async function entriesOf(kv: KvClient): Promise<Map<string, KvEntry>> {
  const found = new Map<string, KvEntry>();
  for await (const entry of kv.scan()) found.set(entry.key, entry);
  return found;
}

/** What must hold of a cluster into which a backup was restored. */
function checkRestored(
  all: ReadonlyMap<string, Entry>,
  restored: ReadonlyMap<string, KvEntry>,
  partitionCount: number,
): void {
  assertEquals([...restored.keys()].sort(), [...all.keys()].sort());
  const homes = new Map<string, { was: number; is: number }[]>();
  for (const [key, entry] of all) {
    const now = restored.get(key);
    assertEquals(now?.value, entry.value, key);
    assertEquals(now?.expiresAtMs ?? 0, entry.expiresAtMs, key);
    const home = `${partitionOf(key, PARTITIONS)} ${partitionOf(key, partitionCount)}`;
    const versions = homes.get(home) ?? [];
    versions.push({ was: entry.seq, is: now?.version ?? 0 });
    homes.set(home, versions);
  }
  for (const versions of homes.values()) {
    versions.sort((a, b) => a.was - b.was);
    const order = versions.map(({ is }) => is);
    assertEquals(order, order.toSorted((a, b) => a - b), "the order of versions is kept");
  }
}

Deno.test("backup: each partition as of one moment, restored into clusters of other sizes", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 3, partitions: PARTITIONS });
  await using kv = await cluster.connect();
  const still = await putStill(kv);
  const pairs = writePairs(kv);
  const file = `${cluster.folder}/all.kvb`;
  const rounds = pairs.rounds();
  const made = await cluster.client("backup", file, "--json");
  assertEquals([made.code, made.stderr], [0, ""]);
  assertGreater(pairs.rounds(), rounds, "clients write meanwhile");
  await pairs.stop();
  const { backup, all } = await readBackup(file);

  await t.step(
    "the file holds every key, and pairs in the order in which they were written",
    () => {
      assertEquals(JSON.parse(made.stdout).entries, all.size);
      for (const [key, value] of still) assertEquals(all.get(key)?.value, value, key);
      assertEquals(all.size, still.size + 2 * TAGS);
      for (let tag = 0; tag < TAGS; tag++) {
        const number = (key: string) => Number(new TextDecoder().decode(all.get(key)?.value));
        const [first, then] = [number(`{${tag}}first`), number(`{${tag}}then`)];
        assert(first === then || first === then + 1, `${tag}: ${first}, ${then}`);
      }
      assertEquals(backup.sections.map(({ partition }) => partition).length, PARTITIONS);
    },
  );

  for (const partitions of [4, 64]) {
    await t.step(`restored into ${partitions} partitions`, async () => {
      await using other = await TestCluster.start({ nodes: 2, replicationFactor: 2, partitions });
      await using target = await other.connect();
      const damaged = await Deno.readFile(file);
      damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] ?? 0) ^ 1;
      await Deno.writeFile(`${other.folder}/damaged.kvb`, damaged);
      await Deno.writeFile(`${other.folder}/cut.kvb`, damaged.subarray(0, damaged.length - 1));
      for (const name of ["damaged.kvb", "cut.kvb"]) {
        const refused = await other.client("restore", name);
        assertEquals(refused.code, 1);
        assertStringIncludes(refused.stderr, "corrupt");
      }
      assertEquals((await entriesOf(target)).size, 0);

      const done = await other.client("restore", file);
      assertEquals([done.code, done.stderr], [0, ""]);
      checkRestored(all, await entriesOf(target), partitions);
      const typed = await target.execute({ req_type: "get", key: "typed" });
      assertEquals(typed.req_type === "data" && typed.content_type, "application/json");

      await target.put("still 1", "newer");
      const again = await other.client("restore", file);
      assertEquals(again.code, 6, again.stderr);
      assertStringIncludes(again.stderr, "--into-living");
      assertEquals(await target.getText("still 1"), "newer");
      const over = await other.client("restore", file, "--into-living");
      assertEquals([over.code, over.stderr], [0, ""]);
      checkRestored(all, await entriesOf(target), partitions);
    });
  }
});

Deno.test("backup: a node that dies in the middle costs its partitions a second beginning", async () => {
  await using cluster = await TestCluster.start({ nodes: 3, partitions: PARTITIONS });
  await using kv = await cluster.connect();
  const keys = Array.from({ length: 400 }, (_, i) => `key ${i}`);
  // So that a partition takes several pages.
  const value = "v".repeat(100_000);
  for (let i = 0; i < keys.length; i += 50) {
    await Promise.all(keys.slice(i, i + 50).map((key) => kv.put(key, value + key)));
  }
  const path = `${cluster.folder}/all.kvb`;
  const file = await Deno.open(path, { write: true, create: true });
  let crashed = false;
  const summary = await kv.backup(async (bytes) => {
    // The first page of a partition that has more: its primary dies before the next one.
    if (!crashed && bytes[0] === FRAME.chunk) {
      crashed = true;
      const { partition } = decodeChunkHead(bytes.subarray(FRAME_HEAD_BYTES));
      const { primary } = (await cluster.map()).partitions[partition] ?? {};
      await cluster.crash(await cluster.indexOf(primary) ?? 0);
    }
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  });
  file.close();
  assertGreater(summary.restarts, 0);
  const { all } = await readBackup(path);
  assertEquals([...all.keys()].sort(), keys.toSorted());
});
