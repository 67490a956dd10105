/**
 * Storage on LevelDB, through classic-level: the table behind a journal. It adds three things: one write at a time, in order (the
 * binding's worker threads would let two overtake each other); errors with codes; and a reopening of the
 * database after a failed write.
 *
 * The reopening is needed for safety. If an append to LevelDB's log fails half-way (a full disk), LevelDB
 * goes on behind the torn record as if nothing had happened. Its next recovery may then skip what was
 * appended later, although it was acknowledged. After a failed fsync, LevelDB refuses all writes for good.
 * Closing and opening reads the log up to the tear, writes what is good to a table file, and begins a new
 * log. Until there is room for that, nothing is closed, so that reads go on.
 *
 * @module
 */
import { ClassicLevel } from "classic-level";
import { KvError } from "../../../shared/base/errors.ts";
import { PAST_ALL_ROWS } from "../record.ts";
import type {
  SnapshotRange,
  Storage,
  StorageChange,
  StorageRange,
  StorageRow,
  StorageSnapshot,
} from "../storage.ts";

type Database = ClassicLevel<Uint8Array, Uint8Array>;

/** What a recovery may have to write: the write buffer as a table file, a batch, and some more. */
const RECOVERY_BYTES = 16 * 1024 * 1024;
const LEVEL_CACHE_BYTES = 32 * 1024 * 1024;
/** What is fed between two flushes fits, so that a flush makes one file. */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024;
/** `highWaterMarkBytes` is an unsigned 32-bit number. */
const PAGE_BYTES_MAX = 2 ** 31;

interface QueuedWrite {
  readonly changes: StorageChange[];
  readonly sync: boolean;
  readonly done: (error: Error | undefined) => void;
}

/** An ordered map in a folder. */
export class LevelStorage implements Storage {
  readonly #path: string;
  readonly #db: Database;
  readonly #queued: QueuedWrite[] = [];
  #writing = false;
  /** The last write failed: nothing may be appended to the log before a recovery. */
  #mustReopen = false;
  #closed = false;
  #onIdle: (() => void) | undefined;

  private constructor(path: string, db: Database) {
    this.#path = path;
    this.#db = db;
  }

  /**
   * Opens the database in a folder, or creates one. Must not be tried twice in one process for one folder:
   * a second attempt would drop the lock of the first. `data_folder.ts` makes sure of that.
   *
   * @throws {KvError} `folder_in_use`, `corrupt`, `storage_failed`
   */
  static async open(path: string): Promise<LevelStorage> {
    const db: Database = new ClassicLevel<Uint8Array, Uint8Array>(path, {
      keyEncoding: "view",
      valueEncoding: "view",
      cacheSize: LEVEL_CACHE_BYTES,
      writeBufferSize: WRITE_BUFFER_BYTES,
    });
    try {
      await db.open();
    } catch (error) {
      throw openError(path, error);
    }
    return new LevelStorage(path, db);
  }

  /**
   * Makes a database readable again that is not open: copies what can be read out of the files that have
   * unreadable blocks, and puts these files aside. What was in those blocks is lost, and an older row may
   * appear in its place; nothing says which. It reads the whole database.
   *
   * @throws {KvError} `storage_failed`
   */
  static async repair(path: string): Promise<void> {
    try {
      await ClassicLevel.repair(path);
    } catch (error) {
      throw new KvError(
        "storage_failed",
        `cannot repair the database in ${path}: ${causeOf(error).message}`,
        {
          cause: error,
        },
      );
    }
  }

