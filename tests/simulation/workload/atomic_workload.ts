/**
 * The clients' side of a simulation that asks in transactions: each client stamps, moves and looks at a
 * few groups of keys, one transaction at a time, and writes down what it asked and what it was told. It
 * judges nothing; that is `atomic_checker.ts`.
 *
 * Deterministic: what it does depends on its `Random`, its clients' clocks and their answers only.
 *
 * @module
 */
import type { AtomicOutcome, AtomicResult } from "../../../client/library/atomic.ts";
import type { KvEntry } from "../../../client/calls/call.ts";
import { type ErrorCode, KvError } from "../../../shared/base/errors.ts";
import { type Random, randomBelow, SeededRandom } from "../../../shared/platform/random.ts";
import {
  type AtomicCall,
  type AtomicKind,
  atomicName,
  type AtomicView,
  groupKeys,
  SPREAD_FROM,
  unitsOf,
} from "../checkers/atomic_history.ts";
import { LATE_MS, type WorkloadClient } from "./workload.ts";

/** What is asked, and how often. */
export interface AtomicOptions {
  /** Groups of keys. Default 4, two of them over several partitions; 0 for no transactions at all. */
  readonly groups?: number;
  /** Of 100 transactions, this many look, and of those that write, this many check. Default 40 and 40. */
  readonly lookPercent?: number;
  readonly checkPercent?: number;
  /** Deadlines are between these. Default 1,000 and 8,000. */
  readonly timeoutMsMin?: number;
  readonly timeoutMsMax?: number;
  /** A client waits up to this long between two of them. Default 800. */
  readonly pauseMsMax?: number;
}

/** Deadlines of transactions over several partitions are longer by this. */
const SPREAD_MORE_MS = 4_000;
/** Errors after which a transaction may have happened. All others promise that it has not. */
const UNKNOWN: ReadonlySet<ErrorCode> = new Set([
  "outcome_unknown",
  "reply_not_kept",
  "internal",
]);

/** One process of a client. */
interface Slot {
  readonly client: WorkloadClient;
  readonly random: Random;
  /** Of each group, what its log was when this client looked last. */
  readonly seen: Map<number, { version: number; length: number }>;
}

/** What clients ask for. */
export class AtomicWorkload {
  readonly calls: AtomicCall[] = [];
  /** Transactions that took longer than their deadline allows. */
  readonly late: AtomicCall[] = [];
  /** Beginnings and ends up to now. */
  place = 0;
  readonly #nowMs: () => number;
  readonly #options: Required<AtomicOptions>;
  readonly #slots: Slot[];
  #running = false;
  #busy = 0;
  #onIdle: (() => void) | undefined;

