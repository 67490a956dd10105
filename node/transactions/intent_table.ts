/**
 * Which intents and decisions a partition holds, and so which keys are held (rule X3). The entries themselves are in the
 * store; this index is made from them when it is needed first, and updated with everything that is written, whoever
 * writes it: a primary, or the primary that a follower follows.
 *
 * Invariant: once it is known, it has the intents and decisions of the store, and no others; but for those of which
 * `mayLack` tells, where the last replica is damaged.
 *
 * @module
 */
import { type Entry, isTombstone } from "../../shared/base/entry.ts";
import { failureOf } from "../../shared/base/errors.ts";
import { prefixEnd } from "../../shared/base/key_order.ts";
import { PASS_PAGE_BYTES, PASS_PAGE_ROWS } from "../../shared/limits/storage.ts";
import { TRANSACTION_KEY_PREFIX } from "../../shared/cluster/system_keys.ts";
import type { PartitionStore, SystemRows } from "../storage/partition_store.ts";
import {
  type Decision,
  DECISION_PREFIX,
  decisionOf,
  type Intent,
  INTENT_PREFIX,
  intentOf,
} from "./intent_rows.ts";

/** The index of one partition. */
export class IntentTable implements SystemRows {
  readonly #store: PartitionStore;
  readonly #intents = new Map<string, Intent>();
  readonly #decisions = new Map<string, Decision>();
  readonly #held = new Map<string, Intent>();
  #known = false;
  /** Entries that are there and cannot be read. */
  readonly #damaged = new Set<string>();
  /** Not even all keys could be read. */
  #hasGaps = false;
  /** The keys that have changed while the rows are read. */
  #touched: Set<string> | undefined;
  #loading: Promise<void> | undefined;
  /** Told which keys are free. */
  onFree: (keys: readonly string[]) => void = () => {};
  /** Told of an intent. */
  onIntent: (intent: Intent) => void = () => {};

  constructor(store: PartitionStore) {
    this.#store = store;
    store.systemRows = this;
  }

  /** Whether it has been made; until then nobody knows which keys are held. */
  get known(): boolean {
    return this.#known;
  }

  /** The number of entries that no user sees. */
  get rows(): number {
    return this.#intents.size + this.#decisions.size;
  }

  /** How many intents there are. A number of its own, since each request of the partition asks for it. */
  intentCount = 0;

  get intents(): ReadonlyMap<string, Intent> {
    return this.#intents;
  }

  get decisions(): ReadonlyMap<string, Decision> {
    return this.#decisions;
  }

  /** Whether an attempt holds a key. */
  isHeld(key: string): boolean {
    return this.intentCount > 0 && this.#held.has(key);
  }

  /** Every key that is held now, of those that are wanted. */
  heldKeys(isWanted?: (key: string) => boolean): readonly string[] {
    const held = [...this.#held.keys()];
    return isWanted === undefined ? held : held.filter(isWanted);
  }

  /** The store has no entries. */
  beginEmpty(): void {
    this.#known = true;
  }

  /** Reads the rows, unless they are known. @throws {KvError} `corrupt`, `storage_failed` */
  load(): Promise<void> {
    if (this.#known) return Promise.resolve();
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  /** They cannot all be read, and no other replica has them: it goes on with those that can. Rule X11. */
  async salvage(): Promise<void> {
    if (this.#known) return;
    try {
      await this.#load((key) => this.#damaged.add(key));
    } catch (error) {
      failureOf(error);
      this.#touched = undefined;
      this.#hasGaps = true;
      this.#known = true;
    }
  }

  /** Whether the store may have an entry of this key although it is not here. */
  mayLack(key: string): boolean {
    return this.#hasGaps || this.#damaged.has(key);
  }

  async #load(onDamaged?: (key: string) => void): Promise<void> {
    const touched = this.#touched = new Set();
    const range = {
      start: TRANSACTION_KEY_PREFIX,
      end: prefixEnd(TRANSACTION_KEY_PREFIX),
      rowsMax: PASS_PAGE_ROWS,
      bytesMax: PASS_PAGE_BYTES,
      onDamaged,
    };
    let after: string | undefined;
    do {
      const page = await this.#store.scan(after, range);
      if (this.#touched !== touched) return;
      for (const entry of page.entries) if (!touched.has(entry.key)) this.#add(entry);
      after = page.next;
    } while (after !== undefined);
    this.#touched = undefined;
    this.#known = true;
  }

  note(entry: Entry): void {
    const { key } = entry;
    if (!key.startsWith(TRANSACTION_KEY_PREFIX)) return;
    this.#touched?.add(key);
    this.#remove(key);
    try {
      this.#add(entry);
    } catch (error) {
      // Only another node can have made it: what it wanted to hold is not known, and the write is in the store.
      failureOf(error);
    }
  }

  forget(key: string): void {
    if (!key.startsWith(TRANSACTION_KEY_PREFIX)) return;
    this.#touched?.add(key);
    this.#remove(key);
  }

  clear(): void {
    const held = this.heldKeys();
    this.#intents.clear();
    this.intentCount = 0;
    this.#decisions.clear();
    this.#held.clear();
    this.#damaged.clear();
    this.#hasGaps = false;
    this.#touched = undefined;
    this.#known = true;
    if (held.length > 0) this.onFree(held);
  }

  #add(entry: Entry): void {
    const { key } = entry;
    if (isTombstone(entry)) return;
    if (key.startsWith(DECISION_PREFIX)) {
      const decision = decisionOf(entry);
      this.#decisions.set(decision.attempt, decision);
    } else if (key.startsWith(INTENT_PREFIX)) {
      const intent = intentOf(entry);
      this.#intents.set(intent.attempt, intent);
      this.intentCount = this.#intents.size;
      for (const one of intent.keys) this.#held.set(one, intent);
      this.onIntent(intent);
    }
  }

  #remove(key: string): void {
    this.#damaged.delete(key);
    if (key.startsWith(DECISION_PREFIX)) {
      this.#decisions.delete(key.slice(DECISION_PREFIX.length));
      return;
    }
    const attempt = key.slice(INTENT_PREFIX.length);
    const intent = this.#intents.get(attempt);
    if (intent === undefined) return;
    this.#intents.delete(attempt);
    this.intentCount = this.#intents.size;
    for (const one of intent.keys) {
      if (this.#held.get(one) === intent) this.#held.delete(one);
    }
    this.onFree(intent.keys);
  }
}
