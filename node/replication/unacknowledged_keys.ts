/**
 * What a replica knows of its own data, and so what it says when its primary asks where it stands: the keys whose newest
 * write here may never have been acknowledged. It stores no data and sends nothing.
 *
 *     unlisted ── all is known to be committed ──> listed
 *     listed ── a resync begins; it was primary ──> unlisted
 *     listed, unlisted ── in sync, and would be sent everything ──> lacks_all
 *     any ── its data is found damaged ──> damaged ── deleted ──> listed
 *     any ── a resync ends ──> unlisted, or listed at once
 *
 * Invariant: the list that is sent lacks no write that is not known to be committed; after a transfer that was not ended,
 * none of the part that is filled.
 *
 * @module
 */
import { RESYNC_UNACKNOWLEDGED_MAX } from "../../shared/limits/replication.ts";
import type { PartitionStore } from "../storage/partition_store.ts";

type Knowledge =
  /** The accepted writes that are not known to be committed, oldest first. */
  | {
    readonly kind: "listed";
    readonly uncommitted: { readonly seq: number; readonly key: string }[];
  }
  /** Only the disk knows. What a search finds there stays true until something changes. */
  | { readonly kind: "unlisted"; search: Search | undefined }
  /** Its primary must send everything once this replica is no longer in sync. */
  | { readonly kind: "lacks_all" }
  /** Nothing of it counts: it must be deleted before it is filled. */
  | { readonly kind: "damaged" };

/** A search through the disk; `keys` is undefined if there are too many to list. */
type Search =
  | { readonly kind: "running" }
  | { readonly kind: "ended"; readonly keys: readonly string[] | undefined };

/** Gets the result of a search. */
export interface SearchListener {
  /** The keys; undefined if they are too many or not known, so that everything must be sent. */
  onFound(keys: readonly string[] | undefined): void;
  onFailed(error: unknown): void;
}

/** A replica's knowledge of its own data. */
export class UnacknowledgedKeys {
  readonly #store: PartitionStore;
  readonly #listener: SearchListener;
  #knowledge: Knowledge;

  /** @param clean whether everything in the store is committed (an empty one, or a former primary's) */
  constructor(store: PartitionStore, clean: boolean, listener: SearchListener) {
    this.#store = store;
    this.#listener = listener;
    this.#knowledge = clean
      ? { kind: "listed", uncommitted: [] }
      : { kind: "unlisted", search: undefined };
  }

  /** Whether the data is damaged, until it is deleted. */
  get damaged(): boolean {
    return this.#knowledge.kind === "damaged";
  }

  /** The data was found damaged: everything must be sent. */
  markDamaged(): void {
    this.#knowledge = { kind: "damaged" };
  }

  /** Everything must be sent, but not before this replica is out of the in-sync set. */
  markLacking(): void {
    if (!this.damaged) this.#knowledge = { kind: "lacks_all" };
  }

  /** Everything was deleted. */
  onCleared(): void {
    this.#knowledge = { kind: "listed", uncommitted: [] };
  }

  /** From here on only the disk knows what is not committed. A worse state stays. */
  unlist(): void {
    const { kind } = this.#knowledge;
    if (kind === "listed" || kind === "unlisted") this.#knowledge = unlisted();
  }

  /** A resync has ended: the state record tells what is committed. */
  onResynced(): void {
    this.#knowledge = unlisted();
    this.onCommitted();
  }

  /** A write was accepted. */
  onTaken(seq: number, key: string): void {
    if (this.#knowledge.kind === "listed") this.#knowledge.uncommitted.push({ seq, key });
  }

  /** The commit seq has changed: trims the list, or begins one if all is known to be committed. */
  onCommitted(): void {
    const { commitSeq, lastSeq } = this.#store.state;
    if (this.#knowledge.kind === "unlisted" && commitSeq === lastSeq) {
      this.#knowledge = { kind: "listed", uncommitted: [] };
    }
    if (this.#knowledge.kind !== "listed") return;
    const { uncommitted } = this.#knowledge;
    let count = 0;
    for (const { seq } of uncommitted) {
      if (seq > commitSeq) break;
      count++;
    }
    uncommitted.splice(0, count);
  }

  /** Tells the listener the keys, at once or when they are found. A damaged replica has none to tell. */
  ask(): void {
    const knowledge = this.#knowledge;
    switch (knowledge.kind) {
      case "damaged":
        return;
      case "lacks_all":
        this.#listener.onFound(undefined);
        return;
      case "listed": {
        const keys = new Set(knowledge.uncommitted.map(({ key }) => key));
        this.#listener.onFound(keys.size > RESYNC_UNACKNOWLEDGED_MAX ? undefined : [...keys]);
        return;
      }
      case "unlisted":
        if (knowledge.search === undefined) this.#search(knowledge);
        else if (knowledge.search.kind === "ended") this.#listener.onFound(knowledge.search.keys);
    }
  }

  /**
   * Searches the data for writes beyond the commit seq. This may take longer than a primary waits for its answer. So it is done
   * once, for all that ask before anything changes here.
   */
  #search(knowledge: Knowledge & { kind: "unlisted" }): void {
    knowledge.search = { kind: "running" };
    const { commitSeq, filled } = this.#store.state;
    const beyond = filled?.commitSeq ?? commitSeq;
    this.#store.keysBeyond(beyond, RESYNC_UNACKNOWLEDGED_MAX, filled?.upto).then(
      (keys) => {
        // If something has changed meanwhile, the result no longer holds.
        if (this.#knowledge !== knowledge) return;
        knowledge.search = { kind: "ended", keys };
        this.#listener.onFound(keys);
      },
      (error) => {
        knowledge.search = undefined;
        this.#listener.onFailed(error);
      },
    );
  }
}

function unlisted(): Knowledge {
  return { kind: "unlisted", search: undefined };
}
