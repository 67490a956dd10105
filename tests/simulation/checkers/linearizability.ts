/**
 * Is there one order of a key's operations in which each takes effect between its question and its
 * answer, and each sees what those before it left? The search of Wing and Gong (*Testing and Verifying
 * Concurrent Objects*, 1993) with the memory of Lowe (*Testing for Linearizability*, 2017): a set of
 * operations that are done, with the state that they left, is looked at once.
 *
 * Two rules make it fast and lose nothing. A step that only looks is taken as soon as it fits: it
 * changes nothing, so whatever could follow without it can follow with it. A write whose version is known
 * is taken only in its turn.
 *
 * The search is bounded. If the bound is reached, the verdict is `undecided`, which is not a pass.
 *
 * @module
 */
import type { Call } from "./history.ts";
import { ABSENT, type BeginOf, meets, type Problem, problemOf, UNSEEN } from "./register_model.ts";

/** States that one search looks at, unless told otherwise. */
export const STATES_MAX = 1_000_000;

/** What was found out about one key. */
export type Verdict =
  | { readonly is: "linearizable"; readonly states: number }
  | { readonly is: "undecided"; readonly states: number }
  | {
    readonly is: "violation";
    readonly reason: string;
    readonly states: number;
    /** If the reason concerns only a few calls: these. */
    readonly calls: readonly Call[] | undefined;
  };

/** How a key is judged. */
export interface CheckOptions {
  /** States that one search looks at. */
  readonly statesMax?: number;
  readonly beginOf?: BeginOf;
  /** What the key was before the first call: absent, or it is not known. Default `absent`. */
  readonly before?: "absent" | "unknown";
}

/** Judges the calls of one key. */
export function checkKey(calls: readonly Call[], options: CheckOptions = {}): Verdict {
  const problem = problemOf(calls, options.beginOf);
  if ("reason" in problem) return { is: "violation", states: 0, ...problem };
  let states = 0;
  let undecided = false;
  for (const before of options.before === "unknown" ? [ABSENT, UNSEEN] : [ABSENT]) {
    const search = new Search(problem, options.statesMax ?? STATES_MAX, before);
    const found = search.run();
    states += search.states;
    if (found === true) return { is: "linearizable", states };
    undecided ||= found === undefined;
  }
  if (undecided) return { is: "undecided", states };
  const reason = "there is no order of these operations that explains what was seen";
  return { is: "violation", reason, states, calls: undefined };
}

/** Steps that are not done, in some order, from which one can be taken out and put back in its place. */
class Chain {
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #end: number;

  constructor(order: readonly number[], count: number) {
    this.#end = count;
    this.#next = new Int32Array(count + 1);
    this.#previous = new Int32Array(count + 1);
    let last = count;
    for (const index of order) {
      this.#next[last] = index;
      this.#previous[index] = last;
      last = index;
    }
    this.#next[last] = count;
    this.#previous[count] = last;
  }

  /** The first, or -1. */
  first(): number {
    return this.after(this.#end);
  }

  after(index: number): number {
    const next = this.#next[index] ?? this.#end;
    return next === this.#end ? -1 : next;
  }

  take(index: number): void {
    const next = this.#next[index] ?? 0;
    const previous = this.#previous[index] ?? 0;
    this.#next[previous] = next;
    this.#previous[next] = previous;
  }

  /** Undoes the latest `take` that is still in force. */
  putBack(index: number): void {
    this.#next[this.#previous[index] ?? 0] = index;
    this.#previous[this.#next[index] ?? 0] = index;
  }
}

/** A place on the way: what was done to come here, and what else could be done there. */
interface Place {
  /** The step taken, or -1 - n for one of the n-th pool; behind the pools: the value expires. */
  move: number;
  /** State before it. */
  readonly before: number;
  /** Other moves that may be tried instead; the next one last. */
  readonly others: number[];
}

class Search {
  states = 0;
  readonly #problem: Problem;
  readonly #statesMax: number;
  readonly #byBegin: Chain;
  readonly #byEnd: Chain;
  readonly #done: Uint32Array;
  readonly #used: number[];
  readonly #seen = new Set<string>();
  #state: number;
  #ranked = 0;
  #left: number;

  constructor(problem: Problem, statesMax: number, before: number) {
    this.#state = before;
    const { steps, pools } = problem;
    this.#problem = problem;
    this.#statesMax = statesMax;
    const order = steps.map((_, index) => index);
    this.#byBegin = new Chain(order, steps.length);
    const ends = order.toSorted((a, b) => (steps[a]?.end ?? 0) - (steps[b]?.end ?? 0));
    this.#byEnd = new Chain(ends, steps.length);
    this.#done = new Uint32Array((steps.length >> 5) + 1);
    this.#used = [...pools.map(() => 0), 0];
    this.#left = steps.length;
  }

