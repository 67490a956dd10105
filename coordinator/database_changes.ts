/**
 * Orders to make and drop databases, on their way to the coordinator's state machine and back. Who makes a database whose
 * name was just dropped waits until all who may take writes know of the drop, and who drops one is answered then: rule C13
 * of docs/replication.md. That takes a few milliseconds if all primaries can be told. The state machine keeps the rule
 * by itself; what waits here would otherwise be refused, and asked for again.
 *
 * Invariant: each order is answered once, within DATABASE_NAME_WAIT_MS and a tick, or when this is closed.
 *
 * @module
 */
import { failureOf, KvError } from "../shared/base/errors.ts";
import { DATABASE_NAME_WAIT_MS, DATABASE_ORDERS_WAITING_MAX } from "../shared/limits/cluster.ts";
import type { Clock } from "../shared/platform/clock.ts";
import type { Input } from "./controller/input.ts";
import type { Ready } from "./state/ready.ts";

/** An order. */
export type DatabaseInput = Extract<Input, { type: "create_database" | "drop_database" }>;

/** What came of it: the epoch of the map that shows it, 0 if nobody is to be answered; or why nothing was done. */
export type Decided = (outcome: number | KvError) => void;

/** What it needs of the active coordinator. */
export interface DatabaseChangesOwner {
  readonly clock: Clock;
  step(input: Input): Ready;
  /** @throws {KvError} `unavailable` if another coordinator may have taken over: what this one knows is older then */
  checkRight(what: string): void;
  /** Whether a node may take writes that does not know that the database of this name was dropped. */
  isNameAwaited(name: string): boolean;
}

/** An order that is held back. */
interface Waiting {
  readonly name: string;
  readonly untilMs: number;
  /** @param error there will be no answer */
  goOn(error?: KvError): void;
}

/** The orders of one time of being active. */
export class DatabaseChanges {
  readonly #owner: DatabaseChangesOwner;
  #waiting: Waiting[] = [];

  constructor(owner: DatabaseChangesOwner) {
    this.#owner = owner;
  }

  /** Has an order carried out. `decided` may be called before this returns. */
  order(input: DatabaseInput, decided: Decided): void {
    if (input.type === "create_database") {
      const make = (error?: KvError) => decided(error ?? this.#carryOut(input));
      if (!this.#owner.isNameAwaited(input.order.name)) return make();
      return this.#whenKnown(input.order.name, make, decided);
    }
    const outcome = this.#carryOut(input);
    // Who asks for the number 0 wants to know nothing but the epoch of the newest map.
    const isDropped = typeof outcome === "number" && outcome > 0 && input.number !== 0;
    if (!isDropped || !this.#owner.isNameAwaited(input.name)) return decided(outcome);
    // It is dropped whether or not all know of it in time.
    this.#whenKnown(input.name, () => decided(outcome), () => decided(outcome));
  }

  /** Time has passed: goes on with those whose name is known to have been dropped, or who have waited for long enough. */
  look(): void {
    if (this.#waiting.length === 0) return;
    const nowMs = this.#owner.clock.monotonicMs();
    const isDue = ({ name, untilMs }: Waiting) =>
      nowMs >= untilMs || !this.#owner.isNameAwaited(name);
    const due = this.#waiting.filter(isDue);
    this.#waiting = this.#waiting.filter((waiting) => !due.includes(waiting));
    for (const { goOn } of due) goOn();
  }

  close(): void {
    const text = "this coordinator is not the active one any more; try again";
    for (const { goOn } of this.#waiting.splice(0)) goOn(new KvError("unavailable", text));
  }

  #carryOut(input: DatabaseInput): number | KvError {
    try {
      this.#owner.checkRight(input.type);
    } catch (error) {
      return failureOf(error);
    }
    const { refusal, orderedEpoch } = this.#owner.step(input);
    return refusal ?? orderedEpoch;
  }

  #whenKnown(name: string, goOn: (error?: KvError) => void, refuse: Decided): void {
    if (this.#waiting.length >= DATABASE_ORDERS_WAITING_MAX) {
      return refuse(
        new KvError(
          "overloaded",
          `${DATABASE_ORDERS_WAITING_MAX} orders about databases wait already; try again`,
        ),
      );
    }
    const untilMs = this.#owner.clock.monotonicMs() + DATABASE_NAME_WAIT_MS;
    this.#waiting.push({ name, untilMs, goOn });
  }
}
