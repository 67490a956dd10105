/**
 * The settings of a cluster: from the coordinator's own settings where the cluster is new, else from
 * the stored map, with what may change taken over and what may not refused. Pure.
 *
 * @module
 */
import { type ClusterSettings, minInSyncDefault } from "../../shared/cluster/cluster_map.ts";
import { KvError } from "../../shared/base/errors.ts";
import {
  CLOCK_DRIFT_MAX,
  FAILURE_TIMEOUT_MS,
  FRAME_BYTES_MAX,
  HEARTBEAT_INTERVAL_MS,
  LEASE_MS,
  mapBytesMax,
  PARTITIONS_DEFAULT,
  REPLICATION_FACTOR_DEFAULT,
} from "../../shared/base/limits.ts";

/** What was asked for; undefined leaves it as it is, or takes the default for a new cluster. */
export interface WantedSettings {
  readonly clusterName?: string | undefined;
  readonly partitionCount?: number | undefined;
  readonly replicationFactor?: number | undefined;
  readonly minInSync?: number | undefined;
  readonly leaseMs?: number | undefined;
  readonly heartbeatIntervalMs?: number | undefined;
  readonly failureTimeoutMs?: number | undefined;
}

/**
 * The settings that count.
 *
 * @param clusterId the id of a new cluster
 * @throws {KvError} `bad_config` where they contradict each other or the stored cluster
 */
export function clusterSettings(
  wanted: WantedSettings,
  stored: ClusterSettings | undefined,
  clusterId: string,
): ClusterSettings {
  if (stored !== undefined) {
    refuseChange("--partitions", wanted.partitionCount, stored.partitionCount);
    refuseChange("--cluster-name", wanted.clusterName, stored.clusterName);
  }
  const replicationFactor = wanted.replicationFactor ?? stored?.replicationFactor ??
    REPLICATION_FACTOR_DEFAULT;
  const settings: ClusterSettings = {
    clusterId: stored?.clusterId ?? clusterId,
    clusterName: stored?.clusterName ?? wanted.clusterName ?? "kv",
    partitionCount: stored?.partitionCount ?? wanted.partitionCount ?? PARTITIONS_DEFAULT,
    replicationFactor,
    ...minInSyncOf(wanted, stored, replicationFactor),
    leaseMs: wanted.leaseMs ?? stored?.leaseMs ?? LEASE_MS,
    heartbeatIntervalMs: wanted.heartbeatIntervalMs ?? stored?.heartbeatIntervalMs ??
      HEARTBEAT_INTERVAL_MS,
    failureTimeoutMs: wanted.failureTimeoutMs ?? stored?.failureTimeoutMs ?? FAILURE_TIMEOUT_MS,
  };
  const wrong = whyContradictory(settings);
  if (wrong !== undefined) throw new KvError("bad_config", wrong);
  return settings;
}

/** What was given counts, now or at an earlier start; without it the default for so many replicas. */
function minInSyncOf(
  wanted: WantedSettings,
  stored: ClusterSettings | undefined,
  replicationFactor: number,
): Pick<ClusterSettings, "minInSync" | "minInSyncByDefault"> {
  if (wanted.minInSync !== undefined) return { minInSync: wanted.minInSync };
  if (stored !== undefined && stored.minInSyncByDefault !== true) {
    return { minInSync: stored.minInSync };
  }
  return { minInSync: minInSyncDefault(replicationFactor), minInSyncByDefault: true };
}

/** What is wrong with settings that are each within their bounds, and what to do; or undefined. */
export function whyContradictory(settings: ClusterSettings): string | undefined {
  const { partitionCount, replicationFactor, minInSync } = settings;
  const { leaseMs, heartbeatIntervalMs, failureTimeoutMs } = settings;
  if ((partitionCount & (partitionCount - 1)) !== 0) {
    return `--partitions must be a power of two, such as 256; given ${partitionCount}`;
  }
  const mapBytes = mapBytesMax(partitionCount, replicationFactor);
  if (mapBytes > FRAME_BYTES_MAX) {
    let fits = partitionCount;
    while (mapBytesMax(fits, replicationFactor) > FRAME_BYTES_MAX) fits /= 2;
    return `--partitions ${partitionCount} with --replication-factor ${replicationFactor} can make a ` +
      `cluster map of ${inMiB(mapBytes)}, and a message holds ${
        inMiB(FRAME_BYTES_MAX)
      }; with so many ` +
      `replicas at most ${fits} partitions`;
  }
  if (minInSync > replicationFactor) {
    return `--min-in-sync (${minInSync}) must not be more than --replication-factor ` +
      `(${replicationFactor}): no write would ever be taken; give both`;
  }
  if (leaseMs <= 2 * heartbeatIntervalMs) {
    return `--lease-ms (${leaseMs}) must be more than twice --heartbeat-interval-ms ` +
      `(${heartbeatIntervalMs}), so that a lease outlives one lost heartbeat`;
  }
  // Compared by the reading that is worst for both clocks.
  if (leaseMs * (1 + CLOCK_DRIFT_MAX) >= failureTimeoutMs * (1 - CLOCK_DRIFT_MAX)) {
    const least = Math.floor(leaseMs * (1 + CLOCK_DRIFT_MAX) / (1 - CLOCK_DRIFT_MAX)) + 1;
    return `--failure-timeout-ms (${failureTimeoutMs}) must be at least ${least} with --lease-ms ` +
      `${leaseMs}: a lease must have run out before its node is declared failed, also where clocks ` +
      `drift apart by ${CLOCK_DRIFT_MAX * 100} %`;
  }
  return undefined;
}

function inMiB(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function refuseChange(flag: string, wanted: unknown, stored: unknown): void {
  if (wanted === undefined || wanted === stored) return;
  throw new KvError(
    "bad_config",
    `${flag} is fixed when a cluster is created: this one has ${stored}, given ${wanted}; leave the ` +
      "flag out, or name another --data folder for a new cluster",
  );
}