  /** Whether there is an order; undefined if the bound was reached. */
  run(): boolean | undefined {
    const way: Place[] = [];
    while (this.#left > 0) {
      const moves = this.#moves(way.at(-1));
      const move = moves.pop();
      if (move !== undefined) {
        way.push({ move, before: this.#state, others: moves });
        this.#apply(move);
        continue;
      }
      if (this.states > this.#statesMax) return undefined;
      // Back to the last place at which something else could be done.
      for (;;) {
        const place = way.pop();
        if (place === undefined) return false;
        this.#undo(place);
        const other = place.others.pop();
        if (other === undefined) continue;
        way.push({ ...place, move: other });
        this.#apply(other);
        break;
      }
    }
    return true;
  }

  /** What can be done next, the most promising last. Nothing if this state was seen before. */
  #moves(last: Place | undefined): number[] {
    const { steps, pools } = this.#problem;
    const limit = steps[this.#byEnd.first()]?.end ?? 0;
    const writes: number[] = [];
    const blocked: number[] = [];
    for (let i = this.#byBegin.first(); i >= 0; i = this.#byBegin.after(i)) {
      const step = steps[i];
      if (step === undefined || step.begin > limit) break;
      if (step.rank !== undefined && step.rank !== this.#ranked) continue;
      if (!meets(step.need, this.#state, steps)) blocked.push(i);
      else if (step.gives === undefined) return [i];
      else writes.push(i);
    }
    if (!this.#isNew()) return [];
    this.states++;
    // Whose time runs out first goes first.
    writes.sort((a, b) => (steps[b]?.end ?? 0) - (steps[a]?.end ?? 0));
    const isAfterPool = last !== undefined && last.move < 0;
    // Two of them in a row make sense only as a deletion and a creation behind it.
    if (isAfterPool && this.#state !== ABSENT) return writes;
    const moves: number[] = [];
    const helps = (then: number) =>
      blocked.some((i) => {
        const step = steps[i];
        return step !== undefined && meets(step.need, then, steps);
      });
    const isThere = (n: number) => (pools[n]?.begins[this.#used[n] ?? 0] ?? Infinity) <= limit;
    const canCreate = helps(UNSEEN) &&
      pools.some(({ need, gives }, n) => gives === "value" && need.is === "absent" && isThere(n));
    for (const [n, pool] of pools.entries()) {
      if (!isThere(n) || !meets(pool.need, this.#state, steps)) continue;
      if (pool.gives === "value") {
        if (helps(UNSEEN)) moves.push(-1 - n);
      } else if (!isAfterPool && (helps(ABSENT) || canCreate)) moves.push(-1 - n);
    }
    if (isAfterPool) return [...moves, ...writes];
    if ((steps[this.#state]?.mayEndAt ?? Infinity) <= limit && helps(ABSENT)) {
      moves.push(-1 - pools.length);
    }
    return [...moves, ...writes];
  }

  #isNew(): boolean {
    const low = Math.max(this.#byBegin.first(), 0) >> 5;
    let key = `${low} ${this.#state} ${this.#used.join(" ")}`;
    // Beyond the first that is left, only few are done: those that were under way with it.
    for (let word = low; word < this.#done.length; word++) {
      const bits = this.#done[word] ?? 0;
      const first = this.#problem.steps[word << 5];
      if (bits === 0 && first !== undefined && first.begin > this.#limit) break;
      key += ` ${bits}`;
    }
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  /** Nothing that began later can be done now, or have been done before. */
  get #limit(): number {
    return this.#problem.steps[this.#byEnd.first()]?.end ?? 0;
  }

  #apply(move: number): void {
    const { steps, pools } = this.#problem;
    if (move < 0) {
      const n = -1 - move;
      this.#used[n] = (this.#used[n] ?? 0) + 1;
      this.#state = pools[n]?.gives === "value" ? UNSEEN : ABSENT;
      return;
    }
    this.#byBegin.take(move);
    this.#byEnd.take(move);
    this.#done[move >> 5] = (this.#done[move >> 5] ?? 0) | (1 << (move & 31));
    this.#left--;
    const step = steps[move];
    if (step?.rank !== undefined) this.#ranked++;
    if (step?.gives === "value") this.#state = move;
    else if (step?.gives === "absent") this.#state = ABSENT;
  }

  #undo({ move, before }: Place): void {
    this.#state = before;
    if (move < 0) {
      const n = -1 - move;
      this.#used[n] = (this.#used[n] ?? 0) - 1;
      return;
    }
    this.#byEnd.putBack(move);
    this.#byBegin.putBack(move);
    this.#done[move >> 5] = (this.#done[move >> 5] ?? 0) & ~(1 << (move & 31));
    this.#left++;
    if (this.#problem.steps[move]?.rank !== undefined) this.#ranked--;
  }
}
