/**
 * How results look: tables and lists for people, JSON for programs. Pure.
 *
 * @module
 */
import { KvError, toKvError } from "../../../shared/base/errors.ts";
import { keyField, quotedKey } from "../../../shared/base/key_text.ts";
import { formatDuration } from "../../../shared/arguments/field_text.ts";
import { encodeValue } from "../../../shared/schema/value_codec.ts";
import type { ImportSummary } from "../../transfer/import_run.ts";
import type { KvEntry } from "../../calls/call.ts";

/** Columns as narrow as possible, two spaces between them; numbers are right-aligned. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const widths = header.map((name, i) =>
    Math.max(name.length, ...rows.map((row) => String(row[i] ?? "").length))
  );
  const line = (cells: readonly (string | number)[]) =>
    cells.map((cell, i) => {
      const width = widths[i] ?? 0;
      return typeof cell === "number" ? String(cell).padStart(width) : cell.padEnd(width);
    }).join("  ").trimEnd();
  const isNumber = header.map((_, i) => typeof rows[0]?.[i] === "number");
  const head = header.map((name, i) => isNumber[i] ? name.padStart(widths[i] ?? 0) : name);
  return [line(head), ...rows.map(line)].map((text) => text + "\n").join("");
}

/** A document as indented `name: value` lines; small lists and objects on one line. */
export function formatDocument(value: unknown, indent = ""): string {
  if (typeof value !== "object" || value === null) return `${indent}${scalar(value)}\n`;
  return Object.entries(value).map(([name, member]) => {
    if (typeof member !== "object" || member === null) {
      return `${indent}${name}: ${scalar(member)}\n`;
    }
    const short = JSON.stringify(member);
    return short.length <= 60
      ? `${indent}${name}: ${short}\n`
      : `${indent}${name}:\n${formatDocument(member, indent + "  ")}`;
  }).join("");
}

function scalar(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value) ?? "";
}

/** An entry as the JSON of `get --json`. */
export function entryDocument(entry: KvEntry): Record<string, unknown> {
  return {
    ...keyField("key", entry.key),
    ...encodeValue(entry.value),
    version: entry.version,
    timestamp: entry.timestampMs,
    ...(entry.expiresAtMs === undefined ? {} : { expires_at: entry.expiresAtMs }),
    ...(entry.contentType === undefined ? {} : { content_type: entry.contentType }),
  };
}

/** What is known about an entry besides its value, on one line. */
export function metadataLine(entry: KvEntry): string {
  const { version, timestampMs, expiresAtMs, ttlMs = 0 } = entry;
  const expiry = expiresAtMs === undefined
    ? "never expires"
    : `expires in ${timeLeft(ttlMs)} (${dateText(expiresAtMs)})`;
  const type = entry.contentType === undefined ? "" : `, ${entry.contentType}`;
  return `version ${version}, written ${dateText(timestampMs)}, ${expiry}${type}`;
}

/** A key on a line of its own; quoted, with escapes, if it could not be read back otherwise. */
export function keyLabel(key: string): string {
  // deno-lint-ignore no-control-regex
  return /^"|[\u0000-\u001f\u007f]/.test(key) || !key.isWellFormed() ? quotedKey(key) : key;
}

/** Put before a value that is shown in base64. */
const BASE64 = "base64:";

/**
 * A value on a line with others: its bytes as they are, unless they could be mistaken for something else. A
 * value with line breaks or other control characters is quoted as JSON, or shown as base64 if it is not text;
 * so is a value that looks as if it had been.
 */
export function valueLabel(value: Uint8Array): string | Uint8Array {
  const isPlain = !value.some((byte) => byte < 0x20 || byte === 0x7f) && value[0] !== QUOTE &&
    !BASE64_BYTES.every((byte, i) => value[i] === byte);
  if (isPlain) return value;
  const encoded = encodeValue(value);
  return "value" in encoded ? JSON.stringify(encoded.value) : BASE64 + encoded.value64;
}

const BASE64_BYTES = new TextEncoder().encode(BASE64);
const QUOTE = 0x22;

/** `29m 59s`: in whole seconds; below a second in milliseconds. */
export function timeLeft(ms: number): string {
  return formatDuration(ms < 1_000 ? ms : Math.round(ms / 1_000) * 1_000);
}

/** A date that `--expires-at` reads; beyond the calendar, the milliseconds since 1970. */
export function dateText(ms: number): string {
  return ms <= 8.64e15 ? new Date(ms).toISOString() : String(ms);
}

/** An error for people: code and text. */
export function errorLine(error: KvError): string {
  return `${error.code}: ${error.message}`;
}

/** An error for programs. */
export function errorDocument(error: KvError): Record<string, unknown> {
  const { code, message, detail } = error;
  return { error: { code, message, ...(detail === undefined ? {} : { detail }) } };
}

/**
 * What a command threw, as an error with a code.
 *
 * @param writes whether the command may have changed something if it was interrupted
 */
export function commandError(thrown: unknown, writes = true): KvError {
  if (thrown instanceof Error && thrown.name === "AbortError") {
    const cause = { cause: thrown };
    return writes
      ? new KvError("outcome_unknown", "interrupted; a write may or may not have happened", cause)
      : new KvError("timeout", "interrupted", cause);
  }
  return toKvError(thrown);
}

/** Why the system refused a file, without its error number and without what is known already. */
export function systemReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // The runtime's text names its own flags, which this program does not have.
  if (error.name === "NotCapable") {
    return "this program reads and writes no devices and system files; - is standard input or output";
  }
  return error.message.replace(/ \(os error \d+\).*$/s, "");
}

/** The text names this many rejected records. */
const LISTED_LINES = 20;

/** An import's summary for people. */
export function importText(file: string, summary: ImportSummary): string {
  const lines = [
    `import of ${file}: ${summary.stopped === undefined ? "done" : "stopped"}`,
    `  records        ${count(summary.records)}`,
    `  keys           ${count(summary.keys)}`,
    `  repeated keys  ${count(summary.repeatedKeys)}${
      listed(summary.repeated, summary.repeatedKeys, (r) => `${r.key} (line ${r.line})`)
    }`,
    `  written        ${count(summary.written)}`,
    `  rejected       ${count(summary.rejected)}`,
    ...summary.rejectedRecords.slice(0, LISTED_LINES).map(rejectedLine),
    ...(summary.rejected > LISTED_LINES
      ? [`    … and ${count(summary.rejected - LISTED_LINES)} more (--json lists 1,000)`]
      : []),
    `  retries        ${count(summary.retries)}`,
    `  time           ${(summary.elapsedMs / 1_000).toFixed(1)} s, ` +
    `${count(summary.recordsPerSecond)} records/s`,
    ...(summary.stopped === undefined ? [] : [`  stopped: ${summary.stopped}`]),
  ];
  return lines.join("\n") + "\n";
}

function rejectedLine(record: ImportSummary["rejectedRecords"][number]): string {
  const key = record.key === undefined ? "" : ` (key ${JSON.stringify(record.key)})`;
  const code = record.code === undefined ? "" : `${record.code}: `;
  return `    line ${record.line}${key}: ${code}${record.reason}`;
}

/** The first few of a list in brackets. */
function listed<T>(items: readonly T[], total: number, text: (item: T) => string): string {
  if (items.length === 0) return "";
  const shown = items.slice(0, 5).map(text).join(", ");
  return total > 5 ? `  ${shown}, …` : `  ${shown}`;
}

/** `32,530`. */
export function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `4.1 MiB`. */
export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = -1;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}
