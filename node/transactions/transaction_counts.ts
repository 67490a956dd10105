/**
 * How the transactions ended that a node has led, and how often keys were in their way: for `/metrics`. One for a node,
 * since its partitions' primaries come and go.
 *
 * @module
 */
import type { MetricSet } from "../../shared/metrics/metric_set.ts";
import type { Reply, ReplyTo } from "../../shared/wire/messages.ts";

/** Counts of a node since it started. */
export class TransactionCounts {
  readonly #ends = new Map([["ok", 0]]);
  /** Attempts that were given up because others held keys, or changed what was being read. */
  conflicts = 0;

  /** Counts how a transaction ends, as its client is told. */
  counting(reply: ReplyTo): ReplyTo {
    return (answer) => {
      const code = codeOf(answer);
      this.#ends.set(code, (this.#ends.get(code) ?? 0) + 1);
      reply(answer);
    };
  }

  collect(set: MetricSet): void {
    for (const [code, count] of this.#ends) set.set("kv_transactions_total", count, code);
    set.set("kv_transaction_conflicts_total", this.conflicts);
  }
}

function codeOf(answer: Reply): string {
  return answer.req_type === "error" ? answer.code : "ok";
}
