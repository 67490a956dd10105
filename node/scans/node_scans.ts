/**
 * Scans and counts of all the partitions that this node is primary of. It bounds how many are carried
 * out at a time, and sees to it that each is answered in time, with what it has by then.
 *
 * Invariant: a call is answered once; a call waits for a partition no longer than until it is to be
 * answered.
 *
 * @module
 */
import type { Entry } from "../../shared/base/entry.ts";
import { toKvError } from "../../shared/base/errors.ts";
import type { KeyBounds } from "../../shared/base/key_range.ts";
import {
  NODE_SCANS_MAX,
  NODE_SCANS_WAITING_MAX,
  REQUEST_TIMEOUT_MS,
  SCAN_ANSWER_PART,
} from "../../shared/base/limits.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { errorReply } from "../../shared/operations/operation.ts";
import type { PartitionSet } from "../../shared/cluster/partition_set.ts";
import { countPartitions } from "./partition_count.ts";
import type { Primary } from "../replication/primary.ts";
import { scanPartitions } from "./partition_merge.ts";

/** Which keys of which partitions, and how many. */
export interface NodeScanRequest extends KeyBounds {
  /** Those of them that this node is primary of. */
  readonly partitions: PartitionSet;
  readonly after?: string | undefined;
  readonly limit: number;
  readonly reverse?: boolean | undefined;
  readonly values?: boolean | undefined;
}

/** What a node has of it. */
export interface NodeScanPage {
  readonly entries: readonly Entry[];
  /** Complete up to this key; undefined: to the end. */
  readonly next: string | undefined;
  /** Of these partitions alone. */
  readonly covered: PartitionSet;
}

/** As far as a count is to go. */
export interface NodeCountRequest extends KeyBounds {
  readonly partitions: PartitionSet;
  /** The partition to begin with, behind `after`. */
  readonly at?: number | undefined;
  readonly after?: string | undefined;
}

/** As far as it went. */
export interface NodeCount {
  readonly count: number;
  /** Counted to their end. */
  readonly covered: PartitionSet;
  /** Where it stopped in between. */
  readonly at?: number | undefined;
  readonly after?: string | undefined;
}

/** What scans need of their node. */
export interface ScanPorts {
  nowMs(): number;
  wallMs(): number;
  /** Of a partition that this node is primary of. */
  primary(partition: number): Primary | undefined;
  /** Data was found damaged. False where no other copy will take over. */
  onDamaged(partition: number, error: unknown): boolean;
}

/** One scan or count on its way. */
export class ScanCall {
  readonly ports: ScanPorts;
  /** By then it is to be answered with what there is. */
  readonly answerByMs: number;
  readonly #waiting = new Set<() => void>();

  constructor(ports: ScanPorts, answerByMs: number) {
    this.ports = ports;
    this.answerByMs = answerByMs;
  }

  /** The time to look for more is over. */
  get late(): boolean {
    return this.ports.nowMs() >= this.answerByMs;
  }

  /**
   * Whether a partition can be read: waits until this node is known to be its primary now, and
   * everything that is written up to now is committed. False where that does not come about in time.
   */
  stable(partition: number, primary: Primary): Promise<boolean> {
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
      });
    });
  }

  /** Nobody waits any longer. */
  giveUpWaiting(): void {
    for (const fail of [...this.#waiting]) fail();
  }
}

/** The scans and counts of one node. */
export class NodeScans {
  readonly #ports: ScanPorts;
  readonly #running = new Set<ScanCall>();
  readonly #queue: (() => void)[] = [];
  #calls = 0;

  constructor(ports: ScanPorts) {
    this.#ports = ports;
  }

  /** How many there have been. */
  get calls(): number {
    return this.#calls;
  }

  /** A page of the live, committed entries. */
  scan(
    request: NodeScanRequest,
    timeoutMs: number | undefined,
    done: (result: NodeScanPage | Message<"error">) => void,
  ): void {
    this.#run("scan_node", timeoutMs, done, (call) => scanPartitions(call, request));
  }

  /** How many live, committed entries there are. */
  count(
    request: NodeCountRequest,
    timeoutMs: number | undefined,
    done: (result: NodeCount | Message<"error">) => void,
  ): void {
    this.#run("count_node", timeoutMs, done, (call) => countPartitions(call, request));
  }

  /** Time passes. */
  tick(nowMs: number): void {
    for (const call of this.#running) if (call.answerByMs <= nowMs) call.giveUpWaiting();
  }

  #run<T>(
    what: string,
    timeoutMs: number = REQUEST_TIMEOUT_MS,
    done: (result: T | Message<"error">) => void,
    work: (call: ScanCall) => Promise<T>,
  ): void {
    const answerByMs = this.#ports.nowMs() + timeoutMs * SCAN_ANSWER_PART;
    const begin = () => {
      const call = new ScanCall(this.#ports, answerByMs);
      if (call.late) {
        done(errorReply("overloaded", `${what}: too many scans are under way; try later`));
        this.#next();
        return;
      }
      this.#running.add(call);
      const end = (result: T | Message<"error">) => {
        this.#running.delete(call);
        done(result);
        this.#next();
      };
      work(call).then(end, (error) => {
        const failure = toKvError(error);
        end(errorReply(failure.code, `${what}: ${failure.message}`));
      });
    };
    this.#calls++;
    if (this.#running.size < NODE_SCANS_MAX) begin();
    else if (this.#queue.length < NODE_SCANS_WAITING_MAX) this.#queue.push(begin);
    else done(errorReply("overloaded", `${what}: ${this.#queue.length} scans wait on this node`));
  }

  #next(): void {
    if (this.#running.size < NODE_SCANS_MAX) this.#queue.shift()?.();
  }
}
