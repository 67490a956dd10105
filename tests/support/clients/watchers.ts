/**
 * Watchers at every front end, for tests: each keeps what it is told, and goes on from its last token when its
 * connection has ended.
 *
 * @module
 */
import type { KvClient } from "../../../client/mod.ts";
import type { WatchOptions } from "../../../client/mod.ts";
import { type FetchKv, fetchKv, type FetchWatchOptions } from "../../../client/fetch.ts";
import type { Address } from "../../../shared/platform/transport.ts";
import { LineClient } from "./line_client.ts";

/** Bound of each wait; no test waits for it to pass. */
const WAIT_BOUND_MS = 60_000;
/** Before a watcher connects again. */
const RETRY_MS = 100;

/** What a watcher was told. */
export interface Told {
  readonly type: string;
  readonly key?: string | undefined;
  readonly value?: string | undefined;
  readonly version?: number | undefined;
  readonly token?: string | undefined;
  readonly code?: string | undefined;
}

/** One watcher. */
export abstract class Watching implements AsyncDisposable {
  readonly name: string;
  readonly told: Told[] = [];
  /** What went wrong that a watcher does not mend by itself. */
  readonly errors: string[] = [];
  protected stopped = false;
  #wake: () => void = () => {};
  #ended: Promise<void> = Promise.resolve();

  constructor(name: string) {
    this.name = name;
  }

  /** The token of the last event. */
  get token(): string | undefined {
    return this.told.findLast(({ token }) => token !== undefined)?.token;
  }

  /** What was told of changes and notices, but for `progress`, each as a line. */
  get lines(): string[] {
    return this.told.filter(({ type }) => type !== "progress").map(({ type, key, value }) =>
      [type, key, value].filter((part) => part !== undefined).join(" ")
    );
  }

  /** The newest state of each key; a key that is gone has none. */
  get state(): Map<string, string> {
    const state = new Map<string, string>();
    for (const { type, key, value } of this.told) {
      if (type === "reset") state.clear();
      else if (key !== undefined && value !== undefined) state.set(key, value);
      else if (key !== undefined) state.delete(key);
    }
    return state;
  }

  /** Waits until what was told fulfils a condition. */
  async until(what: string, condition: (watching: this) => boolean): Promise<void> {
    const endMs = performance.now() + WAIT_BOUND_MS;
    while (!condition(this)) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0 || this.errors.length > 0) {
        const last = this.lines.slice(-20).join("\n");
        throw new Error(`${this.name}: waited for ${what}; ${this.errors.join()}; told:\n${last}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Waits until it is told a line. */
  async untilLine(line: string): Promise<void> {
    await this.until(line, ({ lines }) => lines.includes(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopped = true;
    this.disconnect();
    await this.#ended;
  }

  /** Connects, and takes what comes until the connection ends. */
  protected abstract connection(): Promise<void>;
  /** Ends the connection. */
  protected abstract disconnect(): void;

  protected take(event: Told): void {
    this.told.push(event);
    this.#wake();
  }

  protected fail(error: string): void {
    this.errors.push(error);
    this.#wake();
  }

  start(): this {
    this.#ended = this.#run();
    return this;
  }

  async #run(): Promise<void> {
    while (!this.stopped && this.errors.length === 0) {
      try {
        await this.connection();
      } catch {
        // A server that has ended, or is not there yet.
      }
      if (!this.stopped) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** Over the library. */
export class LibraryWatching extends Watching {
  readonly #kv: KvClient;
  readonly #options: WatchOptions;
  readonly #abort = new AbortController();

  constructor(kv: KvClient, options: WatchOptions) {
    super("library");
    this.#kv = kv;
    this.#options = options;
  }

  protected override async connection(): Promise<void> {
    try {
      const options = { ...this.#options, signal: this.#abort.signal };
      for await (const event of this.#kv.watch(options)) {
        const value = "value" in event ? new TextDecoder().decode(event.value) : undefined;
        this.take({ ...event, token: event.token, value });
      }
    } catch (error) {
      this.fail(String(error));
    }
    // It goes on by itself: it ends when it is told to.
    this.stopped = true;
  }

  protected override disconnect(): void {
    this.#abort.abort();
  }
}

/** Over `fetch`, by the client for browsers. */
export class FetchWatching extends Watching {
  readonly #kv: FetchKv;
  readonly #options: FetchWatchOptions;
  readonly #abort = new AbortController();

  constructor(addresses: readonly Address[], options: FetchWatchOptions) {
    super("fetch");
    this.#kv = fetchKv({ urls: addresses.map(({ host, port }) => `http://${host}:${port}`) });
    this.#options = options;
  }

  protected override async connection(): Promise<void> {
    try {
      for await (const event of this.#kv.watch({ ...this.#options, signal: this.#abort.signal })) {
        const value = "value" in event ? new TextDecoder().decode(event.value) : undefined;
        this.take({ ...event, value });
      }
    } catch (error) {
      this.fail(String(error));
    }
    // It goes on by itself: it ends when it is told to.
    this.stopped = true;
  }

  protected override disconnect(): void {
    this.#abort.abort();
  }
}

/** Over HTTP, as EventSource does it. */
export class HttpWatching extends Watching {
  readonly #address: () => Address;
  readonly #query: string;
  readonly #path: string;
  readonly #abort = new AbortController();
  connections = 0;

  /** @param address asked before each connection */
  constructor(address: () => Address, query: string, path = "/watch") {
    super("http");
    this.#address = address;
    this.#query = query;
    this.#path = path;
  }

  protected override async connection(): Promise<void> {
    const { host, port } = this.#address();
    const { token } = this;
    const response = await fetch(`http://${host}:${port}${this.#path}?${this.#query}`, {
      headers: token === undefined ? {} : { "last-event-id": token },
      signal: this.#abort.signal,
    });
    if (!response.ok || response.body === null) {
      const text = await response.text();
      if (response.status < 500) this.fail(`${response.status} ${text}`);
      return;
    }
    this.connections++;
    let text = "";
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      text += piece;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        this.#takeBlock(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  }

  #takeBlock(block: string): void {
    const fields = new Map(
      block.split("\n").map((line) => {
        const at = line.indexOf(": ");
        return [line.slice(0, at), line.slice(at + 2)];
      }),
    );
    const data = fields.get("data");
    const type = fields.get("event");
    if (data === undefined || type === undefined) return;
    this.take({ ...JSON.parse(data), type, token: fields.get("id") });
  }

  protected override disconnect(): void {
    this.#abort.abort();
  }
}

/** Over the JSON wire. */
export class WireWatching extends Watching {
  readonly #address: Address;
  readonly #request: Readonly<Record<string, unknown>>;
  #client: LineClient | undefined;

  constructor(address: Address, request: Readonly<Record<string, unknown>>) {
    super("wire");
    this.#address = address;
    this.#request = request;
  }

  protected override async connection(): Promise<void> {
    const { token } = this;
    using client = this.#client = await LineClient.connect(this.#address);
    const request = { id: 1, req_type: "watch", ...this.#request };
    await client.send(JSON.stringify(token === undefined ? request : { ...request, token }) + "\n");
    for (let line = await client.line(); line !== undefined; line = await client.line()) {
      const message = JSON.parse(line);
      if (message.req_type === "event" && message.type !== "error") this.take(message);
      else if (message.code !== undefined && message.code !== "unavailable") this.fail(line);
    }
  }

  protected override disconnect(): void {
    this.#client?.[Symbol.dispose]();
  }
}
