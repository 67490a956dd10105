/**
 * How long the other side of a connection has been silent although it owes something: when to ping it, and
 * when to doubt it. Its owner checks at short intervals, so a message that comes needs no look at the clock.
 * Pure.
 *
 * @module
 */
import { RPC_PING_MS } from "../limits/connections.ts";

/** Silence of one connection. */
export class SilenceWatch {
  /** Something has come since the last check. */
  #heard = false;
  #heardMs = 0;
  #pingedMs = 0;

  /** Something came, or nothing was owed until now. */
  hear(): void {
    this.#heard = true;
  }

  /** Whether the other side has not even answered a ping. */
  isDoubtful(now: number): boolean {
    return !this.#heard && now - this.#heardMs >= 2 * RPC_PING_MS;
  }

  /** The silence in ms if the other side owes something and is to be pinged now, otherwise undefined. */
  check(now: number, isOwed: boolean): number | undefined {
    if (this.#heard || !isOwed) {
      this.#heard = false;
      this.#heardMs = now;
      this.#pingedMs = now;
      return undefined;
    }
    return now - this.#pingedMs < RPC_PING_MS ? undefined : now - this.#heardMs;
  }

  /** It was pinged, or could not be for want of a connection. */
  pinged(now: number): void {
    this.#pingedMs = now;
  }
}
