/**
 * Admission control: the one budget for everything that comes from outside, shared by all front ends of a
 * process. Every connection has a seat here, whatever its port and protocol. The bounds and their formulas
 * are in `shared/limits/admission.ts`.
 *
 * - **Connections.** A connection is a newcomer until its first complete message. Then it takes one of the
 *   clients' places, or one of the peers' places if it is a node or the coordinator. Newcomers may use any
 *   free place, and give it up to later connections: first those that have sent nothing, then the oldest.
 *   A client with nothing under way (HTTP) gives up its place too. So a silent connection keeps nobody out,
 *   and no number of clients keeps out peers.
 * - **Bytes** of incomplete messages (`input`) and of unsent replies (`output`) are counted separately for
 *   newcomers, clients and peers. If there are too many, the connection that holds most is ended.
 * - **Requests under way** take their bytes from one budget, {@linkcode Admission.requests}; a request is
 *   refused if nothing is left.
 *
 * Every refusal and every end is announced as `overloaded` (`timeout` for a silent connection), so a
 * client knows that nothing happened and that it may try again.
 *
 * Invariants: clients never have more than their places; the sums are those of the seats that have not
 * ended; if one group holds more than its bound, connections of it are ended at once.
 *
 * @module
 */
import { ByteBudget } from "../base/byte_budget.ts";
import { KvError } from "../base/errors.ts";
import {
  ADMISSION_LOG_MS,
  ADMISSION_SWEEP_MS,
  CONNECTIONS_MAX,
  CONNECTIONS_PER_PEER_MAX,
  DESCRIPTORS_COUNTED,
  FILE_DESCRIPTORS,
  FIRST_BYTE_TIMEOUT_MS,
  FIRST_MESSAGE_TIMEOUT_MS,
  LEAVING_CONNECTIONS_MAX,
  NEWCOMER_GRACE_MS,
  PEER_DESCRIPTORS_MAX,
  PEER_DESCRIPTORS_MIN,
  PEER_DESCRIPTORS_PART,
  QUEUED_BYTES_MAX,
  REQUEST_BYTES_MAX,
  UNFINISHED_BYTES_MAX,
} from "../limits/admission.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { type Guest, type Held, Seat, type SeatKeeper, type Standing } from "./seat.ts";

/** Bounds that replace those of `shared/limits/admission.ts`. */
export interface AdmissionOptions {
  /** How many descriptors are free, counted up to a number. Absent: enough for any request. */
  readonly freeDescriptors?: ((atMost: number) => number) | undefined;
  /** Clients' connections. */
  readonly connectionsMax?: number | undefined;
  readonly peerConnectionsMax?: number | undefined;
  readonly requestBytesMax?: number | undefined;
  readonly unfinishedBytesMax?: { readonly [of in Standing]: number } | undefined;
  readonly queuedBytesMax?: { readonly [of in Standing]: number } | undefined;
}

type Sums = { [of in Standing]: number };

const WHAT_IS_HELD = { input: "messages that are not complete", output: "replies not taken" };

/** Keeps the seats. */
export class Admission {
  /** For the unanswered requests of all connections. */
  readonly requests: ByteBudget;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #options: AdmissionOptions;
  readonly #max: { readonly [what in Held]: Readonly<Sums> };
  readonly #held: { readonly [what in Held]: Sums } = { input: zeros(), output: zeros() };
  readonly #counts: Sums = zeros();
  /** Newcomers, oldest first. */
  readonly #silent = new Set<Seat>();
  readonly #begun = new Set<Seat>();
  /** Clients with nothing under way, longest idle first. */
  readonly #idle = new Set<Seat>();
  readonly #seats = new Set<Seat>();
  /** Connections that were ended and have not closed yet. */
  #leaving = 0;
  readonly #peers = new Map<string, Set<Seat>>();
  readonly #keeper: SeatKeeper = {
    onSpeak: (seat) => this.#onSpeak(seat),
    onPeer: (seat, name) => this.#onPeer(seat, name),
    onFirstByte: (seat) => {
      if (this.#silent.delete(seat)) this.#begun.add(seat);
    },
    onIdle: (seat, idle) => {
      this.#idle.delete(seat);
      if (idle && seat.standing === "client") this.#idle.add(seat);
    },
    onHeld: (seat, what, change) => this.#onHeld(seat, what, change),
    nowMs: () => this.#clock.monotonicMs(),
    onLeave: (seat) => {
      if (seat.ended) this.#leaving--;
      else this.#remove(seat);
    },
  };
  #clientsMax: number;
  #peersMax: number;
  #sweeping: Timer | undefined;
  #loggedMs = -Infinity;
  #refused = 0;

