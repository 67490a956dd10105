/**
 * Slows down whoever guesses passwords: after a few failures an address must wait before its next attempt for
 * the same user, longer each time; and so must an address that fails for many users. A user cannot be locked
 * out by others, since only the address that fails waits. Pure; the time comes in.
 *
 * Invariant: memory is bounded; what is forgotten first is who has not failed for longest.
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
} from "../limits/security.ts";

interface Failures {
  readonly count: number;
  /** No attempt is looked at before. */
  readonly untilMs: number;
}

/** Remembers who failed. */
export class LoginThrottle {
  readonly #failures = new LRUCache<string, Failures>({ max: LOGIN_FAILURES_REMEMBERED });

  /** How long this address has to wait before an attempt for this user is looked at; 0: not at all. */
  waitMs(address: string, user: string, nowMs: number): number {
    const waits = [
      this.#failures.get(ofUser(address, user)),
      this.#failures.get(networkOf(address)),
    ];
    return Math.max(0, ...waits.map((failures) => (failures?.untilMs ?? 0) - nowMs));
  }

  /** An attempt has failed. */
  failed(address: string, user: string, nowMs: number): void {
    this.#count(ofUser(address, user), LOGIN_FAILURES_FREE, nowMs);
    // Behind it, so that a flood of users' names does not make the address forgotten.
    this.#count(networkOf(address), LOGIN_FAILURES_FREE_OF_ADDRESS, nowMs);
  }

  /** The right password came: what this address got wrong for this user is forgotten, not more. */
  succeeded(address: string, user: string): void {
    this.#failures.delete(ofUser(address, user));
  }

  #count(who: string, free: number, nowMs: number): void {
    const before = this.#failures.get(who);
    // Who has left it alone for as long as the longest wait begins anew.
    const isOld = before === undefined || nowMs >= before.untilMs + LOGIN_WAIT_MS_MAX;
    const count = isOld ? 1 : before.count + 1;
    const doublings = Math.min(count - free - 1, 30);
    const waitMs = doublings < 0 ? 0 : Math.min(LOGIN_WAIT_MS * 2 ** doublings, LOGIN_WAIT_MS_MAX);
    this.#failures.set(who, { count, untilMs: nowMs + waitMs });
  }
}

function ofUser(address: string, user: string): string {
  // A user's name of any length does not make memory unbounded.
  return `${networkOf(address)} ${user.slice(0, 64)}`;
}

/** Of IPv6 the first 64 bits, as a customer has a network of so many at least; of IPv4 all. */
function networkOf(address: string): string {
  if (!address.includes(":") || address.includes(".")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head.split(":");
  // What "::" leaves out are zeros.
  const rest = tail === undefined ? [] : tail.split(":");
  while (groups.length + rest.length < 8) groups.push("0");
  return [...groups, ...rest].slice(0, 4).map((group) => group === "" ? "0" : group).join(":");
}
