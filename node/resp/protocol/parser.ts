/**
 * The request side of the Redis protocol: it takes bytes, in pieces of any size, and returns commands, each a
 * list of arguments. A command is an array of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`), or an inline
 * line (`GET k`) with quotes as in Redis. It knows no command's name and never touches a stream. The first
 * line of an HTTP request is an error of the protocol, whatever its method.
 *
 * Invariants: the result does not depend on how the bytes were cut; it never throws, whatever arrives; what
 * it keeps is bounded by its limits; after a protocol error it returns nothing more.
 *
 * @module
 */
import {
  RESP_ARGUMENT_OVERHEAD_BYTES,
  RESP_ARGUMENTS_MAX,
  RESP_COMMAND_BYTES_MAX,
  RESP_LINE_BYTES_MAX,
} from "../../../shared/limits/resp.ts";
import { HTTP_REFUSED, isHttpRequestLine } from "./http_request_line.ts";
import { parseInteger } from "./integer_text.ts";
import { splitInline } from "./inline.ts";

const ASTERISK = 0x2a;
const DOLLAR = 0x24;
const CR = 0x0d;
const LF = 0x0a;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
/** A header is a mark and a number; anything longer is not a header. */
const HEADER_BYTES_MAX = 64;
const FIRST_BULK_BYTES = 65_536;
/** An array of more arguments gets room as they arrive, so that an announced number costs nothing. */
const ROOM_ARGUMENTS_MAX = 16;
const NOTHING = new Uint8Array(0);

/** Sizes, if they are not the defaults of `shared/limits/resp.ts`. */
export interface RespParserLimits {
  /** Longest argument. */
  readonly argumentBytesMax: number;
  readonly argumentsMax?: number;
  readonly commandBytesMax?: number;
  readonly lineBytesMax?: number;
}

/** Cuts commands out of bytes. */
export class RespParser {
  /** What was wrong; then the connection must be closed. */
  error: string | undefined;
  readonly #argumentBytesMax: number;
  readonly #argumentsMax: number;
  readonly #commandBytesMax: number;
  readonly #lineBytesMax: number;
  #chunk: Uint8Array = NOTHING;
  #at = 0;
  /** Of the array that has begun: its arguments, how many of them there are so far, and how many are still to come. */
  #arguments: Uint8Array[] = [];
  #arrived = 0;
  #wanted = 0;
  /** How many of them are our own copies. */
  #owned = 0;
  #commandBytes = 0;
  /** Bytes of those that have arrived. */
  #argumentBytes = 0;
  /** Length of the argument that has begun; -1 before its header. */
  #length = -1;
  /** The part that has arrived of an argument that is longer than the chunk. */
  #bulk: Uint8Array = NOTHING;
  #filled = 0;
  /** Bytes of a line's end that must be skipped. */
  #skip = 0;
  /** A command that was put back, and what it takes. */
  #back: Uint8Array[] | undefined;
  #backBytes = 0;

  constructor(limits: RespParserLimits) {
    this.#argumentBytesMax = limits.argumentBytesMax;
    this.#argumentsMax = limits.argumentsMax ?? RESP_ARGUMENTS_MAX;
    this.#commandBytesMax = limits.commandBytesMax ?? RESP_COMMAND_BYTES_MAX;
    this.#lineBytesMax = limits.lineBytesMax ?? RESP_LINE_BYTES_MAX;
  }

  /** About how many bytes are kept: those that have arrived. An announced length costs nothing. */
  get keptBytes(): number {
    const left = this.#chunk.length - this.#at;
    return left + this.#argumentBytes + this.#bulk.length + this.#backBytes;
  }

  /** Whether a command has begun and is not complete, or bytes wait to be parsed. */
  get hasPart(): boolean {
    return this.#wanted > 0 || this.#at < this.#chunk.length || this.#back !== undefined;
  }

