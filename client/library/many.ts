/**
 * The same call for many keys, each by itself: a bounded number of calls is under way at a time, and each
 * key gets its outcome.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { MANY_AT_ONCE, MANY_BYTES_AT_ONCE } from "../../shared/limits/client.ts";
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

/** One call. `bytes` is about the memory that it holds while it is under way. */
export function oneOf<T>(key: string, bytes: number, run: () => Promise<T>): OneOfMany<T> {
  return { key, bytes, run };
}

/** Starts the call of an item when asked. */
export function* mapped<A, B>(items: Iterable<A>, map: (item: A) => B): Generator<B, void, void> {
  for (const item of items) yield map(item);
}

/**
 * Runs the calls, and returns the results in order. The next call is asked for when there is room.
 *
 * @throws whatever a call throws that is not a KvError, such as the reason of a signal; writes that were
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
