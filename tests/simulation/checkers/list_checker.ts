/**
 * Whether transactions over several partitions are strictly serializable, by the way of Elle: the lists that were read
 * say which transaction wrote before which (ww), which read what another wrote (wr), and which read before another wrote
 * (rw); real time says what was over before what began. If these contradict each other, in a circle, there is no order
 * that explains the history. Beside that: no number is there twice, none of a transaction that failed is there at all,
 * none is missing of one that was acknowledged, a transaction sees what it has written itself, and no reader sees
 * half of what another has written to a key. And the sum of all accounts is always 0.
 *
 * @module
 */
import { describeList, type ListCall, type ListStep } from "./list_history.ts";

/** Checks a history. @returns what is wrong, or undefined */
export function checkLists(calls: readonly ListCall[]): string | undefined {
  for (const call of calls) {
    const sum = call.balances?.reduce((all, one) => all + one, 0) ?? 0;
    if (sum !== 0) return told(`all accounts together hold ${sum}`, call);
  }
  const lists = calls.filter(({ kind }) => kind === "lists" || kind === "single");
  const orders = new Map<string, Order>();
  const writers = new Map<number, ListCall>();
  for (const call of lists) {
    for (const step of call.steps) if (step.f === "append") writers.set(step.element, call);
  }
  for (const call of lists) {
    if (call.outcome !== "ok") continue;
    const wrong = readsOf(call, orders);
    if (wrong !== undefined) return wrong;
  }
  for (const [key, order] of orders) {
    const wrong = order.whyWrong(key, writers);
    if (wrong !== undefined) return wrong;
  }
  for (const call of lists) {
    if (call.outcome !== "ok") continue;
    const wrong = whyWrongInside(call, orders);
    if (wrong !== undefined) return wrong;
  }
  return circleIn(lists, orders, writers);
}

/** The order in which numbers were appended to a key, as far as it was seen. */
class Order {
  elements: readonly number[] = [];
  seenBy: ListCall | undefined;

  /** @returns what contradicts it */
  add(found: readonly number[], call: ListCall): string | undefined {
    const [short, long] = found.length < this.elements.length
      ? [found, this.elements]
      : [this.elements, found];
    if (short.some((element, i) => element !== long[i])) {
      return told("two lists contradict each other", call, this.seenBy);
    }
    if (long === found) {
      this.elements = found;
      this.seenBy = call;
    }
    return undefined;
  }

  whyWrong(key: string, writers: ReadonlyMap<number, ListCall>): string | undefined {
    if (new Set(this.elements).size < this.elements.length) {
      return told(`a number is in ${key} twice`, this.seenBy);
    }
    for (const element of this.elements) {
      const writer = writers.get(element);
      if (writer === undefined) return told(`nobody has appended ${element}`, this.seenBy);
      if (writer.outcome === "fail") return told("what was refused is there", writer, this.seenBy);
    }
    return undefined;
  }
}

