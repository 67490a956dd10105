/**
 * The client library of the key-value store.
 *
 * ```ts
 * import { connect, KvError } from "kv-client";
 *
 * await using kv = await connect({ coordinator: "127.0.0.1:8080" });
 *
 * await kv.put("username", "alice"); // text or bytes; resolves to the key's new version
 * await kv.getText("username"); // "alice"; undefined if there is no such key
 * await kv.putJson("user:7", { name: "Zoë" });
 * await kv.getJson("user:7"); // { name: "Zoë" }
 *
 * for await (const { key } of kv.scan({ prefix: "user:" })) console.log(key); // in order
 * await kv.count({ prefix: "user:" }); // 1
 * await kv.deleteMatching({ prefix: "user:" }); // 1
 *
 * try {
 *   await kv.create("username", "bob", { timeoutMs: 2_000 });
 * } catch (error) {
 *   if (error instanceof KvError && error.code === "exists") console.log("taken");
 *   else throw error;
 * }
 * ```
 *
 * Several operations as one, and many keys, each by itself:
 *
 * ```ts ignore
 * const from = await kv.getEntry("account:{7}:from");
 * const outcome = await kv.atomic()
 *   .check("account:{7}:from", from?.version)
 *   .increment("account:{7}:from", -5)
 *   .increment("account:{7}:to", 5)
 *   .commit();
 * if (!outcome.ok) console.log(`${outcome.key} has changed meanwhile`);
 *
 * for (const result of await kv.getMany(["a", "b"])) {
 *   console.log(result.key, result.ok ? result.value?.version : result.error.code);
 * }
 * ```
 *
 * Reads and writes of one key are linearizable by default. Until its deadline, a call repeats by itself
 * what is known not to have happened. If a write's answer was lost, the call ends with `outcome_unknown`,
 * and the caller decides whether to repeat it. An open client keeps the process alive: close it, or bind
 * it with `await using`.
 *
 * @module
 */
export { connect } from "./library/connect.ts";
export type { ClientDiscovery, ConnectOptions } from "./library/connect.ts";
export type { BackupOptions, BackupProgress, BackupSummary } from "./backup/backup_run.ts";
export { KvClient } from "./library/kv_client.ts";
export type { PutManyEntry } from "./library/kv_client.ts";
export { Atomic } from "./library/atomic.ts";
export type { AtomicOutcome, AtomicResult } from "./library/atomic.ts";
export { Collection } from "./library/collection.ts";
export type {
  CollectionEntry,
  CollectionSelection,
  CollectionStore,
  SchemaIssue,
  SchemaResult,
  StandardSchema,
} from "./library/collection.ts";
export type { DebugListener, Tracer, TraceSpan } from "./calls/call_trace.ts";
export type { DatabaseDocument, DatabaseSize } from "../shared/cluster/databases.ts";
export type { ClientEvent } from "./calls/client_events.ts";
export type { ManyResult } from "./library/many.ts";
export type {
  CallOptions,
  ClientLogin,
  CreateDatabaseOptions,
  DeleteOptions,
  ExpireOptions,
  ForcedPartition,
  ForgetNodeOptions,
  ForgottenNode,
  KeyRouter,
  KvClientDeps,
  KvClientOptions,
  KvEntry,
  PingResult,
  ProcessMetrics,
  ProcessSlowRequests,
  ProcessStats,
  ReadOptions,
  RequestTarget,
  StoreOptions,
  WriteOptions,
} from "./calls/call.ts";
export type {
  DeleteMatchingOptions,
  KeySelection,
  KeysOptions,
  ScanOptions,
} from "./library/ordered_scan.ts";
export type {
  WatchDelete,
  WatchEvent,
  WatchNotice,
  WatchOptions,
  WatchPut,
} from "./library/watching.ts";
export type { MetricDocument, MetricFamily } from "../shared/metrics/metric_document.ts";
export type { SlowRequest } from "../shared/metrics/slow_log.ts";
export { ERROR_CODES, KvError } from "../shared/base/errors.ts";
export type { ErrorCode, KvErrorOptions } from "../shared/base/errors.ts";
export type {
  KeyHolder,
  KeyLocation,
  NodeListing,
  ReplicaRole,
} from "../shared/cluster/directory.ts";
export type {
  ClusterMap,
  ClusterSettings,
  NodeId,
  NodeInfo,
  NodeState,
  PartitionConfig,
} from "../shared/cluster/cluster_map.ts";
export type {
  Acks,
  Consistency,
  KeyRequest,
  Reply,
  SecurityOrder,
} from "../shared/wire/messages.ts";
