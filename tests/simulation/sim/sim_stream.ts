/**
 * One end of a simulated stream. The other end may be alive, closed, dead with its process, or
 * forgotten by the network; this one finds out in the ways that a real one does.
 *
 * Invariant: what was written arrives once, in order and without a gap up to some point; `onClose` is
 * called exactly once if the process lives and has started the stream.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import {
  CLOSE_LINGER_MS,
  STREAM_HIGH_WATER_BYTES,
  STREAM_LOW_WATER_BYTES,
} from "../../../shared/limits/connections.ts";
import type { MemberName } from "../../../shared/platform/member_identity.ts";
import type { Address, Stream, StreamHandlers } from "../../../shared/platform/transport.ts";
import type { Coverage } from "../coverage.ts";
import type { Scheduler, SimProcess } from "./scheduler.ts";

/** What is on its way to one end: bytes, the other's end, or a reset. */
type Parcel = Uint8Array | "end" | "break";

/** A parcel that takes long. */
interface Flying {
  readonly parcel: Parcel;
  landed: boolean;
}

/** What takes longer than this can be hurried. */
const LONG_MS = 100;

/** Until a system that was without power answers what is sent to its dead streams, at most. */
const RETRANSMIT_MS_MAX = 3_000;

/** What an end asks of its network. */
export interface StreamNetwork {
  readonly options: { readonly bufferBytes: number; readonly splits: number };
  readonly scheduler: Scheduler;
  readonly coverage: Coverage;
  /** How often something was written to a stream. */
  writes: number;
  chance(rate: number): boolean;
  delayMs(from: string, to: string, bytes: number): number;
  isCut(from: string, to: string): boolean;
  isDark(host: string): boolean;
  forget(end: SimStream): void;
}

/** One end. */
export class SimStream implements Stream {
  readonly host: string;
  readonly remote: Address;
  readonly process: SimProcess;
  /** Who is at the other end, as its certificate says. */
  readonly member: MemberName | undefined;
  closed = false;
  /** This end has opened it. */
  isCaller = false;
  /** Nothing gets through any more, and nobody says so. */
  forgotten = false;
  readonly #network: StreamNetwork;
  #other: SimStream | undefined;
  #handlers: StreamHandlers | undefined;
  /** The process is gone; the object stands for what its system knows. */
  #dead = false;
  /** Arrived and not given to the owner yet. */
  readonly #inbox: Parcel[] = [];
  /** Due, and held back by a cut. */
  readonly #held: Parcel[] = [];
  #paused = false;
  #pendingBytes = 0;
  #aboveHighWater = false;
  #lastDueMs = 0;
  /** When the last of those arrives that are not in `#flying`. */
  #shortDueMs = 0;
  #flying: Flying[] = [];

  constructor(
    network: StreamNetwork,
    process: SimProcess,
    remote: Address,
    member: MemberName | undefined,
  ) {
    this.#network = network;
    this.member = member;
    this.process = process;
    this.host = process.host;
    this.remote = remote;
  }

