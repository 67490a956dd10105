/**
 * Parses files into records: CSV (RFC 4180, through csv-parse) and JSON lines. It takes bytes and returns
 * records and rejected lines, one at a time, so a file of any size passes through bounded memory. It writes
 * nothing to a cluster; `import_run.ts` does. Text that is not UTF-8 is rejected and never altered.
 *
 * @module
 */
import { CsvError, parse } from "csv-parse";
import { parseBoundedJson } from "../../shared/schema/bounded_json.ts";
import { KvError } from "../../shared/base/errors.ts";
import { joinBytes } from "../../shared/base/join_bytes.ts";
import { IMPORT_RECORD_BYTES_MAX } from "../../shared/limits/client.ts";
import { isMediaType } from "../../shared/cluster/map_shape.ts";
import { decodeValue, fromWireKey } from "../../shared/schema/value_codec.ts";

/** A record of a file, or why a line is not one. */
export type ImportItem =
  | {
    line: number;
    key: string;
    value: Uint8Array;
    contentType?: string;
    /** Milliseconds since 1970; absent for never. */
    expiresAtMs?: number;
    reason?: undefined;
  }
  | { line: number; reason: string };

/** The formats of a file. */
export type ImportFormat = "csv" | "jsonl";

/** The format by a file's name, or undefined if the name does not say. */
export function formatOfPath(path: string): ImportFormat | undefined {
  const extension = /\.([a-z0-9]+)$/i.exec(path)?.[1]?.toLowerCase();
  if (extension === "csv") return "csv";
  return extension === "jsonl" || extension === "ndjson" ? "jsonl" : undefined;
}

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const NOT_UTF8 = "is not valid UTF-8; convert the file first, as with iconv -f latin1 -t utf-8";

/**
 * The records of a CSV file with a header line. Each becomes a JSON object of strings by column
 * name, under the key in the column `keyColumn`.
 *
 * @throws {KvError} `bad_request` if the header has no such column
 */
