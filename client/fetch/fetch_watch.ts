/**
 * A watch over HTTP (docs/watch.md), for `FetchKv`: the events of `GET /watch`, and another connection from the last token
 * on when one has ended. It reads the stream of `fetch` and is no EventSource, since that cannot log in, does not see that
 * nothing comes any more, and knows one address.
 *
 * Invariants: an event is given once its token is kept, so that nothing is left out after a failure; a watch that has begun
 * ends only with its signal, its loop, or an error that stays so.
 *
 * @module
 */
import { type ErrorCode, isErrorCode, KvError } from "../../shared/base/errors.ts";
import { isKeyText, keyOfBase64, percentEncoded, quotedKey } from "../../shared/base/key_text.ts";
import { EventStreamReader, type StreamEvent } from "./event_stream.ts";

/** What is watched: keys and prefixes, at least one of them. */
export interface FetchWatchOptions {
  /** All keys that begin so; "" for all keys. */
  prefix?: string | undefined;
  /** As `prefix`, several. */
  prefixes?: readonly string[] | undefined;
  /** One key. */
  key?: string | undefined;
  /** Several keys. */
  keys?: readonly string[] | undefined;
  /** Begin with the entries that are there. Default false. */
  snapshot?: boolean | undefined;
  /** Go on behind the event that had this token, of a watch of the same keys. */
  token?: string | undefined;
  /** Until the watch has begun, in ms. Default: that of the client. After that it goes on without an end. */
  timeoutMs?: number | undefined;
  /** Ends the watch. */
  signal?: AbortSignal | undefined;
}

/** The key has a new value. */
export interface FetchWatchPut {
  readonly type: "put";
  readonly key: string;
  readonly value: Uint8Array;
  readonly version: number;
  /** When it was written, in ms since 1970. */
  readonly timestampMs: number;
  /** When it expires, in ms since 1970; absent if it does not. */
  readonly expiresAtMs?: number;
  /** Its media type, if it was written with one. */
  readonly contentType?: string;
  /** From where another watch goes on behind this event. */
  readonly token: string;
}

/** The key is gone: deleted, or its time was over. */
export interface FetchWatchDelete {
  readonly type: "delete" | "expired";
  readonly key: string;
  readonly version: number;
  readonly timestampMs: number;
  /** From where another watch goes on behind this event. */
  readonly token: string;
}

/**
 * `level`: everything that was there when the watch began has been told. `progress`: nothing new up to here; every few
 * seconds. `reset`: forget what was told; everything that is there follows, then `level`.
 */
export interface FetchWatchNotice {
  readonly type: "level" | "progress" | "reset";
  /** From where another watch goes on behind this event. */
  readonly token: string;
}

/** What a watch gives. */
export type FetchWatchEvent = FetchWatchPut | FetchWatchDelete | FetchWatchNotice;

/** One attempt at an address; the next attempt is at another one if this one fails. */
export type OpenStream = (
  path: string,
  signal: AbortSignal,
) => Promise<ReadableStream<Uint8Array> | KvError>;

/** What a watch needs. */
export interface WatchNeeds {
  readonly open: OpenStream;
  /** Before the next attempt, after so many in a row that have failed. */
  readonly pause: (failed: number, signal: AbortSignal) => Promise<void>;
  /** Until it has begun. */
  readonly timeoutMs: number;
  /** A connection of which nothing is heard for so long is a dead one. */
  readonly silenceMs: number;
}

/** `progress` comes every 5 s. */
export const WATCH_SILENCE_MS = 20_000;

const encoder = new TextEncoder();

/** The events, until the signal or the end of the loop. @throws {KvError} */
export async function* watchOverHttp(
  needs: WatchNeeds,
  options: FetchWatchOptions,
): AsyncGenerator<FetchWatchEvent, void, void> {
  const { pause, timeoutMs } = needs;
  const query = queryOf(options);
  let token = options.token;
  const stop = new AbortController();
  const end = () => stop.abort();
  options.signal?.addEventListener("abort", end);
  if (options.signal?.aborted) end();
  const late = setTimeout(end, timeoutMs);
  let begun = false;
  let failed = 0;
  try {
    while (!stop.signal.aborted) {
      let failure: unknown;
      try {
        const path = `/watch?${query}${token === undefined ? "" : `&token=${token}`}`;
        for await (const event of connection(needs, path, stop.signal)) {
          clearTimeout(late);
          begun = true;
          failed = 0;
          token = event.token;
          yield event;
          if (stop.signal.aborted) return;
        }
      } catch (error) {
        failure = error;
      }
      if (options.signal?.aborted) return;
      if (failure instanceof KvError && !failure.retryable) throw failure;
      // What is none of ours is the connection's: it has ended, or nothing came any more.
      if (!stop.signal.aborted) await pause(++failed, stop.signal);
      if (!begun && stop.signal.aborted && !options.signal?.aborted) {
        throw failure instanceof KvError
          ? failure
          : new KvError("timeout", "watch: it has not begun in time", { cause: failure });
      }
    }
  } finally {
    clearTimeout(late);
    options.signal?.removeEventListener("abort", end);
    end();
  }
}

