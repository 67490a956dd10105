/**
 * What a hostile HTTP client sends: requests to every path of the table and to none, with headers and bodies
 * that are sound, wrong or missing.
 *
 * @module
 */
import fc from "fast-check";
import { ROUTES } from "../../shared/http/endpoints/routes.ts";
import { anyText, bytesOf, damaged, deepJson, joined, jsonText, numberText } from "./hostile.ts";

const paths: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      ...Object.keys(ROUTES).map((path) => path.replace("{database}", "app")),
    ),
  },
  { weight: 1, arbitrary: anyText.map((text) => `/kv/${percentEncoded(text)}`) },
  { weight: 1, arbitrary: anyText },
);

/** As `encodeURIComponent`, of half surrogates as well. */
function percentEncoded(text: string): string {
  return Array.from(bytesOf(text), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}

const PARAMETERS = [
  "prefix",
  "start",
  "end",
  "limit",
  "after",
  "ttl",
  "if_version",
  "keys",
  "values",
];

const query: fc.Arbitrary<string> = fc.array(
  fc.tuple(fc.constantFrom(...PARAMETERS), fc.oneof(numberText, anyText)),
  { maxLength: 3 },
).map((pairs) =>
  pairs.length === 0
    ? ""
    : "?" + pairs.map(([name, value]) => `${name}=${percentEncoded(value)}`).join("&")
);

const header: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    "Content-Type: application/json",
    "Content-Type: text/plain; charset=latin1",
    'If-Match: "1"',
    "If-None-Match: *",
    "Transfer-Encoding: chunked",
    "Content-Length: 5",
    "Content-Length: -1",
    "Content-Length: 99999999999999999999",
    "Expect: 100-continue",
    "Upgrade: websocket",
    "Origin: null",
    "Accept: application/json",
    "Host: evil.example",
    "Range: bytes=0-",
  ),
  fc.tuple(fc.constantFrom("If-Match", "X-Kv-Ttl", "Content-Type", "Cookie"), anyText)
    .map(([name, value]) => `${name}: ${value}`),
  fc.nat(20_000).map((length) => `X-Long: ${"x".repeat(length)}`),
);

const body: fc.Arbitrary<string> = fc.oneof(
  fc.constant(""),
  jsonText,
  deepJson,
  fc.array(
    fc.constantFrom('{"op":"put","key":"k","value":"v"}', '{"op":"get","key":"k"}', "null"),
    {
      maxLength: 4,
    },
  ).map((requests) => `{"requests":[${requests.join(",")}]}`),
  anyText,
);

const request: fc.Arbitrary<Uint8Array> = fc.record({
  method: fc.constantFrom(
    "GET",
    "PUT",
    "POST",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "TRACE",
    "get",
  ),
  path: paths,
  query,
  headers: fc.array(header, { maxLength: 4 }),
  body,
  withLength: fc.boolean(),
}).map(({ method, path, query, headers, body, withLength }) => {
  const bytes = bytesOf(body);
  const lines = [`${method} ${path.replaceAll("{key}", "k")}${query} HTTP/1.1`, "Host: 127.0.0.1"];
  if (withLength) lines.push(`Content-Length: ${bytes.length}`);
  return joined(bytesOf([...lines, ...headers, "", ""].join("\r\n")), bytes);
});

/** One request, or two behind each other. */
export const HTTP_STREAMS: fc.Arbitrary<Uint8Array> = fc.array(damaged(request), {
  minLength: 1,
  maxLength: 2,
}).map((requests) => joined(...requests));
