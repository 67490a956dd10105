import { assertEquals, assertStringIncludes } from "@std/assert";
import { checkLists } from "../../simulation/checkers/list_checker.ts";
import type { ListCall, ListStep } from "../../simulation/checkers/list_history.ts";

const w = (key: string, element: number): ListStep => ({ f: "append", key, element });
const r = (key: string, ...found: number[]): ListStep => ({
  f: "read",
  key,
  found: found.length === 0 ? null : found,
});

/** A transaction from place `begin` to place `end`. */
function call(begin: number, end: number, steps: ListStep[], more: Partial<ListCall> = {}) {
  const call: ListCall = {
    id: begin,
    client: "c",
    kind: "lists",
    steps,
    begin,
    beginMs: begin,
    end,
    endMs: end,
    outcome: "ok",
    code: undefined,
    balances: undefined,
    ...more,
  };
  return call;
}

Deno.test("checkLists: histories that have an order pass", () => {
  const histories: ListCall[][] = [
    [],
    [call(0, 1, [w("x", 1), w("y", 2)]), call(2, 3, [r("x", 1), r("y", 2)])],
    // At the same time: either order.
    [call(0, 3, [w("x", 1), w("y", 2)]), call(1, 2, [r("x"), r("y")])],
    [call(0, 3, [w("x", 1), r("x", 1), w("x", 2)]), call(4, 5, [r("x", 1, 2)])],
    // Nobody has read it since: the longest list is what it saw itself, in its middle.
    [call(0, 1, [w("x", 1), r("x", 1), w("x", 2)])],
    // Of unknown outcome: done or not.
    [call(0, Infinity, [w("x", 1)], { outcome: "info" }), call(1, 2, [r("x")])],
    [call(0, Infinity, [w("x", 1)], { outcome: "info" }), call(1, 2, [r("x", 1)])],
    [call(0, 1, [w("x", 1)], { outcome: "fail" }), call(2, 3, [r("x")])],
    [call(0, 1, [], { kind: "sum", balances: [3, -3] })],
  ];
  for (const history of histories) assertEquals(checkLists(history), undefined);
});

const WRONG: [name: string, history: ListCall[], text: string][] = [
  [
    "half of a transaction",
    [call(0, 1, [w("x", 1), w("y", 2)]), call(2, 3, [r("x", 1), r("y")])],
    "no order",
  ],
  [
    "half of one that is under way",
    [call(0, 9, [w("x", 1), w("y", 2)]), call(1, 2, [r("x", 1), r("y")])],
    "no order",
  ],
  [
    "two readers in two orders",
    [
      call(0, 9, [w("x", 1)]),
      call(1, 9, [w("y", 2)]),
      call(2, 3, [r("x", 1), r("y")]),
      call(4, 5, [r("x", 1), r("y", 2)]),
      call(6, 7, [r("x"), r("y", 2)], { begin: 2.5 }),
    ],
    "no order",
  ],
  [
    "write skew",
    [call(0, 3, [r("x"), w("y", 1)]), call(1, 2, [r("y"), w("x", 2)]), call(4, 5, [r("x", 2)])],
    "no order",
  ],
  [
    "an old read after an acknowledgement",
    [call(0, 1, [w("x", 1)]), call(2, 3, [r("x")]), call(4, 5, [r("x", 1)])],
    "no order",
  ],
  ["an acknowledged write is lost", [call(0, 1, [w("x", 1)]), call(2, 3, [r("x")])], "no order"],
  [
    "done twice",
    [call(0, 1, [w("x", 1)]), call(2, 3, [r("x", 1, 1)])],
    "twice",
  ],
  [
    "refused and done",
    [call(0, 1, [w("x", 1)], { outcome: "fail" }), call(2, 3, [r("x", 1)])],
    "refused",
  ],
  [
    "two lists that contradict each other",
    [
      call(0, 9, [w("x", 1)]),
      call(1, 9, [w("x", 2)]),
      call(2, 3, [r("x", 1, 2)]),
      call(4, 5, [r("x", 2)]),
    ],
    "contradict",
  ],
  ["its own write is not seen", [call(0, 1, [w("x", 1), r("x")])], "does not see"],
  [
    "something came between",
    [
      call(0, 9, [w("x", 1)]),
      call(1, 8, [r("x"), w("x", 2)]),
      call(10, 11, [r("x", 1, 2)]),
    ],
    "came between",
  ],
  ["money is lost", [call(0, 1, [], { kind: "sum", balances: [3, -2] })], "hold 1"],
];

for (const [name, history, text] of WRONG) {
  Deno.test(`checkLists: finds ${name}`, () => {
    assertStringIncludes(checkLists(history) ?? "nothing", text);
  });
}
