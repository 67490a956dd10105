/**
 * What a command of the Redis front end is: one row with its name, arity, flags and keys, and how it runs.
 * COMMAND and its subcommands are made from these rows; the session runs them. The files of `commands/` hold
 * them by group, `command_table.ts` holds all of them.
 *
 * @module
 */
import type { Entry } from "../../../shared/base/entry.ts";
import type { KvError } from "../../../shared/base/errors.ts";
import type { DatabaseInfo } from "../../../shared/cluster/databases.ts";
import type { Database } from "../../../shared/database/database.ts";
import type { DatabaseUsage } from "../../../shared/cluster/databases.ts";
import type { Keyspace } from "../../../shared/database/keyspace.ts";
import type { SlowLog } from "../../../shared/metrics/slow_log.ts";
import type { Clock } from "../../../shared/platform/clock.ts";
import type { Logger } from "../../../shared/platform/logger.ts";
import type { Random } from "../../../shared/platform/random.ts";
import type { AccessControl } from "../../../shared/security/access_control.ts";
import type { Address } from "../../../shared/platform/transport.ts";
import type { RequestLimits } from "../../../shared/validation/request_checks.ts";
import type { MetricSet } from "../../../shared/metrics/metric_set.ts";
import type { KeyTurns } from "../../../shared/scheduling/key_turns.ts";
import type { WorkScheduler } from "../../../shared/scheduling/work_scheduler.ts";
import type { WatchRequest } from "../../../shared/watch/watch_event.ts";
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import type { MachineQuestions } from "../../workers/machine_questions.ts";
import type { RespWriter } from "../protocol/writer.ts";
import type { ScanCursors } from "./scan_cursors.ts";

/** The arguments of a command, its name first. Valid only during the call: copy what must live longer. */
export type Arguments = readonly Uint8Array[];

/** A client's mistake: the text as in Redis, code first. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

/** What a command that answers at once may use. */
export interface Call {
  readonly out: RespWriter;
  readonly session: CommandSession;
  readonly server: CommandServer;
}

/** Writes an answer. */
export type Write = (out: RespWriter) => void;

/** `skip`: the next command is not answered. */
export type ReplyMode = "on" | "off" | "skip";

/** What one may subscribe to. */
export type ChannelKind = "channel" | "pattern" | "shard";

/** A connection that messages can be pushed to. */
export interface Subscriber {
  /** Whether it has the right, at this moment. */
  mayHear(channel: string): boolean;
  /** Writes something that answers no command, soon, and never inside of an answer. */
  push(write: Write): void;
}

/** Who has subscribed to what at this node (`pubsub/subscriptions.ts`). */
export interface CommandSubscriptions {
  /** @throws {CommandError} if there are too many, or the name is too long */
  add(subscriber: Subscriber, kind: ChannelKind, name: string): void;
  remove(subscriber: Subscriber, kind: ChannelKind, name: string): void;
  forget(subscriber: Subscriber): void;
  names(subscriber: Subscriber, kind: ChannelKind): string[];
  count(subscriber: Subscriber, kind: ChannelKind): number;
  has(subscriber: Subscriber): boolean;
  deliver(kind: "channel" | "shard", channel: string, message: Uint8Array): number;
  channels(kind: "channel" | "shard", pattern: string | undefined): string[];
  readonly patterns: readonly string[];
}

/** What is told of subscribers. */
export interface PubSubCounts {
  /** How many got a message that was published. */
  readonly receivers: number;
  readonly channels: readonly string[];
  /** Of each channel that was asked about. */
  readonly subscribers: readonly number[];
  readonly patterns: readonly string[];
}

