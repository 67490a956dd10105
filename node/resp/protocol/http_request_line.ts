/**
 * The first line of an HTTP request, as it looks to a front end that takes lines of words. Some of them are
 * commands: `PUT / HTTP/1.1` stores a value. A browser sends such lines for a page of anybody. Pure.
 *
 * @module
 */

/** Methods of RFC 9110 and RFC 5789. */
const METHODS: ReadonlySet<string> = new Set([
  "CONNECT",
  "DELETE",
  "GET",
  "HEAD",
  "OPTIONS",
  "PATCH",
  "POST",
  "PUT",
  "TRACE",
]);
const WORD_BYTES_MAX = 16;
const decoder = new TextDecoder("latin1");

/** What a client is told that speaks HTTP to this port. */
export const HTTP_REFUSED =
  "ERR this port speaks the Redis protocol and JSON lines; HTTP has its own port";

/** Whether the words of a line are `METHOD target HTTP/version`. */
export function isHttpRequestLine(words: readonly Uint8Array[]): boolean {
  if (words.length !== 3) return false;
  const [method = "", , version = ""] = words.map((word) =>
    word.length > WORD_BYTES_MAX ? "" : decoder.decode(word)
  );
  return METHODS.has(method) && /^HTTP\/\d(\.\d)?$/.test(version);
}
