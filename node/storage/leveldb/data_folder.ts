/**
 * A node's data folder:
 *
 *     lock        locked while a process uses the folder
 *     node.json   the node's identity: {@linkcode NodeDocument}
 *     map.json    the newest cluster map that the node has followed; it may be missing
 *     journal/    what was written last
 *     db/         the table: a LevelDB database with everything else
 *
 * `node.json`, journal and table all contain the database's id. So if one of them was deleted, restored from
 * elsewhere, or lost its index while `node.json` stayed, it is not mistaken for a database that has acknowledged
 * nothing.
 *
 * Invariant: each process that opened the folder has a greater incarnation than every process before it;
 * the incarnation is on disk before anything else is done.
 *
 * @module
 */
import type { DocumentStore } from "../../../shared/platform/document_store.ts";
import { failureOf, isDamage, KvError, messageOf } from "../../../shared/base/errors.ts";
import { FileDocumentStore } from "../../../shared/platform/deno/file_document_store.ts";
import { checkFolderKind } from "../../../shared/platform/deno/folder_kind.ts";
import { folderError, FolderLock } from "../../../shared/platform/deno/folder_lock.ts";
import { type Random, randomId } from "../../../shared/platform/random.ts";
import type { Storage } from "../storage.ts";
import { LevelStorage, REBUILD_ADVICE } from "./level_storage.ts";
import { openPartitionStores } from "../recovery.ts";
import { type DatabaseList, isDatabaseList } from "../../../shared/cluster/databases.ts";
import { keptMapDocument, parseKeptMap } from "../../membership/map_keeper.ts";
import { isStandalone } from "../../membership/standalone_cluster.ts";
import { DAMAGED_FOLDERS_MAX } from "../../../shared/limits/storage.ts";
import type { ClusterMap } from "../../../shared/cluster/cluster_map.ts";
import { DenoJournalFiles } from "../journal/deno_journal_files.ts";
import { JournalStorage } from "../journal/journal_storage.ts";
import { SystemClock } from "../../../shared/platform/clock.ts";
import { decodeIdentity, encodeIdentity, IDENTITY_KEY, isControlKey } from "../state_record.ts";

/** The folder format that this code writes and reads. */
const FOLDER_FORMAT = 3;

/** What `node.json` holds. */
interface NodeDocument {
  readonly format: number;
  readonly node_id: string;
  readonly incarnation: number;
  readonly database_id: string;
  /** False from the first start until the database has its id. */
  readonly database_made: boolean;
  /** Absent until the node has joined a cluster. */
  readonly cluster_id?: string;
  readonly partition_count?: number;
  /** Of a node that is a cluster by itself: its databases. */
  readonly databases?: DatabaseList;
  /** The database must be repaired at the next start; true until what the repair lost is noted in the database. */
  readonly repair?: boolean;
}

/** Options of {@linkcode DataFolder.open}. */
export interface DataFolderOptions {
  /** Generates ids. */
  random: Random;
  /**
   * If the content is `corrupt`, moves it to `<folder>.damaged-<n>` and begins as a new node. A usable folder
   * is used: the flag may stay in a service's unit. Default false.
   */
  rebuild?: boolean;
}

/** An open data folder. */
export class DataFolder {
  readonly path: string;
  /** Journal and table. Closed by {@linkcode DataFolder.close}. */
  readonly storage: Storage;
  /** Where `rebuild` moved the former content, if there was any. */
  readonly movedTo: string | undefined;
  /** The newest map that an earlier process has kept; undefined if there is none that can be used. */
  readonly keptMap: ClusterMap | undefined;
  readonly #lock: FolderLock;
  readonly #store: DocumentStore;
  readonly #mapStore: DocumentStore;
  readonly #repairedAtOpen: boolean;
  #document: NodeDocument;

  private constructor(
    path: string,
    lock: FolderLock,
    store: DocumentStore,
    document: NodeDocument,
    storage: Storage,
    maps: { store: DocumentStore; kept: ClusterMap | undefined },
    movedTo: string | undefined,
  ) {
    this.path = path;
    this.#lock = lock;
    this.#store = store;
    this.#document = document;
    this.#repairedAtOpen = document.repair === true;
    this.storage = storage;
    this.#mapStore = maps.store;
    this.keptMap = maps.kept;
    this.movedTo = movedTo;
  }

  /**
   * Opens a node's folder, or creates one. The errors' texts are for the person at the terminal.
   *
   * @throws {KvError} `folder_in_use`, `bad_config` (not a folder, no permission, not a node's), `corrupt`,
   * `wrong_version` (written by a newer program), `storage_failed`
   */
  static async open(path: string, options: DataFolderOptions): Promise<DataFolder> {
    if (options.rebuild !== true) return await DataFolder.#open(path, options.random, undefined);
    let folder: DataFolder | undefined;
    try {
      folder = await DataFolder.#open(path, options.random, undefined);
      // Files whose loss the database notices only when it reads them are found here, as at each start.
      // Damaged partitions do not matter here: the node has them filled again one by one.
      const { storage, partitionCount = 0 } = folder;
      await openPartitionStores(storage, partitionCount, isStandalone(folder));
      return folder;
    } catch (error) {
      await folder?.close();
      if (!isDamage(error)) throw error;
    }
    return await DataFolder.#open(path, options.random, await moveAside(path));
  }