  /** Takes bytes. They must stay unchanged until {@linkcode RespParser.keep}. */
  feed(bytes: Uint8Array): void {
    if (this.error !== undefined) return;
    const left = this.#chunk.length - this.#at;
    if (left === 0) {
      this.#chunk = bytes;
    } else {
      const joined = new Uint8Array(left + bytes.length);
      joined.set(this.#chunk.subarray(this.#at));
      joined.set(bytes, left);
      this.#chunk = joined;
    }
    this.#at = 0;
  }

  /**
   * The next command, its name first; undefined if more bytes are needed or `error` is set. The arguments are
   * valid until the bytes change: copy what must live longer.
   */
  next(): Uint8Array[] | undefined {
    const back = this.#back;
    if (back !== undefined) {
      this.#back = undefined;
      this.#backBytes = 0;
      return back;
    }
    while (this.error === undefined) {
      if (this.#wanted > 0) {
        if (!this.#readArguments()) return undefined;
        return this.#take();
      }
      if (this.#at >= this.#chunk.length) return undefined;
      if (this.#chunk[this.#at] === ASTERISK) {
        const count = this.#readHeader("mbulk", "multibulk");
        if (count === undefined) return undefined;
        if (count > this.#argumentsMax) this.#fail("invalid multibulk length");
        // An empty array is not a command, and gets no answer.
        else if (count > 0) this.#begin(count);
        continue;
      }
      const words = this.#readInline();
      if (words === undefined) return undefined;
      if (words.length > 0) return words;
    }
    return undefined;
  }

  /** The command that was given last is the next one again; it has to wait. */
  putBack(command: readonly Uint8Array[]): void {
    this.#back = command.map((argument) => argument.slice());
    for (const { length } of command) this.#backBytes += length + RESP_ARGUMENT_OVERHEAD_BYTES;
  }

  /** Copies what is still needed: the bytes that were fed may change from now on. */
  keep(): void {
    const list = this.#arguments;
    for (let i = this.#owned; i < this.#arrived; i++) list[i] = list[i]?.slice() ?? NOTHING;
    this.#owned = this.#arrived;
    this.#chunk = this.#at < this.#chunk.length && this.error === undefined
      ? this.#chunk.slice(this.#at)
      : NOTHING;
    this.#at = 0;
  }

  /** An array of this many arguments begins. Growing by each of them, it would take room for many more. */
  #begin(count: number): void {
    this.#wanted = count;
    this.#arguments = count <= ROOM_ARGUMENTS_MAX ? new Array<Uint8Array>(count) : [];
  }

  #take(): Uint8Array[] {
    const command = this.#arguments;
    this.#arguments = [];
    this.#arrived = 0;
    this.#owned = 0;
    this.#commandBytes = 0;
    this.#argumentBytes = 0;
    return command;
  }

  /** Continues the array that has begun. @returns whether it is complete */
  #readArguments(): boolean {
    const chunk = this.#chunk;
    while (this.#wanted > 0) {
      if (this.#length === -1) {
        if (this.#at >= chunk.length) return false;
        if (chunk[this.#at] !== DOLLAR) {
          const found = String.fromCharCode(chunk[this.#at] ?? 0);
          this.#fail(`expected '$', got '${found}'`);
          return false;
        }
        const length = this.#readHeader("bulk", "bulk");
        if (length === undefined) return false;
        if (length < 0 || length > this.#argumentBytesMax) {
          this.#fail("invalid bulk length");
          return false;
        }
        this.#commandBytes += length + RESP_ARGUMENT_OVERHEAD_BYTES;
        if (this.#commandBytes > this.#commandBytesMax) {
          this.#fail("too big request");
          return false;
        }
        this.#length = length;
      }
      const end = this.#at + this.#length;
      if (this.#bulk === NOTHING && this.#skip === 0 && end + 2 <= chunk.length) {
        // Twice as fast as `subarray`.
        const from = chunk.byteOffset + this.#at;
        this.#arguments[this.#arrived++] = new Uint8Array(chunk.buffer, from, this.#length);
        this.#at = end + 2;
      } else if (!this.#readPart()) {
        return false;
      }
      this.#argumentBytes += this.#length + RESP_ARGUMENT_OVERHEAD_BYTES;
      this.#length = -1;
      this.#wanted--;
    }
    return true;
  }

  /** Collects an argument that is not in one chunk. @returns whether it is complete */
  #readPart(): boolean {
    const chunk = this.#chunk;
    if (this.#skip === 0) {
      const count = Math.min(this.#length - this.#filled, chunk.length - this.#at);
      this.#grow(this.#filled + count);
      this.#bulk.set(chunk.subarray(this.#at, this.#at + count), this.#filled);
      this.#filled += count;
      this.#at += count;
      if (this.#filled < this.#length) return false;
      this.#skip = 2;
    }
    const passed = Math.min(this.#skip, chunk.length - this.#at);
    this.#at += passed;
    this.#skip -= passed;
    if (this.#skip > 0) return false;
    // Earlier ones may be in this chunk: only the first argument in it is known to be our own copy.
    if (this.#owned === this.#arrived) this.#owned++;
    this.#arguments[this.#arrived++] = this.#bulk.subarray(0, this.#filled);
    this.#bulk = NOTHING;
    this.#filled = 0;
    return true;
  }

  /** The buffer grows as the bytes arrive, so that a large announced length costs us nothing. */
  #grow(bytes: number): void {
    if (bytes <= this.#bulk.length) return;
    const size = Math.max(bytes, Math.min(this.#length, 2 * this.#bulk.length, this.#length));
    const larger = new Uint8Array(Math.max(size, Math.min(this.#length, FIRST_BULK_BYTES)));
    larger.set(this.#bulk.subarray(0, this.#filled));
    this.#bulk = larger;
  }

  /** The number after a `*` or `$`, or undefined if the line is not complete or wrong. */
  #readHeader(short: string, long: string): number | undefined {
    const chunk = this.#chunk;
    const from = this.#at + 1;
    // Nearly always a few digits and the end of the line.
    let value = 0;
    let at = from;
    for (; at < from + 9; at++) {
      const byte = chunk[at];
      if (byte === undefined || byte < DIGIT_0 || byte > DIGIT_9) break;
      value = value * 10 + (byte - DIGIT_0);
    }
    const plain = at > from && (chunk[from] !== DIGIT_0 || at === from + 1);
    if (plain && chunk[at] === CR && at + 1 < chunk.length) {
      this.#at = at + 2;
      return value;
    }
    const end = chunk.indexOf(CR, from);
    if ((end === -1 ? chunk.length : end) - this.#at > HEADER_BYTES_MAX) {
      this.#fail(`too big ${short} count string`);
      return undefined;
    }
    if (end === -1 || end + 1 >= chunk.length) return undefined;
    const number = parseInteger(chunk.subarray(from, end));
    if (number === undefined || number > BigInt(Number.MAX_SAFE_INTEGER)) {
      this.#fail(`invalid ${long} length`);
      return undefined;
    }
    this.#at = end + 2;
    return number < 0n ? -1 : Number(number);
  }

  #readInline(): Uint8Array[] | undefined {
    const chunk = this.#chunk;
    const end = chunk.indexOf(LF, this.#at);
    if ((end === -1 ? chunk.length : end) - this.#at > this.#lineBytesMax) {
      this.#fail("too big inline request");
      return undefined;
    }
    if (end === -1) return undefined;
    const lineEnd = end > this.#at && chunk[end - 1] === CR ? end - 1 : end;
    const words = splitInline(chunk.subarray(this.#at, lineEnd));
    this.#at = end + 1;
    if (words === undefined) this.#fail("unbalanced quotes in request");
    else if (isHttpRequestLine(words)) {
      this.#refuse(HTTP_REFUSED);
      return undefined;
    }
    return words;
  }

  #fail(what: string): void {
    this.#refuse(`ERR Protocol error: ${what}`);
  }

  #refuse(error: string): void {
    this.error = error;
    this.#arguments = [];
    this.#arrived = 0;
    this.#bulk = NOTHING;
    this.#wanted = 0;
    this.#commandBytes = 0;
    this.#argumentBytes = 0;
    this.#chunk = NOTHING;
    this.#at = 0;
  }
}
