/**
 * Keeps the newest map that a node follows on its disk, so that after a restart the node knows which primaries it
 * followed even if its coordinator is away. It decides nothing: `Node` decides what a kept map may be used for (rule T1
 * of docs/replication.md).
 *
 * Invariants: what is on disk is a map that the node has followed, and only a newer one ever replaces it. One write is
 * under way at a time, and however often the map changes, writing takes a small share of the time.
 *
 * @module
 */
import type { Clock, Timer } from "../../shared/platform/clock.ts";
import { checkInvariants, type ClusterMap } from "../../shared/cluster/cluster_map.ts";
import { isClusterMap } from "../../shared/cluster/map_shape.ts";
import { failureOf } from "../../shared/base/errors.ts";
import { KEEP_MAP_MS_MIN, KEEP_MAP_REST } from "../../shared/limits/membership.ts";
import type { Logger } from "../../shared/platform/logger.ts";

/** The layout of the document. */
const FORMAT = 1;

/** What a folder keeps of a map. */
export function keptMapDocument(map: ClusterMap): unknown {
  return { format: FORMAT, map };
}

/**
 * The map of a document that was read; undefined if it is not one, or is one of another cluster. It only saves waiting
 * for the coordinator, so the node starts without a map that cannot be used.
 */
export function parseKeptMap(
  document: unknown,
  clusterId: string | undefined,
): ClusterMap | undefined {
  const { format, map } = (document ?? {}) as { format?: unknown; map?: unknown };
  if (format !== FORMAT || !isClusterMap(map)) return undefined;
  const kept = map as ClusterMap;
  try {
    checkInvariants(kept);
  } catch {
    return undefined;
  }
  return kept.settings.clusterId === clusterId ? kept : undefined;
}

/** What is called. */
export interface MapKeeperOptions {
  /** The epoch of the map that is on disk; 0 for none. */
  readonly keptEpoch: number;
  /** Replaces what is on disk; calls do not overlap. Rejects with `storage_failed`. */
  write(map: ClusterMap): Promise<void>;
}

/** Writes maps to a node's disk, one at a time, the newest. */
export class MapKeeper {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #options: MapKeeperOptions;
  /** The newest map that is on disk, or should be. */
  #epoch: number;
  /** Newer than what is on disk, and not being written. */
  #next: ClusterMap | undefined;
  #writing: Promise<void> | undefined;
  #rest: Timer | undefined;
  #failed = false;
  #closed = false;

  constructor(deps: { clock: Clock; log: Logger }, options: MapKeeperOptions) {
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#options = options;
    this.#epoch = options.keptEpoch;
  }

  /** The node follows this map from now on. */
  keep(map: ClusterMap): void {
    if (this.#closed || map.epoch <= this.#epoch) return;
    this.#epoch = map.epoch;
    this.#next = map;
    this.#write();
  }

  /** Ends it; resolves when nothing is being written. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#rest?.cancel();
    await this.#writing;
  }

  #write(): void {
    const map = this.#next;
    if (this.#closed || map === undefined) return;
    if (this.#writing !== undefined || this.#rest !== undefined) return;
    this.#next = undefined;
    const began = this.#clock.monotonicMs();
    this.#writing = this.#options.write(map).then(
      () => {
        this.#failed = false;
      },
      (error) => {
        const failure = failureOf(error);
        // The node serves all the same. The write is tried again, unless a newer map comes first.
        this.#next ??= map;
        if (this.#failed) return;
        this.#failed = true;
        this.#log.warn("the cluster map cannot be kept", { error: failure.message });
      },
    ).then(() => {
      this.#writing = undefined;
      if (this.#closed) return;
      const tookMs = this.#clock.monotonicMs() - began;
      this.#rest = this.#clock.setTimer(Math.max(KEEP_MAP_MS_MIN, KEEP_MAP_REST * tookMs), () => {
        this.#rest = undefined;
        this.#write();
      });
    });
  }
}
