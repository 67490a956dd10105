/**
 * The replicas of one partition on a few nodes, driven by a scenario: nothing moves unless a command moves it.
 * Messages wait until they are delivered, batches until their disk has synced them, and time stands still. The result
 * of each command is given as lines of text, in the order in which things happened: messages with their content,
 * what was given to a disk, reports to the coordinator, answers to clients, changes of a replica's role.
 *
 * The production classes from `Replica` downwards run here. Around them there are, in a few lines each, a node
 * without batching over partitions, and a coordinator whose decisions the scenario's author makes.
 *
 * @module
 */
import { ByteSlab } from "../../../shared/base/byte_slab.ts";
import { TransactionCounts } from "../../../node/transactions/transaction_counts.ts";
import { ByteBudget } from "../../../shared/base/byte_budget.ts";
import { type Entry, isTombstone } from "../../../shared/base/entry.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { RESYNC_CHUNK_ROWS } from "../../../shared/limits/replication.ts";
import type { NodeId, PartitionConfig } from "../../../shared/cluster/cluster_map.ts";
import type {} from "../../../shared/platform/logger.ts";
import { NO_LOG } from "../doubles/no_log.ts";
import { fromWireEntry } from "../../../shared/schema/value_codec.ts";
import {
  type DownstreamMessage,
  goes,
  type KeyRequest,
  type Message,
  type Reply,
  type UpstreamMessage,
  type WireEntry,
} from "../../../shared/wire/messages.ts";
import { wireForm } from "../../../shared/wire/wire_form.ts";
import { fromFollower, fromPrimary, type PeerTargets } from "../../../node/peers/peer_dispatch.ts";
import { ClientSessionCounts } from "../../../node/requests/client_session_table.ts";
import { Replica } from "../../../node/replication/replica.ts";
import type { ReplicaOwner } from "../../../node/replication/replica.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { Retries } from "../../../node/replication/retries.ts";
import { type Report, ReportOutbox } from "../../../node/membership/report_outbox.ts";
import type { Upstream } from "../../../node/replication/replica_ports.ts";
import { TransferPacer } from "../../../node/replication/transfer_pacer.ts";
import { WorkScheduler } from "../../../shared/scheduling/work_scheduler.ts";
import { ReadConfirmations } from "../../../node/requests/read_confirmations.ts";
import { GroupCommit, openPartitionStores } from "../../../node/storage/partition_store.ts";
import { PartitionStore } from "../../../node/storage/partition_store.ts";
import { decodeRecord, recordKey } from "../../../node/storage/record.ts";
import { decodeState, NO_STATE, stateKey } from "../../../node/storage/state_record.ts";
import type { StorageChange } from "../../../node/storage/storage.ts";
import { ManualClock } from "../doubles/manual_clock.ts";
import { hexOf, ScriptedStorage } from "../doubles/scripted_storage.ts";

const PARTITION = 0;
/** Where the value begins in a row. */
const VALUE_AT = 36;
/** How often a node looks after deadlines while time passes. */
const TICK_MS = 100;

/** What travels between two nodes, and over whose connection. */
type Parcel = {
  readonly message: DownstreamMessage | UpstreamMessage;
  readonly link: Link;
};

/** A connection that one node has opened to another. */
interface Link {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly upstream: ScenarioUpstream;
  closed: boolean;
}

interface Host {
  readonly id: NodeId;
  storage: ScriptedStorage;
  /** Since when its disk refuses what it is given. */
  failsSinceMs: number | undefined;
  process: Process | undefined;
}

/** What runs on a host, until it is killed. */
interface Process {
  readonly replica: Replica;
  readonly queue: GroupCommit;
  readonly confirmations: ReadConfirmations;
  readonly links: Map<NodeId, Link>;
  lease: boolean;
  role: string;
}

/** The way back over a link. */
class ScenarioUpstream implements Upstream {
  readonly node: NodeId;
  readonly #send: (message: UpstreamMessage) => void;
  readonly #isClosed: () => boolean;

  constructor(
    node: NodeId,
    isClosed: () => boolean,
    send: (message: UpstreamMessage) => void,
  ) {
    this.node = node;
    this.#isClosed = isClosed;
    this.#send = send;
  }

