/**
 * What a database says about itself: a state record per partition, and the records of the database
 * as a whole. All numbers are big-endian; the first eight bytes are those of every row
 * (`record.ts`): CRC, flags, format, two bytes 0.
 *
 * State record, under the partition's two bytes:
 *
 *      8  term (4 bytes)   12  commit seq (8)   20  last seq (8)   28  tombstone watermark (8)
 *     36  highest seq ever applied (8)          44  live entries (8)   52  digest (4)
 *     56  tombstones (8)   64  digest of the tombstones (4)
 *     flags: 1 being cleared, 2 found damaged, 4 there is a filled part:
 *     68  its term (4)     72  its commit seq (8)    80  the last key of it, to the end
 *
 * Records of the database, under a single byte, which is shorter than the key of any row of a partition:
 *
 *     01          identity: at 8 the database's id, in UTF-8
 *     00          in the table alone: 8  the last batch that it was fed (8)   16  the last one of which it may have
 *                 something (8)   24  the database's id, in UTF-8
 *
 * @module
 */
import type { ByteSlab } from "../../shared/base/byte_slab.ts";
import { crc32c } from "../../shared/base/crc32c.ts";
import { TOMBSTONE } from "../../shared/base/entry.ts";
import { bytesOfKey, keyOfBytes } from "../../shared/base/key_text.ts";
import {
  checkRow,
  digestOf,
  getUint32,
  getUint64,
  putUint32,
  putUint64,
  RECORD_FORMAT,
  recordKey,
} from "./record.ts";

/**
 * How far a transfer of everything has come that was not ended: of the keys up to `upto`, inclusive, every write up to
 * `commitSeq` is here. It says nothing of the others.
 */
export interface FilledPart {
  readonly upto: string;
  readonly commitSeq: number;
  /** The term in which it was said. */
  readonly term: number;
}

/** The state of a partition on this node. */
export interface PartitionState {
  /** The partition's last known term. */
  term: number;
  /** Every write up to this is known to be committed. */
  commitSeq: number;
  /** The last write that was accepted. */
  lastSeq: number;
  /** The highest seq of a tombstone that was dropped. */
  watermark: number;
  /** The number of entries, without tombstones. */
  count: number;
  /** Sum of `digestOf(crc)` of these, mod 2^32. */
  digest: number;
  /** The highest seq that any entry here has ever had; absent: not above `lastSeq`. */
  highSeq?: number;
  /** The number of tombstones, and their digest; only of this replica. Absent: 0. */
  tombstones?: number;
  tombstoneDigest?: number;
  /** The data was found damaged, and stays so until the partition is cleared. */
  damaged?: boolean;
  /** What is here of a transfer that may go on in the middle. */
  filled?: FilledPart | undefined;
}

/** What a state record says of the rows. `count` and `digest` can be compared with other replicas'. */
export class Tally {
  count = 0;
  digest = 0;
  tombstones = 0;
  tombstoneDigest = 0;

  static of(state: Readonly<PartitionState>): Tally {
    const tally = new Tally();
    tally.count = state.count;
    tally.digest = state.digest;
    tally.tombstones = state.tombstones ?? 0;
    tally.tombstoneDigest = state.tombstoneDigest ?? 0;
    return tally;
  }

  copyTo(state: PartitionState): void {
    state.count = this.count;
    state.digest = this.digest;
    state.tombstones = this.tombstones;
    state.tombstoneDigest = this.tombstoneDigest;
  }

  /** Adds or removes an entry. @param crc that of its row */
  add(flags: number, crc: number, sign: 1 | -1): void {
    const digest = sign * digestOf(crc);
    if ((flags & TOMBSTONE) !== 0) {
      this.tombstones += sign;
      this.tombstoneDigest = (this.tombstoneDigest + digest) >>> 0;
    } else {
      this.count += sign;
      this.digest = (this.digest + digest) >>> 0;
    }
  }

  /** Adds the sums of another. */
  addAll(other: Tally): void {
    this.count += other.count;
    this.tombstones += other.tombstones;
    this.digest = (this.digest + other.digest) >>> 0;
    this.tombstoneDigest = (this.tombstoneDigest + other.tombstoneDigest) >>> 0;
  }

  /** Whether the state says the same. */
  fits(state: Readonly<PartitionState>): boolean {
    return this.count === state.count && this.digest === state.digest &&
      this.tombstones === (state.tombstones ?? 0) &&
      this.tombstoneDigest === (state.tombstoneDigest ?? 0);
  }
}

/** The state of a partition of which this node holds nothing yet. */
export const NO_STATE: Readonly<PartitionState> = Object.freeze({
  term: 0,
  commitSeq: 0,
  lastSeq: 0,
  watermark: 0,
  count: 0,
  digest: 0,
});

const CLEARING = 1;
const DAMAGED = 2;
const FILLED = 4;
const STATE_BYTES = 68;
/** Where the last key of the filled part begins. */
const FILLED_KEY_AT = 80;
const FED_BYTES = 24;

