/**
 * The line `PUT / HTTP/1.1` was carried out at the Redis front end: it is a command of ours and stored a
 * value for whatever page a browser showed. Only `POST` and `Host:` ended the connection.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { HTTP_REFUSED } from "../../node/resp/protocol/http_request_line.ts";
import { RespParser } from "../../node/resp/protocol/parser.ts";

const METHODS = ["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT"];

/** The commands that come of a text, and what was wrong with it. */
function parse(text: string): [string[][], string | undefined] {
  const parser = new RespParser({ argumentBytesMax: 1_000 });
  parser.feed(new TextEncoder().encode(text));
  const commands: string[][] = [];
  for (let args = parser.next(); args !== undefined; args = parser.next()) {
    commands.push(args.map((argument) => new TextDecoder().decode(argument)));
  }
  return [commands, parser.error];
}

Deno.test("RespParser: the first line of an HTTP request ends the connection, whatever its method", () => {
  for (const method of METHODS) {
    const request = `${method} / HTTP/1.1\r\nHost: a\r\n\r\nSET k v\r\n`;
    assertEquals(parse(request), [[], HTTP_REFUSED], method);
    assertEquals(parse(`PING\r\n${method} /kv/k HTTP/1.0\r\n`), [[["PING"]], HTTP_REFUSED], method);
  }
});

Deno.test("RespParser: a value that looks like a version of HTTP is one", () => {
  assertEquals(parse("SET k HTTP/1.1\r\n"), [[["SET", "k", "HTTP/1.1"]], undefined]);
  assertEquals(parse("*3\r\n$3\r\nPUT\r\n$1\r\n/\r\n$8\r\nHTTP/1.1\r\n"), [
    [["PUT", "/", "HTTP/1.1"]],
    undefined,
  ]);
});
