/**
 * The language of the shell: one command per line, in either of two syntaxes.
 *
 *     put:key:value        ancestor A: the key ends at the first colon, the value is all the rest
 *     PUT key value        words, quoted with "…" (escapes \" \\ \n \r \t \b \f \u{…} \xNN) or '…' (none)
 *
 * The command's name is case-insensitive, and `_` in it means `-`. Quotes count only at the beginning of a
 * word, so that JSON without spaces needs none. A key or value with spaces must be quoted, in every command:
 * a word too many is refused, because nothing says whether it was meant to be a part of the value. Pure; of
 * single commands it knows only how many arguments they take.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { byteText, canonicalKey } from "../../../shared/base/key_text.ts";

/** A word of a line. */
export interface Word {
  text: string;
  /** It was quoted, or follows a `--`: it is an argument, whatever it looks like. */
  quoted: boolean;
}

/** The words of a line, read one after the other. */
export interface Words {
  /** @throws {KvError} `bad_request` if a quote is not closed or not followed by a space */
  next(): Word | undefined;
}

/** A parsed line. */
export interface ParsedLine {
  /** Lower case, with `-`. */
  name: string;
  words: Words;
  /** Whether words that begin with `--` are options. */
  options: boolean;
}

/** The name of a command as in the table. */
export function commandName(text: string): string {
  return text.toLowerCase().replaceAll("_", "-");
}

/**
 * Parses a line.
 *
 * @param argumentsOf how many arguments a command takes; undefined if there is no such command
 * @returns undefined for an empty line or a comment (`#`)
 * @throws {KvError} `bad_request` if a quote is not closed
 */
export function parseLine(
  line: string,
  argumentsOf: (name: string) => number | undefined,
): ParsedLine | undefined {
  const trimmed = line.replace(/[\r\n]+$/, "");
  if (/^\s*(#|$)/.test(trimmed)) return undefined;
  return parseColons(trimmed, argumentsOf) ?? parseWords(trimmed);
}

function parseColons(
  line: string,
  argumentsOf: (name: string) => number | undefined,
): ParsedLine | undefined {
  const match = /^\s*([A-Za-z][A-Za-z_-]*):(.*)$/s.exec(line);
  if (match === null) return undefined;
  const name = commandName(match[1] ?? "");
  const count = argumentsOf(name);
  if (count === undefined) return undefined;
  const words: string[] = [];
  let rest = match[2] ?? "";
  while (words.length < count - 1) {
    const colon = rest.indexOf(":");
    if (colon < 0) break;
    words.push(rest.slice(0, colon));
    rest = rest.slice(colon + 1);
  }
  // `put:k:` has an empty value, but `get:` has no key.
  if (rest !== "" || words.length > 0) words.push(rest);
  return { name, words: wordList(words.map((text) => ({ text, quoted: true }))), options: false };
}

function parseWords(line: string): ParsedLine {
  const words = new LineWords(line);
  const first = words.next();
  return { name: commandName(first?.text ?? ""), words, options: true };
}

/** Words that are given one by one. */
export function wordList(list: readonly Word[]): Words {
  let at = 0;
  return { next: () => list[at++] };
}

/** The words of a text line. */
export class LineWords implements Words {
  readonly #line: string;
  #at = 0;

  constructor(line: string) {
    this.#line = line;
  }

  next(): Word | undefined {
    const line = this.#line;
    let begin = this.#at;
    while (begin < line.length && isSpace(line, begin)) begin++;
    this.#at = begin;
    if (begin >= line.length) return undefined;
    const quote = line[begin];
    if (quote === '"' || quote === "'") {
      const { text, end } = readQuoted(line, begin, quote);
      if (end < line.length && !isSpace(line, end)) {
        throw badLine("a space is required after the closing quote", line, end);
      }
      this.#at = end;
      return { text, quoted: true };
    }
    let end = begin;
    while (end < line.length && !isSpace(line, end)) end++;
    this.#at = end;
    return { text: line.slice(begin, end), quoted: false };
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  "0": "\0",
  // As in JSON, so that what is printed as JSON can be read back.
  b: "\b",
  f: "\f",
};

function readQuoted(line: string, begin: number, quote: string): { text: string; end: number } {
  let text = "";
  let at = begin + 1;
  for (;;) {
    const char = line[at];
    if (char === undefined) throw badLine(`the quote ${quote} is not closed`, line, begin);
    at++;
    if (char === quote) return { text: canonicalKey(text), end: at };
    if (char !== "\\" || quote === "'") {
      text += char;
      continue;
    }
    const escaped = line[at++];
    if (escaped === "u") {
      const match = /^(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{4}))/.exec(line.slice(at, at + 8));
      const code = match === null ? NaN : parseInt(match[1] ?? match[2] ?? "", 16);
      if (!(code <= 0x10ffff)) throw badLine("\\u requires four digits or {…}", line, at);
      text += String.fromCodePoint(code);
      at += match?.[0].length ?? 0;
    } else if (escaped === "x") {
      const digits = /^[0-9a-fA-F]{2}/.exec(line.slice(at, at + 2))?.[0];
      if (digits === undefined) throw badLine("\\x requires two hexadecimal digits", line, at);
      text += byteText(parseInt(digits, 16));
      at += 2;
    } else if (escaped !== undefined) {
      text += ESCAPES[escaped] ?? escaped;
    }
  }
}

/** Only space and tab separate words: white space as `trim` defines it would break keys in other scripts. */
function isSpace(line: string, at: number): boolean {
  const char = line[at];
  return char === " " || char === "\t";
}

function badLine(what: string, line: string, at: number): KvError {
  return new KvError("bad_request", `${what} (character ${at + 1} of ${JSON.stringify(line)})`);
}