  constructor(deps: { clock: Clock; log: Logger }, options: AdmissionOptions = {}) {
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#options = options;
    this.requests = new ByteBudget(options.requestBytesMax ?? REQUEST_BYTES_MAX);
    this.#max = {
      input: options.unfinishedBytesMax ?? UNFINISHED_BYTES_MAX,
      output: options.queuedBytesMax ?? QUEUED_BYTES_MAX,
    };
    const { clients, peers } = placesOf(this.#countDescriptors());
    this.#clientsMax = options.connectionsMax ?? clients;
    this.#peersMax = options.peerConnectionsMax ?? peers;
  }

  /** Connections that are open and have not been ended by us. */
  get open(): number {
    return this.#seats.size;
  }

  /** How many of them may belong to clients. */
  get clientsMax(): number {
    return this.#clientsMax;
  }

  /** The figures for operators. */
  stats(): Record<string, number> {
    return {
      connections: this.open,
      connections_max: this.#clientsMax,
      peer_connections: this.#counts.peer,
      unfinished_bytes: sum(this.#held.input),
      queued_bytes: sum(this.#held.output),
      request_bytes: this.requests.taken,
      refused_connections: this.#refused,
    };
  }

  /** Admits a connection. @returns why there is no place for it */
  enter(guest: Guest): Seat | KvError {
    if (this.open >= this.#clientsMax + this.#peersMax) this.#measureAgain();
    if (this.open >= this.#clientsMax + this.#peersMax && !this.#makeRoom()) return this.#full();
    const seat = new Seat(this.#keeper, guest, this.#clock.monotonicMs());
    this.#seats.add(seat);
    this.#counts.newcomer++;
    this.#silent.add(seat);
    this.#sweeping ??= this.#clock.setTimer(ADMISSION_SWEEP_MS, this.#sweep);
    return seat;
  }

  /**
   * Ends the connection that will be missed least: a newcomer that had time to send something and did not,
   * then a client with nothing under way, then the oldest newcomer. @returns false if there is none
   */
  #makeRoom(): boolean {
    const [oldest] = this.#silent;
    const graceEndedMs = this.#clock.monotonicMs() - NEWCOMER_GRACE_MS;
    if ((oldest === undefined || oldest.sinceMs > graceEndedMs) && this.#endIdle()) return true;
    const [seat] = oldest === undefined ? this.#begun : this.#silent;
    if (seat === undefined) return false;
    this.#end(
      seat,
      "overloaded",
      "others need this connection's place, and it has asked nothing",
      true,
    );
    return true;
  }

  #endIdle(): boolean {
    const [seat] = this.#idle;
    if (seat === undefined) return false;
    this.#end(seat, "overloaded", "others need this connection's place, and it is idle", true);
    return true;
  }

  #onSpeak(seat: Seat): KvError | undefined {
    if (this.#counts.client >= this.#clientsMax) this.#measureAgain();
    if (this.#counts.client >= this.#clientsMax && !this.#endIdle()) return this.#full();
    this.#become(seat, "client");
    return undefined;
  }

  /**
   * If a peer opens one connection more than it may, it has lost some, because the connections that it uses
   * send pings. The one that was silent for longest makes room: this side may not hear of its end for a long time.
   */
  #onPeer(seat: Seat, name: string): void {
    const others = this.#peers.get(name) ?? new Set<Seat>();
    if (others.size >= CONNECTIONS_PER_PEER_MAX) {
      let quietest: Seat | undefined;
      for (const other of others) {
        if (quietest === undefined || other.heardMs < quietest.heardMs) quietest = other;
      }
      const text = `${name} has ${others.size} newer connections, and nothing came over this one`;
      if (quietest !== undefined) this.#end(quietest, "overloaded", text, true);
    }
    this.#peers.set(name, others.add(seat));
    seat.peerName = name;
    this.#become(seat, "peer");
  }

  #become(seat: Seat, standing: Standing): void {
    this.#uncount(seat);
    seat.standing = standing;
    this.#counts[standing]++;
    for (const what of ["input", "output"] as const) {
      this.#held[what][standing] += seat.held[what];
    }
  }

  #uncount(seat: Seat): void {
    const { standing, held } = seat;
    this.#counts[standing]--;
    for (const what of ["input", "output"] as const) this.#held[what][standing] -= held[what];
    this.#silent.delete(seat);
    this.#begun.delete(seat);
    this.#idle.delete(seat);
  }

  #onHeld(seat: Seat, what: Held, change: number): void {
    const { standing } = seat;
    seat.held[what] += change;
    this.#held[what][standing] += change;
    if (change > 0 && this.#held[what][standing] > this.#max[what][standing]) {
      this.#relieve(what, standing);
    }
  }

