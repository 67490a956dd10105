/**
 * Cursors: where a listing goes on, as a text that clients only send back. It is the last key of the
 * page before, with a checksum over it and over the listing's parameters. So a cursor that was cut, or
 * that belongs to another listing, is refused instead of silently beginning somewhere else.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { crc32c } from "../../base/crc32c.ts";
import { KvError } from "../../base/errors.ts";
import { bytesOfKey, keyOfBytes } from "../../base/key_text.ts";

/** The parameters of a listing. */
export interface Listing {
  readonly prefix?: string | undefined;
  readonly start?: string | undefined;
  readonly end?: string | undefined;
  readonly reverse?: boolean | undefined;
}

const CHECKSUM_BYTES = 4;
const encoder = new TextEncoder();

/** The cursor that goes on after a key. */
export function cursorOf(listing: Listing, key: string): string {
  const bytes = bytesOfKey(key);
  const cursor = new Uint8Array(CHECKSUM_BYTES + bytes.length);
  cursor.set(bytes, CHECKSUM_BYTES);
  new DataView(cursor.buffer).setUint32(0, checksum(listing, bytes));
  return Buffer.from(cursor).toString("base64url");
}

/** The key of a cursor. @throws {KvError} `bad_request` */
export function keyOfCursor(listing: Listing, cursor: string): string {
  const bytes = new Uint8Array(Buffer.from(cursor, "base64url"));
  const isWhole = bytes.length > CHECKSUM_BYTES &&
    Buffer.from(bytes).toString("base64url") === cursor;
  const key = bytes.subarray(CHECKSUM_BYTES);
  if (isWhole && new DataView(bytes.buffer).getUint32(0) === checksum(listing, key)) {
    return keyOfBytes(key);
  }
  throw new KvError(
    "bad_request",
    "the cursor is not one that this listing gave; carry it back as it is, with the same " +
      "prefix, start, end and reverse",
  );
}

function checksum({ prefix, start, end, reverse = false }: Listing, key: Uint8Array): number {
  const asked = JSON.stringify([prefix ?? null, start ?? null, end ?? null, reverse]);
  return crc32c(key, crc32c(encoder.encode(asked)));
}
