/**
 * How the coordinators stand, for people: what `coordinators` answers and `stats` lists. Pure.
 *
 * @module
 */
import { formatAddress } from "../shared/platform/transport.ts";
import {
  type CoordinatorMember,
  isVoter,
  learnersOf,
  membersOf,
} from "./register/coordinator_set.ts";
import type { RegisterState } from "./register/register.ts";

/** One coordinator. */
export interface CoordinatorLine {
  readonly id: string;
  readonly folder: string;
  readonly address: string;
  /**
   * `active`, `standby`; `joining` while it is being made equal to the others, `leaving` while it is being taken out;
   * `waiting` for `coordinators add`.
   */
  readonly role: "active" | "standby" | "joining" | "leaving" | "waiting";
  /** How many changes it is behind; null if that is not known here. */
  readonly behind: number | null;
  /** How long ago it was heard of here; null for never, 0 for this one itself. */
  readonly heard_ms: number | null;
}

/** The report. */
export interface CoordinatorsReport {
  /** Who answers, and what it is itself. */
  readonly coordinator: string;
  readonly role: string;
  /** Whether a majority has confirmed lately that it is the active one. */
  readonly right: boolean;
  /** The number of the generation, and of the changes, of the newest document that is known here to be chosen. */
  readonly generation: number | null;
  readonly revision: number | null;
  /** So many coordinators have to be there, so that one can be active. */
  readonly needed: number;
  /** Since when it is active, in milliseconds since 1970; null if it is not. */
  readonly active_since: number | null;
  /** How often it has become active since its start, and why it has ceased to be last. */
  readonly activities: number;
  readonly last_end: string | null;
  readonly coordinators: readonly CoordinatorLine[];
}

/** @param right whether this coordinator may give leases now */
export function coordinatorsReport(
  state: RegisterState | undefined,
  right: boolean,
  { monotonicMs: nowMs }: { readonly monotonicMs: number },
): CoordinatorsReport {
  const stamp = state?.chosen;
  return {
    coordinator: state?.member.id ?? "",
    role: state?.role ?? "starting",
    right,
    generation: stamp?.generation.number ?? null,
    revision: stamp?.revision ?? null,
    needed: state?.needed ?? 1,
    active_since: state?.activeSinceMs ?? null,
    activities: state?.activities ?? 0,
    last_end: state?.lastEnd ?? null,
    coordinators: state === undefined ? [] : linesOf(state, nowMs),
  };
}

function linesOf(state: RegisterState, nowMs: number): CoordinatorLine[] {
  const { set, member: self, joining } = state;
  const line = (member: CoordinatorMember, role: CoordinatorLine["role"]): CoordinatorLine => ({
    id: member.id,
    folder: member.folder,
    address: formatAddress(member.address),
    role,
    behind: behindOf(state, member),
    heard_ms: heardMsOf(state, member, nowMs),
  });
  const members = set === undefined ? [] : membersOf(set).map((member) => {
    const isActive = state.holder?.folder === member.folder;
    return line(member, isActive ? "active" : roleOf(set, member));
  });
  return [
    ...members,
    ...joining.filter(({ folder }) => folder !== self.folder).map((one) => line(one, "waiting")),
  ];
}

function roleOf(
  set: NonNullable<RegisterState["set"]>,
  { folder }: CoordinatorMember,
): CoordinatorLine["role"] {
  if (learnersOf(set).some((learner) => learner.folder === folder)) return "joining";
  const isWanted = set.wanted === undefined || set.wanted.some((one) => one.folder === folder);
  return isWanted && isVoter(set, folder) ? "standby" : "leaving";
}

function behindOf({ chosen, positions, role }: RegisterState, { folder }: CoordinatorMember) {
  if (role !== "active" || chosen === undefined) return null;
  const at = positions.get(folder);
  return at === undefined ? null : Math.max(0, chosen.revision - at.revision);
}

function heardMsOf(
  { member, heardMs }: RegisterState,
  { folder }: CoordinatorMember,
  nowMs: number,
) {
  if (folder === member.folder) return 0;
  const at = heardMs.get(folder);
  return at === undefined ? null : Math.round(nowMs - at);
}