  /** @throws {KvError} `corrupt`, `storage_failed` */
  get(key: Uint8Array): Uint8Array | undefined {
    try {
      const value = this.#db.getSync(key);
      return value === undefined ? undefined : plain(value);
    } catch (error) {
      throw useError("read", this.#path, error);
    }
  }

  async prefetch(keys: Uint8Array[]): Promise<void> {
    try {
      await this.#db.getMany(keys);
    } catch (error) {
      // Whoever reads it is told.
      causeOf(error);
    }
  }

  write(
    changes: StorageChange[],
    sync: boolean,
    done: (error: Error | undefined) => void,
  ): void {
    this.#queued.push({ changes, sync, done });
    if (!this.#writing) this.#writeNext();
  }

  /** @throws {KvError} `corrupt`, `storage_failed` */
  async range(range: StorageRange): Promise<StorageRow[]> {
    const { from, to, rowsMax, reverse = false } = range;
    const bytesMax = Math.min(range.bytesMax, PAGE_BYTES_MAX);
    const rows: StorageRow[] = [];
    try {
      // The snapshot is taken here, before the first await.
      const iterator = this.#db.iterator({
        gte: from,
        lt: to,
        reverse,
        highWaterMarkBytes: Math.max(0, bytesMax - 1),
      });
      try {
        let bytes = 0;
        while (rows.length < rowsMax && bytes < bytesMax) {
          const page = await iterator.nextv(Math.min(1000, rowsMax - rows.length));
          if (page.length === 0) break;
          for (const row of inOneBuffer(page)) {
            bytes += row[0].length + row[1].length;
            rows.push(row);
            if (bytes >= bytesMax) break;
          }
        }
      } finally {
        await iterator.close();
      }
    } catch (error) {
      throw useError("read", this.#path, error);
    }
    return rows;
  }

  snapshot(range: SnapshotRange): StorageSnapshot {
    return new LevelSnapshot(this.#path, this.#db, range);
  }

  async check(): Promise<void> {
    const live = () => this.#db.status === "open" ? this.#db.getProperty("leveldb.sstables") : "";
    const before = tablesOf(live());
    const there = new Set<string>();
    let manifest: string;
    try {
      for await (const { name } of Deno.readDir(this.#path)) there.add(name);
      manifest = (await Deno.readTextFile(`${this.#path}/CURRENT`)).trim();
    } catch (error) {
      throw filesGone(this.#path, causeOf(error).message, error);
    }
    // Files that a compaction has replaced meanwhile are rightly deleted.
    const after = new Set(tablesOf(live()));
    const tables = before.filter((name) => after.has(name));
    const missing = ["LOCK", manifest, ...tables].filter((name) => !there.has(name));
    if (![...there].some((name) => name.endsWith(".log"))) missing.push("its log");
    if (missing.length > 0) throw filesGone(this.#path, `missing: ${missing.join(", ")}`);
  }

  /**
   * Makes LevelDB write its memory into a table file, which it syncs. It says nothing of a failure: if it could not
   * begin a new log, the old one stays; if it could not write the file, it refuses every later write.
   */
  async flush(): Promise<void> {
    const before = await this.#logNumber();
    await this.compact(PAST_ALL_ROWS, PAST_ALL_ROWS);
    if (await this.#logNumber() <= before) {
      this.#mustReopen = true;
      throw new KvError("storage_failed", `flush of ${this.#path} failed: no new log was begun`);
    }
    await new Promise<void>((resolve, reject) => {
      this.write([{ key: PAST_ALL_ROWS }], false, (error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  async #logNumber(): Promise<number> {
    let number = 0;
    try {
      for await (const { name } of Deno.readDir(this.#path)) {
        if (name.endsWith(".log")) number = Math.max(number, Number.parseInt(name));
      }
    } catch (error) {
      throw useError("read", this.#path, error);
    }
    return number;
  }

  async sizeOf(from: Uint8Array, to: Uint8Array): Promise<number> {
    try {
      return await this.#db.approximateSize(from, to);
    } catch (error) {
      throw useError("read", this.#path, error);
    }
  }

  async compact(from: Uint8Array, to: Uint8Array): Promise<void> {
    try {
      await this.#db.compactRange(from, to);
    } catch (error) {
      throw useError("compact", this.#path, error);
    }
  }

  // The binding ends only when everything it was asked for has ended, a compaction too.
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#writing) await new Promise<void>((resolve) => this.#onIdle = resolve);
    await this.#db.close();
  }

  #writeNext(): void {
    const write = this.#queued.shift();
    if (write === undefined) {
      this.#writing = false;
      this.#onIdle?.();
      return;
    }
    this.#writing = true;
    this.#writeOne(write).then(
      () => this.#finish(write, undefined),
      (error) => this.#finish(write, useError("write", this.#path, error)),
    );
  }

  #finish({ done }: QueuedWrite, error: KvError | undefined): void {
    // An error in `done` is a defect; it must reach the top, and not count as a failed write.
    try {
      done(error);
    } finally {
      this.#writeNext();
    }
  }

  async #writeOne({ changes, sync }: QueuedWrite): Promise<void> {
    if (this.#closed && this.#db.status !== "open") {
      throw new KvError("storage_failed", `write to ${this.#path}: the storage is closed`);
    }
    if (this.#mustReopen) await this.#reopen();
    const batch = this.#db.batch();
    try {
      for (const { key, value } of changes) {
        if (value === undefined) batch.del(key);
        else batch.put(key, value);
      }
      await batch.write({ sync });
    } catch (error) {
      this.#mustReopen = true;
      throw error;
    }
  }

  async #reopen(): Promise<void> {
    await this.#probe();
    await this.#db.close();
    try {
      // The database existed: if it is gone now, an empty one would be mistaken for it.
      await this.#db.open({ createIfMissing: false });
    } catch (error) {
      throw openError(this.#path, error);
    }
    this.#mustReopen = false;
  }

  /** Checks that the disk has room for a recovery. Fails as a write would. */
  async #probe(): Promise<void> {
    const path = `${this.#path}/probe.tmp`;
    try {
      const file = await Deno.open(path, { write: true, create: true, truncate: true });
      try {
        const zeros = new Uint8Array(1024 * 1024);
        for (let bytes = 0; bytes < RECOVERY_BYTES; bytes += zeros.length) {
          for (let at = 0; at < zeros.length;) at += await file.write(zeros.subarray(at));
        }
        await file.syncData();
      } finally {
        file.close();
      }
    } finally {
      await Deno.remove(path).catch(() => {});
    }
  }
}

/** The part of the binding's iterator that is used. */
interface RowIterator {
  nextv(rowsMax: number): Promise<[Uint8Array, Uint8Array][]>;
  close(): Promise<void>;
}

/** An iterator of LevelDB that stays open: it shows the database as it was when the iterator was made. */
class LevelSnapshot implements StorageSnapshot {
  readonly #path: string;
  readonly #range: SnapshotRange;
  readonly #iterator: RowIterator | undefined;
  /** Why there is no iterator; thrown when it is read. */
  readonly #failure: unknown;
  /** Rows that came with a page and did not fit into it. */
  #left: StorageRow[] = [];

  constructor(path: string, db: Database, range: SnapshotRange) {
    this.#path = path;
    this.#range = range;
    const highWaterMarkBytes = Math.max(0, Math.min(range.bytesMax, PAGE_BYTES_MAX) - 1);
    try {
      const { from, to, reverse = false } = range;
      this.#iterator = db.iterator({ gte: from, lt: to, reverse, highWaterMarkBytes });
    } catch (error) {
      this.#failure = error;
    }
  }

  /** @throws {KvError} `storage_failed`, also if the database was closed meanwhile */
  async next(): Promise<StorageRow[]> {
    const { rowsMax, bytesMax } = this.#range;
    const page: StorageRow[] = [];
    let bytes = 0;
    while (page.length < rowsMax && bytes < bytesMax) {
      const row = this.#left.shift();
      if (row === undefined) {
        if (!await this.#readOn(rowsMax - page.length)) break;
        continue;
      }
      bytes += row[0].length + row[1].length;
      page.push(row);
    }
    return page;
  }

  async close(): Promise<void> {
    await this.#iterator?.close();
  }

  /** False at the end. */
  async #readOn(rowsMax: number): Promise<boolean> {
    try {
      if (this.#iterator === undefined) throw this.#failure;
      const rows = await this.#iterator.nextv(Math.min(1000, rowsMax));
      this.#left = inOneBuffer(rows);
      return rows.length > 0;
    } catch (error) {
      throw useError("read", this.#path, error);
    }
  }
}

/** What to do about a damaged folder. */
export const REBUILD_ADVICE: string =
  "start the node with --rebuild, which moves its data folder aside and fills the node again from " +
  "the other replicas";

/** Longer keys and values keep the buffer that they came in. */
const PACKED_BYTES_MAX = 1_024;

/**
 * The rows with their short keys and values copied into one buffer. The binding makes two buffers for each row; if a scan
 * keeps them for so long that they become old, the collection that frees a hundred thousand of them holds up the whole
 * process for 200 ms.
 */
function inOneBuffer(rows: readonly (readonly [Uint8Array, Uint8Array])[]): StorageRow[] {
  let length = 0;
  for (const row of rows) {
    for (const bytes of row) if (bytes.length <= PACKED_BYTES_MAX) length += bytes.length;
  }
  const buffer = new Uint8Array(length);
  let at = 0;
  const kept = (bytes: Uint8Array) => {
    if (bytes.length > PACKED_BYTES_MAX) return plain(bytes);
    buffer.set(bytes, at);
    return buffer.subarray(at, at += bytes.length);
  };
  return rows.map(([key, value]) => [kept(key), kept(value)]);
}

/** The binding returns Node's `Buffer`, whose `slice` does not copy; no other code should have to know this. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function causeOf(error: unknown): { code: string; message: string } {
  let code = "";
  let message = String(error);
  for (let e = error; e instanceof Error; e = e.cause) {
    message = e.message;
    if ("code" in e && typeof e.code === "string") code = e.code;
  }
  return { code, message: message.replaceAll(/\s*\n\s*/g, " ") };
}

/** The names of the tables, which LevelDB lists as ` 12:4711['a' .. 'b']`; keys contain no line breaks there. */
function tablesOf(listing: string): string[] {
  return [...listing.matchAll(/^ (\d+):\d+\[/gm)].map(([, number = ""]) =>
    `${number.padStart(6, "0")}.ldb`
  );
}

function filesGone(path: string, what: string, cause?: unknown): KvError {
  return new KvError(
    "storage_failed",
    `files of the database in ${path} are gone (${what}); ${REBUILD_ADVICE}`,
    { cause },
  );
}

/** LevelDB reports a lost file as an I/O error of the system. */
function isDamage(code: string, message: string): boolean {
  return code === "LEVEL_CORRUPTION" ||
    (code === "LEVEL_IO_ERROR" && /no such file|does not exist/i.test(message));
}

function openError(path: string, error: unknown): KvError {
  const { code, message } = causeOf(error);
  if (code === "LEVEL_LOCKED") {
    return new KvError(
      "folder_in_use",
      `cannot open the database in ${path}: another process has it open; stop that process, or ` +
        "give this node another folder",
      { cause: error },
    );
  }
  if (isDamage(code, message)) {
    return new KvError(
      "corrupt",
      `cannot open the database in ${path}: it is damaged (${message}); ${REBUILD_ADVICE}`,
      { cause: error },
    );
  }
  return new KvError("storage_failed", `cannot open the database in ${path}: ${message}`, {
    cause: error,
  });
}

function useError(action: "read" | "write" | "compact", path: string, error: unknown): KvError {
  if (error instanceof KvError) return error;
  const { code, message } = causeOf(error);
  // LevelDB accepts no writes after it met a damaged block while compacting files.
  const damage = action === "write" ? code === "LEVEL_CORRUPTION" : isDamage(code, message);
  return new KvError(
    damage ? "corrupt" : "storage_failed",
    `${action} in ${path} failed: ${message}`,
    { cause: error },
  );
}
