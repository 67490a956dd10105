/**
 * The maps that come over a session with the coordinator, on their way to the node core. It decides which of them may
 * be used, applies changes, and lets the node join a cluster before the first map is used. It sends nothing;
 * `coordinator_session.ts` asks for a whole map if this says so, and ends the session if a map shows that it must.
 *
 * Invariants: the node core gets maps of one cluster only, the one that its folder belongs to; each is whole and newer
 * than the one before. No map is used before it is noted down which cluster the folder belongs to.
 *
 * @module
 */
import {
  applyDelta,
  checkInvariants,
  type ClusterMap,
  type ClusterMapDelta,
} from "../../shared/cluster/cluster_map.ts";
import { KvError, messageOf } from "../../shared/base/errors.ts";
import type { Logger } from "../../shared/platform/logger.ts";

/** After this many heartbeats in a row that announce a newer map, that map counts as lost. */
const BEHIND_MAX = 2;

/** What the intake calls. */
export interface MapIntakeOptions {
  readonly log: Logger;
  /** The newest map that the node core has. */
  readonly known: ClusterMap | undefined;
  /** The cluster that the data folder belongs to; undefined for none yet. */
  clusterId(): string | undefined;
  /** Notes down that the folder belongs to this map's cluster, before the first map is used. */
  joinCluster(map: ClusterMap, done: (error: KvError | undefined) => void): void;
  /** In a secured cluster: notes down that a map was seen, before it is used. Rule C9. Calls do not overlap. */
  noteSeen?: ((map: ClusterMap, done: () => void) => void) | undefined;
  /** A newer map. */
  onMap(map: ClusterMap): void;
  onJoinFailed(error: KvError): void;
}

/** Why a whole map may not be used. */
export interface MapRefusal {
  readonly error: KvError;
  /** The coordinator has forgotten what it had said: this node's heartbeats must stop. */
  readonly mistrust: boolean;
}

/** Accepts the maps of one session. */
export class MapIntake {
  readonly #options: MapIntakeOptions;
  /** The newest map that came; the node core has it, unless the node is still joining. */
  #map: ClusterMap | undefined;
  #joining: "not yet" | "under way" | "done";
  #noting = false;
  /** Acknowledged heartbeats in a row that announced a newer map. */
  #behind = 0;
  #closed = false;

  constructor(options: MapIntakeOptions) {
    this.#options = options;
    this.#map = options.known;
    this.#joining = options.known === undefined ? "not yet" : "done";
  }

  /** The newest map that came. */
  get map(): ClusterMap | undefined {
    return this.#map;
  }

  /** Whether the node core has a map. */
  get joined(): boolean {
    return this.#joining === "done";
  }

  /** Whether a whole map may be used, and if not, why. `from` names the coordinator. */
  whyRefused(map: ClusterMap, from: string): MapRefusal | undefined {
    const refuse = (error: KvError, mistrust = false) => ({ error, mistrust });
    try {
      checkInvariants(map);
    } catch (error) {
      return refuse(new KvError("bad_request", `the coordinator's map is wrong: ${error}`));
    }
    const ours = this.#options.clusterId() ?? this.#map?.settings.clusterId;
    if (ours !== undefined && map.settings.clusterId !== ours) {
      return refuse(
        new KvError(
          "wrong_cluster",
          `the data folder belongs to cluster ${ours}, but the coordinator at ${from} leads cluster ` +
            `${map.settings.clusterId}; name the right --coordinator, or another --data folder`,
        ),
      );
    }
    if (this.#map !== undefined && map.epoch < this.#map.epoch) {
      return refuse(
        new KvError(
          "stale_incarnation",
          `the coordinator's map (epoch ${map.epoch}) is older than this node's (epoch ${this.#map.epoch}): was an old copy of its folder put back?`,
        ),
        true,
      );
    }
    return undefined;
  }

  /** Accepts a map that is not refused. */
  adopt(map: ClusterMap): void {
    this.#map = map;
    this.#behind = 0;
    switch (this.#joining) {
      case "done":
        this.#use(map);
        return;
      case "not yet":
        this.#join(map);
        return;
      case "under way":
        return;
      default:
        this.#joining satisfies never;
    }
  }

  #join(map: ClusterMap): void {
    this.#joining = "under way";
    this.#options.joinCluster(map, (error) => {
      this.#joining = error === undefined ? "done" : "not yet";
      if (this.#closed) return;
      if (error !== undefined) this.#options.onJoinFailed(error);
      // Changes may have come while the folder was being written: the newest map is used.
      else this.#use(this.#map ?? map);
    });
  }

  /** What comes while one is being noted is noted next, the newest of it. */
  #use(map: ClusterMap): void {
    const { noteSeen, onMap } = this.#options;
    if (noteSeen === undefined) onMap(map);
    else if (!this.#noting) {
      this.#noting = true;
      noteSeen(map, () => {
        this.#noting = false;
        if (this.#closed) return;
        onMap(map);
        if (this.#map !== undefined && this.#map !== map) this.#use(this.#map);
      });
    }
  }

  /** Applies a change of the map. @returns false if it does not fit, so that a whole map is needed */
  onDelta(delta: ClusterMapDelta): boolean {
    if (this.#map === undefined || delta.epoch <= this.#map.epoch) return true;
    let map: ClusterMap | undefined;
    try {
      map = applyDelta(this.#map, delta);
      if (map !== undefined) checkInvariants(map);
    } catch (error) {
      this.#options.log.error("a change of the map is not a map", { error: messageOf(error) });
      return false;
    }
    if (map === undefined) return false;
    this.adopt(map);
    return true;
  }

  /**
   * An acknowledged heartbeat announced this epoch.
   *
   * @returns whether a newer map was lost. Usually it is still on its way; if it does not come, it was lost with its
   * connection
   */
  onAcknowledged(epoch: number): boolean {
    this.#behind = epoch > (this.#map?.epoch ?? 0) ? this.#behind + 1 : 0;
    return this.#behind >= BEHIND_MAX;
  }

  /** Nothing is called any more. */
  close(): void {
    this.#closed = true;
  }
}
