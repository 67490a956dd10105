/**
 * Simulated time: one queue of events for all processes of a run, and for each process a clock of
 * its own. It knows nothing of networks or disks, which are further sources of events.
 *
 * Invariants: events run in the order of (time, moment of being scheduled), one at a time, with all
 * that they defer and all promises that they settle gone on before the next; nothing of a dead
 * process runs; nothing of a paused one runs until it goes on.
 *
 * @module
 */
import type { Clock, Timer } from "../../../shared/platform/clock.ts";
import { CLOCK_DRIFT_MAX } from "../../../shared/limits/membership.ts";
import { type Random, randomFraction, SeededRandom } from "../../../shared/platform/random.ts";

/** The date at which every run begins. */
export const START_WALL_MS = Date.UTC(2030, 0, 1);
/** More events than this in one second are a loop that does not end. */
const EVENTS_PER_SECOND_MAX = 500_000;
/** Steps that promises are given after each event; chains are a few steps long. */
const PROMISE_STEPS = 16;
/**
 * Rates lie between 1 / FASTEST and FASTEST of true time, so that two clocks differ by
 * CLOCK_DRIFT_MAX at most, which is what the leases allow for.
 */
const FASTEST = Math.sqrt(1 + CLOCK_DRIFT_MAX);

/** Something that happens at a moment. */
interface Event {
  atMs: number;
  order: number;
  readonly process: SimProcess | undefined;
  readonly isTimer: boolean;
  /** Of what comes in order among its like and in no order among others: a socket. */
  readonly source: object | undefined;
  callback: (() => void) | undefined;
}

/** In which order a process that was stopped finds what came meanwhile. */
export type ResumeOrder = "as it came" | "timers first" | "timers last" | "socket by socket";

/** A process: what ties timers, streams and disk calls together, so that it can die or stop as one. */
export class SimProcess {
  readonly name: string;
  readonly host: string;
  readonly clock: SimClock;
  readonly random: SeededRandom;
  /** Timers that are set. */
  timers = 0;
  /** How long each of its events takes: 0 but for a process that gets little of its processor. */
  stepMs = 0;
  /** Until then it is at work, and what comes waits in its order. */
  busyUntilMs = 0;
  readonly #scheduler: Scheduler;
  #alive = true;
  #paused = false;
  /** When the machine was suspended, if it is. */
  #suspendedMs: number | undefined;
  readonly #backlog: Event[] = [];

