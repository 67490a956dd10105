/**
 * The right of one process to use a folder: an exclusive lock on a file `lock` in it, which names the
 * process. The system lets go of it when the process ends, however that comes about. It is no more than
 * advice: it binds only those who ask for it, and a network file system may not keep it.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";

/** A folder that this process holds. */
export class FolderLock {
  readonly #file: Deno.FsFile;
  /** The lock file, then the folders that were made for it, the innermost first. */
  readonly #made: readonly string[];

  private constructor(file: Deno.FsFile, made: readonly string[]) {
    this.#file = file;
    this.#made = made;
  }

  /**
   * Makes the folder if it is missing, for this user alone, and takes it. Does not wait.
   *
   * @param program who takes it, for the message to the next one
   * @throws {KvError} `folder_in_use` where another holds it (this process included);
   * `bad_config` where the folder cannot be made or written, or is a file
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

  /** Lets go of the folder. */
  release(): void {
    this.#file.close();
  }

  /** Lets go of the folder, and leaves nothing that `acquire` has made, unless others have used it. */
  async undo(): Promise<void> {
    // Removed while it is still held, so that it is not another one's.
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

/** The folder and those around it that are not there, the innermost first. */
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

/** Writes into the lock file who holds it. A disk that is full is no reason not to start: it is a help. */
async function nameHolder(file: Deno.FsFile, program: string): Promise<void> {
  const holder: Holder = { program, pid: Deno.pid, since: new Date().toISOString() };
  try {
    await file.truncate();
    await file.write(new TextEncoder().encode(JSON.stringify(holder) + "\n"));
  } catch {
    // The lock counts all the same.
  }
}

interface Holder {
  readonly program: string;
  readonly pid: number;
  readonly since: string;
}

/** Who holds it, as the end of a clause; nothing if that cannot be read. */
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
