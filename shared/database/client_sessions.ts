/**
 * The client sessions of one caller, and what it does with them: a request that must not happen twice goes in
 * one of its own, numbered, so that whoever loses its answer on the way may send it again and the cluster
 * can tell (rule W8 of docs/replication.md). Used by the client library and, for visitors who know nothing of
 * sessions, by the front ends.
 *
 * Each partition remembers the sessions that it has seen, and not all of them for ever: so each has its own,
 * as many as requests for it are under way at a time. What the caller knows of how far a partition is goes
 * with each request (`since`). One that is refused since its session may have been forgotten is known not to
 * have happened, and is sent again here, with what the refusal says.
 *
 * Invariants: a session has one request at a time, and its numbers grow; `since` is a seq of the request's own
 * partition that was committed before the attempt was sent, and stays the same while an attempt may have happened.
 *
 * @module
 */
import type { Clock } from "../platform/clock.ts";
import type { ClusterMap } from "../cluster/cluster_map.ts";
import { CLIENT_SESSION_ATTEMPTS_MAX } from "../limits/requests.ts";
import { withLeadingKey } from "../validation/transaction_checks.ts";
import type { KeyRequest, Reply, ReplyTo } from "../wire/messages.ts";
import { partitionOf } from "../cluster/position.ts";

/** What the sessions are given. */
export interface ClientSessionsDeps {
  readonly clock: Clock;
  /** The newest map known here. */
  map(): ClusterMap | undefined;
  /** Gives, when it is first needed, what nobody else's sessions begin with. */
  name(): string;
  /** Carries a request out, or tries to. Returns a function that gives it up. */
  send(request: KeyRequest, timeoutMs: number, done: ReplyTo): () => void;
}

/** One that is free, and how often it was used. */
interface ClientSession {
  readonly session: string;
  request_number: number;
}

/** Those of one partition. */
interface Pool {
  readonly free: ClientSession[];
  made: number;
  /** The greatest seq of the partition that is known to be committed. */
  since: number;
}

/** See the module. */
export class ClientSessions {
  readonly #deps: ClientSessionsDeps;
  #name: string | undefined;
  /** By partition; -1 for requests that came before there was a map. */
  readonly #pools = new Map<number, Pool>();

  constructor(deps: ClientSessionsDeps) {
    this.#deps = deps;
  }

  /**
   * Carries out a request that has no session, in one of its own. Returns a function that gives it up.
   *
   * @throws whatever `send` throws
   */
  execute(given: KeyRequest, timeoutMs: number, done: ReplyTo): () => void {
    const { clock, send, map } = this.#deps;
    const count = map()?.settings.partitionCount;
    // A session belongs to the partition that leads.
    const request = given.req_type === "transaction" && count !== undefined
      ? withLeadingKey(given, count)
      : given;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    const partition = this.#partitionOf(request.key);
    const pool = this.#pool(partition);
    const held = pool.free.pop() ??
      {
        session: `${this.#name}.${partition < 0 ? "-" : partition}.${pool.made++}`,
        request_number: 0,
      };
    held.request_number++;
    let cancel = () => {};
    let ended = false;
    // Also after an unknown outcome: the next number fences the last one off.
    const end = () => {
      if (!ended) pool.free.push(held);
      ended = true;
    };
    const attempt = (since: number, leftMs: number, attemptsLeft: number): void => {
      const full = { ...request, ...held, ...(since === 0 ? {} : { since }), timeout_ms: leftMs };
      cancel = send(full as KeyRequest, leftMs, (reply) => {
        if (ended) return;
        const known = this.#learn(request, reply);
        const left = Math.ceil(deadlineMs - clock.monotonicMs());
        const evicted = reply.req_type === "error" && reply.code === "session_evicted";
        if (evicted && known !== undefined && attemptsLeft > 1 && left > 0) {
          attempt(known, left, attemptsLeft - 1);
          return;
        }
        end();
        done(reply);
      });
    };
    try {
      attempt(pool.since, timeoutMs, CLIENT_SESSION_ATTEMPTS_MAX);
    } catch (error) {
      end();
      throw error;
    }
    return () => {
      end();
      cancel();
    };
  }

  /** What a reply tells of how far its partition is. */
  #learn(request: KeyRequest, reply: Reply): number | undefined {
    const seq = committedSeqOf(request, reply);
    const partition = this.#partitionOf(request.key);
    if (seq === undefined || partition < 0) return seq;
    const pool = this.#pool(partition);
    if (seq > pool.since) pool.since = seq;
    return pool.since;
  }

  #partitionOf(key: string): number {
    const count = this.#deps.map()?.settings.partitionCount;
    return count === undefined ? -1 : partitionOf(key, count);
  }

  #pool(partition: number): Pool {
    this.#name ??= this.#deps.name();
    let pool = this.#pools.get(partition);
    if (pool === undefined) {
      pool = { free: [], made: 0, since: 0 };
      this.#pools.set(partition, pool);
    }
    return pool;
  }
}

/** A seq of the request's partition that is surely committed, if the reply names one. */
function committedSeqOf(request: KeyRequest, reply: Reply): number | undefined {
  if (reply.req_type === "error") {
    if (reply.code !== "session_evicted") return undefined;
    const { since } = (reply.detail ?? {}) as { since?: unknown };
    return Number.isSafeInteger(since) ? since as number : undefined;
  }
  // What one disk has acknowledged may be lost, and its seq be given to another write.
  if ("acks" in request && request.acks === "primary") return undefined;
  return "version" in reply ? reply.version : undefined;
}
