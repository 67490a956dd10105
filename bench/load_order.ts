/**
 * What the load generator is asked to do, and the result that it reports.
 *
 * @module
 */

import type { ProbeLogin } from "../tools/json_probe.ts";

/** How to get into a secured server. */
export interface LoadLogin extends ProbeLogin {
  /** A user's token. */
  readonly token: string;
}

/** What to send to one server. */
export interface LoadTarget {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  /** If it is secured. */
  readonly login?: LoadLogin | undefined;
  /** Lines without newline; sent over and over, each connection beginning at another line. */
  readonly requests: readonly string[];
}

/** One run. */
export interface LoadOrder {
  readonly targets: readonly LoadTarget[];
  /** Requests outstanding on each connection. */
  readonly depth: number;
  /** How long; or, if absent, until each request was sent once by one of the connections. */
  readonly durationMs?: number;
  /** Only connect, as often as can be: what counts is connections that were greeted. */
  readonly connecting?: boolean;
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
