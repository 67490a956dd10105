/**
 * What `kv-client doctor` says of the coordinators: how many there are, and whether each could take over now. Pure.
 *
 * @module
 */
import { COORDINATOR_AWAY_MS } from "../limits/membership.ts";
import { whyAway } from "./alerts.ts";
import type { CoordinatorsView, CoordinatorView } from "./coordinator_figures.ts";

/** What is to be mended, and how. */
export function* coordinatorProblems(
  { list, needed, hasActive }: CoordinatorsView,
): Generator<[text: string, todo: string]> {
  const members = list.filter(({ role }) => role !== "waiting");
  const count = members.length;
  const there = members.filter((one) => one.figures !== undefined).length;
  if (list.length === 0) yield ["none answers", "start it on its folder"];
  if (!hasActive && count > 1) {
    yield [
      `none can act: ${there} of ${count} answer, and ${
        needed ?? "a majority"
      } have to reach each other`,
      "start the others on their folders, or mend the network between them; if a majority is gone for good, " +
      "kv-coordinator --recover on the one with the newest document",
    ];
  }
  for (const one of members) {
    const why = whyAway(one);
    if (why === undefined) continue;
    const isThere = one.figures !== undefined && (one.silentMs ?? 0) <= COORDINATOR_AWAY_MS;
    yield [
      `${called(one)} ${why}`,
      isThere
        ? "look at its log and its disk: it cannot write the document, or does not get it"
        : "look at its log and start it on its folder; if it is gone for good: coordinators replace OLD NEW",
    ];
  }
  for (const one of list) {
    if (one.role === "waiting") yield [`${called(one)} waits to be added`, "coordinators add"];
  }
  if (count === 1) {
    yield [
      "there is one: while it is away nothing takes over from nodes that die, and its folder is the cluster's memory",
      "start two more with --join, then: coordinators add",
    ];
  } else if (needed !== undefined && needed > 1 && count % 2 === 0) {
    yield [
      `there are ${count}, of which ${needed} are needed: no more of them may die than of ${
        count - 1
      }`,
      "add one, or take one out: coordinators remove ID",
    ];
  }
}

function called({ id, address }: CoordinatorView): string {
  return address === "" ? id : `${id} (${address})`;
}

/** If all is well. */
export function whoIsActive({ list, needed = 1 }: CoordinatorsView): string {
  const active = list.find(({ role }) => role === "active");
  const since = active?.activeSinceMs;
  const sinceText = since === undefined || Math.abs(since) > 8.64e15
    ? ""
    : ` since ${new Date(since).toISOString()}`;
  const spare = list.length - needed;
  return `${list.length}, of which ${spare} may be away; ${
    active?.id ?? "one"
  } is active${sinceText}`;
}
