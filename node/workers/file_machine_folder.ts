/**
 * The data folder of a machine with several workers:
 *
 *     lock           locked while a supervisor uses the folder
 *     workers.json   how many workers have data here: {@linkcode MachineDocument}
 *     worker-1/      the data folder of the first worker, a node; and so on
 *
 * Invariant: no start leaves a worker's data behind unseen: with fewer workers than have data here, or with none, it is
 * refused, unless the others have left the cluster for good.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { FileDocumentStore } from "../../shared/platform/deno/file_document_store.ts";
import { checkFolderKind } from "../../shared/platform/deno/folder_kind.ts";
import { folderError, FolderLock } from "../../shared/platform/deno/folder_lock.ts";

const FORMAT = 1;
const DOCUMENT = "workers.json";

/** What `workers.json` holds. */
interface MachineDocument {
  readonly format: number;
  /** Workers 1 to this one have had data here, except for those that have left. */
  readonly workers: number;
  /** Have left the cluster for good. */
  readonly left: readonly number[];
}

/** An open folder. */
export class MachineFolder {
  readonly #store: FileDocumentStore;
  readonly #lock: FolderLock;
  #document: MachineDocument;
  #writing: Promise<void> = Promise.resolve();

  private constructor(store: FileDocumentStore, lock: FolderLock, document: MachineDocument) {
    this.#store = store;
    this.#lock = lock;
    this.#document = document;
  }

  /**
   * Opens a machine's folder, or makes one.
   *
   * @throws {KvError} `folder_in_use`; `bad_config` if it is not such a folder, or has data of more workers;
   * `wrong_version`, `corrupt`, `storage_failed`
   */
  static async open(path: string, workers: number): Promise<MachineFolder> {
    if (await exists(`${path}/node.json`)) throw alone(path);
    await checkFolderKind(path, "workers");
    const lock = await FolderLock.acquire(path, "kv-node --workers");
    try {
      const store = new FileDocumentStore(`${path}/${DOCUMENT}`);
      const before = await readDocument(path, store);
      const wrong = before && whyTooFew(path, before, workers);
      if (wrong !== undefined) throw new KvError("bad_config", wrong);
      const document = { format: FORMAT, workers, left: [] };
      await store.write(document);
      return new MachineFolder(store, lock, document);
    } catch (error) {
      await lock.undo();
      throw error;
    }
  }

  /** A worker has left the cluster for good. @throws {KvError} `storage_failed` */
  noteLeft(worker: number): Promise<void> {
    const left = [...this.#document.left, worker];
    const document = this.#document = { ...this.#document, left };
    return this.#writing = this.#writing.then(() => this.#store.write(document));
  }

  close(): void {
    this.#lock.release();
  }
}

/**
 * To be called before a folder is used by a node without workers.
 *
 * @throws {KvError} `bad_config` if it belongs to a machine with several
 */
export async function refuseMachineFolder(path: string): Promise<void> {
  if (!await exists(`${path}/${DOCUMENT}`)) return;
  const document = await readDocument(path, new FileDocumentStore(`${path}/${DOCUMENT}`));
  const staying = document === undefined ? [] : stayingIn(document);
  const count = document?.workers ?? "several";
  throw new KvError(
    "bad_config",
    `folder ${path} holds the data of a node with ${count} workers; start it with --workers ${count}` +
      (staying.length === 1
        ? `, or with --data ${path}/worker-${staying[0]}, since all others have left`
        : ""),
  );
}

/** Why so few workers cannot use a folder, and what to do; undefined if they can. */
function whyTooFew(path: string, document: MachineDocument, workers: number): string | undefined {
  const behind = stayingIn(document).filter((number) => number > workers);
  if (behind.length === 0) return undefined;
  const those = behind.length === 1 ? `worker ${behind[0]}` : `workers ${behind.join(", ")}`;
  return `folder ${path} holds the data of ${document.workers} workers, and --workers ${workers} would leave ` +
    `that of ${those} behind; start it with --workers ${document.workers}, let ${those} leave the cluster for ` +
    "good (SIGUSR1 to the process, whose pid is in the log), and then start it with fewer";
}

function stayingIn({ workers, left }: MachineDocument): number[] {
  return Array.from({ length: workers }, (_, i) => i + 1).filter((number) =>
    !left.includes(number)
  );
}

function alone(path: string): KvError {
  return new KvError(
    "bad_config",
    `folder ${path} holds the data of a node without workers; to go on with several, make it the folder of ` +
      `the first one: mv ${path} ${path}.one; mkdir ${path}; mv ${path}.one ${path}/worker-1 ` +
      `(and ${path}.security, if there is one, to ${path}/worker-1.security)`,
  );
}

async function readDocument(
  path: string,
  store: FileDocumentStore,
): Promise<MachineDocument | undefined> {
  const document = await store.read() as Partial<MachineDocument> | undefined;
  if (document === undefined) return undefined;
  const { format, workers, left } = document;
  if (format !== FORMAT) {
    throw new KvError(
      "wrong_version",
      `folder ${path} has format ${format} of workers, and this program writes ${FORMAT}; use a newer program`,
    );
  }
  const isWhole = Number.isSafeInteger(workers) && Array.isArray(left) &&
    left.every(Number.isSafeInteger);
  if (!isWhole) throw new KvError("corrupt", `${path}/${DOCUMENT} has no valid content`);
  return { format, workers: Number(workers), left: left ?? [] };
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw folderError(path, error);
  }
}
