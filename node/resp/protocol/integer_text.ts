/**
 * Integers of 64 bits as Redis reads them from text: decimal, no plus sign, no spaces, no leading
 * zeros, no minus zero. Pure.
 *
 * @module
 */

const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
/** `-9223372036854775808` */
const TEXT_BYTES_MAX = 20;
/** A number with this many digits is always below 2^53. */
const SAFE_DIGITS = 15;

export const INT64_MIN = -(2n ** 63n);
export const INT64_MAX = 2n ** 63n - 1n;

/** The integer, or undefined if the bytes are not one. */
export function parseInteger(bytes: Uint8Array): bigint | undefined {
  const small = parseSmallInteger(bytes);
  if (small !== undefined) return BigInt(small);
  const negative = bytes[0] === MINUS;
  const from = negative ? 1 : 0;
  if (bytes.length > TEXT_BYTES_MAX || bytes.length - from <= SAFE_DIGITS) return undefined;
  if (bytes[from] === ZERO) return undefined;
  let value = 0n;
  for (let i = from; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte < ZERO || byte > NINE) return undefined;
    value = value * 10n + BigInt(byte - ZERO);
  }
  if (negative) value = -value;
  return value < INT64_MIN || value > INT64_MAX ? undefined : value;
}

/** The integer if it has at most 15 digits; undefined if it has more or is not an integer. */
function parseSmallInteger(bytes: Uint8Array): number | undefined {
  const negative = bytes[0] === MINUS;
  const from = negative ? 1 : 0;
  const digits = bytes.length - from;
  if (digits === 0 || digits > SAFE_DIGITS) return undefined;
  if (bytes[from] === ZERO) return digits === 1 && !negative ? 0 : undefined;
  let value = 0;
  for (let i = from; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte < ZERO || byte > NINE) return undefined;
    value = value * 10 + (byte - ZERO);
  }
  return negative ? -value : value;
}
