/**
 * The terminal and the files of `kv-client`, through Deno.
 *
 * @module
 */
import { KvError } from "../shared/errors.ts";
import { syncFolder } from "../shared/file_document_store.ts";
import type { CommandIo, OutputFile, Progress, WholeFile } from "./command.ts";
import { readTextFileIfThere } from "./deno_environment.ts";
import { startProgressBar } from "./progress_bar.ts";

const encoder = new TextEncoder();

/** @param commandsFromInput whether the commands themselves are read from standard input */
export function denoIo(commandsFromInput: boolean): CommandIo {
  return {
    write: (data) => writeAll(Deno.stdout, typeof data === "string" ? encoder.encode(data) : data),
    note: (text) => console.error(text),
    input: commandsFromInput ? undefined : Deno.stdin.readable,
    async openRead(path) {
      const file = await Deno.open(path, { read: true });
      const { isFile, isDirectory, size } = await file.stat();
      if (isDirectory) {
        file.close();
        throw new Error("it is a folder");
      }
      return { chunks: file.readable, bytes: isFile ? size : undefined };
    },
    async create(path): Promise<OutputFile> {
      const file = await Deno.open(path, { write: true, create: true, truncate: true });
      return {
        write: (bytes) => writeAll(file, bytes),
        close: () => Promise.resolve(file.close()),
      };
    },
    async createWhole(path): Promise<WholeFile> {
      // Beside it, so that it can be renamed.
      const part = `${path}.part`;
      const file = await Deno.open(part, { write: true, create: true, truncate: true });
      return {
        write: (bytes) => writeAll(file, bytes),
        async finish() {
          await file.sync();
          file.close();
          await Deno.rename(part, path);
          await syncFolder(path.replace(/[^/]*$/, "") || ".");
        },
        async abandon() {
          file.close();
          await Deno.remove(part);
        },
      };
    },
    async openAnywhere(path) {
      const file = await Deno.open(path, { read: true });
      const { isFile, size } = await file.stat();
      if (!isFile) {
        file.close();
        throw new Error("it is not a file");
      }
      // A file has one position: reads of it go one after the other.
      let tail: Promise<unknown> = Promise.resolve();
      return {
        bytes: size,
        read(at, length) {
          const result = tail.then(() => readAt(file, at, length));
          tail = result.catch(() => {});
          return result;
        },
        close: () => file.close(),
      };
    },
    progress: (totalBytes): Progress | undefined =>
      Deno.stderr.isTerminal() ? startProgressBar(totalBytes) : undefined,
    // The answer would come from where the commands or a value come from.
    ask: Deno.stdin.isTerminal() && Deno.stderr.isTerminal() ? askAtTerminal : undefined,
  };
}

async function readAt(file: Deno.FsFile, at: number, length: number): Promise<Uint8Array> {
  await file.seek(at, Deno.SeekMode.Start);
  const bytes = new Uint8Array(length);
  let count = 0;
  while (count < length) {
    const read = await file.read(bytes.subarray(count));
    if (read === null) break;
    count += read;
  }
  return bytes.subarray(0, count);
}

/** A line from the terminal; Ctrl-D is an empty one. */
async function askAtTerminal(question: string): Promise<string> {
  await writeAll(Deno.stderr, encoder.encode(question));
  const buffer = new Uint8Array(1024);
  const count = await Deno.stdin.read(buffer) ?? 0;
  return new TextDecoder().decode(buffer.subarray(0, count)).trim();
}

/** The lines of standard input. @throws {KvError} `bad_request` where they are not UTF-8 */
export async function* inputLines(): AsyncGenerator<string, void, void> {
  // A lenient decoder would write other values than those that stand there.
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  for await (const bytes of Deno.stdin.readable) {
    const lines = (rest + decodeStrictly(decoder, bytes)).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  rest += decodeStrictly(decoder);
  if (rest !== "") yield rest;
}

function decodeStrictly(decoder: TextDecoder, bytes?: Uint8Array<ArrayBuffer>): string {
  try {
    return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
  } catch (cause) {
    const text = "the commands on standard input are not valid UTF-8; nothing after it was run";
    throw new KvError("bad_request", text, { cause });
  }
}

/** The shell's history, newest line first; empty where there is none yet. */
export async function loadHistory(path: string): Promise<string[]> {
  const text = await readTextFileIfThere(path) ?? "";
  return text.split("\n").filter((line) => line !== "");
}

/** Keeps the shell's history where only its owner reads it, since values may be secrets. */
export async function saveHistory(path: string, lines: readonly string[]): Promise<void> {
  await Deno.writeTextFile(path, lines.map((line) => line + "\n").join(""), { mode: 0o600 });
}

async function writeAll(
  to: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  let written = 0;
  while (written < bytes.length) written += await to.write(bytes.subarray(written));
}
