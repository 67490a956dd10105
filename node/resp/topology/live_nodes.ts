/**
 * The nodes that clients should talk to, as this node sees them, each with an even share of the slots of Redis Cluster.
 * The shares are ours to choose, since each node serves each key: they follow from the ids of those that are alive.
 *
 * Invariant: each slot has exactly one node.
 *
 * @module
 */
import type { ClusterMap, NodeInfo } from "../../../shared/cluster/cluster_map.ts";
import { CommandError, type CommandServer } from "../command/command.ts";
import { SLOTS } from "./key_slot.ts";

/** A node, and its slots. */
export interface LiveNode {
  /** 40 characters, as Redis has them. */
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly isThis: boolean;
  /** Both inclusive. */
  readonly slots: readonly [first: number, last: number];
}

/** @throws {CommandError} if this node has not joined its cluster */
export function mapOf({ database }: Pick<CommandServer, "database">): ClusterMap {
  const map = database.map();
  if (map === undefined) {
    throw new CommandError("CLUSTERDOWN this node has not joined its cluster yet");
  }
  return map;
}

/** Those that are up and can be reached from here, this one always. @throws {CommandError} */
export function liveNodes(server: Pick<CommandServer, "database" | "node">): LiveNode[] {
  const { node } = server;
  const isLive = ({ id, state }: NodeInfo) =>
    id === node.nodeId || (state === "up" && node.isReachable(id));
  const live = mapOf(server).nodes.filter(isLive).sort((a, b) => a.id < b.id ? -1 : 1);
  return live.map(({ id, host, port }, i) => ({
    id: longId(id),
    host,
    port,
    isThis: id === node.nodeId,
    slots: [firstSlot(i, live.length), firstSlot(i + 1, live.length) - 1],
  }));
}

/** Of the share of one node, by the number of nodes. */
function firstSlot(index: number, count: number): number {
  return Math.floor(index * SLOTS / count);
}

/** An id of ours as long as those of Redis: clients look at the length. */
export function longId(id: string): string {
  return id.padEnd(40, id).slice(0, 40);
}
