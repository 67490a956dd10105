/**
 * A cluster of one node, without a coordinator: nothing of its map changes but its databases. The folder of such a node is
 * told from others by its cluster's id, and neither kind is started as the other: a lone node's data
 * knows nothing of the terms of a cluster, and a cluster's node must not take writes on its own.
 *
 * @module
 */
import type { ClusterMap, NodeInfo, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import { standardSettings } from "../../shared/cluster/cluster_settings.ts";
import type { DatabaseList } from "../../shared/cluster/databases.ts";
import { KvError } from "../../shared/base/errors.ts";
import { PARTITIONS_DEFAULT } from "../../shared/limits/cluster.ts";
import { type Random, randomId } from "../../shared/platform/random.ts";

const PREFIX = "standalone-";

/** What is needed of a folder. */
interface JoinableFolder {
  readonly clusterId: string | undefined;
  readonly partitionCount: number | undefined;
  joinCluster(clusterId: string, partitionCount: number): Promise<void>;
}

/** Whether a folder is that of a lone node. */
export function isStandalone({ clusterId }: Pick<JoinableFolder, "clusterId">): boolean {
  return clusterId?.startsWith(PREFIX) === true;
}

/**
 * Makes a folder that of a lone node, if it is new.
 *
 * @param partitionCount undefined for whatever the folder has, or the default
 * @throws {KvError} `wrong_cluster` if it belongs to a cluster, `bad_config` if it is divided
 * otherwise
 */
export async function joinStandalone(
  folder: JoinableFolder,
  random: Random,
  partitionCount: number | undefined,
): Promise<void> {
  const { clusterId } = folder;
  if (clusterId === undefined) {
    await folder.joinCluster(PREFIX + randomId(random), partitionCount ?? PARTITIONS_DEFAULT);
    return;
  }
  if (!isStandalone(folder)) {
    throw new KvError(
      "wrong_cluster",
      `the data folder belongs to cluster ${clusterId}: start it without --standalone, or name ` +
        `another --data folder`,
    );
  }
  if (partitionCount !== undefined && partitionCount !== folder.partitionCount) {
    throw new KvError(
      "bad_config",
      `--partitions ${partitionCount}: the data folder has ${folder.partitionCount}, which cannot ` +
        `be changed; leave --partitions out, or name another --data folder`,
    );
  }
}

/** @throws {KvError} `wrong_cluster` if the folder is that of a lone node */
export function refuseStandaloneFolder(folder: JoinableFolder): void {
  if (isStandalone(folder)) {
    throw new KvError(
      "wrong_cluster",
      "the data folder was made with --standalone and cannot join a cluster: start it with " +
        "--standalone, or name another --data folder",
    );
  }
}

/** The map of a cluster of one node. */
export function standaloneMap(
  { clusterId, partitionCount, databases, node }: {
    clusterId: string;
    partitionCount: number;
    databases?: DatabaseList | undefined;
    node: NodeInfo;
  },
): ClusterMap {
  const config: PartitionConfig = { term: 1, primary: node.id, inSync: [node.id], learners: [] };
  return {
    epoch: 1,
    settings: standardSettings(clusterId, {
      clusterName: "standalone",
      partitionCount,
      replicationFactor: 1,
      minInSync: 1,
    }),
    nodes: [node],
    ...(databases === undefined ? {} : { databases }),
    partitions: new Array<PartitionConfig>(partitionCount).fill(config),
  };
}