/** Subscribers of all nodes (`pubsub/all_nodes.ts`). Each `done` is called once. */
export interface CommandPubSub {
  readonly local: CommandSubscriptions;
  publish(
    kind: "channel" | "shard",
    channel: string,
    message: Uint8Array,
    done: (receivers: number) => void,
  ): void;
  publishElsewhere(
    kind: "channel" | "shard",
    channel: string,
    message: Uint8Array,
    done: (receivers: number) => void,
  ): void;
  counts(
    kind: "channel" | "shard",
    asked: { readonly channels?: readonly string[]; readonly pattern?: string | undefined },
    done: (counts: PubSubCounts) => void,
  ): void;
}

/** The watches of connections (`watch/session_watches.ts`). */
export interface CommandWatches {
  /** @throws {KvError} `bad_request` if the name is in use, or there are too many; `forbidden`; `overloaded` */
  begin(session: CommandSession, name: string, request: WatchRequest): void;
  /** @returns false if there is none of this name */
  end(session: CommandSession, name: string): boolean;
  /** The connection has ended, or wants nothing any more. */
  forget(session: CommandSession): void;
}

/** What CLIENT TRACKING has said. */
export interface TrackingOptions {
  /** Tells of all keys that begin with one of the prefixes, whatever was read. */
  readonly broadcast: boolean;
  readonly prefixes: readonly string[];
  /** Whether what is read is noted if CLIENT CACHING says nothing. */
  readonly default: boolean;
  /** As CLIENT TRACKINGINFO shows them. */
  readonly flags: readonly string[];
}

/** CLIENT TRACKING (`watch/tracking.ts`). */
export interface CommandTracking {
  /** @param done called when changes are told from now on; with false if they are not, and nothing is tracked */
  on(session: CommandSession, options: TrackingOptions, done: (isOn: boolean) => void): void;
  off(session: CommandSession): void;
  optionsOf(session: CommandSession): TrackingOptions | undefined;
  setCaching(session: CommandSession, caching: boolean): void;
}

/** Keyspace notifications (`watch/key_events.ts`). */
export interface CommandKeyEvents {
  /** What is wanted, as CONFIG GET shows it. */
  readonly flags: string;
  /** @throws {CommandError} for a letter that Redis does not know */
  set(flags: string): void;
}

/** What a command may know and do of the connection over which it came (`session.ts`). */
export interface CommandSession extends Subscriber {
  readonly id: number;
  /** It came by the port that the workers of a machine share, and asks the machine. */
  readonly isShared: boolean;
  readonly server: CommandServer;
  readonly out: RespWriter;
  readonly address: string;
  readonly createdMs: number;
  readonly lastActiveMs: number;
  readonly lastCommand: CommandSpec | undefined;
  /** The partition of the last write; for WAIT. */
  readonly lastWrittenKey: string | undefined;
  /** Waiting bytes: of incomplete commands, and of replies. */
  readonly keptBytes: { readonly query: number; readonly replies: number };
  readonly transaction: CommandTransaction;
  readonly login: CommandLogin;
  /** The database that it uses, as far as it may use it. */
  readonly database: Keyspace;
  /** Another one, as far as it may use it. */
  inDatabase(name: string): Keyspace;
  /** Another one from now on. */
  useDatabase(name: string): void;
  /** Carries out a request of stored keys, whatever database is used. */
  executeStored(request: KeyRequest, done: (reply: Reply) => void): void;
  clientName: string;
  libraryName: string;
  libraryVersion: string;
  noEvict: boolean;
  replyMode: ReplyMode;
  /** Set by the command that switches replies on and is itself answered. */
  repliesSwitchedOn: boolean;
  /** Writes a command's answer. It must be its turn. */
  answer(write: Write): void;
  /** Answers in turn: now, if nothing comes before it. */
  answerInTurn(write: Write): void;
  /** Refuses a command that cannot even be queued. */
  readonly refuse: (text: string) => undefined;
  /** As `push`, behind the replies of all commands that have begun. */
  pushInTurn(write: Write): void;
  /** Ends the connection, once everything before is answered and sent. */
  end(): void;
}

