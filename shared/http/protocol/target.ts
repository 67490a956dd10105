/**
 * The target of a request, parsed: authority, path, query. It is parsed from the text as it arrived,
 * because the platform's URL would fold `a/../b` and replace bad percent-encoding, and a key may be any
 * text.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import { byteText, canonicalKey } from "../../base/key_text.ts";
import { HTTP_TARGET_CHARACTERS_MAX } from "../../limits/http.ts";
import { HttpProblem } from "./problem.ts";

/** Where a request goes. */
export interface Target {
  /** Host and port, as the client wrote them. */
  readonly authority: string;
  /** Percent-encoded; begins with `/`. */
  readonly path: string;
  /** The part after `?`; empty if there is none. */
  readonly query: string;
}

/** @throws {KvError} if it is too long */
export function targetOf(url: string): Target {
  if (url.length > HTTP_TARGET_CHARACTERS_MAX) {
    throw new HttpProblem(
      414,
      "bad_request",
      `the address of a request may have ${HTTP_TARGET_CHARACTERS_MAX} characters, and this one ` +
        `has ${url.length}; POST /op/… takes everything in its body`,
    );
  }
  const authorityAt = url.indexOf("://") + 3;
  const fragmentAt = url.indexOf("#");
  const whole = fragmentAt < 0 ? url : url.slice(0, fragmentAt);
  const queryAt = whole.indexOf("?");
  const front = queryAt < 0 ? whole : whole.slice(0, queryAt);
  const pathAt = front.indexOf("/", authorityAt);
  return {
    authority: pathAt < 0 ? front.slice(authorityAt) : front.slice(authorityAt, pathAt),
    path: pathAt < 0 ? "/" : front.slice(pathAt),
    query: queryAt < 0 ? "" : whole.slice(queryAt + 1),
  };
}

/** Decodes a percent-encoded key, of any bytes. @throws {KvError} `bad_request` */
export function percentDecoded(encoded: string, what: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    // It is no UTF-8, which a key need not be, or a percent sign without its digits.
  }
  if (/%(?![0-9A-Fa-f]{2})/.test(encoded)) {
    throw new KvError("bad_request", `${what}: two hexadecimal digits must follow each %`);
  }
  const bytes = encoded.replace(
    /%([0-9A-Fa-f]{2})/g,
    (_, digits: string) => byteText(parseInt(digits, 16)),
  );
  return canonicalKey(bytes);
}

/**
 * The parameters of a query, in the form that HTML forms and URLSearchParams write.
 *
 * @param repeatable those that may be given several times: their values stay encoded, separated by `&`
 * @throws {KvError} `bad_request` if another one is given twice, or one is wrongly encoded
 */
export function queryParameters(
  query: string,
  repeatable: readonly string[] = [],
): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const part of query.split("&")) {
    if (part === "") continue;
    const at = part.indexOf("=");
    const name = formDecoded(at < 0 ? part : part.slice(0, at));
    const encoded = at < 0 ? "" : part.slice(at + 1);
    const isRepeatable = repeatable.includes(name);
    const before = parameters.get(name);
    const value = !isRepeatable
      ? formDecoded(encoded)
      : before === undefined
      ? encoded
      : `${before}&${encoded}`;
    if (before !== undefined && !isRepeatable) {
      throw new KvError("bad_request", `the parameter ${quoted(name)} is there twice`);
    }
    parameters.set(name, value);
  }
  return parameters;
}

/** Decodes a part of a query. @throws {KvError} `bad_request` */
export function formDecoded(encoded: string): string {
  return percentDecoded(encoded.replaceAll("+", " "), "the query");
}

/** A text of the client in a message, shortened. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
