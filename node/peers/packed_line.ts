/**
 * A long message between nodes as a binary frame: the same line of JSON, compressed (zstd, RFC 8878). Pieces of transfers
 * are long, and mostly become much shorter; what is short is not worth it.
 *
 *     packed    bytes of the line (4, big-endian), the line as zstd
 *
 * Invariant: a frame takes no more memory than its line may, whatever it says.
 *
 * @module
 */
import zlib from "node:zlib";
import { KvError } from "../../shared/base/errors.ts";
import { FRAME_BYTES_MAX } from "../../shared/limits/wire.ts";
import { beginFrame, FRAME_HEAD_BYTES } from "../../shared/schema/binary_frames.ts";
import { decodeMessage } from "../../shared/wire/codec.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { getUint32, putUint32 } from "../storage/record.ts";

/** The kind of these frames, beside those of `replication_frames.ts`. */
export const PACKED_FRAME = 3;
const LENGTH_BYTES = 4;

/** What the runtime's `node:zlib` has (as Node's since 22.15), and its types lack. */
interface Zstd {
  readonly constants: { readonly ZSTD_c_compressionLevel: number };
  zstdCompressSync(bytes: Uint8Array, options: { params: Record<number, number> }): Uint8Array;
  /** @throws {RangeError} if it would be longer than `maxOutputLength` */
  zstdDecompressSync(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

const { constants, zstdCompressSync, zstdDecompressSync } = zlib as unknown as Zstd;
/** The fastest that saves most: higher levels take longer and save little more. */
const PARAMS = { [constants.ZSTD_c_compressionLevel]: 1 };
/** A frame that is hardly shorter than the line only costs time at the other end. */
const WORTH_PART = 0.9;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A line as a frame; undefined if it does not become shorter. */
export function packLine(line: string): Uint8Array | undefined {
  const bytes = encoder.encode(line);
  const packed = zstdCompressSync(bytes, { params: PARAMS });
  if (packed.length > bytes.length * WORTH_PART) return undefined;
  const frame = beginFrame(PACKED_FRAME, LENGTH_BYTES + packed.length);
  putUint32(frame, FRAME_HEAD_BYTES, bytes.length);
  frame.set(packed, FRAME_HEAD_BYTES + LENGTH_BYTES);
  return frame;
}

/** The message of a frame. @throws {KvError} `bad_request` */
export function unpackMessage(frame: Uint8Array): Message {
  const message = decodeMessage(unpackLine(frame), (error) => {
    throw error;
  });
  if (message === undefined) throw new KvError("bad_request", "a packed frame is no message");
  return message;
}

function unpackLine(frame: Uint8Array): string {
  const packed = frame.subarray(FRAME_HEAD_BYTES + LENGTH_BYTES);
  const length = packed.length === 0 ? 0 : getUint32(frame, FRAME_HEAD_BYTES);
  if (length === 0 || length > FRAME_BYTES_MAX) {
    throw new KvError("bad_request", `a packed frame says that its line has ${length} bytes`);
  }
  try {
    const bytes = zstdDecompressSync(packed, { maxOutputLength: length });
    if (bytes.length === length) return decoder.decode(bytes);
  } catch (cause) {
    throw new KvError("bad_request", "a packed frame cannot be unpacked", { cause });
  }
  throw new KvError("bad_request", `a packed frame is not as long as it says (${length} bytes)`);
}
