/**
 * The clients' side of a simulation: processes that put, get, update, create and delete, one
 * operation at a time each, and write down what they asked and what they were told. It judges
 * nothing, except how an error is to be read: known not to have happened, or unknown.
 *
 * Deterministic: what it does depends on its `Random`, its clients' clocks and their answers only.
 *
 * @module
 */
import type { KvClient } from "../../../client/library/kv_client.ts";
import type { Clock } from "../../../shared/platform/clock.ts";
import { type ErrorCode, KvError } from "../../../shared/base/errors.ts";
import type { Acks, Consistency } from "../../../shared/wire/messages.ts";
import { type Random, randomBelow, SeededRandom } from "../../../shared/platform/random.ts";
import { type Expiry, type History, isReadName, type OperationName } from "../checkers/history.ts";
import { spread } from "../sim/scheduler.ts";
import { nameIn, valueBytes, valueName } from "./workload_values.ts";

/** A client process of the cluster. */
export interface WorkloadClient {
  readonly name: string;
  readonly kv: KvClient;
  readonly clock: Clock;
  /** How many operations it has under way at a time. */
  readonly concurrency: number;
  /** Whether it asks the coordinator's gateway, which may answer from its cache. */
  readonly gateway: boolean;
  /** Another session of the process, with a name of its own; whoever opens it closes it. Absent: no others. */
  readonly open?: (() => KvClient) | undefined;
}

/** What is asked, and how often. Weights count relative to each other. */
export interface WorkloadOptions {
  /** Keys that everybody wants. Default 4. */
  hotKeys?: number;
  /** Keys that are asked for now and then. Default 60. */
  coldKeys?: number;
  /** Keys that are written with `acks: "primary"`, always. Default 4. */
  looseKeys?: number;
  /** Of 100 operations, this many on hot keys and on loose ones. Default 60 and 10. */
  hotPercent?: number;
  loosePercent?: number;
  /** Of 100 operations, this many on keys that are new: each is wanted for a while and then no more. Default 10. */
  newPercent?: number;
  /** Keys that are only incremented, and how many of 100 operations go to them. Default 3 and 6. */
  counters?: number;
  counterPercent?: number;
  /** Of 100 writes of a value, this many with a value that expires, after between these. Default 12. */
  expiringPercent?: number;
  ttlMsMin?: number;
  ttlMsMax?: number;
  /** By how much dates of two processes may differ. Default 0. */
  clocksMs?: number;
  /** Of 100 operations, this many are the first of a session that is closed a few later. Default 4. */
  sessionPercent?: number;
  weights?: Partial<Record<OperationName, number>>;
  /** Of 100 reads, this many ask for a weaker consistency. Default 30. */
  weakPercent?: number;
  /** Of 100 operations, this many are given up early by their caller. Default 1. */
  abortPercent?: number;
  /** Deadlines are between these. Default 1,000 and 8,000. */
  timeoutMsMin?: number;
  timeoutMsMax?: number;
  /** A process waits up to this long between two operations. Default 200. */
  pauseMsMax?: number;
}

/** How operations ended. */
export interface Counts {
  ok: number;
  fail: number;
  info: number;
}

/** An operation that took longer than its deadline and {@linkcode LATE_MS} allow. */
export interface LateOperation {
  /** -1 for many reads at once, which have no place in the history. */
  readonly id: number;
  readonly client: string;
  readonly timeoutMs: number;
  readonly elapsedMs: number;
}

/** How long after its deadline an operation may end: scans for deadlines, and clocks that drift. */
export const LATE_MS = 1_000;

const WEIGHTS: Record<OperationName, number> = {
  read: 40,
  exists: 4,
  write: 28,
  create: 8,
  update: 10,
  delete: 10,
  cas: 6,
  increment: 0,
};

/** After this many operations on new keys the next new key is used, besides this many of the newest. */
const NEW_KEY_EVERY = 5;
const NEW_KEYS_WANTED = 5;
/** Now and then a client asks for one key this many times at once. */
const BURST_PAUSE_MS = 40_000;
const BURST_READS = 300;
/** Operations of a session that is closed soon, at most. */
const SESSION_OPERATIONS_MAX = 6;

type KeyKind = "hot" | "cold" | "new" | "sum" | "loose";

/** What stores a value. */
const STORES: ReadonlySet<OperationName> = new Set(["write", "create", "update", "cas"]);

/** Errors of a write after which it may have happened. All others promise that it has not. */
const UNKNOWN: ReadonlySet<ErrorCode> = new Set([
  "outcome_unknown",
  "reply_not_kept",
  "internal",
]);