export async function* readCsv(
  chunks: AsyncIterable<Uint8Array>,
  keyColumn: string | undefined,
): AsyncGenerator<ImportItem, void, void> {
  let header: CsvHeader | undefined;
  // The parser's own count takes a CR LF inside quotes for two lines.
  let line = 1;
  try {
    for await (const fields of csvRows(withoutByteOrderMark(chunks))) {
      const begin = line;
      line += 1 + fields.reduce((count, field) => count + lineBreaks(field), 0);
      if (fields.length === 1 && fields[0]?.length === 0) continue;
      if (header === undefined) header = readHeader(fields, keyColumn);
      else yield csvItem(fields, header, begin);
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    if (header === undefined) {
      throw new KvError("bad_request", `import: line ${line}: ${csvReason(error)}`);
    }
    yield { line, reason: csvReason(error) };
  }
}

/**
 * Rows of fields. The parser is fed by hand, a chunk at a time: as an async iterable it would lose the rows
 * that it had read before an error.
 *
 * @throws {CsvError}
 */
async function* csvRows(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array[]> {
  let rows: Uint8Array[][] = [];
  let failure: Error | undefined;
  // Fields come as bytes, because the parser's own decoder would replace what is not UTF-8.
  const parser = parse({
    encoding: null,
    relax_column_count: true,
    relax_quotes: true,
    max_record_size: IMPORT_RECORD_BYTES_MAX,
    on_record: (fields: unknown) => {
      rows.push(fields as Uint8Array[]);
      return null;
    },
  });
  parser.on("error", (error) => failure = error);
  const take = () => {
    const taken = rows;
    rows = [];
    return taken;
  };
  try {
    for await (const chunk of chunks) {
      await new Promise<void>((resolve) => parser.write(chunk, () => resolve()));
      yield* take();
      if (failure !== undefined) throw failure;
    }
    await new Promise<void>((resolve) => {
      parser.on("error", () => resolve());
      parser.end(resolve);
    });
    yield* take();
    if (failure !== undefined) throw failure;
  } finally {
    parser.destroy();
  }
}

interface CsvHeader {
  columns: string[];
  keyIndex: number;
}

function readHeader(fields: Uint8Array[], keyColumn: string | undefined): CsvHeader {
  const columns = fields.map((field) => decode(field));
  if (!columns.every((name) => name !== undefined)) {
    throw new KvError("bad_request", `import: the header line ${NOT_UTF8}`);
  }
  const names = columns.map((name) => JSON.stringify(name)).join(", ");
  if (keyColumn === undefined) {
    throw new KvError("bad_request", `import: --key-column is required; the columns are ${names}`);
  }
  if (new Set(columns).size !== columns.length) {
    throw new KvError("bad_request", `import: two columns have one name; the columns are ${names}`);
  }
  const keyIndex = columns.indexOf(keyColumn);
  if (keyIndex < 0) {
    throw new KvError(
      "bad_request",
      `import: there is no column ${JSON.stringify(keyColumn)}; the columns are ${names}`,
    );
  }
  return { columns, keyIndex };
}

function csvItem(fields: Uint8Array[], { columns, keyIndex }: CsvHeader, line: number): ImportItem {
  if (fields.length !== columns.length) {
    return { line, reason: `${columns.length} columns are required, ${fields.length} were found` };
  }
  const row: [string, string][] = [];
  for (const [i, field] of fields.entries()) {
    const name = columns[i] ?? "";
    const text = decode(field);
    if (text === undefined) return { line, reason: `column ${JSON.stringify(name)} ${NOT_UTF8}` };
    row.push([name, text]);
  }
  const key = row[keyIndex]?.[1] ?? "";
  if (key === "") return { line, reason: "the key is empty" };
  return { line, key, value: utf8.encode(JSON.stringify(Object.fromEntries(row))) };
}

function csvReason(error: CsvError): string {
  if (error.code === "CSV_QUOTE_NOT_CLOSED") {
    return 'a quote (") is opened here and not closed up to the end of the file';
  }
  if (error.code === "CSV_MAX_RECORD_SIZE") {
    return `the record is longer than ${IMPORT_RECORD_BYTES_MAX} bytes, perhaps since a quote (") ` +
      "is not closed; nothing after it was read";
  }
  return `${error.message}; nothing after it was read`;
}

function lineBreaks(field: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < field.length; i++) {
    if (field[i] === 10 || (field[i] === 13 && field[i + 1] !== 10)) count++;
  }
  return count;
}

/**
 * The records of JSON lines, `{"key":…,"value":…}`. A value that is a string is stored as it is; any other
 * but null as its JSON text; `key64` and `value64` as the bytes that it encodes. `content_type` is stored with it.
 */
export async function* readJsonLines(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<ImportItem, void, void> {
  let line = 0;
  for await (const bytes of splitLines(withoutByteOrderMark(chunks), IMPORT_RECORD_BYTES_MAX)) {
    line++;
    if (bytes === undefined) {
      yield { line, reason: `the line is longer than ${IMPORT_RECORD_BYTES_MAX} bytes` };
      continue;
    }
    const text = decode(bytes);
    if (text === undefined) yield { line, reason: `the line ${NOT_UTF8}` };
    else if (text.trim() !== "") yield jsonItem(text, line);
  }
}

function jsonItem(text: string, line: number): ImportItem {
  let parsed: unknown;
  try {
    parsed = parseBoundedJson(text);
  } catch (error) {
    if (error instanceof KvError) return { line, reason: error.message };
    return { line, reason: `not JSON: ${error instanceof Error ? error.message : error}` };
  }
  if (typeof parsed !== "object" || parsed === null || !("key" in parsed || "key64" in parsed)) {
    return { line, reason: `required {"key":…,"value":…}, found no "key"` };
  }
  const key = importedKey(parsed);
  if (key === undefined) {
    return { line, reason: `"key" must be a non-empty text, or "key64" base64` };
  }
  const type = "content_type" in parsed ? parsed.content_type : undefined;
  if (type !== undefined && type !== null && !isMediaType(type)) {
    return { line, reason: `"content_type" must be a media type, as in "text/html"` };
  }
  const typed = typeof type === "string" ? { contentType: type } : {};
  if ("value64" in parsed) {
    if (typeof parsed.value64 !== "string") return { line, reason: `"value64" must be a string` };
    try {
      const value = decodeValue({ value64: parsed.value64 }) ?? new Uint8Array(0);
      return { line, key, value, ...typed };
    } catch {
      return { line, reason: `"value64" is not base64` };
    }
  }
  if (!("value" in parsed) || parsed.value === null) {
    return { line, reason: `"value" or "value64" is missing` };
  }
  // A value that is not a string keeps half of a pair as the escape that it has in JSON.
  const { value: given } = parsed;
  const value = typeof given === "string" ? given : JSON.stringify(given);
  if (!value.isWellFormed()) {
    return { line, reason: `"value" has half of a surrogate pair, which is not Unicode text` };
  }
  return { line, key, value: utf8.encode(value), ...typed };
}

function importedKey(parsed: { key?: unknown; key64?: unknown }): string | undefined {
  const { key, key64 } = parsed;
  try {
    return fromWireKey(key ?? { key64 }) || undefined;
  } catch {
    return undefined;
  }
}

/** The lines of a text file; undefined for a line that is too long or not UTF-8. */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<string | undefined, void, void> {
  for await (const bytes of splitLines(withoutByteOrderMark(chunks), IMPORT_RECORD_BYTES_MAX)) {
    yield bytes === undefined ? undefined : decode(bytes);
  }
}

/** Lines without their ends; undefined for a line that is too long. A last empty line does not count. */
async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<Uint8Array | undefined, void, void> {
  let pieces: Uint8Array[] = [];
  let bytes = 0;
  const take = (): Uint8Array | undefined => {
    const line = bytes > bytesMax ? undefined : joinBytes(pieces);
    pieces = [];
    bytes = 0;
    return line;
  };
  const keep = (piece: Uint8Array) => {
    bytes += piece.length;
    if (bytes <= bytesMax) pieces.push(piece);
    else pieces = [];
  };
  for await (const chunk of chunks) {
    let begin = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, begin)) {
      keep(chunk.subarray(begin, end));
      yield take();
      begin = end + 1;
    }
    // A copy, because the reader may reuse the chunk's memory.
    if (begin < chunk.length) keep(chunk.slice(begin));
  }
  if (bytes > 0) yield take();
}

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** The chunks without the byte order mark that some programs put at the beginning of a file. */
async function* withoutByteOrderMark(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  let head: Uint8Array | undefined = new Uint8Array(0);
  for await (const chunk of chunks) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    head = joinBytes([head, chunk]);
    if (head.length < BYTE_ORDER_MARK.length) continue;
    const marked = BYTE_ORDER_MARK.every((byte, i) => head?.[i] === byte);
    yield marked ? head.subarray(BYTE_ORDER_MARK.length) : head;
    head = undefined;
  }
  if (head !== undefined && head.length > 0) yield head;
}

/** Text, or undefined if the bytes are not UTF-8. */
function decode(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}
