/**
 * Counts RESP replies in a stream of bytes: each is one line or a bulk string. It keeps no values, and knows
 * no arrays, because no request of the load generator is answered with one.
 *
 * @module
 */

const LF = 10;
const CR = "\r";
const BULK = "$";
const ERROR = "-";

/** A parser of one connection's replies. */
export class RespReplies {
  readonly #onReply: (error?: string) => void;
  readonly #decoder = new TextDecoder("latin1");
  /** Bytes of a bulk string, with its line end, that are still to come. */
  #skip = 0;
  /** A line that is not complete. */
  #partial = "";

  constructor(onReply: (error?: string) => void) {
    this.#onReply = onReply;
  }

  feed(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#skip > 0) {
        const taken = Math.min(this.#skip, bytes.length - at);
        at += taken;
        this.#skip -= taken;
        if (this.#skip === 0) this.#onReply();
        continue;
      }
      const end = bytes.indexOf(LF, at);
      if (end < 0) {
        this.#partial += this.#decoder.decode(bytes.subarray(at));
        return;
      }
      const line = this.#partial + this.#decoder.decode(bytes.subarray(at, end));
      this.#line(line.endsWith(CR) ? line.slice(0, -1) : line);
      this.#partial = "";
      at = end + 1;
    }
  }

  #line(line: string): void {
    if (line.startsWith(BULK)) {
      const length = parseInt(line.slice(1));
      if (length >= 0) this.#skip = length + 2;
      else this.#onReply("no such key");
    } else this.#onReply(line.startsWith(ERROR) ? line : undefined);
  }
}
