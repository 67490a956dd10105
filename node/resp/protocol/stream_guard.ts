/**
 * Watches a stream for a peer that hangs: a command that has begun must be complete within a bounded time, and
 * a peer that reads nothing of what is queued for it is disconnected. Each has one timer, which is set only if
 * there is something to watch, and then left to run.
 *
 * @module
 */
import type { Clock, Timer } from "../../../shared/platform/clock.ts";
import { WRITE_STALL_TIMEOUT_MS } from "../../../shared/limits/admission.ts";
import { FRAME_TIMEOUT_MS } from "../../../shared/limits/wire.ts";
import type { Stream } from "../../../shared/platform/transport.ts";

/** The watch over one stream. */
export class StreamGuard {
  readonly #clock: Clock;
  readonly #stream: Stream;
  readonly #onHang: (why: string) => void;
  #partSinceMs = 0;
  #hasPart = false;
  #partTimer: Timer | undefined;
  #writtenBytes = 0;
  #sentBytes = 0;
  #stallTimer: Timer | undefined;
  #closed = false;

  constructor(clock: Clock, stream: Stream, onHang: (why: string) => void) {
    this.#clock = clock;
    this.#stream = stream;
    this.#onHang = onHang;
  }

  /**
   * Bytes were parsed.
   * @param hasPart whether a command has begun, is not complete, and waits for its sender
   * @param endedOne whether another command was completed, so that this one began after it
   */
  read(hasPart: boolean, endedOne: boolean): void {
    const began = hasPart && (endedOne || !this.#hasPart);
    this.#hasPart = hasPart;
    if (!began) return;
    this.#partSinceMs = this.#clock.monotonicMs();
    this.#partTimer ??= this.#clock.setTimer(FRAME_TIMEOUT_MS, this.#checkPart);
  }

  /** Bytes were given to the stream. */
  wrote(bytes: number): void {
    this.#writtenBytes += bytes;
    if (this.#stallTimer === undefined && this.#stream.queuedBytes > 0) this.#watchStall();
  }

  close(): void {
    this.#closed = true;
    this.#partTimer?.cancel();
    this.#stallTimer?.cancel();
  }

  readonly #checkPart = (): void => {
    this.#partTimer = undefined;
    if (this.#closed || !this.#hasPart) return;
    const leftMs = this.#partSinceMs + FRAME_TIMEOUT_MS - this.#clock.monotonicMs();
    if (leftMs > 0) this.#partTimer = this.#clock.setTimer(leftMs, this.#checkPart);
    else this.#onHang(`a command was not complete ${FRAME_TIMEOUT_MS} ms after it began`);
  };

  #watchStall(): void {
    this.#sentBytes = this.#writtenBytes - this.#stream.queuedBytes;
    this.#stallTimer = this.#clock.setTimer(WRITE_STALL_TIMEOUT_MS, this.#checkStall);
  }

  readonly #checkStall = (): void => {
    this.#stallTimer = undefined;
    const queued = this.#stream.queuedBytes;
    if (this.#closed || queued === 0) return;
    if (this.#writtenBytes - queued > this.#sentBytes) this.#watchStall();
    else this.#onHang(`none of ${queued} queued bytes was taken for ${WRITE_STALL_TIMEOUT_MS} ms`);
  };
}
