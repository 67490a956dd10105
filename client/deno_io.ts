/**
 * The terminal and the files of `kv-client`, through Deno.
 *
 * @module
 */
import type { CommandIo, OutputFile, Progress } from "./command.ts";
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
    progress: (totalBytes): Progress | undefined =>
      Deno.stderr.isTerminal() ? startProgressBar(totalBytes) : undefined,
  };
}

/** The lines of standard input. */
export async function* inputLines(): AsyncGenerator<string, void, void> {
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}

async function writeAll(
  to: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  let written = 0;
  while (written < bytes.length) written += await to.write(bytes.subarray(written));
}
