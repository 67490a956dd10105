/** Many keys through one client, a bounded number at a time. For tests. @module */
import type { KvClient } from "../../../client/mod.ts";

const IN_FLIGHT = 256;
/** Longer than any failover on a loaded machine: no test waits for it to pass. */
const CALL_TIMEOUT_MS = 60_000;

/** Runs `act` for each item. */
export async function forAll<T>(
  items: Iterable<T>,
  act: (item: T) => Promise<unknown>,
  inFlight: number = IN_FLIGHT,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const worker = async () => {
    for (let next = iterator.next(); !next.done; next = iterator.next()) await act(next.value);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
}

/** Writes all of it. */
export async function putAll(
  client: KvClient,
  values: Iterable<readonly [key: string, value: string]>,
): Promise<void> {
  await forAll(values, ([key, value]) => client.put(key, value, { timeoutMs: CALL_TIMEOUT_MS }));
}

/** Reads every key, and says which do not have their value (at most the first ten). */
export async function wrongValues(
  client: KvClient,
  values: ReadonlyMap<string, string>,
): Promise<string[]> {
  const wrong: string[] = [];
  await forAll(values, async ([key, value]) => {
    const found = await client.getText(key, { timeoutMs: CALL_TIMEOUT_MS });
    if (found !== value && wrong.length < 10) wrong.push(`${key} holds ${found}, not ${value}`);
  });
  return wrong;
}
