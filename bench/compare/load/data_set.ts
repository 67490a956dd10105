/**
 * The keys and values of a measurement: the same in every run. Values look random, so that no store
 * gains by compressing them, and are printable, so that every protocol can carry them as they are.
 *
 * @module
 */
import { SeededRandom } from "../../../shared/platform/random.ts";
import type { DataSet } from "./order.ts";

const POOL_VALUES = 64;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const SEED = 11;

/** A key by its number: 16 bytes. */
export function keyOf(number: number): string {
  return `key:${String(number).padStart(12, "0")}`;
}

/** The keys. */
export function keysOf({ keys, only }: DataSet): string[] {
  return only === undefined
    ? Array.from({ length: keys }, (_, i) => keyOf(i))
    : only.map((number) => keyOf(number));
}

/** Some values, written in turn. */
export function valuePool({ valueBytes }: DataSet): string[] {
  const random = new SeededRandom(SEED);
  return Array.from({ length: POOL_VALUES }, () => {
    let value = "";
    for (let i = 0; i < valueBytes; i++) value += ALPHABET[random.uint32() & 63];
    return value;
  });
}
