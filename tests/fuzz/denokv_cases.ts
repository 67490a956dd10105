/**
 * What a hostile client of Deno KV sends, that knows the database's id and so reaches what lies behind it: reads and
 * atomic writes whose messages are sound, of wrong types, deep, huge, cut or doubled.
 *
 * @module
 */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { bytesOf, damaged, joined } from "./hostile.ts";

/** Stands for the id of the database {@linkcode DENOKV_PATH}, which only a running cluster can tell; as long as one. */
export const DENOKV_ID_SLOT = "d0d0d0d0-0000-4000-8000-d0d0d0d0d0d0";
/** Where the id is asked for. */
export const DENOKV_PATH = "/db/fuzz";

/** Deno's encoding of ["a", …], of a number beside the order, and of nothing that it is. */
const keys: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.constantFrom("\x02a\x00", "\x02a\x00\x02b\x00", "\x26", "").map(bytesOf),
  fc.uint8Array({ maxLength: 40 }),
  fc.nat(3_000).map((length) => new Uint8Array(length).fill(0x41)),
);

const blobs: fc.Arbitrary<Uint8Array> = fc.oneof(
  keys,
  fc.uint8Array({ minLength: 8, maxLength: 8 }),
  fc.uint8Array({ minLength: 10, maxLength: 10 }),
  fc.nat(70_000).map((length) => new Uint8Array(length)),
);

const numbers: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt({ min: 0n, max: 12n }),
  fc.constantFrom(-1n, 2n ** 31n, 2n ** 53n, -(2n ** 63n), 2n ** 63n - 1n),
);

type Field = (writer: BinaryWriter) => void;

/** A message of fields with the numbers that the protocol uses, whatever they hold. */
function message(depth: number): fc.Arbitrary<Uint8Array> {
  const tag = fc.integer({ min: 1, max: 10 });
  const plain: fc.Arbitrary<Field> = fc.oneof(
    fc.tuple(tag, numbers).map(([no, value]): Field => (writer) =>
      void writer.tag(no, WireType.Varint).int64(value)
    ),
    fc.tuple(tag, blobs).map(([no, value]): Field => (writer) =>
      void writer.tag(no, WireType.LengthDelimited).bytes(value)
    ),
  );
  const nested: fc.Arbitrary<Field> = depth === 0
    ? plain
    : fc.tuple(fc.integer({ min: 1, max: 4 }), message(depth - 1)).map(
      ([no, inner]): Field => (writer) =>
        void writer.tag(no, WireType.LengthDelimited).bytes(inner),
    );
  return fc.array(fc.oneof(plain, { weight: 2, arbitrary: nested }), { maxLength: 6 })
    .map((fields) => {
      const writer = new BinaryWriter();
      for (const field of fields) field(writer);
      return writer.finish();
    });
}

/** A mutation or a check with a key that is one, so that many get past the first look. */
const write: fc.Arbitrary<Uint8Array> = fc.record({
  key: keys,
  data: blobs,
  encoding: numbers,
  type: numbers,
  expireAtMs: numbers,
  check: fc.boolean(),
  times: fc.constantFrom(1, 1, 2, 1_100),
}).map(({ key, data, encoding, type, expireAtMs, check, times }) => {
  const writer = new BinaryWriter();
  const bytes = (no: number, value: Uint8Array) =>
    writer.tag(no, WireType.LengthDelimited).bytes(value);
  const number = (no: number, value: bigint) => writer.tag(no, WireType.Varint).int64(value);
  for (let i = 0; i < times; i++) {
    writer.tag(check ? 1 : 2, WireType.LengthDelimited).fork();
    bytes(1, key);
    if (check) bytes(2, data);
    else {
      writer.tag(2, WireType.LengthDelimited).fork();
      bytes(1, times > 2 ? data.subarray(0, 8) : data);
      number(2, encoding);
      writer.join();
      number(3, type);
      number(4, expireAtMs);
    }
    writer.join();
  }
  return writer.finish();
});

const request: fc.Arbitrary<Uint8Array> = fc.record({
  path: fc.constantFrom("snapshot_read", "atomic_write"),
  version: fc.constantFrom("1", "2", "3", "3", "4", "x"),
  body: fc.oneof(message(3), write, damaged(message(2)), damaged(write)),
}).map(({ path, version, body }) =>
  joined(
    bytesOf([
      `POST ${DENOKV_PATH}/${path} HTTP/1.1`,
      "Host: 127.0.0.1",
      "Content-Type: application/x-protobuf",
      `x-denokv-version: ${version}`,
      `x-denokv-database-id: ${DENOKV_ID_SLOT}`,
      `Content-Length: ${body.length}`,
      "",
      "",
    ].join("\r\n")),
    body,
  )
);

/** One request, or two behind each other. */
export const DENOKV_STREAMS: fc.Arbitrary<Uint8Array> = fc.array(request, {
  minLength: 1,
  maxLength: 2,
}).map((requests) => joined(...requests));
