/**
 * A client that watches all keys while everything goes wrong, and judges what it is told at once: an event of what is
 * not committed, or of an older state of a key than it was told before, is a violation; and so is, at the end, a key
 * whose last state it was not told. One watcher takes what comes; the other is slow, and goes on from its tokens as a
 * new watch now and then.
 *
 * @module
 */
import { type Clock, type Timer } from "../../../shared/platform/clock.ts";
import { isExpiry, isTombstone, versionOf } from "../../../shared/base/entry.ts";
import { isNamedKey } from "../../../shared/cluster/databases.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import type { Watch } from "../../../shared/database/database.ts";
import { type Random, randomBelow } from "../../../shared/platform/random.ts";
import type { WatchedEvent, WatchRequest } from "../../../shared/watch/watch_event.ts";
import { nameIn } from "./workload_values.ts";

/** The slow one waits up to this long before it takes what has come, ... */
const SLOW_MS = 6_000;
/** ... and begins again from its token after so many batches, at most, and after up to this long. */
const BATCHES_MAX = 12;
const AWAY_MS = 15_000;

/** What it is given. */
export interface WatcherDeps {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly slow: boolean;
  readonly partitions: number;
  watch(request: WatchRequest): Watch;
  /** The greatest seq of a partition that any primary has committed. */
  committed(partition: number): number;
  /** Only rows that begin so. Default: all keys of `default`. */
  readonly prefix?: string | undefined;
  /** Whether an operator has given up what was acknowledged of a partition. */
  isForced(partition: number): boolean;
  /** Ends its connections. */
  close(): void;
}

/** What it was last told of a key. */
interface Told {
  readonly seq: number;
  readonly version: number;
  /** Undefined: it is gone. */
  readonly value: string | undefined;
  /** It has a time at which it expires, or has expired. */
  readonly expires: boolean;
}

/** Watches. */
export class Watcher {
  /** What was wrong. */
  violation: string | undefined;
  events = 0;
  resets = 0;
  resumed = 0;
  /** How often it was told that everything is told. */
  levels = 0;
  progress = 0;
  readonly #deps: WatcherDeps;
  readonly #told = new Map<string, Told>();
  #watch: Watch | undefined;
  #token: string | undefined;
  #left = 0;
  #timer: Timer | undefined;
  #stopped = false;
  #stays = false;

  constructor(deps: WatcherDeps) {
    this.#deps = deps;
  }

  start(): void {
    const { random, slow, watch } = this.#deps;
    this.#left = slow && !this.#stays ? 1 + randomBelow(random, BATCHES_MAX) : Infinity;
    this.#watch = watch({
      prefixes: [this.#deps.prefix ?? ""],
      snapshot: true,
      token: this.#token,
    });
    this.#next();
  }

  /** It goes away no more, and takes what comes at once: what it is told is to be judged soon. */
  stay(): void {
    this.#stays = true;
    this.#left = Infinity;
  }

  /** Some key that it was told of last as being there. */
  get firstKey(): string | undefined {
    for (const [key, { value, expires }] of this.#told) {
      if (value !== undefined && !expires) return key;
    }
    return undefined;
  }

  stop(): void {
    this.#stopped = true;
    this.#watch?.close();
    this.#timer?.cancel();
    this.#deps.close();
  }

  /** Why the last state of a key as it was told is not `held`; undefined if it is. */
  whyDiffers(key: string, held: string | undefined): string | undefined {
    const told = this.#told.get(key);
    const value = told?.value;
    if (value === held) return undefined;
    // It was read a while ago, and may have expired since then, or may be about to be deleted.
    if (told?.expires === true && (held === undefined || value === undefined)) return undefined;
    return `${this.#deps.name} was told that ${key} holds ${value} (seq ${told?.seq}); it holds ${held}`;
  }

  #next(): void {
    this.#watch?.next((events) => {
      if ("req_type" in events) {
        // The rights in a database end with it.
        if (this.#deps.prefix !== undefined && events.code === "no_database") {
          return this.#told.clear();
        }
        if (!this.#stopped) this.violation ??= `${this.#deps.name} ended: ${events.message}`;
        return;
      }
      // Who goes away in the middle of a batch goes on behind the last event that it has taken.
      const { random } = this.#deps;
      const taken = this.#left === 1 ? 1 + randomBelow(random, events.length) : events.length;
      for (const event of events.slice(0, taken)) this.#take(event);
      this.#goOn();
    });
  }

  #goOn(): void {
    const { clock, random, slow } = this.#deps;
    if (this.#stopped) return;
    if (!slow || this.#stays) return this.#next();
    if (--this.#left > 0) {
      this.#timer = clock.setTimer(randomBelow(random, SLOW_MS), () => this.#next());
      return;
    }
    this.#watch?.close();
    this.resumed++;
    this.#timer = clock.setTimer(randomBelow(random, AWAY_MS), () => this.start());
  }

  /** What the value is called: in databases it is its own name. */
  #nameOf(key: string, value: Uint8Array): string {
    if (this.#deps.prefix === undefined) return nameIn(key, value);
    return new TextDecoder().decode(value);
  }

  #take(event: WatchedEvent): void {
    const { type, entry } = event;
    this.#token = event.token();
    if (entry === undefined) {
      if (type === "level") this.levels++;
      if (type === "progress") this.progress++;
      if (type === "reset") {
        this.resets++;
        this.#told.clear();
      }
      return;
    }
    this.events++;
    const { name, partitions, committed, isForced } = this.#deps;
    const { key, seq } = entry;
    const partition = partitionOf(key, partitions);
    const { prefix } = this.#deps;
    if (prefix === undefined ? isNamedKey(key) : !key.startsWith(prefix)) {
      this.violation ??= `${name} was told of ${key}, which it does not watch`;
    }
    const before = this.#told.get(key);
    if (before !== undefined && seq < before.seq) {
      this.violation ??= `${name} was told of seq ${seq} of ${key} after ${before.seq}`;
    }
    const version = versionOf(entry);
    if (before !== undefined && version < before.version) {
      this.violation ??= `${name} was told of version ${version} of ${key} after ${before.version}`;
    }
    if (seq > committed(partition) && !isForced(partition)) {
      this.violation ??=
        `${name} was told of seq ${seq} of ${key}; nobody has committed more than ` +
        `${committed(partition)} of partition ${partition}`;
    }
    const value = isTombstone(entry) ? undefined : this.#nameOf(key, entry.value);
    if (before?.seq === seq && before.value !== value && !isForced(partition)) {
      this.violation ??=
        `${name} was told twice of seq ${seq} of ${key}: ${before.value}, ${value}`;
    }
    this.#told.set(key, {
      seq,
      version,
      value,
      expires: entry.expiresAtMs !== 0 || isExpiry(entry),
    });
  }
}
