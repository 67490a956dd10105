/**
 * Reads a backup file: first all of it, to make sure that it is complete and undamaged, then partition by
 * partition. It keeps in memory the place of each chunk, and one chunk.
 *
 * Invariant: a file that `openBackup` accepts is, byte for byte, one that a writer has finished, and every
 * entry in it is valid and belongs to its partition.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import type { Entry } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { PARTITIONS_MAX } from "../../shared/limits/cluster.ts";
import { isDatabaseListing } from "../../shared/cluster/databases.ts";
import { compareKeys } from "../../shared/base/key_order.ts";
import { partitionOf } from "../../shared/cluster/position.ts";
import {
  BACKUP_FORMAT,
  BACKUP_FORMAT_NAMED,
  type BackupHeader,
  type BackupSection,
  CHUNK_HEAD_BYTES,
  damaged,
  decodeChunkHead,
  decodeDocument,
  decodeEntries,
  decodeFrameHead,
  decompress,
  FRAME,
  FRAME_HEAD_BYTES,
  frameCrc,
  MAGIC,
} from "./backup_format.ts";

/** A file that can be read at any place. */
export interface ByteSource {
  readonly bytes: number;
  /** This many bytes from `at` on; fewer at the end. */
  read(at: number, length: number): Promise<Uint8Array>;
}

/** Where a chunk's payload is. */
interface ChunkPlace {
  readonly at: number;
  readonly length: number;
}

/** A partition whose end has not been read. */
interface OpenSection {
  readonly attempt: number;
  readonly hash: Hash;
  readonly chunks: ChunkPlace[];
  lastKey: string | undefined;
  entries: number;
  bytes: number;
  highestSeq: number;
}

/** A complete and undamaged backup. */
export interface Backup {
  readonly header: BackupHeader;
  readonly entries: number;
  /** By partition. */
  readonly sections: readonly BackupSection[];
  /** The entries of a partition in key order, a chunk at a time. @throws {KvError} `corrupt` */
  read(partition: number): AsyncGenerator<Entry[], void, void>;
}

/**
 * Reads and checks a file.
 *
 * @param onProgress told how many bytes have been checked
 * @throws {KvError} `corrupt` if it is damaged or cut off; `wrong_version` if a newer program wrote it
 */
export async function openBackup(
  source: ByteSource,
  onProgress: (bytes: number) => void = () => {},
): Promise<Backup> {
  return await new Checker(source).run(onProgress);
}