  get queuedBytes(): number {
    return Math.max(0, this.#pendingBytes - this.#network.options.bufferBytes);
  }

  /** Nothing will ever come from the other end. */
  get isDead(): boolean {
    return this.forgotten || this.#other === undefined || this.#other.#dead;
  }

  /** The system's own probe, after hours: a stream that nobody has written to since it was forgotten ends. */
  probe(): void {
    if (this.forgotten && this.#pendingBytes === 0) {
      this.#break("the system's probes got no answer");
    }
  }

  join(other: SimStream): void {
    this.#other = other;
  }

  /** The certificates end under which this end has opened it. */
  expire(): void {
    if (this.process.alive && !this.closed) this.#handlers?.onExpiring?.();
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers;
    this.process.clock.defer(() => this.#empty());
  }

  write(bytes: Uint8Array): void {
    if (this.closed || bytes.length === 0) return;
    this.#network.writes++;
    this.#pendingBytes += bytes.length;
    if (this.queuedBytes > 0) {
      this.#network.coverage.hit("network: back-pressure");
      if (this.queuedBytes > STREAM_HIGH_WATER_BYTES) this.#aboveHighWater = true;
    }
    if (isConfirmed(bytes)) this.#network.coverage.hit("read: by confirmation");
    if (bytes.length > 1 && this.#network.chance(this.#network.options.splits)) {
      const at = 1 + (this.#network.scheduler.random.uint32() % (bytes.length - 1));
      this.#network.coverage.hit("network: write split");
      this.#post(bytes.slice(0, at));
      this.#post(bytes.slice(at));
    } else this.#post(bytes);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.process.clock.defer(() => this.#empty());
  }

  close(flush = false): void {
    if (this.closed) return;
    this.closed = true;
    this.#post(flush || this.#pendingBytes === 0 ? "end" : "break");
    if (flush && this.#pendingBytes > 0 && !this.forgotten) {
      // It lingers until the other side has what was queued, or for a while.
      this.#network.scheduler.after(
        Math.min(this.#network.delayMs(this.remote.host, this.host, 0) * 2, CLOSE_LINGER_MS),
        this.process,
        () => this.#finish(undefined),
      );
    } else this.process.clock.defer(() => this.#finish(undefined));
  }

  /** Both ends learn that the stream is broken. */
  breakBoth(why: string): void {
    const other = this.#other;
    if (other !== undefined) other.#break(why);
    this.#break(why);
  }

  /** The process is dead. @param power whether its system lives on and closes what was open */
  die(power: boolean): void {
    if (this.#dead) return;
    const wasClosed = this.closed;
    this.closed = true;
    this.#dead = true;
    this.#handlers = undefined;
    this.#network.forget(this);
    if (power && !wasClosed) this.#post(this.#inbox.length > 0 ? "break" : "end");
  }

  /** The cut has ended: what it held is sent once more. */
  releaseHeld(): void {
    if (this.#held.length === 0) return;
    const { scheduler } = this.#network;
    const delayMs = this.#network.delayMs(this.remote.host, this.host, 0) +
      (scheduler.random.uint32() % 400);
    scheduler.after(delayMs, this.process, () => {
      if (this.#network.isCut(this.remote.host, this.host)) return;
      const held = this.#held.splice(0);
      for (const parcel of held) this.#take(parcel);
    }, this);
  }

  /** The link is not slow any more: what is on its way arrives soon. */
  hurry(): void {
    const other = this.#other;
    const flying = [...this.#flying];
    if (other === undefined || flying.length === 0) return;
    const { scheduler } = this.#network;
    const soonMs = scheduler.nowMs + this.#network.delayMs(this.host, this.remote.host, 0);
    // Behind those that were on their way before.
    this.#lastDueMs = Math.max(soonMs, this.#shortDueMs);
    scheduler.at(this.#lastDueMs, other.process, () => {
      for (const each of flying) this.#land(other, each);
    }, other);
  }

  #land(other: SimStream, flying: Flying): void {
    if (flying.landed) return;
    flying.landed = true;
    this.#flying = this.#flying.filter((each) => each !== flying);
    other.#arrive(flying.parcel);
  }

  /** The other host was without power. It knows nothing of this stream. */
  otherHostIsBack(): void {
    const other = this.#other;
    if (other === undefined || !other.#dead || this.closed || this.#pendingBytes === 0) return;
    const waitMs = this.#network.scheduler.random.uint32() % RETRANSMIT_MS_MAX;
    this.#network.scheduler.after(waitMs, this.process, () => {
      this.#network.coverage.hit("network: reset by a host that forgot");
      this.#arrive("break");
    }, this);
  }

  #post(parcel: Parcel): void {
    const other = this.#other;
    if (other === undefined || this.forgotten) return;
    const { scheduler } = this.#network;
    const bytes = typeof parcel === "string" ? 0 : parcel.length;
    const dueMs = Math.max(
      this.#lastDueMs,
      scheduler.nowMs + this.#network.delayMs(this.host, this.remote.host, bytes),
    );
    this.#lastDueMs = dueMs;
    if (dueMs - scheduler.nowMs > LONG_MS && !other.#dead) {
      const flying = { parcel, landed: false };
      this.#flying.push(flying);
      scheduler.at(dueMs, other.process, () => this.#land(other, flying), other);
      return;
    }
    this.#shortDueMs = dueMs;
    // If the other process is dead, its system answers, unless it has no power.
    if (other.#dead) scheduler.at(dueMs, undefined, () => this.#reachDead(other));
    else scheduler.at(dueMs, other.process, () => other.#arrive(parcel), other);
  }

  #reachDead(other: SimStream): void {
    const { scheduler } = this.#network;
    if (this.closed || this.forgotten || this.#network.isDark(other.host)) return;
    if (this.#network.isCut(this.host, other.host) || this.#network.isCut(other.host, this.host)) {
      // Sent again until it gets there.
      scheduler.after(500, undefined, () => this.#reachDead(other));
      return;
    }
    scheduler.after(
      this.#network.delayMs(other.host, this.host, 0),
      this.process,
      () => this.#arrive("break"),
      this,
    );
  }

  #arrive(parcel: Parcel): void {
    if (this.forgotten) return;
    if (this.#network.isCut(this.remote.host, this.host) || this.#held.length > 0) {
      this.#held.push(parcel);
      this.#network.coverage.hit("network: stream held by a cut");
      // The cut may have ended between sending and now, with nothing to release then.
      if (!this.#network.isCut(this.remote.host, this.host)) this.releaseHeld();
      return;
    }
    this.#take(parcel);
  }

  #take(parcel: Parcel): void {
    if (this.closed) {
      // Nobody reads it any more: the sender hears of that as of a reset.
      if (typeof parcel === "string") return;
      this.#tellTaken(parcel.length);
      return;
    }
    this.#inbox.push(parcel);
    this.#empty();
  }

  #empty(): void {
    while (!this.#paused && !this.closed && this.#handlers !== undefined) {
      const parcel = this.#inbox.shift();
      if (parcel === undefined) return;
      if (parcel === "break") this.#break("the other side is gone");
      else if (parcel === "end") {
        if (this.#handlers.onEnd === undefined) this.close(true);
        else this.#handlers.onEnd();
      } else {
        this.#tellTaken(parcel.length);
        this.#handlers.onData(parcel);
      }
    }
  }

  #tellTaken(bytes: number): void {
    const other = this.#other;
    if (other !== undefined) other.#taken(bytes);
  }

  /** The other end has read this many bytes. */
  #taken(bytes: number): void {
    this.#pendingBytes -= bytes;
    if (!this.#aboveHighWater || this.queuedBytes >= STREAM_LOW_WATER_BYTES) return;
    this.#aboveHighWater = false;
    this.#network.scheduler.after(
      this.#network.delayMs(this.remote.host, this.host, 0),
      this.process,
      () => {
        if (!this.closed) this.#handlers?.onDrain?.();
      },
    );
  }

  #break(why: string): void {
    if (this.closed) return;
    this.closed = true;
    const reason = new KvError("unavailable", `the connection broke: ${why}`);
    this.#network.scheduler.after(0, this.process, () => this.#finish(reason), this);
  }

  #finish(reason: Error | undefined): void {
    this.#network.forget(this);
    const handlers = this.#handlers;
    this.#handlers = undefined;
    handlers?.onClose(reason);
  }
}

/** Whether a frame begins as `{"req_type":"confirmed"` does: a replica's word for a read without a lease. */
function isConfirmed(bytes: Uint8Array): boolean {
  return bytes[13] === 0x63 && bytes[16] === 0x66 && bytes[21] === 0x64;
}
