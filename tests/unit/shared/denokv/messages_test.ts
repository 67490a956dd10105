import { assertEquals, assertThrows } from "@std/assert";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { KvError } from "../../../../shared/base/errors.ts";
import {
  decodeAtomicWrite,
  decodeSnapshotRead,
  decodeWatch,
  encodeAtomicWriteOutput,
  encodeSnapshotReadOutput,
  encodeWatchOutput,
} from "../../../../shared/denokv/messages.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

const BYTES = WireType.LengthDelimited;
const VARINT = WireType.Varint;
const bytes = (...values: number[]) => Uint8Array.from(values);

function atomicWrite(): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, BYTES).fork().tag(1, BYTES).bytes(bytes(1, 2)).tag(2, BYTES).bytes(
    new Uint8Array(10),
  )
    .join();
  writer.tag(2, BYTES).fork().tag(1, BYTES).bytes(bytes(3));
  writer.tag(2, BYTES).fork().tag(1, BYTES).bytes(bytes(9, 9)).tag(2, VARINT).int32(3).join();
  writer.tag(3, VARINT).int32(1).tag(4, VARINT).int64(5_000_000_000).tag(5, BYTES).bytes(bytes(7))
    .tag(7, VARINT).bool(true).join();
  return writer.tag(3, BYTES).bytes(bytes()).finish();
}

Deno.test("decodeAtomicWrite: the fields of datapath.proto; unknown ones are skipped", () => {
  const expected = {
    checks: [{ key: bytes(1, 2), versionstamp: new Uint8Array(10) }],
    mutations: [{
      key: bytes(3),
      data: bytes(9, 9),
      encoding: 3,
      type: 1,
      expireAtMs: 5_000_000_000n,
      sumMin: bytes(7),
      sumMax: bytes(),
      sumClamp: true,
    }],
    enqueues: 1,
  };
  assertEquals(decodeAtomicWrite(atomicWrite()), expected);
  const more = new BinaryWriter().tag(99, VARINT).int32(1).tag(98, BYTES).bytes(bytes(1))
    .tag(97, WireType.Bit64).fixed64(1n).raw(atomicWrite()).finish();
  assertEquals(decodeAtomicWrite(more), expected);
});

Deno.test("decodeSnapshotRead, decodeWatch: ranges and keys; nothing is a message without any", () => {
  const writer = new BinaryWriter();
  writer.tag(1, BYTES).fork().tag(1, BYTES).bytes(bytes(1)).tag(2, BYTES).bytes(bytes(2))
    .tag(3, VARINT).int32(-5).tag(4, VARINT).bool(true).join();
  const range = { start: bytes(1), end: bytes(2), limit: -5, reverse: true };
  assertEquals(decodeSnapshotRead(writer.finish()), [range]);
  assertEquals(decodeSnapshotRead(bytes()), []);
  const watch = new BinaryWriter().tag(1, BYTES).fork().tag(1, BYTES).bytes(bytes(8)).join();
  assertEquals(decodeWatch(watch.finish()), [bytes(8)]);
});

/** The fields of a message, by number, each with its type and bytes or number. */
function fieldsOf(message: Uint8Array): [number, number | Uint8Array][] {
  const reader = new BinaryReader(message);
  const fields: [number, number | Uint8Array][] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    fields.push([field, type === VARINT ? reader.int32() : reader.bytes()]);
  }
  return fields;
}

Deno.test("encode…: what clients of all versions read", () => {
  const entry = { key: bytes(1), value: bytes(2, 3), encoding: 2, versionstamp: bytes(4) };
  const [[, range = 0] = [], second, strong, status, ...rest] = fieldsOf(
    encodeSnapshotReadOutput([[entry], []]),
  );
  assertEquals(rest, []);
  assertEquals([second, strong, status], [[1, bytes()], [4, 1], [8, 1]]);
  const [[, inner = 0] = []] = fieldsOf(range as Uint8Array);
  assertEquals(fieldsOf(inner as Uint8Array), [
    [1, bytes(1)],
    [2, bytes(2, 3)],
    [3, 2],
    [4, bytes(4)],
  ]);
  assertEquals(fieldsOf(encodeAtomicWriteOutput({ versionstamp: bytes(1) })), [
    [1, 1],
    [2, bytes(1)],
  ]);
  assertEquals(fieldsOf(encodeAtomicWriteOutput({ failedChecks: [3] })), [[1, 2], [4, bytes(3)]]);
  const watched = fieldsOf(encodeWatchOutput([undefined, entry]));
  assertEquals(watched.slice(0, 2), [[1, 1], [2, bytes(8, 1)]]);
});

Deno.test("decode…: whatever the bytes are, there is a message or bad_request", () => {
  const decoders = [decodeAtomicWrite, decodeSnapshotRead, decodeWatch];
  const tolerant = (input: Uint8Array) => {
    for (const decode of decoders) {
      try {
        decode(input);
      } catch (error) {
        if (!(error instanceof KvError) || error.code !== "bad_request") throw error;
      }
    }
  };
  const whole = atomicWrite();
  for (let length = 0; length < whole.length; length++) tolerant(whole.subarray(0, length));
  const random = new SeededRandom(3);
  for (let i = 0; i < 20_000; i++) {
    const input = whole.slice();
    for (let flips = 0; flips <= i % 3; flips++) {
      input[randomBelow(random, input.length)] = randomBelow(random, 256);
    }
    tolerant(input);
    tolerant(Uint8Array.from({ length: randomBelow(random, 30) }, () => randomBelow(random, 256)));
  }
  // A length beyond the end, a varint without an end, groups in groups, a field of the wrong type.
  tolerant(bytes(10, 255, 255, 255, 255, 15));
  tolerant(new Uint8Array(100_000).fill(0xff));
  tolerant(new Uint8Array(100_000).fill(0x0b));
  assertThrows(() => decodeAtomicWrite(bytes(8, 1)), KvError, "AtomicWrite");
  assertThrows(() => decodeSnapshotRead(bytes(10, 5, 1)), KvError, "premature EOF");
});
