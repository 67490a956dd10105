/**
 * Reads, writes and watches keys over HTTP, with `fetch` alone. Each node answers for the whole cluster; the addresses are
 * tried one after the other.
 *
 * Invariant: a request is sent again only if it is known not to have happened, or if it changes nothing.
 *
 * @module
 */
import { type ErrorCode, isErrorCode, KvError } from "../../shared/base/errors.ts";
import { keyOfBase64, percentEncoded, quotedKey } from "../../shared/base/key_text.ts";
import { SystemRandom } from "../../shared/platform/random.ts";
import { backoffMs } from "../../shared/scheduling/backoff.ts";
import {
  type FetchWatchEvent,
  type FetchWatchOptions,
  WATCH_SILENCE_MS,
  watchOverHttp,
} from "./fetch_watch.ts";

/** How to reach a cluster. */
export interface FetchOptions {
  /** Of nodes or of a proxy before them, such as `https://kv.example` or `http://127.0.0.1:9081`. */
  urls: string | readonly string[];
  /** The user to log in as, with its `password`. */
  user?: string | undefined;
  password?: string | undefined;
  /** A user's token, in the place of user and password. */
  token?: string | undefined;
  /** Deadline of a call, its repetitions included, in ms. Default 10,000. */
  timeoutMs?: number | undefined;
  /** Takes the place of the global `fetch`. */
  fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
}

/** Options of each call. */
export interface FetchCallOptions {
  /** Deadline of the call, in ms. Default: that of the client. */
  timeoutMs?: number | undefined;
  /** Ends the call early with the signal's reason. A write may then still happen. */
  signal?: AbortSignal | undefined;
}

/** Options of a write. */
export interface FetchStoreOptions extends FetchCallOptions {
  /** How long after the write the key expires, in ms. Default: never. */
  ttlMs?: number | undefined;
  /** Only if the key has this version, otherwise `version_mismatch`; 0: only if it does not exist. */
  ifVersion?: number | undefined;
  /** The value's media type. */
  contentType?: string | undefined;
}

/** A value with what is known about it. */
export interface FetchEntry {
  value: Uint8Array;
  /** Grows with every write to the key. */
  version: number;
  /** Its media type. */
  contentType: string;
}

/** Which keys a listing returns. */
export interface FetchSelection extends FetchCallOptions {
  /** Only keys that begin so. */
  prefix?: string | undefined;
  /** From this key on, ... */
  start?: string | undefined;
  /** ... and before this one. */
  end?: string | undefined;
  /** The greatest key first. */
  reverse?: boolean | undefined;
}

const TIMEOUT_MS = 10_000;
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 1_000;
/** Keys of one page of a listing. */
const PAGE_KEYS = 1_000;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

interface Sent {
  readonly method: "GET" | "PUT" | "DELETE" | "POST";
  readonly path: string;
  readonly body?: string | Uint8Array;
  readonly headers?: Record<string, string>;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

/** Talks to a cluster over HTTP. Made by {@linkcode fetchKv}. It holds nothing open but its watches. */
export class FetchKv {
  readonly #urls: readonly string[];
  readonly #options: FetchOptions;
  readonly #authorization: Record<string, string>;
  /** The address that answered last. */
  #at = 0;
  readonly #random = new SystemRandom();