  /** Ends the connections that hold most, until the rest fits. */
  #relieve(what: Held, standing: Standing): void {
    const max = this.#max[what][standing];
    const held = this.#held[what];
    if (what === "output") this.#lookAgain(standing);
    while (held[standing] > max) {
      let most: Seat | undefined;
      for (const seat of this.#seats) {
        if (seat.standing !== standing) continue;
        if (most === undefined || seat.held[what] > most.held[what]) most = seat;
      }
      if (most === undefined) return;
      const text = `${WHAT_IS_HELD[what]} take ${held[standing]} bytes of this process's memory, ` +
        `which may be ${max}; this connection has most of them, ${most.held[what]}`;
      this.#end(most, "overloaded", text);
    }
  }

  /** What was reported as queued may have been sent since. */
  #lookAgain(standing: Standing): void {
    for (const seat of this.#seats) {
      if (seat.standing !== standing || seat.guest.queuedBytes === undefined) continue;
      const bytes = seat.outputOf(seat.guest.queuedBytes());
      this.#held.output[standing] += bytes - seat.held.output;
      seat.held.output = bytes;
    }
  }

  readonly #sweep = (): void => {
    this.#sweeping = undefined;
    const now = this.#clock.monotonicMs();
    for (const seat of this.#silent) {
      if (now - seat.sinceMs < FIRST_BYTE_TIMEOUT_MS) break;
      this.#end(seat, "timeout", `nothing came in ${FIRST_BYTE_TIMEOUT_MS} ms`);
    }
    // In the order of their first bytes, which is about the order in which they arrived.
    for (const seat of this.#begun) {
      if (now - seat.sinceMs < FIRST_MESSAGE_TIMEOUT_MS) continue;
      this.#end(seat, "timeout", `no complete message came in ${FIRST_MESSAGE_TIMEOUT_MS} ms`);
    }
    this.#sweepLater();
  };

  #sweepLater(): void {
    if (this.#counts.newcomer === 0) {
      this.#sweeping?.cancel();
      this.#sweeping = undefined;
    } else this.#sweeping ??= this.#clock.setTimer(ADMISSION_SWEEP_MS, this.#sweep);
  }

  #end(seat: Seat, code: "overloaded" | "timeout", text: string, atOnce = false): void {
    if (code === "overloaded") this.#complain(text);
    this.#remove(seat);
    this.#leaving++;
    const reason = code === "overloaded" ? `${text}; try again later` : text;
    // Ended connections that have not closed hold descriptors that nothing counts: only a few are allowed.
    seat.guest.end(new KvError(code, reason), atOnce || this.#leaving > LEAVING_CONNECTIONS_MAX);
  }

  #full(): KvError {
    const text = `${this.#counts.client} connections of clients are open, and no more are taken`;
    this.#complain(text);
    return new KvError("overloaded", `${text}; try again later`);
  }

  /** Called once in a while, however many there are. */
  #complain(why: string): void {
    this.#refused++;
    const now = this.#clock.monotonicMs();
    if (now < this.#loggedMs + ADMISSION_LOG_MS) return;
    this.#loggedMs = now;
    this.#log.warn("connections are refused", { why, ...this.stats() });
  }

  #remove(seat: Seat): void {
    seat.ended = true;
    this.#uncount(seat);
    this.#seats.delete(seat);
    const { peerName } = seat;
    if (peerName !== undefined) {
      const others = this.#peers.get(peerName);
      others?.delete(seat);
      if (others?.size === 0) this.#peers.delete(peerName);
    }
    this.#sweepLater();
  }

  #countDescriptors(): number {
    return this.#options.freeDescriptors?.(DESCRIPTORS_COUNTED) ?? Infinity;
  }

  /** Descriptors are counted in steps: to count all at the start would cost every process time. */
  #measureAgain(): void {
    const { connectionsMax, freeDescriptors } = this.#options;
    if (connectionsMax !== undefined || freeDescriptors === undefined) return;
    if (this.#clientsMax >= CONNECTIONS_MAX) return;
    const more = freeDescriptors(DESCRIPTORS_COUNTED) - FILE_DESCRIPTORS - PEER_DESCRIPTORS_MAX;
    if (more > 0) this.#clientsMax = Math.min(CONNECTIONS_MAX, this.open + more);
  }
}

/** The places of clients, and those reserved for peers, from the number of free descriptors. Pure. */
export function placesOf(descriptors: number): { clients: number; peers: number } {
  const outside = Math.max(0, descriptors - FILE_DESCRIPTORS);
  const share = Math.min(
    PEER_DESCRIPTORS_MAX,
    Math.max(PEER_DESCRIPTORS_MIN, Math.floor(outside * PEER_DESCRIPTORS_PART)),
  );
  return {
    clients: Math.max(1, Math.min(CONNECTIONS_MAX, outside - share)),
    // The other half is for the connections that this process opens itself.
    peers: Math.floor(share / 2),
  };
}

function zeros(): Sums {
  return { newcomer: 0, client: 0, peer: 0 };
}

function sum(sums: Readonly<Sums>): number {
  return sums.newcomer + sums.client + sums.peer;
}
