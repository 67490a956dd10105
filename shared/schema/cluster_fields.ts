/**
 * Fields of messages about the cluster and its partitions.
 *
 * @module
 */
import type { ClusterMap, PartitionConfig } from "../cluster/cluster_map.ts";
import {
  isClusterMap,
  isPartition,
  isPartitionConfig,
  isTerm,
  isTextList,
} from "../cluster/map_shape.ts";
import { type Field, field } from "./fields.ts";

export const texts: Field<readonly string[]> = field("an array of strings", isTextList);
export const partition: Field<number> = field("the number of a partition", isPartition);
export const term: Field<number> = field("a term", isTerm);
export const partitionConfig: Field<PartitionConfig> = field(
  "a partition's configuration",
  isPartitionConfig,
);
export const clusterMap: Field<ClusterMap> = field("a cluster map", isClusterMap);
