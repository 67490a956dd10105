/**
 * Patterns of KEYS and SCAN, as Redis matches them: `*` any bytes, `?` one byte, `[a-z]` one of these, `[^a]`
 * none of these, `\` the next byte literally. A pattern is compiled once and matched often, in O(n·m) at
 * most: unlike a recursive match, it cannot be made to take exponential time.
 *
 * @module
 */
import { keyOfBytes } from "../../../shared/base/key_text.ts";

const ASTERISK = 0x2a;
const QUESTION = 0x3f;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const BACKSLASH = 0x5c;
const CARET = 0x5e;
const DASH = 0x2d;

/** The allowed values of one byte of the text. `any` instead matches any number of bytes. */
type Token = number | Uint8Array | "any" | "one";

/** A pattern. */
export class Glob {
  readonly #tokens: readonly Token[];

  constructor(pattern: Uint8Array) {
    this.#tokens = tokensOf(pattern);
  }

  /** Whether everything matches. */
  get matchesAll(): boolean {
    return this.#tokens.length === 1 && this.#tokens[0] === "any";
  }

  /** The prefix of every matching key. */
  get prefix(): string {
    const literal: number[] = [];
    for (const token of this.#tokens) {
      if (typeof token !== "number") break;
      literal.push(token);
    }
    return keyOfBytes(Uint8Array.from(literal));
  }

  matches(text: Uint8Array): boolean {
    const tokens = this.#tokens;
    let at = 0;
    let token = 0;
    // Where the last `*` was, and how far it has matched the text.
    let star = -1;
    let taken = 0;
    while (at < text.length) {
      const wanted = tokens[token];
      if (wanted === "any") {
        star = token++;
        taken = at;
      } else if (wanted !== undefined && fits(wanted, text[at] ?? 0)) {
        at++;
        token++;
      } else if (star >= 0) {
        // The `*` matches one byte more.
        at = ++taken;
        token = star + 1;
      } else {
        return false;
      }
    }
    while (tokens[token] === "any") token++;
    return token === tokens.length;
  }
}

function fits(token: number | Uint8Array | "one", byte: number): boolean {
  if (typeof token === "number") return token === byte;
  return token === "one" || token[byte] === 1;
}

function tokensOf(pattern: Uint8Array): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < pattern.length) {
    const byte = pattern[at] ?? 0;
    if (byte === ASTERISK) {
      if (tokens.at(-1) !== "any") tokens.push("any");
      at++;
    } else if (byte === QUESTION) {
      tokens.push("one");
      at++;
    } else if (byte === OPEN) {
      const [members, end] = membersOf(pattern, at + 1);
      tokens.push(members);
      at = end;
    } else if (byte === BACKSLASH && at + 1 < pattern.length) {
      tokens.push(pattern[at + 1] ?? 0);
      at += 2;
    } else {
      tokens.push(byte);
      at++;
    }
  }
  return tokens;
}

/** The bytes between brackets; if the brackets are not closed, they end with the pattern. */
function membersOf(pattern: Uint8Array, from: number): [members: Uint8Array, end: number] {
  const members = new Uint8Array(256);
  let at = from;
  const negated = pattern[at] === CARET;
  if (negated) at++;
  while (at < pattern.length && pattern[at] !== CLOSE) {
    const byte = pattern[at] ?? 0;
    if (byte === BACKSLASH && at + 1 < pattern.length) {
      members[pattern[at + 1] ?? 0] = 1;
      at += 2;
    } else if (pattern[at + 1] === DASH && at + 2 < pattern.length) {
      const other = pattern[at + 2] ?? 0;
      members.fill(1, Math.min(byte, other), Math.max(byte, other) + 1);
      at += 3;
    } else {
      members[byte] = 1;
      at++;
    }
  }
  if (negated) { for (let i = 0; i < 256; i++) members[i] = 1 - (members[i] ?? 0); }
  return [members, at + 1];
}
