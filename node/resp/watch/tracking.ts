/**
 * CLIENT TRACKING: which keys the connections have read, and may keep at their side; they are told when one of these
 * changes. With BCAST a connection is told of every change under its prefixes, and nothing is noted of what it reads.
 *
 * A key is noted when the command that reads it begins, so a change that is committed later is told. What is told goes
 * out behind the replies of all commands that have begun (`pushInTurn`), so a client that gets an old value is told
 * afterwards that it is old.
 *
 * Invariants: a key is told once, and is noted again by the next read; what is noted is bounded: the oldest key makes
 * room, and is told as if it had changed; a connection that has ended has nothing noted.
 *
 * @module
 */
import {
  RESP_SUBSCRIPTION_OVERHEAD_BYTES,
  RESP_TRACKED_BYTES_MAX,
} from "../../../shared/limits/resp.ts";
import type {
  Arguments,
  CommandSession,
  CommandSpec,
  CommandTracking,
  TrackingOptions,
  Write,
} from "../command/command.ts";
import { keyOf } from "../command/arguments.ts";
import { userKeyOf } from "../../../shared/cluster/databases.ts";
import { matcherOf, type WatchMatcher } from "../../../shared/watch/watch_selection.ts";
import type { ChangeListener, Changes } from "./changes.ts";

/** A connection that tracks. */
interface Tracker {
  readonly session: CommandSession;
  readonly options: TrackingOptions;
  /** With BCAST. */
  readonly matches: WatchMatcher;
  /** What CLIENT CACHING has said of the next command. */
  caching: boolean | undefined;
  /** Its keys, to be noted when EXEC begins. */
  queued: string[];
  /** Keys that are noted for it, with what stands before the keys of their database, as everywhere here. */
  readonly keys: Set<string>;
}

/** See the top of this file. */
export class Tracking implements CommandTracking, ChangeListener {
  readonly #changes: Changes;
  readonly #trackers = new Map<CommandSession, Tracker>();
  readonly #broadcasts = new Set<Tracker>();
  /** The oldest first. */
  readonly #readers = new Map<string, Set<Tracker>>();
  #bytes = 0;

  constructor(changes: Changes) {
    this.#changes = changes;
  }

  /** @param done called when changes are told from now on; with false if they are not, and nothing is tracked */
  on(session: CommandSession, options: TrackingOptions, done: (isOn: boolean) => void): void {
    const before = this.#trackers.get(session);
    if (before !== undefined) this.#forget(before);
    const tracker = {
      session,
      options,
      matches: matcherOf(options),
      caching: undefined,
      queued: [],
      keys: new Set<string>(),
    };
    this.#trackers.set(session, tracker);
    if (options.broadcast) this.#broadcasts.add(tracker);
    this.#changes.add(this, (isOn) => {
      if (!isOn && this.#trackers.get(session) === tracker) this.off(session);
      done(isOn);
    });
  }

  off(session: CommandSession): void {
    const tracker = this.#trackers.get(session);
    if (tracker === undefined) return;
    this.#forget(tracker);
    this.#trackers.delete(session);
    if (this.#trackers.size === 0) this.#changes.remove(this);
  }

  optionsOf(session: CommandSession): TrackingOptions | undefined {
    return this.#trackers.get(session)?.options;
  }

  setCaching(session: CommandSession, caching: boolean): void {
    const tracker = this.#trackers.get(session);
    if (tracker !== undefined) tracker.caching = caching;
  }

  /** A command begins, or waits for EXEC, if `isQueued`. */
  begins(session: CommandSession, spec: CommandSpec, args: Arguments, isQueued: boolean): void {
    const tracker = this.#trackers.get(session);
    if (tracker === undefined || spec.name === "client|caching") return;
    const { name, flags } = spec;
    if (name === "exec") {
      for (const key of tracker.queued.splice(0)) this.#note(tracker, key);
    } else if (name === "discard" || name === "reset") tracker.queued = [];
    const { options, caching } = tracker;
    // It counts for the next command, or for all of the next transaction.
    if (!isQueued && name !== "multi" || name === "exec") tracker.caching = undefined;
    if (options.broadcast || !(caching ?? options.default) || !flags.includes("readonly")) return;
    const { prefix } = session.database;
    for (const key of keysOf(spec, args).map((named) => prefix + named)) {
      if (isQueued) tracker.queued.push(key);
      else this.#note(tracker, key);
    }
  }

  /** Who is told of prefixes is told of all databases, as in Redis, whichever is used. */
  onChange(stored: string): void {
    this.#invalidate(stored);
    const key = userKeyOf(stored);
    for (const tracker of this.#broadcasts) {
      if (tracker.matches(key)) this.#tell(tracker, stored);
    }
  }

  /** Nobody knows what has changed: clients forget everything. */
  onLost(): void {
    for (const key of [...this.#readers.keys()]) this.#drop(key);
    for (const { session } of this.#trackers.values()) session.pushInTurn(writeForgetAll);
  }

  #note(tracker: Tracker, key: string): void {
    if (tracker.keys.has(key)) return;
    tracker.keys.add(key);
    const readers = this.#readers.get(key);
    if (readers === undefined) this.#readers.set(key, new Set([tracker]));
    else readers.add(tracker);
    this.#bytes += costOf(key);
    if (this.#bytes <= RESP_TRACKED_BYTES_MAX) return;
    for (const oldest of this.#readers.keys()) {
      // It makes room.
      this.#invalidate(oldest);
      if (this.#bytes <= RESP_TRACKED_BYTES_MAX) break;
    }
  }

  #invalidate(key: string): void {
    for (const tracker of this.#readers.get(key) ?? []) this.#tell(tracker, key);
    this.#drop(key);
  }

  #drop(key: string): void {
    const readers = this.#readers.get(key);
    if (readers === undefined) return;
    for (const tracker of readers) {
      tracker.keys.delete(key);
      this.#bytes -= costOf(key);
    }
    this.#readers.delete(key);
  }

  #forget(tracker: Tracker): void {
    this.#broadcasts.delete(tracker);
    for (const key of tracker.keys) {
      this.#bytes -= costOf(key);
      const readers = this.#readers.get(key);
      readers?.delete(tracker);
      if (readers?.size === 0) this.#readers.delete(key);
    }
    tracker.keys.clear();
  }

  /** Each key has a push of its own: a later one must not go out before the replies of commands that began meanwhile. */
  #tell({ session }: Tracker, stored: string): void {
    if (!session.login.mayUse("read", stored)) return;
    const key = userKeyOf(stored);
    session.pushInTurn((out) => {
      out.push(2);
      out.bulkText("invalidate");
      out.array(1);
      out.bulkText(key);
    });
  }
}

const writeForgetAll: Write = (out) => {
  out.push(2);
  out.bulkText("invalidate");
  out.nil();
};

/** The keys that a command names. */
function keysOf({ keys: [first, last, step] }: CommandSpec, args: Arguments): string[] {
  const keys: string[] = [];
  if (first === 0) return keys;
  const end = last < 0 ? args.length + last : last;
  for (let i = first; i <= end; i += step) {
    const argument = args[i];
    // The command itself refuses a key that is empty.
    if (argument !== undefined && argument.length > 0) keys.push(keyOf(argument));
  }
  return keys;
}

function costOf(key: string): number {
  return RESP_SUBSCRIPTION_OVERHEAD_BYTES + 2 * key.length;
}
