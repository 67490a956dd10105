/**
 * The bytes of a backup file: frames, and entries within them. Pure. The order of the frames is decided in
 * `backup_writer.ts` and checked in `backup_reader.ts`. The format is docs/backup.md.
 *
 * All numbers are big-endian.
 *
 * @module
 */
import { parseBoundedJson } from "../../shared/schema/bounded_json.ts";
import { crc32c } from "../../shared/base/crc32c.ts";
import { type Entry, NO_VALUE, TOMBSTONE } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { bytesOfKey, keyOfBytes } from "../../shared/base/key_text.ts";
import type { DatabaseDocument } from "../../shared/cluster/databases.ts";
import { BACKUP_FRAME_BYTES_MAX } from "../../shared/limits/backup.ts";

/** The layout of a backup without named databases, and the one with them, which is the newest that this code reads. */
export const BACKUP_FORMAT = 1;
export const BACKUP_FORMAT_NAMED = 2;

/** How a file begins: a byte that no text has, a name, and line ends that a text transfer would change. */
export const MAGIC: Uint8Array = Uint8Array.of(0x89, 0x4b, 0x56, 0x42, 0x0d, 0x0a, 0x1a, 0x0a);

/** The kinds of frames. */
export const FRAME = { header: 1, chunk: 2, section: 3, trailer: 4 } as const;

/** Type (1 byte), length of the payload (4), CRC32C of these five bytes and the payload (4). */
export const FRAME_HEAD_BYTES = 9;
/** Partition (2 bytes), attempt (4), length of the text (4); the rest of the chunk is the text's gzip. */
export const CHUNK_HEAD_BYTES = 10;
/** Lengths of key (2), media type (2) and value (4), flags (1), seq (8), timestamp (8), expiry (8). */
const ENTRY_HEAD_BYTES = 33;

/** The first frame. */
export interface BackupHeader {
  readonly format: number;
  readonly clusterId: string;
  readonly clusterName: string;
  readonly partitions: number;
  /** When the backup began: milliseconds since 1970-01-01 UTC. */
  readonly createdMs: number;
  /** Version of the program that wrote it. */
  readonly program: string;
  /** The databases besides `default` when the backup began; absent: none. Their keys are stored keys. */
  readonly databases?: readonly DatabaseDocument[];
}

/** Ends a partition: the chunks of this attempt are all of it. */
export interface BackupSection {
  readonly partition: number;
  readonly attempt: number;
  readonly term: number;
  /** The snapshot holds every write up to this one, and no other. */
  readonly seq: number;
  readonly entries: number;
  readonly chunks: number;
  /** Bytes of the chunks' text. */
  readonly bytes: number;
  /** SHA-256 of the chunks' text, in hexadecimal. */
  readonly sha256: string;
}

/** The last frame. */
export interface BackupTrailer {
  readonly sections: number;
  readonly entries: number;
  /** SHA-256 of the file up to this frame, in hexadecimal. */
  readonly sha256: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A frame made of these pieces. */
export function encodeFrame(type: number, ...pieces: readonly Uint8Array[]): Uint8Array {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const frame = new Uint8Array(FRAME_HEAD_BYTES + length);
  const view = new DataView(frame.buffer);
  view.setUint8(0, type);
  view.setUint32(1, length);
  let at = FRAME_HEAD_BYTES;
  for (const piece of pieces) {
    frame.set(piece, at);
    at += piece.length;
  }
  view.setUint32(5, frameCrc(frame.subarray(0, 5), frame.subarray(FRAME_HEAD_BYTES)));
  return frame;
}

/** A frame of a document. */
export function encodeDocument(type: number, document: object): Uint8Array {
  return encodeFrame(type, encoder.encode(JSON.stringify(document)));
}

/** A frame's head. @throws {KvError} `corrupt` */
export function decodeFrameHead(head: Uint8Array): { type: number; length: number; crc: number } {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const length = view.getUint32(1);
  if (length > BACKUP_FRAME_BYTES_MAX) throw damaged(`a frame of ${length} bytes`);
  return { type: view.getUint8(0), length, crc: view.getUint32(5) };
}

/** The checksum of the first five bytes of a frame and its payload. */
export function frameCrc(head: Uint8Array, payload: Uint8Array): number {
  return crc32c(payload, crc32c(head.subarray(0, 5)));
}

/** A payload that is a document. @throws {KvError} `corrupt` */
export function decodeDocument(payload: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = parseBoundedJson(decoder.decode(payload));
    if (typeof value === "object" && value !== null) return { ...value };
  } catch {
    // The error below says it.
  }
  throw damaged("a frame that should be a JSON object");
}

/** The head of a chunk's payload. */
export function encodeChunkHead(partition: number, attempt: number, bytes: number): Uint8Array {
  const head = new Uint8Array(CHUNK_HEAD_BYTES);
  const view = new DataView(head.buffer);
  view.setUint16(0, partition);
  view.setUint32(2, attempt);
  view.setUint32(6, bytes);
  return head;
}

