/**
 * Cuts the bytes of a pipe into lines of text. A line that is too long is cut off, and its rest dropped, so that what
 * a process writes without an end takes no memory without an end. Pure.
 *
 * @module
 */

/** One pipe. */
export class LineSplitter {
  readonly #charactersMax: number;
  readonly #onLine: (line: string) => void;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor(charactersMax: number, onLine: (line: string) => void) {
    this.#charactersMax = charactersMax;
    this.#onLine = onLine;
  }

  /** Bytes have come. */
  push(bytes: Uint8Array): void {
    this.#take(this.#decoder.decode(bytes, { stream: true }));
  }

  /** The pipe has ended: what has no end of line is a line too. */
  end(): void {
    this.#take(this.#decoder.decode());
    if (this.#rest !== "") this.#onLine(this.#rest);
    this.#rest = "";
  }

  #take(text: string): void {
    let start = 0;
    for (let end; (end = text.indexOf("\n", start)) >= 0; start = end + 1) {
      const line = this.#rest + text.slice(start, end);
      this.#rest = "";
      this.#onLine(line.slice(0, this.#charactersMax));
    }
    this.#rest = (this.#rest + text.slice(start)).slice(0, this.#charactersMax);
  }
}
