/**
 * The front ends of one node, each as a function from an operation in words to an answer in one common form:
 * the library, the raw JSON wire, HTTP, RESP, and lines of `kv-client`.
 *
 * @module
 */
import { KvClient } from "../../../client/mod.ts";
import type { ErrorCode } from "../../../shared/base/errors.ts";
import { isErrorCode, KvError } from "../../../shared/base/errors.ts";
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import type { FrontEnd } from "../../../shared/operations/operation.ts";
import { requestFromWords } from "../../../shared/arguments/request_words.ts";
import type { OperationName } from "../../../shared/operations/table.ts";
import type { Address } from "../../../shared/platform/transport.ts";
import { decodeValue, previousOfReply, valueOfReply } from "../../../shared/schema/value_codec.ts";
import { wireForm } from "../../../shared/wire/wire_form.ts";
import type { RequestOption } from "../../../shared/arguments/word_fields.ts";
import { LineClient } from "./line_client.ts";
import type { Answer } from "../data/operation_cases.ts";

/** An operation as it is asked for at a front end. */
export interface Asked {
  readonly operation: OperationName;
  /** The key and the arguments. */
  readonly words: readonly string[];
  readonly options: readonly RequestOption[];
}

/** A front end that answers one question after the other. */
export interface OpenFrontEnd {
  ask(asked: Asked): Promise<Answer>;
  close(): void;
}

/** Bytes as text, a character each. */
export function bytesText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

export function textBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function requestOf({ operation, words, options }: Asked, frontEnd: FrontEnd): KeyRequest {
  return requestFromWords(operation, words, options, frontEnd);
}

/** Numbers that differ from run to run, by their meaning. */
function neutral(result: unknown): unknown {
  if (typeof result !== "object" || result === null) return result;
  const named = Object.entries(result).map(([name, value]) => [
    name,
    name === "length" ? Number(value) : typeof value,
  ]);
  return Object.fromEntries(named);
}

function failure(code: string): Answer {
  if (!isErrorCode(code)) throw new Error(`an error without a code of ours: ${code}`);
  return { kind: "error", code };
}

/** A reply of the wire as an answer. */
export function answerOf(reply: Reply): Answer {
  switch (reply.req_type) {
    case "ack": {
      const previous = previousOfReply(reply);
      if ((reply.version ?? 0) < 1) throw new Error("an ack without a version");
      return previous === undefined
        ? { kind: "ack" }
        : { kind: "ack", previous: bytesText(previous) };
    }
    case "data":
      return {
        kind: "data",
        value: bytesText(valueOfReply(reply)),
        expires: reply.expires_at !== undefined,
      };
    case "result":
      return { kind: "result", result: neutral(reply.result) };
    case "error":
      return failure(reply.code);
    default:
      throw new Error(`an unexpected reply of type ${reply.req_type}`);
  }
}

/** What words without a meaning become before they are sent, as in each front end's own parser. */
async function orRefusal(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof KvError) return { kind: "error", code: error.code };
    throw error;
  }
}

export function libraryFrontEnd(client: KvClient): OpenFrontEnd {
  return {
    ask: (asked) => orRefusal(async () => answerOf(await client.execute(requestOf(asked, "wire")))),
    close: () => {},
  };
}

export async function wireFrontEnd(address: Address): Promise<OpenFrontEnd> {
  const connection = await LineClient.connect(address);
  return {
    ask: (asked) =>
      orRefusal(async () => {
        const reply: unknown = await connection.ask(wireForm(requestOf(asked, "wire")));
        return answerOf(reply as Reply);
      }),
    close: () => connection[Symbol.dispose](),
  };
}

export function httpFrontEnd({ host, port }: Address): OpenFrontEnd {
  return {
    ask: (asked) =>
      orRefusal(async () => {
        const { req_type, ...fields } = wireForm(requestOf(asked, "http"));
        const response = await fetch(`http://${host}:${port}/op/${req_type}`, {
          method: "POST",
          body: JSON.stringify(fields),
          headers: { "content-type": "application/json" },
        });
        const document = await response.json();
        return response.ok ? answerOf(document as Reply) : failure(document.code);
      }),
    close: () => {},
  };
}

/** Lines of a script, all in one run: `kv-client --json` prints one document for each. */
export function shellLine({ operation, words, options }: Asked): string {
  const quoted = (word: string) => JSON.stringify(word);
  const given = options.map(([name, word]) =>
    word === undefined ? `--${name}` : `--${name} ${quoted(String(word))}`
  );
  return [operation, ...words.map(quoted), ...given].join(" ");
}

