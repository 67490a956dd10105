/**
 * A Redis client that changes nothing: commands out, raw reply bytes in, one reply at a time. For tests
 * that compare what two servers answer to the byte.
 *
 * @module
 */
import { encodeCommand } from "./resp_bench.ts";

/** Bound of each wait; no test waits for it to pass. */
const WAIT_BOUND_MS = 30_000;

const encoder = new TextEncoder();

/** One connection. */
export class RespClient implements Disposable {
  readonly #connection: Deno.Conn;
  readonly #chunk = new Uint8Array(64 * 1024);
  #text = "";
  #at = 0;
  #closed = false;

  private constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  static async connect(
    to: { hostname: string; port: number } | { path: string },
  ): Promise<RespClient> {
    return new RespClient(
      "path" in to ? await Deno.connect({ ...to, transport: "unix" }) : await Deno.connect(to),
    );
  }

  async send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }

  /** Sends bytes as they are, or a command, and gives its reply, a character for each byte. */
  async ask(command: string | readonly (string | Uint8Array)[]): Promise<string> {
    await this.send(
      typeof command === "string" ? encoder.encode(command + "\r\n") : encodeCommand(command),
    );
    return await this.reply();
  }

  /** The next reply's bytes; empty if the connection has ended. */
  async reply(): Promise<string> {
    const from = this.#at;
    const whole = await this.#skip();
    const reply = whole ? this.#text.slice(from, this.#at) : "";
    this.#text = this.#text.slice(this.#at);
    this.#at = 0;
    return reply;
  }

  /** Skips one value. @returns false if the connection has ended before */
  async #skip(): Promise<boolean> {
    const line = await this.#line();
    if (line === undefined) return false;
    const count = Number(line.slice(1));
    switch (line[0]) {
      case "$":
      case "=":
      case "!":
        return count < 0 || await this.#take(count + 2);
      case "*":
      case "~":
      case ">":
      case "%":
        for (let i = 0; i < count * (line[0] === "%" ? 2 : 1); i++) {
          if (!await this.#skip()) return false;
        }
    }
    return true;
  }

  async #line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\r\n", this.#at);
      if (end >= 0) {
        const line = this.#text.slice(this.#at, end);
        this.#at = end + 2;
        return line;
      }
      if (!await this.#read()) return undefined;
    }
  }

  async #take(count: number): Promise<boolean> {
    while (this.#text.length < this.#at + count) if (!await this.#read()) return false;
    this.#at += count;
    return true;
  }

  async #read(): Promise<boolean> {
    const timer = setTimeout(() => this[Symbol.dispose](), WAIT_BOUND_MS);
    try {
      const count = await this.#connection.read(this.#chunk);
      if (count === null) return false;
      let text = "";
      for (let i = 0; i < count; i++) text += String.fromCharCode(this.#chunk[i] ?? 0);
      this.#text += text;
      return true;
    } catch (error) {
      if (this.#closed) throw new Error(`nothing came within ${WAIT_BOUND_MS} ms`);
      if (error instanceof Deno.errors.ConnectionReset) return false;
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
