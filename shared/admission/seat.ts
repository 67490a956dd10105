/**
 * One connection as admission control sees it: which group it belongs to, and how much of the shared
 * memory it holds. The code that serves the connection reports here; `admission.ts` keeps the sums.
 *
 * @module
 */
import type { KvError } from "../base/errors.ts";

/**
 * The group of a connection: a `newcomer` until its first complete message, then a `client`, or a `peer`
 * if it has said that it is a node of the cluster or its coordinator.
 */
export type Standing = "newcomer" | "client" | "peer";

/** Memory that connections hold: for incomplete messages, and for unsent replies. */
export type Held = "input" | "output";

/** What admission control can do to the connection. */
export interface Guest {
  /**
   * Tells the other side why, if that is possible, and ends the connection; must not call back.
   *
   * @param atOnce its descriptor is needed now: there is no time to wait for the other side
   */
  end(reason: KvError, atOnce: boolean): void;
  /** Bytes that wait to be sent now; asked for because the last report may be old. */
  queuedBytes?(): number;
}

/** What a seat calls. */
export interface SeatKeeper {
  onSpeak(seat: Seat): KvError | undefined;
  onPeer(seat: Seat, name: string): void;
  onFirstByte(seat: Seat): void;
  onIdle(seat: Seat, idle: boolean): void;
  onHeld(seat: Seat, what: Held, change: number): void;
  onLeave(seat: Seat): void;
  nowMs(): number;
}

/** A connection's seat. */
export class Seat {
  readonly guest: Guest;
  readonly sinceMs: number;
  standing: Standing = "newcomer";
  /** The peer that it claims to be. */
  peerName: string | undefined;
  /** It was ended, by admission control or by itself; its descriptor may still be open. */
  ended = false;
  readonly held: { [what in Held]: number } = { input: 0, output: 0 };
  readonly #keeper: SeatKeeper;
  /** Bytes of replies that are made and have not been written. */
  #owedBytes = 0;
  #queuedBytes = 0;
  /** When something arrived last; at first, when it was opened. */
  heardMs: number;
  #heard = false;
  #left = false;

  constructor(keeper: SeatKeeper, guest: Guest, sinceMs: number) {
    this.#keeper = keeper;
    this.guest = guest;
    this.sinceMs = this.heardMs = sinceMs;
  }

  /** Bytes arrived. */
  hear(): void {
    this.heardMs = this.#keeper.nowMs();
    if (this.#heard || this.ended) return;
    this.#heard = true;
    this.#keeper.onFirstByte(this);
  }

  /** A complete message arrived. @returns why it is not served: then send this, and end the connection */
  speak(): KvError | undefined {
    return this.standing === "newcomer" && !this.ended ? this.#keeper.onSpeak(this) : undefined;
  }

  /** It is a node or a coordinator. */
  becomePeer(name: string): void {
    if (this.standing !== "peer" && !this.ended) this.#keeper.onPeer(this, name);
  }

  /** Nothing is under way: it may be ended without harm if its place is needed. */
  idle(idle: boolean): void {
    if (!this.ended) this.#keeper.onIdle(this, idle);
  }

  /** How many bytes it holds now. */
  hold(what: Held, bytes: number): void {
    if (what === "output") this.#queuedBytes = bytes;
    this.#tell(what, what === "output" ? bytes + this.#owedBytes : bytes);
  }

  /** How many bytes of finished replies wait to be written now; they count as output. */
  owe(bytes: number): void {
    this.#owedBytes = bytes;
    this.#tell("output", this.#queuedBytes + bytes);
  }

  /** The output, and how much of it is queued. */
  outputOf(queuedBytes: number): number {
    this.#queuedBytes = queuedBytes;
    return queuedBytes + this.#owedBytes;
  }

  #tell(what: Held, bytes: number): void {
    const change = bytes - this.held[what];
    if (change !== 0 && !this.ended) this.#keeper.onHeld(this, what, change);
  }

  /** The connection has ended, and its descriptor is free. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#keeper.onLeave(this);
  }
}
