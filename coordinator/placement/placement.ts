/**
 * Placement: who should hold which partition. A pure function of the nodes, the number of partitions
 * and the replication factor; it knows nothing of who holds what now, or is up.
 *
 * For each partition, walk the hash ring clockwise from the partition's first position and take
 * distinct nodes: zones that hold fewer replicas of it first, passing over nodes that have their bounded
 * share already (consistent hashing with bounded loads: Mirrokni, Thorup, Zadimoghaddam, 2016). The
 * first is the primary; primaries have a bound of their own. So a change of one node of N moves about
 * 1/N of the replicas.
 *
 * Several nodes may be on one machine (`kv-node --workers`), and several machines in one zone.
 *
 * Invariants: each partition has min(replicationFactor, nodes) distinct nodes; no zone has two replicas
 * of it while another zone has none; no machine has two replicas of it while another one has none in a zone that may
 * take one more; a node holds at most ceil(1.15 × its fair share) of all replicas,
 * and of primaries (except for the rare last resort, if nothing else keeps the rules before).
 * The result does not depend on the order of `nodes`.
 *
 * Time: O(v log v) for v virtual nodes, then a few steps a replica.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import { invariant } from "../../shared/base/errors.ts";
import { HashRing } from "../../shared/ring/hash_ring.ts";
import {
  BALANCE_BOUND,
  VNODES_DEFAULT,
  WEIGHT_DEFAULT,
  WEIGHT_MAX,
  WEIGHT_MIN,
} from "../../shared/limits/cluster.ts";
import { firstPositionOf } from "../../shared/cluster/position.ts";
import { fairShares } from "./fair_share.ts";

/** What placement needs to know of a node. */
export interface PlacementNode {
  readonly id: NodeId;
  /** Relative capacity; brought into the range WEIGHT_MIN to WEIGHT_MAX. */
  readonly weight: number;
  /** Failure domain. */
  readonly zone: string;
  /** Nodes of one machine die together. Default: a machine of its own. */
  readonly machine?: string;
}

/** How many partitions an exchange looks through, so that a hopeless one ends. */
const EXCHANGE_PARTITIONS_MAX = 4_096;

