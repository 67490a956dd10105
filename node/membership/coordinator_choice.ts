/**
 * Which coordinator a node's session tries next: the one that another one has named as active, then the one that it
 * had last, then the others in turn, beginning with those that the operator has named. So a node that is sent to another
 * cluster's coordinator is refused there, and does not find its own by the map that it has kept.
 *
 * One that did not answer is tried again only when as many attempts have been made as there are others, whoever names
 * it: to wait for it costs more than to ask all of these, and the one that is active judges nodes that do not come.
 *
 * @module
 */
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import { parseAddress } from "../../shared/discovery/coordinator_address.ts";
import type { KvError } from "../../shared/base/errors.ts";
import { COORDINATORS_MAX } from "../../shared/limits/membership.ts";
import { type Random, randomBelow } from "../../shared/platform/random.ts";
import { type Address, formatAddress } from "../../shared/platform/transport.ts";

/** Chooses. */
export class CoordinatorChoice {
  readonly #random: Random;
  /** Named by another coordinator, and not tried since. */
  #named: Address | undefined;
  /** Where this node was registered last, and not tried since. */
  #last: Address | undefined;
  #turn: number | undefined;
  /** Those that did not answer, each with the number of attempts up to then. */
  readonly #silent = new Map<string, number>();
  #attempts = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /**
   * @param located those that the operator has named, or discovery has found
   * @param map the newest map that is known, which names them all
   */
  next(located: readonly Address[], map: ClusterMap | undefined): Address | undefined {
    const all = allOf(located, map);
    const others = all.length - 1;
    const named = this.#named ?? this.#last;
    if (named !== undefined) {
      if (this.#named === undefined) this.#last = undefined;
      this.#named = undefined;
      if (this.#mayAnswer(named, others)) return this.#tried(named);
    }
    const firstOnes = located.length > 0 ? located.length : all.length;
    this.#turn ??= firstOnes > 1 ? randomBelow(this.#random, firstOnes) : 0;
    for (let skipped = 0; skipped < others; skipped++) {
      const next = all[this.#turn % all.length];
      if (next === undefined || this.#mayAnswer(next, others)) break;
      this.#turn++;
    }
    return this.#tried(all[this.#turn++ % Math.max(1, all.length)]);
  }

  /** The session with this one is lost: it is tried first. */
  lost(address: Address): void {
    this.#last = address;
  }

  /** This one does not answer, or does not any more: it is tried after the others. */
  silent(address: Address): void {
    for (const [name, until] of this.#silent) {
      if (this.#attempts - until >= COORDINATORS_MAX) this.#silent.delete(name);
    }
    this.#silent.set(formatAddress(address), this.#attempts);
  }

  #mayAnswer(address: Address, others: number): boolean {
    const until = this.#silent.get(formatAddress(address));
    return until === undefined || this.#attempts - until >= others;
  }

  #tried(address: Address | undefined): Address | undefined {
    this.#attempts++;
    if (address !== undefined) this.#silent.delete(formatAddress(address));
    return address;
  }

  /** A coordinator has refused, and may have said which one is active. @returns whether it has */
  refused({ detail }: KvError): boolean {
    const active = detail?.active;
    if (typeof active !== "string") return false;
    try {
      this.#named = parseAddress(active, "the active coordinator");
      return true;
    } catch {
      return false;
    }
  }
}

/** Whether there is another one than the one that a node has. */
export function areSeveral(map: ClusterMap | undefined): boolean {
  return (map?.coordinators?.length ?? 0) > 1;
}

function allOf(located: readonly Address[], map: ClusterMap | undefined): Address[] {
  const listed = (map?.coordinators ?? []).map(({ host, port }) => ({ host, port }));
  const byName = new Map([...located, ...listed].map((one) => [formatAddress(one), one]));
  return [...byName.values()];
}
