/**
 * Reads the body of a request: never more than was allowed, never for longer than a deadline, and
 * never more of all requests together than a budget. If the announced length is too long, the body is
 * refused before a byte is read; a body without a length is cut off when it crosses the limit.
 *
 * A body that is announced as short is taken as a whole: most of them have arrived with their requests, and a stream of
 * pieces costs several microseconds more. The platform holds a client to the length that it has announced.
 *
 * @module
 */
import { joinBytes } from "../../base/join_bytes.ts";
import { parseBoundedJson } from "../../schema/bounded_json.ts";
import type { ByteBudget } from "../../base/byte_budget.ts";
import type { Clock } from "../../platform/clock.ts";
import { NO_VALUE } from "../../base/entry.ts";
import { type ErrorCode, KvError } from "../../base/errors.ts";
import { HTTP_BODY_TIMEOUT_MS, HTTP_BODY_WHOLE_BYTES } from "../../limits/http.ts";
import { FRAME_BYTES_MAX } from "../../limits/wire.ts";
import type { Address } from "../../platform/transport.ts";
import type { ReplyLengths } from "../../wire/reply_lengths.ts";
import type { Caller } from "../../wire/caller.ts";
import { HttpProblem } from "./problem.ts";

/** Counts the unfinished bodies of a connection; it can refuse one that is being read. */
export interface BodyAccount {
  /** The unfinished bodies have this many bytes more (or fewer). */
  add(bytes: number): void;
  /** Called if the body cannot be kept. */
  onRefused: ((error: KvError) => void) | undefined;
  /** Ends the connection, and with it the reading of a body, as soon as its client may have the answer. */
  endSoon(): void;
}

/** The connection over which a request came. */
export interface HttpCaller extends BodyAccount, Caller {
  readonly remote: Address;
  /** How long its last response was. */
  readonly lengths: ReplyLengths;
}

/** The bounds of reading. */
export interface BodyLimits {
  readonly clock: Clock;
  /** The memory budget of requests under way, shared by all front ends. */
  readonly budget: ByteBudget;
  /** The connection over which a request came; undefined if nobody counts. */
  accountOf(request: Request): BodyAccount | undefined;
}

/** Called with the bytes that must be given back to the budget. */
export interface Body {
  readonly bytes: Uint8Array;
  release(): void;
}

const CLOSE = { connection: "close" } as const;
const EMPTY: Body = { bytes: NO_VALUE, release: () => {} };

/**
 * The whole body. Call `release` when the request is done.
 *
 * @throws {KvError} 413 with `code` if it is longer than `bytesMax`, 415 if it is compressed,
 * 503 if too much is being read, 408 if it does not arrive
 */
export async function readBody(
  request: Request,
  bytesMax: number,
  code: ErrorCode,
  limits: BodyLimits,
): Promise<Body> {
  const { headers } = request;
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    throw new HttpProblem(415, "bad_request", "Content-Encoding is not supported; send it plain", {
      headers: { "accept-encoding": "identity" },
    });
  }
  const length = headers.get("content-length");
  const announced = length === null ? Infinity : Number(length);
  const tooLong = (bytes: string) =>
    new HttpProblem(413, code, `the body may have ${bytesMax} bytes, and this one has ${bytes}`, {
      // The rest, which is still on its way, is not needed.
      headers: CLOSE,
    });
  if (length !== null && announced > bytesMax) throw tooLong(length);
  // Beside a Transfer-Encoding the announced length means nothing.
  const isShort = announced >= 0 && announced <= HTTP_BODY_WHOLE_BYTES &&
    headers.get("transfer-encoding") === null;
  const bytes = isShort
    ? await wholeBody(request, announced, limits)
    : await joinedBody(request, bytesMax, tooLong, limits);
  if (bytes.length === 0) return EMPTY;
  const { budget } = limits;
  if (!budget.take(bytes.length)) {
    throw new KvError("overloaded", "too many bytes of requests are under way; try again");
  }
  return { bytes, release: () => budget.give(bytes.length) };
}

