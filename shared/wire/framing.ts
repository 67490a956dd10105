/**
 * Cuts a byte stream into lines, the frames of the JSON wire, and, once it is told to, into binary frames between
 * them (`binary_frames.ts`). It is fed bytes and returns texts and frames; it never touches a socket and does not know
 * what they mean.
 *
 * Invariants: the result does not depend on how the bytes were cut into pieces. Memory is bounded by
 * the frame limit and by what one piece held. If a line is not UTF-8, only that line is lost. If a line
 * or a frame is too long, the stream ends, because nothing says where the next line begins.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { FRAME_BYTES_MAX } from "../limits/wire.ts";
import { FRAME_HEAD_BYTES, FRAME_MARK, frameBytes } from "../schema/binary_frames.ts";

const NEWLINE = 10;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes in, lines out. */
export class LineFramer {
  readonly #frameBytesMax: number;
  /** What was not taken yet: frames, and texts of one or more complete lines, each ended by a newline. */
  #blocks: (string | Uint8Array | KvError)[] = [];
  #block = "";
  #at = 0;
  /** Binary frames are taken too. */
  #frames = false;
  /** Characters and bytes of `#blocks`. */
  #waiting = 0;
  /** The beginning of a line whose newline has not arrived. */
  #partial: Uint8Array | undefined;
  #partialBytes = 0;
  #broken = false;

  constructor(frameBytesMax: number = FRAME_BYTES_MAX) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Bytes of a line that has begun and is not complete. */
  get partialBytes(): number {
    return this.#partialBytes;
  }

  /** Whether there are lines that were not taken yet. */
  get hasLines(): boolean {
    return this.#at < this.#block.length || this.#blocks.length > 0;
  }

