/**
 * An operator gives a partition up while a replica of it is being filled: all die that have all of it, another one is
 * made primary by order, which may be filled in part itself, and then those come back that had everything. Rules C1 and W12.
 *
 * @module
 */
import { type Random, randomBelow, randomFraction } from "../../../shared/platform/random.ts";
import type { NodeHost, World } from "../sim/world.ts";

/** A replica is seldom being filled for long, so one is looked for this often, at this interval. */
const TRIES = 500;
const TRY_MS = 20;
/** The order is refused as long as the dead primary may serve. */
const ORDERS = 40;
const ORDER_MS = 500;
/** In this share of the cases the operator names a node; otherwise the coordinator chooses. */
const NAMED = 0.5;

/** What it needs of the source of all misfortune. */
export interface ForcedTransfersPorts {
  /** Unless the storm has ended by then. */
  later(ms: number, action: () => void): void;
  /** A dead node comes back, after a while. */
  startLater(host: NodeHost): void;
}

/** See the top of this file. */
export class ForcedTransfers {
  /** Told before what was acknowledged of a partition is given up. */
  onForce: (partition: number) => void = () => {};
  readonly #world: World;
  readonly #random: Random;
  readonly #ports: ForcedTransfersPorts;
  #busy = false;

  constructor(world: World, random: Random, ports: ForcedTransfersPorts) {
    this.#world = world;
    this.#random = random;
    this.#ports = ports;
  }

  strike(tries = TRIES): void {
    if (this.#busy) return;
    const [partition] = this.halfFilled();
    const { map } = this.#world;
    if (partition === undefined || map === undefined) {
      if (tries > 0) this.#ports.later(TRY_MS, () => this.strike(tries - 1));
      return;
    }
    this.#busy = true;
    const { inSync = [] } = map.partitions[partition] ?? {};
    const holders = inSync.flatMap((id) => this.#world.hostOf(id) ?? []);
    const names = holders.map(({ name }) => name).join(" ");
    this.#world.trace.add("nemesis", `kills ${names}: partition ${partition} is being filled`);
    for (const host of holders) if (host.process !== undefined) this.#world.killNode(host, true);
    this.#order(partition, ORDERS, () => {
      this.#busy = false;
      for (const host of holders) this.#ports.startLater(host);
    });
  }

  /** Partitions of which some replica is filled in part, as its own record says. */
  halfFilled(): number[] {
    const { map } = this.#world;
    const isHalf = (id: string, partition: number) =>
      this.#world.hostOf(id)?.runtime?.node.partition(partition)?.store.state.filled !== undefined;
    return (map?.partitions ?? []).flatMap(({ learners }, partition) =>
      learners.some((id) => isHalf(id, partition)) ? [partition] : []
    );
  }

  /** Orders, until the order is carried out or somebody is primary. */
  #order(partition: number, left: number, done: () => void): void {
    const config = this.#world.map?.partitions[partition];
    const again = () => {
      if (left === 0) return done();
      this.#ports.later(ORDER_MS, () => this.#order(partition, left - 1, done));
    };
    if (config?.primary !== undefined) return again();
    const isHalf = this.halfFilled().includes(partition);
    const alive = (config?.learners ?? []).filter((id) =>
      this.#world.hostOf(id)?.runtime?.up === true
    );
    const isNamed = alive.length > 0 && randomFraction(this.#random) < NAMED;
    const node = isNamed ? alive[randomBelow(this.#random, alive.length)] : undefined;
    this.onForce(partition);
    this.#world.force(partition, ({ req_type: is }) => {
      if (is !== "result") return again();
      this.#world.coverage.hit("partition: forced");
      if (isHalf) this.#world.coverage.hit("partition: forced while a replica is filled in part");
      done();
    }, node);
  }
}
