/**
 * Whose turn it is among those who want keys for themselves: for each key they come one after the other. Unlike a
 * `KeyQueue` it runs nothing and knows no time.
 *
 * @module
 */

/** The order of some who want keys. */
export class KeyOrder<T extends { readonly keys: readonly string[] }> {
  readonly #queues = new Map<string, T[]>();

  /** Joins behind all who want one of its keys. @returns whether it is first for all of them */
  join(one: T): boolean {
    for (const key of one.keys) {
      const queue = this.#queues.get(key);
      if (queue === undefined) this.#queues.set(key, [one]);
      else queue.push(one);
    }
    return this.#isFirst(one);
  }

  /** Leaves, wherever it stands. @returns those who are first now, and were not before */
  leave(one: T): T[] {
    const next = new Set<T>();
    for (const key of one.keys) {
      const queue = this.#queues.get(key);
      const at = queue?.indexOf(one) ?? -1;
      if (queue === undefined || at < 0) continue;
      queue.splice(at, 1);
      const [first] = queue;
      if (first === undefined) this.#queues.delete(key);
      else if (at === 0) next.add(first);
    }
    return [...next].filter((first) => this.#isFirst(first));
  }

  #isFirst(one: T): boolean {
    return one.keys.every((key) => this.#queues.get(key)?.[0] === one);
  }
}