  /** The memory held, approximately: for the line that has begun, and for lines that were not taken. */
  get keptBytes(): number {
    return (this.#partial?.length ?? 0) + this.#block.length - this.#at + this.#waiting;
  }

  /** True once a line was too long; everything after it is ignored. */
  get broken(): boolean {
    return this.#broken;
  }

  /**
   * Feeds bytes and calls `onLine` for each line that they complete, without the newline. Blank lines
   * are skipped.
   *
   * @throws {KvError} `bad_request` for a line that is not UTF-8 (another call goes on after it),
   * `frame_too_large` for a line over the limit
   */
  push(bytes: Uint8Array, onLine: (text: string) => void): void {
    this.feed(bytes);
    for (let line = this.next(); line !== undefined; line = this.next()) {
      if (line instanceof KvError) throw line;
      if (typeof line === "string") onLine(line);
    }
  }

  /** From here on binary frames are taken, too. */
  takeFrames(): void {
    if (this.#frames) return;
    this.#frames = true;
    const partial = this.#partial?.subarray(0, this.#partialBytes);
    this.#partial = undefined;
    this.#partialBytes = 0;
    if (partial !== undefined) this.#feedMixed(partial);
  }

  /** Takes bytes in; their array may be reused afterwards. Returns true if they completed a line or a frame. */
  feed(bytes: Uint8Array): boolean {
    if (this.#broken) return false;
    return this.#frames ? this.#feedMixed(bytes) : this.#feedLines(bytes);
  }

  #feedLines(bytes: Uint8Array): boolean {
    const firstEnd = bytes.indexOf(NEWLINE);
    if (firstEnd < 0) {
      this.#keep(bytes);
      return false;
    }
    let from = 0;
    if (this.#partialBytes > 0) {
      from = firstEnd + 1;
      this.#keep(bytes.subarray(0, from));
      if (this.#broken) return true;
      this.#takePartial();
    }
    const to = bytes.lastIndexOf(NEWLINE) + 1;
    if (from < to) this.#takeLines(bytes.subarray(from, to));
    if (to < bytes.length) this.#keep(bytes.subarray(to));
    return true;
  }

  /** The next line, or what is wrong with it; undefined if more bytes are needed. */
  next(): string | Uint8Array | KvError | undefined {
    for (;;) {
      while (this.#at < this.#block.length) {
        const end = this.#block.indexOf("\n", this.#at);
        const line = this.#block.slice(this.#at, end);
        this.#at = end + 1;
        if (line !== "" && line !== "\r") return line;
      }
      const block = this.#blocks.shift();
      if (typeof block !== "string") {
        this.#block = "";
        this.#at = 0;
        if (block instanceof Uint8Array) this.#waiting -= block.length;
        return block;
      }
      this.#block = block;
      this.#at = 0;
      this.#waiting -= block.length;
    }
  }

  /** Frames and runs of lines, one after the other. */
  #feedMixed(bytes: Uint8Array): boolean {
    let ended = false;
    for (let from = 0; from < bytes.length && !this.#broken;) {
      const first = this.#partialBytes > 0 ? this.#partial?.[0] : bytes[from];
      const to = first === FRAME_MARK ? this.#takeFrame(bytes, from) : endOfLines(bytes, from);
      if (first !== FRAME_MARK) ended = this.#feedLines(bytes.subarray(from, to)) || ended;
      else if (this.#partialBytes === 0) ended = true;
      from = to;
    }
    return ended;
  }

  /** Takes what a frame that has begun, or begins here, has of the bytes. @returns where they go on */
  #takeFrame(bytes: Uint8Array, from: number): number {
    let at = from;
    if (this.#partialBytes === 0) {
      const whole = bytes.length - at < FRAME_HEAD_BYTES ? Infinity : frameBytes(bytes, at);
      if (at + whole <= bytes.length && whole <= this.#frameBytesMax) {
        this.#addFrame(bytes.slice(at, at + whole));
        return at + whole;
      }
    }
    if (this.#partialBytes < FRAME_HEAD_BYTES) {
      const head = bytes.subarray(at, at + FRAME_HEAD_BYTES - this.#partialBytes);
      this.#append(head);
      at += head.length;
      if (this.#partialBytes < FRAME_HEAD_BYTES) return at;
    }
    const partial = this.#partial;
    if (partial === undefined) return at;
    const wanted = frameBytes(partial);
    if (wanted > this.#frameBytesMax) {
      this.#refuse();
      return bytes.length;
    }
    const rest = bytes.subarray(at, at + wanted - this.#partialBytes);
    this.#append(rest);
    at += rest.length;
    if (this.#partialBytes < wanted || this.#partial === undefined) return at;
    const frame = this.#partial.subarray(0, wanted);
    this.#partial = undefined;
    this.#partialBytes = 0;
    this.#addFrame(frame);
    return at;
  }

  #addFrame(frame: Uint8Array): void {
    this.#blocks.push(frame);
    this.#waiting += frame.length;
  }

  /** Appends to the line that has begun. */
  #keep(bytes: Uint8Array): void {
    const size = this.#partialBytes + bytes.length;
    // The newline itself does not count, but only a complete line has one.
    if (
      size > this.#frameBytesMax + 1 || (size > this.#frameBytesMax && bytes.at(-1) !== NEWLINE)
    ) {
      this.#refuse();
      return;
    }
    this.#append(bytes);
  }

  #append(bytes: Uint8Array): void {
    const size = this.#partialBytes + bytes.length;
    let partial = this.#partial;
    if (partial === undefined) {
      partial = bytes.slice();
    } else if (size <= partial.length) {
      partial.set(bytes, this.#partialBytes);
    } else {
      // The size doubles, so that a line that arrives in single bytes costs a copy of each byte or two.
      const grown = new Uint8Array(
        Math.max(size, Math.min(partial.length * 2, this.#frameBytesMax + 1)),
      );
      grown.set(partial.subarray(0, this.#partialBytes));
      grown.set(bytes, this.#partialBytes);
      partial = grown;
    }
    this.#partial = partial;
    this.#partialBytes = size;
  }

  #takePartial(): void {
    const line = this.#partial?.subarray(0, this.#partialBytes);
    this.#partial = undefined;
    this.#partialBytes = 0;
    if (line !== undefined) this.#takeLines(line);
  }

  /** Complete lines: decoded in one go if nothing is wrong with any of them. */
  #takeLines(lines: Uint8Array): void {
    if (lines.length > this.#frameBytesMax) {
      this.#takeOneByOne(lines);
      return;
    }
    try {
      this.#add(decoder.decode(lines));
    } catch {
      this.#takeOneByOne(lines);
    }
  }

  #add(block: string): void {
    this.#blocks.push(block);
    this.#waiting += block.length;
  }

  #takeOneByOne(lines: Uint8Array): void {
    let from = 0;
    while (from < lines.length && !this.#broken) {
      const to = lines.indexOf(NEWLINE, from) + 1;
      if (to - from > this.#frameBytesMax + 1) {
        this.#refuse();
        return;
      }
      try {
        this.#add(decoder.decode(lines.subarray(from, to)));
      } catch (cause) {
        this.#blocks.push(
          new KvError("bad_request", "a message must be UTF-8, and this line is not", { cause }),
        );
      }
      from = to;
    }
  }

  #refuse(): void {
    this.#broken = true;
    this.#partial = undefined;
    this.#partialBytes = 0;
    this.#blocks.push(
      new KvError(
        "frame_too_large",
        `a message may have ${this.#frameBytesMax} bytes, and this one has more`,
      ),
    );
  }
}

/** Where the lines end that begin here: at the next frame, which follows a newline, or where the bytes end. */
function endOfLines(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(FRAME_MARK, from); at >= 0; at = bytes.indexOf(FRAME_MARK, at + 1)) {
    // A mark within a line is a byte of a line that is not UTF-8.
    if (at > from && bytes[at - 1] === NEWLINE) return at;
  }
  return bytes.length;
}
