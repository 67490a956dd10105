/**
 * The commands that read and write files of records: `import` and `export`.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { joinBytes } from "../../../shared/base/join_bytes.ts";
import type { Command, CommandContext } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { runExport } from "../../transfer/export_run.ts";
import { type ImportSummary, runImport } from "../../transfer/import_run.ts";
import {
  formatOfPath,
  type ImportFormat,
  readCsv,
  readJsonLines,
} from "../../transfer/import_format.ts";
import { count, importText, size, systemReason } from "../command/output.ts";
import { createFile, OVERWRITE } from "../command/output_file.ts";

/** The rows of the table. */
export const TRANSFER_COMMANDS: readonly Command[] = [
  {
    name: "import",
    arguments: [{ name: "FILE" }],
    options: ["keyColumn", "format", "giveUpAfterMs", "json", "acks"],
    help:
      "write a CSV file (--key-column NAME) or JSON lines into the cluster; - is standard input",
    answers: "what became of the records; after an interruption import the whole file again",
    run: importFile,
  },
  {
    name: "export",
    arguments: [{ name: "FILE", optional: true }],
    own: [OVERWRITE],
    options: ["json", "timeoutMs"],
    help: "write all keys as JSON lines to a file or standard output",
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
  const path = args[0]?.text ?? "";
  const { io, settings, signal } = context;
  const format = importFormat(path, settings.format);
  const file = await openInput("import", path, context);
  const client = await context.client();
  const progress = io.progress(file.bytes);
  let bytesRead = 0;
  const chunks = counted(file.chunks, (bytes) => bytesRead += bytes);
  const items = format === "csv" ? readCsv(chunks, settings.keyColumn) : readJsonLines(chunks);
  const target = {
    put: (key: string, value: Uint8Array, { contentType }: { contentType?: string }) => {
      const { acks, timeoutMs } = settings;
      return client.put(key, value, { acks, timeoutMs, signal, contentType });
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
        progress?.update(bytesRead, progressText(now));
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

async function exportFile(args: readonly Word[], context: CommandContext): Promise<number> {
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
