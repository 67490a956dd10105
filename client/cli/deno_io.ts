/**
 * The terminal and the files of `kv-client`, through Deno.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { syncFolder } from "../../shared/platform/deno/file_document_store.ts";
import { escapeControls, printError } from "../../shared/program/terminal.ts";
import type { CommandIo, Progress, WholeFile } from "./command/command.ts";
import { createKvFile, openKvFile } from "./deno_kv_file.ts";
import { Keyboard } from "./deno_keyboard.ts";
import { openScreen } from "./deno_screen.ts";
import { readTextFileIfThere } from "../../shared/platform/deno/file_text.ts";
import { systemReason } from "./command/output.ts";
import { startProgressBar } from "./progress_bar.ts";

const encoder = new TextEncoder();
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

/** The bytes that are written for data: at a terminal, without characters that could control it. */
function shownBytes(data: string | Uint8Array, to: { isTerminal(): boolean }): Uint8Array {
  if (to.isTerminal()) {
    return encoder.encode(escapeControls(typeof data === "string" ? data : lenient.decode(data)));
  }
  return typeof data === "string" ? encoder.encode(data) : data;
}

/** @param commandsFromInput whether the commands themselves are read from standard input */
export function denoIo(commandsFromInput: boolean): CommandIo {
  let shown: Progress | undefined;
  const keyboard = new Keyboard();
  // The answer would be read from where the commands or a value come from.
  const isAttended = Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
  return {
    write: (data) => writeAll(Deno.stdout, shownBytes(data, Deno.stdout), "standard output"),
    note(text) {
      // The bar is a line that has not ended; notes are printed below it.
      shown?.stop();
      shown = undefined;
      printError(text);
    },
    input: commandsFromInput ? undefined : standardInput(),
    async openRead(path) {
      const file = await Deno.open(path, { read: true });
      const { isFile, isDirectory, size } = await file.stat();
      if (isDirectory) {
        file.close();
        throw new Error("it is a folder");
      }
      return { chunks: file.readable, bytes: isFile ? size : undefined };
    },
    async createWhole(path, replace): Promise<WholeFile> {
      const there = await statIfThere(path);
      if (there !== undefined && !there.isFile) return await createInPlace(path);
      if (there !== undefined && !replace) throw new KvError("exists", `${path} is there already`);
      // A link's target is replaced, and not the link.
      const target = there === undefined ? path : await Deno.realPath(path);
      // In the same folder, so that it can be renamed.
      const part = `${target}.part`;
      await Deno.remove(part).catch(ignoreMissing);
      // Values may be secrets, so only the owner may read the file.
      const file = await Deno.open(part, { write: true, createNew: true, mode: 0o600 });
      return {
        write: (bytes) => writeAll(file, bytes, part),
        async finish() {
          await file.sync();
          file.close();
          await Deno.rename(part, target);
          await syncFolder(target.replace(/[^/]*$/, "") || ".");
        },
        async abandon() {
          file.close();
          await Deno.remove(part);
        },
      };
    },
    openKvFile,
    createKvFile,
    async openAnywhere(path) {
      const file = await Deno.open(path, { read: true });
      const { isFile, size } = await file.stat();
      if (!isFile) {
        file.close();
        throw new Error("it is not a file");
      }
      // A file has only one position, so reads of it run one after the other.
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
    progress(totalBytes): Progress | undefined {
      if (Deno.stderr.isTerminal()) shown = startProgressBar(totalBytes);
      return shown;
    },
    screen: Deno.stdout.isTerminal()
      ? () => openScreen(!commandsFromInput && Deno.stdin.isTerminal())
      : undefined,
    ask: isAttended ? (question) => keyboard.ask(question) : undefined,
    askSecret: isAttended ? (question) => keyboard.askSecret(question) : undefined,
  };
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

async function statIfThere(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A pipe or a device: there is nothing to rename. */
async function createInPlace(path: string): Promise<WholeFile> {
  const file = await Deno.open(path, { write: true });
  const close = () => Promise.resolve(file.close());
  return { write: (bytes) => writeAll(file, bytes, path), finish: close, abandon: close };
}

/** The bytes of standard input. @throws {KvError} `bad_request` if it cannot be read */
async function* standardInput(): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  try {
    yield* Deno.stdin.readable;
  } catch (cause) {
    const text = `cannot read standard input (${systemReason(cause)})`;
    throw new KvError("bad_request", text, { cause });
  }
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

/** The lines of standard input. @throws {KvError} `bad_request` if they are not UTF-8 */
export async function* inputLines(): AsyncGenerator<string, void, void> {
  // A lenient decoder would write other values than the given ones.
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  for await (const bytes of standardInput()) {
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

/** The shell's history, newest line first; empty if there is none yet. */
export async function loadHistory(path: string): Promise<string[]> {
  const text = await readTextFileIfThere(path) ?? "";
  return text.split("\n").filter((line) => line !== "");
}

/** Keeps the shell's history where only its owner can read it, because values may be secrets. */
export async function saveHistory(path: string, lines: readonly string[]): Promise<void> {
  await Deno.writeTextFile(path, lines.map((line) => line + "\n").join(""), { mode: 0o600 });
}

/** @throws {KvError} `storage_failed` if it accepts nothing more, such as a full disk */
async function writeAll(
  to: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
  name: string,
): Promise<void> {
  try {
    let written = 0;
    while (written < bytes.length) written += await to.write(bytes.subarray(written));
  } catch (cause) {
    // The reader of the output has ended, which is no error; `main.ts` handles it.
    if (cause instanceof Deno.errors.BrokenPipe) throw cause;
    const text = `cannot write ${name} (${systemReason(cause)})`;
    throw new KvError("storage_failed", text, { cause });
  }
}
