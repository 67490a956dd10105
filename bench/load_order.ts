/**
 * What the load generator is asked to do, and what it answers.
 *
 * @module
 */

/** What to send to one server. */
export interface LoadTarget {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  /** Lines without newline; sent over and over, each connection beginning at another one. */
  readonly requests: readonly string[];
}

/** One run. */
export interface LoadOrder {
  readonly targets: readonly LoadTarget[];
  /** Requests outstanding on each connection. */
  readonly depth: number;
  /** For so long; or, where absent, until each request was sent once by one of the connections. */
  readonly durationMs?: number;
}

/** What came of it. */
export interface LoadResult {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly errors: number;
  readonly firstError?: string;
  /** As `LatencyCounts` has them. */
  readonly latencies: Uint32Array;
}

/** What comes back for each order. */
export type LoadReply = { readonly result: LoadResult } | { readonly error: string };
