/**
 * A client like a person with netcat: bytes out, lines in, nothing checked. For tests of what a server does
 * with input that none of our clients would send.
 *
 * @module
 */
import type { Address } from "../../../shared/platform/transport.ts";

/** Bound of each wait; no test waits for it to pass. */
const WAIT_BOUND_MS = 30_000;

/** One TCP connection. */
export class LineClient implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #decoder = new TextDecoder();
  readonly #buffer = new Uint8Array(64 * 1024);
  #text = "";
  #closed = false;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  static async connect({ host, port }: Address): Promise<LineClient> {
    return new LineClient(await Deno.connect({ hostname: host, port }));
  }

  /** Sends text as UTF-8, or bytes as they are. */
  async send(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }

  /** Says that nothing more will be sent. */
  async end(): Promise<void> {
    await this.#connection.closeWrite();
  }

  /** The next line as text; undefined if the other side has closed the connection. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      const count = await this.#read();
      if (count === null) return undefined;
      this.#text += this.#decoder.decode(this.#buffer.subarray(0, count), { stream: true });
    }
  }

  /** The next line as the object that it is. */
  async reply(): Promise<Record<string, unknown>> {
    const line = await this.line();
    if (line === undefined) throw new Error("the connection was closed, and a reply was expected");
    return JSON.parse(line);
  }

  /** Sends one object and takes one. */
  async ask(request: object): Promise<Record<string, unknown>> {
    await this.send(JSON.stringify(request) + "\n");
    return await this.reply();
  }

  /** Reads and drops everything until the other side closes. @returns bytes read */
  async untilClosed(): Promise<number> {
    let sum = 0;
    for (;;) {
      const count = await this.#read();
      if (count === null) return sum;
      sum += count;
    }
  }

  async #read(): Promise<number | null> {
    const timer = setTimeout(() => this[Symbol.dispose](), WAIT_BOUND_MS);
    try {
      return await this.#connection.read(this.#buffer);
    } catch (error) {
      if (this.#closed) throw new Error(`nothing came within ${WAIT_BOUND_MS} ms`);
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    if (!this.#closed) this.#connection.close();
    this.#closed = true;
  }
}
