/**
 * The first map that a client gets. Just after a cluster has started, the asked node may not have joined it
 * yet; then it is asked again until the deadline. If no process answers at all, that is reported at once.
 *
 * @module
 */
import { type Clock, sleep } from "../../shared/platform/clock.ts";
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import { toKvError } from "../../shared/base/errors.ts";
import { FIRST_MAP_RETRY_MS } from "../../shared/limits/requests.ts";

/** @throws {KvError} the reason of the last attempt */
export async function awaitMap(
  clock: Clock,
  router: { refresh(): Promise<ClusterMap> },
  timeoutMs: number,
): Promise<ClusterMap> {
  const untilMs = clock.monotonicMs() + timeoutMs;
  for (;;) {
    try {
      return await router.refresh();
    } catch (cause) {
      const error = toKvError(cause);
      const isJoining = error.detail?.joining === true;
      if (!isJoining || clock.monotonicMs() + FIRST_MAP_RETRY_MS >= untilMs) throw error;
    }
    await sleep(clock, FIRST_MAP_RETRY_MS);
  }
}
