/**
 * A file of Deno KV (SQLite, as `Deno.openKv(path)` makes it) as records of this store, and the other way round. It opens no
 * file; `client/cli/deno_kv_file.ts` does.
 *
 * @module
 */
import { entryMessage, typeOfEncoding } from "../../shared/denokv/values.ts";
import { KvError } from "../../shared/base/errors.ts";
import { keyOfBytes } from "../../shared/base/key_text.ts";
import type { KvEntry } from "../calls/call.ts";
import type { ImportItem } from "./import_format.ts";

/** A row of such a file. */
export interface KvFileRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** As in `shared/denokv/messages.ts`. */
  readonly encoding: number;
  readonly version: number;
  /** Milliseconds since 1970; 0 for never. */
  readonly expiresAtMs: number;
}

/** A file that is read. */
export interface KvFile {
  /** How many rows it has. */
  readonly count: number;
  /** Messages that wait in its queues, which this store has not. */
  readonly queued: number;
  rows(): AsyncIterable<KvFileRow> | Iterable<KvFileRow>;
  close(): void;
}

/** A file that is written; it gets its name when it is complete. */
export interface NewKvFile {
  write(row: KvFileRow): void;
  finish(): Promise<void>;
  abandon(): Promise<void>;
}

/** The rows of a file as records of a database; the line is the row's number, from 1. */
export async function* recordsOfKvFile(
  file: Pick<KvFile, "rows">,
): AsyncGenerator<ImportItem, void, void> {
  let line = 0;
  for await (const { key, value, encoding, expiresAtMs } of file.rows()) {
    line++;
    try {
      const contentType = typeOfEncoding(encoding, value);
      yield {
        line,
        key: keyOfBytes(key),
        value,
        ...(contentType === undefined ? {} : { contentType }),
        ...(expiresAtMs === 0 ? {} : { expiresAtMs }),
      };
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      yield { line, reason: error.message };
    }
  }
}

/** An entry of a database as a row of a file. */
export function kvFileRow(entry: KvEntry): KvFileRow {
  const { key, value, contentType, version, expiresAtMs = 0 } = entry;
  const stored = { key, value, contentType, seq: version, term: 0, flags: 0, timestampMs: 0 };
  const message = entryMessage({ ...stored, expiresAtMs });
  return { key: message.key, value, encoding: message.encoding, version, expiresAtMs };
}