interface Request {
  readonly f: OperationName;
  readonly key: string;
  readonly consistency: Consistency;
  readonly acks: Acks;
  readonly timeoutMs: number;
  readonly abortMs: number | undefined;
  readonly expect?: number | undefined;
  readonly expiry?: Expiry | undefined;
}

/** What clients ask for. */
export class Workload {
  readonly history: History;
  readonly clients: readonly WorkloadClient[];
  /** How operations ended since the last {@linkcode resetCounts}. */
  counts: Counts = { ok: 0, fail: 0, info: 0 };
  readonly late: LateOperation[] = [];
  /** Short sessions so far. */
  sessions = 0;
  /** How often many reads were asked for at once. */
  bursts = 0;
  #nextBurstMs: number;
  readonly #options: Required<WorkloadOptions>;
  readonly #random: Random;
  readonly #nowMs: () => number;
  readonly #names: OperationName[] = [];
  readonly #slots: Slot[] = [];
  #values = 0;
  /** Operations on new keys so far. */
  #newWanted = 0;
  #running = false;
  #busy = 0;
  #onIdle: (() => void) | undefined;

  /** @param deps `nowMs` is the time of the history: one for all processes */
  constructor(
    deps: { random: Random; history: History; nowMs: () => number },
    clients: readonly WorkloadClient[],
    options: WorkloadOptions = {},
  ) {
    this.history = deps.history;
    this.clients = clients;
    this.#random = deps.random;
    this.#nowMs = deps.nowMs;
    this.#nextBurstMs = deps.nowMs() + BURST_PAUSE_MS / 2;
    this.#options = {
      hotKeys: 4,
      coldKeys: 60,
      looseKeys: 4,
      hotPercent: 55,
      loosePercent: 8,
      newPercent: 10,
      counters: 3,
      counterPercent: 6,
      expiringPercent: 12,
      ttlMsMin: 200,
      ttlMsMax: 20_000,
      clocksMs: 0,
      sessionPercent: 4,
      weights: {},
      weakPercent: 30,
      abortPercent: 1,
      timeoutMsMin: 1_000,
      timeoutMsMax: 8_000,
      pauseMsMax: 200,
      ...options,
    };
    for (const [name, weight] of Object.entries({ ...WEIGHTS, ...this.#options.weights })) {
      for (let i = 0; i < weight; i++) this.#names.push(name as OperationName);
    }
    for (const client of clients) {
      for (let i = 0; i < client.concurrency; i++) {
        const random = new SeededRandom(this.#random.uint32());
        this.#slots.push(newSlot(client, random, this.history.newProcess()));
      }
    }
  }

  /** Every key that it may ask for, those of weaker promises last. */
  keys(): string[] {
    const { hotKeys, coldKeys, looseKeys, counters } = this.#options;
    const newKeys = Math.ceil(this.#newWanted / NEW_KEY_EVERY);
    const named = (name: string, count: number) =>
      Array.from({ length: count }, (_, i) => `${name}${i}`);
    return [
      ...named("hot", hotKeys),
      ...named("cold", coldKeys),
      ...named("new", newKeys),
      ...named("sum", counters),
      ...named("loose", looseKeys),
    ];
  }

  /** All processes begin. */
  start(): void {
    if (this.#running) return;
    this.#running = true;
    for (const slot of this.#slots) this.#pause(slot);
  }

  /** No new operations; resolves when those under way have ended. */
  stop(): Promise<void> {
    this.#running = false;
    if (this.#busy === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /** Operations under way. */
  get busy(): number {
    return this.#busy;
  }

  /** Counts from 0 again: a new phase begins. */
  resetCounts(): void {
    this.counts = { ok: 0, fail: 0, info: 0 };
  }

  /**
   * Reads every key strongly through one client, one after the other, and writes that down as well.
   *
   * @returns what each key holds; undefined if the read failed
   */
  async readAll(client: WorkloadClient): Promise<Map<string, FinalValue | undefined>> {
    const slot = newSlot(client, this.#random, this.history.newProcess());
    const found = new Map<string, FinalValue | undefined>();
    for (const key of this.keys()) {
      const request: Request = {
        f: "read",
        key,
        consistency: "strong",
        acks: "all",
        timeoutMs: this.#options.timeoutMsMax,
        abortMs: undefined,
      };
      found.set(key, await this.#run(slot, request));
    }
    return found;
  }

  #pause(slot: Slot): void {
    const delayMs = randomBelow(slot.random, this.#options.pauseMsMax + 1);
    slot.client.clock.setTimer(delayMs, () => {
      if (!this.#running) {
        this.#leaveSession(slot);
        return;
      }
      this.#enterSession(slot);
      const isBurst = this.#nowMs() >= this.#nextBurstMs;
      const step = isBurst ? this.#burst(slot) : this.#run(slot, this.#choose(slot));
      step.then(() => {
        if (slot.session?.left === 0 || !this.#running) this.#leaveSession(slot);
        if (this.#running) this.#pause(slot);
      });
    });
  }

  /**
   * Hundreds of reads of one key at once. All that is asked of them is an answer in time: in the history they would
   * cost more than they tell.
   */
  async #burst({ client, random }: Slot): Promise<void> {
    const { key } = this.#chooseKey(random);
    const { timeoutMsMax: timeoutMs } = this.#options;
    const startMs = this.#nowMs();
    this.bursts++;
    this.#nextBurstMs = startMs + BURST_PAUSE_MS;
    this.#busy++;
    await Promise.all(Array.from({ length: BURST_READS }, async () => {
      try {
        await client.kv.getEntry(key, { timeoutMs });
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
      }
    }));
    const elapsedMs = this.#nowMs() - startMs;
    if (isLate(elapsedMs, timeoutMs)) {
      this.late.push({ id: -1, client: client.name, timeoutMs, elapsedMs });
    }
    this.#busy--;
    if (this.#busy === 0 && !this.#running) this.#onIdle?.();
  }

  #enterSession(slot: Slot): void {
    if (slot.session !== undefined) slot.session.left--;
    else if (randomBelow(slot.random, 100) < this.#options.sessionPercent) {
      const left = randomBelow(slot.random, SESSION_OPERATIONS_MAX);
      const kv = slot.client.open?.();
      if (kv === undefined) return;
      this.sessions++;
      slot.session = { kv, left };
    }
  }

  #leaveSession(slot: Slot): void {
    slot.session?.kv.close();
    slot.session = undefined;
  }

  /** Of those of its kind, the one that is asked for. */
  #chooseKey(random: Random): { kind: KeyKind; key: string } {
    const { hotKeys, coldKeys, looseKeys, counters } = this.#options;
    const { hotPercent, loosePercent, newPercent, counterPercent } = this.#options;
    const one = (kind: KeyKind, count: number) => ({
      kind,
      key: `${kind}${randomBelow(random, count)}`,
    });
    let left = randomBelow(random, 100) - hotPercent;
    if (left < 0) return one("hot", hotKeys);
    left -= loosePercent;
    if (left < 0 && looseKeys > 0) return one("loose", looseKeys);
    left -= counterPercent;
    if (left < 0 && counters > 0) return one("sum", counters);
    left -= newPercent;
    if (left < 0 || coldKeys === 0) {
      const newest = Math.floor(this.#newWanted++ / NEW_KEY_EVERY);
      const back = randomBelow(random, Math.min(newest + 1, NEW_KEYS_WANTED));
      return { kind: "new", key: `new${newest - back}` };
    }
    return one("cold", coldKeys);
  }

  /** What is done with a key, for which what the slot knows of it is as good as anything. */
  #chooseWhat(random: Random, kind: KeyKind, known: number | undefined): OperationName {
    if (kind === "sum") return randomBelow(random, 3) === 0 ? "read" : "increment";
    const f = this.#names[randomBelow(random, this.#names.length)] ?? "read";
    return f === "cas" && known === undefined ? "read" : f;
  }

  #chooseExpiry(random: Random, kind: KeyKind): Expiry | undefined {
    const { expiringPercent, ttlMsMin, ttlMsMax, clocksMs } = this.#options;
    if (kind === "loose" || randomBelow(random, 100) >= expiringPercent) return undefined;
    return { afterMs: Math.round(spread(random, ttlMsMin, ttlMsMax)), clocksMs };
  }

  #choose(slot: Slot): Request {
    const { random, client } = slot;
    const options = this.#options;
    const percent = () => randomBelow(random, 100);
    const { kind, key } = this.#chooseKey(random);
    const known = slot.versions.get(key);
    const f = this.#chooseWhat(random, kind, known);
    const weak: Consistency = client.gateway && percent() < 50 ? "cached" : "replica";
    const spanMs = options.timeoutMsMax - options.timeoutMsMin;
    const timeoutMs = options.timeoutMsMin + randomBelow(random, spanMs + 1);
    return {
      f,
      key,
      consistency: percent() < options.weakPercent ? weak : "strong",
      acks: kind === "loose" ? "primary" : "all",
      expect: f === "cas" ? known : undefined,
      expiry: STORES.has(f) ? this.#chooseExpiry(random, kind) : undefined,
      timeoutMs,
      abortMs: percent() < options.abortPercent ? randomBelow(random, timeoutMs) : undefined,
    };
  }

  async #run(slot: Slot, request: Request): Promise<FinalValue | undefined> {
    const { history } = this;
    const { f, key, timeoutMs } = request;
    const isRead = isReadName(f);
    const writes = STORES.has(f);
    const value = writes ? valueName(this.#values++) : null;
    const startMs = this.#nowMs();
    const id = history.invoke({
      process: slot.process,
      f,
      key,
      value,
      time: startMs,
      ...(request.expect === undefined ? {} : { expect: request.expect }),
      ...(request.expiry === undefined ? {} : { expiry: request.expiry }),
      ...(isRead ? { consistency: request.consistency } : { acks: request.acks }),
    });
    this.#busy++;
    let result: FinalValue | undefined;
    try {
      result = await this.#call(slot, request, value);
      const time = this.#nowMs();
      if (result.refused === undefined) {
        this.counts.ok++;
        history.ok(id, { time, value: result.value, version: result.version });
      } else {
        this.counts.fail++;
        history.fail(id, time, result.refused);
      }
    } catch (error) {
      const time = this.#nowMs();
      const isAbort = error instanceof DOMException && error.name === "AbortError";
      // A defect, of the client or of this file.
      if (!isAbort && !(error instanceof KvError)) throw error;
      const code = error instanceof KvError ? error.code : "given up";
      const refused = error instanceof KvError && !UNKNOWN.has(error.code);
      if (isRead || refused) {
        this.counts.fail++;
        history.fail(id, time, code);
      } else {
        this.counts.info++;
        history.info(id, time, code);
        slot.process = history.newProcess();
      }
    }
    if (result?.version === undefined) slot.versions.delete(key);
    else slot.versions.set(key, result.version);
    const elapsedMs = this.#nowMs() - startMs;
    if (isLate(elapsedMs, timeoutMs)) {
      this.late.push({ id, client: slot.client.name, timeoutMs, elapsedMs });
    }
    this.#busy--;
    if (this.#busy === 0 && !this.#running) this.#onIdle?.();
    return result;
  }

  async #call(
    { client, session }: Slot,
    request: Request,
    value: string | null,
  ): Promise<FinalValue> {
    const { clock } = client;
    const kv = session?.kv ?? client.kv;
    const { f, key, consistency, acks, timeoutMs, abortMs } = request;
    const bytes = valueBytes(value ?? "v0");
    const controller = abortMs === undefined ? undefined : new AbortController();
    const timer = abortMs === undefined
      ? undefined
      : clock.setTimer(abortMs, () => controller?.abort());
    const read = { timeoutMs, consistency, signal: controller?.signal };
    const write = { timeoutMs, acks, signal: controller?.signal };
    const store = {
      ...write,
      ...(request.expiry === undefined ? {} : { ttlMs: request.expiry.afterMs }),
    };
    try {
      switch (f) {
        case "read": {
          const entry = await kv.getEntry(key, read);
          return entry === undefined
            ? { value: null }
            : { value: nameIn(key, entry.value), version: entry.version };
        }
        case "exists":
          return { value: await kv.exists(key, read) ? "" : null };
        case "create":
          return { value, version: await kv.create(key, bytes, store) };
        case "update":
          return { value, version: await kv.update(key, bytes, store) };
        case "delete":
          return await kv.delete(key, write) ? { value } : { value, refused: "not_found" };
        case "cas":
          return {
            value,
            version: await kv.put(key, bytes, { ...store, ifVersion: request.expect }),
          };
        case "increment":
          return { value: String(await kv.increment(key, 1, write)) };
        default:
          return { value, version: await kv.put(key, bytes, store) };
      }
    } finally {
      timer?.cancel();
    }
  }
}

/** A clock that is slow, within what is allowed, makes a deadline later. */
function isLate(elapsedMs: number, timeoutMs: number): boolean {
  return elapsedMs > timeoutMs * 1.1 + LATE_MS;
}

/** What a call answered: the value's name, or null for no such key. */
export interface FinalValue {
  readonly value: string | null;
  readonly version?: number | undefined;
  /** The call was refused, with this code. */
  readonly refused?: string | undefined;
}

/** One process of a client. */
interface Slot {
  readonly client: WorkloadClient;
  readonly random: Random;
  process: number;
  /** Of keys, the version that it knew last. */
  readonly versions: Map<string, number>;
  /** A session that is closed after this many more operations. */
  session: { readonly kv: KvClient; left: number } | undefined;
}

function newSlot(client: WorkloadClient, random: Random, process: number): Slot {
  return { client, random, process, versions: new Map(), session: undefined };
}
