/**
 * Slows down whoever guesses passwords: after a few failures an address must wait before its next attempt for
 * the same user, longer each time; and so must an address that fails for many users. A user cannot be locked
 * out by others, since only the address that fails waits. Pure; the time comes in.
 *
 * An attempt counts from the moment when it begins: until it ends it is taken for one that fails, so that many
 * guesses at once get no further than as many one after the other.
 *
 * Invariants: memory is bounded; what is forgotten first is who has not failed for longest. Whoever fails for one
 * user, however often, makes nobody else at its address wait.
 *
 * @module
 */
import { LRUCache } from "lru-cache";
import {
  LOGIN_FAILURES_FREE,
  LOGIN_FAILURES_FREE_OF_ADDRESS,
  LOGIN_FAILURES_REMEMBERED,
  LOGIN_WAIT_MS,
  LOGIN_WAIT_MS_MAX,
} from "../../limits/security.ts";

interface Failures {
  readonly count: number;
  /** No attempt is looked at before. */
  readonly untilMs: number;
}

/** An attempt that has begun. */
export interface Attempt {
  /** The password was right. */
  succeeded(): void;
  /** It was wrong. */
  failed(nowMs: number): void;
  /** It was not looked at. */
  dropped(): void;
}

/** Remembers who failed. */
export class LoginThrottle {
  readonly #failures = new LRUCache<string, Failures>({ max: LOGIN_FAILURES_REMEMBERED });
  /** Attempts under way; as many as {@linkcode LoginTurns} lets begin. */
  readonly #underWay = new Map<string, number>();

  /** How long this address has to wait before an attempt for this user is looked at; 0: not at all. */
  waitMs(address: string, user: string, nowMs: number): number {
    const waits = [
      this.#failures.get(ofUser(address, user)),
      this.#failures.get(networkOf(address)),
    ];
    return Math.max(0, ...waits.map((failures) => (failures?.untilMs ?? 0) - nowMs));
  }

  /**
   * An attempt begins, if nobody has to wait.
   *
   * @returns undefined if it may begin only after another one has ended, whose outcome decides about it
   */
  begin(address: string, user: string, nowMs: number): Attempt | undefined {
    const who = ofUser(address, user);
    const network = networkOf(address);
    const isFree = this.#mayBegin(who, LOGIN_FAILURES_FREE, nowMs) &&
      this.#mayBegin(network, LOGIN_FAILURES_FREE_OF_ADDRESS, nowMs);
    if (!isFree) return undefined;
    this.#change(who, 1);
    this.#change(network, 1);
    const dropped = () => {
      this.#change(who, -1);
      this.#change(network, -1);
    };
    return {
      dropped,
      succeeded: () => {
        dropped();
        this.succeeded(address, user);
      },
      failed: (failedMs) => {
        dropped();
        this.failed(address, user, failedMs);
      },
    };
  }

  /** An attempt has failed. */
  failed(address: string, user: string, nowMs: number): void {
    const count = this.#count(ofUser(address, user), LOGIN_FAILURES_FREE, nowMs);
    const network = networkOf(address);
    // Whoever goes on with one user is slowed down by that, and the others at its address are not. It is
    // looked up behind the user, so that a flood of users' names does not make the address forgotten.
    if (count > LOGIN_FAILURES_FREE) this.#failures.get(network);
    else this.#count(network, LOGIN_FAILURES_FREE_OF_ADDRESS, nowMs);
  }

  /** The right password came: what this address got wrong for this user is forgotten, not more. */
  succeeded(address: string, user: string): void {
    this.#failures.delete(ofUser(address, user));
  }

  #mayBegin(who: string, free: number, nowMs: number): boolean {
    const underWay = this.#underWay.get(who) ?? 0;
    return underWay === 0 || this.#countOf(who, nowMs) + underWay <= free;
  }

  #change(who: string, change: 1 | -1): void {
    const count = (this.#underWay.get(who) ?? 0) + change;
    if (count === 0) this.#underWay.delete(who);
    else this.#underWay.set(who, count);
  }

  #countOf(who: string, nowMs: number): number {
    const before = this.#failures.get(who);
    // Who has left it alone for as long as the longest wait begins anew.
    return before === undefined || nowMs >= before.untilMs + LOGIN_WAIT_MS_MAX ? 0 : before.count;
  }

  #count(who: string, free: number, nowMs: number): number {
    const count = this.#countOf(who, nowMs) + 1;
    const doublings = Math.min(count - free - 1, 30);
    const waitMs = doublings < 0 ? 0 : Math.min(LOGIN_WAIT_MS * 2 ** doublings, LOGIN_WAIT_MS_MAX);
    this.#failures.set(who, { count, untilMs: nowMs + waitMs });
    return count;
  }
}

function ofUser(address: string, user: string): string {
  // A user's name of any length does not make memory unbounded.
  return `${networkOf(address)} ${user.slice(0, 64)}`;
}

/** Whose address it is: the first 64 bits of IPv6, because a customer has at least a network of that size; all of IPv4. */
export function networkOf(address: string): string {
  if (!address.includes(":") || address.includes(".")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head.split(":");
  // What "::" leaves out are zeros.
  const rest = tail === undefined ? [] : tail.split(":");
  while (groups.length + rest.length < 8) groups.push("0");
  return [...groups, ...rest].slice(0, 4).map((group) => group === "" ? "0" : group).join(":");
}
