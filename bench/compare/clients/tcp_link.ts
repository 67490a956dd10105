/**
 * A TCP connection of the load generator. Bytes are collected and leave in one write per turn of the event
 * loop or, while a write is under way, when it has ended. It costs as little as possible, and the same for
 * every protocol on top of it.
 *
 * Invariant: after the connection has ended, `onEnd` was called once, and nothing is sent any more.
 *
 * @module
 */
import type { Endpoint } from "./store_client.ts";

const READ_BYTES = 64 * 1024;
const OUT_BYTES = 4 * 1024;

/** What becomes of a connection's bytes. */
export interface LinkHandlers {
  /** The bytes are valid only until it returns. */
  onBytes(bytes: Uint8Array): void;
  onEnd(reason: string): void;
}

/** One connection. */
export class TcpLink {
  readonly #conn: Deno.TcpConn;
  readonly #encoder = new TextEncoder();
  #handlers: LinkHandlers | undefined;
  #out = new Uint8Array(OUT_BYTES);
  #spare = new Uint8Array(OUT_BYTES);
  #length = 0;
  #scheduled = false;
  #ended = false;

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  static async connect({ host, port }: Endpoint): Promise<TcpLink> {
    const conn = await Deno.connect({ hostname: host, port });
    conn.setNoDelay();
    return new TcpLink(conn);
  }

  /** Begins to read. */
  start(handlers: LinkHandlers): void {
    this.#handlers = handlers;
    this.#read(handlers);
  }

  /** Appends text. */
  text(text: string): void {
    this.#reserve(text.length * 3);
    this.#length += this.#encoder.encodeInto(text, this.#out.subarray(this.#length)).written;
    this.#schedule();
  }

  /** Appends bytes. */
  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#out.set(bytes, this.#length);
    this.#length += bytes.length;
    this.#schedule();
  }

  close(): void {
    this.#end("closed");
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#out.length) return;
    const larger = new Uint8Array(Math.max(needed, 2 * this.#out.length));
    larger.set(this.#out.subarray(0, this.#length));
    this.#out = larger;
  }

  #schedule(): void {
    if (this.#scheduled || this.#ended) return;
    this.#scheduled = true;
    queueMicrotask(this.#flush);
  }

  readonly #flush = async (): Promise<void> => {
    try {
      while (this.#length > 0 && !this.#ended) {
        const out = this.#out;
        const length = this.#length;
        this.#out = this.#spare;
        this.#spare = out;
        this.#length = 0;
        for (let at = 0; at < length;) at += await this.#conn.write(out.subarray(at, length));
      }
    } catch (error) {
      this.#end(String(error));
    } finally {
      this.#scheduled = false;
    }
  };

  async #read(handlers: LinkHandlers): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    try {
      for (;;) {
        const length = await this.#conn.read(buffer);
        if (length === null) return this.#end("the server closed the connection");
        handlers.onBytes(buffer.subarray(0, length));
      }
    } catch (error) {
      this.#end(String(error));
    }
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#conn.close();
    this.#handlers?.onEnd(reason);
  }
}
