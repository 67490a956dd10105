/**
 * A connection of the JSON wire that only counts what comes: for many at a time, where a client of our own would cost
 * more than what is measured.
 *
 * @module
 */
import type { Address } from "../../shared/platform/transport.ts";

/** See the top of this file. */
export class LineConnection {
  readonly #connection: Deno.TcpConn;
  readonly #onLine: (line: string) => void;

  private constructor(connection: Deno.TcpConn, onLine: (line: string) => void) {
    this.#connection = connection;
    this.#onLine = onLine;
  }

  static async connect(
    { host: hostname, port }: Address,
    onLine: (line: string) => void,
  ): Promise<LineConnection> {
    const connection = new LineConnection(await Deno.connect({ hostname, port }), onLine);
    void connection.#read();
    return connection;
  }

  /** Writes are small: they are taken at once. */
  send(message: object): void {
    const bytes = new TextEncoder().encode(JSON.stringify(message) + "\n");
    this.#connection.write(bytes).catch(() => {});
  }

  close(): void {
    this.#connection.close();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(64 * 1024);
    let rest = "";
    try {
      for (;;) {
        const count = await this.#connection.read(buffer);
        if (count === null) return;
        const lines = (rest + decoder.decode(buffer.subarray(0, count), { stream: true })).split(
          "\n",
        );
        rest = lines.pop() ?? "";
        for (const line of lines) this.#onLine(line);
      }
    } catch {
      // It was closed.
    }
  }
}
