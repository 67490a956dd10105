/**
 * Writes of one partition on their way out of its primary: whether one can be taken now, and if so its
 * seqs, its place on this node's disk and in the queue, and its frame to the followers. What a request
 * means is decided before (`request_executor.ts`), and when a write is committed afterwards
 * (`../replication/primary.ts`).
 *
 * Invariants: seqs are given without a gap; the changes of one group are applied, queued and sent in one
 * turn; what a write takes of the node's budget is given back if the store refuses it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { ByteBudget } from "../../shared/base/byte_budget.ts";
import { type PartitionConfig, whatWritesNeed } from "../../shared/cluster/cluster_map.ts";
import { type Entry, isLive, isTombstone } from "../../shared/base/entry.ts";
import { failureOf, isDamage } from "../../shared/base/errors.ts";
import { KIB } from "../../shared/base/units.ts";
import { IN_FLIGHT_ENTRIES_MAX } from "../../shared/limits/replication.ts";
import { GROUP_BYTES_SURE, GROUP_WIRE_BYTES_MAX } from "../../shared/limits/requests.ts";
import { DISK_HANDOVER_MS, EXPIRED_PER_WRITE } from "../../shared/limits/storage.ts";
import type { KeyRequest, Reply, ReplyTo } from "../../shared/wire/messages.ts";
import { DELETION, errorReply, EXPIRY, writeReply } from "../../shared/operations/operation.ts";
import { isRepeated } from "../../shared/operations/repeat.ts";
import { toWireEntry } from "../../shared/schema/value_codec.ts";
import { EncodedWrites, type LiveWrites } from "./live_writes.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import type { EncodedRecord } from "../storage/record.ts";
import { type ClientSessionTable, sessionBytes } from "./client_session_table.ts";
import {
  type Change,
  clientSessionChange,
  clientSessionKey,
  isClientSessionKey,
  settled,
} from "./request_dedup.ts";
import { deadlineOf } from "./waiting_requests.ts";
import { inFlightBytes, type WriteQueue } from "./write_queue.ts";

/** What is written beside the changes of a transaction that were said to fit. */
const GROUP_SPARE_BYTES = 16 * KIB;

/** What writes need of the node. */
export interface ProposerPorts {
  /** Bytes of writes that are not committed, of all partitions of the node. */
  readonly inFlight: ByteBudget;
  /** With fewer replicas in sync nothing is written; the newest map may change it at any time. */
  readonly minInSync: number;
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** For how long this node's disk has refused writes; 0 while it takes them. */
  diskFailingMs(): number;
  /** So many entries that had expired are being deleted. */
  expired(entries: number): void;
}

/** What writes need of the primary that takes them. */
export interface ProposerOwner {
  readonly ports: ProposerPorts;
  readonly store: PartitionStore;
  readonly recent: { push(seq: number, key: string): void };
  /** Which client sessions the partition remembers. */
  readonly clientSessions: ClientSessionTable;
  /** Of the term in which writes are taken now. */
  readonly config: PartitionConfig;
  readonly isServing: boolean;
  /** Whether a transaction holds a key (rule X3). */
  isHeld(key: string): boolean;
  /** Where writes go. */
  readonly followers: {
    readonly isEmpty: boolean;
    append(lastSeq: number, writes: LiveWrites, commitSeq: number): void;
  };
  /** What was asked is on its way to all replicas; `lastSeq` is its last. */
  onProposed(request: KeyRequest, lastSeq: number): void;
  /** A read of this node's own data failed; see `Replica.onReadFailed`. */
  onReadFailed(what: string, error: unknown): boolean;
  /** Answers a request that failed since this node's own data cannot be read or written. */
  fail(error: unknown, request: KeyRequest, reply: ReplyTo): void;
}

/** Takes the writes of one partition. */
export class WriteProposer {
  readonly #owner: ProposerOwner;
  readonly #writes: WriteQueue;

  constructor(owner: ProposerOwner, writes: WriteQueue) {
    this.#owner = owner;
    this.#writes = writes;
  }

  /** Why a client's write cannot be taken now; undefined if it can. */
  whyNoWrite(what: string): Reply | undefined {
    const { inSync } = this.#owner.config;
    const { minInSync } = this.#owner.ports;
    // Rule W4.
    if (inSync.length < minInSync) {
      return errorReply(
        "not_enough_replicas",
        `${what}: too few replicas are in sync (${inSync.length}): ${whatWritesNeed(minInSync)}`,
      );
    }
    return this.whyFull(what);
  }

  /** Why no write at all can be taken now, this node's own deletions included; undefined if one can. */
  whyFull(what: string): Reply | undefined {
    if (this.#writes.size >= IN_FLIGHT_ENTRIES_MAX) {
      return errorReply("overloaded", `${what}: the partition's queue of writes is full`);
    }
    return undefined;
  }

