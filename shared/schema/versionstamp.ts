/**
 * Versionstamps: how Deno KV writes a key's version, 10 bytes that have the order of the versions. The first eight are the
 * version, big endian; the last two are zero, as in Deno's own store.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { KvError } from "../base/errors.ts";

export const VERSIONSTAMP_BYTES = 10;
/** What follows a key that ends with a versionstamp: a text of Deno's keys, so a tag, 20 digits and an end. */
export const STAMP_SUFFIX_BYTES = 22;

/** A version as 10 bytes. */
export function versionstampOf(version: number): Uint8Array {
  const bytes = new Uint8Array(VERSIONSTAMP_BYTES);
  // By hand, because bigints cost more than all of the rest of an entry.
  let rest = version;
  for (let at = 7; at >= 0 && rest > 0; at--) {
    bytes[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}

/**
 * The version of 10 bytes; undefined if no key of this store can have it.
 *
 * @throws {KvError} `bad_request` if they are not 10
 */
export function versionOfStamp(stamp: Uint8Array): number | undefined {
  if (stamp.length !== VERSIONSTAMP_BYTES) {
    throw new KvError(
      "bad_request",
      `a versionstamp has 10 bytes, and this one has ${stamp.length}`,
    );
  }
  const view = new DataView(stamp.buffer, stamp.byteOffset);
  const version = view.getBigUint64(0);
  const isOurs = view.getUint16(8) === 0 && version > 0n &&
    version <= BigInt(Number.MAX_SAFE_INTEGER);
  return isOurs ? Number(version) : undefined;
}

/** What a stamped key ends with: the versionstamp in hexadecimal digits, as a text among the parts of Deno's keys. */
export function stampSuffix(version: number): string {
  return `\u0002${Buffer.from(versionstampOf(version)).toString("hex")}\u0000`;
}
