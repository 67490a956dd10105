/**
 * The files of a journal in a folder of the file system.
 *
 * Small frames are written by a synchronous call: it takes as long as copying them, since the disk has them only with
 * the sync, which leaves the event loop free. An asynchronous write costs a thread's turn (docs/performance.md).
 *
 * A file that is removed is kept for the next one that is created, which is written over it. Its blocks are the file
 * system's already, so a sync need not write the file system's own journal: a third less processor time, and sooner done.
 * For the same reason a file that has no earlier one is filled with zeros ahead of what is written, piece by piece.
 * Behind what was written, a file has what the earlier one had, or zeros. Nobody takes that for anything: a segment's frames
 * have its salt. A file that ends shorter is cut when it is closed.
 *
 * Invariant: a file is written over only when its earlier name is gone for good.
 *
 * @module
 */
import { failureOf, KvError, messageOf } from "../../../shared/base/errors.ts";
import { KIB } from "../../../shared/base/units.ts";
import type { JournalFile, JournalFiles } from "./journal_files.ts";

/** The file that takes space in advance. */
const RESERVE = "reserve";

/** A file that is not needed any more, and will be written over. */
const SPARE = "spare";

/** What is written at once without asking whether the system has room for it in its memory. */
const SMALL_BYTES: number = 256 * KIB;

/** What a file is filled with ahead of what is written, and how much of it at a time. */
const ZEROS: Uint8Array = new Uint8Array(256 * KIB);

/** A folder, which is made if it is not there. */
export class DenoJournalFiles implements JournalFiles {
  readonly #path: string;
  /** Made by this process. Those of an earlier version are not written over: its frames have no mark. */
  readonly #made = new Set<string>();

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
    this.#made.add(name);
    const earlierBytes = await this.#takeSpare(path);
    let file: DenoJournalFile;
    try {
      const truncate = earlierBytes === 0;
      const options = { write: true, create: true, truncate, mode: 0o600 };
      file = new DenoJournalFile(path, await Deno.open(path, options), earlierBytes);
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

  /** Gives the file that was kept its new name, for good. @returns its bytes; 0 if there is none */
  async #takeSpare(path: string): Promise<number> {
    try {
      await Deno.rename(`${this.#path}/${SPARE}`, path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return 0;
      throw failed("create", path, error);
    }
    await syncPath(this.#path);
    return await sizeOf(path) ?? 0;
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
      for (const name of [RESERVE, SPARE]) await this.#delete(name).catch(() => {});
      throw failed("take space in advance in", path, error);
    }
  }

  release(): Promise<void> {
    return this.#delete(RESERVE);
  }

  async remove(name: string): Promise<void> {
    const mayRecycle = this.#made.delete(name);
    const hasSpare = await sizeOf(`${this.#path}/${SPARE}`) !== undefined;
    if (!mayRecycle || hasSpare) return await this.#delete(name);
    try {
      await Deno.rename(`${this.#path}/${name}`, `${this.#path}/${SPARE}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw failed("remove", `${this.#path}/${name}`, error);
    }
  }

  async #delete(name: string): Promise<void> {
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
  /** The file's length: of an earlier one, or as far as it was filled with zeros. */
  #filledBytes: number;
  #bytes = 0;

  /** @param earlierBytes of the file that it is written over; 0: it is new */
  constructor(path: string, file: Deno.FsFile, earlierBytes = 0) {
    this.#path = path;
    this.#file = file;
    this.#filledBytes = earlierBytes;
  }

  async append(bytes: Uint8Array, sync: boolean): Promise<void> {
    const small = bytes.length <= SMALL_BYTES;
    try {
      if (small) this.#fillAhead(bytes.length);
      for (let at = 0; at < bytes.length;) {
        const rest = at === 0 ? bytes : bytes.subarray(at);
        at += small ? this.#file.writeSync(rest) : await this.#file.write(rest);
      }
      this.#bytes += bytes.length;
      if (sync) await this.#file.syncData();
    } catch (error) {
      throw failed("write", this.#path, error);
    }
  }

  /** A file that is about to become longer does so once for many writes. */
  #fillAhead(bytes: number): void {
    const from = Math.max(this.#filledBytes, this.#bytes);
    if (this.#bytes + bytes <= from) return;
    try {
      this.#file.seekSync(from, Deno.SeekMode.Start);
      this.#filledBytes = from + this.#file.writeSync(ZEROS);
    } catch (error) {
      // There is no room: the write itself says so, if it finds none either.
      failureOf(error);
    }
    this.#file.seekSync(this.#bytes, Deno.SeekMode.Start);
  }

  close(): void {
    try {
      if (this.#bytes < this.#filledBytes) this.#file.truncateSync(this.#bytes);
    } catch (error) {
      // It only takes more room than it needs.
      failureOf(error);
    }
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
