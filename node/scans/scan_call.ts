/**
 * What a scan or a count asks of a node, what the node answers, and one such call while it runs: when it
 * must be answered, and which partitions it waits for.
 *
 * Invariant: a call waits for a partition at most until the call must be answered.
 *
 * @module
 */
import type { Entry } from "../../shared/base/entry.ts";
import type { DatabaseList } from "../../shared/cluster/databases.ts";
import { isInRange, type KeyBounds, type KeyRange } from "../../shared/base/key_range.ts";
import { SCAN_ANSWER_PART, SCAN_OVERDUE_PART } from "../../shared/limits/scans.ts";
import type { PartitionSet } from "../../shared/cluster/partition_set.ts";
import type { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import type { Primary } from "../replication/primary.ts";
import type { ReadAhead } from "./read_ahead.ts";

/** Which keys of which partitions, and how many. */
export interface NodeScanRequest extends KeyBounds {
  /** The partitions asked for of which this node is primary. */
  readonly partitions: PartitionSet;
  readonly after?: string | undefined;
  readonly limit: number;
  readonly reverse?: boolean | undefined;
  readonly values?: boolean | undefined;
}

/** A node's part of the page. */
export interface NodeScanPage {
  readonly entries: readonly Entry[];
  /** Complete up to this key; undefined: to the end. */
  readonly next: string | undefined;
  /** Only of these partitions. */
  readonly covered: PartitionSet;
}

/** How far a count should go. */
export interface NodeCountRequest extends KeyBounds {
  readonly partitions: PartitionSet;
  /** The partition to begin with, after the key `after`. */
  readonly at?: number | undefined;
  readonly after?: string | undefined;
}

/** How far it went. */
export interface NodeCount {
  readonly count: number;
  /** The partitions that were counted to their end. */
  readonly covered: PartitionSet;
  /** Where it stopped in between. */
  readonly at?: number | undefined;
  readonly after?: string | undefined;
}

/** What scans need of their node. */
export interface ScanPorts {
  /** Gives heavy work its turns. */
  readonly work: WorkScheduler;
  nowMs(): number;
  wallMs(): number;
  /** The replica of a partition of which this node is primary. */
  primary(partition: number): Primary | undefined;
  /** Those besides `default`; undefined if there has never been one. */
  databases(): DatabaseList | undefined;
  /** Data was found damaged. False if no other replica will take over. */
  onDamaged(partition: number, error: unknown): boolean;
}

/** One running scan or count. */
export class ScanCall {
  readonly ports: ScanPorts;
  readonly readAhead: ReadAhead;
  /** By then it must be answered with what there is. */
  readonly answerByMs: number;
  readonly #overdueMs: number;
  readonly #waiting = new Set<() => void>();

  /** @param askedMs when it was asked; the caller waits for `timeoutMs` from then on */
  constructor(ports: ScanPorts, readAhead: ReadAhead, askedMs: number, timeoutMs: number) {
    this.ports = ports;
    this.readAhead = readAhead;
    this.answerByMs = askedMs + timeoutMs * SCAN_ANSWER_PART;
    this.#overdueMs = askedMs + timeoutMs * SCAN_OVERDUE_PART;
  }

  /** The time to look for more is over. */
  get late(): boolean {
    return this.ports.nowMs() >= this.answerByMs;
  }

  /** The time to look for anything is over: the answer must leave, or it comes too late. */
  get overdue(): boolean {
    return this.ports.nowMs() >= this.#overdueMs;
  }

  /**
   * Whether a range of a partition can be read: waits until this node is known to be its primary now, everything
   * that is written up to now is committed, and no transaction of now holds a key of the range. False if that does not happen in time.
   */
  stable(partition: number, primary: Primary, range: KeyRange): Promise<boolean> {
    if (this.ports.primary(partition) !== primary) return Promise.resolve(false);
    return new Promise((resolve) => {
      const fail = () => {
        this.#waiting.delete(fail);
        resolve(false);
      };
      this.#waiting.add(fail);
      const timeoutMs = Math.max(1, Math.ceil(this.answerByMs - this.ports.nowMs()));
      primary.whenStable({ timeout_ms: timeoutMs }, fail, () => {
        this.#waiting.delete(fail);
        resolve(this.ports.primary(partition) === primary);
      }, (key) => isInRange(key, range));
    });
  }

  /** Nobody waits any longer. */
  giveUpWaiting(): void {
    for (const fail of [...this.#waiting]) fail();
  }
}
