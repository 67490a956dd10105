/**
 * Several pieces of work at a time, a bounded number of them under way: once for work that calls back, as
 * on the way of a request, and once for work that is a promise. Why not a package:
 * docs/decisions/0012-one-mechanism-each.md.
 *
 * @module
 */

/**
 * Begins the work of each index below `count`, in order, at most `atOnce` at a time. `begin` calls `ended`
 * once, perhaps before it returns; it does not throw. When all have ended, `done` is called.
 */
export function eachInParallel(
  count: number,
  atOnce: number,
  begin: (index: number, ended: () => void) => void,
  done: () => void,
): void {
  let next = 0;
  let underWay = 0;
  let proceeding = false;
  const proceed = () => {
    // Work that ends at once must not make this call itself, once for each piece.
    if (proceeding) return;
    proceeding = true;
    while (next < count && underWay < atOnce) {
      underWay++;
      begin(next++, ended);
    }
    proceeding = false;
    if (underWay === 0) done();
  };
  const ended = () => {
    underWay--;
    proceed();
  };
  proceed();
}

/** How much may be under way. One item is taken in any case, however many bytes it has. */
export interface ParallelLimits<T> {
  readonly atOnce: number;
  /** Default: any number. */
  readonly bytesAtOnce?: number | undefined;
  readonly bytesOf?: (item: T) => number;
}

/**
 * Does the work of each item, in the order of the items. The next item is asked for when there is room by
 * number, and begun when there is room for its bytes as well. After the first failure, of the work or of
 * the items, nothing more is begun; it is thrown when all that was begun has ended, so that nothing goes on
 * behind the caller's back.
 */
export async function inParallel<T>(
  items: Iterable<T> | AsyncIterable<T>,
  { atOnce, bytesAtOnce = Infinity, bytesOf = () => 0 }: ParallelLimits<T>,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let [count, underWay, bytesUnderWay] = [0, 0, 0];
  let failure: { readonly reason: unknown } | undefined;
  let wake = () => {};
  const change = () => new Promise<void>((resolve) => wake = resolve);
  const run = async (item: T, bytes: number) => {
    underWay++;
    bytesUnderWay += bytes;
    try {
      await work(item, count++);
    } catch (reason) {
      failure ??= { reason };
    }
    underWay--;
    bytesUnderWay -= bytes;
    wake();
  };
  const iterator = Symbol.asyncIterator in items
    ? items[Symbol.asyncIterator]()
    : items[Symbol.iterator]();
  try {
    while (failure === undefined) {
      const next = iterator.next();
      // Without `await` if it can be: what is at hand begins at once.
      const item = next instanceof Promise ? await next : next;
      if (item.done === true) break;
      const bytes = bytesOf(item.value);
      while (underWay > 0 && bytesUnderWay + bytes > bytesAtOnce) await change();
      if (failure !== undefined) break;
      // It never fails: what the work throws is in `failure`.
      void run(item.value, bytes);
      while (underWay >= atOnce) await change();
    }
    if (failure !== undefined) await iterator.return?.();
  } catch (reason) {
    failure ??= { reason };
  }
  while (underWay > 0) await change();
  if (failure !== undefined) throw failure.reason;
}
