/**
 * The reply side of the Redis protocol: it takes values and returns bytes, in RESP2 or RESP3 as the connection
 * has chosen. Values that RESP2 lacks are written as Redis writes them there (a map becomes a flat array). It
 * keeps the bytes, all in one piece, until they are taken.
 *
 * @module
 */
import { bytesOfKey } from "../../../shared/base/key_text.ts";
import type { ByteSlab } from "../../../shared/base/byte_slab.ts";

const CR = 0x0d;
const LF = 0x0a;
const DIGIT_0 = 0x30;
const FIRST_BYTES = 512;
/** Up to this size the taken bytes are copied, and the buffer is reused. */
const REPLICA_BYTES_MAX = 4_096;
/** Longest header: a mark, an integer of 64 bits, the end of the line. */
const HEADER_BYTES_MAX = 24;
const NOTHING = new Uint8Array(0);

const encoder = new TextEncoder();

function fixed(text: string): Uint8Array {
  return encoder.encode(text);
}

const OK = fixed("+OK\r\n");
const NULL_RESP3 = fixed("_\r\n");
const NULL_BULK = fixed("$-1\r\n");
const NULL_ARRAY = fixed("*-1\r\n");
const QUEUED = fixed("+QUEUED\r\n");

/** Collects replies. */
export class RespWriter {
  /** 2 or 3. */
  protocol: 2 | 3 = 2;
  /** How many errors have been written, and the text of the last. */
  errors = 0;
  lastError = "";
  readonly #slab: ByteSlab | undefined;
  #bytes: Uint8Array = NOTHING;
  #length = 0;

  /** @param slab what taken bytes are cut from, if they are not kept for long */
  constructor(slab?: ByteSlab) {
    this.#slab = slab;
  }

  /** The number of waiting bytes. */
  get length(): number {
    return this.#length;
  }

  /** All waiting bytes; the caller may keep them. */
  take(): Uint8Array {
    const length = this.#length;
    this.#length = 0;
    if (length <= REPLICA_BYTES_MAX && this.#bytes.length <= REPLICA_BYTES_MAX) {
      const bytes = this.#bytes.subarray(0, length);
      return this.#slab === undefined ? bytes.slice() : this.#slab.copy(bytes);
    }
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = NOTHING;
    return taken;
  }

  /** Drops what was written since the buffer had this length. */
  truncate(length: number): void {
    this.#length = length;
  }

  ok(): void {
    this.#put(OK);
  }

  queued(): void {
    this.#put(QUEUED);
  }

  /** A text of one line, in ASCII. */
  simple(text: string): void {
    this.#line(0x2b, text);
  }

  /** An error: its text begins with a code in capitals, and is cut to one line. */
  error(text: string): void {
    this.errors++;
    this.lastError = text;
    this.#line(0x2d, text.replace(/[\r\n]/g, " "));
  }

  integer(value: number | bigint): void {
    this.#header(0x3a, value);
  }

  boolean(value: boolean): void {
    this.integer(value ? 1 : 0);
  }

  bulk(value: Uint8Array): void {
    this.#header(0x24, value.length);
    this.#ensure(value.length + 2);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    this.#end();
  }

  /** A text or a key. */
  bulkText(text: string): void {
    // Most texts are short and ASCII: written in place, after a header whose length is a guess.
    const start = this.#length;
    this.#header(0x24, text.length);
    this.#ensure(text.length + 2);
    const { read, written } = encoder.encodeInto(
      text,
      this.#bytes.subarray(this.#length, this.#length + text.length),
    );
    if (read === text.length && written === text.length) {
      this.#length += written;
      this.#end();
      return;
    }
    this.#length = start;
    this.bulk(bytesOfKey(text));
  }

  /** No value. */
  nil(): void {
    this.#put(this.protocol === 3 ? NULL_RESP3 : NULL_BULK);
  }

  /** No array: a transaction that did not take place. */
  nilArray(): void {
    this.#put(this.protocol === 3 ? NULL_RESP3 : NULL_ARRAY);
  }

  /** This many values follow. */
  array(count: number): void {
    this.#header(0x2a, count);
  }

  /** This many values follow, which answer no command. */
  push(count: number): void {
    this.#header(this.protocol === 3 ? 0x3e : 0x2a, count);
  }

  /** This many pairs follow. */
  map(pairs: number): void {
    if (this.protocol === 3) this.#header(0x25, pairs);
    else this.#header(0x2a, pairs * 2);
  }

  /** This many values follow, in no order. */
  set(count: number): void {
    this.#header(this.protocol === 3 ? 0x7e : 0x2a, count);
  }

  /** A text for people to read. */
  verbatim(text: string): void {
    if (this.protocol === 2) return this.bulkText(text);
    const bytes = encoder.encode(text);
    this.#header(0x3d, bytes.length + 4);
    this.#put(fixed("txt:"));
    this.#put(bytes);
    this.#end();
  }

  /** Bytes that are replies already. */
  raw(bytes: Uint8Array): void {
    this.#put(bytes);
  }

  #put(bytes: Uint8Array): void {
    this.#ensure(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #line(mark: number, text: string): void {
    // Up to three bytes for one unit of the text.
    this.#ensure(1 + 3 * text.length + 2);
    this.#bytes[this.#length++] = mark;
    if (text.isWellFormed()) {
      const { written } = encoder.encodeInto(text, this.#bytes.subarray(this.#length));
      this.#length += written;
    } else {
      // A client's own words may be any bytes, as those of keys are.
      const bytes = bytesOfKey(text);
      this.#bytes.set(bytes, this.#length);
      this.#length += bytes.length;
    }
    this.#end();
  }

  #header(mark: number, value: number | bigint): void {
    this.#ensure(HEADER_BYTES_MAX);
    this.#bytes[this.#length++] = mark;
    if (typeof value === "number" && value >= 0 && value < 1e9) this.#digits(value);
    else this.#ascii(String(value));
    this.#end();
  }

  #digits(value: number): void {
    if (value < 10) {
      this.#bytes[this.#length++] = DIGIT_0 + value;
      return;
    }
    let count = 1;
    for (let power = 10; power <= value; power *= 10) count++;
    let at = this.#length + count;
    this.#length = at;
    for (let left = value; count > 0; count--) {
      const rest = left % 10;
      this.#bytes[--at] = DIGIT_0 + rest;
      left = (left - rest) / 10;
    }
  }

  #ascii(text: string): void {
    for (let i = 0; i < text.length; i++) this.#bytes[this.#length++] = text.charCodeAt(i);
  }

  #end(): void {
    this.#ensure(2);
    this.#bytes[this.#length++] = CR;
    this.#bytes[this.#length++] = LF;
  }

  #ensure(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length, FIRST_BYTES));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
