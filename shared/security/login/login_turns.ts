/**
 * The order in which passwords are checked, since a check costs a processor and memory. Each network (an address)
 * is given turns in rotation, so that one that floods makes others wait for one of its checks, not for all.
 *
 * Invariants: at most LOGINS_AT_ONCE_MAX are checked at a time and at most LOGINS_WAITING_MAX wait; if more come, the
 * network with most of them loses its newest. Whether an attempt must wait because others have failed is decided
 * when its turn comes, with the outcome of all before it, and of those under way as if they failed.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import { LOGINS_AT_ONCE_MAX, LOGINS_WAITING_MAX } from "../../limits/security.ts";
import type { Clock } from "../../platform/clock.ts";
import { type Attempt, type LoginThrottle, networkOf } from "./login_throttle.ts";

/** An attempt that has not begun. */
interface Waiting {
  readonly address: string;
  readonly user: string;
  begin(attempt: Attempt): void;
  refuse(error: KvError): void;
}

/** Gives out turns. One for a process. */
export class LoginTurns {
  readonly #throttle: LoginThrottle;
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** By network, in the order of their turns; none is empty. */
  readonly #waiting = new Map<string, Waiting[]>();
  #waitingCount = 0;
  #running = 0;

  constructor(throttle: LoginThrottle, clock: Pick<Clock, "monotonicMs">) {
    this.#throttle = throttle;
    this.#clock = clock;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waitingCount;
  }

  /**
   * Checks a password when its turn has come.
   *
   * @param check resolves if it is right, and throws `unauthorized` if it is not
   * @throws {KvError} what `check` throws; `overloaded` if too many wait, or if this address must wait
   */
  async check<T>(address: string, user: string, check: () => Promise<T>): Promise<T> {
    this.throwIfMustWait(address, user);
    const attempt = await this.#begin(address, user);
    try {
      const checked = await check();
      attempt.succeeded();
      return checked;
    } catch (error) {
      if (isWrong(error)) attempt.failed(this.#clock.monotonicMs());
      else attempt.dropped();
      throw error;
    } finally {
      this.#running--;
      this.#goOn();
    }
  }

  /** @throws {KvError} `overloaded` if this address has failed too often for this user, or for many */
  throwIfMustWait(address: string, user: string): void {
    const waitMs = this.#throttle.waitMs(address, user, this.#clock.monotonicMs());
    if (waitMs > 0) throw mustWait(waitMs);
  }

  #begin(address: string, user: string): Promise<Attempt> {
    return new Promise((begin, refuse) => {
      const network = networkOf(address);
      const queue = this.#waiting.get(network) ?? [];
      queue.push({ address, user, begin, refuse });
      this.#waiting.set(network, queue);
      this.#waitingCount++;
      this.#goOn();
      if (this.#waitingCount > LOGINS_WAITING_MAX) this.#dropOne();
    });
  }

  /** Begins as many as may, one of each network in turn. */
  #goOn(): void {
    for (let isProgress = true; isProgress && this.#running < LOGINS_AT_ONCE_MAX;) {
      isProgress = false;
      for (const [network, queue] of [...this.#waiting]) {
        if (this.#running >= LOGINS_AT_ONCE_MAX) break;
        const hasBegun = this.#takeFrom(queue);
        isProgress ||= hasBegun;
        // Whose turn it was comes behind all others.
        if (hasBegun || queue.length === 0) this.#waiting.delete(network);
        if (hasBegun && queue.length > 0) this.#waiting.set(network, queue);
      }
    }
  }

  /** Begins the first that may; those that have to wait for the clock are refused. */
  #takeFrom(queue: Waiting[]): boolean {
    for (let at = 0; at < queue.length;) {
      const first = queue[at];
      if (first === undefined) break;
      const { address, user } = first;
      const nowMs = this.#clock.monotonicMs();
      const waitMs = this.#throttle.waitMs(address, user, nowMs);
      const attempt = waitMs > 0 ? undefined : this.#throttle.begin(address, user, nowMs);
      if (waitMs === 0 && attempt === undefined) {
        at++;
        continue;
      }
      queue.splice(at, 1);
      this.#waitingCount--;
      if (attempt === undefined) first.refuse(mustWait(waitMs));
      else {
        this.#running++;
        first.begin(attempt);
        return true;
      }
    }
    return false;
  }

  #dropOne(): void {
    let longest: Waiting[] = [];
    for (const queue of this.#waiting.values()) if (queue.length > longest.length) longest = queue;
    const newest = longest.pop();
    if (newest === undefined) return;
    this.#waitingCount--;
    if (longest.length === 0) this.#waiting.delete(networkOf(newest.address));
    newest.refuse(new KvError("overloaded", "login: too many are under way; try again"));
  }
}

function mustWait(waitMs: number): KvError {
  return new KvError(
    "overloaded",
    `login: too many failed attempts; try again in ${Math.ceil(waitMs / 1_000)} s`,
  );
}

function isWrong(error: unknown): boolean {
  return error instanceof KvError && error.code === "unauthorized";
}
