/**
 * The messages of KV Connect's data path, from bytes and to bytes. Their numbers are those of the protocol's
 * `datapath.proto`; the reader and writer of fields are @bufbuild/protobuf's (docs/decisions/0046-protobuf.md).
 *
 * Invariant: whatever the bytes are, decoding ends with a message or with `bad_request`. The bytes of a message are views of
 * what was decoded.
 *
 * @module
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { NO_VALUE } from "../base/entry.ts";
import { KvError } from "../base/errors.ts";
import {
  type AtomicWriteMessage,
  type CheckMessage,
  type EntryMessage,
  type MutationMessage,
  type RangeMessage,
  READ_STATUS,
  WRITE_STATUS,
} from "./datapath.ts";

/** Takes the value of one field. */
type TakeField = (field: number, reader: BinaryReader) => void;

const BYTES = WireType.LengthDelimited;
const VARINT = WireType.Varint;

/** @throws {KvError} `bad_request` */
export function decodeSnapshotRead(bytes: Uint8Array): RangeMessage[] {
  const ranges: RangeMessage[] = [];
  decode("SnapshotRead", bytes, { 1: BYTES }, (_, reader) => {
    ranges.push(decodeRange(reader.bytes()));
  });
  return ranges;
}

function decodeRange(bytes: Uint8Array): RangeMessage {
  const range = { start: NO_VALUE, end: NO_VALUE, limit: 0, reverse: false };
  const types = { 1: BYTES, 2: BYTES, 3: VARINT, 4: VARINT };
  decode("ReadRange", bytes, types, (field, reader) => {
    if (field === 1) range.start = reader.bytes();
    else if (field === 2) range.end = reader.bytes();
    else if (field === 3) range.limit = reader.int32();
    else range.reverse = reader.bool();
  });
  return range;
}

/** @throws {KvError} `bad_request` */
export function decodeAtomicWrite(bytes: Uint8Array): AtomicWriteMessage {
  const write: AtomicWriteMessage = { checks: [], mutations: [], enqueues: 0 };
  decode("AtomicWrite", bytes, { 1: BYTES, 2: BYTES, 3: BYTES }, (field, reader) => {
    const inner = reader.bytes();
    if (field === 1) write.checks.push(decodeCheck(inner));
    else if (field === 2) write.mutations.push(decodeMutation(inner));
    else write.enqueues++;
  });
  return write;
}

function decodeCheck(bytes: Uint8Array): CheckMessage {
  const check = { key: NO_VALUE, versionstamp: NO_VALUE };
  decode("Check", bytes, { 1: BYTES, 2: BYTES }, (field, reader) => {
    if (field === 1) check.key = reader.bytes();
    else check.versionstamp = reader.bytes();
  });
  return check;
}

function decodeMutation(bytes: Uint8Array): MutationMessage {
  const mutation: MutationMessage = {
    key: NO_VALUE,
    data: NO_VALUE,
    encoding: 0,
    type: 0,
    expireAtMs: 0n,
    sumMin: NO_VALUE,
    sumMax: NO_VALUE,
    sumClamp: false,
  };
  const types = { 1: BYTES, 2: BYTES, 3: VARINT, 4: VARINT, 5: BYTES, 6: BYTES, 7: VARINT };
  decode("Mutation", bytes, types, (field, reader) => {
    if (field === 1) mutation.key = reader.bytes();
    else if (field === 2) decodeValue(reader.bytes(), mutation);
    else if (field === 3) mutation.type = reader.int32();
    else if (field === 4) mutation.expireAtMs = BigInt(reader.int64());
    else if (field === 5) mutation.sumMin = reader.bytes();
    else if (field === 6) mutation.sumMax = reader.bytes();
    else mutation.sumClamp = reader.bool();
  });
  return mutation;
}

function decodeValue(bytes: Uint8Array, into: MutationMessage): void {
  decode("KvValue", bytes, { 1: BYTES, 2: VARINT }, (field, reader) => {
    if (field === 1) into.data = reader.bytes();
    else into.encoding = reader.int32();
  });
}

/** The keys to watch. @throws {KvError} `bad_request` */
export function decodeWatch(bytes: Uint8Array): Uint8Array[] {
  const keys: Uint8Array[] = [];
  decode("Watch", bytes, { 1: BYTES }, (_, reader) => {
    let key = NO_VALUE;
    decode("WatchKey", reader.bytes(), { 1: BYTES }, (_, inner) => {
      key = inner.bytes();
    });
    keys.push(key);
  });
  return keys;
}

/** The entries of each range, in the order of the ranges. */
export function encodeSnapshotReadOutput(ranges: readonly (readonly EntryMessage[])[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const entries of ranges) {
    writer.tag(1, BYTES).fork();
    for (const entry of entries) writeEntry(writer.tag(1, BYTES).fork(), entry).join();
    writer.join();
  }
  return writer.tag(4, VARINT).bool(true).tag(8, VARINT).int32(READ_STATUS.SUCCESS).finish();
}

/** @param outcome the version's stamp, or which checks have failed */
export function encodeAtomicWriteOutput(
  outcome: { readonly versionstamp: Uint8Array } | { readonly failedChecks: readonly number[] },
): Uint8Array {
  const writer = new BinaryWriter().tag(1, VARINT);
  if ("versionstamp" in outcome) {
    return writer.int32(WRITE_STATUS.SUCCESS).tag(2, BYTES).bytes(outcome.versionstamp).finish();
  }
  writer.int32(WRITE_STATUS.CHECK_FAILURE);
  if (outcome.failedChecks.length > 0) {
    writer.tag(4, BYTES).fork();
    for (const index of outcome.failedChecks) writer.uint32(index);
    writer.join();
  }
  return writer.finish();
}

/**
 * The entry of each watched key, if it has one. All are told as if they had changed: clients leave out what they know, and Deno
 * 2.9 takes a key that is told to be unchanged for one that is not there.
 */
export function encodeWatchOutput(keys: readonly (EntryMessage | undefined)[]): Uint8Array {
  const writer = new BinaryWriter().tag(1, VARINT).int32(READ_STATUS.SUCCESS);
  for (const entry of keys) {
    writer.tag(2, BYTES).fork().tag(1, VARINT).bool(true);
    if (entry !== undefined) writeEntry(writer.tag(2, BYTES).fork(), entry).join();
    writer.join();
  }
  return writer.finish();
}

function writeEntry(
  writer: BinaryWriter,
  { key, value, encoding, versionstamp }: EntryMessage,
): BinaryWriter {
  return writer.tag(1, BYTES).bytes(key).tag(2, BYTES).bytes(value).tag(3, VARINT).int32(encoding)
    .tag(4, BYTES).bytes(versionstamp);
}

/**
 * Reads the fields of one message. Fields that it does not have are skipped; one of another type than it has is refused.
 *
 * @throws {KvError} `bad_request`
 */
function decode(
  name: string,
  bytes: Uint8Array,
  types: Readonly<Record<number, WireType>>,
  take: TakeField,
): void {
  const reader = new BinaryReader(bytes);
  try {
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      const wanted = types[field];
      if (wanted === undefined) reader.skip(type, field);
      else if (wanted !== type) throw new Error(`field ${field} has the wrong type ${type}`);
      else take(field, reader);
    }
    if (reader.pos > reader.len) throw new Error("it ends in the middle of a field");
  } catch (cause) {
    if (cause instanceof KvError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KvError("bad_request", `the body is not a ${name} of KV Connect: ${why}`, { cause });
  }
}
