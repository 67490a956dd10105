/**
 * A node's data folder on a simulated disk: what `node/storage/leveldb/data_folder.ts` keeps, without files and lock.
 * The simulation never opens one twice at a time.
 *
 * Invariant: each process that got it open has a greater incarnation than every one before it, on
 * disk before anything else is done.
 *
 * @module
 */
import type { NodeFolder } from "../../../node/node_folder.ts";
import { keptMapDocument, parseKeptMap } from "../../../node/membership/map_keeper.ts";
import type { ClusterMap } from "../../../shared/cluster/cluster_map.ts";
import type { DocumentStore } from "../../../shared/platform/document_store.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { type Random, randomId } from "../../../shared/platform/random.ts";
import {
  type JournalBounds,
  JournalStorage,
} from "../../../node/storage/journal/journal_storage.ts";
import { isControlKey } from "../../../node/storage/state_record.ts";
import type { Storage } from "../../../node/storage/storage.ts";
import { type SimProcess, spread } from "./scheduler.ts";
import type { SimDisk } from "./sim_disk.ts";

/** Where it keeps who it is. */
export const NODE_DOCUMENT = "node.json";
/** Where it keeps the newest map that it has gone by. */
const KEPT_MAP_DOCUMENT = "map.json";

interface Identity {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly clusterId?: string;
  readonly partitionCount?: number;
  readonly repair?: boolean;
  /** Journal and table were made. */
  readonly made?: boolean;
}

/** Small enough that the table is fed often. */
function boundsOf(random: Random): Partial<JournalBounds> {
  const feedBytes = spread(random, 500, 60_000);
  return {
    feedBytes,
    feedDelayMs: spread(random, 200, 30_000),
    journalBytes: feedBytes * spread(random, 2, 20),
    segmentBytes: feedBytes * spread(random, 0.5, 4),
    segmentBytesMin: feedBytes * spread(random, 0.1, 1),
    // Half of them keep nothing for replicas that were away.
    reserveBytes: feedBytes,
    keptBytes: feedBytes < 6_000 ? 0 : feedBytes * 20,
  };
}

/** A folder. */
export class SimFolder implements NodeFolder {
  readonly storage: Storage;
  readonly keptMap: ClusterMap | undefined;
  readonly #store: DocumentStore;
  readonly #mapStore: DocumentStore;
  #identity: Identity;
  readonly #repairedAtOpen: boolean;

  private constructor(
    storage: Storage,
    store: DocumentStore,
    mapStore: DocumentStore,
    keptMap: ClusterMap | undefined,
    identity: Identity,
  ) {
    this.storage = storage;
    this.#store = store;
    this.#mapStore = mapStore;
    this.keptMap = keptMap;
    this.#identity = identity;
    this.#repairedAtOpen = identity.repair === true;
  }

  /** @throws {KvError} `storage_failed` */
  static async open(disk: SimDisk, process: SimProcess): Promise<SimFolder> {
    const store = disk.document(process, NODE_DOCUMENT);
    const before = await store.read() as Identity | undefined;
    const identity: Identity = before === undefined
      ? { nodeId: randomId(process.random), incarnation: 1 }
      : { ...before, incarnation: before.incarnation + 1 };
    await store.write(identity);
    if (identity.repair === true) disk.repair();
    const storage = await JournalStorage.open({
      clock: process.clock,
      random: process.random,
      files: disk.files(process),
      table: disk.table(process),
      id: identity.nodeId,
      create: before?.made !== true,
      repaired: identity.repair === true,
      isControl: isControlKey,
      bounds: boundsOf(process.random),
    });
    const made = { ...identity, made: true };
    if (identity.made !== true) await store.write(made);
    const mapStore = disk.document(process, KEPT_MAP_DOCUMENT);
    const keptMap = parseKeptMap(await mapStore.read(), identity.clusterId);
    return new SimFolder(storage, store, mapStore, keptMap, made);
  }

  get nodeId(): string {
    return this.#identity.nodeId;
  }

  get incarnation(): number {
    return this.#identity.incarnation;
  }

  get clusterId(): string | undefined {
    return this.#identity.clusterId;
  }

  get partitionCount(): number | undefined {
    return this.#identity.partitionCount;
  }

  async joinCluster(clusterId: string, partitionCount: number): Promise<void> {
    const { clusterId: ours } = this.#identity;
    if (ours === clusterId) return;
    if (ours !== undefined) throw new KvError("wrong_cluster", `the folder belongs to ${ours}`);
    const joined = { ...this.#identity, clusterId, partitionCount };
    await this.#store.write(joined);
    this.#identity = joined;
  }

  get repaired(): boolean {
    return this.#identity.repair === true && this.#repairedAtOpen;
  }

  async requestRepair(): Promise<void> {
    const identity = { ...this.#identity, repair: true };
    await this.#store.write(identity);
    this.#identity = identity;
  }

  async repairDone(): Promise<void> {
    const { repair: _, ...identity } = this.#identity;
    await this.#store.write(identity);
    this.#identity = identity;
  }

  keepMap(map: ClusterMap): Promise<void> {
    return this.#mapStore.write(keptMapDocument(map));
  }

  close(): Promise<void> {
    return this.storage.close();
  }
}