/** The nodes that should hold each partition, by its number; the first of them as primary. */
export function place(
  nodes: readonly PlacementNode[],
  partitionCount: number,
  replicationFactor: number,
): NodeId[][] {
  const sorted = nodes.toSorted((a, b) => a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
  sorted.forEach((node, i) =>
    invariant(node.id !== sorted[i + 1]?.id, "node ids are distinct", { id: node.id })
  );
  const replicas = Math.min(replicationFactor, sorted.length);
  const table: number[][] = Array.from({ length: partitionCount }, () => []);
  if (replicas > 0) new Placer(sorted, table, replicas).placeAll();
  return table.map((holders) => holders.map((holder) => sorted[holder]?.id ?? ""));
}

/** Whether it matters on which machine a node of a zone is: some are together, and not all. */
function shareMachines(nodes: readonly PlacementNode[]): boolean {
  const machines = new Set(nodes.map(machineOf)).size;
  return machines > 1 && machines < nodes.length;
}

function machineOf({ id, machine }: PlacementNode): string {
  return machine ?? id;
}

/** A weight brought into the allowed range; what is no number counts as the usual weight. */
function usableWeight(weight: number): number {
  if (Number.isNaN(weight)) return WEIGHT_DEFAULT;
  return Math.min(WEIGHT_MAX, Math.max(WEIGHT_MIN, weight));
}

/** One run. Nodes, zones and virtual nodes (in ring order) are numbers here. */
class Placer {
  readonly #table: number[][];
  readonly #replicas: number;
  readonly #zoneOf: Int32Array;
  readonly #zoneSizes: Int32Array;
  /** The machine of each node, by a number; undefined if zones alone keep replicas of a partition apart. */
  readonly #machineOf: Int32Array | undefined;
  readonly #perZoneMax: readonly number[];
  readonly #replicasMax: Int32Array;
  readonly #primariesMax: Int32Array;
  readonly #replicasHeld: Int32Array;
  readonly #primariesHeld: Int32Array;
  readonly #ringPositions: Float64Array;
  readonly #ringNodes: Int32Array;
  /** For each virtual node, how many steps on the next one of another zone is. */
  readonly #zoneRuns: Int32Array;

  constructor(nodes: readonly PlacementNode[], table: number[][], replicas: number) {
    this.#table = table;
    this.#replicas = replicas;
    const zones = [...new Set(nodes.map((node) => node.zone))].toSorted();
    const zoneNumbers = new Map(zones.map((zone, number) => [zone, number]));
    const zoneOf = nodes.map((node) => zoneNumbers.get(node.zone) ?? 0);
    const weights = nodes.map((node) => usableWeight(node.weight));
    this.#zoneOf = Int32Array.from(zoneOf);
    this.#zoneSizes = new Int32Array(zones.length);
    for (const zone of zoneOf) add(this.#zoneSizes, zone, 1);
    this.#machineOf = machinesWithinZones(nodes);

    const shares = fairShares({ weights, zoneOf, replicas });
    this.#perZoneMax = shares.perZoneMax;
    this.#replicasMax = bounds(shares.replicas, table.length);
    this.#primariesMax = bounds(shares.primaries, table.length);
    this.#replicasHeld = new Int32Array(nodes.length);
    this.#primariesHeld = new Int32Array(nodes.length);

    const ring = new HashRing();
    const nodeNumbers = new Map(nodes.map((node, number) => [node.id, number]));
    nodes.forEach((node, i) =>
      ring.add(node.id, Math.max(1, Math.round(VNODES_DEFAULT * (weights[i] ?? 0))))
    );
    const virtualNodes = [...ring];
    this.#ringPositions = Float64Array.from(virtualNodes, (v) => v.position);
    this.#ringNodes = Int32Array.from(virtualNodes, (v) => nodeNumbers.get(v.node) ?? 0);
    this.#zoneRuns = this.#measureZoneRuns();
  }

  placeAll(): void {
    const positions = this.#ringPositions;
    let start = 0;
    this.#table.forEach((holders, partition) => {
      const first = firstPositionOf(partition, this.#table.length);
      while (start < positions.length && at(positions, start) < first) start++;
      for (let rank = 0; rank < this.#replicas; rank++) {
        this.#placeReplica(holders, partition, start);
      }
    });
  }

  #placeReplica(holders: number[], partition: number, start: number): void {
    const isPrimary = holders.length === 0;
    let node: number | undefined;
    if (!isPrimary && this.#machineOf !== undefined) {
      const isApart = (node: number) => this.#isApart(holders, node);
      node = this.#walk(holders, start, (node) => isApart(node) && this.#hasRoom(node, false));
      if (node === undefined && this.#exchange(holders, partition)) return;
      // Rather a machine that holds more than its share than one that holds the partition twice.
      node ??= this.#walk(holders, start, isApart);
    }
    node ??= this.#walk(holders, start, (node) => this.#hasRoom(node, isPrimary));
    if (node === undefined && !isPrimary && this.#exchange(holders, partition)) return;
    if (isPrimary) {
      node ??= this.#walk(
        holders,
        start,
        (node) => this.#hasRoom(node, false) && this.#passLeadOn(node, partition),
      );
      node ??= this.#walk(holders, start, (node) => this.#hasRoom(node, false));
    }
    node ??= this.#walk(holders, start, () => true);
    invariant(node !== undefined, "a partition finds a node for each replica", { partition });
    holders.push(node);
    add(this.#replicasHeld, node, 1);
    if (isPrimary) add(this.#primariesHeld, node, 1);
  }

  /** The next node clockwise that may take a replica and passes the test. */
  #walk(
    holders: readonly number[],
    start: number,
    test: (node: number) => boolean,
  ): number | undefined {
    const length = this.#ringNodes.length;
    let index = start % length;
    for (let travelled = 0; travelled < length;) {
      const node = at(this.#ringNodes, index);
      let step = 1;
      if (!this.#zoneAdmits(holders, node)) step = at(this.#zoneRuns, index);
      else if (!holders.includes(node) && test(node)) return node;
      travelled += step;
      index = (index + step) % length;
    }
    return undefined;
  }

  /** Whether the node's zone may hold the next replica of a partition that has these holders. */
  #zoneAdmits(holders: readonly number[], node: number): boolean {
    const max = this.#perZoneMax[holders.length] ?? 0;
    return this.#countInZone(holders, at(this.#zoneOf, node)) < max;
  }

  /** Whether none of these holders, but for one, is on the node's machine; always, if machines do not matter. */
  #isApart(holders: readonly number[], node: number, except?: number): boolean {
    const machines = this.#machineOf;
    if (machines === undefined) return true;
    const machine = at(machines, node);
    return holders.every((holder) => holder === except || at(machines, holder) !== machine);
  }

  #hasRoom(node: number, asPrimary: boolean): boolean {
    return at(this.#replicasHeld, node) < at(this.#replicasMax, node) &&
      (!asPrimary || at(this.#primariesHeld, node) < at(this.#primariesMax, node));
  }

  /**
   * If every node that may lead one more partition holds all the replicas that it may, one with room
   * for a replica gives its part as primary of an earlier partition to another holder of that.
   *
   * @returns whether it has
   */
  #passLeadOn(node: number, partition: number): boolean {
    const end = Math.max(0, partition - EXCHANGE_PARTITIONS_MAX);
    for (let other = partition - 1; other >= end; other--) {
      const others = this.#table[other] ?? [];
      if (others[0] !== node) continue;
      const rank = others.findIndex((holder) =>
        at(this.#primariesHeld, holder) < at(this.#primariesMax, holder)
      );
      const heir = others[rank];
      if (heir === undefined) continue;
      others[0] = heir;
      others[rank] = node;
      add(this.#primariesHeld, heir, 1);
      add(this.#primariesHeld, node, -1);
      return true;
    }
    return false;
  }

  /**
   * If every node that may take a replica is full, and those with room may not take it, one with room takes
   * over a replica of an earlier partition, and the one that gave it takes this replica. Needed only
   * if zones are of unequal size.
   */
  #exchange(holders: number[], partition: number): boolean {
    const end = Math.max(0, partition - EXCHANGE_PARTITIONS_MAX);
    for (let other = partition - 1; other >= end; other--) {
      const others = this.#table[other] ?? [];
      for (let rank = 1; rank < others.length; rank++) {
        const giver = others[rank] ?? 0;
        if (holders.includes(giver) || !this.#zoneAdmits(holders, giver)) continue;
        if (!this.#isApart(holders, giver)) continue;
        const taker = this.#findTaker(others, giver);
        if (taker === undefined) continue;
        others[rank] = taker;
        holders.push(giver);
        add(this.#replicasHeld, taker, 1);
        return true;
      }
    }
    return false;
  }

  /** A node with room that may stand in for `giver` in a whole set of holders. */
  #findTaker(holders: readonly number[], giver: number): number | undefined {
    const highest = this.#perZoneMax[this.#replicas - 1] ?? 0;
    const giverZone = at(this.#zoneOf, giver);
    const giverMayGo = this.#countInZone(holders, giverZone) >
      Math.min(at(this.#zoneSizes, giverZone), highest - 1);
    for (let node = 0; node < this.#zoneOf.length; node++) {
      if (!this.#hasRoom(node, false) || holders.includes(node)) continue;
      if (!this.#isApart(holders, node, giver)) continue;
      const zone = at(this.#zoneOf, node);
      if (zone === giverZone) return node;
      if (giverMayGo && this.#countInZone(holders, zone) < highest) return node;
    }
    return undefined;
  }

  #countInZone(holders: readonly number[], zone: number): number {
    let count = 0;
    for (const holder of holders) if (at(this.#zoneOf, holder) === zone) count++;
    return count;
  }

  #measureZoneRuns(): Int32Array {
    const length = this.#ringNodes.length;
    const zoneAt = (index: number) => at(this.#zoneOf, at(this.#ringNodes, index % length));
    // If there is only one zone, a run is the whole ring.
    const runs = new Int32Array(length).fill(length);
    let run = length;
    // Twice round, so that a run across the end of the array gets its true length.
    for (let index = 2 * length - 1; index >= 0; index--) {
      run = zoneAt(index) === zoneAt(index + 1) ? Math.min(run + 1, length) : 1;
      if (index < length) runs[index] = run;
    }
    return runs;
  }
}

/** The machine of each node, by a number, if in some zone several nodes share one, and not all of them do. */
function machinesWithinZones(nodes: readonly PlacementNode[]): Int32Array | undefined {
  const zones = Map.groupBy(nodes, ({ zone }) => zone);
  if (![...zones.values()].some(shareMachines)) return undefined;
  const numbers = new Map<string, number>();
  return Int32Array.from(nodes, (node) => {
    const machine = machineOf(node);
    const number = numbers.get(machine) ?? numbers.size;
    numbers.set(machine, number);
    return number;
  });
}

/** Shares of all partitions as the most that a node may hold. */
function bounds(shares: readonly number[], partitionCount: number): Int32Array {
  // A share is known to some twelve digits: what should be a whole number is not to be rounded up.
  const slack = 1e-6;
  return Int32Array.from(
    shares,
    (share) => Math.ceil(BALANCE_BOUND * share * partitionCount - slack),
  );
}

function at(array: Int32Array | Float64Array, index: number): number {
  return array[index] ?? 0;
}

function add(array: Int32Array, index: number, amount: number): void {
  array[index] = at(array, index) + amount;
}
