/**
 * How many answers of discovery may leave per second, to one host and to all. Pure:
 * it is told the time, and forgets hosts beyond a bound, the longest silent first.
 *
 * @module
 */
import {
  DISCOVERY_HOST_RATE,
  DISCOVERY_HOSTS_MAX,
  DISCOVERY_RATE,
} from "../../shared/limits/membership.ts";

/** A bucket that fills with time, up to a second's worth. */
interface Bucket {
  tokens: number;
  atMs: number;
}

/** Counts answers. */
export class AnswerRate {
  readonly #all: Bucket = { tokens: DISCOVERY_RATE, atMs: 0 };
  /** In the order of their last question. */
  readonly #hosts = new Map<string, Bucket>();

  /** Whether one more answer may go to a host; if so, it counts as sent. */
  allow(host: string, nowMs: number): boolean {
    const known = this.#hosts.get(host);
    const bucket = known ?? { tokens: DISCOVERY_HOST_RATE, atMs: nowMs };
    this.#hosts.delete(host);
    this.#hosts.set(host, bucket);
    if (this.#hosts.size > DISCOVERY_HOSTS_MAX) {
      const [oldest] = this.#hosts.keys();
      if (oldest !== undefined) this.#hosts.delete(oldest);
    }
    fill(bucket, DISCOVERY_HOST_RATE, nowMs);
    fill(this.#all, DISCOVERY_RATE, nowMs);
    if (bucket.tokens < 1 || this.#all.tokens < 1) return false;
    bucket.tokens--;
    this.#all.tokens--;
    return true;
  }
}

function fill(bucket: Bucket, perSecond: number, nowMs: number): void {
  const passedMs = Math.max(0, nowMs - bucket.atMs);
  bucket.tokens = Math.min(perSecond, bucket.tokens + passedMs * perSecond / 1_000);
  bucket.atMs = nowMs;
}
