/**
 * When a key expires, as Redis's commands say it: in seconds or milliseconds, from now or as a date, in 64
 * bits. Here a date is at most the last one that JavaScript knows; a later one becomes that date. Pure.
 *
 * @module
 */
import { EXPIRY_DATE_MAX } from "../../../shared/limits/storage.ts";
import { CommandError } from "./command.ts";
import { INT64_MAX, INT64_MIN } from "../protocol/integer_text.ts";

/** What a number means. */
export interface ExpiryUnit {
  readonly inSeconds: boolean;
  /** A date, and not a duration from now. */
  readonly isDate: boolean;
}

/** A request's expiry. */
export type Expiry = { readonly ttl_ms: number } | { readonly expires_at: number };

/** A number as milliseconds. @throws {CommandError} if it does not fit into 64 bits */
function milliseconds(value: bigint, unit: ExpiryUnit, wallMs: number, command: string): bigint {
  let ms = value;
  if (unit.inSeconds) {
    if (value > INT64_MAX / 1000n || value < INT64_MIN / 1000n) throw invalidExpiry(command);
    ms = value * 1000n;
  }
  if (!unit.isDate && ms > INT64_MAX - BigInt(wallMs)) throw invalidExpiry(command);
  return ms;
}

/** For commands whose number must be positive (SET, GETEX and others). @throws {CommandError} */
export function positiveExpiry(
  value: bigint,
  unit: ExpiryUnit,
  wallMs: number,
  command: string,
): Expiry {
  if (value <= 0n) throw invalidExpiry(command);
  return expiry(milliseconds(value, unit, wallMs, command), unit, wallMs);
}

/** For commands with any number: a key whose time is not after now has expired. @throws {CommandError} */
export function anyExpiry(
  value: bigint,
  unit: ExpiryUnit,
  wallMs: number,
  command: string,
): Expiry {
  const ms = milliseconds(value, unit, wallMs, command);
  if (ms <= 0n) return { expires_at: 0 };
  return expiry(ms, unit, wallMs);
}

function expiry(ms: bigint, { isDate }: ExpiryUnit, wallMs: number): Expiry {
  // "From now" is by the primary's clock, which decides when the key expires.
  return isDate
    ? { expires_at: Math.min(Number(ms), EXPIRY_DATE_MAX) }
    : { ttl_ms: Math.min(Number(ms), EXPIRY_DATE_MAX - wallMs) };
}

function invalidExpiry(command: string): CommandError {
  return new CommandError(`ERR invalid expire time in '${command}' command`);
}
