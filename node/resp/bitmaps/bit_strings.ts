/** Whole strings of bits: combining them, and looking for the first bit of a kind. Pure. @module */

/** What BITOP does. */
export type BitOperation = "and" | "or" | "xor" | "not";

/** Combines strings; a shorter one counts as followed by zeros. */
export function combine(operation: BitOperation, sources: readonly Uint8Array[]): Uint8Array {
  const length = Math.max(0, ...sources.map((source) => source.length));
  const result = new Uint8Array(length);
  const [first = new Uint8Array(), ...rest] = sources;
  result.set(first);
  if (operation === "not") return result.map((byte) => ~byte);
  for (const source of rest) {
    for (let i = 0; i < length; i++) {
      const [a, b] = [result[i] ?? 0, source[i] ?? 0];
      result[i] = operation === "and" ? a & b : operation === "or" ? a | b : a ^ b;
    }
  }
  return result;
}

/** The first bit of a kind between two places, both included; -1 if there is none. */
export function findBit(bytes: Uint8Array, bit: 0 | 1, from: number, to: number): number {
  const full = bit === 0 ? 0xff : 0;
  for (let i = from; i <= to;) {
    const byte = bytes[Math.floor(i / 8)] ?? 0;
    if (i % 8 === 0 && byte === full) {
      i += 8;
      continue;
    }
    if (((byte >> (7 - (i % 8))) & 1) === bit) return i;
    i++;
  }
  return -1;
}
