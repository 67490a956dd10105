/**
 * What the load generator is told to do, and the result that it reports: documents that cross a pipe as JSON.
 *
 * @module
 */
import type { ClientSpec } from "../clients/store_client.ts";
import type { Distribution } from "./key_chooser.ts";

/** Keys and values. */
export interface DataSet {
  readonly keys: number;
  readonly valueBytes: number;
  /** Only these of the keys, by number. */
  readonly only?: readonly number[];
}

/** Which part of the operations reads, and which part reads and then writes; the others write. */
export interface Mix {
  readonly reads: number;
  readonly readModifyWrites: number;
}

/** One run. */
export interface LoadOrder {
  readonly client: ClientSpec;
  readonly data: DataSet;
  /** Virtual clients: each has one operation under way. */
  readonly clients: number;
  readonly mix: Mix;
  readonly distribution: Distribution;
  /** Absent: each key is written once. */
  readonly durationMs?: number;
  /**
   * Operations begin at this rate whether earlier ones have ended or not (an open loop), and their
   * latency counts from when they were due. Absent: each client begins its next one at the end of
   * the one before.
   */
  readonly perSecond?: number;
  readonly seed: number;
}

/** What came of it. */
export interface LoadResult {
  readonly operations: number;
  readonly elapsedMs: number;
  readonly errors: number;
  readonly firstError?: string;
  /** As `LatencyCounts` has them, classes that are not empty: pairs of class and count. */
  readonly reads: readonly (readonly [number, number])[];
  readonly writes: readonly (readonly [number, number])[];
  /** Of an open loop: how much later than due operations began, because of the generator. */
  readonly lateMs?: { readonly p50: number; readonly p99: number };
}

/** A line that the generator answers with. */
export type LoadReply = { readonly result: LoadResult } | { readonly error: string };
