import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type BackupHeader,
  compress,
  decodeEntries,
  decompress,
  encodeDocument,
  encodeEntries,
  FRAME,
  FRAME_HEAD_BYTES,
  MAGIC,
} from "../../../../client/backup/backup_format.ts";
import { openBackup } from "../../../../client/backup/backup_reader.ts";
import { BackupWriter } from "../../../../client/backup/backup_writer.ts";
import type { Entry } from "../../../../shared/base/entry.ts";
import { type ErrorCode, KvError } from "../../../../shared/base/errors.ts";
import { compareKeys } from "../../../../shared/base/key_order.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

const PARTITIONS = 4;
const HEADER: BackupHeader = {
  format: 1,
  clusterId: "c1",
  clusterName: "shop",
  partitions: PARTITIONS,
  createdMs: 1_700_000_000_000,
  program: "test",
};

function entriesOf(partition: number): Entry[] {
  const random = new SeededRandom(partition + 1);
  const entries: Entry[] = [];
  for (let i = 0; entries.length < 6; i++) {
    const key = i % 3 === 0 ? `ключ ${i} 🦊` : `key ${i}`;
    if (partitionOf(key, PARTITIONS) !== partition) continue;
    const value = Uint8Array.from({ length: randomBelow(random, 40) }, () => random.uint32());
    const expiresAtMs = i % 2 === 0 ? 2 ** 42 + i : 0;
    const seq = 1 + randomBelow(random, 100);
    const entry = { key, seq, term: 0, flags: 0, timestampMs: 2 ** 41 + i, expiresAtMs, value };
    entries.push(i % 2 === 0 ? entry : { ...entry, contentType: "text/plain; charset=utf-8" });
  }
  return entries.sort((a, b) => compareKeys(a.key, b.key));
}

/** A file, written in the order of a backup that had to begin partition 1 anew. */
async function makeFile(): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const writer = await BackupWriter.begin((bytes) => {
    pieces.push(bytes.slice());
    return Promise.resolve();
  }, HEADER);
  const all = Array.from({ length: PARTITIONS }, (_, p) => entriesOf(p));
  for (let p = 0; p < PARTITIONS; p++) writer.beginPartition(p);
  // Partition 3 stays empty.
  await writer.chunk(1, (all[1] ?? []).slice(0, 2));
  await writer.chunk(0, (all[0] ?? []).slice(0, 3));
  writer.beginPartition(1);
  await writer.chunk(1, (all[1] ?? []).slice(0, 4));
  await writer.chunk(0, (all[0] ?? []).slice(3));
  await writer.endPartition(0, { seq: 100, term: 3 });
  await writer.chunk(1, (all[1] ?? []).slice(4));
  await writer.chunk(2, all[2] ?? []);
  await writer.endPartition(2, { seq: 101, term: 1 });
  await writer.endPartition(1, { seq: 100, term: 7 });
  await writer.endPartition(3, { seq: 9, term: 1 });
  await writer.end();
  const file = new Uint8Array(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  assertEquals(writer.bytes, file.length);
  assertEquals([writer.entries, writer.sections], [18, PARTITIONS]);
  return file;
}

function open(file: Uint8Array) {
  return openBackup({
    bytes: file.length,
    read: (at, length) => Promise.resolve(file.slice(at, at + length)),
  });
}

async function refusal(file: Uint8Array, what: string): Promise<ErrorCode> {
  const error = await assertRejects(() => open(file), KvError, "", what);
  return error.code;
}

/** Where each frame begins. */
function framesOf(file: Uint8Array): number[] {
  const view = new DataView(file.buffer);
  const starts: number[] = [];
  for (let at = MAGIC.length; at < file.length;) {
    starts.push(at);
    at += FRAME_HEAD_BYTES + view.getUint32(at + 1);
  }
  return starts;
}

function without(file: Uint8Array, from: number, to: number): Uint8Array {
  const rest = new Uint8Array(file.length - (to - from));
  rest.set(file.subarray(0, from));
  rest.set(file.subarray(to), from);
  return rest;
}

Deno.test("a backup that was written is read back as it was, without what was begun anew", async () => {
  const backup = await open(await makeFile());
  assertEquals(backup.header, HEADER);
  assertEquals(backup.entries, 18);
  assertEquals(backup.sections.map(({ seq, term }) => [seq, term]), [[100, 3], [100, 7], [101, 1], [
    9,
    1,
  ]]);
  for (let p = 0; p < PARTITIONS; p++) {
    const found: Entry[] = [];
    for await (const entries of backup.read(p)) found.push(...entries);
    assertEquals(found, p === 3 ? [] : entriesOf(p));
  }
});

