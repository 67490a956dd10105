import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { votersAfter } from "../../../coordinator/change_coordinators.ts";
import { setOf } from "../../../coordinator/register/coordinator_set.ts";
import { KvError } from "../../../shared/base/errors.ts";

const member = (id: string, folder = `f-${id}`) => ({
  id,
  folder,
  address: { host: "h", port: 1 },
});
const SET = setOf(member("c1"), member("c2"));
const WAITING = [member("c3"), member("c4")];

Deno.test("votersAfter: adds by name or all that wait, removes, replaces", () => {
  const ids = (add: string[] | undefined, remove: string[] = []) =>
    votersAfter(SET, WAITING, { add, remove }).map(({ id }) => id);
  assertEquals(ids([]), ["c1", "c2", "c3", "c4"]);
  assertEquals(ids(["c4"]), ["c1", "c2", "c4"]);
  assertEquals(ids(undefined, ["c1"]), ["c2"]);
  assertEquals(ids(["c3"], ["c2"]), ["c1", "c3"]);
});

Deno.test("votersAfter: an order comes on top of the change that is under way, or calls it off", () => {
  const set = { ...SET, wanted: [...SET.voters, member("c3")] };
  const ids = (add: string[] | undefined, remove: string[] = []) =>
    votersAfter(set, [member("c4")], { add, remove }).map(({ id }) => id);
  assertEquals(ids(["c4"]), ["c1", "c2", "c3", "c4"]);
  assertEquals(ids(undefined, ["c3"]), ["c1", "c2"]);
  assertEquals(ids(undefined, ["c1"]), ["c2", "c3"]);
  const leaving = { ...SET, wanted: [member("c1")] };
  const kept = votersAfter(leaving, [], { add: ["c2"], remove: [] });
  assertEquals(kept.map(({ id }) => id), ["c1", "c2"]);
  // All are to be replaced, and none of the new ones comes.
  const replaced = { ...SET, wanted: [member("c3")] };
  const remove = ["c3"];
  const error = assertThrows(() => votersAfter(replaced, [], { add: undefined, remove }), KvError);
  assertStringIncludes(error.message, "add those that are leaving (c1 c2)");
  const back = votersAfter(replaced, [], { add: ["c1", "c2"], remove });
  assertEquals(back.map(({ id }) => id), ["c1", "c2"]);
});

Deno.test("votersAfter: what cannot be is refused, with who there is", () => {
  const cases: [string[] | undefined, string[], string][] = [
    [["c9"], [], "those that wait are c3, c4"],
    [undefined, ["c9"], "there are c1, c2"],
    [undefined, ["c1", "c2"], "one coordinator has to stay"],
    [undefined, [], "nobody waits"],
  ];
  for (const [add, remove, text] of cases) {
    const error = assertThrows(() => votersAfter(SET, WAITING, { add, remove }), KvError);
    assertEquals(error.code, "bad_request");
    assertStringIncludes(error.message, text);
  }
  const twin = [member("c2", "another")];
  const error = assertThrows(
    () => votersAfter(SET, twin, { add: ["c2"], remove: [] }),
    KvError,
  );
  assertStringIncludes(error.message, "a coordinator's name already");
});
