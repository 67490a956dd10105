/**
 * Conditional requests (RFC 9110, section 13): `If-Match`, `If-None-Match`, `If-Modified-Since` and
 * `If-Unmodified-Since`, over versions as entity tags. The tag of version 7 is `"7"`. Pure.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";

/** Longest list of entity tags, in characters. */
const LIST_CHARACTERS_MAX = 8_192;

/** A tag of a list. */
interface EntityTag {
  readonly weak: boolean;
  /** The version that it stands for; undefined if we never gave it out. */
  readonly version: number | undefined;
}

/** `*`, or tags. */
type TagList = "*" | readonly EntityTag[];

/** What a request demands of the current state. */
export interface Preconditions {
  readonly ifMatch: TagList | undefined;
  readonly ifNoneMatch: TagList | undefined;
  /** Milliseconds since 1970, in whole seconds. */
  readonly ifModifiedSinceMs: number | undefined;
  readonly ifUnmodifiedSinceMs: number | undefined;
}

/** The current state of a key. */
export interface CurrentState {
  readonly version: number;
  readonly timestampMs: number;
}

/** The entity tag of a version. */
export function entityTag(version: number): string {
  return `"${version}"`;
}

/** A date as HTTP writes it; whole seconds. */
export function httpDate(ms: number): string {
  return new Date(ms).toUTCString();
}

/** @throws {KvError} `bad_request` if a list of tags is malformed */
export function readPreconditions(headers: Headers): Preconditions {
  return {
    ifMatch: tagList("If-Match", headers.get("if-match")),
    ifNoneMatch: tagList("If-None-Match", headers.get("if-none-match")),
    ifModifiedSinceMs: dateOf(headers.get("if-modified-since")),
    ifUnmodifiedSinceMs: dateOf(headers.get("if-unmodified-since")),
  };
}

/** Whether a request demands anything. */
export function isUnconditional(conditions: Preconditions): boolean {
  return conditions.ifMatch === undefined && conditions.ifNoneMatch === undefined &&
    conditions.ifUnmodifiedSinceMs === undefined;
}

/**
 * How a request goes on: as asked, refused (412), or, for GET and HEAD, with 304.
 *
 * @param current undefined if there is no such key
 */
export function evaluatePreconditions(
  { ifMatch, ifNoneMatch, ifModifiedSinceMs, ifUnmodifiedSinceMs }: Preconditions,
  current: CurrentState | undefined,
  isRead: boolean,
): "go on" | "failed" | "not modified" {
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, current, false)) return "failed";
  } else if (
    ifUnmodifiedSinceMs !== undefined && current !== undefined &&
    wholeSeconds(current.timestampMs) > ifUnmodifiedSinceMs
  ) {
    return "failed";
  }
  if (ifNoneMatch !== undefined) {
    if (!matches(ifNoneMatch, current, true)) return "go on";
    return isRead ? "not modified" : "failed";
  }
  const unmodified = isRead && ifModifiedSinceMs !== undefined && current !== undefined &&
    wholeSeconds(current.timestampMs) <= ifModifiedSinceMs;
  return unmodified ? "not modified" : "go on";
}

/**
 * The one version that a write demands (0: no such key), or `"any"` if it demands that the key exists.
 * Undefined if the conditions are of another kind, so that the current state must be read first.
 */
export function demandedVersion(
  { ifMatch, ifNoneMatch, ifUnmodifiedSinceMs }: Preconditions,
): number | "any" | undefined {
  if (ifUnmodifiedSinceMs !== undefined && ifMatch === undefined) return undefined;
  if (ifMatch === undefined) return ifNoneMatch === "*" ? 0 : undefined;
  if (ifNoneMatch !== undefined) return undefined;
  if (ifMatch === "*") return "any";
  const [tag] = ifMatch;
  if (ifMatch.length !== 1 || tag === undefined || tag.weak) return undefined;
  return tag.version;
}

function matches(list: TagList, current: CurrentState | undefined, weakly: boolean): boolean {
  if (current === undefined) return false;
  if (list === "*") return true;
  return list.some(({ weak, version }) => (weakly || !weak) && version === current.version);
}

function tagList(name: string, text: string | null): TagList | undefined {
  if (text === null) return undefined;
  const trimmed = text.trim();
  if (trimmed === "*") return "*";
  if (text.length > LIST_CHARACTERS_MAX) throw malformed(name);
  const tags: EntityTag[] = [];
  // Read from left to right, because a comma may be inside a tag. Empty elements are allowed.
  const pattern = /[ \t]*(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)")?[ \t]*(,|$)/y;
  while (pattern.lastIndex < trimmed.length) {
    const match = pattern.exec(trimmed);
    if (match === null) throw malformed(name);
    const [, weak, opaque] = match;
    if (opaque === undefined) continue;
    const isOurs = /^[1-9][0-9]{0,15}$/.test(opaque);
    tags.push({ weak: weak !== undefined, version: isOurs ? Number(opaque) : undefined });
  }
  if (tags.length === 0) throw malformed(name);
  return tags;
}

function malformed(name: string): KvError {
  return new KvError(
    "bad_request",
    `${name} must be * or entity tags in double quotes, such as "7"`,
  );
}

/** An invalid date is ignored, as RFC 9110 demands. */
function dateOf(text: string | null): number | undefined {
  if (text === null || !/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} [\d:]{8} GMT$/.test(text)) {
    return undefined;
  }
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1_000) * 1_000;
}
