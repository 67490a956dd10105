/**
 * The position of a text on the ring: the first four bytes, big-endian, of the MD5 digest of its bytes
 * (`base/key_text.ts`). A key's partition is the top bits of its position.
 *
 * If a key such as `user:{42}:cart` has a part between its first `{` and the next `}` that is not empty,
 * only that part is hashed (the rule of Redis Cluster). So keys can be kept together.
 *
 * Invariant: both ways below, one block by hand and any length by `@std/crypto`, give the same
 * position; tests compare them on random texts.
 *
 * @module
 */
import { crypto } from "@std/crypto";
import { bytesOfKey } from "../base/key_text.ts";
import { BLOCK_WORDS, md5FirstWord, ONE_BLOCK_BYTES_MAX } from "./md5_block.ts";

/** Positions are 0 to 2^32-1. */
export const RING_SIZE = 2 ** 32;

/** The end mark and the bit length follow the message in a block. */
const LENGTH_WORD = 14;

const encoder = new TextEncoder();
// Scratch space, so that hashing a key allocates nothing. It holds nothing between two calls.
const block = new Int32Array(BLOCK_WORDS);
const utf8 = new Uint8Array(ONE_BLOCK_BYTES_MAX);

/** The position of a whole text, whatever it contains; for example of a virtual node's name. */
export function textPosition(text: string): number {
  return positionOf(text, 0, text.length);
}

/** The position of a key, 0 to 2^32-1: that of its `{tag}`, if it has one. */
export function keyPosition(key: string): number {
  const open = key.indexOf("{");
  if (open !== -1) {
    const close = key.indexOf("}", open + 1);
    if (close > open + 1) return positionOf(key, open + 1, close);
  }
  return positionOf(key, 0, key.length);
}

/** The partition of a position; `partitionCount` is a power of two up to 65,536. */
export function partitionOfPosition(position: number, partitionCount: number): number {
  // A 32-bit shift by 32, for a count of 1, would shift by nothing.
  return Math.floor(position / (RING_SIZE / partitionCount));
}

/** The partition of a key; `partitionCount` is a power of two up to 65,536. */
export function partitionOf(key: string, partitionCount: number): number {
  return partitionOfPosition(keyPosition(key), partitionCount);
}

/** Where a partition's arc of the ring begins; the arc includes this position. */
export function firstPositionOf(partition: number, partitionCount: number): number {
  return partition * (RING_SIZE / partitionCount);
}

/** The position by `@std/crypto` alone, for any length. */
export function positionByDigest(text: string): number {
  const digest = crypto.subtle.digestSync("MD5", bytesOfKey(text));
  return new DataView(digest).getUint32(0);
}

function positionOf(text: string, from: number, to: number): number {
  if (to - from > ONE_BLOCK_BYTES_MAX) return positionByDigest(text.slice(from, to));
  block.fill(0);
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return positionOfNonAscii(text.slice(from, to));
    putByte(i - from, code);
  }
  return positionOfBlock(to - from);
}

function positionOfNonAscii(text: string): number {
  if (!text.isWellFormed()) {
    const bytes = bytesOfKey(text);
    if (bytes.length > ONE_BLOCK_BYTES_MAX) return positionByDigest(text);
    block.fill(0);
    for (let i = 0; i < bytes.length; i++) putByte(i, bytes[i] ?? 0);
    return positionOfBlock(bytes.length);
  }
  const { read, written } = encoder.encodeInto(text, utf8);
  if (read < text.length) return positionByDigest(text);
  block.fill(0);
  for (let i = 0; i < written; i++) putByte(i, utf8[i] ?? 0);
  return positionOfBlock(written);
}

function positionOfBlock(bytes: number): number {
  putByte(bytes, 0x80);
  block[LENGTH_WORD] = bytes * 8;
  return md5FirstWord(block);
}

function putByte(index: number, byte: number): void {
  const word = index >> 2;
  block[word] = (block[word] ?? 0) | (byte << ((index & 3) * 8));
}
