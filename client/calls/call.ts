/**
 * What a call of the client takes and returns, the interface that carries it, and how a call with a
 * callback becomes a promise that a signal can end.
 *
 * @module
 */
import type { CallTrace, DebugListener, Tracer } from "./call_trace.ts";
import type { ClientEvents } from "./client_events.ts";
import type { MetricDocument } from "../../shared/metrics/metric_document.ts";
import type { SlowRequest } from "../../shared/metrics/slow_log.ts";
import type { Clock } from "../../shared/platform/clock.ts";
import type { ClusterMap, NodeId } from "../../shared/cluster/cluster_map.ts";
import { fromErrorReply } from "../../shared/wire/error_reply.ts";
import { KvError } from "../../shared/base/errors.ts";
import type { Acks, Consistency, KeyRequest, Reply } from "../../shared/wire/messages.ts";
import type { Address } from "../../shared/platform/transport.ts";

/** Sends requests to the right node. The real one is `shared/routing/router.ts`; tests have their own. */
export interface KeyRouter {
  map(): ClusterMap | undefined;
  refresh(): Promise<ClusterMap>;
  execute(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): () => void;
  request(node: NodeId, message: object, timeoutMs: number, done: (reply: Reply) => void): void;
  close(): void;
}

/** Who answers requests: the coordinators, as one. */
export interface RequestTarget {
  request(message: object, timeoutMs: number, done: (reply: Reply) => void): void;
  /** Asks the coordinator at this address, and nobody else; absent if there is but one. */
  requestAt?(
    address: Address,
    message: object,
    timeoutMs: number,
    done: (reply: Reply) => void,
  ): void;
  close(): void;
}

/** Options of every call. */
export interface CallOptions {
  /** Deadline of the call, its retries included. Default: that of the client (10,000). */
  timeoutMs?: number | undefined;
  /** Ends the call early with the signal's reason. A write may then still happen. */
  signal?: AbortSignal | undefined;
}

/** How a database is made. */
export interface CreateDatabaseOptions extends CallOptions {
  /** All its keys in one partition: every transaction is local, and all changes have one order. Default false. */
  together?: boolean | undefined;
  /** Writes that would make it have more keys are refused. Default: no bound. */
  maxKeys?: number | undefined;
  /** The same of the bytes of its keys and values. Default: no bound. */
  maxBytes?: number | undefined;
  /** One that is there already, of whatever kind, will do. Default false. */
  ifAbsent?: boolean | undefined;
}

/** Options of a read. */
export interface ReadOptions extends CallOptions {
  /** `strong` (the default) is linearizable; `replica` may be a moment old. */
  consistency?: Consistency | undefined;
}

/** Options of a write. */
export interface WriteOptions extends CallOptions {
  /** Answer when `all` in-sync replicas have it on disk (the default), or the `primary` alone. */
  acks?: Acks | undefined;
}

/** Options of a write of a value. */
export interface StoreOptions extends WriteOptions {
  /** How long after the write the key expires. Default: never. */
  ttlMs?: number | undefined;
  /** The date at which the key expires: milliseconds since 1970-01-01 UTC. */
  expiresAtMs?: number | undefined;
  /** Keep the key's expiry. */
  keepTtl?: boolean | undefined;
  /** Only if the key has this version, otherwise `version_mismatch`; 0: only if it does not exist. */
  ifVersion?: number | undefined;
  /** The value's media type (`text/html`), stored with it and returned over HTTP. Default: none. */
  contentType?: string | undefined;
}

/** Options of a deletion. */
export interface DeleteOptions extends WriteOptions {
  /** Only if the key has this version, otherwise `version_mismatch`. */
  ifVersion?: number | undefined;
}

/** Options of {@linkcode KvClient.expire}. */
export interface ExpireOptions extends WriteOptions {
  /** How long from now the key expires; or give `expiresAtMs`. One of the two. */
  ttlMs?: number | undefined;
  expiresAtMs?: number | undefined;
  /** Only if the key has no expiry, has one, or if the new one is later, or earlier. */
  when?: "nx" | "xx" | "gt" | "lt" | undefined;
}

/** A value with what is known about it. */
export interface KvEntry {
  key: string;
  value: Uint8Array;
  /** Grows with every write to the key, usually by more than one. */
  version: number;
  /** When it was written: milliseconds since 1970-01-01 UTC. */
  timestampMs: number;
  /** When it expires, in milliseconds since 1970-01-01 UTC; undefined for never. */
  expiresAtMs: number | undefined;
  /** The time until then, in ms, when it was read, by the clock that decides; absent: never, or not known. */
  ttlMs?: number;
  /** Its media type, if it was written with one. */
  contentType?: string;
}

/** A process and its counters, or why it did not answer. */
export interface ProcessStats {
  /** The node's id; `coordinator`, or `coordinator c2` if there are several. */
  id: string;
  stats?: unknown;
  error?: KvError;
}

/** A process and its metrics, or why it did not answer. */
export interface ProcessMetrics {
  /** The node's id; `coordinator`, or `coordinator c2` if there are several. */
  id: string;
  /** By the names of docs/metrics.md. */
  metrics?: MetricDocument;
  error?: KvError;
}

/** A process and its slow requests, the newest first, or why it did not answer. */
export interface ProcessSlowRequests {
  /** The node's id; `coordinator`, or `coordinator c2` if there are several. */
  id: string;
  requests?: SlowRequest[];
  error?: KvError;
}

