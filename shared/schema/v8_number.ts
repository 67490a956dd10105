/**
 * Numbers as V8's serializer writes them: the form in which Deno KV stores JavaScript's numbers and bigints. Only
 * numbers are read; the format of everything else is V8's own business. Pure, without V8, because it is evaluated wherever a
 * primary runs.
 *
 * Layout: 0xff and the format's version, then a tag: `I` a zigzag varint of 32 bits, `U` a varint of 32 bits, `N` a double,
 * little endian, `Z` a bigint: a varint (the lowest bit is the sign, the rest the bytes of digits), then the digits, little
 * endian.
 *
 * @module
 */

import { Buffer } from "node:buffer";

const HEADER = 0xff;
/** The versions that V8 has read since 2016, and the one that is written. */
const VERSION_MIN = 9;
const VERSION = 15;
/** Versions beyond this take more than one byte. */
const VERSION_MAX = 0x7f;
const INT32 = 0x49;
const UINT32 = 0x55;
const DOUBLE = 0x4e;
const BIGINT = 0x5a;
const UINT32_END = 2 ** 32;

/** A number or bigint from its serialized form; undefined if the bytes are anything else. */
export function parseV8Number(bytes: Uint8Array): number | bigint | undefined {
  const version = bytes[1] ?? 0;
  if (bytes[0] !== HEADER || version < VERSION_MIN || version > VERSION_MAX) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (bytes[2]) {
    case INT32: {
      const read = varint(bytes, 3);
      if (read?.end !== bytes.length) return undefined;
      return (read.value % 2 === 0) ? read.value / 2 : -(read.value + 1) / 2;
    }
    case UINT32: {
      const read = varint(bytes, 3);
      return read?.end === bytes.length ? read.value : undefined;
    }
    case DOUBLE:
      return bytes.length === 11 ? view.getFloat64(3, true) : undefined;
    case BIGINT: {
      const read = varint(bytes, 3);
      if (read === undefined) return undefined;
      const length = Math.floor(read.value / 2);
      if (read.end + length !== bytes.length) return undefined;
      const digits = Buffer.from(bytes.subarray(read.end)).reverse();
      const magnitude = length === 0 ? 0n : BigInt(`0x${digits.toString("hex")}`);
      return read.value % 2 === 1 ? -magnitude : magnitude;
    }
    default:
      return undefined;
  }
}

/** The serialized form of a number (as a double) or bigint, which every V8 since 2016 reads. */
export function serializeV8Number(value: number | bigint): Uint8Array {
  if (typeof value === "number") {
    const bytes = new Uint8Array(11);
    bytes.set([HEADER, VERSION, DOUBLE]);
    new DataView(bytes.buffer).setFloat64(3, value, true);
    return bytes;
  }
  const magnitude = value < 0n ? -value : value;
  const hex = magnitude === 0n ? "" : magnitude.toString(16);
  // V8 writes digits of 64 bits.
  const length = Math.ceil(hex.length / 16) * 8;
  const digits = Buffer.from(hex.padStart(length * 2, "0"), "hex").reverse();
  const head = [HEADER, VERSION, BIGINT];
  let bits = length * 2 + (value < 0n ? 1 : 0);
  for (; bits > 0x7f; bits = Math.floor(bits / 128)) head.push((bits % 128) | 0x80);
  head.push(bits);
  const bytes = new Uint8Array(head.length + length);
  bytes.set(head);
  bytes.set(digits, head.length);
  return bytes;
}

/** A varint of at most 32 bits. */
function varint(bytes: Uint8Array, at: number): { value: number; end: number } | undefined {
  let value = 0;
  let factor = 1;
  for (let end = at; end < at + 5; end++, factor *= 128) {
    const byte = bytes[end];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value < UINT32_END ? { value, end: end + 1 } : undefined;
  }
  return undefined;
}
