import { assertEquals } from "@std/assert";
import { type AskPorts, Candidacy } from "../../../../coordinator/register/candidacy.ts";
import { type CoordinatorSet, setOf } from "../../../../coordinator/register/coordinator_set.ts";
import type { CoordinatorMember } from "../../../../coordinator/register/coordinator_set.ts";
import type { Question } from "../../../../coordinator/register/messages.ts";
import type { Stamped } from "../../../../coordinator/register/register.ts";
import type { RegisterDocument } from "../../../../coordinator/register/messages.ts";
import { COORDINATOR_ATTEMPT_MS } from "../../../../shared/limits/membership.ts";
import { A, B, C, D, document, E, generation, sender, stamp } from "./register_samples.ts";

function candidate(set: CoordinatorSet = setOf(A, B, C), self: CoordinatorMember = A) {
  const asked: [string, Question<string>][] = [];
  const ports: AskPorts<string> = {
    self,
    run: "run-a",
    ask: (member, question) => void asked.push([member.id, question]),
    nextRound: () => 1,
    knownStarts: () => [],
  };
  const newest = { stamp: stamp(1, 4), document: document("four", set) };
  const one = new Candidacy<string>(ports, newest, generation(1), 0);
  const take = () => asked.splice(0).map(([id, { type }]) => `${id} ${type}`);
  const lost = (of: CoordinatorMember, lost = true, number = 1) =>
    one.inquired(sender(of), { type: "inquired", round: 1, lost, highest: generation(number) }, 0);
  const promised = (
    of: CoordinatorMember,
    number: number,
    newest?: Stamped<RegisterDocument<string>>,
  ) =>
    one.promised(sender(of), {
      type: "promised",
      round: 1,
      generation: generation(number),
      newest,
    });
  return { one, take, lost, promised };
}

Deno.test("Candidacy: asks for promises only when a majority has lost the active one (rule G6)", () => {
  const { take, lost } = candidate();
  assertEquals(take(), ["a inquire", "b inquire", "c inquire"]);
  lost(A);
  lost(B, false);
  assertEquals(take(), []);
  lost(C);
  assertEquals(take(), ["a promise", "b promise", "c promise"]);
});

Deno.test("Candidacy: its generation is above all that it has heard of (rule G1)", () => {
  const { lost, promised } = candidate();
  lost(B, false, 9);
  lost(A);
  lost(C);
  assertEquals(promised(A, 10).type, "going_on");
  const end = promised(C, 10);
  assertEquals(end.type === "won" && end.won.generation, generation(10));
});

Deno.test("Candidacy: goes on from the newest document of a majority (rule G4)", () => {
  const { lost, promised } = candidate();
  lost(A);
  lost(B);
  const newer = { stamp: stamp(1, 6), document: document("six") };
  promised(B, 2, newer);
  const end = promised(A, 2);
  assertEquals(end.type === "won" && end.won.newest, newer);
});

Deno.test("Candidacy: the newest document says whose majority it needs (rule G9)", () => {
  const { take, lost, promised } = candidate();
  lost(A);
  lost(B);
  promised(A, 2);
  take();
  const joint: CoordinatorSet = { voters: [A, B, C], wanted: [A, D, E], joint: true };
  const newer = { stamp: stamp(1, 5), document: document("five", joint) };
  assertEquals(promised(B, 2, newer).type, "going_on", "a majority of the old ones only");
  assertEquals(take(), ["c promise", "d promise", "e promise"]);
  assertEquals(promised(D, 2).type, "won");
});

Deno.test("Candidacy: ends if it is no voter, if it is refused, and after a while (rule G14)", () => {
  const newer = { stamp: stamp(1, 5), document: document("five", setOf(B, C)) };
  const removed = candidate();
  removed.lost(A);
  removed.lost(B);
  assertEquals(removed.promised(B, 2, newer).type, "failed");
  const refused = { type: "refused", round: 1, highest: generation(7, "c") } as const;
  assertEquals(candidate().one.refused(refused).type, "failed");
  assertEquals(candidate().one.refused({ ...refused, round: 5 }).type, "going_on");
  const { one, take } = candidate();
  take();
  assertEquals(one.tick(600).type, "going_on");
  assertEquals(take(), ["a inquire", "b inquire", "c inquire"], "asked again");
  assertEquals(one.tick(COORDINATOR_ATTEMPT_MS).type, "failed");
});