/** The events of one connection, until it ends. */
async function* connection(
  { open, silenceMs }: WatchNeeds,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<FetchWatchEvent, void, void> {
  const cut = new AbortController();
  const end = () => cut.abort();
  signal.addEventListener("abort", end);
  let silence: ReturnType<typeof setTimeout> | undefined;
  const hear = () => {
    clearTimeout(silence);
    silence = setTimeout(end, silenceMs);
  };
  hear();
  try {
    const stream = await open(path, cut.signal);
    if (stream instanceof KvError) throw stream;
    const reader = stream.getReader();
    const decoder = new TextDecoder();
    const events = new EventStreamReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        hear();
        for (const event of events.read(decoder.decode(value, { stream: true }))) {
          // What the caller does with it is not the connection's silence.
          clearTimeout(silence);
          yield toWatchEvent(event);
        }
        hear();
      }
    } finally {
      await reader.cancel().catch(() => {});
    }
  } finally {
    clearTimeout(silence);
    signal.removeEventListener("abort", end);
    end();
  }
}

/** @throws {KvError} what the event says, or `bad_request` for what is none of the store's */
function toWatchEvent({ type, data, id: token }: StreamEvent): FetchWatchEvent {
  const document = documentOf(data);
  switch (type) {
    case "error": {
      const { code, message } = document;
      const known: ErrorCode = typeof code === "string" && isErrorCode(code) ? code : "internal";
      throw new KvError(known, String(message));
    }
    case "level":
    case "progress":
    case "reset":
      return { type, token };
    case "put":
    case "delete":
    case "expired": {
      const { version, timestamp, expires_at, content_type } = document;
      const change = {
        key: keyOf(document),
        version: Number(version),
        timestampMs: Number(timestamp),
        token,
      };
      if (type !== "put") return { type, ...change };
      return {
        type,
        ...change,
        value: valueOf(document),
        ...(expires_at === undefined ? {} : { expiresAtMs: Number(expires_at) }),
        ...(content_type === undefined ? {} : { contentType: String(content_type) }),
      };
    }
    default:
      throw notOurs(`it has the type ${JSON.stringify(type)}`);
  }
}

type Document = Readonly<Record<string, unknown>>;

function documentOf(data: string): Document {
  try {
    const document: unknown = JSON.parse(data);
    if (typeof document === "object" && document !== null) return document as Document;
  } catch {
    // It comes from whoever stands between.
  }
  throw notOurs("it is no JSON object");
}

function keyOf({ key, key64 }: Document): string {
  if (typeof key === "string") return key;
  if (typeof key64 === "string") return keyOfBase64(key64);
  throw notOurs("it has no key");
}

function valueOf({ value, value64 }: Document): Uint8Array {
  if (typeof value === "string") return encoder.encode(value);
  if (typeof value64 === "string") {
    return Uint8Array.from(atob(value64), (character) => character.charCodeAt(0));
  }
  throw notOurs("it has no value");
}

function notOurs(why: string): KvError {
  return new KvError("bad_request", `watch: an event is not of the store: ${why}`);
}

/** @throws {KvError} `bad_request` */
function queryOf(options: FetchWatchOptions): string {
  const { prefix, prefixes = [], key, keys = [], snapshot = false } = options;
  const parts = [
    ...parameters("prefix", prefix === undefined ? prefixes : [prefix, ...prefixes]),
    ...parameters("key", key === undefined ? keys : [key, ...keys]),
  ];
  if (parts.length === 0) {
    throw new KvError("bad_request", "watch: give a key or a prefix at least");
  }
  return parts.join("&") + (snapshot ? "&snapshot=true" : "");
}

function parameters(name: string, texts: readonly string[]): string[] {
  return texts.map((text) => {
    if (typeof text === "string" && isKeyText(text)) return `${name}=${percentEncoded(text)}`;
    throw new KvError(
      "bad_request",
      `watch: ${quotedKey(String(text))} is no key, nor a part of one`,
    );
  });
}