  /** Use {@linkcode fetchKv}. */
  constructor(options: FetchOptions) {
    this.#urls = (typeof options.urls === "string" ? [options.urls] : options.urls).map(checkedUrl);
    if (this.#urls.length === 0) throw new KvError("bad_config", "option urls: give one at least");
    this.#options = options;
    this.#authorization = authorizationOf(options);
  }

  /**
   * The value of a key, or undefined if there is no such key. @throws {KvError}
   *
   * @example
   * ```ts
   * const web = fetchKv({ urls: "http://127.0.0.1:9081" });
   * await web.put("bytes", new Uint8Array([1, 2]));
   * console.log(await web.get("bytes")); // Uint8Array(2) [ 1, 2 ]
   * ```
   */
  async get(key: string, options: FetchCallOptions = {}): Promise<Uint8Array | undefined> {
    return (await this.getEntry(key, options))?.value;
  }

  /**
   * As {@linkcode get}, as text. @throws {KvError} `bad_request` if the value is not valid UTF-8
   *
   * @example
   * ```ts
   * const web = fetchKv({ urls: "http://127.0.0.1:9081" });
   * await web.put("username", "alice");
   * console.log(await web.getText("username")); // alice
   * ```
   */
  async getText(key: string, options: FetchCallOptions = {}): Promise<string | undefined> {
    const value = await this.get(key, options);
    if (value === undefined) return undefined;
    try {
      return strictUtf8.decode(value);
    } catch (cause) {
      const text = `getText: the value of ${quotedKey(key)} is not valid UTF-8`;
      throw new KvError("bad_request", text, { cause });
    }
  }

  /**
   * As {@linkcode get}, parsed as JSON. @throws {KvError} `bad_request` if the value is not JSON
   *
   * @example
   * ```ts
   * const web = fetchKv({ urls: "http://127.0.0.1:9081" });
   * await web.putJson("user:7", { name: "Zoë" });
   * console.log(await web.getJson("user:7")); // { name: "Zoë" }
   * ```
   */
  async getJson(key: string, options: FetchCallOptions = {}): Promise<unknown> {
    const text = await this.getText(key, options);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch (cause) {
      const what = `getJson: the value of ${quotedKey(key)} is not JSON`;
      throw new KvError("bad_request", what, { cause });
    }
  }

  /**
   * As {@linkcode get}, with version and media type.
   *
   * @example
   * ```ts
   * const web = fetchKv({ urls: "http://127.0.0.1:9081" });
   * const version = await web.put("page", "<p>hi</p>", { contentType: "text/html" });
   * const entry = await web.getEntry("page");
   * console.log(entry?.version === version, entry?.contentType); // true text/html
   * ```
   */
  async getEntry(key: string, options: FetchCallOptions = {}): Promise<FetchEntry | undefined> {
    const path = pathOf(key);
    const { status, headers, bytes } = await this.#ask({ method: "GET", path }, options);
    if (status === 404) return undefined;
    return {
      value: bytes,
      version: Number(headers.get("kv-version")),
      contentType: headers.get("content-type") ?? "",
    };
  }

  /**
   * Creates or replaces a key.
   *
   * @returns its new version
   * @throws {KvError} `outcome_unknown` if the answer was lost and the write may have happened; otherwise it did not
   *
   * @example
   * ```ts
   * const web = fetchKv({ urls: "http://127.0.0.1:9081" });
   * const version = await web.put("username", "alice", { ttlMs: 60_000 });
   * await web.put("username", "bob", { ifVersion: version });
   * ```
   */
  async put(
    key: string,
    value: string | Uint8Array,
    options: FetchStoreOptions = {},
  ): Promise<number> {
    const { ttlMs, ifVersion, contentType } = options;
    const query = ttlMs === undefined ? "" : `?ttl_ms=${ttlMs}`;
    const { headers } = await this.#ask({
      method: "PUT",
      path: pathOf(key) + query,
      body: value,
      headers: {
        ...conditionOf(ifVersion),
        // A browser would name one by itself.
        "content-type": contentType ?? "application/octet-stream",
      },
    }, options);
    return Number(headers.get("kv-version"));
  }

  /**
   * As {@linkcode put}, with the value's JSON text. @throws {TypeError} if it has none
   *
   * @example
   * ```ts
   * const web = fetchKv({ urls: "http://127.0.0.1:9081" });
   * await web.putJson("user:7", { name: "Zoë" });
   * ```
   */
  async putJson(key: string, value: unknown, options: FetchStoreOptions = {}): Promise<number> {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new TypeError("putJson: the value cannot be written as JSON");
    return await this.put(key, text, { contentType: "application/json", ...options });
  }

