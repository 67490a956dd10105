/**
 * The clients' side of a simulation that asks in transactions over several partitions: each client appends to lists and
 * reads them, a few in one transaction or one by a single request, and moves amounts between accounts. It judges
 * nothing; that is `list_checker.ts`.
 *
 * Deterministic: what it does depends on its `Random`, its clients' clocks and their answers only.
 *
 * @module
 */
import type { AtomicResult } from "../../../client/library/atomic.ts";
import type { KvEntry } from "../../../client/calls/call.ts";
import { type ErrorCode, KvError } from "../../../shared/base/errors.ts";
import { type Random, randomBelow, SeededRandom } from "../../../shared/platform/random.ts";
import { elementsOf, type ListCall, type ListStep } from "../checkers/list_history.ts";
import { LATE_MS, type WorkloadClient } from "./workload.ts";

/** What is asked, and how often. */
export interface ListOptions {
  /** Default 6; 0 for nothing of it. */
  readonly lists?: number;
  /** Default 6. */
  readonly accounts?: number;
  /**
   * Deadlines are between these: long enough for several rounds over several partitions if messages take long.
   * Default 5,000 and 12,000.
   */
  readonly timeoutMsMin?: number;
  readonly timeoutMsMax?: number;
  /** A client waits up to this long between two of them. Default 800. */
  readonly pauseMsMax?: number;
}

/** Errors after which a transaction may have happened. All others promise that it has not. */
const UNKNOWN: ReadonlySet<ErrorCode> = new Set(["outcome_unknown", "reply_not_kept", "internal"]);
const STEPS_MAX = 4;
const AMOUNT_MAX = 9;

interface Slot {
  readonly client: WorkloadClient;
  readonly random: Random;
}

/** What clients ask for. */
export class ListWorkload {
  readonly calls: ListCall[] = [];
  /** Transactions that took longer than their deadline allows. */
  readonly late: ListCall[] = [];
  /** Beginnings and ends up to now. */
  place = 0;
  readonly #nowMs: () => number;
  readonly #options: Required<ListOptions>;
  readonly #slots: Slot[];
  #elements = 0;
  #running = false;
  #busy = 0;
  #onIdle: (() => void) | undefined;

