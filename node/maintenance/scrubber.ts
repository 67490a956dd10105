/**
 * The scrubber: what a node does with its own replicas in the background, slowly and one partition at a time.
 * It reads them through, because LevelDB does not notice damage by itself. And it drops tombstones that are no
 * longer needed and that `tombstone_keeper.ts` does not know: those written before this start, and those older
 * than the time for which an absent replica is waited for (rule D1 of docs/replication.md).
 *
 * @module
 */
import { isTombstone } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { PASS_PAGE_BYTES, PASS_PAGE_ROWS } from "../../shared/limits/storage.ts";
import type { Replica } from "../replication/replica.ts";
import type { Retries } from "../replication/retries.ts";

/** Its name in the list of retries. */
const SCRUB = "read a replica through";

/** What it calls. */
export interface ScrubberPorts {
  readonly retries: Retries;
  wallMs(): number;
  /** The least time for which a tombstone is kept. */
  readonly tombstoneKeepMs: number;
}

/** The background work of one node. */
export class Scrubber {
  readonly #ports: ScrubberPorts;
  #busy = false;
  /** The partition that could not be read through: it is tried again before the others. */
  #failed: Replica | undefined;
  /** Partitions read through since the start. */
  scrubbed = 0;

  constructor(ports: ScrubberPorts) {
    this.#ports = ports;
  }

  /** The replica to try again; none if it has become another replica since. */
  get again(): Replica | undefined {
    const replica = this.#failed;
    return replica?.isSettled === true ? replica : undefined;
  }

  /** Scrubs one partition, unless another one is being scrubbed. */
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
        // While the page was read, the replica may have got another role, and the key another entry.
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