  get closed(): boolean {
    return this.#isClosed();
  }

  send(message: UpstreamMessage): void {
    this.#send(message);
  }

  ack(partition: number, term: number, stream: number, seq: number): void {
    this.#send({ req_type: "appended", acks: [[partition, term, stream, seq]] });
  }
}

/** A few nodes with one partition. */
export class ScenarioWorld {
  readonly #clock = new ManualClock();
  readonly #hosts = new Map<NodeId, Host>();
  /** Under way between two nodes, by `from->to`, the oldest first. */
  readonly #wires = new Map<string, Parcel[]>();
  readonly #cut = new Set<string>();
  #lines: string[] = [];
  #requests = 0;
  #streams = 0;
  #attempts = 0;
  #epoch = 0;
  #minInSync = 1;
  #replicas = Infinity;
  #clientSessionsMax = 64;
  #resyncRowsMax = RESYNC_CHUNK_ROWS;
  #config: PartitionConfig | undefined;

  /** What has happened since this was last asked. */
  takeLines(): string[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  /** Starts nodes, with empty disks if they are new. */
  async start(ids: readonly NodeId[]): Promise<void> {
    for (const id of ids) {
      let host = this.#hosts.get(id);
      if (host === undefined) {
        host = { id, storage: new ScriptedStorage(), failsSinceMs: undefined, process: undefined };
        this.#hosts.set(id, host);
      }
      if (host.process !== undefined) throw new Error(`${id} runs already`);
      await this.#begin(host);
    }
    await this.#settle();
  }

  /** `kill -9`: batches that are not synced, and what it has to receive, are lost; what it sent arrives. */
  async kill(id: NodeId): Promise<void> {
    const host = this.#host(id);
    const { process } = host;
    if (process === undefined) throw new Error(`${id} does not run`);
    host.process = undefined;
    host.storage = ScriptedStorage.replay(host.storage.batches);
    for (const other of this.#hosts.keys()) if (other !== id) this.#breakLinks(id, other);
    await this.#settle();
  }

  /** The coordinator's configuration, as the given nodes (default: all that run) hear of it. */
  async configure(
    config: PartitionConfig,
    { minInSync, replicas, clientSessionsMax, to }: {
      readonly minInSync: number;
      readonly replicas: number;
      readonly clientSessionsMax: number;
      readonly to: readonly NodeId[] | undefined;
    },
  ): Promise<void> {
    this.#config = config;
    this.#minInSync = minInSync;
    this.#replicas = replicas;
    this.#clientSessionsMax = clientSessionsMax;
    this.#epoch++;
    await this.hear(to ?? this.#running());
  }

  /** Nodes hear of the newest configuration. */
  async hear(ids: readonly NodeId[]): Promise<void> {
    for (const id of ids) {
      if (this.#config === undefined) throw new Error("there is no configuration yet");
      this.#process(id).replica.onConfig(this.#config, this.#epoch);
      this.#updateLinks(id);
    }
    await this.#settle();
  }

  /** A node that was started again goes by the newest map, as it had kept it, until one comes. */
  async vouch(id: NodeId): Promise<void> {
    if (this.#config === undefined) throw new Error("there is no configuration yet");
    this.#process(id).replica.vouch(this.#config, this.#epoch);
    await this.#settle();
  }

  /** From now on a piece of a transfer has so many entries. */
  setPieceRows(rows: number): void {
    this.#resyncRowsMax = rows;
  }

  /** A client's request at a node. */
  async ask(id: NodeId, request: KeyRequest): Promise<void> {
    const number = ++this.#requests;
    this.#process(id).replica.execute(request, (reply) => {
      this.#say(`request ${number}: ${replyText(reply)}`);
    });
    await this.#settle();
  }

  /** The coordinator asks the primary to hand over. */
  async drain(id: NodeId, to: NodeId): Promise<void> {
    const { primary } = this.#process(id).replica;
    if (primary === undefined) throw new Error(`${id} is not primary`);
    primary.drain(primary.config.term, to);
    await this.#settle();
  }

  setLease(id: NodeId, lease: boolean): void {
    this.#process(id).lease = lease;
  }

  /**
   * Delivers what is under way, of one pair of nodes or of all, the oldest first: `count` messages, or all
   * and what comes of them.
   */
  async deliver(from: NodeId | undefined, to: NodeId | undefined, count = Infinity): Promise<void> {
    for (let done = 0; done < count; done++) {
      const wire = [...this.#wires].find(([name, parcels]) => {
        const [sender, receiver] = name.split("->");
        return parcels.length > 0 && (from === undefined || sender === from) &&
          (to === undefined || receiver === to) && !this.#cut.has(name);
      });
      if (wire === undefined) return;
      const [name, parcels] = wire;
      const parcel = parcels.shift();
      if (parcel !== undefined) this.#receive(name, parcel);
      await this.#settle();
    }
  }

  /** The oldest messages from one node to another are lost, as no connection loses them. */
  lose(from: NodeId, to: NodeId, count: number): void {
    this.#wires.get(`${from}->${to}`)?.splice(0, count);
  }

  /** Delivers and syncs until nothing moves. */
  async quiet(): Promise<void> {
    for (let moves = true; moves;) {
      moves = false;
      await this.deliver(undefined, undefined);
      for (const { id, storage, process } of this.#hosts.values()) {
        if (process === undefined || storage.writes.length === 0) continue;
        moves = true;
        await this.sync(id);
      }
    }
  }

  /** Nothing gets from one node to another until the link is healed; what is sent waits. */
  cut(from: NodeId, to: NodeId): void {
    this.#cut.add(`${from}->${to}`);
  }

  heal(from: NodeId, to: NodeId): void {
    this.#cut.delete(`${from}->${to}`);
  }

  /** The connections between two nodes break, with all that is under way in them, and are made anew. */
  async reconnect(a: NodeId, b: NodeId): Promise<void> {
    this.#breakLinks(a, b);
    await this.#settle();
    for (const from of [a, b]) {
      if (this.#hosts.get(from)?.process === undefined) continue;
      this.#updateLinks(from);
    }
    await this.#settle();
  }

  /** A disk finishes the batches that it was given, and those that come of that. */
  async sync(id: NodeId): Promise<void> {
    const { storage } = this.#host(id);
    while (storage.writes.length > 0) {
      const { changes = [] } = storage.writes[0] ?? {};
      this.#say(`${id} disk: ${changesText(changes)}`);
      storage.complete();
      await this.#settle();
    }
  }

  /** A disk keeps its journal: the last so many batches. */
  keepJournal(id: NodeId, batches: number): void {
    this.#host(id).storage.keepJournal(batches);
  }

  /** A disk refuses the oldest batch. */
  async failWrite(id: NodeId): Promise<void> {
    this.#host(id).storage.fail(new KvError("storage_failed", "the disk is full"));
    await this.#settle();
  }

  /** One bit of a key's row on disk is flipped. */
  flip(id: NodeId, key: string): void {
    this.#host(id).storage.flip(recordKey(PARTITION, key), 8 * VALUE_AT);
  }

  /** Time passes; every node looks at its deadlines each 100 ms. */
  async wait(ms: number): Promise<void> {
    for (let passed = 0; passed < ms;) {
      const step = Math.min(TICK_MS, ms - passed);
      await this.#clock.run(step);
      passed += step;
      for (const { process } of this.#hosts.values()) {
        if (process === undefined) continue;
        process.replica.tick(this.#clock.monotonicMs());
        process.confirmations.tick(this.#clock.monotonicMs());
      }
      await this.#settle();
    }
  }

  /** What a node holds, and where it stands. */
  async show(id: NodeId): Promise<void> {
    const { replica } = this.#process(id);
    const { term, commitSeq, lastSeq, watermark } = replica.store.state;
    const page = replica.store.scan(undefined, { rowsMax: 1_000, bytesMax: 1e6 });
    await this.#clock.run(0);
    const entries = (await page).entries.map(entryText);
    this.#say(
      `${id} holds: ${entries.length === 0 ? "nothing" : entries.join(", ")}; ` +
        `term ${term}, commit ${commitSeq}, last ${lastSeq}, watermark ${watermark}`,
    );
  }

  async #begin(host: Host): Promise<void> {
    const { id, storage } = host;
    const clock = this.#clock;
    const opening = openPartitionStores(storage, 1);
    await clock.run(0);
    while (storage.writes.length > 0) {
      storage.complete();
      await clock.run(0);
    }
    const opened = await opening;
    const queue = new GroupCommit(storage, clock, {
      fsync: "always",
      onError: (error) => {
        host.failsSinceMs = clock.monotonicMs();
        this.#say(`${id} disk: fails: ${error.message}`);
      },
      onRecovered: () => {
        host.failsSinceMs = undefined;
        this.#say(`${id} disk: takes writes again`);
      },
    });
    const confirmations = new ReadConfirmations({
      nowMs: () => clock.monotonicMs(),
      defer: (callback) => clock.defer(callback),
      primary: () => host.process?.replica.primary,
      ask: (to, message) => {
        const link = host.process?.links.get(to);
        if (link !== undefined) this.#send(id, to, { message, link });
      },
    });
    const store: PartitionStore = new PartitionStore(
      queue,
      PARTITION,
      opened.get(PARTITION) ?? NO_STATE,
      (lastSeq) => replica.onSynced(lastSeq),
    );
    const replica: Replica = new Replica(
      this.#owner(host, confirmations),
      store,
      opened.damaged.has(PARTITION),
    );
    const role = roleOf(replica);
    host.process = { replica, queue, confirmations, links: new Map(), lease: true, role };
  }

  #owner(host: Host, confirmations: ReadConfirmations): ReplicaOwner {
    const clock = this.#clock;
    const { id } = host;
    const linkTo = (node: NodeId) => host.process?.links.get(node);
    const send = (node: NodeId, message: DownstreamMessage) => {
      const link = linkTo(node);
      if (link !== undefined) this.#send(id, node, { message, link });
    };
    const minInSync = () => this.#minInSync;
    const resyncRowsMax = () => this.#resyncRowsMax;
    const outbox = new ReportOutbox((report) => this.#say(`${id} reports ${reportText(report)}`));
    return {
      self: id,
      log: NO_LOG,
      recentWritesMax: 16,
      get resyncRowsMax() {
        return resyncRowsMax();
      },
      inFlight: new ByteBudget(1 << 20),
      partitionCount: () => 1,
      clientSessionsMax: () => this.#clientSessionsMax,
      clientSessionCounts: new ClientSessionCounts(),
      transactionCounts: new TransactionCounts(),
      replicas: () => this.#replicas,
      get minInSync() {
        return minInSync();
      },
      nowMs: () => clock.monotonicMs(),
      wallMs: () => clock.wallMs(),
      route: (request, _timeoutMs, done) =>
        done({ req_type: "error", code: "bad_request", message: `${request.req_type}: alone` }),
      nextAttempt: () => `attempt${++this.#attempts}`,
      later: (ms, then) => clock.setTimer(ms, then),
      random: new SeededRandom(1),
      hasLease: () => host.process?.lease ?? false,
      diskFailingMs: () => clock.monotonicMs() - (host.failsSinceMs ?? clock.monotonicMs()),
      nextStream: () => ++this.#streams,
      report: (report) => outbox.add(report),
      confirmReads: (partition) => confirmations.want(partition),
      expired: () => {},
      resynced: (node, entries, source) => {
        const how = source === "everything"
          ? "everything, "
          : source === "rest"
          ? "the rest, "
          : "";
        const by = source === "journal" ? ", as the journal tells" : "";
        this.#say(`${id}: ${node} is level, sent ${how}${entries}${by}`);
      },
      retries: new Retries(NO_LOG, () => clock.monotonicMs()),
      needsRepair: (error) => this.#say(`${id} needs a repair: ${error.message}`),
      transfers: new TransferPacer(clock),
      releases: new WorkScheduler(clock),
      notPrimary: () => ({ req_type: "error", code: "not_primary", message: "" }),
      downstream: {
        isUp: (node) => linkTo(node) !== undefined,
        send: (node, message) => send(node, message),
        append: (node, partition, term, stream, commitSeq, writes) => {
          const entries = JSON.parse(`[${writes.json}]`) as WireEntry[];
          send(node, {
            req_type: "append",
            parts: [[partition, term, stream, commitSeq, entries]],
          });
        },
        whenRoom: (_node, then) => then(),
        commit: (node, partition, term, stream, commitSeq) =>
          send(node, { req_type: "append", parts: [[partition, term, stream, commitSeq, []]] }),
      },
    };
  }

  /** A primary has a link to each node that its configuration names. */
  #updateLinks(id: NodeId): void {
    const process = this.#process(id);
    for (const { node } of process.replica.primary?.streams ?? []) {
      if (process.links.has(node) || this.#hosts.get(node)?.process === undefined) continue;
      const link: Link = {
        from: id,
        to: node,
        closed: false,
        upstream: new ScenarioUpstream(id, () => link.closed, (message) => {
          if (!link.closed) this.#send(node, id, { message, link });
        }),
      };
      process.links.set(node, link);
      process.replica.primary?.onPeerUp(node);
    }
  }

  #breakLinks(a: NodeId, b: NodeId): void {
    this.#wires.delete(`${a}->${b}`);
    this.#wires.delete(`${b}->${a}`);
    for (const [from, to] of [[a, b], [b, a]] as const) {
      const links = this.#hosts.get(from)?.process?.links;
      const link = links?.get(to);
      // The process at the other end may have gone first: then nothing tells its replica.
      for (const end of [from, to]) this.#closed(end, from, to, link);
      links?.delete(to);
    }
  }

  #closed(end: NodeId, from: NodeId, to: NodeId, link: Link | undefined): void {
    const process = this.#hosts.get(end)?.process;
    if (end === from) process?.replica.primary?.onPeerDown(to);
    if (link === undefined) return;
    link.closed = true;
    if (end === to) process?.replica.follower.onUpstreamClosed(link.upstream);
  }

  #send(from: NodeId, to: NodeId, parcel: Parcel): void {
    const name = `${from}->${to}`;
    this.#say(`${from} -> ${to}: ${parcelText(parcel)}`);
    const wire = this.#wires.get(name);
    if (wire === undefined) this.#wires.set(name, [parcel]);
    else wire.push(parcel);
  }

