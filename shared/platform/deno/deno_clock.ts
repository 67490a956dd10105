/**
 * The clock of a process that serves others. It differs from the system's in one thing: after how long the
 * process has looked at its sockets.
 *
 * Deno's event loop (2.9.6, on tokio) goes on with timers and with what other threads have finished, and looks at
 * its sockets only when nothing of that is ready, or after every 61st task. Beside work whose reads end in
 * other threads all the time, as a scan's, sockets were seen to wait for 80 ms in the median and for 800 ms at
 * worst, while a timer of 0 ms fired every 4 ms. What comes through a socket proves that sockets were looked at.
 * So the process sends itself a datagram.
 *
 * @module
 */
import { SystemClock } from "../clock.ts";

/** A lost datagram, or a machine without loopback, must not stop heavy work. */
const LOST_MS = 100;

/** The machine's clock, and its sockets. Needs `--allow-net=127.0.0.1` and `--unstable-net`. */
export class DenoClock extends SystemClock {
  readonly #socket: Deno.DatagramConn | undefined;
  readonly #byte = new Uint8Array(1);
  #waiting: (() => void)[] = [];
  #lost: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  /** Its socket is closed, and nothing of it is under way. */
  readonly ended: Promise<void>;

  constructor() {
    super();
    this.#socket = openSocket();
    this.ended = this.#socket === undefined ? Promise.resolve() : this.#receiveAll(this.#socket);
  }

  override afterSockets(callback: () => void): void {
    const socket = this.#socket;
    if (socket === undefined || this.#closed) {
      super.afterSockets(callback);
      return;
    }
    this.#waiting.push(callback);
    if (this.#waiting.length > 1) return;
    this.#lost = setTimeout(() => this.#wake(), LOST_MS);
    // If it cannot be sent, it counts as lost.
    socket.send(this.#byte, socket.addr).catch(() => {});
  }

  /** Ends its socket; from then on sockets are only probably looked at. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket?.close();
    this.#wake();
  }

  /** It waits before anything is sent: so it ends by a look at all sockets, and not at this one alone. */
  async #receiveAll(socket: Deno.DatagramConn): Promise<void> {
    const buffer = new Uint8Array(1);
    while (!this.#closed) {
      try {
        await socket.receive(buffer);
      } catch {
        // Closed; or a failure that passes.
        if (!this.#closed) await new Promise((resolve) => setTimeout(resolve, LOST_MS));
      }
      this.#wake();
    }
  }

  #wake(): void {
    clearTimeout(this.#lost);
    const due = this.#waiting;
    this.#waiting = [];
    for (const callback of due) callback();
  }
}

/** Without it, as on a machine without loopback, heavy work goes on as by the system's clock. */
function openSocket(): Deno.DatagramConn | undefined {
  try {
    return Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  } catch {
    return undefined;
  }
}
