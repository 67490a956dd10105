import { assertEquals, assertExists, assertThrows } from "@std/assert";
import {
  type CoordinatorSet,
  isAlone,
  isQuorum,
  isVoter,
  learnersOf,
  majorityOf,
  membersOf,
  nextSet,
  setOf,
  wantVoters,
} from "../../../../coordinator/register/coordinator_set.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { A, B, C, D, E, member } from "./register_samples.ts";

function folders(...of: { folder: string }[]): Set<string> {
  return new Set(of.map(({ folder }) => folder));
}

Deno.test("isQuorum: more than half of the voters; of a joint set, of both (rule G9)", () => {
  const three = setOf(A, B, C);
  assertEquals(isQuorum(three, folders(A)), false);
  assertEquals(isQuorum(three, folders(A, C)), true);
  assertEquals(isQuorum(setOf(A, B), folders(A)), false);
  const joint: CoordinatorSet = { voters: [A, B, C], wanted: [C, D, E], joint: true };
  assertEquals(isQuorum(joint, folders(A, B)), false);
  assertEquals(isQuorum(joint, folders(D, E)), false);
  assertEquals(isQuorum(joint, folders(A, C, D)), true);
  assertEquals([setOf(A), setOf(A, B), three, setOf(A, B, C, D), joint].map(majorityOf), [
    1,
    2,
    2,
    3,
    2,
  ]);
});

Deno.test("isQuorum: learners do not count (rule G10)", () => {
  const learning: CoordinatorSet = { voters: [A], wanted: [A, B, C], joint: false };
  assertEquals(isQuorum(learning, folders(B, C)), false);
  assertEquals(isQuorum(learning, folders(A)), true);
  assertEquals(learnersOf(learning), [B, C]);
  assertEquals(membersOf(learning), [A, B, C]);
  assertEquals([A, B].map(({ folder }) => isVoter(learning, folder)), [true, false]);
  assertEquals([isAlone(learning, A.folder), isAlone(setOf(A), A.folder)], [false, true]);
});

Deno.test("nextSet: learners are level, then both sets, then the new one (rule G9)", () => {
  const learning = wantVoters(setOf(A, B, C), [C, D, E]);
  assertEquals(learning, { voters: [A, B, C], wanted: [C, D, E], joint: false });
  const all = () => true;
  assertEquals(nextSet(learning, (folder) => folder === D.folder, all), undefined);
  // A majority of the new ones must be there: from the joint set on there is no way back.
  assertEquals(nextSet(learning, all, (folder) => folder === D.folder), undefined);
  assertExists(nextSet(learning, all, (folder) => folder !== C.folder));
  const joint = nextSet(learning, all, all);
  assertEquals(joint, { voters: [A, B, C], wanted: [C, D, E], joint: true });
  assertEquals(joint && nextSet(joint, () => false, () => false), setOf(C, D, E));
  assertEquals(nextSet(setOf(A), all, all), undefined);
});

Deno.test("wantVoters: a change can be called off until the set is joint", () => {
  const learning = wantVoters(setOf(A), [A, B, C]);
  assertEquals(wantVoters(learning, [A]), setOf(A));
  const joint = { ...learning, joint: true };
  assertEquals(assertThrows(() => wantVoters(joint, [A]), KvError).code, "unavailable");
});

Deno.test("wantVoters: from one to seven, with names of their own", () => {
  const wrong = [[], [A, member("a", "other")], [..."abcdefgh"].map((id) => member(id))];
  for (const wanted of wrong) {
    assertEquals(assertThrows(() => wantVoters(setOf(A), wanted), KvError).code, "bad_request");
  }
});
