/**
 * Of writes that are part of a trace: one span for each copy, from when the write is sent on its way until that replica
 * has it on its disk, this node's own included. All are measured at the primary, since what is sent to a replica, and
 * what it acknowledges, is for many writes at once; so a follower's span has the network in it.
 *
 * Invariant: what is open is bounded; a write that is not part of a trace costs one look at a field.
 *
 * @module
 */
import { TRACED_WRITES_MAX } from "../limits/requests.ts";
import type { RequestSpan, RequestTracing } from "./request_tracing.ts";

/** A write of which some copies are not on disk yet. */
interface Open {
  readonly seq: number;
  readonly copies: Map<string, RequestSpan>;
}

/** The spans of one partition, at its primary. */
export class CopySpans {
  readonly #tracing: RequestTracing;
  /** In the order of their seqs. */
  #open: Open[] = [];

  constructor(tracing: RequestTracing) {
    this.#tracing = tracing;
  }

  /** A write was sent on its way; `seq` is its last. Further ones than are bounded have no spans. */
  begin(traceparent: string | undefined, seq: number, replicas: readonly string[]): void {
    if (this.#open.length >= TRACED_WRITES_MAX) return;
    const copies = new Map<string, RequestSpan>();
    for (const replica of replicas) {
      const span = this.#tracing.begin("replicate", traceparent, { "kv.replica": replica });
      if (span !== undefined) copies.set(replica, span);
    }
    if (copies.size > 0) this.#open.push({ seq, copies });
  }

  /** A replica has everything up to `seq` on its disk. */
  onDisk(replica: string, seq: number): void {
    if (this.#open.length === 0) return;
    for (const { copies, seq: last } of this.#open) {
      if (last > seq) break;
      copies.get(replica)?.end(undefined);
      copies.delete(replica);
    }
    this.#open = this.#open.filter(({ copies }) => copies.size > 0);
  }

  /** Nobody waits for a replica any more. */
  onLeft(replicas: readonly string[]): void {
    for (const { copies } of this.#open) {
      for (const [replica, span] of copies) {
        if (replicas.includes(replica)) continue;
        span.end("unavailable");
        copies.delete(replica);
      }
    }
    this.#open = this.#open.filter(({ copies }) => copies.size > 0);
  }
}
