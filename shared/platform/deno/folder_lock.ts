/**
 * The right of one process to use a folder: an exclusive lock on a file `lock` in it, which names the
 * process. The system releases it when the process ends, however it ends. The lock is advisory: it binds
 * only processes that ask for it, and a network file system may not support it.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";

/** A folder that this process has locked. */
export class FolderLock {
  readonly #file: Deno.FsFile;
  /** The lock file, then the folders that were created for it, the innermost first. */
  readonly #made: readonly string[];

  private constructor(file: Deno.FsFile, made: readonly string[]) {
    this.#file = file;
    this.#made = made;
  }

  /**
   * Creates the folder if it is missing, for this user only, and locks it. Does not wait.
   *
   * @param program the program that locks it, for the message to the next one
   * @throws {KvError} `folder_in_use` if another process has locked it (or this one);
   * `bad_config` if the folder cannot be created or written, or is a file
   */
  static async acquire(folder: string, program: string): Promise<FolderLock> {
    const path = `${folder}/lock`;
    let file: Deno.FsFile;
    let made: string[];
    try {
      made = await missingFolders(folder);
      await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
      file = await Deno.open(path, { create: true, write: true, mode: 0o600 });
    } catch (error) {
      throw folderError(folder, error);
    }
    if (await tryLock(file)) {
      await nameHolder(file, program);
      return new FolderLock(file, made.length === 0 ? [] : [path, ...made]);
    }
    file.close();
    throw new KvError(
      "folder_in_use",
      `folder ${folder} is in use by another process${await holderOf(
        path,
      )}; stop that process, or ` +
        "choose another folder",
    );
  }

  /** Releases the folder. */
  release(): void {
    this.#file.close();
  }

  /** Releases the folder and removes everything that `acquire` has created, unless others have used it. */
  async undo(): Promise<void> {
    // Removed while it is still locked, so that it cannot be another process's file.
    for (const path of this.#made) {
      try {
        await Deno.remove(path);
      } catch {
        break;
      }
    }
    this.release();
  }
}

/** The folder and its parents that do not exist, the innermost first. */
async function missingFolders(folder: string): Promise<string[]> {
  const missing: string[] = [];
  for (
    let path = folder.replace(/(?<=.)[/\\]+$/, "");
    path !== "";
    path = path.replace(/[/\\]*[^/\\]*$/, "")
  ) {
    try {
      await Deno.lstat(path);
      break;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) break;
      missing.push(path);
    }
  }
  return missing;
}

/** Writes the holder into the lock file. A full disk is no reason not to start: the text is only a help. */
async function nameHolder(file: Deno.FsFile, program: string): Promise<void> {
  const holder: Holder = { program, pid: Deno.pid, since: new Date().toISOString() };
  try {
    await file.truncate();
    await file.write(new TextEncoder().encode(JSON.stringify(holder) + "\n"));
  } catch {
    // The lock is valid all the same.
  }
}

interface Holder {
  readonly program: string;
  readonly pid: number;
  readonly since: string;
}

/** Which process holds it, as the end of a clause; empty if that cannot be read. */
async function holderOf(path: string): Promise<string> {
  try {
    const { program, pid, since }: Partial<Holder> = JSON.parse(await Deno.readTextFile(path));
    const known = typeof program === "string" && Number.isSafeInteger(pid) &&
      typeof since === "string";
    return known ? `: ${program}, pid ${pid}, since ${since}` : "";
  } catch {
    return "";
  }
}

/** Whether the lock was free. Deno 2.4 can only wait for a lock; there, a second without it counts as "no". */
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