/** As whom a connection has logged in (`login.ts`). */
export interface CommandLogin {
  /** The cluster, as far as this connection may use it. */
  readonly database: Database;
  /** `default` if nobody has logged in. */
  readonly user: string;
  /** It has logged in, or need not. */
  readonly isKnown: boolean;
  /** Whether it has a right on a key, or on a channel of this name. */
  mayUse(right: "read" | "write", name: string): boolean;
  /** Whether it has a right on everything that begins so. */
  mayUseRange(right: "read" | "write", prefix: string): boolean;
  /**
   * Why the user may not delete every key of a database, or undefined; the audit log has it.
   *
   * @param prefix what stands before its keys
   */
  whyNotFlushed(prefix: string): KvError | undefined;
  /**
   * Why a command may not run, or undefined. What it asks of keys is judged where it asks.
   *
   * @param prefix what stands before the keys of the database that is used
   */
  whyRefused(spec: CommandSpec, prefix: string): string | undefined;
  /** Why the user may not make a database, or undefined. */
  whyNotMade(name: string): KvError | undefined;
  /**
   * `done` is called once, perhaps before this returns.
   *
   * @param user undefined: a password alone was given
   */
  logIn(
    user: string | undefined,
    password: string,
    done: (error: string | undefined) => void,
  ): void;
  logOut(): void;
}

/** Makes databases (`server/database_directory.ts`). */
export interface CommandDatabases {
  /**
   * `done` gets the database of this name, which is made if it is not there, perhaps before this returns; undefined
   * for `default`.
   */
  ensure(
    name: string,
    together: boolean,
    done: (outcome: DatabaseInfo | KvError | undefined) => void,
  ): void;
}

/** MULTI and WATCH of one connection, as its commands use them (`transactions/transaction.ts`). */
export interface CommandTransaction {
  /** Between MULTI and EXEC. */
  readonly open: boolean;
  /** The number of queued commands; -1 outside MULTI. */
  readonly length: number;
  /** Keys are watched. */
  readonly watching: boolean;
  /** Bytes of the commands that are queued, or are being prepared alone. */
  readonly bytes: number;
  multi(): void;
  exec(): void;
  discard(): void;
  watch(keys: readonly string[]): void;
  unwatch(): void;
  /** Queues a command for EXEC. */
  queue(spec: CommandSpec, args: Arguments): void;
  /** Forgets everything. */
  reset(): void;
}

/** What the front end knows of its node. */
export interface RespNode {
  readonly nodeId: string;
  /** Where it listens, once that is known. */
  address(): Address | undefined;
  /** Whether what is acknowledged is on disk. */
  readonly persistent: boolean;
  /** How many clients may be connected. */
  clientsMax(): number;
  /** Whether another node would probably answer. */
  isReachable(nodeId: string): boolean;
  /** Asks all other nodes that are up and can be reached. @param done gets their answers once, later */
  askOthers(message: object, timeoutMs: number, done: (replies: readonly Reply[]) => void): void;
  stats(): Record<string, unknown>;
  /** What databases have in the partitions that it is primary of. */
  databaseUsage(): DatabaseUsage;
  /** What `/metrics` says. */
  metrics(): MetricSet;
  /** The machine of which the node is a worker. Absent: it is none. */
  readonly machine?: CommandMachine | undefined;
}

/** The machine of which a node is a worker, for commands that tell of it. */
export interface CommandMachine {
  /** Asks all workers (`node/workers/machine_questions.ts`). */
  readonly questions: MachineQuestions;
  /** The number of the worker that answers. */
  readonly worker: number;
  /** The port that all workers share. */
  readonly address: Address;
}

/** What waits during a pause. */
export type PauseMode = "write" | "all";

/** CLIENT PAUSE (`client_pause.ts`). */
export interface CommandPause {
  /** What waits now; undefined if nothing does. */
  readonly mode: PauseMode | undefined;
  begin(mode: PauseMode, ms: number): void;
  end(): void;
}

/** Beside the commands that write: Redis has them wait as well, since they may write or are told to replicas. */
const MAY_WRITE = new Set(["eval", "evalsha", "publish", "spublish"]);

