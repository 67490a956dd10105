import { assertEquals, assertThrows } from "@std/assert";
import { deserialize, serialize } from "node:v8";
import { Buffer } from "node:buffer";
import type { Entry } from "../../../../shared/base/entry.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { combine, U64_TYPE, V8_TYPE } from "../../../../shared/operations/combine.ts";

/** A number of 64 bits. */
class U64 {
  constructor(readonly value: bigint) {}
}

type Value = U64 | number | bigint | string;
type Bounds = {
  readonly min?: number | bigint;
  readonly max?: number | bigint;
  readonly clamp?: true;
};

function bytesOf(value: Value): { value: Uint8Array; contentType: string } {
  if (!(value instanceof U64)) {
    return { value: new Uint8Array(serialize(value)), contentType: V8_TYPE };
  }
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value.value, true);
  return { value: bytes, contentType: U64_TYPE };
}

function run(
  name: "sum" | "min" | "max",
  before: Value | undefined,
  by: Value,
  bounds: Bounds = {},
) {
  const base64 = (bound: number | bigint | undefined) =>
    bound === undefined ? undefined : Buffer.from(serialize(bound)).toString("base64");
  const current: Entry | undefined = before === undefined ? undefined : {
    ...{ key: "k", seq: 1, term: 1, flags: 0, timestampMs: 1, expiresAtMs: 7 },
    ...bytesOf(before),
  };
  const operand = bytesOf(by);
  const outcome = combine.evaluate(
    {
      req_type: "combine",
      key: "k",
      with: name,
      bytes: operand.value,
      content_type: operand.contentType,
      at_least: base64(bounds.min),
      at_most: base64(bounds.max),
      clamp: bounds.clamp,
    },
    current,
    { wallMs: 0, valueBytesMax: 100 },
  );
  if (!("write" in outcome)) throw new Error("it writes");
  const { value, contentType, expiresAtMs } = outcome.write;
  assertEquals(expiresAtMs, 0, "an expiry does not stay, as in Deno's own store");
  if (contentType === V8_TYPE) return deserialize(value);
  return new U64(new DataView(value.buffer, value.byteOffset).getBigUint64(0, true));
}

const u = (value: bigint) => new U64(value);
const MAX = 2n ** 64n - 1n;

Deno.test("combine: numbers of 64 bits wrap, numbers and bigints do not", () => {
  assertEquals(run("sum", undefined, u(5n)), u(5n));
  assertEquals(run("sum", u(2n), u(5n)), u(7n));
  assertEquals(run("sum", u(MAX), u(2n)), u(1n));
  assertEquals(run("min", u(2n), u(5n)), u(2n));
  assertEquals(run("min", u(9n), u(5n)), u(5n));
  assertEquals(run("max", u(2n), u(5n)), u(5n));
  assertEquals(run("max", undefined, u(5n)), u(5n));
  assertEquals(run("sum", 1.5, 2), 3.5);
  assertEquals(run("sum", undefined, -2), -2);
  assertEquals(run("sum", MAX, MAX), 2n * MAX);
  // For programs of before bigints could be added.
  assertEquals(run("sum", u(2n), 5n), u(7n));
});

Deno.test("combine: bounds refuse a sum, or clamp it", () => {
  assertEquals(run("sum", 5, 3, { min: 0, max: 8 }), 8);
  assertEquals(run("sum", 5, 4, { min: 0, max: 8, clamp: true }), 8);
  assertEquals(run("sum", 5n, -9n, { min: -1n, clamp: true }), -1n);
  for (const bounds of [{ max: 8 }, { min: 10, max: 11 }]) {
    const error = assertThrows(() => run("sum", 5, 4, bounds), KvError);
    assertEquals(error.code, "out_of_range");
  }
});

Deno.test("combine: what is not a number, or not of the same kind, is refused", () => {
  const wrong: [() => unknown, string][] = [
    [() => run("sum", "text", 1), "not a number"],
    [() => run("sum", 1, "text"), "not a number of its kind"],
    [() => run("sum", 1, 1n), "a number with a bigint"],
    [() => run("sum", 1, u(1n)), "a number with a KvU64"],
    [() => run("sum", u(1n), -1n), "a KvU64 with a bigint"],
    [() => run("sum", u(1n), 1n, { max: 5n }), "a KvU64 with a bigint"],
    [() => run("min", 1, 2), "KvU64"],
    [() => run("sum", 1, 2, { max: 3n }), "a bound"],
  ];
  for (const [call, text] of wrong) {
    const error = assertThrows(call, KvError, text);
    assertEquals(error.code, "bad_request");
  }
});
