/**
 * Small things that the tests of the register share.
 *
 * @module
 */
import { type CoordinatorMember, setOf } from "../../../../coordinator/register/coordinator_set.ts";
import type { CoordinatorSet } from "../../../../coordinator/register/coordinator_set.ts";
import type { Generation, Stamp } from "../../../../coordinator/register/generation.ts";
import type { RegisterDocument, Sender } from "../../../../coordinator/register/messages.ts";
import type { Moment } from "../../../../coordinator/register/right.ts";

export function member(id: string, folder = `f-${id}`): CoordinatorMember {
  return { id, folder, address: { host: "h", port: 8_000 + id.charCodeAt(0) } };
}

export const [A, B, C, D, E] = ["a", "b", "c", "d", "e"].map((id) => member(id)) as [
  CoordinatorMember,
  CoordinatorMember,
  CoordinatorMember,
  CoordinatorMember,
  CoordinatorMember,
];

export function generation(number: number, id = "a"): Generation {
  return { number, coordinator: id, run: `run-${id}` };
}

export function stamp(number: number, revision: number, id = "a"): Stamp {
  return { generation: generation(number, id), revision };
}

export function document(
  body: string,
  set: CoordinatorSet = setOf(A, B, C),
): RegisterDocument<string> {
  return { set, body };
}

export function sender(of: CoordinatorMember, more: Partial<Sender> = {}): Sender {
  return { ...of, start: 1, run: `run-${of.id}`, writes: 1, at: undefined, ...more };
}

export function at(ms: number): Moment {
  return { monotonicMs: ms, wallMs: ms };
}