  static async #open(
    path: string,
    random: Random,
    movedTo: string | undefined,
  ): Promise<DataFolder> {
    await checkFolderKind(path, "node");
    const lock = await FolderLock.acquire(path, "kv-node");
    let storage: Storage | undefined;
    try {
      const store = new FileDocumentStore(`${path}/node.json`);
      const before = await readDocument(path, store) ?? await newDocument(path, random);
      let document = { ...before, incarnation: before.incarnation + 1 };
      await store.write(document);
      if (document.repair === true) await LevelStorage.repair(`${path}/db`);
      storage = await openStorage(path, document, random);
      if (document.database_made) {
        checkIdentity(path, storage, document.database_id);
      } else {
        await writeIdentity(storage, document.database_id);
        document = { ...document, database_made: true };
        await store.write(document);
      }
      const mapStore = new FileDocumentStore(`${path}/map.json`);
      const kept = await readKeptMap(mapStore, document.cluster_id);
      const maps = { store: mapStore, kept };
      return new DataFolder(path, lock, store, document, storage, maps, movedTo);
    } catch (error) {
      await storage?.close();
      lock.release();
      throw error;
    }
  }

  get nodeId(): string {
    return this.#document.node_id;
  }

  /** Greater than at every earlier start. */
  get incarnation(): number {
    return this.#document.incarnation;
  }

  /** The cluster that the data belongs to; undefined before the first one. */
  get clusterId(): string | undefined {
    return this.#document.cluster_id;
  }

  /** The number of partitions into which the data is divided; known if `clusterId` is. */
  get partitionCount(): number | undefined {
    return this.#document.partition_count;
  }

  /**
   * The database was repaired when it was opened. Any row may be missing, or be an older one, until all of it
   * has been read through and {@linkcode DataFolder.repairDone} is called.
   */
  get repaired(): boolean {
    return this.#document.repair === true && this.#repairedAtOpen;
  }

  /** Notes durably that the database must be repaired when it is next opened. @throws {KvError} `storage_failed` */
  async requestRepair(): Promise<void> {
    const document = { ...this.#document, repair: true };
    await this.#store.write(document);
    this.#document = document;
  }

  /** What was lost by the repair is noted in the database. @throws {KvError} `storage_failed` */
  async repairDone(): Promise<void> {
    const { repair: _, ...document } = this.#document;
    await this.#store.write(document);
    this.#document = document;
  }

  /**
   * Notes durably which cluster the data belongs to. Call it before any data is written.
   *
   * @throws {KvError} `wrong_cluster` if the folder belongs to another one; `storage_failed`
   */
  async joinCluster(clusterId: string, partitionCount: number): Promise<void> {
    const { cluster_id, partition_count } = this.#document;
    if (cluster_id === clusterId && partition_count === partitionCount) return;
    if (cluster_id !== undefined) {
      const ours = `cluster ${cluster_id} (${partition_count} partitions)`;
      throw new KvError(
        "wrong_cluster",
        `folder ${this.path} belongs to ${ours}, and the cluster to join is ${clusterId} ` +
          `(${partitionCount} partitions); give this node another folder, or the right coordinator`,
      );
    }
    const joined = {
      ...this.#document,
      cluster_id: clusterId,
      partition_count: partitionCount,
    };
    await this.#store.write(joined);
    this.#document = joined;
  }

  /** The databases of a node that is a cluster by itself; undefined if there has never been one. */
  get databases(): DatabaseList | undefined {
    return this.#document.databases;
  }

  /** Keeps them durably. Calls must not overlap. @throws {KvError} `storage_failed` */
  async keepDatabases(databases: DatabaseList): Promise<void> {
    const document = { ...this.#document, databases };
    await this.#store.write(document);
    this.#document = document;
  }

  /** Keeps a map durably, replacing the one before. Calls must not overlap. @throws {KvError} `storage_failed` */
  keepMap(map: ClusterMap): Promise<void> {
    return this.#mapStore.write(keptMapDocument(map));
  }

  /** Closes the database and releases the folder. */
  async close(): Promise<void> {
    try {
      await this.storage.close();
    } finally {
      this.#lock.release();
    }
  }
}

/** Journal and table. */
async function openStorage(path: string, document: NodeDocument, random: Random): Promise<Storage> {
  const table = await LevelStorage.open(`${path}/db`);
  try {
    return await JournalStorage.open({
      clock: new SystemClock(),
      random,
      files: new DenoJournalFiles(`${path}/journal`),
      table,
      id: document.database_id,
      create: !document.database_made,
      repaired: document.repair === true,
      isControl: isControlKey,
    });
  } catch (error) {
    await table.close();
    if (!isDamage(error)) throw error;
    throw new KvError("corrupt", `folder ${path}: ${messageOf(error)}; ${REBUILD_ADVICE}`, {
      cause: error,
    });
  }
}

/** A map that is damaged or cannot be read is ignored: it is needed only while the coordinator is away. */
async function readKeptMap(
  store: DocumentStore,
  clusterId: string | undefined,
): Promise<ClusterMap | undefined> {
  try {
    return parseKeptMap(await store.read(), clusterId);
  } catch (error) {
    failureOf(error);
    return undefined;
  }
}

async function readDocument(path: string, store: DocumentStore): Promise<NodeDocument | undefined> {
  let document: unknown;
  try {
    document = await store.read();
  } catch (error) {
    if (!isDamage(error)) throw error;
    throw new KvError("corrupt", `${messageOf(error)}; ${REBUILD_ADVICE}`, { cause: error });
  }
  if (document === undefined) return undefined;
  const format = (document as { format?: unknown } | null)?.format;
  if (typeof format === "number" && format > FOLDER_FORMAT) {
    throw new KvError(
      "wrong_version",
      `folder ${path} was written by a newer version (format ${format}; this program reads ` +
        `format ${FOLDER_FORMAT}); run that version, or give this node another folder`,
    );
  }
  if (typeof format === "number" && format < FOLDER_FORMAT) {
    throw new KvError(
      "wrong_version",
      `folder ${path} was written by an earlier version (format ${format}; this program reads format ` +
        `${FOLDER_FORMAT}); start that version with it, save the data with kv-client backup, and restore ` +
        "that into this version with a new folder",
    );
  }
  if (!isNodeDocument(document)) {
    throw new KvError(
      "corrupt",
      `file ${path}/node.json has missing or wrong fields; ${REBUILD_ADVICE}`,
    );
  }
  return document;
}

function isNodeDocument(value: unknown): value is NodeDocument {
  if (typeof value !== "object" || value === null) return false;
  const {
    format,
    node_id,
    incarnation,
    database_id,
    database_made,
    cluster_id,
    partition_count,
    databases,
    repair,
  } = value as Record<string, unknown>;
  return format === FOLDER_FORMAT && typeof node_id === "string" &&
    Number.isSafeInteger(incarnation) && typeof database_id === "string" &&
    typeof database_made === "boolean" &&
    (databases === undefined || isDatabaseList(databases)) &&
    (repair === undefined || typeof repair === "boolean") &&
    (cluster_id === undefined
      ? partition_count === undefined
      : typeof cluster_id === "string" && Number.isSafeInteger(partition_count));
}

/** The document of a folder that was never used. */
async function newDocument(path: string, random: Random): Promise<NodeDocument> {
  if (await exists(`${path}/db`) || await exists(`${path}/journal`)) {
    throw new KvError(
      "corrupt",
      `folder ${path} holds a database but no node.json, so it is not known which node it ` +
        `belongs to; ${REBUILD_ADVICE}`,
    );
  }
  return {
    format: FOLDER_FORMAT,
    node_id: randomId(random),
    incarnation: 0,
    database_id: randomId(random),
    database_made: false,
  };
}

function checkIdentity(path: string, storage: Storage, databaseId: string): void {
  const bytes = storage.get(IDENTITY_KEY);
  if (bytes !== undefined && decodeIdentity(bytes) === databaseId) return;
  throw new KvError(
    "corrupt",
    `the database in ${path}/db ${
      bytes === undefined ? "has lost its content" : "is not the one that node.json names"
    }; ${REBUILD_ADVICE}`,
  );
}

function writeIdentity(storage: Storage, databaseId: string): Promise<void> {
  const { key, value } = encodeIdentity(databaseId);
  return new Promise((resolve, reject) => {
    storage.write(
      [{ key, value }],
      true,
      (error) => error === undefined ? resolve() : reject(error),
    );
  });
}

/** The names that a damaged folder is moved to, in their order. */
export function damagedFolders(path: string): string[] {
  const folder = path.replace(/[/\\]+$/, "");
  return Array.from({ length: DAMAGED_FOLDERS_MAX }, (_, n) => `${folder}.damaged-${n + 1}`);
}

/** Renames the folder, if no process uses it. Returns its new name. */
async function moveAside(path: string): Promise<string> {
  const lock = await FolderLock.acquire(path, "kv-node");
  try {
    for (const target of damagedFolders(path)) {
      if (await exists(target)) continue;
      await Deno.rename(path, target);
      return target;
    }
    throw new Error(`there are ${DAMAGED_FOLDERS_MAX} damaged ones beside it; remove some`);
  } catch (error) {
    throw folderError(path, error);
  } finally {
    lock.release();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw folderError(path, error);
  }
}