  #receive(name: string, parcel: Parcel): void {
    const [from = "", to = ""] = name.split("->");
    const process = this.#hosts.get(to)?.process;
    if (process === undefined || parcel.link.closed) return;
    const { replica, confirmations } = process;
    const { message, link } = parcel;
    const targets: PeerTargets = {
      replica: () => replica,
      addressee: () => replica,
      confirmations,
      slab: new ByteSlab(),
    };
    if (goes(message, "downstream")) fromPrimary(message, link.upstream, targets);
    else fromFollower(message, from, targets);
  }

  /** Runs what is due in this moment, and tells which replicas are something else now. */
  async #settle(): Promise<void> {
    await this.#clock.run(0);
    for (const { id, process } of this.#hosts.values()) {
      if (process === undefined) continue;
      const role = roleOf(process.replica);
      if (role !== process.role) this.#say(`${id} is ${role}`);
      process.role = role;
    }
  }

  #running(): NodeId[] {
    return [...this.#hosts.values()].filter(({ process }) => process !== undefined)
      .map(({ id }) => id);
  }

  #host(id: NodeId): Host {
    const host = this.#hosts.get(id);
    if (host === undefined) throw new Error(`there is no ${id}`);
    return host;
  }

  #process(id: NodeId): Process {
    const { process } = this.#host(id);
    if (process === undefined) throw new Error(`${id} does not run`);
    return process;
  }

  #say(line: string): void {
    this.#lines.push(line);
  }
}

