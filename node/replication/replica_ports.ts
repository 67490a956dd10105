/**
 * What a partition's state machine may call: its disk, its peers, the coordinator, time. The node
 * core implements it; tests and the simulator see everything that a replica does through it.
 *
 * @module
 */
import type { ByteBudget } from "../../shared/base/byte_budget.ts";
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import type { KvError } from "../../shared/base/errors.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import type { RequestTracing } from "../../shared/tracing/request_tracing.ts";
import type { DownstreamMessage, UpstreamMessage } from "../../shared/wire/messages.ts";
import type { Report } from "../membership/report_outbox.ts";
import type { ClientSessionCounts } from "../requests/client_session_table.ts";
import type { TransactionPorts } from "../transactions/participant.ts";
import type { LiveWrites } from "../requests/live_writes.ts";
import type { ResyncSource } from "./resync_counts.ts";
import type { Retries } from "./retries.ts";
import type { TransferPacer } from "./transfer_pacer.ts";

/** The primary's way to its replicas: one ordered stream of messages per peer. */
export interface Downstream {
  /** Whether messages to the node would leave now. A message to a node that is down is dropped. */
  isUp(node: NodeId): boolean;
  send(node: NodeId, message: DownstreamMessage): void;
  /** Adds live writes that belong together to the next `append`. In order with `send`. */
  append(
    node: NodeId,
    partition: number,
    term: number,
    stream: number,
    commitSeq: number,
    writes: LiveWrites,
  ): void;
  /** Runs `then` when little is queued for the node: at once or later, or never if its connection breaks. */
  whenRoom(node: NodeId, then: () => void): void;
  /** Tells the commit seq alone. */
  commit(node: NodeId, partition: number, term: number, stream: number, commitSeq: number): void;
}

/** A replica's way back to its primary, valid while that connection lasts. */
export interface Upstream {
  /** Who is at the other end. */
  readonly node: NodeId;
  readonly closed: boolean;
  send(message: UpstreamMessage): void;
  /** Says that everything up to `seq` is on disk; gathered with others into one frame. */
  ack(partition: number, term: number, stream: number, seq: number): void;
}

/** Everything a replica may call. */
export interface ReplicaPorts extends TransactionPorts {
  readonly self: NodeId;
  readonly log: Logger;
  readonly downstream: Downstream;
  /** Bytes of writes that are not committed, of all partitions of the node. */
  readonly inFlight: ByteBudget;
  /** How many client sessions a partition remembers. */
  clientSessionsMax(): number;
  readonly clientSessionCounts: ClientSessionCounts;
  /** Replicas without which nothing is written, as the newest map says: it may change at any time. */
  readonly minInSync: number;
  /** Whether this node may answer reads without asking anybody. */
  hasLease(): boolean;
  /** For how long this node's disk has refused writes; 0 while it takes them. */
  diskFailingMs(): number;
  /** A number for a new stream, never used before by this process. */
  nextStream(): number;
  report(report: Report): void;
  /** Reads of the partition wait until its replicas have confirmed this node as primary. */
  confirmReads(partition: number): void;
  /** So many entries that had expired, or that nobody will ask for any more, are being deleted. */
  expired(entries: number): void;
  /** A replica has been brought level, by this many entries in its last stream. */
  resynced(node: NodeId, entries: number, source: ResyncSource): void;
  /** Entries in one piece of a transfer, at most. */
  readonly resyncRowsMax: number;
  /** What has failed and is tried again. */
  readonly retries: Retries;
  /**
   * The database has rows that cannot be read, so that they cannot be deleted either: it has to be repaired
   * before a replica in it can be replaced.
   */
  needsRepair(error: KvError): void;
  /** The pace of transfers to replicas that nobody waits for. */
  readonly transfers: TransferPacer;
  /** Of a process that traces requests. */
  readonly tracing?: RequestTracing | undefined;
  /** Turns for requests that have waited, of all partitions. */
  readonly releases: Pick<WorkScheduler, "add">;
}