/** What `kv-client --json` printed, as an answer. */
export function shellAnswer(line: string): Answer {
  const document = JSON.parse(line);
  const { error, result, exists, deleted, version, timestamp } = document;
  if (error !== undefined) return failure(error.code);
  if (exists !== undefined) return { kind: "result", result: exists };
  if (result !== undefined) return { kind: "result", result: neutral(result) };
  if (timestamp !== undefined) {
    const value = bytesText(decodeValue(document) ?? new Uint8Array(0));
    return { kind: "data", value, expires: document.expires_at !== undefined };
  }
  if (deleted !== true && !(version > 0)) throw new Error(`an answer of no known kind: ${line}`);
  const { previous, previous64 } = document;
  const before = decodeValue({ value: previous, value64: previous64 });
  return before === undefined ? { kind: "ack" } : { kind: "ack", previous: bytesText(before) };
}

/** A value of RESP; bytes are text of a character each. */
type RespValue = string | number | null | RespValue[] | Map<string, RespValue> | RespError;
class RespError {
  constructor(readonly text: string) {}
}

/** RESP3 over TCP, no more than these tests need. */
class RespConnection {
  readonly #connection: Deno.TcpConn;
  readonly #buffer = new Uint8Array(65_536);
  #text = "";

  constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  async ask(words: readonly string[]): Promise<RespValue> {
    const text = words.map((word) => `$${word.length}\r\n${word}\r\n`).join("");
    const bytes = textBytes(`*${words.length}\r\n${text}`);
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
    return await this.#value();
  }

  close(): void {
    this.#connection.close();
  }

  async #value(): Promise<RespValue> {
    const line = await this.#take(async () => {
      while (!this.#text.includes("\r\n")) await this.#read();
      return this.#text.indexOf("\r\n");
    });
    const rest = line.slice(1);
    switch (line[0]) {
      case "+":
        return rest;
      case "-":
        return new RespError(rest);
      case ":":
        return Number(rest);
      case "_":
        return null;
      case "$":
        return await this.#take(async () => {
          while (this.#text.length < Number(rest) + 2) await this.#read();
          return Number(rest);
        });
      case "*": {
        const list: RespValue[] = [];
        for (let i = 0; i < Number(rest); i++) list.push(await this.#value());
        return list;
      }
      case "%": {
        const map = new Map<string, RespValue>();
        for (let i = 0; i < Number(rest); i++) {
          map.set(String(await this.#value()), await this.#value());
        }
        return map;
      }
      default:
        throw new Error(`not of RESP3: ${line}`);
    }
  }

  /** Text of this many characters, and the end of the line after it. */
  async #take(length: () => Promise<number>): Promise<string> {
    const end = await length();
    const taken = this.#text.slice(0, end);
    this.#text = this.#text.slice(taken.length + 2);
    return taken;
  }

  async #read(): Promise<void> {
    const count = await this.#connection.read(this.#buffer);
    if (count === null) throw new Error("the connection was closed");
    this.#text += bytesText(this.#buffer.subarray(0, count));
  }
}

export async function respFrontEnd({ host, port }: Address): Promise<OpenFrontEnd> {
  const connection = new RespConnection(await Deno.connect({ hostname: host, port }));
  await connection.ask(["HELLO", "3"]);
  return {
    ask: async ({ operation, words, options }) => {
      const given = options.flatMap(([name, word]) =>
        word === undefined ? [name] : [name, String(word)]
      );
      return respAnswer(operation, await connection.ask([`KV.${operation}`, ...words, ...given]));
    },
    close: () => connection.close(),
  };
}

/** Results that are booleans, which are 1 and 0 in RESP. */
const TRUTHS: readonly OperationName[] = ["exists", "expire", "persist"];

function respAnswer(operation: OperationName, value: RespValue): Answer {
  if (value instanceof RespError) {
    const [, code = ""] = value.text.split(" ");
    return failure(code as ErrorCode);
  }
  if (!(value instanceof Map)) {
    return { kind: "result", result: TRUTHS.includes(operation) ? value === 1 : value };
  }
  if (value.has("length")) return { kind: "result", result: neutral(Object.fromEntries(value)) };
  if (value.has("value")) {
    return { kind: "data", value: String(value.get("value")), expires: value.has("expires_at") };
  }
  if (!(Number(value.get("version")) > 0)) throw new Error("an ack without a version");
  const previous = value.get("previous");
  return previous === undefined ? { kind: "ack" } : { kind: "ack", previous: String(previous) };
}