function roleOf({ primary, follower, damaged, isInSync, isMember }: Replica): string {
  const role = primary !== undefined
    ? `primary, ${primary.phase}`
    : !isMember
    ? "no member"
    : `${isInSync ? "follower" : "learner"}, ${follower.state}`;
  return damaged ? `${role}, damaged` : role;
}

function parcelText({ message }: Parcel): string {
  switch (message.req_type) {
    case "append":
      return message.parts.map(([, , stream, commitSeq, entries]) => {
        const writes = wireText(entries);
        const what = writes === "" ? "nothing" : writes;
        return `append ${what}; stream ${stream}, commit ${commitSeq}`;
      }).join("; ");
    case "appended":
      return message.acks.map(([, , stream, seq]) => `appended ${seq}; stream ${stream}`)
        .join("; ");
    case "confirm":
      return `confirm term ${message.parts[0]?.[1]}; round ${message.round}`;
    case "confirmed":
      return `${
        message.refused.length > 0 ? "not confirmed" : "confirmed"
      }; round ${message.round}`;
    default:
      return messageText(message);
  }
}

/** A message between nodes about one partition; not `append` and others that are about several. */
type PeerMessage = Extract<DownstreamMessage | UpstreamMessage, { readonly p: number }>;

function messageText(message: PeerMessage): string {
  const { req_type, p: _partition, id: _id, ...fields } = message;
  const texts = Object.entries(fields).map(([name, value]) => `${name} ${fieldText(name, value)}`);
  return `${req_type} ${texts.join(", ")}`;
}

