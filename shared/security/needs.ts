/**
 * What each thing that can be asked of a server needs: one table for the requests of the wire (operations
 * among them), the commands of RESP and the endpoints of HTTP. A test walks all of them, and fails if one has
 * no row here, or a row has nothing that it is for.
 *
 * An operation needs what its own row in `operations/table.ts` makes of it, see `demands.ts`.
 *
 * @module
 */
import type { Request } from "../wire/messages.ts";
import type { KeyRight } from "./rights.ts";

/** What is needed. */
export type Need =
  /** Nothing: it may come before a login, and tells nothing of data or cluster. */
  | "anybody"
  /** Any user who has logged in. */
  | "login"
  /** Each key by what the operation does with it, also of each request inside. */
  | "keys"
  /** Each request that it becomes is judged by itself. */
  | "requests"
  | "admin"
  /** No user may send it: members do, and say so by their certificate. */
  | "members"
  /** To see what the cluster does; an administrator may. */
  | "monitor"
  /** These rights on every key between the bounds. */
  | { readonly range: readonly KeyRight[] }
  /** These rights on each of `keys`, and on every key that begins with one of `prefixes`. */
  | { readonly selection: readonly KeyRight[] }
  /** These rights on each key that the command names. */
  | { readonly named: readonly KeyRight[] };

/** What a command of RESP needs. */
export type CommandNeed =
  | Need
  /** These rights on each channel that the command names, as on a key of its name. */
  | { readonly channels: readonly KeyRight[] };

const READ_RANGE = { range: ["read"] } as const;
/** Tells how many there were. */
const DELETE_RANGE = { range: ["read", "write"] } as const;
/** Whether the keys are there decides what is answered. */
const READ_AND_WRITE = { named: ["read", "write"] } as const;

/** Of the JSON wire's requests; a secured process takes no other messages. */
export const MESSAGE_NEEDS: Readonly<Record<Request["req_type"], Need>> = {
  hello: "anybody",
  ping: "anybody",
  // A machine that joins has no user: the secret of its token counts.
  get_authorities: "anybody",
  join: "anybody",

  put: "keys",
  update: "keys",
  create: "keys",
  delete: "keys",
  get: "keys",
  exists: "keys",
  inspect: "keys",
  expire: "keys",
  persist: "keys",
  get_and_expire: "keys",
  increment: "keys",
  increment_float: "keys",
  append_value: "keys",
  set_range: "keys",
  set_bit: "keys",
  combine: "keys",
  read_ranges: "keys",
  transaction: "keys",
  prepare_part: "members",
  read_part: "members",
  finish_part: "members",
  transaction_status: "members",

  get_map: "login",
  list_nodes: "login",
  get_nodes_for_key: "login",
  /** Counts of all keys, addresses, loads. */
  stats: "monitor",
  metrics: "monitor",
  /** It has keys. */
  slow_requests: "admin",
  // What is announced needs this of every key.
  announce: { range: ["write"] },
  backup_partition: READ_RANGE,
  scan: READ_RANGE,
  count: READ_RANGE,
  delete_matching: DELETE_RANGE,
  scan_node: READ_RANGE,
  count_node: READ_RANGE,
  watch_node: { selection: ["read"] },
  watch: { selection: ["read"] },
  unwatch: "login",
  batch: "requests",

  /** Nodes ask each other; what a client publishes is judged where it asks. */
  pubsub: "admin",

  force: "admin",
  forget_node: "admin",
  database_create: "admin",
  database_drop: "admin",
  databases: "login",
  database_usage: "monitor",
  coordinators: "admin",
  coordinators_change: "admin",
  user_add: "admin",
  user_change: "admin",
  user_remove: "admin",
  user_list: "admin",
  role_set: "admin",
  role_remove: "admin",
  role_list: "admin",
  token_create: "admin",
  token_list: "admin",
  token_revoke: "admin",
  cert_list: "admin",
  cert_revoke: "admin",
  cert_rotate: "admin",
};

