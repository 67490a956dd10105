/**
 * How many replicas, and how many primaries, each node should hold: by weight, within what spreading
 * replicas over zones allows. Not who holds which partition; that is `placement.ts`.
 *
 * With equal zones a node's share is its part of the total weight. If that cannot be (a node would
 * hold a partition twice, or a zone two replicas while another has none), it gets what it can, and the
 * others share the rest by weight. Shares are per partition: 0.75 of 256 partitions is 192 replicas.
 *
 * Invariants: the replicas' shares add up to the number of replicas, the primaries' to 1; a node's share
 * is at most 1; its share of primaries is at most its share of replicas.
 *
 * @module
 */

/** What the shares depend on. Zones are numbered from 0 without a gap. */
export interface ShareInput {
  readonly weights: readonly number[];
  readonly zoneOf: readonly number[];
  /** Replicas of each partition: at least 1, at most the number of nodes. */
  readonly replicas: number;
}

/** What each node should hold, by its index. */
export interface Shares {
  readonly replicas: readonly number[];
  readonly primaries: readonly number[];
  /**
   * How many replicas of a partition a zone may hold once its n-th replica is placed: 1 until every zone
   * has one, then 2, and so on.
   */
  readonly perZoneMax: readonly number[];
}

/** The shares of nodes. */
export function fairShares({ weights, zoneOf, replicas }: ShareInput): Shares {
  const membersOf: number[][] = [];
  zoneOf.forEach((zone, node) => (membersOf[zone] ??= []).push(node));
  const perZoneMax = zoneLimits(membersOf.map((members) => members.length), replicas);
  const highest = perZoneMax[replicas - 1] ?? 0;
  const zoneShares = divide(
    replicas,
    membersOf.map((members) => ({
      weight: members.reduce((sum, node) => sum + (weights[node] ?? 0), 0),
      least: Math.min(members.length, highest - 1),
      most: Math.min(members.length, highest),
    })),
  );
  const shares = new Array<number>(weights.length).fill(0);
  membersOf.forEach((members, zone) => {
    const claims = members.map((node) => ({ weight: weights[node] ?? 0, least: 0, most: 1 }));
    const parts = divide(zoneShares[zone] ?? 0, claims);
    members.forEach((node, i) => shares[node] = parts[i] ?? 0);
  });
  const primaries = divide(
    1,
    weights.map((weight, node) => ({ weight, least: 0, most: shares[node] ?? 0 })),
  );
  return { replicas: shares, primaries, perZoneMax };
}

function zoneLimits(sizes: readonly number[], replicas: number): number[] {
  const limits: number[] = [];
  for (let limit = 1; limits.length < replicas; limit++) {
    const placed = sizes.reduce((sum, size) => sum + Math.min(size, limit), 0);
    while (limits.length < Math.min(placed, replicas)) limits.push(limit);
  }
  return limits;
}

/** Someone who takes a part of a whole: by weight, but within limits. */
interface Claim {
  readonly weight: number;
  readonly least: number;
  readonly most: number;
}

/** Halvings after which a double cannot tell the two ends apart. */
const HALVINGS = 100;

/** Divides `total` by weight, as nearly as the claims' limits allow (which must admit `total`). */
function divide(total: number, claims: readonly Claim[]): number[] {
  const at = (perWeight: number) =>
    claims.map(({ weight, least, most }) => Math.min(most, Math.max(least, perWeight * weight)));
  const sum = (parts: readonly number[]) => parts.reduce((a, b) => a + b, 0);
  const ends = claims.map(({ weight, most }) => most / weight);
  let low = 0;
  let high = Math.max(...ends);
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (sum(at(middle)) < total) low = middle;
    else high = middle;
  }
  return at(high);
}
