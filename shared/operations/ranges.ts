/**
 * `read_ranges`: of the keys of one partition, those in several ranges, all of one moment. So this is for keys that are kept
 * together. This file defines its fields and its bounds; the primary carries it out
 * (`node/requests/range_reader.ts`).
 *
 * @module
 */
import { isObject, isUint } from "../cluster/map_shape.ts";
import { KvError } from "../base/errors.ts";
import { isKeyText } from "../base/key_text.ts";
import { RANGES_ENTRIES_MAX, RANGES_MAX } from "../limits/requests.ts";
import { described, field, type Fields } from "../schema/fields.ts";
import { type Described, READ_FIELDS } from "./operation.ts";

/** A range of keys, compared by their bytes. */
export interface ReadRange {
  /** The first key, inclusive. */
  readonly start: string;
  /** The end, exclusive. */
  readonly end: string;
  /** The most entries. */
  readonly limit: number;
  /** The last entries, from the end to the beginning. Default false. */
  readonly reverse?: boolean | undefined;
}

/** An operation that reads ranges of keys of one partition. */
export interface RangesOperation<F extends Fields = Fields> extends Described<F> {
  readonly kind: "ranges";
}

const readRanges = field<readonly ReadRange[]>(
  "an array of {start, end, limit, reverse?}",
  (value) => Array.isArray(value) && value.every(isReadRange),
);

function isReadRange(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { limit, reverse, ...range } = value as { readonly [field: string]: unknown };
  return hasBound(range, "start") && hasBound(range, "end") && isUint(limit) && limit > 0 &&
    (reverse === undefined || reverse === null || typeof reverse === "boolean");
}

/** A bound is text or, on the wire, base64: one of the two. */
function hasBound(range: { readonly [field: string]: unknown }, name: string): boolean {
  return (typeof range[name] === "string") !== (typeof range[`${name}64`] === "string");
}

const { consistency: _, ...ROUTED } = READ_FIELDS;

const FIELDS = {
  ...ROUTED,
  key: { ...ROUTED.key, about: { summary: "A key of the partition whose keys are read" } },
  ranges: described(
    "The ranges: `start`, `end` (exclusive; both also in base64, as `start64` and `end64`), `limit`, and `reverse`",
    readRanges,
  ),
};

export const readRangesOperation: RangesOperation<typeof FIELDS> = {
  kind: "ranges",
  since: 1,
  summary: "Of the keys of one partition, those in several ranges, all as of one moment",
  reply: "result",
  answers:
    "entries: those of the ranges, one range after the other; `counts` says how many are of each",
  errors: ["bad_request", "value_too_large"],
  arguments: [],
  frontEnds: ["wire"],
  example: {
    words: ["{users}:", "--ranges", '[{"start":"{users}:","end":"{users};","limit":10}]'],
  },
  fields: FIELDS,
};

/** @throws {KvError} `bad_request` if there are too many ranges, or too many entries are asked for */
export function checkRanges(ranges: readonly ReadRange[]): void {
  if (ranges.length > RANGES_MAX) {
    throw new KvError(
      "bad_request",
      `read_ranges: "ranges" may have ${RANGES_MAX} elements, and has ${ranges.length}`,
    );
  }
  let entries = 0;
  for (const { start, end, limit } of ranges) {
    entries += limit;
    if (isKeyText(start) && isKeyText(end)) continue;
    throw new KvError("bad_request", `read_ranges: a bound has half of a surrogate pair`);
  }
  if (entries > RANGES_ENTRIES_MAX) {
    throw new KvError(
      "bad_request",
      `read_ranges: the limits of all ranges may be ${RANGES_ENTRIES_MAX} together, and are ${entries}`,
    );
  }
}