/** Of RESP, by name; `client|id` for a subcommand. */
export const COMMAND_NEEDS: Readonly<Record<string, CommandNeed>> = {
  hello: "anybody",
  auth: "anybody",
  quit: "anybody",
  reset: "anybody",
  // They end the connection of who speaks HTTP.
  "host:": "anybody",
  post: "anybody",

  ping: "login",
  echo: "login",
  select: "login",
  "kv.use": "login",
  swapdb: "login",
  multi: "login",
  exec: "login",
  discard: "login",
  unwatch: "login",
  time: "login",
  wait: "login",
  object: "login",
  "object|help": "login",
  client: "login",
  "client|id": "login",
  "client|getname": "login",
  "client|setname": "login",
  "client|setinfo": "login",
  "client|info": "login",
  "client|no-evict": "login",
  "client|reply": "login",
  "client|help": "login",
  command: "login",
  "command|count": "login",
  "command|docs": "login",
  "command|info": "login",
  "command|list": "login",
  "command|help": "login",
  config: "login",
  slowlog: "login",
  "slowlog|help": "login",
  "config|help": "login",
  list_nodes: "login",
  // What it names is judged where it begins.
  "kv.watch": "login",
  "client|tracking": "login",
  "client|caching": "login",
  "client|getredir": "login",
  "client|trackinginfo": "login",
  "kv.unwatch": "login",
  get_nodes_for_key: "login",
  subscribe: { channels: ["read"] },
  // Of every channel that the pattern may match.
  psubscribe: READ_RANGE,
  ssubscribe: { channels: ["read"] },
  unsubscribe: "login",
  punsubscribe: "login",
  sunsubscribe: "login",
  publish: { channels: ["write"] },
  spublish: { channels: ["write"] },
  pubsub: "login",
  "pubsub|help": "login",
  "pubsub|channels": "admin",
  "pubsub|shardchannels": "admin",
  "pubsub|numpat": "admin",
  "pubsub|numsub": "login",
  "pubsub|shardnumsub": "login",
  role: "login",
  readonly: "login",
  readwrite: "login",
  asking: "login",
  cluster: "login",
  "cluster|slots": "login",
  "cluster|shards": "login",
  "cluster|nodes": "login",
  "cluster|info": "login",
  "cluster|replicas": "login",
  "cluster|slaves": "login",
  "cluster|links": "login",
  "cluster|myid": "login",
  "cluster|keyslot": "login",
  "cluster|help": "login",
  sentinel: "login",
  "sentinel|get-master-addr-by-name": "login",
  "sentinel|masters": "login",
  "sentinel|master": "login",
  "sentinel|sentinels": "login",
  "sentinel|replicas": "login",
  "sentinel|slaves": "login",
  "sentinel|myid": "login",
  "sentinel|ckquorum": "login",
  "sentinel|help": "login",
  "command|getkeys": "login",
  "client|no-touch": "login",
  "client|unblock": "login",
  latency: "login",
  "latency|help": "login",
  module: "login",
  "module|help": "login",
  "module|list": "login",
  memory: "login",
  "memory|help": "login",
  acl: "login",
  "acl|whoami": "login",
  "acl|cat": "login",
  "acl|help": "login",

  // Who else is connected; how this process is set up.
  "client|list": "admin",
  "client|kill": "admin",
  "client|pause": "admin",
  "client|unpause": "admin",
  "config|set": "admin",
  "config|resetstat": "admin",
  "config|rewrite": "admin",
  "latency|history": "admin",
  "latency|reset": "admin",
  "latency|doctor": "admin",
  "config|get": "admin",
  // It has keys.
  "slowlog|get": "admin",
  "slowlog|len": "admin",
  "slowlog|reset": "admin",
  "acl|list": "admin",
  "acl|users": "admin",
  "acl|getuser": "admin",
  info: "monitor",
  "latency|latest": "monitor",
  "latency|histogram": "monitor",

  watch: { named: ["read"] },
  msetnx: READ_AND_WRITE,
  rename: READ_AND_WRITE,
  renamenx: READ_AND_WRITE,
  copy: READ_AND_WRITE,
  move: READ_AND_WRITE,
  bitop: READ_AND_WRITE,
  // A script reads all of its keys; what its commands write is judged when it is written.
  eval: READ_AND_WRITE,
  evalsha: READ_AND_WRITE,
  eval_ro: { named: ["read"] },
  evalsha_ro: { named: ["read"] },
  script: "login",
  "script|help": "login",
  "script|load": "login",
  "script|exists": "login",
  "script|flush": "admin",
  "script|kill": "login",
  bitfield: READ_AND_WRITE,

  scan: READ_RANGE,
  keys: READ_RANGE,
  randomkey: READ_RANGE,
  dbsize: READ_RANGE,
  flushall: DELETE_RANGE,
  flushdb: DELETE_RANGE,
  "kv.scan": READ_RANGE,
  "kv.count": READ_RANGE,
  "kv.delete_matching": DELETE_RANGE,

  get: "requests",
  set: "requests",
  setnx: "requests",
  setex: "requests",
  psetex: "requests",
  getset: "requests",
  getdel: "requests",
  getex: "requests",
  mget: "requests",
  mset: "requests",
  incr: "requests",
  decr: "requests",
  incrby: "requests",
  decrby: "requests",
  incrbyfloat: "requests",
  append: "requests",
  strlen: "requests",
  getrange: "requests",
  substr: "requests",
  setrange: "requests",
  lcs: "requests",
  setbit: "requests",
  getbit: "requests",
  bitcount: "requests",
  bitpos: "requests",
  dump: "requests",
  restore: "requests",
  bitfield_ro: "requests",
  "memory|usage": "requests",
  "object|freq": "requests",
  "object|idletime": "requests",
  "object|refcount": "requests",
  del: "requests",
  unlink: "requests",
  exists: "requests",
  touch: "requests",
  type: "requests",
  "object|encoding": "requests",
  expire: "requests",
  pexpire: "requests",
  expireat: "requests",
  pexpireat: "requests",
  ttl: "requests",
  pttl: "requests",
  expiretime: "requests",
  pexpiretime: "requests",
  persist: "requests",
  put: "requests",
  update: "requests",
  delete: "requests",
  "kv.put": "requests",
  "kv.update": "requests",
  "kv.create": "requests",
  "kv.delete": "requests",
  "kv.get": "requests",
  "kv.exists": "requests",
  "kv.inspect": "requests",
  "kv.expire": "requests",
  "kv.persist": "requests",
  "kv.get_and_expire": "requests",
  "kv.increment": "requests",
  "kv.increment_float": "requests",
  "kv.append_value": "requests",
  "kv.set_range": "requests",
  "kv.set_bit": "requests",
};

