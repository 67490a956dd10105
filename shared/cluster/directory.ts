/**
 * The cluster map as people ask for it: which nodes are there and what each holds (`list_nodes`), and
 * which nodes hold a key (`get_nodes_for_key`). Node, coordinator and client give the same answers,
 * because all compute them here from their own map. Pure. `own` and `prev` are ancestor A's names for
 * primary and other in-sync replicas.
 *
 * @module
 */
import { type ClusterMap, type NodeId, type NodeState, partitionConfig } from "./cluster_map.ts";
import { partitionOf } from "./position.ts";

/** A member of the cluster. */
export interface NodeListing {
  id: NodeId;
  host: string;
  port: number;
  /** 0 if it serves no HTTP. */
  httpPort: number;
  zone: string;
  weight: number;
  state: NodeState;
  /** Partitions of which it is the primary. */
  own: number[];
  /** Partitions of which it holds another in-sync replica. */
  prev: number[];
  /** Partitions of which it is being filled with a replica. */
  learning: number[];
}

/** A node's role for a key. */
export type ReplicaRole = "primary" | "replica" | "learner";

/** A node that holds a key. */
export interface KeyHolder {
  id: NodeId;
  host: string;
  port: number;
  role: ReplicaRole;
  state: NodeState;
}

/** Where a key is. */
export interface KeyLocation {
  key: string;
  partition: number;
  /** The partition's configuration number. */
  term: number;
  /** The primary first, if there is one. */
  nodes: KeyHolder[];
}

/** The members in the map's order. */
export function nodeListings(map: ClusterMap): NodeListing[] {
  const listings = new Map<NodeId, NodeListing>();
  for (const { id, host, port, httpPort, zone, weight, state } of map.nodes) {
    const held = { own: [], prev: [], learning: [] };
    listings.set(id, { id, host, port, httpPort, zone, weight, state, ...held });
  }
  map.partitions.forEach(({ primary, inSync, learners }, partition) => {
    for (const id of inSync) listings.get(id)?.[id === primary ? "own" : "prev"].push(partition);
    for (const id of learners) listings.get(id)?.learning.push(partition);
  });
  return [...listings.values()];
}

/** The nodes that hold a key: primary, then the other in-sync replicas, then learners. */
export function locateKey(map: ClusterMap, key: string): KeyLocation {
  const partition = partitionOf(key, map.settings.partitionCount);
  const { term, primary, inSync, learners } = partitionConfig(map, partition);
  const byId = new Map(map.nodes.map((node) => [node.id, node]));
  const holders = (ids: readonly NodeId[], role: ReplicaRole) =>
    ids.flatMap((id): KeyHolder[] => {
      const node = byId.get(id);
      return node === undefined
        ? []
        : [{ id, host: node.host, port: node.port, role, state: node.state }];
    });
  const nodes = [
    ...holders(inSync.filter((id) => id === primary), "primary"),
    ...holders(inSync.filter((id) => id !== primary), "replica"),
    ...holders(learners, "learner"),
  ];
  return { key, partition, term, nodes };
}
