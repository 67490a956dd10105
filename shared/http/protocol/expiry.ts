/**
 * When a key expires, as a request states it: by one of three parameters or one of two headers.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import { type ParameterValues, uintParameter } from "./parameters.ts";

/** In seconds from now. In an answer: the time that is left, rounded up. */
export const TTL_HEADER = "kv-ttl";
/** Milliseconds since 1970-01-01 UTC. */
export const EXPIRES_AT_HEADER = "kv-expires-at";

const SECONDS_MAX = 10 ** 11;
const MS_MAX = SECONDS_MAX * 1_000;

export const EXPIRY_PARAMETERS = {
  ttl: uintParameter("The key expires after this many seconds.", 1, SECONDS_MAX, "seconds"),
  ttl_ms: uintParameter("The key expires after this many milliseconds.", 1, MS_MAX, "milliseconds"),
  expires_at: uintParameter(
    "When the key expires: milliseconds since 1970-01-01 UTC.",
    1,
    MS_MAX,
    "milliseconds",
  ),
};

/**
 * The fields of a write.
 *
 * @throws {KvError} `bad_request` if there is more than one, or one that cannot be read
 */
export function readExpiry(
  params: ParameterValues<typeof EXPIRY_PARAMETERS>,
  headers: Headers,
): { ttl_ms?: number; expires_at?: number } {
  const found: { ttl_ms?: number; expires_at?: number }[] = [];
  for (const ttl of [params.ttl, headerNumber(headers, TTL_HEADER, SECONDS_MAX, "seconds")]) {
    if (ttl !== undefined) found.push({ ttl_ms: ttl * 1_000 });
  }
  if (params.ttl_ms !== undefined) found.push({ ttl_ms: params.ttl_ms });
  const date = headerNumber(headers, EXPIRES_AT_HEADER, MS_MAX, "milliseconds");
  for (const at of [params.expires_at, date]) {
    if (at !== undefined) found.push({ expires_at: at });
  }
  if (found.length > 1) throw new KvError("bad_request", "give one expiry, not several");
  return found[0] ?? {};
}

function headerNumber(
  headers: Headers,
  name: string,
  max: number,
  unit: string,
): number | undefined {
  const text = headers.get(name);
  if (text === null) return undefined;
  const value = /^[0-9]{1,16}$/.test(text.trim()) ? Number(text) : NaN;
  if (value >= 1 && value <= max) return value;
  throw new KvError("bad_request", `${name} must be a whole number of ${unit} from 1 to ${max}`);
}
