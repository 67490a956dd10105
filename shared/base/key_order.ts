/**
 * The order of keys: that of their UTF-8 bytes, which is the order of the rows on disk. JavaScript's
 * own order of strings differs if characters beyond U+FFFF are compared with ones from U+E000 to U+FFFF.
 *
 * @module
 */

/** Negative, 0 or positive as `a` comes before, is, or comes after `b`. */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
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
 * this prefix is at or after `prefix` and before the result.
 */
export function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix);
  for (;;) {
    const last = points.pop()?.codePointAt(0);
    if (last === undefined) return undefined;
    if (last === 0x10ffff) continue;
    // A surrogate alone is not a character, so they are skipped.
    return points.join("") + String.fromCodePoint(last === 0xd7ff ? 0xe000 : last + 1);
  }
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
