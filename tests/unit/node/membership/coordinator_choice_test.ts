import { assertEquals } from "@std/assert";
import { areSeveral, CoordinatorChoice } from "../../../../node/membership/coordinator_choice.ts";
import type { ClusterMap } from "../../../../shared/cluster/cluster_map.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";

const [A, B, C] = [1, 2, 3].map((port) => ({ host: "h", port })) as [Address, Address, Address];
type Address = { host: string; port: number };
const MAP = {
  coordinators: [A, B, C].map((address, i) => ({ id: `c${i}`, ...address })),
} as unknown as ClusterMap;

Deno.test("CoordinatorChoice: all that are known in turn, those of the map included, each once", () => {
  const choice = new CoordinatorChoice(new SeededRandom(1));
  const tried = Array.from({ length: 6 }, () => choice.next([A], MAP)?.port);
  assertEquals(new Set(tried.slice(0, 3)).size, 3);
  assertEquals(tried.slice(0, 3), tried.slice(3));
  const alone = new CoordinatorChoice(new SeededRandom(1));
  assertEquals([1, 2].map(() => alone.next([A], undefined)), [A, A]);
  assertEquals(alone.next([], undefined), undefined);
});

Deno.test("CoordinatorChoice: those that the operator has named come before those of a map that was kept", () => {
  const other = { host: "of another cluster", port: 9 };
  for (let seed = 1; seed <= 20; seed++) {
    const choice = new CoordinatorChoice(new SeededRandom(seed));
    assertEquals(choice.next([other], MAP), other);
  }
});

Deno.test("CoordinatorChoice: first whom another one has named, then the one that was lost, each once", () => {
  const choice = new CoordinatorChoice(new SeededRandom(1));
  choice.lost(B);
  const refusal = new KvError("unavailable", "elsewhere", { detail: { active: "h:3" } });
  assertEquals(choice.refused(refusal), true);
  assertEquals([choice.next([A], undefined), choice.next([A], undefined)], [C, B]);
  assertEquals(choice.next([A], undefined), A);
  for (const detail of [undefined, {}, { active: 1 }, { active: "no address:x" }]) {
    const error = new KvError("unavailable", "", detail === undefined ? {} : { detail });
    assertEquals(choice.refused(error), false);
  }
});

Deno.test("CoordinatorChoice: one that did not answer is tried after the others, whoever names it", () => {
  const names = new KvError("unavailable", "elsewhere", { detail: { active: "h:1" } });
  for (let seed = 1; seed <= 20; seed++) {
    const choice = new CoordinatorChoice(new SeededRandom(seed));
    const next = () => choice.next([A, B, C], MAP)?.port;
    for (let i = seed % 3; i > 0; i--) next();
    choice.lost(A);
    choice.silent(A);
    const tried = [next()];
    choice.refused(names);
    tried.push(next());
    assertEquals(tried.toSorted(), [2, 3]);
    choice.refused(names);
    assertEquals(next(), 1);
  }
  const alone = new CoordinatorChoice(new SeededRandom(1));
  alone.lost(A);
  alone.silent(A);
  assertEquals(alone.next([A], undefined), A, "the only one is tried at once");
});

Deno.test("areSeveral: by the map", () => {
  assertEquals([areSeveral(undefined), areSeveral(MAP)], [false, true]);
});
