/**
 * A cluster's keys as JSON lines, `{"key":…,"value":…}`: `key64` if the key is not UTF-8, `value64` if the value is not UTF-8
 * or is shorter so, and `content_type` if it has one. `import` takes them back. In the order of
 * the keys. It keeps one page and one chunk in memory.
 *
 * @module
 */
import { keyField } from "../../shared/base/key_text.ts";
import { EXPORT_CHUNK_BYTES } from "../../shared/limits/client.ts";
import { encodeValue } from "../../shared/schema/value_codec.ts";
import type { KvEntry } from "../calls/call.ts";

/** The result of an export. */
export interface ExportSummary {
  keys: number;
  bytes: number;
}

/** Writes all entries. `write` is never called again before the promise of the last call is kept. */
export async function runExport(
  entries: AsyncIterable<KvEntry>,
  write: (bytes: Uint8Array) => Promise<void>,
  onProgress: (summary: Readonly<ExportSummary>) => void = () => {},
): Promise<ExportSummary> {
  const utf8 = new TextEncoder();
  const summary: ExportSummary = { keys: 0, bytes: 0 };
  let pending = "";
  const flush = async () => {
    const bytes = utf8.encode(pending);
    pending = "";
    await write(bytes);
    summary.bytes += bytes.length;
    onProgress(summary);
  };
  for await (const entry of entries) {
    pending += exportLine(entry);
    summary.keys++;
    if (pending.length >= EXPORT_CHUNK_BYTES) await flush();
  }
  if (pending !== "") await flush();
  return summary;
}

/** One line, with its end. */
function exportLine(entry: Pick<KvEntry, "key" | "value" | "contentType">): string {
  const { key, value, contentType } = entry;
  return JSON.stringify({
    ...keyField("key", key),
    ...encodeValue(value),
    content_type: contentType,
  }) + "\n";
}
