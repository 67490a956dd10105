/**
 * Numbers as x86-64's `long double`, in which Redis adds: 64 bits of mantissa, rounded to nearest, ties
 * to even. They are read from decimal text and written with 17 digits after the point. Redis's answers
 * depend on its rounding, so this file takes the same steps: reading, adding, writing.
 *
 * This is not general arithmetic: the exponent has no bounds, because every number that is read lies in
 * the range of a double, which is far within that of a `long double`.
 *
 * @module
 */

/** `mantissa` times 2 to the power of `exponent`. The mantissa has 64 bits at most, and a sign. */
export interface LongDouble {
  readonly mantissa: bigint;
  readonly exponent: number;
}

const MANTISSA_BITS = 64;
/** Digits after the point that are written. */
const PLACES = 17;
const PLACES_UNIT = 10n ** BigInt(PLACES);
/** A number beyond it is infinite or not a number. */
const EXPONENT_MAX = 400;
const HEXADECIMAL = /^([+-]?)0[xX]([0-9a-fA-F]*)\.?([0-9a-fA-F]*)(?:[pP]([+-]?[0-9]{1,4}))?$/;
const INFINITE = /^[+-]?inf(inity)?$/i;
/** From here on a double is infinite. */
const BITS_MAX = 1_024;
const DECIMAL = /^([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]{1,4}))?$/;

/** Whether a text stands for an infinite number. */
export function isInfiniteText(text: string): boolean {
  return INFINITE.test(text);
}

/**
 * The number nearest to a text, decimal or (as C reads it) hexadecimal; undefined if a double could not represent it.
 */
export function parseLongDouble(text: string): LongDouble | undefined {
  const hexadecimal = HEXADECIMAL.exec(text);
  if (hexadecimal !== null) return parseHexadecimal(hexadecimal);
  const [, sign, whole = "", fraction = "", exponentText = "0"] = DECIMAL.exec(text) ?? [];
  const exponent = Number(exponentText);
  if (sign === undefined || whole + fraction === "" || Math.abs(exponent) > EXPONENT_MAX) {
    return undefined;
  }
  if (!Number.isFinite(Number(text))) return undefined;
  const digits = BigInt(whole + fraction);
  const scale = fraction.length - exponent;
  const nearest = scale > 0
    ? nearestToFraction(digits, 10n ** BigInt(scale))
    : rounded(digits * 10n ** BigInt(-scale), 0);
  return sign === "-" ? { ...nearest, mantissa: -nearest.mantissa } : nearest;
}

function parseHexadecimal(
  [, sign, whole = "", fraction = "", power = "0"]: RegExpExecArray,
): LongDouble | undefined {
  if (whole + fraction === "") return undefined;
  const magnitude = BigInt(`0x${whole}${fraction}`);
  const exponent = Number(power) - 4 * fraction.length;
  if (magnitude !== 0n && Math.abs(bitsOf(magnitude) + exponent) > BITS_MAX) return undefined;
  const nearest = rounded(magnitude, magnitude === 0n ? 0 : exponent);
  return sign === "-" ? { ...nearest, mantissa: -nearest.mantissa } : nearest;
}

/** The sum, rounded once. */
export function addLongDoubles(a: LongDouble, b: LongDouble): LongDouble {
  const exponent = Math.min(a.exponent, b.exponent);
  const at = (n: LongDouble) => n.mantissa << BigInt(n.exponent - exponent);
  const sum = at(a) + at(b);
  const nearest = rounded(sum < 0n ? -sum : sum, exponent);
  return sum < 0n ? { ...nearest, mantissa: -nearest.mantissa } : nearest;
}

/** The number with 17 digits after the point, without zeros at the end; never `-0`. */
export function formatLongDouble({ mantissa, exponent }: LongDouble): string {
  const negative = mantissa < 0n;
  const magnitude = (negative ? -mantissa : mantissa) * PLACES_UNIT;
  const units = exponent >= 0
    ? magnitude << BigInt(exponent)
    : divided(magnitude, 1n << BigInt(-exponent));
  const text = String(units).padStart(PLACES + 1, "0");
  const whole = text.slice(0, -PLACES);
  const fraction = text.slice(-PLACES).replace(/0+$/, "");
  return `${negative && units !== 0n ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** For numbers that are not negative. The quotient gets more bits than are kept, and one for the remainder. */
function nearestToFraction(numerator: bigint, denominator: bigint): LongDouble {
  if (numerator === 0n) return { mantissa: 0n, exponent: 0 };
  const shift = Math.max(0, MANTISSA_BITS + 2 + bitsOf(denominator) - bitsOf(numerator));
  const shifted = numerator << BigInt(shift);
  const quotient = shifted / denominator;
  // The remainder only distinguishes a tie from a value beyond it: one bit below all others.
  const sticky = quotient * denominator === shifted ? 0n : 1n;
  return rounded(quotient << 1n | sticky, -shift - 1);
}

function rounded(magnitude: bigint, exponent: number): LongDouble {
  const excess = bitsOf(magnitude) - MANTISSA_BITS;
  if (excess <= 0) return { mantissa: magnitude, exponent };
  // If it rounds up to 65 bits, the last of them is zero, so the number still has 64 bits.
  return { mantissa: divided(magnitude, 1n << BigInt(excess)), exponent: exponent + excess };
}

/** The nearest whole number; of two equally near ones, the even one. */
function divided(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twice = 2n * (numerator - quotient * denominator);
  const up = twice > denominator || (twice === denominator && (quotient & 1n) === 1n);
  return up ? quotient + 1n : quotient;
}

function bitsOf(magnitude: bigint): number {
  return magnitude === 0n ? 0 : magnitude.toString(2).length;
}
