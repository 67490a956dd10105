/**
 * A line of words as Redis takes it from telnet: words between spaces; in double quotes with the
 * escapes `\n \r \t \b \a \xHH` and `\` before any other character; in single quotes with `\'` alone.
 * A closing quote must be followed by a space or the end. Pure.
 *
 * @module
 */

const SPACE = 0x20;
const DOUBLE_QUOTE = 0x22;
const SINGLE_QUOTE = 0x27;
const BACKSLASH = 0x5c;
const LOWER_X = 0x78;

/** What a character after a backslash means. */
const ESCAPES = new Map<number, number>([
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
  [0x62, 0x08],
  [0x61, 0x07],
]);

function isSpace(byte: number): boolean {
  return byte === SPACE || (byte >= 0x09 && byte <= 0x0d);
}

/** A NUL ends the line, as it does in C. */
function lineEnd(line: Uint8Array): number {
  const nul = line.indexOf(0);
  return nul === -1 ? line.length : nul;
}

/** The words of a line without its end, or undefined if its quotes do not match. */
export function splitInline(line: Uint8Array): Uint8Array[] | undefined {
  const words: Uint8Array[] = [];
  const end = lineEnd(line);
  let at = 0;
  for (;;) {
    while (at < end && isSpace(line[at] ?? 0)) at++;
    if (at >= end) return words;
    const from = at;
    while (at < end && !isSpace(line[at] ?? 0) && !isQuote(line[at] ?? 0)) at++;
    if (at >= end || isSpace(line[at] ?? 0)) {
      words.push(line.subarray(from, at));
      continue;
    }
    const word: number[] = [];
    const next = readQuoted(line, from, end, word);
    if (next === undefined) return undefined;
    words.push(Uint8Array.from(word));
    at = next;
  }
}

function isQuote(byte: number): boolean {
  return byte === DOUBLE_QUOTE || byte === SINGLE_QUOTE;
}

/** Reads a word with quotes in it. @returns where it ends, or undefined if they do not match */
function readQuoted(
  line: Uint8Array,
  from: number,
  end: number,
  word: number[],
): number | undefined {
  let quote = 0;
  let at = from;
  while (at < end) {
    const byte = line[at] ?? 0;
    if (quote === 0) {
      if (isSpace(byte)) return at;
      if (isQuote(byte)) quote = byte;
      else word.push(byte);
      at++;
    } else if (byte === quote) {
      const after = line[at + 1];
      return at + 1 >= end || (after !== undefined && isSpace(after)) ? at + 1 : undefined;
    } else if (byte === BACKSLASH && at + 1 < end) {
      at = readEscape(line, at, end, quote, word);
    } else {
      word.push(byte);
      at++;
    }
  }
  return quote === 0 ? at : undefined;
}

function readEscape(
  line: Uint8Array,
  at: number,
  end: number,
  quote: number,
  word: number[],
): number {
  const next = line[at + 1] ?? 0;
  if (quote === SINGLE_QUOTE) {
    word.push(next === SINGLE_QUOTE ? next : BACKSLASH);
    return next === SINGLE_QUOTE ? at + 2 : at + 1;
  }
  if (next === LOWER_X && at + 3 < end) {
    const high = hexDigit(line[at + 2] ?? 0);
    const low = hexDigit(line[at + 3] ?? 0);
    if (high !== undefined && low !== undefined) {
      word.push(high * 16 + low);
      return at + 4;
    }
  }
  word.push(ESCAPES.get(next) ?? next);
  return at + 2;
}

function hexDigit(byte: number): number | undefined {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : undefined;
}