/** Whether a command waits when those that write do. */
export function mayWrite({ name, flags }: CommandSpec): boolean {
  return flags.includes("write") || MAY_WRITE.has(name);
}

/** Finds commands (`tables/command_lookup.ts`). */
export interface CommandFinder {
  find(name: Uint8Array): CommandSpec | undefined;
}

/** What a command may know and do of the front end as a whole (`resp_server.ts`). */
export interface CommandServer extends PlanContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Gives heavy work its turns. */
  readonly work: WorkScheduler;
  readonly database: Database;
  /** Of a secured cluster: who may do what. */
  readonly access: AccessControl | undefined;
  readonly node: RespNode;
  /** Absent: there is `default` alone. */
  readonly databases: CommandDatabases | undefined;
  readonly limits: RequestLimits | undefined;
  readonly cursors: ScanCursors;
  /** What took long at this node, at any front end. */
  readonly slow: SlowLog;
  readonly pubSub: CommandPubSub;
  readonly watches: CommandWatches;
  readonly tracking: CommandTracking;
  readonly keyEvents: CommandKeyEvents;
  readonly scripts: CommandScripts;
  readonly pause: CommandPause;
  /** For commands that look before they write. */
  readonly keyTurns: KeyTurns;
  readonly table: {
    readonly all: readonly CommandSpec[];
    /** By the bytes of a name, in any case. */
    readonly commands: CommandFinder;
    readonly subcommands: ReadonlyMap<CommandSpec, CommandFinder>;
  };
  readonly sessions: ReadonlyMap<number, CommandSession>;
  readonly startedMs: number;
  /** Since the start. */
  readonly connections: number;
  readonly commands: number;
  /** What was counted before CONFIG RESETSTAT. */
  countedBefore: { readonly connections: number; readonly commands: number };
  /** Carries a request out; one that would do harm twice, in a client session. */
  execute(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): void;
  /** Carries each request out by itself; `done` gets the replies in the order of the requests. */
  executeEach(
    requests: readonly KeyRequest[],
    execute: (request: KeyRequest, done: (reply: Reply) => void) => void,
    done: (replies: readonly Reply[]) => void,
  ): void;
}

/** What a command may know while it is turned into requests. */
export interface PlanContext {
  readonly valueBytesMax: number;
  /** The date. */
  wallMs(): number;
  /** A copy of an argument that lives as long as its request: to keep it longer, copy it again. */
  copy(argument: Uint8Array): Uint8Array;
}

/** A command as one request, and its reply. */
export interface OnePlan {
  readonly request: KeyRequest;
  finish(out: RespWriter, reply: Reply): void;
}

/** A command as several requests, and their replies in order. */
export interface ManyPlan {
  readonly requests: readonly KeyRequest[];
  /** All of them happen or none; else each is by itself. */
  readonly together?: true;
  finishAll(out: RespWriter, replies: readonly Reply[]): void;
}

/** A command as requests. */
export type Plan = OnePlan | ManyPlan;

/** Some keys as of one moment, and the writes that a command decides on. */
export interface KeyView {
  readonly wallMs: number;
  get(key: string): Entry | undefined;
  /** @param expiresAtMs 0 for never */
  set(key: string, value: Uint8Array, expiresAtMs: number, contentType?: string): void;
  delete(key: string): void;
}

/** As {@linkcode KeyView}, for whoever carries out whole commands on it. */
export interface RequestView extends KeyView {
  /**
   * The result of a request; what it writes is seen from then on.
   *
   * @param isKept whether the reply is kept until the version of what was written is known, which is then filled in
   */
  apply(request: KeyRequest, isKept: boolean): Reply;
  /** @returns what takes back all that was changed since this call */
  savepoint(): () => void;
}

/** A script with its keys and its other arguments. */
export interface CommandScript {
  readonly text: Uint8Array;
  readonly keys: readonly Uint8Array[];
  readonly args: readonly Uint8Array[];
}

