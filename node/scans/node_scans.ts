/**
 * Scans and counts of all the partitions of which this node is primary. It bounds how many run at a time,
 * and answers each in time, with what it has by then.
 *
 * Invariant: a call is answered once.
 *
 * @module
 */
import { failureOf } from "../../shared/base/errors.ts";
import { type KeyBounds, keyRange } from "../../shared/base/key_range.ts";
import { whyNotServed } from "../../shared/cluster/databases.ts";
import { REQUEST_TIMEOUT_MS } from "../../shared/limits/requests.ts";
import { NODE_SCANS_MAX, NODE_SCANS_WAITING_MAX } from "../../shared/limits/scans.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { errorReply } from "../../shared/operations/operation.ts";
import { countPartitions } from "./partition_count.ts";
import {
  type NodeCount,
  type NodeCountRequest,
  type NodeScanPage,
  type NodeScanRequest,
  ScanCall,
  type ScanPorts,
} from "./scan_call.ts";
import { scanPartitions } from "./partition_merge.ts";
import { ReadAhead } from "./read_ahead.ts";

/** The scans and counts of one node. */
export class NodeScans {
  readonly #ports: ScanPorts;
  readonly #running = new Set<ScanCall>();
  readonly #queue: (() => void)[] = [];
  readonly #readAhead = new ReadAhead();
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
    const refusal = this.#whyRefused("scan_node", request);
    if (refusal !== undefined) return done(refusal);
    this.#run("scan_node", timeoutMs, done, (call) => scanPartitions(call, request));
  }

  /** How many live, committed entries there are. */
  count(
    request: NodeCountRequest,
    timeoutMs: number | undefined,
    done: (result: NodeCount | Message<"error">) => void,
  ): void {
    const refusal = this.#whyRefused("count_node", request);
    if (refusal !== undefined) return done(refusal);
    this.#run("count_node", timeoutMs, done, (call) => countPartitions(call, request));
  }

  /** Time passes. */
  tick(nowMs: number): void {
    this.#readAhead.tick(nowMs);
    for (const call of this.#running) if (call.answerByMs <= nowMs) call.giveUpWaiting();
  }

  /** Rule W11: who has an old list may ask for the keys of a database that was dropped. */
  #whyRefused(what: string, bounds: KeyBounds): Message<"error"> | undefined {
    const { start = "" } = keyRange(bounds);
    const why = whyNotServed(start, this.#ports.databases());
    return why && errorReply(why.code, `${what}: ${why.message}`) as Message<"error">;
  }

  #run<T>(
    what: string,
    timeoutMs: number = REQUEST_TIMEOUT_MS,
    done: (result: T | Message<"error">) => void,
    work: (call: ScanCall) => Promise<T>,
  ): void {
    const askedMs = this.#ports.nowMs();
    const begin = () => {
      const call = new ScanCall(this.#ports, this.#readAhead, askedMs, timeoutMs);
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
      // What happens with an answer (it is encoded, or merged with others) is heavy work as well.
      const endInTurn = (result: T | Message<"error">) =>
        this.#ports.work.add(() => {
          end(result);
          return false;
        });
      work(call).then(endInTurn, (error) => {
        const failure = failureOf(error);
        endInTurn(errorReply(failure.code, `${what}: ${failure.message}`));
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