function fieldText(name: string, value: unknown): string {
  if (name === "config") return configText(value as PartitionConfig);
  if (name === "entries") return `[${wireText(value as WireEntry[])}]`;
  return Array.isArray(value) ? `[${value.join(", ")}]` : String(value);
}

function configText({ term, primary, inSync, learners }: PartitionConfig): string {
  const filled = learners.length > 0 ? ` learners ${learners.join(",")}` : "";
  return `(term ${term}, ${primary ?? "no primary"} of ${inSync.join(",")}${filled})`;
}

function entryText(entry: Entry): string {
  const { seq, value } = entry;
  // Keys of the node's own begin with a NUL.
  const key = entry.key.replaceAll("\0", "\\0");
  return isTombstone(entry) ? `${key}@${seq} deleted` : `${key}@${seq}=${text(value)}`;
}

function wireText(entries: readonly WireEntry[]): string {
  return entries.map((wire) => entryText(fromWireEntry(wire))).join(", ");
}

function reportText(report: Report): string {
  const { req_type, term } = report;
  const node = "node" in report ? ` ${report.node}` : "";
  const reason = "reason" in report ? ` (${report.reason})` : "";
  return `${req_type}${node} in term ${term}${reason}`;
}

function replyText(reply: Reply): string {
  const { req_type, id: _id, ...fields } = wireForm(reply) as Reply & Record<string, unknown>;
  if (req_type === "error") {
    const { code, settled } = reply as Message<"error">;
    return settled === true ? `${code}, settled` : code;
  }
  const shown = Object.entries(fields).filter(([name]) =>
    !/^(timestamp|content_type|date)$/.test(name)
  );
  const value = (of: unknown) =>
    Array.isArray(of) ? `[${of.map((reply) => replyText(reply)).join(", ")}]` : String(of);
  return [req_type, ...shown.map(([name, of]) => `${name} ${value(of)}`)].join(" ");
}

/** The rows of the partition in a batch; those of the database as a whole are left out. */
function changesText(changes: readonly StorageChange[]): string {
  const own = hexOf(stateKey(PARTITION));
  const texts = changes.flatMap(({ key, value }) => {
    const name = hexOf(key);
    if (!name.startsWith(own)) return [];
    if (name !== own) {
      if (value === undefined) return [`${text(key.subarray(2))} removed`];
      return [entryText(decodeRecord(key, value))];
    }
    if (value === undefined) return ["no state"];
    const { state, clearing } = decodeState(key, value);
    const { term, commitSeq, lastSeq, watermark, damaged, filled } = state;
    const upto = filled === undefined
      ? ""
      : `, filled up to ${filled.upto} as of ${filled.commitSeq} in term ${filled.term}`;
    const flags = `${damaged ? ", damaged" : ""}${clearing ? ", clearing" : ""}${upto}`;
    const dropped = watermark > 0 ? `, watermark ${watermark}` : "";
    return [`(term ${term}, commit ${commitSeq}, last ${lastSeq}${dropped}${flags})`];
  });
  return texts.length === 0 ? "nothing of the partition" : texts.join(" ");
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
