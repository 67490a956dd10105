/**
 * Errors over HTTP: a status for each of our codes, and a body of problem details (RFC 9457). Nothing
 * else in this folder makes an error response.
 *
 * @module
 */
import { ERROR_CODES, type ErrorCode, KvError } from "../../base/errors.ts";

/** Content type of every error. */
export const PROBLEM_TYPE = "application/problem+json";

/** How to log in (RFC 9110, 11.6.1): a browser asks its user for the password. */
const CHALLENGE = 'Basic realm="kv", charset="UTF-8", Bearer realm="kv"';

/** How long a client is asked to wait before it repeats a request that did not happen. */
const RETRY_AFTER_SECONDS = 1;

/**
 * The status of each code, unless the request implies another (with `If-Match`, another version is 412).
 * `outcome_unknown` is 500 and not one of 502 to 504, because programs between client and server
 * repeat those by themselves, and a write that may have happened must not be repeated blindly.
 */
export const STATUS_OF_CODE = {
  bad_request: 400,
  not_found: 404,
  exists: 409,
  version_mismatch: 409,
  not_primary: 503,
  unavailable: 503,
  outcome_unknown: 500,
  not_enough_replicas: 503,
  overloaded: 503,
  timeout: 504,
  frame_too_large: 413,
  key_too_large: 413,
  value_too_large: 413,
  corrupt: 500,
  storage_failed: 507,
  unauthorized: 401,
  forbidden: 403,
  stale_incarnation: 500,
  wrong_cluster: 500,
  wrong_version: 500,
  folder_in_use: 500,
  stale_document: 503,
  address_in_use: 500,
  bad_config: 500,
  not_an_integer: 422,
  not_a_float: 422,
  out_of_range: 422,
  transaction_too_large: 413,
  reply_not_kept: 500,
  no_database: 404,
  quota_exceeded: 507,
  session_evicted: 409,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

/** An error that has a status of its own, or headers. */
export class HttpProblem extends KvError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: ErrorCode,
    message: string,
    options: { detail?: Record<string, unknown>; headers?: Record<string, string> } = {},
  ) {
    super(code, message, options.detail === undefined ? {} : { detail: options.detail });
    this.status = status;
    this.headers = options.headers ?? {};
  }
}

/** An error for clients of a protocol that wants plain text. */
export class PlainProblem extends HttpProblem {}

/** An error as a response. */
export function problemResponse(error: KvError): Response {
  if (error instanceof PlainProblem) {
    const headers = { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" };
    return new Response(`${error.message} (${error.code})`, { status: error.status, headers });
  }
  const { code, message, detail, retryable } = error;
  const status = error instanceof HttpProblem ? error.status : STATUS_OF_CODE[code];
  const headers = new Headers(error instanceof HttpProblem ? error.headers : undefined);
  headers.set("content-type", PROBLEM_TYPE);
  headers.set("cache-control", "no-store");
  if (status === 401) headers.set("www-authenticate", CHALLENGE);
  if (status === 503) headers.set("retry-after", String(RETRY_AFTER_SECONDS));
  const body = {
    type: `urn:kv:problem:${code}`,
    title: ERROR_CODES[code].text,
    status,
    detail: message,
    code,
    retry: retryable,
    ...(detail === undefined ? {} : { context: detail }),
  };
  return new Response(JSON.stringify(body), { status, headers });
}
