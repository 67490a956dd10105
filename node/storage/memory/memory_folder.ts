/**
 * What a node without a disk has instead of a data folder: a new identity at each start, and memory.
 *
 * @module
 */
import type { Clock } from "../../../shared/platform/clock.ts";
import type { NodeId } from "../../../shared/cluster/cluster_map.ts";
import { type Random, randomId } from "../../../shared/platform/random.ts";
import type { Storage } from "../storage.ts";
import { MemoryStorage } from "./memory_storage.ts";

/** The folder of `--storage memory`. */
export class MemoryFolder {
  readonly nodeId: NodeId;
  readonly incarnation = 1;
  readonly storage: Storage;
  #cluster: { id: string; partitionCount: number } | undefined;

  /** @param nodeId as its certificate names it; by default a random one */
  constructor(clock: Clock, random: Random, nodeId: NodeId = randomId(random)) {
    this.nodeId = nodeId;
    this.storage = new MemoryStorage(clock, random, { volatile: true });
  }

  get clusterId(): string | undefined {
    return this.#cluster?.id;
  }

  get partitionCount(): number | undefined {
    return this.#cluster?.partitionCount;
  }

  /** Remembers the cluster for as long as the process lives. */
  joinCluster(id: string, partitionCount: number): Promise<void> {
    this.#cluster = { id, partitionCount };
    return Promise.resolve();
  }

  /** Data in memory is as it was written. */
  readonly repaired = false;

  requestRepair(): Promise<void> {
    return Promise.resolve();
  }

  repairDone(): Promise<void> {
    return Promise.resolve();
  }

  /** A node that starts has a new id, and follows no primary yet. */
  readonly keptMap = undefined;

  keepMap(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return this.storage.close();
  }
}
