/**
 * A document in a file. A new version is written to a file beside it, synced, and renamed over the old
 * one; then the folder is synced. So a crash at any moment leaves the old document or the new one, whole.
 *
 * The file is one line of JSON, `{"crc32c":…,"document":…}`, with the checksum of the document's own
 * text. A flipped bit may leave valid JSON, and the checksum finds it all the same.
 *
 * @module
 */
import { crc32c } from "../../base/crc32c.ts";
import type { DocumentStore } from "../document_store.ts";
import { KvError } from "../../base/errors.ts";

/** One JSON document in one file. */
export class FileDocumentStore implements DocumentStore {
  readonly #path: string;

  /** @param path the file; its folder must exist */
  constructor(path: string) {
    this.#path = path;
  }

  async read(): Promise<unknown | undefined> {
    let bytes: Uint8Array;
    try {
      // A leftover of a write that a crash cut short: the old document still counts.
      await Deno.remove(this.#besidePath).catch(ignoreMissing);
      bytes = await Deno.readFile(this.#path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw this.#error("storage_failed", "cannot be read", error);
    }
    return this.#decode(bytes);
  }

  async write(document: unknown): Promise<void> {
    const text = JSON.stringify(document);
    const crc = crc32c(new TextEncoder().encode(text));
    const bytes = new TextEncoder().encode(`{"crc32c":${crc},"document":${text}}\n`);
    try {
      await writeSynced(this.#besidePath, bytes);
      await Deno.rename(this.#besidePath, this.#path);
      await syncFolder(folderOf(this.#path));
    } catch (error) {
      throw this.#error("storage_failed", "cannot be written", error);
    }
  }

  get #besidePath(): string {
    return `${this.#path}.new`;
  }

  #decode(bytes: Uint8Array): unknown {
    let file: unknown;
    try {
      file = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch (error) {
      throw this.#error("corrupt", "is not JSON", error);
    }
    if (typeof file !== "object" || file === null || !("crc32c" in file && "document" in file)) {
      throw this.#error("corrupt", `is not of the form {"crc32c":…,"document":…}`);
    }
    const crc = crc32c(new TextEncoder().encode(JSON.stringify(file.document)));
    if (crc !== file.crc32c) throw this.#error("corrupt", "has a wrong checksum");
    return file.document;
  }

  #error(code: "corrupt" | "storage_failed", what: string, cause?: unknown): KvError {
    const why = cause instanceof Error ? `: ${cause.message}` : "";
    return new KvError(code, `file ${this.#path} ${what}${why}`, { cause });
  }
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await Deno.open(path, {
    write: true,
    create: true,
    truncate: true,
    mode: 0o600,
  });
  try {
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.sync();
  } finally {
    file.close();
  }
}

/** Makes a rename in a folder survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  // Windows can neither open nor sync a folder; renames there are as durable as they get.
  if (Deno.build.os === "windows") return;
  const folder = await Deno.open(path, { read: true });
  try {
    await folder.sync();
  } finally {
    folder.close();
  }
}

function folderOf(path: string): string {
  const end = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
  return end < 0 ? "." : end === 0 ? "/" : path.slice(0, end);
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
