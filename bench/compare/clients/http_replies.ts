/**
 * Counts HTTP/1.1 responses in a stream of bytes, by their Content-Length. Bodies are kept only of
 * errors, for the message.
 *
 * @module
 */

const HEAD_END = "\r\n\r\n";
const ERROR_CHARACTERS = 300;

/** A parser of one connection's responses. */
export class HttpReplies {
  readonly #onReply: (error?: string) => void;
  readonly #decoder = new TextDecoder("latin1");
  #head = "";
  #status = 0;
  /** Of the body; -1 while a head is being read. */
  #left = -1;
  #body = "";

  constructor(onReply: (error?: string) => void) {
    this.#onReply = onReply;
  }

  feed(bytes: Uint8Array): void {
    let text = this.#decoder.decode(bytes);
    while (text !== "") {
      if (this.#left < 0) {
        const before = this.#head.length;
        this.#head += text;
        const end = this.#head.indexOf(HEAD_END, Math.max(0, before - HEAD_END.length));
        if (end < 0) return;
        text = text.slice(end + HEAD_END.length - before);
        this.#readHead(this.#head.slice(0, end));
        this.#head = "";
        if (this.#left > 0) continue;
      }
      const taken = Math.min(this.#left, text.length);
      if (this.#status >= 400) this.#body += text.slice(0, taken);
      text = text.slice(taken);
      this.#left -= taken;
      if (this.#left === 0) this.#finish();
    }
  }

  #readHead(head: string): void {
    this.#status = parseInt(head.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined && this.#status !== 204) {
      throw new Error(`a response without Content-Length: ${head}`);
    }
    this.#left = Number(length ?? 0);
    this.#body = "";
  }

  #finish(): void {
    this.#left = -1;
    if (this.#status < 400) this.#onReply();
    else this.#onReply(`${this.#status} ${this.#body.slice(0, ERROR_CHARACTERS)}`);
  }
}
