/**
 * Which coordinators keep the document. The set stands in the document, and nowhere else, so whoever has read the
 * newest document knows whose majority counts. It changes in three documents, one after the other:
 *
 * 1. `wanted` is there: the new ones are learners. They are sent documents, and their answers do not count.
 * 2. All learners are level, and a majority of the wanted ones is there: the set is *joint*. A majority of the voters and a majority of the wanted ones count.
 * 3. The wanted ones are the voters.
 *
 * Up to the second document the change can be called off; from there on it goes through. Pure.
 * Rules G9 and G10 of docs/coordinators.md.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { COORDINATORS_MAX } from "../../shared/limits/membership.ts";
import type { Address } from "../../shared/platform/transport.ts";

/** A coordinator: its name, and the folder that remembers what it has promised. Rule G11. */
export interface CoordinatorMember {
  readonly id: string;
  /** The random id of its folder. Another folder is another member, even under the same name. */
  readonly folder: string;
  /** Where the others reach it. It may change without a change of the set. */
  readonly address: Address;
}

/** The coordinators that count. */
export interface CoordinatorSet {
  readonly voters: readonly CoordinatorMember[];
  /** The voters that there are to be; absent if nothing is to change. */
  readonly wanted?: readonly CoordinatorMember[] | undefined;
  /** Whether the wanted ones count already, beside the voters. */
  readonly joint: boolean;
}

/** The set of a cluster's first coordinator. */
export function setOf(...voters: readonly CoordinatorMember[]): CoordinatorSet {
  return { voters, joint: false };
}

/** All who are sent documents, each once. */
export function membersOf({ voters, wanted = [] }: CoordinatorSet): CoordinatorMember[] {
  return [...voters, ...wanted.filter(({ folder }) => !has(voters, folder))];
}

/** Those who are to become voters, and whose answers do not count yet. */
export function learnersOf({ voters, wanted = [], joint }: CoordinatorSet): CoordinatorMember[] {
  return joint ? [] : wanted.filter(({ folder }) => !has(voters, folder));
}

/** Whether the set has the folder, as a voter or as a learner. */
export function isMember(set: CoordinatorSet, folder: string): boolean {
  return has(set.voters, folder) || has(set.wanted ?? [], folder);
}

/** Whether the answers of the folder count. */
export function isVoter({ voters, wanted, joint }: CoordinatorSet, folder: string): boolean {
  return has(voters, folder) || (joint && has(wanted ?? [], folder));
}

/** Whether it alone is the set, without learners. */
export function isAlone(set: CoordinatorSet, folder: string): boolean {
  return membersOf(set).length === 1 && has(set.voters, folder);
}

/** Whether these folders are a majority: in a joint set, one of the old and one of the new. Rule G9. */
export function isQuorum(
  { voters, wanted, joint }: CoordinatorSet,
  folders: ReadonlySet<string>,
): boolean {
  return isMajority(voters, folders) && (!joint || isMajority(wanted ?? [], folders));
}

/** How many of the voters a majority is; of a joint set, how many of the side that needs more. */
export function majorityOf({ voters, wanted = [], joint }: CoordinatorSet): number {
  const counted = joint ? Math.max(voters.length, wanted.length) : voters.length;
  return Math.floor(counted / 2) + 1;
}

/**
 * The set of the next document on the way to the wanted voters; undefined if nothing is to be done now.
 *
 * @param isLevel whether a learner has the newest document on its disk
 * @param answers whether one was heard of lately: from the joint set on, a majority of the wanted ones must be there
 */
export function nextSet(
  set: CoordinatorSet,
  isLevel: (folder: string) => boolean,
  answers: (folder: string) => boolean,
): CoordinatorSet | undefined {
  const { voters, wanted, joint } = set;
  if (wanted === undefined) return undefined;
  if (joint) return { voters: wanted, joint: false };
  if (!learnersOf(set).every(({ folder }) => isLevel(folder))) return undefined;
  const there = wanted.filter(({ folder }) => answers(folder)).map(({ folder }) => folder);
  if (!isMajority(wanted, new Set(there))) return undefined;
  return { voters, wanted, joint: true };
}

/**
 * The set with other voters wanted; the same voters call a change off.
 *
 * @throws {KvError} `bad_request` for a set that cannot be; `unavailable` while another change cannot be called off
 */
export function wantVoters(
  set: CoordinatorSet,
  wanted: readonly CoordinatorMember[],
): CoordinatorSet {
  const ids = new Set(wanted.map(({ id }) => id));
  if (wanted.length === 0 || wanted.length > COORDINATORS_MAX || ids.size < wanted.length) {
    throw new KvError(
      "bad_request",
      `coordinators: required from 1 to ${COORDINATORS_MAX} with names of their own, given ` +
        JSON.stringify(wanted.map(({ id }) => id)),
    );
  }
  if (set.joint) {
    throw new KvError("unavailable", "coordinators: the last change is still under way; try again");
  }
  const same = wanted.length === set.voters.length &&
    wanted.every(({ folder }) => has(set.voters, folder));
  return same ? { voters: wanted, joint: false } : { voters: set.voters, wanted, joint: false };
}

function isMajority(members: readonly CoordinatorMember[], folders: ReadonlySet<string>): boolean {
  let count = 0;
  for (const { folder } of members) if (folders.has(folder)) count++;
  return 2 * count > members.length;
}

function has(members: readonly CoordinatorMember[], folder: string): boolean {
  return members.some((member) => member.folder === folder);
}
