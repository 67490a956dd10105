/**
 * `combine`: a number in a key, replaced by its sum, minimum or maximum with another one, as Deno KV has it. A number is
 * one of unsigned 64 bits (which wraps), or a JavaScript number or bigint in V8's form; the value's media type says which.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { described, flag, mediaType, oneOf, optional, text } from "../schema/fields.ts";
import { decodeValue } from "../schema/value_codec.ts";
import type { Entry } from "../base/entry.ts";
import {
  checkLength,
  quote,
  resultReply,
  VALUE_FIELDS,
  valueOf,
  WRITE_FIELDS,
  type WriteOperation,
} from "./operation.ts";
import { parseV8Number, serializeV8Number } from "../schema/v8_number.ts";

/** Media types of the values of Deno KV that are not plain bytes. */
export const V8_TYPE = "application/x-denokv-v8";
export const U64_TYPE = "application/x-denokv-u64";

const FIELDS = {
  ...WRITE_FIELDS,
  ...VALUE_FIELDS,
  content_type: described("What the number is: of 64 bits, or in V8's form", mediaType),
  with: described("How the two numbers are combined", oneOf("sum", "min", "max")),
  at_least: described("The smallest sum, in V8's form in base64", optional(text), {
    fallback: "none",
  }),
  at_most: described("The greatest sum, in V8's form in base64", optional(text), {
    fallback: "none",
  }),
  clamp: described(
    "A sum beyond the bounds becomes the bound; otherwise it is refused",
    optional(flag),
    {
      fallback: "false",
    },
  ),
};

const U64_BYTES = 8;

/** A number of 64 bits. */
class Uint64 {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = BigInt.asUintN(64, value);
  }
}

type Operand = number | bigint | Uint64;

export const combine: WriteOperation<typeof FIELDS> = {
  kind: "write",
  since: 1,
  summary: "Combine a key's number with another one; a key that is not there becomes that one",
  reply: "result",
  answers: "result: true",
  errors: ["bad_request", "out_of_range", "value_too_large"],
  arguments: ["value", "with", "content_type"],
  frontEnds: ["wire"],
  example: { words: ["visits", "\u0001\0\0\0\0\0\0\0", "sum", U64_TYPE] },
  fields: FIELDS,
  needsCurrent: () => true,
  evaluate(request, current, context) {
    const bytes = valueOf(request);
    const operand = operandOf(bytes, request.content_type);
    if (operand === undefined) throw mismatch(request, `the operand is not a number of its kind`);
    const isU64 = operand instanceof Uint64;
    if (request.with !== "sum" && !isU64) {
      throw mismatch(request, `"${request.with}" is for numbers of 64 bits (KvU64)`);
    }
    const sum = current === undefined
      ? operand
      : combined(request, operand, numberIn(request, current));
    const value = encoded(sum);
    checkLength(request, value.length, context);
    return {
      write: {
        flags: 0,
        value,
        expiresAtMs: 0,
        contentType: sum instanceof Uint64 ? U64_TYPE : V8_TYPE,
      },
      reply: (version) => resultReply(true, version),
    };
  },
};

interface CombineRequest {
  readonly req_type: string;
  readonly key: string;
  readonly with: "sum" | "min" | "max";
  readonly at_least?: string | undefined;
  readonly at_most?: string | undefined;
  readonly clamp?: boolean | undefined;
}

function numberIn(request: CombineRequest, { value, contentType }: Entry): Operand {
  const number = operandOf(value, contentType);
  if (number === undefined) throw mismatch(request, `the value is not a number`);
  return number;
}

function operandOf(bytes: Uint8Array, contentType: string | undefined): Operand | undefined {
  if (contentType === V8_TYPE) return parseV8Number(bytes);
  if (contentType !== U64_TYPE || bytes.length !== U64_BYTES) return undefined;
  return new Uint64(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
}

function encoded(number: Operand): Uint8Array {
  if (!(number instanceof Uint64)) return serializeV8Number(number);
  const bytes = new Uint8Array(U64_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, number.value, true);
  return bytes;
}

function combined(request: CombineRequest, given: Operand, before: Operand): Operand {
  const bounds = [request.at_least, request.at_most].map((text) => boundOf(request, given, text));
  const [least, most] = bounds;
  const isBounded = least !== undefined || most !== undefined || request.clamp === true;
  // As Deno has it, for programs that are older than the addition of V8 numbers.
  const fits = before instanceof Uint64 && typeof given === "bigint" && !isBounded &&
    given >= 0n && given < 2n ** 64n;
  const operand = fits ? new Uint64(given) : given;
  if (before instanceof Uint64 && operand instanceof Uint64) {
    if (least !== undefined || most !== undefined) {
      throw mismatch(request, "numbers of 64 bits (KvU64) have no other bounds");
    }
    const [a, b] = [before.value, operand.value];
    switch (request.with) {
      case "sum":
        return new Uint64(a + b);
      case "min":
        return new Uint64(a < b ? a : b);
      case "max":
        return new Uint64(a > b ? a : b);
    }
  }
  if (typeof before === "bigint" && typeof operand === "bigint") {
    return within(request, before + operand, least, most);
  }
  if (typeof before === "number" && typeof operand === "number") {
    return within(request, before + operand, least, most);
  }
  throw mismatch(request, `cannot combine ${nameOf(before)} with ${nameOf(given)}`);
}

function boundOf(
  request: CombineRequest,
  operand: Operand,
  text: string | undefined,
): number | bigint | undefined {
  if (text === undefined || text === "") return undefined;
  const bytes = decodeValue({ value64: text });
  const bound = bytes === undefined ? undefined : parseV8Number(bytes);
  if (bound === undefined || typeof bound !== typeof operand) {
    throw mismatch(request, "a bound is not a number of the operand's kind");
  }
  return bound;
}

function within(
  request: CombineRequest,
  sum: number | bigint,
  least: number | bigint | undefined,
  most: number | bigint | undefined,
): number | bigint {
  const low = least !== undefined && sum < least;
  const high = most !== undefined && sum > most;
  if (!low && !high) return sum;
  if (request.clamp !== true) {
    throw new KvError(
      "out_of_range",
      `${request.req_type}: the sum in ${quote(request.key)} is beyond its bounds`,
    );
  }
  return (low ? least : most) ?? sum;
}

function nameOf(number: Operand): string {
  return number instanceof Uint64
    ? "a KvU64"
    : typeof number === "bigint"
    ? "a bigint"
    : "a number";
}

function mismatch({ req_type, key }: CombineRequest, why: string): KvError {
  return new KvError("bad_request", `${req_type}: ${quote(key)}: ${why}`);
}
