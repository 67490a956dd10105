import { assertEquals, assertMatch } from "@std/assert";
import { checkCounter } from "../../simulation/checkers/counters.ts";
import { History } from "../../simulation/checkers/history.ts";

/** Increments and reads, one after the other; `lost` ones have no known outcome. */
function reasonOf(
  ...calls: (["increment" | "read", number] | "lost" | "lost at once")[]
): string | undefined {
  const history = new History();
  let time = 0;
  for (const call of calls) {
    const f = typeof call === "string" ? "increment" : call[0];
    const id = history.invoke({ process: 0, f, key: "sum", value: null, time: time++ });
    if (typeof call === "string") history.info(id, time++, "outcome_unknown");
    else history.ok(id, { time: time++, value: String(call[1]) });
  }
  return checkCounter(history.calls())?.reason;
}

Deno.test("checkCounter accepts what increments by one may give", () => {
  assertEquals(reasonOf(["increment", 1], ["read", 1], ["increment", 2], ["read", 2]), undefined);
  assertEquals(reasonOf(["increment", 1], "lost", ["read", 1], ["increment", 3]), undefined);
  assertEquals(reasonOf("lost", "lost", ["read", 2], ["read", 2]), undefined);
});

Deno.test("checkCounter finds increments that are lost, happen twice, or are seen too late", () => {
  assertMatch(reasonOf(["increment", 1], ["increment", 1]) ?? "", /gave 1; it may be 2 to 2/);
  assertMatch(reasonOf(["increment", 2]) ?? "", /gave 2; it may be 1 to 1/);
  assertMatch(reasonOf(["increment", 1], "lost", ["read", 3]) ?? "", /it may be 1 to 2/);
  assertMatch(reasonOf("lost", ["read", 1], ["read", 0]) ?? "", /1 was seen/);
  assertMatch(
    reasonOf("lost", ["increment", 1], ["increment", 3], ["read", 2]) ?? "",
    /3 was seen/,
  );
});

Deno.test("checkCounter finds two increments that were told the same number", () => {
  const history = new History();
  const begin = () =>
    history.invoke({ process: 0, f: "increment", key: "sum", value: null, time: 0 });
  const [one, other] = [begin(), begin()];
  history.ok(one, { time: 1, value: "1" });
  history.ok(other, { time: 1, value: "1" });
  assertMatch(checkCounter(history.calls())?.reason ?? "", /two increments gave 1/);
});
