/**
 * The right of one process to use a folder: an exclusive lock on a file `lock` in it. The system
 * lets go of it when the process ends, however that comes about. It is no more than advice: it
 * binds only those who ask for it, and a network file system may not keep it.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";

/** A folder that this process holds. */
export class FolderLock {
  readonly #file: Deno.FsFile;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /**
   * Makes the folder where it is missing, and takes it. Does not wait.
   *
   * @throws {KvError} `folder_in_use` where another holds it (this process included);
   * `bad_config` where the folder cannot be made or written, or is a file
   */
  static async acquire(folder: string): Promise<FolderLock> {
    let file: Deno.FsFile;
    try {
      await Deno.mkdir(folder, { recursive: true });
      file = await Deno.open(`${folder}/lock`, { create: true, write: true });
    } catch (error) {
      throw folderError(folder, error);
    }
    if (await tryLock(file)) return new FolderLock(file);
    file.close();
    throw new KvError(
      "folder_in_use",
      `folder ${folder} is in use by another process; stop that process, or choose another folder`,
    );
  }

  /** Lets go of the folder. */
  release(): void {
    this.#file.close();
  }
}

/** Whether the lock was free. Deno 2.4 can only wait for one: there, a second is taken for "no". */
async function tryLock(file: Deno.FsFile): Promise<boolean> {
  if (typeof file.tryLock === "function") return await file.tryLock(true);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), 1000));
  try {
    return await Promise.race([file.lock(true).then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Why a folder cannot be used, in one line. */
export function folderError(folder: string, error: unknown): KvError {
  const options = { cause: error };
  if (error instanceof Deno.errors.AlreadyExists || error instanceof Deno.errors.NotADirectory) {
    return new KvError(
      "bad_config",
      `${folder} is a file, and must be a folder; choose another path, or move the file away`,
      options,
    );
  }
  if (
    error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable
  ) {
    return new KvError(
      "bad_config",
      `folder ${folder} cannot be read and written by this user; change its owner or permissions, ` +
        "or choose another folder",
      options,
    );
  }
  const message = error instanceof Error ? error.message : String(error);
  return new KvError("bad_config", `folder ${folder} cannot be used: ${message}`, options);
}
