/**
 * The same call for many keys, each by itself: a bounded number of them is under way at a time, and
 * what happened is said of each.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { MANY_AT_ONCE, MANY_BYTES_AT_ONCE } from "../../shared/base/limits.ts";

/** How the call for one key ended. */
export type ManyResult<T> =
  | { key: string; ok: true; value: T }
  | { key: string; ok: false; error: KvError };

/** One of the calls. */
export interface OneOfMany<T> {
  readonly key: string;
  readonly bytes: number;
  run(): Promise<T>;
}

/** One call. `bytes` is what it holds of memory while it is under way, about. */
export function oneOf<T>(key: string, bytes: number, run: () => Promise<T>): OneOfMany<T> {
  return { key, bytes, run };
}

/** What becomes of each item, when it is asked for. */
export function* mapped<A, B>(items: Iterable<A>, map: (item: A) => B): Generator<B, void, void> {
  for (const item of items) yield map(item);
}

/**
 * Runs the calls, and gives the results in their order. The next call is asked for when there is room.
 *
 * @throws whatever a call throws that is no KvError, such as the reason of a signal; calls that were
 * under way may still happen
 */
export async function runMany<T>(calls: Iterable<OneOfMany<T>>): Promise<ManyResult<T>[]> {
  const results: ManyResult<T>[] = [];
  let [underWay, bytesUnderWay, count] = [0, 0, 0];
  let failed: { reason: unknown } | undefined;
  let wake = () => {};
  const change = () => new Promise<void>((resolve) => wake = resolve);
  const run = async ({ key, bytes, run }: OneOfMany<T>, place: number) => {
    try {
      results[place] = { key, ok: true, value: await run() };
    } catch (error) {
      if (error instanceof KvError) results[place] = { key, ok: false, error };
      else failed ??= { reason: error };
    }
    underWay--;
    bytesUnderWay -= bytes;
    wake();
  };
  for (const call of calls) {
    while (
      failed === undefined && underWay > 0 &&
      (underWay >= MANY_AT_ONCE || bytesUnderWay + call.bytes > MANY_BYTES_AT_ONCE)
    ) await change();
    if (failed !== undefined) break;
    underWay++;
    bytesUnderWay += call.bytes;
    // It never fails: what a call throws is in its result, or in `failed`.
    void run(call, count++);
  }
  while (underWay > 0 && failed === undefined) await change();
  if (failed !== undefined) throw failed.reason;
  return results;
}
