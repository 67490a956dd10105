/**
 * The functions of `Deno` that `kv-client` uses, over Node's modules, so that one source of the program runs in both.
 * It is not Deno in Node: what the program does not use is not here, and a test runs the program's commands in Node.
 *
 * The library does not need it, and takes Node for Node beside it: there is no `Deno.version` here.
 *
 * @module
 */
import {
  type FileHandle,
  mkdir,
  open,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { readFileSync, type Stats, writeSync } from "node:fs";
import process from "node:process";
import { Readable } from "node:stream";
import type { ReadStream, WriteStream } from "node:tty";
import { inspect } from "node:util";

class NotFound extends Error {
  override readonly name = "NotFound";
}
class AlreadyExists extends Error {
  override readonly name = "AlreadyExists";
}
class PermissionDenied extends Error {
  override readonly name = "PermissionDenied";
}
class BrokenPipe extends Error {
  override readonly name = "BrokenPipe";
}
/** Node has no permissions of its own. */
class NotCapable extends Error {
  override readonly name = "NotCapable";
}
class NotADirectory extends Error {
  override readonly name = "NotADirectory";
}

/** The system's codes, with the text that Deno has for them. */
const FAILURES: Readonly<Record<string, readonly [new (text: string) => Error, string]>> = {
  ENOENT: [NotFound, "No such file or directory"],
  EEXIST: [AlreadyExists, "File exists"],
  EACCES: [PermissionDenied, "Permission denied"],
  EPERM: [PermissionDenied, "Operation not permitted"],
  EPIPE: [BrokenPipe, "Broken pipe"],
  ENOTDIR: [NotADirectory, "Not a directory"],
  EISDIR: [Error, "Is a directory"],
  ENOSPC: [Error, "No space left on device"],
};

function asDeno(error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const known = FAILURES[code];
  return known === undefined ? error : new known[0](known[1]);
}

/** What is done with files, with Deno's errors. */
async function withErrors<T>(done: Promise<T>): Promise<T> {
  try {
    return await done;
  } catch (error) {
    throw asDeno(error);
  }
}

interface OpenOptions {
  readonly read?: boolean;
  readonly write?: boolean;
  readonly create?: boolean;
  readonly createNew?: boolean;
  readonly mode?: number;
}

function infoOf(stats: Stats) {
  return {
    isFile: stats.isFile(),
    isDirectory: stats.isDirectory(),
    size: stats.size,
    mode: stats.mode,
  };
}

/** `Deno.FsFile`. */
class NodeFile {
  readonly #handle: FileHandle;
  #position: number | null = null;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  get readable(): ReadableStream<Uint8Array> {
    return Readable.toWeb(this.#handle.createReadStream()) as ReadableStream<Uint8Array>;
  }

  async stat() {
    return infoOf(await withErrors(this.#handle.stat()));
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    const { bytesRead } = await withErrors(
      this.#handle.read(buffer, 0, buffer.length, this.#position),
    );
    if (this.#position !== null) this.#position += bytesRead;
    return bytesRead === 0 && buffer.length > 0 ? null : bytesRead;
  }

  async write(bytes: Uint8Array): Promise<number> {
    return (await withErrors(this.#handle.write(bytes))).bytesWritten;
  }

  seek(offset: number, _whence: number): Promise<number> {
    this.#position = offset;
    return Promise.resolve(offset);
  }

  sync(): Promise<void> {
    return withErrors(this.#handle.sync());
  }

  close(): void {
    // Nobody waits for it, as in Deno.
    this.#handle.close().catch(() => {});
  }
}

async function openFile(path: string, options: OpenOptions): Promise<NodeFile> {
  const flags = options.createNew === true
    ? "wx"
    : options.create === true
    ? "w"
    : options.write === true
    ? "r+"
    : "r";
  try {
    return new NodeFile(await open(path, flags, options.mode));
  } catch (error) {
    // A pipe cannot be opened for both.
    if (flags !== "r+" || (error as { code?: unknown }).code !== "EINVAL") throw asDeno(error);
    return new NodeFile(await withErrors(open(path, "a")));
  }
}

/** `Deno.stdin`: reads nothing before it is asked, so that a line editor can have it. */
class NodeInput {
  #iterator: AsyncIterator<Uint8Array> | undefined;
  #rest: Uint8Array = new Uint8Array();

  isTerminal(): boolean {
    return process.stdin.isTTY === true;
  }

  get readable(): ReadableStream<Uint8Array> {
    return Readable.toWeb(process.stdin) as ReadableStream<Uint8Array>;
  }

  /** A terminal's line, or what a pipe has. */
  async read(buffer: Uint8Array): Promise<number | null> {
    if (this.#rest.length === 0) {
      this.#iterator ??= process.stdin[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
      const { done, value } = await this.#iterator.next();
      if (done === true) return null;
      this.#rest = value;
    }
    const part = this.#rest.subarray(0, buffer.length);
    buffer.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }

  setRaw(mode: boolean): void {
    (process.stdin as ReadStream).setRawMode(mode);
  }
}

/** `Deno.stdout` and `Deno.stderr`. */
class NodeOutput {
  readonly #stream: WriteStream;
  readonly #descriptor: number;

  constructor(stream: WriteStream, descriptor: number) {
    this.#stream = stream;
    this.#descriptor = descriptor;
    // Without a listener the end of a reader would end the process with a stack trace.
    stream.on("error", () => {});
  }

  isTerminal(): boolean {
    return this.#stream.isTTY === true;
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#stream.write(bytes, (error) => {
        if (error === null || error === undefined) resolve(bytes.length);
        else reject(asDeno(error));
      });
    });
  }

  writeSync(bytes: Uint8Array): number {
    return writeSync(this.#descriptor, bytes);
  }
}

/** What takes the place of the global `Deno`. */
export function denoOverNode() {
  return {
    args: process.argv.slice(2),
    build: { os: process.platform === "win32" ? "windows" : process.platform },
    env: { get: (name: string) => process.env[name] },
    errors: { NotFound, AlreadyExists, PermissionDenied, BrokenPipe, NotCapable, NotADirectory },
    SeekMode: { Start: 0, Current: 1, End: 2 },
    stdin: new NodeInput(),
    stdout: new NodeOutput(process.stdout, 1),
    stderr: new NodeOutput(process.stderr, 2),
    get ppid() {
      return process.ppid;
    },
    consoleSize: () => ({ columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 }),
    exit: (code: number) => process.exit(code),
    inspect,
    addSignalListener: (signal: NodeJS.Signals, listener: () => void) =>
      process.on(signal, listener),
    removeSignalListener: (signal: NodeJS.Signals, listener: () => void) =>
      process.off(signal, listener),
    unrefTimer(timer: unknown) {
      (timer as { unref?: () => void }).unref?.();
    },
    open: openFile,
    stat: async (path: string) => infoOf(await withErrors(stat(path))),
    realPath: (path: string) => withErrors(realpath(path)),
    remove: (path: string) => withErrors(rm(path)),
    rename: (from: string, to: string) => withErrors(rename(from, to)),
    async mkdir(path: string, options: { recursive?: boolean; mode?: number }) {
      await withErrors(mkdir(path, options));
    },
    readFile: async (path: string) => new Uint8Array(await withErrors(readFile(path))),
    readTextFile: (path: string) => withErrors(readFile(path, "utf8")),
    readTextFileSync(path: string) {
      try {
        return readFileSync(path, "utf8");
      } catch (error) {
        throw asDeno(error);
      }
    },
    writeTextFile: (
      path: string,
      text: string,
      { mode, createNew = false }: { mode?: number; createNew?: boolean } = {},
    ) =>
      withErrors(
        writeFile(path, text, {
          flag: createNew ? "wx" : "w",
          ...(mode === undefined ? {} : { mode }),
        }),
      ),
  };
}
