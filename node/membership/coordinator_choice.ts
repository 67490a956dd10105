/**
 * Which coordinator a node's session tries next: the one that another one has named as active, then the one that it
 * had last, then the others in turn, beginning with those that the operator has named. So a node that is sent to another
 * cluster's coordinator is refused there, and does not find its own by the map that it has kept.
 *
 * @module
 */
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import { parseAddress } from "../../shared/discovery/coordinator_address.ts";
import type { KvError } from "../../shared/base/errors.ts";
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

  constructor(random: Random) {
    this.#random = random;
  }

  /**
   * @param located those that the operator has named, or discovery has found
   * @param map the newest map that is known, which names them all
   */
  next(located: readonly Address[], map: ClusterMap | undefined): Address | undefined {
    const named = this.#named ?? this.#last;
    if (named !== undefined) {
      if (this.#named === undefined) this.#last = undefined;
      this.#named = undefined;
      return named;
    }
    const all = allOf(located, map);
    const firstOnes = located.length > 0 ? located.length : all.length;
    this.#turn ??= firstOnes > 1 ? randomBelow(this.#random, firstOnes) : 0;
    return all[this.#turn++ % Math.max(1, all.length)];
  }

  /** The session with this one is lost: it is tried first. */
  lost(address: Address): void {
    this.#last = address;
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