/** How a script has ended. */
export interface ScriptOutcome {
  /** Its answer, or its error, as RESP2 has it. */
  readonly reply: Uint8Array;
  /** It has ended with an error, so that it changes nothing. One that returns an error has not. */
  readonly failed: boolean;
}

/** Runs scripts (`scripts/script_runner.ts`). */
export interface CommandScripts {
  /** Those that are remembered, by their SHA-1 in hexadecimal digits. */
  readonly cache: {
    add(text: Uint8Array): string;
    get(sha1: string): Uint8Array | undefined;
    clear(): void;
  };
  /**
   * Runs a script; others may have to end before it begins.
   *
   * @param onCall carries out one of its commands
   * @returns its answer
   * @throws {CommandError} if it cannot be run, or was ended; also as a rejection
   */
  run(
    script: CommandScript,
    onCall: (args: readonly Uint8Array[]) => Uint8Array,
  ): Promise<ScriptOutcome>;
}

/** How a command runs. */
export type CommandRun =
  /** Answers at once. */
  | { readonly kind: "now"; run(args: Arguments, call: Call): void }
  /** Becomes requests; many such commands of one connection are under way at a time. */
  | { readonly kind: "plan"; plan(args: Arguments, context: PlanContext): Plan }
  /**
   * Reads some keys and changes them, as one step: what `run` decides is carried out if none
   * of the keys has changed meanwhile; otherwise `run` is called again. It returns the answer.
   */
  | {
    readonly kind: "view";
    /** @throws {CommandError} if the arguments are wrong */
    keys(args: Arguments): string[];
    run(args: Arguments, view: KeyView): (out: RespWriter) => void;
  }
  /** As `view`, for a script: it answers later, and carries out commands of its own on the snapshot. */
  | {
    readonly kind: "script";
    /** @throws {CommandError} if the arguments are wrong */
    keys(args: Arguments): string[];
    run(args: Arguments, view: RequestView, call: Call): Promise<Write>;
  }
  /** Runs alone: after all commands before it, and before all after it. Calls `done` once, later. */
  | {
    readonly kind: "alone";
    run(args: Arguments, call: Call, done: () => void): void;
    /**
     * How it runs between MULTI and EXEC; absent: not at all.
     *
     * @throws {CommandError} if it cannot be there
     */
    queued?(args: Arguments, session: CommandSession): CommandRun;
  }
  /** Part of a transaction's frame: the session runs it itself, even inside MULTI. */
  | { readonly kind: "frame"; run(args: Arguments, session: CommandSession): void };

/** A command. */
export interface CommandSpec {
  /** In lower case; `client|id` for a subcommand. */
  readonly name: string;
  /** The number of arguments, including the name; negative for a minimum. */
  readonly arity: number;
  readonly flags: readonly string[];
  /** First key, last key (-1: the last argument), step; all 0 if there is none. */
  readonly keys: readonly [first: number, last: number, step: number];
  /** The group in Redis's documentation. */
  readonly group: string;
  /** The version of Redis that introduced it; our version for our own commands. */
  readonly since: string;
  readonly summary: string;
  readonly run: CommandRun;
  readonly subcommands?: readonly CommandSpec[];
}

/** A row, in the order of COMMAND's reply. */
export function command(
  name: string,
  arity: number,
  flags: string,
  keys: readonly [number, number, number],
  about: { group: string; since: string; summary: string },
  run: CommandRun,
): CommandSpec {
  return { name, arity, flags: flags === "" ? [] : flags.split(" "), keys, ...about, run };
}

/** The index of a command's only key. */
export const KEY: readonly [number, number, number] = [1, 1, 1];
export const TWO_KEYS: readonly [number, number, number] = [1, 2, 1];
export const ALL_KEYS: readonly [number, number, number] = [1, -1, 1];
export const NO_KEYS: readonly [number, number, number] = [0, 0, 0];
