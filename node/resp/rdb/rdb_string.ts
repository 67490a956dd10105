/**
 * One string in the form of an RDB file, as DUMP gives it: its type, the string (plain, as an integer, or compressed by
 * LZF), the version of the form, and a checksum over all of it. Pure.
 *
 * @module
 */
import { crc64 } from "./crc64.ts";

/** The version that is written: that of Redis 7.0. Older ones are read. */
const RDB_VERSION = 10;
const TYPE_STRING = 0;
/** Version and checksum. */
const FOOTER_BYTES = 10;

/** Why a payload is not taken. */
export type RdbRefusal = "checksum" | "format";

/** A value as DUMP gives it, uncompressed. */
export function dumpString(value: Uint8Array): Uint8Array {
  const header = lengthBytes(value.length);
  const bytes = new Uint8Array(1 + header.length + value.length + FOOTER_BYTES);
  bytes[0] = TYPE_STRING;
  bytes.set(header, 1);
  bytes.set(value, 1 + header.length);
  const view = new DataView(bytes.buffer);
  const end = bytes.length - FOOTER_BYTES;
  view.setUint16(end, RDB_VERSION, true);
  view.setBigUint64(end + 2, crc64(bytes.subarray(0, end + 2)), true);
  return bytes;
}

function lengthBytes(length: number): Uint8Array {
  if (length < 64) return Uint8Array.of(length);
  if (length < 16_384) return Uint8Array.of(0x40 | (length >> 8), length & 0xff);
  const bytes = new Uint8Array(5);
  bytes[0] = 0x80;
  new DataView(bytes.buffer).setUint32(1, length);
  return bytes;
}

/** @param bytesMax of the value; a longer one is of a wrong format */
export function restoreString(payload: Uint8Array, bytesMax: number): Uint8Array | RdbRefusal {
  const end = payload.length - FOOTER_BYTES;
  if (end < 2) return "checksum";
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  if (view.getUint16(end, true) > RDB_VERSION) return "checksum";
  const checksum = view.getBigUint64(end + 2, true);
  // Zero: whoever wrote it computes none.
  if (checksum !== 0n && checksum !== crc64(payload.subarray(0, end + 2))) return "checksum";
  if (payload[0] !== TYPE_STRING) return "format";
  const reader = new Reader(payload.subarray(1, end));
  const value = reader.string(bytesMax);
  return value === undefined || !reader.ended ? "format" : value;
}

/** Reads parts; undefined for what is not there. */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get ended(): boolean {
    return this.#at === this.#bytes.length;
  }

  string(bytesMax: number): Uint8Array | undefined {
    const first = this.#bytes[this.#at];
    if (first === undefined) return undefined;
    if (first >> 6 !== 3) {
      const length = this.#length();
      return length === undefined ? undefined : this.#take(length);
    }
    this.#at++;
    const kind = first & 0x3f;
    if (kind === 3) return this.#compressed(bytesMax);
    const width = [1, 2, 4][kind];
    if (width === undefined || this.#at + width > this.#bytes.length) return undefined;
    const number = width === 1
      ? this.#view.getInt8(this.#at)
      : width === 2
      ? this.#view.getInt16(this.#at, true)
      : this.#view.getInt32(this.#at, true);
    this.#at += width;
    return new TextEncoder().encode(String(number));
  }

  /** A length that is not a mark of something else. */
  #length(): number | undefined {
    const first = this.#bytes[this.#at++];
    if (first === undefined) return undefined;
    if (first >> 6 === 0) return first;
    if (first >> 6 === 1) {
      const second = this.#bytes[this.#at++];
      return second === undefined ? undefined : ((first & 0x3f) << 8) | second;
    }
    if (first !== 0x80 || this.#at + 4 > this.#bytes.length) return undefined;
    const length = this.#view.getUint32(this.#at);
    this.#at += 4;
    return length;
  }

  #take(length: number): Uint8Array | undefined {
    if (this.#at + length > this.#bytes.length) return undefined;
    this.#at += length;
    return this.#bytes.slice(this.#at - length, this.#at);
  }

  #compressed(bytesMax: number): Uint8Array | undefined {
    const packed = this.#length();
    const length = this.#length();
    if (packed === undefined || length === undefined || length > bytesMax) return undefined;
    const bytes = this.#take(packed);
    return bytes && expand(bytes, length);
  }
}

/** LZF: literal runs, and copies of what came before. Undefined if it is not exactly this long. */
function expand(packed: Uint8Array, length: number): Uint8Array | undefined {
  const result = new Uint8Array(length);
  let to = 0;
  for (let from = 0; from < packed.length;) {
    const control = packed[from++] ?? 0;
    if (control < 32) {
      const count = control + 1;
      if (from + count > packed.length || to + count > length) return undefined;
      result.set(packed.subarray(from, from + count), to);
      from += count;
      to += count;
      continue;
    }
    let count = control >> 5;
    if (count === 7) count += packed[from++] ?? 0;
    count += 2;
    const start = to - (((control & 31) << 8) | (packed[from++] ?? 0)) - 1;
    if (from > packed.length || start < 0 || to + count > length) return undefined;
    // Byte by byte: it may copy what it has just written.
    for (let i = 0; i < count; i++) result[to + i] = result[start + i] ?? 0;
    to += count;
  }
  return to === length ? result : undefined;
}
