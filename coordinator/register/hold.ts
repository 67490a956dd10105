/**
 * When a coordinator gives no promise, because the right of an active coordinator may still run: for a time after it
 * has confirmed one, and for as long after its own start, since it may have confirmed one before and has forgotten it.
 * By its own monotonic clock: if its machine is suspended, the bar only gets longer. Rule G7 of docs/coordinators.md.
 *
 * @module
 */
import { invariant } from "../../shared/base/errors.ts";
import { COORDINATOR_PROMISE_BAR_MS } from "../../shared/limits/membership.ts";
import { compareGenerations, type Generation } from "./generation.ts";

/** Holds promises back. */
export class Hold {
  /** Whom it confirmed before this start is not known, so no release ends this one. */
  readonly #startUntilMs: number;
  #generation: Generation | undefined;
  #untilMs = -Infinity;

  /** @param afterStart whether an earlier process of this folder can have confirmed anybody else */
  constructor(nowMs: number, afterStart: boolean) {
    this.#startUntilMs = afterStart ? nowMs + COORDINATOR_PROMISE_BAR_MS : -Infinity;
  }

  /** The last generation that was confirmed, whether its right still runs or not. */
  get confirmed(): Generation | undefined {
    return this.#generation;
  }

  /** Whether a promise must wait. */
  bars(nowMs: number): boolean {
    return nowMs < Math.max(this.#startUntilMs, this.#untilMs);
  }

  /** Confirms a generation, which is none below the last one. */
  confirm(generation: Generation, nowMs: number): void {
    const order = compareGenerations(this.#generation, generation);
    invariant(order <= 0, "confirmed generations do not fall", { generation });
    this.#generation = generation;
    this.#untilMs = nowMs + COORDINATOR_PROMISE_BAR_MS;
  }

  /** The holder of the generation has given up its right for good. */
  release(generation: Generation): void {
    const held = this.#generation;
    if (held !== undefined && compareGenerations(held, generation) === 0) this.#untilMs = -Infinity;
  }
}