/** A row of fixed length with its CRC. */
export interface EncodedRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly crc: number;
}

export const IDENTITY_KEY: Uint8Array = Uint8Array.of(1);
export const FED_KEY: Uint8Array = Uint8Array.of(0);

/** The row key of a partition's state record. @param slab where it is cut from, if it is not kept for long */
export function stateKey(partition: number, slab?: ByteSlab): Uint8Array {
  if (slab === undefined) return recordKey(partition, "");
  const key = slab.take(2);
  key[0] = partition >>> 8;
  key[1] = partition;
  return key;
}

/** @param slab where its value is cut from, if it is not kept for long */
export function encodeState(
  partition: number,
  state: PartitionState,
  clearing = false,
  slab?: ByteSlab,
): EncodedRow {
  const { filled } = state;
  const upto = filled === undefined ? undefined : bytesOfKey(filled.upto);
  const length = upto === undefined ? STATE_BYTES : FILLED_KEY_AT + upto.length;
  const value = slab === undefined ? new Uint8Array(length) : slab.take(length);
  value[4] = (clearing ? CLEARING : 0) | (state.damaged ? DAMAGED : 0) |
    (filled === undefined ? 0 : FILLED);
  putUint32(value, 8, state.term);
  putUint64(value, 12, state.commitSeq);
  putUint64(value, 20, state.lastSeq);
  putUint64(value, 28, state.watermark);
  putUint64(value, 36, state.highSeq ?? state.lastSeq);
  putUint64(value, 44, state.count);
  putUint32(value, 52, state.digest);
  putUint64(value, 56, state.tombstones ?? 0);
  putUint32(value, 64, state.tombstoneDigest ?? 0);
  if (filled !== undefined && upto !== undefined) {
    putUint32(value, 68, filled.term);
    putUint64(value, 72, filled.commitSeq);
    value.set(upto, FILLED_KEY_AT);
  }
  return seal(stateKey(partition, slab), value);
}

/** @throws {KvError} `corrupt`, `wrong_version` */
export function decodeState(
  key: Uint8Array,
  bytes: Uint8Array,
): { state: PartitionState; clearing: boolean } {
  checkRow(key, bytes, STATE_BYTES);
  const flags = bytes[4] ?? 0;
  if ((flags & FILLED) !== 0) checkRow(key, bytes, FILLED_KEY_AT);
  const state: PartitionState = {
    term: getUint32(bytes, 8),
    commitSeq: getUint64(bytes, 12),
    lastSeq: getUint64(bytes, 20),
    watermark: getUint64(bytes, 28),
    count: getUint64(bytes, 44),
    digest: getUint32(bytes, 52),
    highSeq: getUint64(bytes, 36),
    tombstones: getUint64(bytes, 56),
    tombstoneDigest: getUint32(bytes, 64),
  };
  if ((flags & DAMAGED) !== 0) state.damaged = true;
  if ((flags & FILLED) !== 0) {
    state.filled = {
      term: getUint32(bytes, 68),
      commitSeq: getUint64(bytes, 72),
      upto: keyOfBytes(bytes.subarray(FILLED_KEY_AT)),
    };
  }
  return { state, clearing: (flags & CLEARING) !== 0 };
}

/** How far a table was fed, and with whose data. */
export interface Fed {
  /** It has everything up to this batch. */
  readonly number: number;
  /** It may have some of what came later, up to this batch. */
  readonly begun: number;
  readonly id: string;
}

export function encodeFed({ number, begun, id }: Fed): EncodedRow {
  const text = new TextEncoder().encode(id);
  const value = new Uint8Array(FED_BYTES + text.length);
  putUint64(value, 8, number);
  putUint64(value, 16, begun);
  value.set(text, FED_BYTES);
  return seal(FED_KEY, value);
}

/** @throws {KvError} `corrupt`, `wrong_version` */
export function decodeFed(bytes: Uint8Array): Fed {
  checkRow(FED_KEY, bytes, FED_BYTES);
  return {
    number: getUint64(bytes, 8),
    begun: getUint64(bytes, 16),
    id: new TextDecoder().decode(bytes.subarray(FED_BYTES)),
  };
}

/** Whether a row says something about other rows: a state record, or the identity. These stay in the journal. */
export function isControlKey(key: Uint8Array): boolean {
  return key.length <= 2;
}

export function encodeIdentity(id: string): EncodedRow {
  const text = new TextEncoder().encode(id);
  const value = new Uint8Array(8 + text.length);
  value.set(text, 8);
  return seal(IDENTITY_KEY, value);
}

/** The database's id. @throws {KvError} `corrupt`, `wrong_version` */
export function decodeIdentity(bytes: Uint8Array): string {
  checkRow(IDENTITY_KEY, bytes, 8);
  return new TextDecoder().decode(bytes.subarray(8));
}

function seal(key: Uint8Array, value: Uint8Array): EncodedRow {
  value[5] = RECORD_FORMAT;
  const crc = crc32c(value, crc32c(key), 4);
  putUint32(value, 0, crc);
  return { key, value, crc };
}
