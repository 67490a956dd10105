/**
 * What a partition's primary asks or tells other partitions again and again, as leader or as participant of a transaction,
 * and which of them do not answer: so that nothing is repeated silently. It repeats nothing itself.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { partitionOf } from "../../shared/cluster/position.ts";
import type { Reply } from "../../shared/wire/messages.ts";

/** What of a node's work fails again and again; `node/replication/retries.ts`. */
export interface FailureLog {
  failed(what: string, partition: number, error: KvError): unknown;
  ended(what: string, partition: number): void;
}

/** What this needs of the primary. */
export interface PartnerFailuresOwner {
  readonly store: { readonly partition: number };
  readonly ports: { readonly retries: FailureLog; partitionCount(): number };
}

/** Those of one role of one partition. */
export class PartnerFailures {
  readonly #owner: PartnerFailuresOwner;
  readonly #purpose: (partition: number) => string;
  readonly #failing = new Set<string>();

  /** @param purpose what the partner is asked for, as in "tell partition 7 …" */
  constructor(owner: PartnerFailuresOwner, purpose: (partition: number) => string) {
    this.#owner = owner;
    this.#purpose = purpose;
  }

  /** A partner has answered, or not. @param key one of its keys */
  note(key: string, reply: Reply): void {
    const { store: { partition }, ports } = this.#owner;
    const what = this.#purpose(partitionOf(key, ports.partitionCount()));
    if (reply.req_type === "error") {
      this.#failing.add(what);
      ports.retries.failed(what, partition, new KvError("unavailable", reply.message));
    } else if (this.#failing.delete(what)) ports.retries.ended(what, partition);
  }

  /** Nobody is asked any more. */
  end(): void {
    if (this.#failing.size === 0) return;
    const { store: { partition }, ports } = this.#owner;
    for (const what of this.#failing) ports.retries.ended(what, partition);
    this.#failing.clear();
  }
}
