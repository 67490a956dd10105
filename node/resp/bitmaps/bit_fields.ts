/**
 * Integers of any width inside a string of bytes, as BITFIELD reads and writes them. Bit 0 is the highest of the first
 * byte. Pure.
 *
 * @module
 */

/** The type of a field: `i1` to `i64`, `u1` to `u63`. */
export interface FieldType {
  readonly signed: boolean;
  readonly bits: number;
}

/** What happens to a value that does not fit. */
export type Overflow = "wrap" | "sat" | "fail";

/** Reads a field; what is beyond the end counts as zeros. */
export function readField(bytes: Uint8Array, offset: number, { signed, bits }: FieldType): bigint {
  let value = 0n;
  for (let i = offset; i < offset + bits; i++) {
    const bit = ((bytes[Math.floor(i / 8)] ?? 0) >> (7 - (i % 8))) & 1;
    value = (value << 1n) | BigInt(bit);
  }
  return signed ? BigInt.asIntN(bits, value) : value;
}

/** Writes a field into bytes that are long enough. */
export function writeField(bytes: Uint8Array, offset: number, bits: number, value: bigint): void {
  for (let i = 0; i < bits; i++) {
    const at = offset + i;
    const index = Math.floor(at / 8);
    const mask = 1 << (7 - (at % 8));
    const isSet = ((value >> BigInt(bits - 1 - i)) & 1n) === 1n;
    bytes[index] = isSet ? (bytes[index] ?? 0) | mask : (bytes[index] ?? 0) & ~mask;
  }
}

/** A value as the field holds it; undefined if it does not fit and `overflow` is `fail`. */
export function fitted(
  value: bigint,
  { signed, bits }: FieldType,
  overflow: Overflow,
): bigint | undefined {
  const width = BigInt(bits);
  const [least, most] = signed
    ? [-(1n << (width - 1n)), (1n << (width - 1n)) - 1n]
    : [0n, (1n << width) - 1n];
  if (value >= least && value <= most) return value;
  if (overflow === "fail") return undefined;
  if (overflow === "sat") return value < least ? least : most;
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}
