import { assert, assertEquals } from "@std/assert";
import { checkAtomic, judgeAtomic } from "../../simulation/checkers/atomic_checker.ts";
import type { AtomicCall, AtomicView } from "../../simulation/checkers/atomic_history.ts";
import { namesOf, viewAfter } from "../../simulation/checkers/atomic_history.ts";

/** A transaction from place `begin` to place `end`. */
function call(begin: number, end: number, more: Partial<AtomicCall>): AtomicCall {
  return {
    id: begin,
    group: 0,
    kind: "stamp",
    client: "c",
    name: "",
    expect: undefined,
    begin,
    beginMs: begin,
    end,
    endMs: end,
    outcome: "ok",
    code: undefined,
    length: undefined,
    view: undefined,
    ...more,
  };
}

function look(begin: number, end: number, names: string[], wrong: Partial<AtomicView> = {}) {
  return call(begin, end, { kind: "look", view: { ...viewAfter(0, names), ...wrong } });
}

const stamp = (begin: number, end: number, name: string, more: Partial<AtomicCall> = {}) =>
  call(begin, end, { name, ...more });

/** A history that is in order: s1, then m2, which checked that only s1 had been. */
const GOOD = [
  stamp(0, 1, "s1", { length: 3 }),
  look(2, 3, ["s1"]),
  stamp(4, 7, "m2", { kind: "move", length: 6, expect: 3 }),
  stamp(5, 8, "m3", { kind: "move", outcome: "refused", expect: 3 }),
  stamp(6, Infinity, "s4", { outcome: "info" }),
  look(9, 12, ["s1", "m2"]),
  stamp(10, 11, "s5", { outcome: "fail", code: "timeout" }),
  look(13, 14, ["s1", "m2", "s4"]),
];

Deno.test("checkAtomic accepts what is in order", () => {
  assertEquals(checkAtomic(GOOD), undefined);
  assertEquals(checkAtomic([]), undefined);
  // Two looks that overlap may come in either order; a failed last look leaves an end open.
  assertEquals(checkAtomic([look(0, 4, ["s9"]), look(1, 3, [])]), undefined);
  assertEquals(
    checkAtomic([stamp(0, 1, "s1", { length: 3 }), look(2, Infinity, ["s1"])]),
    undefined,
  );
  assertEquals(checkAtomic([stamp(0, 1, "s1", { length: 3 })]), undefined);
});

/** Each is `GOOD` with one thing changed or added. */
const BAD: [string, AtomicCall[], string][] = [
  ["a stamp that is missing", [look(20, 21, ["s1", "m2", "s4"], { stamps: ["s4", "s1"] })], "part"],
  ["an old balance", [look(20, 21, ["s1", "m2", "s4"], { from: null })], "part"],
  ["balances that do not agree", [look(20, 21, ["s1", "m2", "s4"], { to: "4" })], "part"],
  ["a log that is no beginning", [look(20, 21, ["s1", "s4"])], "contradict"],
  ["one that is done twice", [look(20, 21, ["s1", "m2", "s4", "s1"])], "twice"],
  [
    "one that is gone",
    [stamp(20, 21, "s6", { length: 12 }), look(22, 23, ["s1", "m2", "s4"])],
    "later",
  ],
  ["one that is told another place", [stamp(20, 21, "s6", { length: 6 })], "not there"],
  ["an old look", [look(20, 21, ["s1"])], "later"],
  ["a look at what was not asked for yet", [
    stamp(20, 21, "s6", { length: 12 }),
    look(15, 16, ["s1", "m2", "s4", "s6"]),
  ], "later"],
  ["one that failed and happened", [
    stamp(20, 21, "s6", { outcome: "fail", code: "timeout" }),
    look(22, 23, ["s1", "m2", "s4", "s6"]),
  ], "refused has happened"],
  ["a check that was not looked at", [
    stamp(20, 21, "s6", { length: 12, expect: 6 }),
    look(22, 23, ["s1", "m2", "s4", "s6"]),
  ], "held at 9"],
  ["a check that failed for nothing", [
    stamp(20, 21, "s6", { outcome: "refused", expect: 9 }),
    stamp(22, 23, "s7", { length: 12 }),
    look(24, 25, ["s1", "m2", "s4", "s7"]),
  ], "nothing had changed"],
];

for (const [name, more, text] of BAD) {
  Deno.test(`checkAtomic finds ${name}`, () => {
    const found = judgeAtomic([...GOOD, ...more].toSorted((a, b) => a.begin - b.begin));
    assert(found !== undefined, "it was accepted");
    assert(found.text.includes(text), found.text);
    assertEquals(found.group, 0);
  });
}

Deno.test("namesOf tells a log of names from anything else", () => {
  assertEquals(namesOf(null), []);
  assertEquals(namesOf("s1;m22;"), ["s1", "m22"]);
  for (const log of ["", "s1", "s1;;", "never", "s1;x;"]) assertEquals(namesOf(log), undefined);
});
