/**
 * The same call for many keys, each by itself: a bounded number of them is under way at a time, and
 * what happened is said of each.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { MANY_AT_ONCE, MANY_BYTES_AT_ONCE } from "../../shared/base/limits.ts";
import { inParallel } from "../../shared/scheduling/in_parallel.ts";

const LIMITS = {
  atOnce: MANY_AT_ONCE,
  bytesAtOnce: MANY_BYTES_AT_ONCE,
  bytesOf: ({ bytes }: { readonly bytes: number }) => bytes,
};

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
 * @throws whatever a call throws that is no KvError, such as the reason of a signal; writes that were
 * under way may still happen
 */
export async function runMany<T>(calls: Iterable<OneOfMany<T>>): Promise<ManyResult<T>[]> {
  const results: ManyResult<T>[] = [];
  await inParallel(calls, LIMITS, async ({ key, run }, place) => {
    try {
      results[place] = { key, ok: true, value: await run() };
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      results[place] = { key, ok: false, error };
    }
  });
  return results;
}
