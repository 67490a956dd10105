/**
 * Secrets that a command needs (passwords, passphrases, tokens): from the first line of a file, from standard input, or
 * typed at the terminal without being shown. Never from the command line, where every process of the machine could
 * read it.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import type { CommandIo } from "./command.ts";
import { systemReason } from "./output.ts";

/** Files of secrets are short; what is longer is another file, named by mistake. */
const FILE_BYTES_MAX = 65_536;

/** How to get a secret. */
export interface SecretSource {
  /** The file that was named, `-` for standard input; undefined if none was. */
  readonly file: string | undefined;
  /** The option that names it, such as `--password-file`. */
  readonly option: string;
  /** What is asked for, as a question begins: `Password`. */
  readonly question: string;
  /** Whether it is made now, so that it is typed twice. */
  readonly isNew: boolean;
}

/** @throws {KvError} `bad_request` if there is none, or whoever was asked gave none */
export async function readSecret(
  io: CommandIo,
  source: SecretSource,
  signal: AbortSignal,
): Promise<string> {
  const { file, option, question, isNew } = source;
  if (file !== undefined && file !== "-") return await firstLine(await openSmall(io, file));
  if (file === undefined && io.askSecret !== undefined) return await askSecret(io, source, signal);
  if (io.input !== undefined) return await firstLine(io.input);
  throw new KvError(
    "bad_request",
    `${
      isNew ? "a new " : "the "
    }${question.toLowerCase()} is needed, and nobody can be asked: give it ` +
      `in a file, ${option} FILE`,
  );
}

/** @throws {KvError} `bad_request` if it cannot be read */
export async function openSmall(io: CommandIo, path: string): Promise<AsyncIterable<Uint8Array>> {
  try {
    return (await io.openRead(path)).chunks;
  } catch (cause) {
    throw new KvError("bad_request", `cannot read ${path} (${systemReason(cause)})`, { cause });
  }
}

async function askSecret(
  io: CommandIo,
  { question, isNew }: SecretSource,
  signal: AbortSignal,
): Promise<string> {
  const ask = async (text: string) => {
    const answer = await io.askSecret?.(text, signal);
    if (answer === undefined || answer === "") {
      throw new KvError("bad_request", "nothing was given; nothing was done");
    }
    return answer;
  };
  const first = await ask(`${isNew ? "New " + question.toLowerCase() : question}: `);
  if (isNew && await ask("The same again: ") !== first) {
    throw new KvError("bad_request", "the two differ; nothing was done");
  }
  return first;
}

async function firstLine(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let read = "";
  try {
    for await (const chunk of chunks) {
      read += decoder.decode(chunk, { stream: true });
      if (read.includes("\n")) break;
      if (read.length > FILE_BYTES_MAX) throw new Error("its first line is too long");
    }
  } catch (cause) {
    if (cause instanceof KvError) throw cause;
    throw new KvError("bad_request", "a secret is one line of UTF-8 text; this is none", { cause });
  }
  const [line = ""] = read.split(/\r?\n/);
  if (line === "") throw new KvError("bad_request", "the secret is an empty line");
  return line;
}
