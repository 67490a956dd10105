/**
 * A rate limiter: so many requests of one caller in each window of time, counted over all processes.
 *
 *     deno run --allow-net --allow-env=KV_* --allow-read examples/rate_limiter.ts
 *
 * Each caller and window has a key that counts, and that expires with its window. Counting and expiry are one
 * transaction, so no counter is left behind for ever. See docs/recipes.md.
 *
 * @module
 */
import { connect, type KvClient } from "kv-client";

/** What a caller may do. */
export interface Limit {
  readonly requestsMax: number;
  readonly windowMs: number;
}

/**
 * Counts one request.
 *
 * @returns how many are left in this window, and when the next one begins; less than 0: refuse it
 */
export async function countRequest(
  kv: KvClient,
  caller: string,
  { requestsMax, windowMs }: Limit,
): Promise<{ left: number; resetMs: number }> {
  const nowMs = Date.now();
  const window = Math.floor(nowMs / windowMs);
  const key = `rate:{${caller}}:${window}`;
  const outcome = await kv.atomic()
    .increment(key)
    // Twice as long, since the cluster's clock may differ from ours.
    .expire(key, { ttlMs: 2 * windowMs, when: "nx" })
    .commit();
  const [counted] = outcome.ok ? outcome.results : [];
  if (counted?.ok !== true) throw new Error(`${key} is no counter`);
  return { left: requestsMax - Number(counted.value), resetMs: (window + 1) * windowMs - nowMs };
}

if (import.meta.main) {
  await using kv = await connect();
  const caller = crypto.randomUUID();
  for (let i = 1; i <= 5; i++) {
    // Only the number of requests decides here, and no window ends meanwhile.
    const { left } = await countRequest(kv, caller, { requestsMax: 3, windowMs: 3_600_000 });
    console.log(`request ${i}: ${left >= 0 ? `allowed, ${left} left` : "refused"}`);
  }
}
