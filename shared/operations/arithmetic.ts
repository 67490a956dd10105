/**
 * `increment` and `increment_float`: a number in decimal text, changed in place. Integers are signed 64
 * bits and never wrap. Floats are added as Redis adds them (`long_double.ts`), so that 0.1 and 0.2 make
 * 0.3; the result has up to 17 places behind the point and no exponent, and must lie in the range of a
 * double.
 *
 * @module
 */
import type { Entry } from "../base/entry.ts";
import { KvError } from "../base/errors.ts";
import { described, numberText, optional } from "../schema/fields.ts";
import {
  addLongDoubles,
  formatLongDouble,
  isInfiniteText,
  parseLongDouble,
} from "./long_double.ts";
import {
  ALL_FRONT_ENDS,
  quote,
  resultReply,
  WRITE_FIELDS,
  type WriteOperation,
} from "./operation.ts";

const INTEGER_FIELDS = {
  ...WRITE_FIELDS,
  by: described("A whole number of 64 bits, as text", optional(numberText), { fallback: "1" }),
};

const FLOAT_FIELDS = {
  ...WRITE_FIELDS,
  by: described("A number, as text", optional(numberText), { fallback: "1" }),
};

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const utf8 = new TextEncoder();
const latin1 = new TextDecoder("latin1");

/** An integer of 64 bits; undefined if the text is not one. */
export function parseInteger(digits: string): bigint | undefined {
  // As Redis: no spaces, no plus sign, no leading zeros.
  if (digits.length > 20 || !/^(0|-?[1-9][0-9]*)$/.test(digits)) return undefined;
  const value = BigInt(digits);
  return value < INT64_MIN || value > INT64_MAX ? undefined : value;
}

function valueText(entry: Entry | undefined): string {
  if (entry === undefined) return "0";
  return entry.value.length > 400 ? "" : latin1.decode(entry.value);
}

export const increment: WriteOperation<typeof INTEGER_FIELDS> = {
  kind: "write",
  since: 1,
  summary: "Add an integer to a key's integer; a key that is not there counts as 0",
  reply: "result",
  answers: "result: the new number, as text",
  errors: ["not_an_integer", "out_of_range"],
  arguments: ["by?"],
  frontEnds: ALL_FRONT_ENDS,
  aliases: ["incr"],
  example: { words: ["visits", "10"], before: "32" },
  fields: INTEGER_FIELDS,
  needsCurrent: () => true,
  evaluate(request, current) {
    const by = parseInteger(request.by ?? "1");
    const before = parseInteger(valueText(current));
    if (by === undefined || before === undefined) {
      const what = by === undefined ? `"by"` : `the value of ${quote(request.key)}`;
      throw new KvError("not_an_integer", `increment: ${what} is not an integer of 64 bits`);
    }
    const after = before + by;
    if (after < INT64_MIN || after > INT64_MAX) {
      throw new KvError("out_of_range", `increment: ${before} + ${by} is beyond 64 bits`);
    }
    const result = String(after);
    return {
      write: { flags: 0, value: utf8.encode(result), expiresAtMs: current?.expiresAtMs ?? 0 },
      reply: (version) => resultReply(result, version),
    };
  },
};

export const incrementFloat: WriteOperation<typeof FLOAT_FIELDS> = {
  kind: "write",
  since: 1,
  summary: "Add a number to a key's number; a key that is not there counts as 0",
  reply: "result",
  answers: "result: the new number, as text",
  errors: ["not_a_float", "out_of_range"],
  arguments: ["by?"],
  frontEnds: ALL_FRONT_ENDS,
  example: { words: ["price", "0.25"], before: "9.5" },
  fields: FLOAT_FIELDS,
  needsCurrent: () => true,
  evaluate(request, current) {
    const byText = request.by ?? "1";
    const beforeText = valueText(current);
    const by = parseLongDouble(byText);
    const before = parseLongDouble(beforeText);
    if (
      isInfiniteText(byText) ? before !== undefined : by !== undefined && isInfiniteText(beforeText)
    ) {
      throw new KvError("out_of_range", "increment_float: the sum is infinite");
    }
    if (by === undefined || before === undefined) {
      const what = by === undefined ? `"by"` : `the value of ${quote(request.key)}`;
      throw new KvError("not_a_float", `increment_float: ${what} is not a number`);
    }
    const result = formatLongDouble(addLongDoubles(before, by));
    if (!Number.isFinite(Number(result))) {
      throw new KvError("out_of_range", "increment_float: the sum is beyond a double's range");
    }
    return {
      write: { flags: 0, value: utf8.encode(result), expiresAtMs: current?.expiresAtMs ?? 0 },
      reply: (version) => resultReply(result, version),
    };
  },
};