class Checker {
  readonly #source: ByteSource;
  readonly #hash = createHash("sha256");
  readonly #open = new Map<number, OpenSection>();
  readonly #sections = new Map<number, BackupSection>();
  readonly #places = new Map<number, readonly ChunkPlace[]>();
  #header: BackupHeader | undefined;
  #entries = 0;
  #at = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  async run(onProgress: (bytes: number) => void): Promise<Backup> {
    const magic = await this.#source.read(0, MAGIC.length);
    if (magic.length !== MAGIC.length || magic.some((byte, i) => byte !== MAGIC[i])) {
      throw new KvError("corrupt", "this is not a backup: it does not begin like one");
    }
    this.#hash.update(magic);
    this.#at = MAGIC.length;
    while (!await this.#frame()) onProgress(this.#at);
    onProgress(this.#at);
    const header = this.#header;
    if (header === undefined) throw damaged("no header");
    const { length } = { length: header.partitions };
    const sections = Array.from({ length }, (_, partition) => {
      const section = this.#sections.get(partition);
      if (section === undefined) throw damaged(`no partition ${partition}`);
      return section;
    });
    const places = this.#places;
    const source = this.#source;
    return {
      header,
      sections,
      entries: this.#entries,
      async *read(partition) {
        for (const place of places.get(partition) ?? []) yield await readChunk(source, place);
      },
    };
  }

  /** The next frame. @returns whether it was the last */
  async #frame(): Promise<boolean> {
    const head = await this.#source.read(this.#at, FRAME_HEAD_BYTES);
    if (head.length < FRAME_HEAD_BYTES) throw damaged("no end");
    const { type, length, crc } = decodeFrameHead(head);
    const at = this.#at + FRAME_HEAD_BYTES;
    const payload = await this.#source.read(at, length);
    if (payload.length < length) throw damaged("no end");
    if (frameCrc(head, payload) !== crc) {
      throw damaged(`a wrong checksum ${this.#at} bytes from its beginning`);
    }
    if ((this.#header === undefined) !== (type === FRAME.header)) throw damaged("no header");
    this.#at = at + length;
    if (type === FRAME.trailer) {
      this.#checkTrailer(decodeDocument(payload));
      return true;
    }
    this.#hash.update(head);
    this.#hash.update(payload);
    if (type === FRAME.header) this.#header = headerOf(decodeDocument(payload));
    else if (type === FRAME.chunk) await this.#chunk(payload, { at, length });
    else if (type === FRAME.section) this.#section(decodeDocument(payload));
    else throw damaged(`a frame of the unknown kind ${type}`);
    return false;
  }

  async #chunk(payload: Uint8Array, place: ChunkPlace): Promise<void> {
    const { partition, attempt, bytes } = decodeChunkHead(payload);
    const partitions = this.#header?.partitions ?? 0;
    if (partition >= partitions || this.#sections.has(partition)) {
      throw damaged(`a chunk of partition ${partition}, which is not open`);
    }
    let open = this.#open.get(partition);
    if (open === undefined || attempt > open.attempt) {
      const hash = createHash("sha256");
      const none = { lastKey: undefined, entries: 0, bytes: 0, highestSeq: 0 };
      open = { attempt, hash, chunks: [], ...none };
      this.#open.set(partition, open);
    } else if (attempt < open.attempt) throw damaged("a chunk of an attempt that was given up");
    const text = await decompress(payload.subarray(CHUNK_HEAD_BYTES), bytes);
    open.hash.update(text);
    open.bytes += bytes;
    open.chunks.push(place);
    for (const { key, seq } of decodeEntries(text)) {
      if (open.lastKey !== undefined && compareKeys(open.lastKey, key) >= 0) {
        throw damaged("keys that are out of order");
      }
      if (partitionOf(key, partitions) !== partition) throw damaged("a key in a wrong partition");
      open.lastKey = key;
      open.entries++;
      open.highestSeq = Math.max(open.highestSeq, seq);
    }
  }

  #section(document: Record<string, unknown>): void {
    const section = sectionOf(document);
    const { partition } = section;
    const open = this.#open.get(partition);
    if (partition >= (this.#header?.partitions ?? 0) || this.#sections.has(partition)) {
      throw damaged(`an end of partition ${partition}, which is not open`);
    }
    const found = open?.attempt === section.attempt ? open : undefined;
    const sha256 = (found?.hash ?? createHash("sha256")).digest("hex");
    if (
      section.entries !== (found?.entries ?? 0) || section.bytes !== (found?.bytes ?? 0) ||
      section.chunks !== (found?.chunks.length ?? 0) || section.sha256 !== sha256 ||
      (found?.highestSeq ?? 0) > section.seq
    ) throw damaged(`another partition ${partition} than was written`);
    this.#open.delete(partition);
    this.#sections.set(partition, section);
    this.#places.set(partition, found?.chunks ?? []);
    this.#entries += section.entries;
  }

  #checkTrailer({ sections, entries, sha256 }: Record<string, unknown>): void {
    if (
      sections !== this.#sections.size || entries !== this.#entries ||
      sha256 !== this.#hash.digest("hex")
    ) throw damaged("another content than was written");
    if (this.#at !== this.#source.bytes) throw damaged("bytes behind its end");
  }
}

async function readChunk(source: ByteSource, { at, length }: ChunkPlace): Promise<Entry[]> {
  const payload = await source.read(at, length);
  if (payload.length < length) throw damaged("no end any more");
  const { bytes } = decodeChunkHead(payload);
  return decodeEntries(await decompress(payload.subarray(CHUNK_HEAD_BYTES), bytes));
}

function headerOf(document: Record<string, unknown>): BackupHeader {
  const { format, clusterId, clusterName, partitions, createdMs, program, databases } = document;
  if (format !== BACKUP_FORMAT && format !== BACKUP_FORMAT_NAMED) {
    throw new KvError(
      "wrong_version",
      `the backup has format ${
        JSON.stringify(format)
      }, this program reads ${BACKUP_FORMAT_NAMED} and those before; use ` +
        "the version of kv-client that wrote it",
    );
  }
  if (
    typeof clusterId !== "string" || typeof clusterName !== "string" ||
    !isCount(partitions) || partitions < 1 || partitions > PARTITIONS_MAX ||
    (partitions & (partitions - 1)) !== 0 || !isCount(createdMs) || typeof program !== "string" ||
    (databases !== undefined && !isDatabaseListing(databases))
  ) throw damaged("a header whose fields are not valid");
  const header = { format, clusterId, clusterName, partitions, createdMs, program };
  return databases === undefined ? header : { ...header, databases };
}

function sectionOf(document: Record<string, unknown>): BackupSection {
  const { partition, attempt, term, seq, entries, chunks, bytes, sha256 } = document;
  if (
    !isCount(partition) || !isCount(attempt) || !isCount(term) || !isCount(seq) ||
    !isCount(entries) || !isCount(chunks) || !isCount(bytes) || typeof sha256 !== "string"
  ) throw damaged("an end of a partition whose fields are not valid");
  return { partition, attempt, term, seq, entries, chunks, bytes, sha256 };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