/** What {@linkcode KvClient.ping} found out about a process. */
export interface PingResult {
  /** The node's id; `coordinator`, or `coordinator c2` if there are several. */
  id: string;
  /** How long its answer took, including the time to connect. */
  elapsedMs?: number;
  error?: KvError;
}

/** Options of {@linkcode KvClient.forgetNode}. */
export interface ForgetNodeOptions extends CallOptions {
  /** Also if no other node holds every acknowledged write of a partition; such writes are lost. Default: no. */
  force?: boolean | undefined;
}

/** Other coordinators, by name. */
export interface CoordinatorsChange {
  /** Without names: all that wait. */
  add?: readonly string[];
  remove?: readonly string[];
}

/** One coordinator. */
export interface CoordinatorLine {
  id: string;
  /** `host:port`, where the others reach it. */
  address: string;
  role: "active" | "standby" | "joining" | "leaving" | "waiting";
  /** How many changes it is behind the active one; null if that is not known. */
  behind: number | null;
  /** How long ago the active one has heard of it, in ms; null for never. */
  heard_ms: number | null;
}

/** What {@linkcode KvClient.coordinators} answers. */
export interface CoordinatorsReport {
  /** Who answers: the active one. */
  coordinator: string;
  /** Whether a majority has confirmed it lately. */
  right: boolean;
  /** The number of its generation, which grows with each change of activity. */
  generation: number | null;
  /** Since when it is active, in milliseconds since 1970. */
  active_since: number | null;
  coordinators: CoordinatorLine[];
}

/** A partition that is served from a replica that may lack acknowledged writes. */
export interface ForcedPartition {
  partition: number;
  /** The node that holds this replica, ... */
  node: string;
  /** ... in which term it was level with a primary, and its last write; zeros if it had nothing. */
  term: number;
  lastSeq: number;
}

/** What became of a node that is gone for good. */
export interface ForgottenNode {
  /** Partitions that are served from replicas that may lack acknowledged writes; only with `force`. */
  forced: ForcedPartition[];
  /** Serials of its certificates, which count no more; none if the cluster is not secured. */
  revoked: string[];
}

/** What a client needs. */
export interface KvClientDeps {
  clock: Clock;
  router: KeyRouter;
  coordinator?: RequestTarget | undefined;
  /** Who keeps the users of a secured cluster; default: the coordinator. */
  administrator?: RequestTarget | undefined;
  /** The cluster is secured, and has an audit log. Default false. */
  secured?: boolean;
  /**
   * A name that no other client has. With it, requests that would do harm if they happened twice are
   * recognised when they are sent again, so the client repeats them after a lost answer.
   */
  clientId?: string | undefined;
  /** What happens to its connections. */
  events?: ClientEvents | undefined;
  /** Observes each request on keys. */
  trace?: CallTrace | undefined;
}

/** How to reach a secured cluster, and as whom. */
export interface ClientLogin {
  /**
   * The certificate of the cluster's authority, as PEM: everything is encrypted, and whoever answers must have a
   * certificate of it. Default: nothing is encrypted.
   */
  ca?: string | undefined;
  /** The user to log in as, with its {@linkcode password}. */
  user?: string | undefined;
  password?: string | undefined;
  /** A user's token, in the place of user and password. */
  token?: string | undefined;
}

/** Defaults of a client's calls. */
export interface KvClientOptions extends ClientLogin {
  /** The database that calls are about. Default `default`. */
  database?: string | undefined;
  /** Default 10,000. */
  timeoutMs?: number | undefined;
  /** Default `strong`. */
  consistency?: Consistency | undefined;
  /** Default `all`. */
  acks?: Acks | undefined;
  /**
   * Called with each event of the connections and each request on keys: what happened, and facts about it such as
   * `operation`, `elapsedMs` and `code`; never with keys or values. It must not throw. Default: none.
   */
  debug?: DebugListener | undefined;
  /**
   * Makes a span of each request on keys. Default: that of `@opentelemetry/api`, if the program has set it up before
   * it connects.
   */
  tracer?: Tracer | undefined;
  /** Longest key, in bytes. Default 2,048; raise it if the cluster's limit was raised. */
  keyBytesMax?: number | undefined;
  /** Longest value, in bytes. Default 8 MiB; raise it if the cluster's limit was raised. */
  valueBytesMax?: number | undefined;
}

/**
 * Turns a call with a callback into a promise that the signal can end. The listener is removed when the
 * call ends: a listener left on an `AbortSignal.timeout()` would keep the process alive.
 */
export function withSignal<T>(
  signal: AbortSignal | undefined,
  begin: (done: (result: T) => void) => () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal === undefined) {
      begin(resolve);
      return;
    }
    signal.throwIfAborted();
    let ended = false;
    let cancel = () => {};
    const onAbort = () => {
      ended = true;
      cancel();
      reject(signal.reason);
    };
    cancel = begin((result) => {
      if (ended) return;
      ended = true;
      signal.removeEventListener("abort", onAbort);
      resolve(result);
    });
    if (!ended) signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** The error in an `error` reply; `internal` for any other reply. */
export function replyError(reply: Reply, what: string): KvError {
  return reply.req_type === "error"
    ? fromErrorReply(reply)
    : new KvError("internal", `${what}: unexpected reply of type ${reply.req_type}`);
}
