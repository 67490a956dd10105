/**
 * Joins what the parts of the active coordinator want to write into the one document of the register: the state
 * machine of the cluster, and the keeper of users. One compare-and-set is under way at a time; what both have by then
 * goes with the next.
 *
 * Invariants: each part has one write under way at most; what is handed in is told to be chosen only when it is;
 * after the register was lost nobody is told anything.
 *
 * @module
 */
import { invariant } from "../../shared/base/errors.ts";
import type { SecurityDocument } from "../../shared/security/security_document.ts";
import type { Stamp } from "../register/generation.ts";
import type { Register, Stamped } from "../register/register.ts";
import type { ClusterDocument } from "./cluster_document.ts";
import type { StoredCluster } from "./stored_cluster.ts";

interface Part<T> {
  readonly value: T;
  readonly done: () => void;
}

/** Writes for one time of being active. */
export class DocumentComposer {
  readonly #register: Pick<Register<ClusterDocument>, "compareAndSet">;
  readonly #onLost: (reason: string) => void;
  #stamp: Stamp;
  /** The document that is chosen, or under way. */
  #document: ClusterDocument;
  #cluster: Part<StoredCluster> | undefined;
  #security: Part<SecurityDocument> | undefined;
  #writing = false;
  #closed = false;

  /** @param onLost called if somebody else has written meanwhile: this coordinator is not the active one any more */
  constructor(
    register: Pick<Register<ClusterDocument>, "compareAndSet">,
    held: Stamped<ClusterDocument>,
    onLost: (reason: string) => void,
  ) {
    this.#register = register;
    this.#onLost = onLost;
    this.#stamp = held.stamp;
    this.#document = held.document;
  }

  /** @param done called when it is chosen */
  writeCluster(value: StoredCluster, done: () => void): void {
    invariant(this.#cluster === undefined, "one write of the cluster at a time");
    this.#cluster = { value, done };
    this.#write();
  }

  /** @param done called when it is chosen */
  writeSecurity(value: SecurityDocument, done: () => void): void {
    invariant(this.#security === undefined, "one write of users at a time");
    this.#security = { value, done };
    this.#write();
  }

  /** Nobody is told anything any more. */
  close(): void {
    this.#closed = true;
  }

  #write(): void {
    const [cluster, security] = [this.#cluster, this.#security];
    if (this.#writing || this.#closed || (cluster ?? security) === undefined) return;
    this.#cluster = this.#security = undefined;
    this.#writing = true;
    this.#document = {
      cluster: cluster?.value ?? this.#document.cluster,
      security: security?.value ?? this.#document.security,
    };
    this.#register.compareAndSet(this.#stamp, this.#document, (outcome) => {
      if (this.#closed) return;
      this.#writing = false;
      if (outcome.type !== "chosen") {
        const why = outcome.type === "changed"
          ? "something else was"
          : "nobody knows whether it was";
        return this.#onLost(`a change was not chosen: ${why}`);
      }
      this.#stamp = outcome.stamp;
      // Either may hand in the next one; what both hand in goes together.
      cluster?.done();
      security?.done();
      this.#write();
    });
  }
}