function readsOf(call: ListCall, orders: Map<string, Order>): string | undefined {
  for (const step of call.steps) {
    if (step.f !== "read") continue;
    if (step.found === undefined) return told("a read found nothing that a list can be", call);
    const order = orders.get(step.key) ?? new Order();
    orders.set(step.key, order);
    const wrong = order.add(step.found ?? [], call);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/** What the steps of a transaction do to each other, and whether another's steps are there by halves. */
function whyWrongInside(call: ListCall, orders: ReadonlyMap<string, Order>): string | undefined {
  const own = new Map<string, number[]>();
  const before = new Map<string, number>();
  for (const step of call.steps) {
    const mine = own.get(step.key) ?? [];
    if (step.f === "append") {
      own.set(step.key, [...mine, step.element]);
      continue;
    }
    const found = step.found ?? [];
    const tail = found.slice(found.length - mine.length);
    if (mine.some((element, i) => element !== tail[i])) {
      return told("a transaction does not see what it has written", call);
    }
    const length = found.length - mine.length;
    const earlier = before.get(step.key);
    if (earlier !== undefined && earlier !== length) {
      return told("a list has changed within a transaction", call);
    }
    before.set(step.key, length);
  }
  for (const [key, mine] of own) {
    const { elements = [], seenBy } = orders.get(key) ?? {};
    const at = elements.indexOf(mine[0] ?? NaN);
    if (at < 0) continue;
    // If another one read the longest list before the rest was there, that is a half as well.
    const seen = seenBy === call ? mine.slice(0, elements.length - at) : mine;
    if (seen.some((element, i) => elements[at + i] !== element)) {
      return told(`the steps of a transaction are not together in ${key}`, call);
    }
    const known = before.get(key);
    if (known !== undefined && known !== at) {
      return told(`something came between a transaction's reading and writing of ${key}`, call);
    }
  }
  return undefined;
}

/** A transaction, or a moment of real time. */
interface Vertex {
  readonly call: ListCall | undefined;
  readonly next: Set<Vertex>;
}

function circleIn(
  calls: readonly ListCall[],
  orders: ReadonlyMap<string, Order>,
  writers: ReadonlyMap<number, ListCall>,
): string | undefined {
  const seen = new Set<number>();
  for (const { elements } of orders.values()) for (const element of elements) seen.add(element);
  const happened = calls.filter(({ outcome, steps }) =>
    outcome === "ok" || steps.some((step) => step.f === "append" && seen.has(step.element))
  );
  const vertices = new Map<ListCall, Vertex>();
  for (const call of happened) vertices.set(call, { call, next: new Set() });
  const link = (from: ListCall | undefined, to: ListCall | undefined) => {
    const [a, b] = [from && vertices.get(from), to && vertices.get(to)];
    if (a !== undefined && b !== undefined && a !== b) a.next.add(b);
  };
  for (const { elements } of orders.values()) {
    elements.forEach((element, i) =>
      link(writers.get(elements[i - 1] ?? NaN), writers.get(element))
    );
  }
  // Of those, nobody has seen the numbers: they come after everything that was seen.
  const unseen = new Map<string, ListCall[]>();
  for (const call of happened) {
    for (const step of call.steps) {
      if (step.f !== "append" || seen.has(step.element)) continue;
      unseen.set(step.key, [...unseen.get(step.key) ?? [], call]);
    }
  }
  for (const call of happened) {
    if (call.outcome !== "ok") continue;
    for (const [key, length] of lengthsRead(call.steps)) {
      const elements = orders.get(key)?.elements ?? [];
      link(writers.get(elements[length - 1] ?? NaN), call);
      const own = (element: number | undefined) =>
        element !== undefined && writers.get(element) === call;
      let after = length;
      while (own(elements[after])) after++;
      link(call, writers.get(elements[after] ?? NaN));
      if (after >= elements.length) {
        for (const other of unseen.get(key) ?? []) link(call, other);
      }
    }
  }
  addTime(happened, vertices);
  const circle = circleOf([...vertices.values()]);
  if (circle === undefined) return undefined;
  const found = circle.flatMap(({ call }) => call === undefined ? [] : [call]);
  return told("no order explains these, each of which must come before the next", ...found);
}

/** How long each list was that a transaction read, without what it has appended itself. */
function lengthsRead(steps: readonly ListStep[]): Map<string, number> {
  const lengths = new Map<string, number>();
  const own = new Map<string, number>();
  for (const step of steps) {
    const mine = own.get(step.key) ?? 0;
    if (step.f === "append") own.set(step.key, mine + 1);
    else lengths.set(step.key, (step.found?.length ?? 0) - mine);
  }
  return lengths;
}

/** What was over before something began comes before it: through a chain of moments, one for each end. */
function addTime(calls: readonly ListCall[], vertices: Map<ListCall, Vertex>): void {
  const moments: { readonly at: number; readonly call: ListCall; readonly ends: boolean }[] = [];
  for (const call of calls) {
    moments.push({ at: call.begin, call, ends: false });
    if (call.end !== Infinity) moments.push({ at: call.end, call, ends: true });
  }
  moments.sort((a, b) => a.at - b.at);
  let last: Vertex | undefined;
  for (const { call, ends } of moments) {
    const vertex = vertices.get(call);
    if (vertex === undefined) continue;
    if (!ends) last?.next.add(vertex);
    else {
      const moment: Vertex = { call: undefined, next: new Set() };
      last?.next.add(moment);
      vertex.next.add(moment);
      last = moment;
    }
  }
}

/** The shortest circle that is found from the first vertex that is on one. */
function circleOf(vertices: readonly Vertex[]): Vertex[] | undefined {
  const state = new Map<Vertex, "open" | "done">();
  for (const root of vertices) {
    if (state.has(root)) continue;
    // Depth first, without recursion: histories are long.
    const path: { readonly vertex: Vertex; readonly left: Iterator<Vertex> }[] = [];
    const enter = (vertex: Vertex) => {
      state.set(vertex, "open");
      path.push({ vertex, left: vertex.next[Symbol.iterator]() });
    };
    enter(root);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const next = top.left.next();
      if (next.done === true) {
        state.set(top.vertex, "done");
        path.pop();
      } else if (state.get(next.value) === "open") return shortestFrom(next.value);
      else if (!state.has(next.value)) enter(next.value);
    }
  }
  return undefined;
}

function shortestFrom(start: Vertex): Vertex[] {
  const from = new Map<Vertex, Vertex>();
  const queue = [start];
  for (let vertex = queue.shift(); vertex !== undefined; vertex = queue.shift()) {
    for (const next of vertex.next) {
      if (next === start) {
        const circle: Vertex[] = [];
        for (let at: Vertex | undefined = vertex; at !== undefined; at = from.get(at)) {
          circle.unshift(at);
        }
        return circle;
      }
      if (from.has(next)) continue;
      from.set(next, vertex);
      queue.push(next);
    }
  }
  return [start];
}

function told(what: string, ...calls: (ListCall | undefined)[]): string {
  return [what, ...calls.filter((call) => call !== undefined).map(describeList)].join("\n");
}
