/**
 * Writes a backup file: header, chunks of partitions in any order, each partition's end, trailer. If a
 * partition is begun again, it gets a higher attempt; what was written of the earlier attempt stays in the
 * file and means nothing.
 *
 * Invariants: frames are written whole, one after the other; there is no trailer without the end of every
 * partition.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import type { Entry } from "../../shared/base/entry.ts";
import { invariant } from "../../shared/base/errors.ts";
import {
  type BackupHeader,
  type BackupSection,
  type BackupTrailer,
  compress,
  encodeChunkHead,
  encodeDocument,
  encodeEntries,
  encodeFrame,
  FRAME,
  MAGIC,
} from "./backup_format.ts";

/** A partition that is being written. */
interface Attempt {
  readonly number: number;
  readonly hash: Hash;
  entries: number;
  chunks: number;
  bytes: number;
}

/** See the top of this file. Its calls may overlap, but not those of one partition. */
export class BackupWriter {
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  readonly #hash: Hash = createHash("sha256");
  readonly #partitions: number;
  readonly #attempts = new Map<number, Attempt>();
  #sections = 0;
  #entries = 0;
  #bytes = 0;
  /** The last write; the next one waits for it. */
  #tail: Promise<void> = Promise.resolve();

  private constructor(write: (bytes: Uint8Array) => Promise<void>, partitions: number) {
    this.#write = write;
    this.#partitions = partitions;
  }

  static async begin(
    write: (bytes: Uint8Array) => Promise<void>,
    header: BackupHeader,
  ): Promise<BackupWriter> {
    const writer = new BackupWriter(write, header.partitions);
    await writer.#put(MAGIC);
    await writer.#put(encodeDocument(FRAME.header, header));
    return writer;
  }

  /** Bytes of the file so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Entries of the partitions that are complete. */
  get entries(): number {
    return this.#entries;
  }

  /** Partitions that are complete. */
  get sections(): number {
    return this.#sections;
  }

  /** Begins a partition, for the first time or again. */
  beginPartition(partition: number): void {
    const number = (this.#attempts.get(partition)?.number ?? 0) + 1;
    const hash = createHash("sha256");
    this.#attempts.set(partition, { number, hash, entries: 0, chunks: 0, bytes: 0 });
  }

  /** Adds live entries of a partition that was begun, after those that it has. */
  async chunk(partition: number, entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return;
    const attempt = this.#attempt(partition);
    const text = encodeEntries(entries);
    attempt.hash.update(text);
    attempt.entries += entries.length;
    attempt.chunks++;
    attempt.bytes += text.length;
    const head = encodeChunkHead(partition, attempt.number, text.length);
    await this.#put(encodeFrame(FRAME.chunk, head, await compress(text)));
  }

  /** A partition is complete. */
  async endPartition(partition: number, { seq, term }: { seq: number; term: number }) {
    const { number, hash, entries, chunks, bytes } = this.#attempt(partition);
    const section: BackupSection = {
      partition,
      attempt: number,
      term,
      seq,
      entries,
      chunks,
      bytes,
      sha256: hash.digest("hex"),
    };
    await this.#put(encodeDocument(FRAME.section, section));
    this.#sections++;
    this.#entries += entries;
  }

  /** Ends the file. */
  async end(): Promise<void> {
    invariant(this.#sections === this.#partitions, "every partition is in the backup");
    await this.#tail;
    const sha256 = this.#hash.digest("hex");
    const trailer: BackupTrailer = { sections: this.#sections, entries: this.#entries, sha256 };
    const frame = encodeDocument(FRAME.trailer, trailer);
    this.#bytes += frame.length;
    await this.#write(frame);
  }

  #attempt(partition: number): Attempt {
    const attempt = this.#attempts.get(partition);
    invariant(attempt !== undefined, "the partition was begun", { partition });
    return attempt;
  }

  #put(bytes: Uint8Array): Promise<void> {
    return this.#tail = this.#tail.then(async () => {
      this.#hash.update(bytes);
      this.#bytes += bytes.length;
      await this.#write(bytes);
    });
  }
}
