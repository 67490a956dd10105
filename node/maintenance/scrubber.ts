/**
 * What a node does with its own replicas in the background, one partition at a time and slowly: reads
 * them through (LevelDB does not notice by itself what has rotted), and drops the tombstones that are of
 * no more use and that `tombstone_keeper.ts` does not know: they were written before this start, or are
 * older than a replica is waited for (rule D1 of docs/replication.md).
 *
 * @module
 */
import { isTombstone } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { PASS_PAGE_BYTES, PASS_PAGE_ROWS } from "../../shared/base/limits.ts";
import type { Replica } from "../replication/replica.ts";
import type { Retries } from "../replication/retries.ts";

/** Its name among what is tried again. */
const SCRUB = "read a replica through";

/** What it calls. */
export interface ScrubberPorts {
  readonly retries: Retries;
  wallMs(): number;
  /** How long a tombstone is kept at least. */
  readonly tombstoneKeepMs: number;
}

/** The background work of one node. */
export class Scrubber {
  readonly #ports: ScrubberPorts;
  #busy = false;
  /** The one that could not be read through: it is looked after again before others have their turn. */
  #failed: Replica | undefined;
  /** Partitions read through since the start. */
  scrubbed = 0;

  constructor(ports: ScrubberPorts) {
    this.#ports = ports;
  }

  /** Whom it has to look after again; nobody who has become another replica since. */
  get again(): Replica | undefined {
    const replica = this.#failed;
    return replica?.isSettled === true ? replica : undefined;
  }

  /** Looks after one partition, unless another one is being looked after. */
  visit(replica: Replica): void {
    if (this.#busy || !replica.isSettled) return;
    this.#busy = true;
    this.#visit(replica).then(() => {
      this.#failed = undefined;
      this.#ports.retries.ended(SCRUB, replica.partition);
    }, (error) => {
      this.#failed = replica;
      replica.onReadFailed(SCRUB, error);
    }).finally(() => {
      this.#busy = false;
    });
  }

  async #visit(replica: Replica): Promise<void> {
    const sound = await replica.store.verify();
    this.scrubbed++;
    if (!replica.isSettled) return;
    if (!sound) {
      replica.onReadFailed(
        SCRUB,
        new KvError("corrupt", "the partition's data does not agree with its digest"),
      );
      return;
    }
    if ((replica.store.state.tombstones ?? 0) > 0) await this.#dropTombstones(replica);
  }

  async #dropTombstones(replica: Replica): Promise<void> {
    const { store } = replica;
    const before = this.#ports.wallMs() - this.#ports.tombstoneKeepMs;
    let after: string | undefined;
    do {
      const page = await store.scan(after, { rowsMax: PASS_PAGE_ROWS, bytesMax: PASS_PAGE_BYTES });
      after = page.next;
      for (const old of page.entries) {
        // The replica may have got another role, and the key another entry, while the page was read.
        if (!replica.isSettled) return;
        const entry = isTombstone(old) ? store.get(old.key) : undefined;
        const { commitSeq, watermark } = store.state;
        if (entry === undefined || !isTombstone(entry)) continue;
        const needed = entry.timestampMs > before && entry.seq > replica.tombstones.settledSeq;
        if (entry.seq > commitSeq || needed) continue;
        store.remove(entry.key);
        store.setState({ watermark: Math.max(watermark, entry.seq) });
        replica.tombstones.dropped++;
      }
    } while (after !== undefined);
  }
}
