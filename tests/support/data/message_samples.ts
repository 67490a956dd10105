/**
 * One message of each type, whole and plausible: what somebody sends who knows the cluster, and wants to harm it.
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../../shared/cluster/cluster_map.ts";
import type { MessageType } from "../../../shared/wire/messages.ts";

/** Who and what the messages are about. */
export interface SampleSubject {
  readonly cluster: string;
  /** Who sends, if the message says so. */
  readonly sender: NodeId;
  /** Another node of the cluster. */
  readonly node: NodeId;
  readonly partition: number;
  /** As the map has it; the sender claims a later one. */
  readonly config: PartitionConfig;
  readonly epoch: number;
  readonly key: string;
}

/** A message of each type, by its name. A new type does not compile without a row. */
export function messageSamples(
  { cluster, sender, node, partition: p, config: known, epoch, key }: SampleSubject,
): { readonly [M in MessageType]: object } {
  const term = known.term + 1;
  const stream = 1_000_001;
  const config = { ...known, term, primary: sender, inSync: [sender, ...known.inSync] };
  const entry = [key, 1_000_000, term, 0, 1, 0, "of a stranger"];
  const write = { key, value: "of a stranger" };
  const claim = { p, config, epoch: epoch + 1, stream };
  const about = { p, term, stream };
  const report = { p, term: known.term };
  const instance = "of a stranger";
  const hosts = ["127.0.0.1"];
  return {
    hello: { protocol: 1, role: "client" },
    ping: {},
    put: write,
    update: write,
    create: write,
    delete: { key },
    get: { key },
    exists: { key },
    inspect: { key },
    expire: { key, ttl_ms: 1 },
    persist: { key },
    get_and_expire: { key, ttl_ms: 1 },
    increment: { key },
    increment_float: { key },
    append_value: write,
    set_range: { ...write, offset: 0 },
    set_bit: { key, offset: 0, bit: 1 },
    combine: { ...write, with: "sum", content_type: "application/x-denokv-u64" },
    read_ranges: { key, ranges: [{ start: key, end: "z", limit: 1 }] },
    transaction: { key, requests: [{ req_type: "get", key }] },
    prepare_part: { key, attempt: "a", leader: key, requests: [{ req_type: "get", key }] },
    read_part: { key, requests: [{ req_type: "get", key }] },
    finish_part: { key, attempt: "a" },
    transaction_status: { key, attempt: "a", part: key },
    get_map: {},
    list_nodes: {},
    get_nodes_for_key: { key },
    stats: {},
    announce: { what: "restore" },
    metrics: {},
    slow_requests: { limit: 10 },
    pubsub: { op: "publish", channels: ["of a stranger"], value: "x" },
    backup_partition: { partition: p },
    scan: { prefix: "" },
    count: { prefix: "" },
    delete_matching: { prefix: "" },
    scan_node: { prefix: "" },
    count_node: { prefix: "" },
    watch_node: { prefixes: [""], positions: [[p]] },
    watch: { prefixes: [""] },
    unwatch: { watch: 1 },
    changes: { entries: [], positions: [] },
    event: { watch: 1, type: "level" },
    batch: { requests: [{ req_type: "get", key }] },
    ack: {},
    data: { value: "of a stranger" },
    error: { code: "internal", message: "of a stranger" },
    result: { result: {} },
    map: { map: {} },
    entries: { entries: [] },
    resync_query: claim,
    resync_info: { ...about, last_term: term, commit: 0, last: 0, unacknowledged: [], filled: key },
    resync_begin: { ...about, next: 1_000_000, full: true, after: key },
    resync_chunk: {
      ...about,
      seq: 1_000_000,
      full: true,
      entries: [entry],
      upto: key,
      commit: 1_000_000,
      watermark: 1_000_000,
    },
    resync_end: { ...about, last: 1_000_000, commit: 1_000_000, watermark: 0 },
    new_term: claim,
    append: { parts: [[p, term, stream, 1_000_000, [entry]]] },
    appended: { acks: [[p, known.term, stream, 1_000_000]] },
    stream_refused: { ...about, reason: "of a stranger" },
    confirm: { round: 1, parts: [[p, term]] },
    confirmed: { round: 1, refused: [] },
    digest: { ...about, seq: 1, count: 1, digest: 1 },
    resync_progress: { ...about, chunks: 1_000 },
    digest_differs: { ...about, count: 1, digest: 1 },
    register: {
      node,
      instance,
      incarnation: 1_000_000,
      host: "stranger",
      port: 1,
      http_port: 0,
      zone: "z",
      weight: 1,
      cluster_id: cluster,
      held: [],
    },
    registered: { map: {}, heartbeat_port: 1, at: 1 },
    map_delta: { delta: { fromEpoch: epoch, epoch: epoch + 1, partitions: [[p, config]] } },
    caught_up: { ...report, node: sender },
    lagging: { ...report, node, reason: "of a stranger" },
    damaged: report,
    handover: { ...report, to: sender },
    drained: report,
    resumed: report,
    leave: {},
    left: {},
    register_again: {},
    force: { partition: p, node },
    heartbeat: {
      node,
      instance,
      incarnation: 1_000_000,
      sent: 1,
      epoch,
      map: epoch,
      unserved: 0,
      batch: 1_000_000,
    },
    heartbeat_ack: { node, instance, sent: 1, epoch, at: 1, lease: true },
    discover: { nonce: "n", pad: "" },
    discovered: { cluster, host: "stranger", port: 1, nonce: "n", name: "kv", instance },
    disk: { writable: false },
    forget_node: { node, force: true },
    database_create: { database: "stranger", together: true },
    database_drop: { database: "orders" },
    databases: {},
    database_usage: {},
    database_wanted: { wish: 1, database: "stranger" },
    database_decided: { wish: 1, epoch: 1 },
    security: { document: {} },
    renew_certificate: { certificate_request: "of a stranger", hosts },
    certificate: { certificate: "of a stranger" },
    user_add: { user: "mallory", password: "correct horse", roles: ["admin"] },
    user_change: { user: "root", password: "correct horse" },
    user_remove: { user: "alice" },
    user_list: {},
    role_set: { role: "app", grants: [{ database: "*", prefix: "", right: "admin" }] },
    role_remove: { role: "app" },
    role_list: {},
    token_create: { user: "root" },
    token_list: {},
    token_revoke: { token: "0".repeat(12) },
    cert_list: {},
    cert_revoke: { certificate: node },
    cert_rotate: {},
    get_authorities: {},
    join: {
      secret: "x".repeat(43),
      node,
      certificate_request: "of a stranger",
      hosts,
    },
    agree: {
      from: {
        id: "c1",
        folder: "f1",
        address: { host: "h", port: 1 },
        start: 1,
        run: "r",
        writes: 1,
      },
      body: { type: "hello" },
    },
    agree_part: { text: "{", last: true },
    coordinators: {},
    coordinators_change: { add: ["c2"], remove: ["c1"] },
    closing: {},
  };
}
