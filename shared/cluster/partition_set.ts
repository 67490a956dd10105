/**
 * A set of partitions, with one bit for each, and its text on the wire: base64 of the bits, partition 0
 * being the highest bit of the first byte. A list of numbers would be many times as long.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { KvError } from "../base/errors.ts";
import { PARTITIONS_MAX } from "../limits/cluster.ts";

/** Partitions from 0 to a number that is fixed when the set is made. */
export class PartitionSet {
  /** How many partitions there are. */
  readonly partitionCount: number;
  readonly #bits: Uint8Array;
  #size = 0;

  /** An empty set. */
  constructor(partitionCount: number) {
    this.partitionCount = partitionCount;
    this.#bits = new Uint8Array(Math.ceil(partitionCount / 8));
  }

  /** All of them. */
  static all(partitionCount: number): PartitionSet {
    const set = new PartitionSet(partitionCount);
    for (let p = 0; p < partitionCount; p++) set.add(p);
    return set;
  }

  /** @throws {KvError} `bad_request` */
  static fromText(text: string, partitionCount: number): PartitionSet {
    if (text.length > Math.ceil(PARTITIONS_MAX / 8) * 2 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
      throw new KvError("bad_request", `"partitions" must be base64 of a bit for each partition`);
    }
    const set = new PartitionSet(partitionCount);
    const bytes = Buffer.from(text, "base64");
    for (let p = 0; p < Math.min(partitionCount, bytes.length * 8); p++) {
      if (((bytes[p >>> 3] ?? 0) & (0x80 >>> (p & 7))) !== 0) set.add(p);
    }
    return set;
  }

  /** The number of partitions in it. */
  get size(): number {
    return this.#size;
  }

  has(partition: number): boolean {
    return ((this.#bits[partition >>> 3] ?? 0) & (0x80 >>> (partition & 7))) !== 0;
  }

  add(partition: number): void {
    if (partition >= this.partitionCount || this.has(partition)) return;
    this.#bits[partition >>> 3] = (this.#bits[partition >>> 3] ?? 0) | (0x80 >>> (partition & 7));
    this.#size++;
  }

  delete(partition: number): void {
    if (!this.has(partition)) return;
    this.#bits[partition >>> 3] = (this.#bits[partition >>> 3] ?? 0) & ~(0x80 >>> (partition & 7));
    this.#size--;
  }

  /** In ascending order. The set may be changed meanwhile. */
  *[Symbol.iterator](): Generator<number, void, void> {
    for (let p = 0; p < this.partitionCount; p++) if (this.has(p)) yield p;
  }

  toText(): string {
    const { buffer, byteOffset, byteLength } = this.#bits;
    return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
  }
}
