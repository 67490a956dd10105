/**
 * One coordinator's memory: what it has promised, and the newest document that it has accepted. It answers the
 * questions of whoever is or wants to be active, its own process included.
 *
 * Invariants: the promise never falls; the document's generation is never above the promise, and its stamp never
 * falls. Rules G1, G2 and G7 of docs/coordinators.md.
 *
 * It knows nothing of disks: whoever runs it keeps answers back until what they tell is on disk (rule G3).
 *
 * @module
 */
import { invariant } from "../../shared/base/errors.ts";
import { COORDINATOR_HOLD_MS } from "../../shared/limits/membership.ts";
import { compareGenerations, compareStamps, type Generation } from "./generation.ts";
import { Hold } from "./hold.ts";
import type { Answer, Question, RegisterDocument } from "./messages.ts";
import type { Differences, Stamped } from "./register.ts";
import type { RegisterRecord } from "./register_record.ts";

type QuestionOf<D, T extends Question<D>["type"]> = Extract<Question<D>, { type: T }>;

/** What is kept, and what is told of it. */
export class Acceptor<D> {
  readonly hold: Hold;
  readonly #differences: Differences<D>;
  #promised: Generation | undefined;
  #accepted: Stamped<RegisterDocument<D>> | undefined;
  /** When it has promised last: whoever asked for that has a while to come through. */
  #promisedAtMs = -Infinity;

  /** @param afterStart see {@linkcode Hold} */
  constructor(
    { promised, accepted }: Pick<RegisterRecord<D>, "promised" | "accepted">,
    differences: Differences<D>,
    nowMs: number,
    afterStart: boolean,
  ) {
    this.#differences = differences;
    this.#promised = promised;
    this.#accepted = accepted;
    this.hold = new Hold(nowMs, afterStart);
  }

  get promised(): Generation | undefined {
    return this.#promised;
  }

  get accepted(): Stamped<RegisterDocument<D>> | undefined {
    return this.#accepted;
  }

  /** The highest generation that was promised, or that has asked for a confirmation. */
  get highest(): Generation | undefined {
    const [promised, confirmed] = [this.#promised, this.hold.confirmed];
    return compareGenerations(promised, confirmed) < 0 ? confirmed : promised;
  }

  /** Rule G6. @param run the process that asks */
  inquire({ round }: QuestionOf<D, "inquire">, run: string, nowMs: number): Answer<D> {
    const courteous = this.#promised?.run !== run &&
      nowMs < this.#promisedAtMs + COORDINATOR_HOLD_MS;
    const lost = !this.hold.bars(nowMs) && !courteous;
    return { type: "inquired", round, lost, highest: this.highest };
  }

  /** Rule G1. */
  promise({ round, generation, has }: QuestionOf<D, "promise">, nowMs: number): Answer<D> {
    const refusal = this.#refusal(round, generation);
    if (refusal !== undefined) return refusal;
    if (this.hold.bars(nowMs)) return { type: "held", round };
    this.#promised = generation;
    this.#promisedAtMs = nowMs;
    const accepted = this.#accepted;
    const newest = compareStamps(accepted?.stamp, has) > 0 ? accepted : undefined;
    return { type: "promised", round, generation, newest };
  }

  /** Rule G2. @returns undefined if it is late, and nothing is to be said */
  accept(
    { round, stamp, change }: QuestionOf<D, "accept">,
    nowMs: number,
  ): Answer<D> | undefined {
    const refusal = this.#refusal(round, stamp.generation);
    if (refusal !== undefined) return refusal;
    const order = compareStamps(stamp, this.#accepted?.stamp);
    if (order < 0) return undefined;
    if (order > 0) {
      const document = this.#resolve(change);
      if (document === undefined) return { type: "need_whole", round };
      this.#promised = stamp.generation;
      this.#accepted = { stamp, document };
    }
    this.hold.confirm(stamp.generation, nowMs);
    return { type: "accepted", round, stamp };
  }

  /** Rule G7. */
  confirm({ round, generation }: QuestionOf<D, "confirm">, nowMs: number): Answer<D> {
    const refusal = this.#refusal(round, generation);
    if (refusal !== undefined) return refusal;
    this.hold.confirm(generation, nowMs);
    return { type: "confirmed", round, generation };
  }

  #refusal(round: number, generation: Generation): Answer<D> | undefined {
    const { highest } = this;
    if (highest === undefined || compareGenerations(generation, highest) >= 0) return undefined;
    return { type: "refused", round, highest };
  }

  #resolve(change: QuestionOf<D, "accept">["change"]): RegisterDocument<D> | undefined {
    if ("whole" in change) return change.whole;
    const { base, set, difference } = change;
    const accepted = this.#accepted;
    if (accepted === undefined || compareStamps(accepted.stamp, base) !== 0) return undefined;
    const { body } = accepted.document;
    invariant(accepted.stamp.revision === base.revision, "a stamp names one document");
    return {
      set,
      body: difference === undefined ? body : this.#differences.apply(body, difference),
    };
  }
}
