/**
 * Turns for work on keys: whoever wants a key waits for those who wanted it before, and has all of its keys at once. So
 * the work of one process on one key does not get into its own way; that of others is another matter. Turns come in the
 * order in which they were asked for, and so nobody waits for somebody who waits for it.
 *
 * @module
 */

/** See the top of this file. */
export class KeyTurns {
  /** Of each key that is wanted: when the last one who wants it has ended. */
  readonly #last = new Map<string, Promise<void>>();

  /** How many keys are wanted. */
  get size(): number {
    return this.#last.size;
  }

  /** @param begin called now, if nobody has one of the keys, or later; it gets what ends the turn */
  take(keys: readonly string[], begin: (end: () => void) => void): void {
    const before = keys.flatMap((key) => this.#last.get(key) ?? []);
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const key of keys) this.#last.set(key, promise);
    const end = () => {
      for (const key of keys) if (this.#last.get(key) === promise) this.#last.delete(key);
      resolve();
    };
    if (before.length === 0) begin(end);
    else void Promise.all(before).then(() => begin(end));
  }
}