  constructor(
    deps: { random: Random; nowMs: () => number },
    clients: readonly WorkloadClient[],
    options: AtomicOptions = {},
  ) {
    this.#nowMs = deps.nowMs;
    this.#options = {
      groups: 4,
      lookPercent: 40,
      checkPercent: 40,
      timeoutMsMin: 1_000,
      timeoutMsMax: 8_000,
      pauseMsMax: 800,
      ...options,
    };
    this.#slots = clients.map((client) => ({
      client,
      random: new SeededRandom(deps.random.uint32()),
      seen: new Map(),
    }));
  }

  /** Transactions under way. */
  get busy(): number {
    return this.#busy;
  }

  /** Those that began at this place or later, and have not done what they should. */
  failedSince(place: number): AtomicCall[] {
    return this.calls.filter(({ begin, code }) => begin >= place && code !== undefined);
  }

  /** All clients begin. */
  start(): void {
    if (this.#running || this.#options.groups === 0) return;
    this.#running = true;
    for (const slot of this.#slots) this.#pause(slot);
  }

  /** No new ones; resolves when those under way have ended. */
  stop(): Promise<void> {
    this.#running = false;
    if (this.#busy === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /** A last look at each group, through the first client. @returns false if one failed */
  async lookAtAll(): Promise<boolean> {
    const [slot] = this.#slots;
    let all = true;
    for (let group = 0; slot !== undefined && group < this.#options.groups; group++) {
      const call = await this.#run(
        slot,
        group,
        "look",
        this.#options.timeoutMsMax + SPREAD_MORE_MS,
      );
      all &&= call.outcome === "ok";
    }
    return all;
  }

  #pause(slot: Slot): void {
    const delayMs = randomBelow(slot.random, this.#options.pauseMsMax + 1);
    slot.client.clock.setTimer(delayMs, () => {
      if (!this.#running) return;
      this.#next(slot).then(() => {
        if (this.#running) this.#pause(slot);
      });
    });
  }

  #next(slot: Slot): Promise<unknown> {
    const { random } = slot;
    const { groups, lookPercent, timeoutMsMin, timeoutMsMax } = this.#options;
    const group = randomBelow(random, groups);
    // Over several partitions it takes several rounds.
    const moreMs = group < SPREAD_FROM ? 0 : SPREAD_MORE_MS;
    const timeoutMs = moreMs + timeoutMsMin + randomBelow(random, timeoutMsMax - timeoutMsMin + 1);
    const isLook = randomBelow(random, 100) < lookPercent;
    const kind = isLook ? "look" : randomBelow(random, 2) === 0 ? "stamp" : "move";
    return this.#run(slot, group, kind, timeoutMs);
  }

  async #run(
    slot: Slot,
    group: number,
    kind: AtomicKind,
    timeoutMs: number,
  ): Promise<AtomicCall> {
    const id = this.calls.length;
    const checks = kind !== "look" && randomBelow(slot.random, 100) < this.#options.checkPercent;
    const seen = checks ? slot.seen.get(group) : undefined;
    const call: AtomicCall = {
      id,
      group,
      kind,
      client: slot.client.name,
      name: kind === "look" ? "" : atomicName(kind, id),
      expect: seen?.length,
      begin: this.place++,
      beginMs: this.#nowMs(),
      end: Infinity,
      endMs: Infinity,
      outcome: "info",
      code: undefined,
      length: undefined,
      view: undefined,
    };
    this.calls.push(call);
    this.#busy++;
    try {
      if (kind === "look") await this.#look(slot, call, timeoutMs);
      else await this.#change(slot, call, seen?.version, timeoutMs);
    } catch (error) {
      // A defect, of the client or of this file.
      if (!(error instanceof KvError)) throw error;
      call.code = error.code;
      call.outcome = kind !== "look" && UNKNOWN.has(error.code) ? "info" : "fail";
    }
    const endMs = this.#nowMs();
    // A clock that is slow, within what is allowed, makes a deadline later.
    if (endMs - call.beginMs > timeoutMs * 1.1 + LATE_MS) this.late.push(call);
    if (call.outcome !== "info") {
      call.end = this.place++;
      call.endMs = endMs;
    }
    this.#busy--;
    if (this.#busy === 0 && !this.#running) this.#onIdle?.();
    return call;
  }

  async #look(slot: Slot, call: AtomicCall, timeoutMs: number): Promise<void> {
    const keys = groupKeys(call.group);
    const list = [keys.log, keys.from, keys.to, ...keys.stamps];
    // From another end each time, so that nothing depends on which key is read first.
    const turn = randomBelow(slot.random, list.length);
    const turned = [...list.slice(turn), ...list.slice(0, turn)];
    const atomic = slot.client.kv.atomic();
    for (const key of turned) atomic.get(key);
    const outcome: AtomicOutcome<readonly unknown[]> = await atomic.commit({ timeoutMs });
    if (!outcome.ok) throw new Error("a transaction without checks was refused by one");
    const found = new Map(outcome.results.map((result, i) => {
      const entry = valueOf(result as AtomicResult<KvEntry | undefined>);
      return [turned[i] ?? "", entry] as const;
    }));
    const text = (key: string) => textOf(found.get(key));
    const view: AtomicView = {
      log: text(keys.log),
      stamps: keys.stamps.map(text),
      from: text(keys.from),
      to: text(keys.to),
    };
    call.view = view;
    call.outcome = "ok";
    const version = found.get(keys.log)?.version ?? 0;
    slot.seen.set(call.group, { version, length: view.log?.length ?? 0 });
  }

  async #change(
    slot: Slot,
    call: AtomicCall,
    version: number | undefined,
    timeoutMs: number,
  ): Promise<void> {
    const { name, group, expect } = call;
    const { log, stamps, from, to } = groupKeys(group);
    const atomic = slot.client.kv.atomic();
    if (expect !== undefined) atomic.check(log, version);
    const rest = atomic.append(log, `${name};`);
    // One that fails by itself changes nothing, and stops no other.
    const refusing = rest.create(log, "never");
    if (call.kind === "stamp") { for (const key of stamps) refusing.put(key, name); }
    else refusing.increment(from, -unitsOf(name)).increment(to, unitsOf(name));
    const outcome = await refusing.commit({ timeoutMs });
    if (!outcome.ok) {
      call.outcome = "refused";
      if (outcome.key !== log || outcome.version === version) {
        throw new Error(`a check was refused that would hold: ${JSON.stringify(outcome)}`);
      }
      return;
    }
    const [appended, created] = outcome.results;
    if (created.ok || created.error.code !== "exists") {
      throw new Error("a key was created that was there");
    }
    call.outcome = "ok";
    call.length = valueOf(appended);
  }
}

function valueOf<T>(result: AtomicResult<T>): T {
  if (result.ok) return result.value;
  throw new Error(`a request inside a transaction failed: ${result.error.message}`);
}

const decoder = new TextDecoder();

function textOf(entry: KvEntry | undefined): string | null {
  return entry === undefined ? null : decoder.decode(entry.value);
}
