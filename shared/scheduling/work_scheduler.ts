/**
 * Shares the event loop among heavy work: scans, counts, deletions of many keys, backups, sweeps,
 * scrubbing, and requests of connections whose replies are long. There is one for each process. Work
 * comes as steps of a few milliseconds. All jobs get one step after the other, round robin; WORK_SLICE_MS after
 * the first of them the event loop looks at its sockets and timers before the next step runs. Work
 * that is not heavy does not come here: a ping or a small request is carried out when it arrives.
 *
 * So however much heavy work is under way, others wait at most for one slice and the step with which it
 * ends: WORK_SLICE_MS and the longest step (docs/performance.md says how long that is).
 *
 * If nothing waits and the slice has time left, a step runs inside the call that brings it. A slice lasts from
 * its first step, whatever else happens meanwhile: what a step brings about (a read of the disk that ends, and brings
 * the next step) would otherwise go on for as long as the steps alone do not use the time up.
 *
 * Invariants: steps of one job run in order, never two at a time; a job that waits gets its next step
 * before any other job gets two; between two slices the process looks at its sockets
 * (a microtask would not let it, and a timer does so by chance: see `Clock.afterSockets`).
 *
 * @module
 */
import { WORK_SLICE_MS, WORK_SLICE_STEPS } from "../limits/requests.ts";
import type { Clock } from "../platform/clock.ts";

/** One step of a job. @returns whether the job has more */
export type Step = () => boolean;

/** Gives heavy work its turns. */
export class WorkScheduler {
  readonly #clock: Clock;
  readonly #sliceMs: number;
  readonly #sliceSteps: number;
  #jobs: Step[] = [];
  /** When the first step of this slice began; undefined if none has. */
  #beganMs: number | undefined;
  #usedSteps = 0;
  /** A step is running. */
  #running = false;
  /** The next slice has been scheduled. */
  #sliceSet = false;

  constructor(
    clock: Clock,
    sliceMs: number = WORK_SLICE_MS,
    sliceSteps: number = WORK_SLICE_STEPS,
  ) {
    this.#clock = clock;
    this.#sliceMs = sliceMs;
    this.#sliceSteps = sliceSteps;
  }

  /** Jobs that wait for their next step. */
  get waiting(): number {
    return this.#jobs.length;
  }

  /** Accepts a job. Its first step may run before this returns. */
  add(step: Step): void {
    if (this.#running || this.#jobs.length > 0 || this.#isSpent) {
      this.#jobs.push(step);
      this.#setSlice();
      return;
    }
    if (this.#run(step)) this.#jobs.push(step);
    this.#goOn();
    // Also if nothing waits: what these steps have brought about may bring the next ones.
    this.#setSlice();
  }

  /**
   * Does one piece of work in its turn.
   *
   * @returns what the work gives; rejects with what it throws
   */
  run<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.add(() => {
        try {
          resolve(work());
        } catch (error) {
          reject(error);
        }
        return false;
      });
    });
  }

  get #isSpent(): boolean {
    if (this.#beganMs === undefined) return false;
    return this.#usedSteps >= this.#sliceSteps ||
      this.#clock.monotonicMs() - this.#beganMs >= this.#sliceMs;
  }

  /** One step of each job in turn, as long as the slice lasts. */
  #goOn(): void {
    while (!this.#isSpent) {
      const step = this.#jobs.shift();
      if (step === undefined) return;
      if (this.#run(step)) this.#jobs.push(step);
    }
  }

  #run(step: Step): boolean {
    this.#beganMs ??= this.#clock.monotonicMs();
    this.#running = true;
    try {
      return step();
    } finally {
      this.#running = false;
      this.#usedSteps++;
    }
  }

  #setSlice(): void {
    if (this.#sliceSet) return;
    this.#sliceSet = true;
    this.#clock.afterSockets(this.#beginSlice);
  }

  readonly #beginSlice = (): void => {
    this.#sliceSet = false;
    this.#beganMs = undefined;
    this.#usedSteps = 0;
    if (this.#jobs.length === 0) return;
    try {
      this.#goOn();
    } finally {
      // This also runs if a step has thrown: the other jobs go on if the process does.
      this.#setSlice();
    }
  };
}
