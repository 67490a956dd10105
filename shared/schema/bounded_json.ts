/**
 * JSON from outside, as a value that is safe to walk: no deeper than JSON_DEPTH_MAX. The platform's
 * parser handles any depth without recursion, but our own code and JSON.stringify are recursive and
 * would overflow the stack. Pure.
 *
 * Invariant: every value that this returns nests at most JSON_DEPTH_MAX arrays and objects.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { JSON_DEPTH_MAX } from "../limits/wire.ts";

/**
 * The value of a JSON text.
 *
 * @throws {SyntaxError} if it is not JSON
 * @throws {KvError} `bad_request` if it nests deeper than JSON_DEPTH_MAX
 */
export function parseBoundedJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (mayNestDeeply(text) && isDeeperThan(value, JSON_DEPTH_MAX)) {
    throw new KvError(
      "bad_request",
      `arrays and objects may nest ${JSON_DEPTH_MAX} deep, and these nest deeper`,
    );
  }
  return value;
}

/** Whether a text has more opening brackets than may nest; nearly every message has fewer. */
function mayNestDeeply(text: string): boolean {
  // Each level has an opening and a closing bracket.
  if (text.length <= 2 * JSON_DEPTH_MAX) return false;
  let count = 0;
  for (const bracket of ["[", "{"]) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      if (++count > JSON_DEPTH_MAX) return true;
    }
  }
  return false;
}

/** Looks no deeper than `levels` + 1, so that this check itself is bounded. */
function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (levels === 0) return true;
  if (Array.isArray(value)) {
    for (const item of value) if (isDeeperThan(item, levels - 1)) return true;
    return false;
  }
  for (const name in value) {
    if (isDeeperThan((value as Record<string, unknown>)[name], levels - 1)) return true;
  }
  return false;
}