Deno.test("openBackup refuses a file that is cut off anywhere, or goes on behind its end", async () => {
  const file = await makeFile();
  const starts = [...framesOf(file), file.length];
  for (let length = 0; length < file.length; length++) {
    // Everywhere near an end of a frame, and now and then between.
    if (length % 7 !== 0 && !starts.some((start) => Math.abs(start - length) < 2)) continue;
    assertEquals(await refusal(file.subarray(0, length), `${length} bytes`), "corrupt");
  }
  const longer = new Uint8Array(file.length + 1);
  longer.set(file);
  assertEquals(await refusal(longer, "one byte more"), "corrupt");
});

Deno.test("openBackup refuses a file with a flipped bit anywhere", async () => {
  const file = await makeFile();
  const random = new SeededRandom(11);
  for (let at = 0; at < file.length; at += 1 + randomBelow(random, 5)) {
    const flipped = file.slice();
    flipped[at] = (flipped[at] ?? 0) ^ (1 << randomBelow(random, 8));
    assertEquals(await refusal(flipped, `byte ${at}`), "corrupt");
  }
});

Deno.test("openBackup refuses a file that lacks a frame, or has one twice or elsewhere", async () => {
  const file = await makeFile();
  const starts = framesOf(file);
  const ends = [...starts.slice(1), file.length];
  for (const [i, from] of starts.entries()) {
    const to = ends[i] ?? 0;
    assertEquals(await refusal(without(file, from, to), `without frame ${i}`), "corrupt");
    const twice = new Uint8Array(file.length + to - from);
    twice.set(file.subarray(0, to));
    twice.set(file.subarray(from), to);
    assertEquals(await refusal(twice, `frame ${i} twice`), "corrupt");
    const next = ends[i + 1];
    if (next === undefined) continue;
    const swapped = file.slice();
    swapped.set(file.subarray(to, next), from);
    swapped.set(file.subarray(from, to), from + next - to);
    assertEquals(await refusal(swapped, `frame ${i} behind the next`), "corrupt");
  }
});

Deno.test("openBackup refuses a file of another format, and what is no backup", async () => {
  const later = encodeDocument(FRAME.header, { ...HEADER, format: 3 });
  const file = new Uint8Array(MAGIC.length + later.length);
  file.set(MAGIC);
  file.set(later, MAGIC.length);
  assertEquals(await refusal(file, "format 3"), "wrong_version");
  assertEquals(await refusal(new TextEncoder().encode("key,value\n"), "CSV"), "corrupt");
  const random = new SeededRandom(5);
  for (let i = 0; i < 200; i++) {
    const noise = Uint8Array.from({ length: randomBelow(random, 200) }, () => random.uint32());
    const begun = new Uint8Array(MAGIC.length + noise.length);
    begun.set(MAGIC);
    begun.set(noise, MAGIC.length);
    assertEquals(await refusal(begun, `noise ${i}`), "corrupt");
  }
});

Deno.test("decodeEntries gives what encodeEntries took, and refuses what it never gives", () => {
  const entries = [0, 1, 2].flatMap(entriesOf);
  const text = encodeEntries(entries);
  assertEquals(decodeEntries(text), entries);
  const random = new SeededRandom(3);
  for (let i = 0; i < 2_000; i++) {
    const bad = text.slice(0, randomBelow(random, text.length));
    bad[randomBelow(random, bad.length)] = random.uint32();
    try {
      for (const { key, seq } of decodeEntries(bad)) assert(key !== "" && seq > 0);
    } catch (error) {
      assert(error instanceof KvError && error.code === "corrupt");
    }
  }
});

Deno.test("decompress takes no more than a chunk announces", async () => {
  const gzip = await compress(new Uint8Array(1_000_000));
  assert(gzip.length < 10_000);
  await assertRejects(() => decompress(gzip, 1_000), KvError, "longer");
  await assertRejects(() => decompress(gzip, 1_000_001), KvError, "shorter");
  await assertRejects(() => decompress(gzip.subarray(0, 20), 1_000_000), KvError);
  await assertRejects(() => decompress(new Uint8Array(9), 0), KvError, "gzip");
});
