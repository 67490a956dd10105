/**
 * One coordinator goes on alone after the majority is gone for good: an operator's order, for a folder whose process
 * does not run. It goes on from the document that it has, under a generation far above those of the others, and as
 * the only coordinator. So each of the others that comes back and reaches it is told that it was removed.
 * Rule G13 of docs/coordinators.md, with what this cannot do.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { RECOVERED_GENERATION_LEAP } from "../../shared/limits/membership.ts";
import type { Address } from "../../shared/platform/transport.ts";
import { type CoordinatorMember, membersOf, setOf } from "./coordinator_set.ts";
import { compareGenerations, formatStamp, type Generation } from "./generation.ts";
import type { RegisterRecord } from "./register_record.ts";

/** What a recovery has done. */
export interface Recovered<D> {
  readonly record: RegisterRecord<D>;
  /** The coordinators that are none any more. */
  readonly removed: readonly CoordinatorMember[];
  /** For the operator: what may be lost, and what to do now. */
  readonly report: readonly string[];
}

/**
 * The record with which the survivor goes on.
 *
 * @throws {KvError} `bad_request` if there is no document to go on from, or nothing to recover from
 */
export function recover<D>(before: RegisterRecord<D>, address: Address): Recovered<D> {
  const { id, folder, accepted, promised } = before;
  if (accepted === undefined) {
    throw new KvError(
      "bad_request",
      `recover: the folder of coordinator ${id} has no document; take another survivor's`,
    );
  }
  const { stamp, document: { set, body } } = accepted;
  const removed = membersOf(set).filter((member) => member.folder !== folder);
  if (removed.length === 0 && before.removedBy === undefined) {
    throw new KvError(
      "bad_request",
      `recover: coordinator ${id} is the only one already; start it as usual`,
    );
  }
  const highest = compareGenerations(promised, stamp.generation) > 0 ? promised : stamp.generation;
  const number = (highest?.number ?? 0) + RECOVERED_GENERATION_LEAP;
  const generation: Generation = { number, coordinator: id, run: "" };
  return {
    record: {
      ...before,
      promised: generation,
      accepted: {
        stamp: { generation, revision: stamp.revision + 1 },
        document: { set: setOf({ id, folder, address }), body },
      },
      starts: [],
      removedBy: undefined,
    },
    removed,
    report: [
      `coordinator ${id} goes on alone from document ${formatStamp(stamp)}`,
      "changes of membership that only the others had are lost; if nodes have seen them, the coordinator says so " +
      "when it is started, does nothing, and names the way on (--accept-epoch)",
      ...removed.map((member) =>
        `coordinator ${member.id} is none any more: never start it again on its folder ${member.folder}`
      ),
    ],
  };
}
