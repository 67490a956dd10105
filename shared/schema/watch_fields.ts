/**
 * The fields of messages of watches.
 *
 * @module
 */
import { isPartition, isUint } from "../cluster/map_shape.ts";
import { type Field, field } from "./fields.ts";

/**
 * Where a watcher stands in a partition: nothing beyond the partition for "from now on", else the lineage and the seq
 * up to which it has been told everything; then `upto`, up to which it may have been told of newer writes already;
 * then, while the partition is being read, as of which seq, after which key, and 1 if all of it is read.
 */
export type WirePosition =
  | readonly [partition: number]
  | readonly [partition: number, lineage: number, seq: number]
  | readonly [partition: number, lineage: number, seq: number, upto: number]
  | readonly [
    partition: number,
    lineage: number,
    seq: number,
    upto: number,
    base: number,
    after: string,
    whole: 0 | 1,
  ];

/** What each field after the partition must be. */
const CHECKS: readonly ((value: unknown) => boolean)[] = [
  isUint,
  isUint,
  isUint,
  isUint,
  (value) => typeof value === "string",
  (value) => value === 0 || value === 1,
];

function isPosition(value: unknown): boolean {
  return Array.isArray(value) && isPartition(value[0]) && [1, 3, 4, 7].includes(value.length) &&
    value.slice(1).every((item, i) => CHECKS[i]?.(item) === true);
}

/** Keys, or parts of keys: each as text or, if it is not UTF-8, as `{"key64": base64}`, which the codec makes text of. */
export const keyTexts: Field<readonly string[]> = field(
  "an array of keys",
  (value) => Array.isArray(value) && value.every(isWireKey),
);

function isWireKey(value: unknown): boolean {
  return typeof value === "string" ||
    (typeof value === "object" && value !== null && "key64" in value);
}

export const positions: Field<readonly WirePosition[]> = field(
  "an array of positions",
  (value) => Array.isArray(value) && value.every(isPosition),
);