  /** Why the client of a write that commits cannot be told that it is safe: replicas have left the set meanwhile. */
  whyNotSure(): Reply | undefined {
    const { length } = this.#owner.config.inSync;
    const { minInSync } = this.#owner.ports;
    if (length >= minInSync) return undefined;
    return errorReply(
      "outcome_unknown",
      `the write is on ${length} of the ${minInSync} replicas that are required; it stays, unless these are lost`,
    );
  }

  /**
   * Gives the changes their seqs and sends them on their way, all in one turn: they reach the disk in
   * one batch, and each follower in one frame, so that a replica holds all of them or none. Rules W1 and W6.
   *
   * @returns false if the changes cannot be made now; `reply` was told why
   */
  propose(
    request: KeyRequest,
    changes: readonly Change[],
    wallMs: number,
    answer: Reply,
    reply: ReplyTo,
  ): boolean {
    const { config, store, ports, recent, clientSessions, followers } = this.#owner;
    const { commitSeq, lastSeq } = store.state;
    // Nearly always there is one: arrays with the room that they need, and no closures.
    const entries = new Array<Entry>(changes.length);
    const rows = new Array<EncodedRecord>(changes.length);
    let count = 0;
    let bytes = 0;
    let expires = false;
    for (const change of changes) {
      const entry = entryOf(change, lastSeq + 1 + count, config.term, wallMs);
      entries[count] = entry;
      rows[count++] = store.encode(entry);
      bytes += inFlightBytes(entry);
      expires ||= entry.expiresAtMs !== 0;
    }
    const measured = entries.length > 1 && bytes > GROUP_BYTES_SURE;
    const encoded = new EncodedWrites(entries, rows);
    if (measured && Buffer.byteLength(encoded.json) > GROUP_WIRE_BYTES_MAX) {
      this.#refuse(request, groupTooLarge(request), wallMs, reply);
      return false;
    }
    if (!ports.inFlight.take(bytes)) {
      reply(errorReply(
        "overloaded",
        `${request.req_type}: ${ports.inFlight.taken} bytes of writes wait for their replicas on this node`,
      ));
      return false;
    }
    const deadlineMs = deadlineOf(request, ports.nowMs());
    const early = "acks" in request && request.acks === "primary";
    try {
      const [only] = entries;
      if (only !== undefined && entries.length === 1) store.apply(only, rows[0]);
      else store.applyAll(entries, [], rows);
    } catch (error) {
      ports.inFlight.give(bytes);
      if (this.#anotherMayWrite(error)) {
        const { message } = failureOf(error);
        reply(
          errorReply(
            "unavailable",
            `${request.req_type}: ${message}; another replica may take over`,
          ),
        );
      } else this.#owner.fail(error, request, reply);
      return false;
    }
    const newLastSeq = lastSeq + entries.length;
    store.setState({ lastSeq: newLastSeq });
    for (const entry of entries) {
      recent.push(entry.seq, entry.key);
      if (isClientSessionKey(entry.key)) clientSessions.note(entry);
      this.#writes.push({
        entry,
        reply: entry.seq === newLastSeq ? reply : undefined,
        answer,
        early,
        deadlineMs,
        waiters: undefined,
        ends: entry.seq === newLastSeq,
        committed: false,
        next: undefined,
      });
    }
    if (!followers.isEmpty) followers.append(newLastSeq, encoded, commitSeq);
    this.#owner.onProposed(request, newLastSeq);
    // Each write of a key that will expire deletes a few that have expired. So expired keys cannot pile up,
    // however fast they are written and however seldom the sweep has its turn.
    if (expires) {
      const due = store.expiring.due(wallMs, EXPIRED_PER_WRITE);
      if (due.length > 0) this.deleteExpired(due.map(({ key }) => key), wallMs);
    }
    return true;
  }

  /** Whether changes that will be made later, as one group, are going to fit into one message to a replica. */
  fits(changes: readonly Change[]): boolean {
    const { config } = this.#owner;
    const seq = Number.MAX_SAFE_INTEGER;
    let bytes = 0;
    for (const { key, write } of changes) bytes += key.length + write.value.length;
    if (bytes <= GROUP_BYTES_SURE) return true;
    bytes = 0;
    for (const change of changes) {
      const entry = toWireEntry(entryOf({ ...change, version: seq }, seq, config.term, seq));
      bytes += Buffer.byteLength(JSON.stringify(entry)) + 1;
    }
    return bytes <= GROUP_WIRE_BYTES_MAX - GROUP_SPARE_BYTES;
  }

  /**
   * Refuses what cannot be written. If the request is a repeated one, the refusal is remembered, since an earlier
   * attempt that is still under way must find the same answer.
   */
  #refuse(request: KeyRequest, answer: Reply, wallMs: number, reply: ReplyTo): void {
    const session = clientSessionKey(request);
    if (session === undefined || !isRepeated(request)) {
      reply(answer);
      return;
    }
    const changes: Change[] = [];
    const full = this.remember(session, request, answer, changes);
    if (full !== undefined) reply(full);
    else this.propose(request, changes, wallMs, settled(request, answer), reply);
  }

  /**
   * Adds what the client session remembers from now on to the changes of a request, and the deletion of other
   * sessions' entries if they leave no room. Rule W8.
   *
   * @returns why that cannot be now; undefined if it can
   */
  remember(
    session: string,
    request: KeyRequest,
    answer: Reply,
    changes: Change[],
  ): Reply | undefined {
    const { clientSessions, store } = this.#owner;
    let change = clientSessionChange(session, request, answer, clientSessions.evictedSeq);
    const bytes = sessionBytes(session, change.write.value);
    const eviction = clientSessions.evictionFor(session, bytes, store.state.commitSeq);
    if (eviction === undefined) {
      return errorReply(
        "overloaded",
        `${request.req_type}: all client sessions that the partition may remember have a write under way`,
      );
    }
    const { keys, evictedSeq } = eviction;
    if (keys.length > 0) change = clientSessionChange(session, request, answer, evictedSeq);
    changes.push(change);
    for (const key of keys) changes.push({ key, write: DELETION });
    return undefined;
  }

  /** How many of the entries that are not deleted have expired; undefined if only a pass over the partition can tell. */
  expiredCount(wallMs: number): number | undefined {
    const { expiring } = this.#owner.store;
    return expiring.completeMs > wallMs ? expiring.dueCount(wallMs) : undefined;
  }

  /**
   * Deletes those of the keys whose newest entry has expired, in one group.
   *
   * @returns false if that cannot be done now
   */
  deleteExpired(keys: readonly string[], wallMs: number): boolean {
    if (!this.#owner.isServing || this.whyFull("expire") !== undefined) return false;
    const changes: Change[] = [];
    for (const key of keys) {
      // Rule X3.
      if (this.#owner.isHeld(key)) continue;
      try {
        const entry = this.#owner.store.get(key);
        if (entry !== undefined && !isTombstone(entry) && !isLive(entry, wallMs)) {
          changes.push({ key, write: EXPIRY });
        }
      } catch (error) {
        failureOf(error);
        if (!isDamage(error)) return false;
        // Whoever reads it is told; it is not to keep the others from being deleted.
        this.#owner.store.expiring.note(key, 0);
        this.#owner.onReadFailed("expire", error);
      }
    }
    return this.#deleteAll(changes, wallMs);
  }

  /**
   * Deletes keys of databases that were dropped, as one group.
   *
   * @returns false if that cannot be now
   */
  deleteDropped(keys: readonly string[], wallMs: number): boolean {
    if (!this.#owner.isServing || this.whyFull("drop") !== undefined) return false;
    const changes: Change[] = [];
    for (const key of keys) {
      // Rule X3.
      if (this.#owner.isHeld(key)) continue;
      const entry = this.#owner.store.get(key);
      if (entry !== undefined && !isTombstone(entry)) changes.push({ key, write: DELETION });
    }
    return this.#deleteAll(changes, wallMs, () => {});
  }

  #deleteAll(
    changes: readonly Change[],
    wallMs: number,
    done = (count: number) => this.#owner.ports.expired(count),
  ): boolean {
    const [first] = changes;
    if (first === undefined) return true;
    const request = { req_type: "delete", key: first.key } as const;
    const proposed = this.propose(request, changes, wallMs, writeReply(0), () => {});
    if (proposed) done(changes.length);
    return proposed;
  }

  /** Whether a disk that refuses a write has done so only for as long as it takes to hand over. */
  #anotherMayWrite(error: unknown): boolean {
    return failureOf(error).code === "storage_failed" && this.#owner.config.inSync.length > 1 &&
      this.#owner.ports.diskFailingMs() < DISK_HANDOVER_MS;
  }
}

function entryOf(change: Change, seq: number, term: number, timestampMs: number): Entry {
  const { key, write, version } = change;
  const { flags, expiresAtMs, value, contentType } = write;
  const entry: Entry = { key, seq, term, flags, timestampMs, expiresAtMs, value };
  if (contentType === undefined && version === undefined) return entry;
  return {
    ...entry,
    ...(contentType === undefined ? {} : { contentType }),
    ...(version === undefined ? {} : { version }),
  };
}

/** The changes that belong together do not fit into one frame to a replica. */
function groupTooLarge(request: KeyRequest): Reply {
  const what = request.req_type;
  if (what === "transaction") {
    return errorReply("transaction_too_large", `${what}: its writes do not fit into one message`);
  }
  return errorReply(
    "value_too_large",
    `${what}: the values before and after do not fit into one message; do not ask for "previous"`,
  );
}