  constructor(scheduler: Scheduler, name: string, host: string, clock: ClockOptions, seed: number) {
    this.#scheduler = scheduler;
    this.name = name;
    this.host = host;
    this.random = new SeededRandom(seed);
    this.clock = new SimClock(scheduler, this, clock);
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Whether it executes instructions at this moment. */
  get running(): boolean {
    return this.#alive && !this.#paused;
  }

  /** SIGKILL: nothing of it ever runs again. */
  kill(): void {
    this.#alive = false;
    this.#backlog.length = 0;
    this.timers = 0;
  }

  /** SIGSTOP. */
  pause(): void {
    this.#paused = true;
  }

  /**
   * The machine sleeps, or is moved to another host: its monotonic clock stands still, and with it its timers,
   * while its date goes on.
   */
  suspend(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#suspendedMs = this.#scheduler.nowMs;
    this.clock.freeze();
  }

  /** SIGCONT, or the machine wakes up: what came meanwhile runs now, late. */
  resume(order: ResumeOrder): void {
    if (!this.#paused) return;
    this.#paused = false;
    let backlog = this.#backlog.splice(0);
    if (this.#suspendedMs !== undefined) {
      const lostMs = this.#scheduler.nowMs - this.#suspendedMs;
      this.#suspendedMs = undefined;
      this.clock.thaw();
      this.#scheduler.delayTimers(this, lostMs);
      for (const event of backlog) {
        if (event.isTimer) this.#scheduler.requeue(event, event.atMs + lostMs);
      }
      backlog = backlog.filter(({ isTimer }) => !isTimer);
    }
    if (order === "socket by socket") this.#bySource(backlog);
    else if (order !== "as it came") {
      const first = order === "timers first";
      backlog.sort((a, b) => Number(b.isTimer === first) - Number(a.isTimer === first));
    }
    for (const event of backlog) this.#scheduler.requeue(event);
  }

  hold(event: Event): void {
    this.#backlog.push(event);
  }

  /** As a system tells of its sockets: each with all that came over it, in any order of the sockets. */
  #bySource(backlog: Event[]): void {
    const places = new Map<object | undefined, number>();
    for (const { source } of backlog) {
      if (!places.has(source)) places.set(source, this.#scheduler.random.uint32());
    }
    backlog.sort((a, b) => (places.get(a.source) ?? 0) - (places.get(b.source) ?? 0));
  }
}

/** How a process's clock differs from the true time. */
export interface ClockOptions {
  /** What its monotonic clock shows at the start. */
  readonly offsetMs: number;
  /** How far its date is off. */
  readonly wallOffsetMs: number;
  /** From -1, the slowest allowed, to 1, the fastest. */
  readonly drift: number;
}

export const EXACT_CLOCK: ClockOptions = { offsetMs: 0, wallOffsetMs: 0, drift: 0 };

/** The clock of one process. */
export class SimClock implements Clock {
  readonly #scheduler: Scheduler;
  readonly #process: SimProcess;
  readonly #rate: number;
  readonly #bornMs: number;
  readonly #offsetMs: number;
  /** How long it has stood still, and since when it does. */
  #lostMs = 0;
  #frozenMs: number | undefined;
  wallOffsetMs: number;

  constructor(scheduler: Scheduler, process: SimProcess, options: ClockOptions) {
    this.#scheduler = scheduler;
    this.#process = process;
    this.#rate = FASTEST ** options.drift;
    this.#bornMs = scheduler.nowMs;
    this.#offsetMs = options.offsetMs;
    this.wallOffsetMs = options.wallOffsetMs;
  }

  monotonicMs(): number {
    const nowMs = this.#frozenMs ?? this.#scheduler.nowMs;
    return this.#offsetMs + (nowMs - this.#bornMs - this.#lostMs) * this.#rate;
  }

  /** The monotonic clock stops. */
  freeze(): void {
    this.#frozenMs ??= this.#scheduler.nowMs;
  }

  /** It goes on from what it showed. */
  thaw(): void {
    if (this.#frozenMs === undefined) return;
    this.#lostMs += this.#scheduler.nowMs - this.#frozenMs;
    this.#frozenMs = undefined;
  }

  wallMs(): number {
    return START_WALL_MS + Math.floor(this.#scheduler.nowMs + this.wallOffsetMs);
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const process = this.#process;
    if (!process.alive) return NO_TIMER;
    const trueMs = Math.max(0, delayMs) / this.#rate;
    process.timers++;
    const event = this.#scheduler.timer(trueMs, process, () => {
      process.timers--;
      callback();
    });
    return {
      cancel() {
        if (event.callback === undefined) return;
        event.callback = undefined;
        if (process.alive) process.timers--;
      },
    };
  }

  defer(callback: () => void): void {
    this.#scheduler.defer(this.#process, callback);
  }

  afterSockets(callback: () => void): void {
    this.setTimer(0, callback);
  }
}

const NO_TIMER: Timer = { cancel: () => {} };

/** The queue of events. */
export class Scheduler {
  nowMs = 0;
  /** Events that have run. */
  executed = 0;
  /** Called after each event and all that followed from it, with the process that it was of. */
  afterEvent: ((process: SimProcess | undefined) => void) | undefined;
  /** Chance of the simulator's own: delays, faults. */
  readonly random: Random;
  readonly #heap: Event[] = [];
  readonly #deferred: { process: SimProcess; callback: () => void }[] = [];
  #order = 0;
  #hash = 0x811c9dc5;
  /** When the present second of counting began, and how many events had run then. */
  #secondMs = 0;
  #secondEvents = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  /** A number that stands for all that has happened so far, in its order. */
  get hash(): number {
    return this.#hash >>> 0;
  }

  /** Adds something to what {@linkcode Scheduler.hash} stands for. */
  note(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193);
  }

  spawn(name: string, host: string, clock: ClockOptions): SimProcess {
    return new SimProcess(this, name, host, clock, this.random.uint32());
  }

  /** Runs `callback` after this many milliseconds, in `process` or, without one, in the world. */
  after(
    delayMs: number,
    process: SimProcess | undefined,
    callback: () => void,
    source?: object,
  ): void {
    this.at(this.nowMs + delayMs, process, callback, source);
  }

  /** What is to happen at the same moment happens in the order of these calls. */
  at(
    atMs: number,
    process: SimProcess | undefined,
    callback: () => void,
    source?: object,
  ): void {
    this.#push({
      atMs,
      order: this.#order++,
      process,
      isTimer: false,
      source,
      callback,
    });
  }

  /** A timer of a process: never early, and a little late, as real ones are. */
  timer(delayMs: number, process: SimProcess, callback: () => void): Event {
    const lateMs = 0.01 + (this.random.uint32() & 15) / 16;
    const event = {
      atMs: this.nowMs + delayMs + lateMs,
      order: this.#order++,
      process,
      isTimer: true,
      source: undefined,
      callback,
    };
    this.#push(event);
    return event;
  }

  requeue(event: Event, atMs = this.nowMs): void {
    event.atMs = atMs;
    event.order = this.#order++;
    this.#push(event);
  }

  /** The timers of a process that are not due yet become due so much later. */
  delayTimers(process: SimProcess, ms: number): void {
    const events = this.#heap.splice(0);
    for (const event of events) {
      if (event.process === process && event.isTimer) event.atMs += ms;
      this.#push(event);
    }
  }

  defer(process: SimProcess, callback: () => void): void {
    this.#deferred.push({ process, callback });
  }

  /** Lets `ms` pass. */
  run(ms: number): Promise<void> {
    return this.runUntil(this.nowMs + ms);
  }

  /** Runs what is due until then, or until `stop` says so. */
  async runUntil(untilMs: number, stop?: () => boolean): Promise<void> {
    await this.#settle();
    for (;;) {
      const event = this.#heap[0];
      if (event === undefined || event.atMs > untilMs) break;
      this.#pop();
      const { callback, process } = event;
      if (callback === undefined) continue;
      this.nowMs = Math.max(this.nowMs, event.atMs);
      if (process !== undefined) {
        if (!process.alive) continue;
        if (process.paused) {
          process.hold(event);
          continue;
        }
        if (process.busyUntilMs > this.nowMs) {
          this.requeue(event, process.busyUntilMs);
          continue;
        }
        process.busyUntilMs = this.nowMs + process.stepMs;
      }
      event.callback = undefined;
      this.executed++;
      if (this.nowMs - this.#secondMs >= 1_000) {
        this.#secondMs = this.nowMs;
        this.#secondEvents = this.executed;
      } else if (this.executed - this.#secondEvents > EVENTS_PER_SECOND_MAX) {
        throw new Error(`time stands still at ${this.nowMs} ms: ${process?.name} is busy for ever`);
      }
      this.note(event.order);
      this.note(Math.floor(this.nowMs * 1024));
      callback();
      // Inlined: one call of an async function less for each event.
      this.#runDeferred();
      for (let step = 0; step < PROMISE_STEPS; step++) {
        await undefined;
        if (this.#deferred.length > 0) this.#runDeferred();
      }
      this.afterEvent?.(process);
      if (stop?.()) return;
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  async #settle(): Promise<void> {
    for (let step = 0; step < PROMISE_STEPS; step++) {
      this.#runDeferred();
      await undefined;
    }
    this.#runDeferred();
  }

  #runDeferred(): void {
    const deferred = this.#deferred;
    for (let i = 0; i < deferred.length; i++) {
      const next = deferred[i];
      if (next?.process.alive) next.callback();
    }
    deferred.length = 0;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || !isBefore(event, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    const { length } = heap;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      let child = heap[down];
      if (child === undefined) break;
      const right = down + 1 < length ? heap[down + 1] : undefined;
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        down++;
      }
      if (!isBefore(child, last)) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** A number from `min` to `max`. */
export function between(random: Random, min: number, max: number): number {
  return min + (max - min) * randomFraction(random);
}

/** The same: with each order of magnitude as likely as any other. */
export function spread(random: Random, min: number, max: number): number {
  return min * (max / min) ** randomFraction(random);
}