  constructor(
    deps: { random: Random; nowMs: () => number },
    clients: readonly WorkloadClient[],
    options: ListOptions = {},
  ) {
    this.#nowMs = deps.nowMs;
    this.#options = {
      lists: 6,
      accounts: 6,
      timeoutMsMin: 5_000,
      timeoutMsMax: 12_000,
      pauseMsMax: 800,
      ...options,
    };
    this.#slots = clients.map((client) => ({
      client,
      random: new SeededRandom(deps.random.uint32()),
    }));
  }

  /** All keys. */
  get keys(): readonly string[] {
    const { lists, accounts } = this.#options;
    return [
      ...Array.from({ length: lists }, (_, i) => listKey(i)),
      ...Array.from({ length: accounts }, (_, i) => accountKey(i)),
    ];
  }

  get busy(): number {
    return this.#busy;
  }

  /** Those that began at this place or later, and have not done what they should. */
  failedSince(place: number): ListCall[] {
    return this.calls.filter(({ begin, code }) => begin >= place && code !== undefined);
  }

  /** All clients begin. */
  start(): void {
    if (this.#running || this.#options.lists === 0) return;
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

  /** A last look at everything, through the first client. @returns false if it failed */
  async lookAtAll(): Promise<boolean> {
    const [slot] = this.#slots;
    if (slot === undefined || this.#options.lists === 0) return true;
    const { timeoutMsMax, lists } = this.#options;
    const steps = Array.from({ length: lists }, (_, i) => readOf(listKey(i)));
    const looked = await this.#run(slot, "lists", steps, timeoutMsMax);
    const summed = await this.#run(slot, "sum", [], timeoutMsMax);
    return looked.outcome === "ok" && summed.outcome === "ok";
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
    const { timeoutMsMin, timeoutMsMax } = this.#options;
    const timeoutMs = timeoutMsMin + randomBelow(random, timeoutMsMax - timeoutMsMin + 1);
    const dice = randomBelow(random, 100);
    if (dice < 25) return this.#run(slot, "move", [], timeoutMs);
    if (dice < 40) return this.#run(slot, "sum", [], timeoutMs);
    if (dice < 60) return this.#run(slot, "single", [this.#step(random, 50)], timeoutMs);
    // Some only read.
    const appends = dice < 75 ? 0 : 60;
    const count = 1 + randomBelow(random, STEPS_MAX);
    const steps = Array.from({ length: count }, () => this.#step(random, appends));
    return this.#run(slot, "lists", steps, timeoutMs);
  }

  #step(random: Random, appendPercent: number): ListStep {
    const key = listKey(randomBelow(random, this.#options.lists));
    if (randomBelow(random, 100) >= appendPercent) return readOf(key);
    return { f: "append", key, element: ++this.#elements };
  }

  async #run(
    slot: Slot,
    kind: ListCall["kind"],
    steps: readonly ListStep[],
    timeoutMs: number,
  ): Promise<ListCall> {
    const call: ListCall = {
      id: this.calls.length,
      client: slot.client.name,
      kind,
      steps,
      begin: this.place++,
      beginMs: this.#nowMs(),
      end: Infinity,
      endMs: Infinity,
      outcome: "info",
      code: undefined,
      balances: undefined,
    };
    this.calls.push(call);
    this.#busy++;
    const onlyReads = kind === "sum" ||
      (kind !== "move" && steps.every(({ f }) => f === "read"));
    try {
      if (kind === "move") await this.#move(slot, timeoutMs);
      else if (kind === "sum") call.balances = await this.#sum(slot, timeoutMs);
      else if (kind === "single") await this.#single(slot, steps, timeoutMs);
      else await this.#lists(slot, steps, timeoutMs);
      call.outcome = "ok";
    } catch (error) {
      // A defect, of the client or of this file.
      if (!(error instanceof KvError)) throw error;
      call.code = error.code;
      call.outcome = !onlyReads && UNKNOWN.has(error.code) ? "info" : "fail";
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

  async #lists(slot: Slot, steps: readonly ListStep[], timeoutMs: number): Promise<void> {
    const atomic = slot.client.kv.atomic();
    for (const step of steps) {
      if (step.f === "read") atomic.get(step.key);
      else atomic.append(step.key, `${step.element};`);
    }
    const outcome = await atomic.commit({ timeoutMs });
    if (!outcome.ok) throw new Error("a transaction without checks was refused by one");
    const results: readonly unknown[] = outcome.results;
    steps.forEach((step, i) => {
      if (step.f === "append") valueOf(results[i] as AtomicResult<number>);
      else step.found = foundOf(valueOf(results[i] as AtomicResult<KvEntry | undefined>));
    });
  }

  async #single(slot: Slot, [step]: readonly ListStep[], timeoutMs: number): Promise<void> {
    const { kv } = slot.client;
    if (step?.f === "append") await kv.append(step.key, `${step.element};`, { timeoutMs });
    else if (step !== undefined) step.found = foundOf(await kv.getEntry(step.key, { timeoutMs }));
  }

  async #move({ client, random }: Slot, timeoutMs: number): Promise<void> {
    const { accounts } = this.#options;
    const from = randomBelow(random, accounts);
    const to = (from + 1 + randomBelow(random, accounts - 1)) % accounts;
    const amount = 1 + randomBelow(random, AMOUNT_MAX);
    const outcome = await client.kv.atomic()
      .increment(accountKey(from), -amount)
      .increment(accountKey(to), amount)
      .commit({ timeoutMs });
    if (!outcome.ok) throw new Error("a transaction without checks was refused by one");
    for (const result of outcome.results) valueOf(result);
  }

  async #sum({ client }: Slot, timeoutMs: number): Promise<readonly number[]> {
    const atomic = client.kv.atomic();
    for (let i = 0; i < this.#options.accounts; i++) atomic.get(accountKey(i));
    const outcome = await atomic.commit({ timeoutMs });
    if (!outcome.ok) throw new Error("a transaction without checks was refused by one");
    return outcome.results.map((result) => {
      const entry = valueOf(result as AtomicResult<KvEntry | undefined>);
      return entry === undefined ? 0 : Number(decoder.decode(entry.value));
    });
  }
}

const decoder = new TextDecoder();

function listKey(i: number): string {
  return `list${i}`;
}

function accountKey(i: number): string {
  return `account${i}`;
}

function readOf(key: string): ListStep {
  return { f: "read", key, found: undefined };
}

function foundOf(entry: KvEntry | undefined): readonly number[] | null | undefined {
  return elementsOf(entry === undefined ? null : decoder.decode(entry.value));
}

function valueOf<T>(result: AtomicResult<T>): T {
  if (result.ok) return result.value;
  throw new Error(`a request inside a transaction failed: ${result.error.message}`);
}
