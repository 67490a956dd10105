/**
 * The requests that one connection's asking side has under way: those that were sent, by id, and those that
 * wait for their turn. It keeps them and their order; what their askers are told is up to its owner. Pure.
 *
 * Invariant: a request is in one of the two until it is taken out, which happens once.
 *
 * @module
 */
import { TurnoverMap } from "../base/turnover_map.ts";
import { isAbandoned } from "./caller.ts";
import type { ReplyTo } from "./messages.ts";

/** A request whose asker has not been answered. */
export interface AskedRequest {
  readonly message: object & { id?: unknown };
  /** On the monotonic clock. */
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  readonly done: ReplyTo;
}

/** Requests that were sent, and requests that wait. */
export class RequestTable {
  readonly #inFlightMax: number;
  #idNext = 1;
  /** Sent requests by id, in the order of sending. */
  #sent = new TurnoverMap<number, AskedRequest>();
  /** How many were sent over the connection and not answered, whether anybody waits for the answer or not. */
  #inFlight = 0;
  #waiting: AskedRequest[] = [];

  /** So many requests may be sent and not answered at a time. */
  constructor(inFlightMax: number) {
    this.#inFlightMax = inFlightMax;
  }

  /** Requests that were sent and whose askers still wait. */
  get sent(): number {
    return this.#sent.size;
  }

  /** Requests that wait for their turn. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether one more may be sent. */
  get hasRoom(): boolean {
    return this.#inFlight < this.#inFlightMax;
  }

  /** Notes a request as sent. Returns its id. */
  send(asked: AskedRequest): number {
    const id = this.#idNext++;
    this.#sent.set(id, asked);
    this.#inFlight++;
    return id;
  }

  /** An answer came. Returns its request, unless that was taken out before. */
  answered(id: number): AskedRequest | undefined {
    this.#inFlight--;
    const asked = this.#sent.get(id);
    this.#sent.delete(id);
    return asked;
  }

  /** Gives what was sent to a table of its own: what is sent from here on goes over another connection. */
  leave(): RequestTable {
    const left = new RequestTable(this.#inFlightMax);
    left.#sent = this.#sent;
    left.#inFlight = this.#inFlight;
    this.#sent = new TurnoverMap();
    this.#inFlight = 0;
    return left;
  }

  /** The connection ended: nothing that was sent over it will be answered. */
  disconnected(): void {
    this.#inFlight = 0;
  }

  /** Lets a request wait. What has been asked for longest goes first, also if it was tried in another way before. */
  wait(asked: AskedRequest): void {
    const waiting = this.#waiting;
    let at = waiting.length;
    if (this.#inFlightMax < Infinity) {
      while (at > 0 && (waiting[at - 1]?.deadlineMs ?? 0) > asked.deadlineMs) at--;
    }
    waiting.splice(at, 0, asked);
  }

  /** Takes out the request whose turn it is; undefined if none waits, or none may be sent now. */
  next(): AskedRequest | undefined {
    return this.hasRoom ? this.#waiting.shift() : undefined;
  }

  /** Takes out all that were sent. */
  takeSent(): readonly AskedRequest[] {
    const sent = [...this.#sent.values()];
    this.#sent = new TurnoverMap();
    return sent;
  }

  /** Takes out all that wait. */
  takeWaiting(): readonly AskedRequest[] {
    return this.#waiting.splice(0);
  }

  /** Takes out those that were sent and are overdue, or that nobody waits for any more. */
  takeLostSent(now: number): readonly AskedRequest[] {
    const lost: AskedRequest[] = [];
    for (const [id, asked] of this.#sent) {
      if (!isLost(asked, now)) continue;
      this.#sent.delete(id);
      lost.push(asked);
    }
    return lost;
  }

  /** Takes out those that wait and are overdue, or that nobody waits for any more. */
  takeLostWaiting(now: number): readonly AskedRequest[] {
    const lost = this.#waiting.filter((asked) => isLost(asked, now));
    if (lost.length > 0) this.#waiting = this.#waiting.filter((asked) => !isLost(asked, now));
    return lost;
  }
}

function isLost({ deadlineMs, message }: AskedRequest, now: number): boolean {
  return deadlineMs <= now || isAbandoned(message);
}