/** A body that is announced as short. */
function wholeBody(
  request: Request,
  announced: number,
  { clock, accountOf }: BodyLimits,
): Promise<Uint8Array> {
  const account = accountOf(request);
  account?.add(announced);
  return new Promise((resolve, reject) => {
    const end = () => {
      timer.cancel();
      if (account === undefined) return;
      account.onRefused = undefined;
      account.add(-announced);
    };
    // What is being read as a whole cannot be given up, except with its connection.
    const giveUp = (problem: KvError) => {
      account?.endSoon();
      reject(problem);
    };
    const timer = clock.setTimer(HTTP_BODY_TIMEOUT_MS, () => giveUp(late()));
    if (account !== undefined) account.onRefused = (error) => giveUp(refused(error));
    request.bytes().then((bytes) => {
      end();
      resolve(bytes);
    }, (cause) => {
      end();
      reject(endedEarly(cause));
    });
  });
}

/** A body that is long, or of unknown length. */
async function joinedBody(
  request: Request,
  bytesMax: number,
  tooLong: (bytes: string) => KvError,
  { clock, accountOf }: BodyLimits,
): Promise<Uint8Array> {
  if (request.body === null) return NO_VALUE;
  const reader = request.body.getReader();
  const account = accountOf(request);
  let length = 0;
  let refusal: KvError | undefined;
  const giveUp = (problem: KvError) => {
    refusal = problem;
    reader.cancel().catch(() => {});
  };
  const timer = clock.setTimer(HTTP_BODY_TIMEOUT_MS, () => giveUp(late()));
  if (account !== undefined) account.onRefused = (error) => giveUp(refused(error));
  const chunks: Uint8Array[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (refusal !== undefined) throw refusal;
      if (done) return joinBytes(chunks);
      if (length + value.length > bytesMax) throw tooLong("more");
      length += value.length;
      account?.add(value.length);
      chunks.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    if (error instanceof KvError) throw error;
    throw endedEarly(error);
  } finally {
    timer.cancel();
    if (account !== undefined) {
      account.onRefused = undefined;
      account.add(-length);
    }
  }
}

function late(): KvError {
  return new HttpProblem(
    408,
    "timeout",
    `the body did not arrive within ${HTTP_BODY_TIMEOUT_MS} ms`,
    { headers: CLOSE },
  );
}

function refused({ code, message }: KvError): KvError {
  return new HttpProblem(503, code, message, { headers: CLOSE });
}

function endedEarly(cause: unknown): KvError {
  return new KvError("bad_request", "the body ended early", { cause });
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Gives `use` the body as a JSON object. The body counts until `use` has ended, because its request is
 * under way until then.
 *
 * @param anyType whether to accept a Content-Type that is not JSON
 * @throws {KvError} 400, 413, 415; and what `use` throws
 */
export async function withJsonObject<T>(
  request: Request,
  limits: BodyLimits,
  use: (object: Record<string, unknown>) => T | Promise<T>,
  anyType = false,
): Promise<T> {
  const type = request.headers.get("content-type");
  if (!anyType && type !== null && !/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) {
    throw new HttpProblem(
      415,
      "bad_request",
      `Content-Type must be application/json; with curl: -H 'Content-Type: application/json'`,
      { headers: { accept: "application/json" } },
    );
  }
  const body = await readBody(request, FRAME_BYTES_MAX, "frame_too_large", limits);
  try {
    return await use(parseObject(body.bytes));
  } finally {
    body.release();
  }
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = parseBoundedJson(decoder.decode(bytes));
  } catch (cause) {
    if (cause instanceof KvError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KvError("bad_request", `the body must be JSON in UTF-8: ${why.slice(0, 200)}`, {
      cause,
    });
  }
  if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) {
    return parsed as Record<string, unknown>;
  }
  throw new KvError("bad_request", "the body must be a JSON object");
}
