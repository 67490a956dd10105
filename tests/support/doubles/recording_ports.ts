/**
 * What a replica's parts may call, played by a test: a store on a disk that the test controls, peers that are up or
 * not, a clock that stands still. Everything that is sent or reported is recorded as a line.
 *
 * @module
 */
import { TransactionCounts } from "../../../node/transactions/transaction_counts.ts";
import type { PartitionConfig } from "../../../shared/cluster/cluster_map.ts";
import type { Entry } from "../../../shared/base/entry.ts";
import { ByteBudget } from "../../../shared/base/byte_budget.ts";
import { RESYNC_CHUNK_ROWS } from "../../../shared/limits/replication.ts";
import type {} from "../../../shared/platform/logger.ts";
import { NO_LOG } from "./no_log.ts";
import { WorkScheduler } from "../../../shared/scheduling/work_scheduler.ts";
import type { DownstreamMessage, UpstreamMessage } from "../../../shared/wire/messages.ts";
import { RecentWrites } from "../../../node/replication/recent_writes.ts";
import type { ReplicaPorts, Upstream } from "../../../node/replication/replica_ports.ts";
import {
  ClientSessionCounts,
  ClientSessionTable,
} from "../../../node/requests/client_session_table.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { Retries } from "../../../node/replication/retries.ts";
import { TransferPacer } from "../../../node/replication/transfer_pacer.ts";
import { GroupCommit, PartitionStore } from "../../../node/storage/partition_store.ts";
import { NO_STATE } from "../../../node/storage/state_record.ts";
import { ManualClock } from "./manual_clock.ts";
import { ScriptedStorage } from "./scripted_storage.ts";

/** What one test has of a node. */
export class RecordingNode {
  readonly clock = new ManualClock();
  readonly storage = new ScriptedStorage();
  /** `n2 append 3`, `report caught_up n2`, in the order in which they came. */
  readonly lines: string[] = [];
  /** The messages themselves. */
  readonly sent: (DownstreamMessage | UpstreamMessage)[] = [];
  readonly recent = new RecentWrites(0, 16);
  readonly store: PartitionStore;
  readonly ports: ReplicaPorts;
  readonly down = new Set<string>();
  /** Little is queued for the peers. */
  room = true;
  /** What waits for that. */
  readonly waiting: (() => void)[] = [];
  /** Told what its disk has. */
  onSynced: (lastSeq: number) => void = () => {};
  #streams = 0;
  #attempts = 0;

  /** Of a partition that has none yet. */
  readonly clientSessions = new ClientSessionTable(64, new ClientSessionCounts());

  constructor(self = "n1") {
    this.clientSessions.beginEmpty();
    const { clock, lines } = this;
    const queue = new GroupCommit(this.storage, clock, { fsync: "always", onError: () => {} });
    this.store = new PartitionStore(queue, 0, NO_STATE, (seq) => this.onSynced(seq));
    const retries = new Retries(NO_LOG, () => clock.monotonicMs());
    this.ports = {
      self,
      log: NO_LOG,
      inFlight: new ByteBudget(1 << 20),
      minInSync: 1,
      resyncRowsMax: RESYNC_CHUNK_ROWS,
      retries,
      transfers: new TransferPacer(clock),
      releases: new WorkScheduler(clock),
      partitionCount: () => 1,
      clientSessionsMax: () => 64,
      clientSessionCounts: new ClientSessionCounts(),
      transactionCounts: new TransactionCounts(),
      nowMs: () => clock.monotonicMs(),
      wallMs: () => clock.wallMs(),
      route: (request, _timeoutMs, done) =>
        done({ req_type: "error", code: "bad_request", message: `${request.req_type}: alone` }),
      nextAttempt: () => `attempt${++this.#attempts}`,
      later: (ms, then) => clock.setTimer(ms, then),
      random: new SeededRandom(1),
      hasLease: () => true,
      diskFailingMs: () => 0,
      nextStream: () => ++this.#streams,
      report: (report) =>
        lines.push(`report ${report.req_type}${"node" in report ? ` ${report.node}` : ""}`),
      confirmReads: () => lines.push("confirm"),
      expired: () => {},
      resynced: () => {},
      needsRepair: () => lines.push("needs a repair"),
      downstream: {
        isUp: (node) => !this.down.has(node),
        send: (node, message) => {
          this.sent.push(message);
          lines.push(`${node} ${message.req_type}`);
        },
        append: (node, _partition, _term, _stream, commitSeq) =>
          lines.push(`${node} append, commit ${commitSeq}`),
        whenRoom: (_node, then) => {
          if (this.room) then();
          else this.waiting.push(then);
        },
        commit: (node, _partition, _term, _stream, commitSeq) =>
          lines.push(`${node} commit ${commitSeq}`),
      },
    };
  }

  /** The way back to a primary, whose acknowledgements and messages are kept in the same way. */
  upstream(node: string): Upstream {
    return {
      node,
      closed: false,
      send: (message) => {
        this.sent.push(message);
        this.lines.push(`${node} ${message.req_type}`);
      },
      ack: (_partition, _term, stream, seq) => this.lines.push(`${node} ack ${seq} of ${stream}`),
    };
  }

  /** What has come since this was last asked. */
  takeLines(): string[] {
    return this.lines.splice(0);
  }

  /** The store has this write, and its state says so. */
  write(key: string, seq: number, term = 1): void {
    this.store.apply(entry(key, seq, term));
    this.store.setState({ lastSeq: seq });
  }

  /** Lets what is due in this moment happen, and the disk finish what it was given. */
  async settle(): Promise<void> {
    await this.clock.run(0);
    while (this.storage.writes.length > 0) {
      this.storage.complete();
      await this.clock.run(0);
    }
  }
}

/** An entry that never expires. */
export function entry(key: string, seq: number, term = 1): Entry {
  const value = new TextEncoder().encode(`${seq}`);
  return { key, seq, term, flags: 0, timestampMs: 0, expiresAtMs: 0, value };
}

/** `n1` is primary. */
export function configOf(inSync: readonly string[], learners: readonly string[] = [], term = 1) {
  return { term, primary: "n1", inSync, learners } satisfies PartitionConfig;
}
