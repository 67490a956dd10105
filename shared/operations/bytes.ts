/**
 * `append_value`, `set_range` and `set_bit`: change a part of a value in place. A key that is not there counts
 * as an empty value; bytes between its end and an offset become zero. The expiry stays.
 *
 * @module
 */
import type { Entry } from "../base/entry.ts";
import { NO_VALUE } from "../base/entry.ts";
import { described, uint } from "../schema/fields.ts";
import {
  ALL_FRONT_ENDS,
  badRequest,
  checkLength,
  type Outcome,
  resultReply,
  VALUE_FIELDS,
  valueOf,
  WRITE_FIELDS,
  type WriteOperation,
} from "./operation.ts";

function written(value: Uint8Array, current: Entry | undefined, result: unknown): Outcome {
  return {
    write: {
      flags: 0,
      value,
      expiresAtMs: current?.expiresAtMs ?? 0,
      contentType: current?.contentType,
    },
    reply: (version) => resultReply(result, version),
  };
}

/** A copy with room for `length` bytes. */
function grown(value: Uint8Array, length: number): Uint8Array {
  const copy = new Uint8Array(Math.max(value.length, length));
  copy.set(value);
  return copy;
}

const APPEND_FIELDS = { ...WRITE_FIELDS, ...VALUE_FIELDS };

export const appendValue: WriteOperation<typeof APPEND_FIELDS> = {
  kind: "write",
  since: 1,
  summary: "Add bytes at the end of a value",
  reply: "result",
  answers: "result: the new length in bytes",
  errors: ["value_too_large"],
  arguments: ["value"],
  frontEnds: ALL_FRONT_ENDS,
  shellName: "append",
  example: { words: ["word", "thing"], before: "some" },
  fields: APPEND_FIELDS,
  needsCurrent: () => true,
  evaluate(request, current, context) {
    const before = current?.value ?? NO_VALUE;
    const more = valueOf(request);
    const length = before.length + more.length;
    checkLength(request, length, context);
    const value = grown(before, length);
    value.set(more, before.length);
    return written(value, current, length);
  },
};

const SET_RANGE_FIELDS = {
  ...WRITE_FIELDS,
  ...VALUE_FIELDS,
  offset: described("Where the first byte goes", uint, { unit: "bytes" }),
};

export const setRange: WriteOperation<typeof SET_RANGE_FIELDS> = {
  kind: "write",
  since: 1,
  summary: "Overwrite a part of a value, from an offset in bytes",
  reply: "result",
  answers: "result: the new length in bytes",
  errors: ["value_too_large"],
  arguments: ["offset", "value"],
  frontEnds: ALL_FRONT_ENDS,
  example: { words: ["greeting", "6", "there"], before: "hello world" },
  fields: SET_RANGE_FIELDS,
  needsCurrent: () => true,
  evaluate(request, current, context) {
    const before = current?.value ?? NO_VALUE;
    const part = valueOf(request);
    if (part.length === 0) return { answer: resultReply(before.length) };
    checkLength(request, request.offset + part.length, context);
    const value = grown(before, request.offset + part.length);
    value.set(part, request.offset);
    return written(value, current, value.length);
  },
};

const SET_BIT_FIELDS = {
  ...WRITE_FIELDS,
  offset: described("Which bit", uint, { unit: "bits" }),
  bit: described("What it becomes: 0 or 1", uint),
};

export const setBit: WriteOperation<typeof SET_BIT_FIELDS> = {
  kind: "write",
  since: 1,
  summary: "Set one bit of a value; bit 0 is the highest of the first byte",
  reply: "result",
  answers: "result: the bit before",
  errors: ["value_too_large"],
  arguments: ["offset", "bit"],
  frontEnds: ALL_FRONT_ENDS,
  example: { words: ["seen", "6", "1"], before: "a" },
  fields: SET_BIT_FIELDS,
  needsCurrent: () => true,
  evaluate(request, current, context) {
    const { offset, bit } = request;
    if (bit > 1) throw badRequest(request, `"bit" must be 0 or 1, given ${bit}`);
    const at = Math.floor(offset / 8);
    checkLength(request, at + 1, context);
    const value = grown(current?.value ?? NO_VALUE, at + 1);
    const mask = 0x80 >> (offset % 8);
    const byte = value[at] ?? 0;
    const before = (byte & mask) === 0 ? 0 : 1;
    // As in Redis, what is so already is no change: neither watchers nor conditions meet one.
    if (before === bit && value.length === current?.value.length) {
      return { answer: resultReply(before) };
    }
    value[at] = bit === 1 ? byte | mask : byte & ~mask;
    return written(value, current, before);
  },
};
