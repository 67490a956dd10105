/**
 * Who should hold each partition: the placement's answer for the nodes that count now, kept until the nodes or
 * their weights change.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import type { ClusterState } from "../state/cluster_state.ts";
import { byId } from "../state/member.ts";

/** The placement function, as `placement.ts` has it. */
export type Place = (
  nodes: readonly {
    readonly id: NodeId;
    readonly weight: number;
    readonly zone: string;
    readonly machine: string;
  }[],
  partitionCount: number,
  replicationFactor: number,
) => NodeId[][];

const NOBODY: readonly NodeId[] = [];

/** The target of all partitions. */
export class TargetAssignment {
  readonly #state: ClusterState;
  readonly #place: Place;
  readonly #repairDelayMs: number;
  #target: NodeId[][] = [];
  readonly #partitionsOf = new Map<NodeId, number[]>();
  /** What the target was computed from. */
  #key = "";

  /** @param repairDelayMs a node that is down for less than this still counts */
  constructor(state: ClusterState, place: Place, repairDelayMs: number) {
    this.#state = state;
    this.#place = place;
    this.#repairDelayMs = repairDelayMs;
  }

  /** Who should hold the partition, the primary first. */
  of(partition: number): readonly NodeId[] {
    return this.#target[partition] ?? NOBODY;
  }

  /** Partitions that the node should hold. */
  partitionsOf(id: NodeId): readonly number[] {
    return this.#partitionsOf.get(id) ?? [];
  }

  /** Computes it anew, if the nodes that count have changed. @returns whether it is another one */
  update(nowMs: number): boolean {
    const { members, table, settings } = this.#state;
    for (const { presence, downSinceMs } of members.values()) {
      if (presence === "down" && nowMs >= downSinceMs + this.#repairDelayMs) {
        this.#state.targetStale = true;
      }
    }
    if (!this.#state.targetStale) return false;
    this.#state.targetStale = false;
    const nodes = [...members.values()].filter((member) =>
      member.departure !== "leaving" &&
      (member.presence !== "down" || nowMs < member.downSinceMs + this.#repairDelayMs)
    ).sort(byId).map(({ id, info }) => ({
      id,
      weight: info.weight,
      zone: info.zone,
      // Workers of one machine are reached at one host, by ports of their own.
      machine: info.host,
    }));
    const key = JSON.stringify(nodes);
    // Without any node no target is better than the one before.
    if (key === this.#key || nodes.length === 0) return false;
    this.#key = key;
    this.#target = this.#place(nodes, table.size, settings.replicationFactor);
    this.#partitionsOf.clear();
    this.#target.forEach((ids, partition) => {
      for (const id of ids) {
        const partitions = this.#partitionsOf.get(id);
        if (partitions === undefined) this.#partitionsOf.set(id, [partition]);
        else partitions.push(partition);
      }
    });
    return true;
  }
}