/** What a chunk belongs to. @throws {KvError} `corrupt` */
export function decodeChunkHead(
  payload: Uint8Array,
): { partition: number; attempt: number; bytes: number } {
  if (payload.length < CHUNK_HEAD_BYTES) throw damaged("a chunk without a head");
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const bytes = view.getUint32(6);
  if (bytes > BACKUP_FRAME_BYTES_MAX) throw damaged(`a chunk of ${bytes} bytes`);
  return { partition: view.getUint16(0), attempt: view.getUint32(2), bytes };
}

/** Live entries as a chunk's text. The term is left out: it means nothing in another cluster. */
export function encodeEntries(entries: readonly Entry[]): Uint8Array {
  const names = entries.map(({ key, contentType = "" }) => ({
    key: bytesOfKey(key),
    type: encoder.encode(contentType),
  }));
  const size = entries.reduce(
    (sum, { value }, i) =>
      sum + ENTRY_HEAD_BYTES + (names[i]?.key.length ?? 0) + (names[i]?.type.length ?? 0) +
      value.length,
    0,
  );
  const text = new Uint8Array(size);
  const view = new DataView(text.buffer);
  let at = 0;
  entries.forEach((entry, i) => {
    const { key = NO_VALUE, type = NO_VALUE } = names[i] ?? {};
    view.setUint16(at, key.length);
    view.setUint16(at + 2, type.length);
    view.setUint32(at + 4, entry.value.length);
    view.setUint8(at + 8, entry.flags);
    view.setBigUint64(at + 9, BigInt(entry.seq));
    view.setBigUint64(at + 17, BigInt(entry.timestampMs));
    view.setBigUint64(at + 25, BigInt(entry.expiresAtMs));
    at += ENTRY_HEAD_BYTES;
    for (const piece of [key, type, entry.value]) {
      text.set(piece, at);
      at += piece.length;
    }
  });
  return text;
}

/** The entries of a chunk's text; their values are parts of it. @throws {KvError} `corrupt` */
export function decodeEntries(text: Uint8Array): Entry[] {
  const view = new DataView(text.buffer, text.byteOffset, text.byteLength);
  const entries: Entry[] = [];
  let at = 0;
  while (at < text.length) {
    if (at + ENTRY_HEAD_BYTES > text.length) throw damaged("an entry that is cut off");
    const keyAt = at + ENTRY_HEAD_BYTES;
    const typeAt = keyAt + view.getUint16(at);
    const valueAt = typeAt + view.getUint16(at + 2);
    const end = valueAt + view.getUint32(at + 4);
    if (end > text.length) throw damaged("an entry that is longer than its chunk");
    const entry = {
      key: keyOfBytes(text.subarray(keyAt, typeAt)),
      seq: safeInteger(view.getBigUint64(at + 9)),
      term: 0,
      flags: view.getUint8(at + 8),
      timestampMs: safeInteger(view.getBigUint64(at + 17)),
      expiresAtMs: safeInteger(view.getBigUint64(at + 25)),
      value: text.subarray(valueAt, end),
      ...(typeAt === valueAt ? {} : { contentType: decodeName(text.subarray(typeAt, valueAt)) }),
    };
    if (entry.key === "" || entry.seq === 0 || (entry.flags & TOMBSTONE) !== 0) {
      throw damaged("an entry of no value");
    }
    entries.push(entry);
    at = end;
  }
  return entries;
}

function decodeName(bytes: Uint8Array): string {
  try {
    const name = decoder.decode(bytes);
    if (name !== "") return name;
  } catch {
    // The error below says it.
  }
  throw damaged("a media type that is not valid");
}

function safeInteger(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged("a number that is too large");
  return Number(value);
}

/** The error for a file that is damaged or incomplete. */
export function damaged(what: string): KvError {
  return new KvError(
    "corrupt",
    `the backup is damaged or cut off: it has ${what}; nothing was written; use another copy of it`,
  );
}

/** The gzip of a text (RFC 1952). */
export async function compress(text: Uint8Array): Promise<Uint8Array> {
  const stream = streamOf(text).pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The text of a gzip, which must have exactly this length. @throws {KvError} `corrupt` */
export async function decompress(gzip: Uint8Array, bytes: number): Promise<Uint8Array> {
  const text = new Uint8Array(bytes);
  let at = 0;
  try {
    for await (const piece of streamOf(gzip).pipeThrough(new DecompressionStream("gzip"))) {
      // More than was announced is not even read.
      if (at + piece.length > bytes) throw damaged("a chunk that is longer than it says");
      text.set(piece, at);
      at += piece.length;
    }
  } catch (error) {
    if (error instanceof KvError) throw error;
    throw damaged("a chunk that is not gzip");
  }
  if (at !== bytes) throw damaged("a chunk that is shorter than it says");
  return text;
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new Blob([new Uint8Array(bytes)]).stream();
}
