/**
 * An operator's order to change the coordinators, by their names: what set is to be wanted, and when it is done.
 *
 * @module
 */
import { KvError } from "../shared/base/errors.ts";
import { COORDINATORS_CHANGE_MS } from "../shared/limits/membership.ts";
import type { Clock } from "../shared/platform/clock.ts";
import type { Address } from "../shared/platform/transport.ts";
import { notActive } from "./agreement/coordinator_forwarding.ts";
import type { CoordinatorMember, CoordinatorSet } from "./register/coordinator_set.ts";
import type { ManagedRegister } from "./register/register.ts";

/** The order. */
export interface CoordinatorsChange {
  /** Undefined: nobody. Empty: all that wait. */
  readonly add: readonly string[] | undefined;
  readonly remove: readonly string[];
}

/**
 * The voters that there are to be. If a change is under way, the order comes on top of it: one that is being added can
 * be removed, and one that is being removed can be added, which calls that off.
 *
 * @param waiting those who would like to be coordinators
 * @throws {KvError} `bad_request` if a name is nobody's, or the change would leave none
 */
export function votersAfter(
  { voters: now, wanted }: CoordinatorSet,
  waiting: readonly CoordinatorMember[],
  { add, remove }: CoordinatorsChange,
): CoordinatorMember[] {
  const voters = wanted ?? now;
  const isWanted = ({ id }: CoordinatorMember) => voters.some((voter) => voter.id === id);
  for (const id of remove) {
    if (!voters.some((voter) => voter.id === id)) throw unknown("remove", id, voters);
  }
  const kept = voters.filter(({ id }) => !remove.includes(id));
  const added: CoordinatorMember[] = [];
  const names = add?.length === 0 ? waiting.map(({ id }) => id) : add ?? [];
  for (const id of names) {
    const found = now.find((one) => one.id === id && !isWanted(one)) ??
      waiting.find((one) => one.id === id);
    if (found === undefined) throw unknown("add", id, waiting);
    if (kept.some((voter) => voter.id === id) || added.some((one) => one.id === id)) {
      throw new KvError(
        "bad_request",
        `coordinators add: ${id} is a coordinator's name already; start the new one with another --id, and an empty folder`,
      );
    }
    added.push(found);
  }
  if (added.length === 0 && remove.length === 0) {
    throw new KvError(
      "bad_request",
      "coordinators add: nobody waits; start the new one with --join and this one's address, and try again",
    );
  }
  if (kept.length + added.length === 0) {
    const leaving = now.filter((one) => !isWanted(one)).map(({ id }) => id);
    const way = leaving.length === 0
      ? ""
      : `; add those that are leaving (${leaving.join(" ")}) to ` +
        "call the change off";
    throw new KvError("bad_request", `coordinators remove: one coordinator has to stay${way}`);
  }
  return [...kept, ...added];
}

function unknown(
  what: "add" | "remove",
  id: string,
  known: readonly CoordinatorMember[],
): KvError {
  const names = known.map((one) => one.id).join(", ");
  const whom = what === "add" ? `those that wait are ${names || "none"}` : `there are ${names}`;
  return new KvError("bad_request", `coordinators ${what}: nobody is called ${id}; ${whom}`);
}

/** What orders are carried out with. */
export interface CoordinatorsChangesOwner {
  register(): Pick<ManagedRegister<unknown>, "state" | "want" | "isSettled"> | undefined;
  /** Where the active coordinator is, for whoever has to ask there. */
  holder(): Address | undefined;
}

/** The orders that are being carried out. */
export class CoordinatorsChanges {
  readonly #clock: Clock;
  readonly #owner: CoordinatorsChangesOwner;
  #pending: { readonly untilMs: number; readonly done: () => void }[] = [];

  constructor(clock: Clock, owner: CoordinatorsChangesOwner) {
    this.#clock = clock;
    this.#owner = owner;
  }

  /**
   * @param done called when the coordinators are as they were wanted, or after COORDINATORS_CHANGE_MS
   * @throws {KvError} `bad_request`, or `unavailable` if this coordinator is not active
   */
  order(change: CoordinatorsChange, done: () => void): void {
    const register = this.#owner.register();
    if (register === undefined) throw notActive("coordinators_change", undefined);
    const { set, joining } = register.state;
    if (set === undefined) throw notActive("coordinators_change", this.#owner.holder());
    register.want(votersAfter(set, joining, change));
    this.#pending.push({ untilMs: this.#clock.monotonicMs() + COORDINATORS_CHANGE_MS, done });
  }

  /** Tells whose order is done, or has had its time. */
  tick(): void {
    if (this.#pending.length === 0) return;
    const register = this.#owner.register();
    const { set } = register?.state ?? {};
    const nowMs = this.#clock.monotonicMs();
    const isDone = set !== undefined && set.wanted === undefined && register?.isSettled;
    const ended = this.#pending.filter(({ untilMs }) => isDone || nowMs >= untilMs);
    this.#pending = this.#pending.filter((one) => !ended.includes(one));
    for (const { done } of ended) done();
  }
}