  /**
   * Deletes a key. @returns whether it existed @throws {KvError} as {@linkcode put}
   *
   * @example
   * ```ts
   * const web = fetchKv({ urls: "http://127.0.0.1:9081" });
   * await web.put("username", "alice");
   * console.log(await web.delete("username")); // true
   * ```
   */
  async delete(
    key: string,
    options: FetchCallOptions & { ifVersion?: number | undefined } = {},
  ): Promise<boolean> {
    const { ifVersion } = options;
    const { status } = await this.#ask({
      method: "DELETE",
      path: pathOf(key),
      headers: conditionOf(ifVersion),
    }, options);
    return status !== 404;
  }

  /**
   * Adds to a key's integer; a key that does not exist counts as 0. @returns the new number
   *
   * @example
   * ```ts
   * const web = fetchKv({ urls: "http://127.0.0.1:9081" });
   * await web.delete("visits");
   * console.log(await web.increment("visits")); // 1n
   * ```
   */
  async increment(
    key: string,
    by: number | bigint = 1,
    options: FetchCallOptions = {},
  ): Promise<bigint> {
    const answer = await this.#ask({
      method: "POST",
      path: "/op/increment",
      body: JSON.stringify({ key, by: String(by) }),
      headers: { "content-type": "application/json" },
    }, options);
    return BigInt((jsonOf(answer) as { result: string }).result);
  }

  /**
   * The keys of a selection in the order of their bytes, page by page; leaving the loop ends it.
   *
   * @example
   * ```ts
   * const web = fetchKv({ urls: "http://127.0.0.1:9081" });
   * await web.put("w:1", "a");
   * for await (const key of web.keys({ prefix: "w:" })) console.log(key); // w:1
   * ```
   */
  async *keys(selection: FetchSelection = {}): AsyncGenerator<string, void, void> {
    const { prefix, start, end, reverse = false } = selection;
    let query = `limit=${PAGE_KEYS}${reverse ? "&reverse=true" : ""}`;
    for (const [name, value] of Object.entries({ prefix, start, end })) {
      if (value !== undefined) query += `&${name}=${percentEncoded(value)}`;
    }
    let cursor = "";
    for (;;) {
      const path = `/keys?${query}${cursor}`;
      const answer = await this.#ask({ method: "GET", path }, selection);
      const page = jsonOf(answer) as { keys: (string | { key64: string })[]; cursor?: string };
      for (const key of page.keys) yield typeof key === "string" ? key : keyOfBase64(key.key64);
      if (page.cursor === undefined) return;
      cursor = `&cursor=${page.cursor}`;
    }
  }

  /**
   * The changes of keys as they are committed, of each key in order. After a failure it goes on at the next address, from
   * where it was. A watch that is slow or was away may miss states in between, but never the newest. It holds a connection
   * open, of which browsers have six for each address.
   *
   * @throws {KvError} if it has not begun within `timeoutMs`, or is refused
   *
   * @example
   * ```ts
   * const web = fetchKv({ urls: "http://127.0.0.1:9081" });
   * await web.put("flag:dark", "on");
   * for await (const event of web.watch({ prefix: "flag:", snapshot: true })) {
   *   if (event.type === "put") console.log(event.key, new TextDecoder().decode(event.value)); // flag:dark on
   *   if (event.type === "level") break;
   * }
   * ```
   */
  watch(options: FetchWatchOptions): AsyncGenerator<FetchWatchEvent, void, void> {
    return watchOverHttp({
      timeoutMs: options.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS,
      silenceMs: WATCH_SILENCE_MS,
      open: (path, signal) => this.#openStream(path, signal),
      pause: (failed, signal) => {
        this.#at++;
        const rounds = Math.floor((failed - 1) / this.#urls.length);
        return pause(backoffMs(PAUSE_MS_MIN, PAUSE_MS_MAX, rounds, this.#random), signal);
      },
    }, options);
  }

  /** A response without an end, from the address that answered last. @returns why there is none */
  async #openStream(
    path: string,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array> | KvError> {
    const url = this.#urls[this.#at % this.#urls.length] ?? "";
    try {
      const response = await this.#send(url + path, { method: "GET", path }, signal);
      const { status, headers, ok, body } = response;
      if (ok && body !== null) return body;
      const bytes = new Uint8Array(await response.arrayBuffer());
      return problemOf({ status, headers, bytes }, "GET");
    } catch (cause) {
      return new KvError("unavailable", `GET ${url}: no answer`, { cause });
    }
  }

  /** Tries until an address answers, or the time is up. A key that is not there is an answer. */
  async #ask(sent: Sent, options: FetchCallOptions): Promise<Answer> {
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS;
    const ending = new AbortController();
    const end = () => ending.abort();
    options.signal?.throwIfAborted();
    const timer = setTimeout(end, timeoutMs);
    options.signal?.addEventListener("abort", end);
    try {
      return await this.#repeat(sent, ending.signal);
    } catch (error) {
      options.signal?.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", end);
    }
  }

  async #repeat(sent: Sent, signal: AbortSignal): Promise<Answer> {
    for (let failed = 1;; failed++) {
      const answer = await this.#attempt(sent, signal);
      if (!(answer instanceof KvError)) return answer;
      this.#at++;
      if (!answer.retryable || signal.aborted) throw answer;
      // All of them in a row, and then a pause.
      if (failed % this.#urls.length !== 0) continue;
      const rounds = failed / this.#urls.length;
      await pause(backoffMs(PAUSE_MS_MIN, PAUSE_MS_MAX, rounds - 1, this.#random), signal);
      if (signal.aborted) throw answer;
    }
  }

  /** @returns why there is no answer; if it is retryable, the request did not happen or changes nothing */
  async #attempt(sent: Sent, signal: AbortSignal): Promise<Answer | KvError> {
    const url = this.#urls[this.#at % this.#urls.length] ?? "";
    let answer: Answer;
    try {
      const response = await this.#send(url + sent.path, sent, signal);
      const { status, headers } = response;
      answer = { status, headers, bytes: new Uint8Array(await response.arrayBuffer()) };
    } catch (cause) {
      // A browser does not tell whether the request had left.
      const isLate = signal.aborted;
      const code = sent.method !== "GET" ? "outcome_unknown" : isLate ? "timeout" : "unavailable";
      const text = `${sent.method} ${url}: no answer${isLate ? " in time" : ""}`;
      return new KvError(code, text, { cause });
    }
    if (answer.status >= 200 && answer.status < 300) return answer;
    const problem = problemOf(answer, sent.method);
    const isAbsent = problem.code === "not_found" && sent.method !== "PUT";
    return isAbsent ? answer : problem;
  }

  #send(url: string, sent: Sent, signal: AbortSignal): Promise<Response> {
    const { method, body, headers } = sent;
    return (this.#options.fetch ?? fetch)(url, {
      method,
      headers: { ...headers, ...this.#authorization },
      ...(body === undefined ? {} : { body: body as BodyInit }),
      signal,
      // What a browser keeps is not what the cluster has now.
      cache: "no-store",
      credentials: "omit",
    });
  }
}

/**
 * A client over HTTP, for browsers and other runtimes that have `fetch`. In a browser the cluster must allow the page's
 * origin (`--cors-origin`), unless the page comes from the same one.
 *
 * @throws {KvError} `bad_config` if an address or the login is not valid
 *
 * @example
 * ```ts
 * import { fetchKv } from "kv-client/fetch";
 *
 * const web = fetchKv({ urls: "http://127.0.0.1:9081" });
 * await web.put("username", "alice");
 * console.log(await web.getText("username")); // alice
 * ```
 */
export function fetchKv(options: FetchOptions): FetchKv {
  return new FetchKv(options);
}

function checkedUrl(url: string): string {
  const isHttp = URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
  if (isHttp) return url.replace(/\/+$/, "");
  const text = `option urls: ${JSON.stringify(url)} is no address such as http://127.0.0.1:9081`;
  throw new KvError("bad_config", text);
}

function authorizationOf({ user, password, token, urls }: FetchOptions): Record<string, string> {
  if (token === undefined && user === undefined && password === undefined) return {};
  const isEncrypted = (typeof urls === "string" ? [urls] : urls).every((url) =>
    url.startsWith("https:")
  );
  if (!isEncrypted) {
    throw new KvError(
      "bad_config",
      "a login without encryption would show its secret to everybody: use https addresses",
    );
  }
  if (token !== undefined && user === undefined && password === undefined) {
    return { authorization: `Bearer ${token}` };
  }
  if (token !== undefined || user === undefined || password === undefined) {
    throw new KvError("bad_config", "to log in, give user and password, or a token alone");
  }
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  return { authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` };
}

/** Everything is encoded, so that nothing between here and there folds `.` and `..`. */
function pathOf(key: string): string {
  if (key === "" || key === "." || key === "..") {
    throw new KvError("bad_request", `${quotedKey(key)} cannot be a key of a path`);
  }
  try {
    return `/kv/${percentEncoded(key)}`;
  } catch (cause) {
    throw new KvError("bad_request", "the key is not well-formed text", { cause });
  }
}

function conditionOf(ifVersion: number | undefined): Record<string, string> {
  if (ifVersion === undefined) return {};
  return ifVersion === 0 ? { "if-none-match": "*" } : { "if-match": `"${ifVersion}"` };
}

function jsonOf({ bytes }: Answer): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}

function problemOf(answer: Answer, method: Sent["method"]): KvError {
  const { status } = answer;
  try {
    const { code, detail, context } = jsonOf(answer) as Record<string, unknown>;
    if (typeof code === "string" && isErrorCode(code)) {
      const options = context === undefined ? {} : { detail: context as Record<string, unknown> };
      return new KvError(code, String(detail), options);
    }
  } catch {
    // It comes from whoever stands between.
  }
  // A proxy does not say whether it had passed a request on.
  const lost: ErrorCode = method === "GET" ? "unavailable" : "outcome_unknown";
  const code: ErrorCode = status >= 500 ? lost : "bad_request";
  return new KvError(code, `the answer has status ${status} and is not of the store`);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
