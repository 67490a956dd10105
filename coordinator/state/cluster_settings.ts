/**
 * The settings of a cluster: from the coordinator's own settings if the cluster is new, else from
 * the stored map, with what may change taken over and what may not refused. Pure.
 *
 * @module
 */
import {
  type ClusterSettings,
  type SettingName,
  settingRows,
  type SettingValue,
  standardSettings,
} from "../../shared/cluster/cluster_settings.ts";
import { KvError } from "../../shared/base/errors.ts";
import { mapBytesMax } from "../../shared/limits/cluster.ts";
import { CLOCK_DRIFT_MAX } from "../../shared/limits/membership.ts";
import { FRAME_BYTES_MAX } from "../../shared/limits/wire.ts";
import { flagOf } from "../../shared/program/setting.ts";

/** What was asked for; undefined leaves it as it is, or takes the default for a new cluster. */
export type WantedSettings = { readonly [N in SettingName]?: SettingValue<N> | undefined };

/**
 * The settings that count: what was given now or at an earlier start, else what a new cluster has.
 *
 * @param clusterId the id of a new cluster
 * @throws {KvError} `bad_config` if they contradict each other or the stored cluster
 */
export function clusterSettings(
  wanted: WantedSettings,
  stored: ClusterSettings | undefined,
  clusterId: string,
): ClusterSettings {
  const given: Record<string, unknown> = {};
  for (const [name, { flag, fixed }] of settingRows()) {
    // What follows other settings is computed anew.
    const before = stored?.byDefault?.includes(name) === true ? undefined : stored?.[name];
    if (fixed === true && stored !== undefined) {
      refuseChange(`--${flagOf(flag)}`, wanted[name], stored[name]);
    }
    given[name] = wanted[name] ?? before;
  }
  const settings = standardSettings(stored?.clusterId ?? clusterId, given as WantedSettings);
  const wrong = whyContradictory(settings);
  if (wrong !== undefined) throw new KvError("bad_config", wrong);
  return settings;
}

/** What is wrong with settings that are each within their bounds, and what to do; or undefined. */
function whyContradictory(settings: ClusterSettings): string | undefined {
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
