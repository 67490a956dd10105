/**
 * The commands that read and write files of records: `import` and `export`.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { joinBytes } from "../../../shared/base/join_bytes.ts";
import { KvDatabase } from "../../../shared/denokv/kv_database.ts";
import { described, optional, text } from "../../../shared/schema/fields.ts";
import { findOption, type WordField, wordField } from "../../../shared/arguments/word_fields.ts";
import { type Command, type CommandContext, ownValues, type Progress } from "../command/command.ts";
import { kvFileRow, recordsOfKvFile } from "../../transfer/kv_file.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { runExport } from "../../transfer/export_run.ts";
import { type ImportSummary, type ImportTarget, runImport } from "../../transfer/import_run.ts";
import {
  formatOfPath,
  type ImportFormat,
  type ImportItem,
  readCsv,
  readJsonLines,
} from "../../transfer/import_format.ts";
import { count, importText, size, systemReason } from "../command/output.ts";
import { createFile, mayOverwrite, OVERWRITE } from "../command/output_file.ts";

const DENO_KV_IMPORT = wordField(
  "deno_kv",
  described(
    "The SQLite file of a Deno KV, which becomes the database that --database names",
    optional(text),
  ),
);
const DENO_KV_EXPORT = wordField(
  "deno_kv",
  described("The SQLite file to make of the database that --database names", optional(text)),
);

/** The rows of the table. */
export const TRANSFER_COMMANDS: readonly Command[] = [
  {
    name: "import",
    arguments: [{ name: "FILE", optional: true }],
    own: [DENO_KV_IMPORT],
    options: ["keyColumn", "format", "giveUpAfterMs", "json", "acks"],
    help:
      "write a CSV file (--key-column NAME), JSON lines or a file of Deno KV into the cluster; - is standard input",
    answers: "what became of the records; after an interruption import the whole file again",
    run: importFile,
  },
  {
    name: "export",
    arguments: [{ name: "FILE", optional: true }],
    own: [OVERWRITE, DENO_KV_EXPORT],
    options: ["json", "timeoutMs"],
    help:
      "write all keys as JSON lines to a file or standard output, or a database to a file of Deno KV",
    run: exportFile,
  },
];

/** All bytes of a stream. */
export async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const chunk of chunks) pieces.push(chunk.slice());
  return joinBytes(pieces);
}

async function importFile(args: readonly Word[], context: CommandContext): Promise<number> {
  const kvFile = kvFileOf("import", [DENO_KV_IMPORT], args, context);
  if (kvFile !== undefined) return await importKvFile(kvFile, context);
  const path = args[0]?.text;
  if (path === undefined) {
    throw new KvError("bad_request", "import: name a file, or --deno-kv FILE with --database NAME");
  }
  const { io, settings } = context;
  const format = importFormat(path, settings.format);
  const file = await openInput("import", path, context);
  let bytesRead = 0;
  const chunks = counted(file.chunks, (bytes) => bytesRead += bytes);
  const items = format === "csv" ? readCsv(chunks, settings.keyColumn) : readJsonLines(chunks);
  return await importItems(path, items, io.progress(file.bytes), () => bytesRead, context);
}

async function importKvFile(
  { path, database }: KvFileOrder,
  context: CommandContext,
): Promise<number> {
  const { io } = context;
  await ensureTogether(database, context);
  const file = await io.openKvFile(path);
  try {
    if (file.queued > 0) {
      io.note(
        `import: ${count(file.queued)} messages of queues stay behind: there are no queues here`,
      );
    }
    let rows = 0;
    const items = async function* () {
      for await (const item of recordsOfKvFile(file)) {
        rows++;
        yield item;
      }
    };
    return await importItems(path, items(), io.progress(file.count), () => rows, context);
  } finally {
    file.close();
  }
}

/** A file, and the database that it is to become or is made of. */
interface KvFileOrder {
  readonly path: string;
  readonly database: string;
}

/** Makes the database if it is not there. @throws {KvError} `bad_request` if it is of another kind than Deno KV needs */
async function ensureTogether(name: string, context: CommandContext): Promise<void> {
  const client = await context.client();
  const found = (await client.databases()).find((database) => database.name === name);
  if (found === undefined) await client.createDatabase(name, { together: true, ifAbsent: true });
  else new KvDatabase({ ...found, together: found.placement === "together" });
}

/** The file and the database that a line names; undefined if it is not about Deno KV. @throws {KvError} `bad_request` */
function kvFileOf(
  command: string,
  own: readonly WordField[],
  args: readonly Word[],
  { given, settings: { database } }: CommandContext,
): KvFileOrder | undefined {
  const named = given.filter(([name]) => findOption(own, name) !== undefined);
  const values = ownValues(command, own, named);
  const { deno_kv: path } = values as { deno_kv?: string };
  if (path === undefined) return undefined;
  if (database === undefined) {
    throw new KvError(
      "bad_request",
      `${command}: --deno-kv needs --database NAME, as in its URL`,
    );
  }
  if (args.length > 0) {
    throw new KvError("bad_request", `${command}: give a file or --deno-kv FILE, not both`);
  }
  return { path, database };
}

