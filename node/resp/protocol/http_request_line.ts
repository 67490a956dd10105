/**
 * The first line of an HTTP request, as it looks to a front end that reads lines of words. Some are valid
 * commands: `PUT / HTTP/1.1` would store a value. A browser sends such lines for anybody's page. Pure.
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

/** The answer to a client that speaks HTTP to this port. */
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
