/**
 * The newest requests that took long, with their keys and who asked: for whoever looks for the reason why something is
 * slow. What Redis calls SLOWLOG; but the time is that from a request's arrival to its answer, waiting included.
 *
 * Invariant: it holds a bounded number of entries of bounded size. Values are never in it.
 *
 * @module
 */
import { isObject } from "../cluster/map_shape.ts";
import { SLOW_KEY_CHARACTERS_MAX, SLOW_REQUEST_MS, SLOW_REQUESTS_MAX } from "../limits/requests.ts";
import { type Address, formatAddress } from "../platform/transport.ts";

/** A request that took long. */
export interface SlowRequest {
  /** Grows by one with each; from 0. */
  readonly id: number;
  /** When it was answered, in milliseconds since 1970-01-01 UTC. */
  readonly atMs: number;
  readonly elapsedMs: number;
  readonly frontEnd: string;
  readonly operation: string;
  /** `ok`, or the error's code. */
  readonly code: string;
  /** Cut if it is long. Absent if the request is not about one key. */
  readonly key?: string;
  /** Who asked. Absent if that is not known. */
  readonly client?: string;
  /** The trace that it is part of (OpenTelemetry). Absent if it is part of none. */
  readonly trace?: string;
}

/** What another process has sent as its slow requests; what is none is left out. */
export function readSlowRequests(value: unknown): SlowRequest[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, SLOW_REQUESTS_MAX).filter((one): one is SlowRequest =>
    isObject(one) &&
    ["id", "atMs", "elapsedMs"].every((field) => typeof one[field] === "number") &&
    ["frontEnd", "operation", "code"].every((field) => typeof one[field] === "string") &&
    ["key", "client", "trace"].every((field) => ["string", "undefined"].includes(typeof one[field]))
  );
}

/** Keeps them. */
export class SlowLog {
  /** From how long on a request is slow. */
  readonly thresholdMs: number;
  readonly #entries: SlowRequest[] = [];
  #next = 0;

  constructor(thresholdMs = SLOW_REQUEST_MS) {
    this.thresholdMs = thresholdMs;
  }

  /** How many there have been, since the process began. */
  get total(): number {
    return this.#next;
  }

  /** How many are kept. */
  get size(): number {
    return this.#entries.length;
  }

  add(
    slow: Pick<SlowRequest, "atMs" | "elapsedMs" | "frontEnd" | "operation" | "code">,
    key: string | undefined,
    remote: Address | undefined,
    trace?: string,
  ): void {
    this.#entries.push({
      id: this.#next++,
      ...slow,
      ...(key === undefined ? {} : { key: shortened(key) }),
      ...(remote === undefined ? {} : { client: formatAddress(remote) }),
      ...(trace === undefined ? {} : { trace }),
    });
    if (this.#entries.length > SLOW_REQUESTS_MAX) this.#entries.shift();
  }

  /** The newest first. */
  newest(count = SLOW_REQUESTS_MAX): SlowRequest[] {
    return count <= 0 ? [] : this.#entries.slice(-count).reverse();
  }

  /** Forgets those that are kept. */
  clear(): void {
    this.#entries.length = 0;
  }
}

function shortened(key: string): string {
  if (key.length <= SLOW_KEY_CHARACTERS_MAX) return key;
  return `${key.slice(0, SLOW_KEY_CHARACTERS_MAX)}…`;
}