async function importItems(
  path: string,
  items: AsyncIterable<ImportItem>,
  progress: Progress | undefined,
  done: () => number,
  context: CommandContext,
): Promise<number> {
  const { io, settings, signal } = context;
  const client = await context.client();
  const target: ImportTarget = {
    put: (key, value, { contentType, expiresAtMs }) => {
      const { acks, timeoutMs } = settings;
      return client.put(key, value, { acks, timeoutMs, signal, contentType, expiresAtMs });
    },
  };
  let summary: ImportSummary;
  let soFar = { written: 0, rejected: 0 };
  try {
    summary = await runImport(items, target, context, {
      giveUpAfterMs: settings.giveUpAfterMs,
      signal,
      onProgress(now) {
        soFar = now;
        progress?.update(done(), progressText(now));
      },
    });
  } catch (error) {
    // Writing a record twice does no harm.
    io.note(
      `import: ${progressText(soFar)} before it ended; run it again to write all of the file`,
    );
    throw error;
  } finally {
    progress?.stop();
  }
  await io.write(
    settings.json ? JSON.stringify({ file: path, ...summary }) + "\n" : importText(path, summary),
  );
  if (summary.stopped !== undefined) return EXIT.unavailable;
  return summary.rejected > 0 ? EXIT.error : EXIT.ok;
}

function progressText({ written, rejected }: Pick<ImportSummary, "written" | "rejected">): string {
  return `${count(written)} written, ${count(rejected)} rejected`;
}

function importFormat(path: string, asked: "auto" | ImportFormat): ImportFormat {
  const format = asked === "auto" ? formatOfPath(path) : asked;
  if (format !== undefined) return format;
  throw new KvError(
    "bad_request",
    `import: the name ${JSON.stringify(path)} does not end in .csv, .jsonl or .ndjson; say ` +
      "--format csv or --format jsonl",
  );
}

/** A file, or standard input for `-`. @throws {KvError} `bad_request` if it cannot be read */
export async function openInput(what: string, path: string, { io }: CommandContext) {
  if (path === "-") {
    if (io.input !== undefined) return { chunks: io.input, bytes: undefined };
    throw new KvError(
      "bad_request",
      `${what}: - is standard input, but the commands come from there now; name a file`,
    );
  }
  try {
    return await io.openRead(path);
  } catch (cause) {
    throw new KvError("bad_request", `${what}: cannot read ${path} (${systemReason(cause)})`, {
      cause,
    });
  }
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of chunks) {
    onBytes(chunk.length);
    yield chunk;
  }
}

/** Writes a database to a file of Deno KV, each key as of some moment meanwhile. */
async function exportKvFile(
  { path, database }: KvFileOrder,
  context: CommandContext,
): Promise<number> {
  const { clock, io, settings, signal } = context;
  const client = await context.client();
  const begin = clock.monotonicMs();
  const file = await io.createKvFile(path, mayOverwrite("export", context));
  let keys = 0;
  try {
    for await (const entry of client.scan({ timeoutMs: settings.timeoutMs, signal })) {
      file.write(kvFileRow(entry));
      keys++;
    }
    await file.finish();
  } catch (error) {
    await file.abandon();
    io.note(`export: ${path} was not written`);
    throw error;
  }
  const elapsedMs = Math.round(clock.monotonicMs() - begin);
  await io.write(
    settings.json
      ? JSON.stringify({ file: path, database, keys, elapsedMs }) + "\n"
      : `export: ${count(keys)} keys in ${(elapsedMs / 1_000).toFixed(1)} s\n`,
  );
  return EXIT.ok;
}

async function exportFile(args: readonly Word[], context: CommandContext): Promise<number> {
  const kvFile = kvFileOf("export", [DENO_KV_EXPORT], args, context);
  if (kvFile !== undefined) return await exportKvFile(kvFile, context);
  const path = args[0]?.text ?? "-";
  const { clock, io, settings, signal } = context;
  const client = await context.client();
  const begin = clock.monotonicMs();
  const entries = client.scan({ timeoutMs: settings.timeoutMs, signal });
  const file = path === "-" ? undefined : await createFile("export", path, context);
  const progress = path === "-" ? undefined : io.progress(undefined);
  let summary;
  try {
    summary = await runExport(
      entries,
      (bytes) => file === undefined ? io.write(bytes) : file.write(bytes),
      ({ keys, bytes }) => progress?.update(0, `${count(keys)} keys, ${size(bytes)}`),
    );
    await file?.finish();
  } catch (error) {
    await file?.abandon().catch(() => {});
    if (file !== undefined) io.note(`export: ${path} was not written`);
    throw error;
  } finally {
    progress?.stop();
  }
  const elapsedMs = Math.round(clock.monotonicMs() - begin);
  const text = settings.json
    ? JSON.stringify({ file: path, ...summary, elapsedMs })
    : `export: ${count(summary.keys)} keys, ${size(summary.bytes)} in ${
      (elapsedMs / 1_000).toFixed(1)
    } s`;
  if (path === "-") io.note(text);
  else await io.write(text + "\n");
  return EXIT.ok;
}
