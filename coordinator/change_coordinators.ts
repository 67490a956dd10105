/**
 * An operator's order to change the coordinators, by their names: what set is to be wanted. Pure.
 *
 * @module
 */
import { KvError } from "../shared/base/errors.ts";
import type { CoordinatorMember, CoordinatorSet } from "./register/coordinator_set.ts";

/** The order. */
export interface CoordinatorsChange {
  /** Undefined: nobody. Empty: all that wait. */
  readonly add: readonly string[] | undefined;
  readonly remove: readonly string[];
}

/**
 * The voters that there are to be.
 *
 * @param waiting those who would like to be coordinators
 * @throws {KvError} `bad_request` if a name is nobody's, or the change would leave none
 */
export function votersAfter(
  { voters }: CoordinatorSet,
  waiting: readonly CoordinatorMember[],
  { add, remove }: CoordinatorsChange,
): CoordinatorMember[] {
  for (const id of remove) {
    if (!voters.some((voter) => voter.id === id)) throw unknown("remove", id, voters);
  }
  const kept = voters.filter(({ id }) => !remove.includes(id));
  const added: CoordinatorMember[] = [];
  const names = add?.length === 0 ? waiting.map(({ id }) => id) : add ?? [];
  for (const id of names) {
    const found = waiting.find((one) => one.id === id);
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
    throw new KvError("bad_request", "coordinators remove: one coordinator has to stay");
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
