/**
 * The order of keys: that of their bytes, which is the order of the rows on disk. JavaScript's own order of
 * strings differs if characters beyond U+FFFF are compared with ones from U+E000 to U+FFFF, and for bytes that
 * are not UTF-8, which are lone surrogates in the string (`key_text.ts`).
 *
 * @module
 */
import { bytesOfKey, isEscape, keyOfBytes } from "./key_text.ts";

/** Negative, 0 or positive as `a` comes before, is, or comes after `b`. */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    return isEscape(x) || isEscape(y) ? compareFrom(a, b, i) : rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** Compares keys of which the first different units may be bytes that are not UTF-8. */
function compareFrom(a: string, b: string, at: number): number {
  const before = at === 0 ? 0 : a.charCodeAt(at - 1);
  // Second halves of pairs whose first halves are the same.
  if (before >= 0xd800 && before < 0xdc00) return a.charCodeAt(at) - b.charCodeAt(at);
  return compareBytes(bytesOfKey(a.slice(at)), bytesOfKey(b.slice(at)));
}

/** Moves the surrogates (0xD800 to 0xDFFF), which stand for U+10000 and up, behind all other units. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** Compares byte strings, as unsigned bytes. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/**
 * The first key after all keys that begin with `prefix`, or undefined if there is none. Every key with
 * this prefix is at or after `prefix` and before the result, and no other key is.
 */
export function prefixEnd(prefix: string): string | undefined {
  const bytes = bytesOfKey(prefix);
  let length = bytes.length;
  while (length > 0 && bytes[length - 1] === 0xff) length--;
  if (length === 0) return undefined;
  const end = bytes.subarray(0, length);
  end[length - 1] = (end[length - 1] ?? 0) + 1;
  return keyOfBytes(end);
}

/** The greater of two keys, if there are two; otherwise the one there is. */
export function greaterKey(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareKeys(a, b) >= 0 ? a : b;
}

/** The smaller of two keys, if there are two; otherwise the one there is. */
export function smallerKey(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareKeys(a, b) <= 0 ? a : b;
}
