/**
 * Keys and values for measurements: the same in every run.
 *
 * @module
 */

/** `count` keys of 16 bytes. */
export function sampleKeys(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `key:${String(i).padStart(12, "0")}`);
}

const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 ";

/** A text of this many bytes, all of them printable. */
export function textOfBytes(bytes: number): string {
  return Array.from({ length: bytes }, (_, i) => LETTERS[(i * 7919) % LETTERS.length]).join("");
}
