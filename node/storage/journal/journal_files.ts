/**
 * The files of a journal, as the journal sees them: appended to, read as a whole, removed. The real version is
 * `deno_journal_files.ts`; the simulator has one that tears, loses and garbles.
 *
 * @module
 */

/** A file that is appended to. */
export interface JournalFile {
  /**
   * Adds bytes at the end, and, with `sync`, makes all of the file survive a power cut. If it fails, some of the bytes
   * may be there, and what was not synced before may be lost.
   *
   * @throws {KvError} `storage_failed`
   */
  append(bytes: Uint8Array, sync: boolean): Promise<void>;
  close(): void;
}

/** A folder with the files of one journal. */
export interface JournalFiles {
  /** The names of all files there. @throws {KvError} `storage_failed` */
  list(): Promise<string[]>;
  /** All of a file. @throws {KvError} `storage_failed` */
  read(name: string): Promise<Uint8Array>;
  /** What is there of a file survives a power cut from now on. @throws {KvError} `storage_failed` */
  sync(name: string): Promise<void>;
  /**
   * A new file with this content, which survives a power cut, its name too. If it fails, some of it may be there.
   *
   * @throws {KvError} `storage_failed`
   */
  create(name: string, content: Uint8Array): Promise<JournalFile>;
  /** @throws {KvError} `storage_failed` */
  remove(name: string): Promise<void>;
  /** Takes so many bytes of the disk in advance, if they are not taken already. @throws {KvError} `storage_failed` */
  reserve(bytes: number): Promise<void>;
  /** Gives them back, for what is written next. @throws {KvError} `storage_failed` */
  release(): Promise<void>;
}
