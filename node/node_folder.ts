/**
 * Where a node keeps its identity and its data, and how that data is opened. If the database cannot be read at all, and
 * other nodes hold the same data, it is repaired: what cannot be read is given up and filled again. The only copy of
 * data is never repaired by itself.
 *
 * @module
 */
import { isDamage, messageOf } from "../shared/base/errors.ts";
import type { ClusterMap, NodeId } from "../shared/cluster/cluster_map.ts";
import type { DatabaseList } from "../shared/cluster/databases.ts";
import type { Logger } from "../shared/platform/logger.ts";
import { type OpenedPartitions, openPartitionStores } from "./storage/partition_store.ts";
import type { Storage } from "./storage/storage.ts";

/** Where a node keeps its identity and its data; `data_folder.ts`, or `memory_folder.ts`. */
export interface NodeFolder {
  readonly nodeId: NodeId;
  readonly incarnation: number;
  readonly clusterId: string | undefined;
  readonly partitionCount: number | undefined;
  readonly storage: Storage;
  /** The newest map that an earlier process has kept here; undefined if there is none. */
  readonly keptMap: ClusterMap | undefined;
  /** Keeps a map durably, replacing the one before. Calls must not overlap. */
  keepMap(map: ClusterMap): Promise<void>;
  /** The databases of a node that is a cluster by itself; a coordinator keeps those of other clusters. */
  readonly databases?: DatabaseList | undefined;
  /** Keeps them durably, where anything is durable. Calls must not overlap. */
  keepDatabases?(databases: DatabaseList): Promise<void>;
  /** Notes durably which cluster the data belongs to, before any of it is written. */
  joinCluster(clusterId: string, partitionCount: number): Promise<void>;
  /** The database was repaired when it was opened, and it has not been checked yet what was lost. */
  readonly repaired: boolean;
  /** Notes durably that the database must be repaired when it is next opened. */
  requestRepair(): Promise<void>;
  /** What was lost by a repair is noted in the database. */
  repairDone(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the partitions of a folder.
 *
 * @param options `reopen` opens the folder again, after it was closed
 * @returns the folder that is open now, which may differ from the given one
 * @throws {KvError} `corrupt` if the database cannot be read and may not be repaired, or was repaired in vain
 */
export async function openData(
  folder: NodeFolder,
  { standalone, log, reopen }: {
    standalone: boolean;
    log: Logger;
    reopen(): Promise<NodeFolder>;
  },
): Promise<{ folder: NodeFolder; opened: OpenedPartitions }> {
  let opened: OpenedPartitions;
  try {
    opened = await openPartitions(folder, standalone);
  } catch (error) {
    if (!isDamage(error) || standalone || folder.repaired) throw error;
    log.error("the database cannot be read: it is repaired", { error: messageOf(error) });
    await folder.requestRepair();
    await folder.close();
    folder = await reopen();
    opened = await openPartitions(folder, standalone);
  }
  if (opened.damaged.size > 0) {
    log.error("damaged partitions", {
      count: opened.damaged.size,
      first: [...opened.damaged].slice(0, 3).map(([p, why]) => `${p}: ${why}`).join("; "),
    });
  }
  return { folder, opened };
}

/** What the folder's database holds. After a repair all of it is read through. */
async function openPartitions(folder: NodeFolder, standalone: boolean): Promise<OpenedPartitions> {
  const { storage, partitionCount = 0, repaired } = folder;
  // Rule D3.
  const opened = await openPartitionStores(storage, partitionCount, standalone, repaired);
  if (repaired) await folder.repairDone();
  return opened;
}
