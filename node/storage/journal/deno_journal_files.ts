/**
 * The files of a journal in a folder of the file system.
 *
 * Small frames are written by a synchronous call: it takes as long as copying them, since the disk has them only with
 * the sync, which leaves the event loop free. An asynchronous write costs a thread's turn (docs/performance.md).
 *
 * @module
 */
import { KvError, messageOf } from "../../../shared/base/errors.ts";
import { KIB } from "../../../shared/base/units.ts";
import type { JournalFile, JournalFiles } from "./journal_files.ts";

/** The file that takes space in advance. */
const RESERVE = "reserve";

/** What is written at once without asking whether the system has room for it in its memory. */
const SMALL_BYTES: number = 256 * KIB;

/** A folder, which is made if it is not there. */
export class DenoJournalFiles implements JournalFiles {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async list(): Promise<string[]> {
    const names: string[] = [];
    try {
      await Deno.mkdir(this.#path, { recursive: true, mode: 0o700 });
      for await (const { name } of Deno.readDir(this.#path)) names.push(name);
    } catch (error) {
      throw failed("list", this.#path, error);
    }
    return names;
  }

  async read(name: string): Promise<Uint8Array> {
    try {
      return await Deno.readFile(`${this.#path}/${name}`);
    } catch (error) {
      throw failed("read", `${this.#path}/${name}`, error);
    }
  }

  async sync(name: string): Promise<void> {
    await syncPath(`${this.#path}/${name}`);
  }

  async create(name: string, content: Uint8Array): Promise<JournalFile> {
    const path = `${this.#path}/${name}`;
    let file: DenoJournalFile;
    try {
      const options = { write: true, create: true, truncate: true, mode: 0o600 };
      file = new DenoJournalFile(path, await Deno.open(path, options));
    } catch (error) {
      throw failed("create", path, error);
    }
    try {
      await file.append(content, true);
      await syncPath(this.#path);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  async reserve(bytes: number): Promise<void> {
    const path = `${this.#path}/${RESERVE}`;
    try {
      if (await sizeOf(path) === bytes) return;
      // Random, because a file system that compresses would take no space for zeros.
      const piece = crypto.getRandomValues(new Uint8Array(64 * KIB));
      const options = { write: true, create: true, truncate: true, mode: 0o600 };
      const file = await Deno.open(path, options);
      try {
        for (let at = 0; at < bytes;) {
          at += await file.write(piece.subarray(0, Math.min(piece.length, bytes - at)));
        }
        await file.syncData();
      } finally {
        file.close();
      }
    } catch (error) {
      await this.remove(RESERVE).catch(() => {});
      throw failed("take space in advance in", path, error);
    }
  }

  release(): Promise<void> {
    return this.remove(RESERVE);
  }

  async remove(name: string): Promise<void> {
    try {
      await Deno.remove(`${this.#path}/${name}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw failed("remove", `${this.#path}/${name}`, error);
    }
  }
}

class DenoJournalFile implements JournalFile {
  readonly #path: string;
  readonly #file: Deno.FsFile;

  constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  async append(bytes: Uint8Array, sync: boolean): Promise<void> {
    const small = bytes.length <= SMALL_BYTES;
    try {
      for (let at = 0; at < bytes.length;) {
        const rest = at === 0 ? bytes : bytes.subarray(at);
        at += small ? this.#file.writeSync(rest) : await this.#file.write(rest);
      }
      if (sync) await this.#file.syncData();
    } catch (error) {
      throw failed("write", this.#path, error);
    }
  }

  close(): void {
    this.#file.close();
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function syncPath(path: string): Promise<void> {
  try {
    const file = await Deno.open(path, { read: true });
    try {
      await file.sync();
    } finally {
      file.close();
    }
  } catch (error) {
    throw failed("sync", path, error);
  }
}

function failed(action: string, path: string, error: unknown): KvError {
  if (error instanceof KvError) return error;
  return new KvError("storage_failed", `cannot ${action} ${path}: ${messageOf(error)}`, {
    cause: error,
  });
}
