/**
 * Brings decisions to disk and then to the nodes. A map that was not written is never shown to
 * anybody; what is decided while one is being written goes into the next.
 *
 * Invariants: epochs grow with each attempt to write, so two maps of one epoch never exist; a session
 * is told nothing before the map that contains its registration is on disk; after that it is told
 * every published map, in order.
 *
 * @module
 */
import { type ClusterMap, mapDelta } from "../../shared/cluster/cluster_map.ts";
import { invariant, type KvError } from "../../shared/base/errors.ts";
import type { Message } from "../../shared/wire/messages.ts";
import type { SessionId } from "./member.ts";
import type { Outbox } from "./ready.ts";
import type { StoredCluster } from "./stored_cluster.ts";

/** A failed write is tried again after so long. */
const PERSIST_RETRY_MS = 1_000;

interface Subscription {
  /** It gets its first map when this epoch is published. */
  readonly fromEpoch: number;
  /** The epoch that it was told last; 0 for none. */
  toldEpoch: number;
}

/** The way from a decision to everybody's map. */
export class MapPublisher {
  published: ClusterMap;
  /** The UDP port for heartbeats, which nodes are told; known once it is listened on. */
  heartbeatPort = 0;
  readonly #out: Outbox;
  readonly #sessions = new Map<SessionId, Subscription>();
  /** What is to be sent once a map is published, in the order of the requests. */
  readonly #afterwards: { epoch: number; session: SessionId; message: Message }[] = [];
  #dirty = false;
  #writing: StoredCluster | undefined;
  #lastEpoch: number;
  #retryAtMs = 0;

  constructor(out: Outbox, first: ClusterMap) {
    this.#out = out;
    this.published = first;
    this.#lastEpoch = first.epoch;
  }

  /** Something was decided. @returns the earliest epoch that will carry it */
  decide(): number {
    this.#dirty = true;
    return this.#lastEpoch + 1;
  }

  /** The next map has at least this epoch. */
  leapTo(epoch: number): void {
    this.#lastEpoch = Math.max(this.#lastEpoch, epoch - 1);
    this.#dirty = true;
  }

  /** The epoch that carries everything decided so far. */
  get decidedEpoch(): number {
    return this.#dirty ? this.#lastEpoch + 1 : this.#writing?.map.epoch ?? this.published.epoch;
  }

  /** Whether something is to be written now: it was decided, and no write is under way or has just failed. */
  mustWrite(nowMs: number): boolean {
    return this.#dirty && this.#writing === undefined && nowMs >= this.#retryAtMs;
  }

  /** Begins to write everything that was decided; its map has the epoch {@linkcode decidedEpoch}. */
  write(document: StoredCluster): void {
    const { epoch } = document.map;
    invariant(epoch === this.#lastEpoch + 1, "each attempt has the next epoch", { epoch });
    this.#dirty = false;
    this.#lastEpoch = epoch;
    this.#writing = document;
    this.#out.persist(document);
  }

  /** The map is on disk: publishes it. */
  persisted(epoch: number, nowMs: number): void {
    const stored = this.#writing;
    invariant(stored?.map.epoch === epoch, "the map that was being written is on disk", { epoch });
    this.#writing = undefined;
    const before = this.published;
    const map = this.published = stored.map;
    this.#out.publish(map);

    const level: SessionId[] = [];
    const behind: SessionId[] = [];
    for (const [session, subscription] of this.#sessions) {
      if (subscription.fromEpoch > epoch) continue;
      (subscription.toldEpoch === before.epoch ? level : behind).push(session);
      subscription.toldEpoch = epoch;
    }
    if (level.length > 0) {
      this.#out.send(level, { req_type: "map_delta", delta: mapDelta(before, map) });
    }
    if (behind.length > 0) this.#out.send(behind, this.#registered(nowMs));
    while (this.#afterwards[0] !== undefined && this.#afterwards[0].epoch <= epoch) {
      const due = this.#afterwards.shift();
      if (due !== undefined) this.#out.send([due.session], due.message);
    }
  }

  /** The map could not be written; nobody has seen it. */
  persistFailed(epoch: number, error: KvError, nowMs: number): void {
    invariant(this.#writing?.map.epoch === epoch, "the map was being written", { epoch });
    this.#writing = undefined;
    this.#dirty = true;
    this.#retryAtMs = nowMs + PERSIST_RETRY_MS;
    this.#out.error("the cluster map cannot be written: membership stands still", {
      epoch,
      error: error.message,
    });
  }

  /**
   * Sends the session a whole map, once it contains all that was decided so far, and then changes.
   *
   * @returns the epoch of the first that it gets, at the earliest
   */
  subscribe(session: SessionId, nowMs: number): number {
    const fromEpoch = this.decidedEpoch;
    const subscription = { fromEpoch, toldEpoch: 0 };
    this.#sessions.set(session, subscription);
    if (fromEpoch <= this.published.epoch) {
      subscription.toldEpoch = this.published.epoch;
      this.#out.send([session], this.#registered(nowMs));
    }
    return fromEpoch;
  }

  unsubscribe(session: SessionId): void {
    this.#sessions.delete(session);
  }

  /** Sends a message once all that was decided so far is published. */
  sendAfterwards(session: SessionId, message: Message): void {
    const epoch = this.decidedEpoch;
    if (epoch <= this.published.epoch) this.#out.send([session], message);
    else this.#afterwards.push({ epoch, session, message });
  }

  #registered(nowMs: number): Message<"registered"> {
    return {
      req_type: "registered",
      map: this.published,
      heartbeat_port: this.heartbeatPort,
      at: nowMs,
    };
  }
}