/** Of HTTP, by method and path. HEAD needs what GET does, OPTIONS nothing. */
export const ENDPOINT_NEEDS: Readonly<Record<string, Need>> = {
  // For whoever watches over processes: up or not, and nothing else.
  "GET /health/live": "anybody",
  "GET /health/ready": "anybody",
  "GET /openapi.json": "anybody",
  // The page without anything on it.
  "GET /": "anybody",
  "GET /console.js": "anybody",
  "GET /console.css": "anybody",
  "GET /console/snapshot": "monitor",
  "GET /health": "login",
  "GET /metrics": "monitor",
  "GET /cluster": "login",
  "GET /db": "login",
  "GET /db/{database}": READ_RANGE,
  "PUT /db/{database}": "admin",
  "DELETE /db/{database}": "admin",
  "GET /kv": READ_RANGE,
  "GET /keys": READ_RANGE,
  "GET /count": READ_RANGE,
  "GET /watch": { selection: ["read"] },
  "DELETE /kv": DELETE_RANGE,
  "GET /kv/{key}": "requests",
  "PUT /kv/{key}": "requests",
  "DELETE /kv/{key}": "requests",
  "GET /get": "requests",
  "POST /set": "requests",
  "DELETE /delete": "requests",
  "POST /batch": "requests",
  // Who may do nothing with a database may know where it is.
  "POST /db/{database}": "login",
  "POST /db/{database}/snapshot_read": "requests",
  "POST /db/{database}/atomic_write": "requests",
  "GET /db/{database}/watch": { selection: ["read"] },
  "POST /db/{database}/watch": "requests",
  "POST /op/put": "requests",
  "POST /op/update": "requests",
  "POST /op/create": "requests",
  "POST /op/delete": "requests",
  "POST /op/get": "requests",
  "POST /op/exists": "requests",
  "POST /op/inspect": "requests",
  "POST /op/expire": "requests",
  "POST /op/persist": "requests",
  "POST /op/get_and_expire": "requests",
  "POST /op/increment": "requests",
  "POST /op/increment_float": "requests",
  "POST /op/append_value": "requests",
  "POST /op/set_range": "requests",
  "POST /op/set_bit": "requests",
  "POST /op/transaction": "requests",
};
