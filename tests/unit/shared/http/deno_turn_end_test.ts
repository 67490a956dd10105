import { assertEquals } from "@std/assert";
import { TurnEnd } from "../../../../shared/http/deno_turn_end.ts";

Deno.test("TurnEnd: who waits in one turn goes on together, also if many microtasks lie between", async () => {
  const turn = new TurnEnd();
  const order: string[] = [];
  const first = turn.reached().then(() => order.push("first"));
  for (let i = 0; i < 10; i++) await Promise.resolve();
  order.push("microtasks");
  const second = turn.reached().then(() => order.push("second"));
  await first;
  assertEquals(order, ["microtasks", "first", "second"]);
  await second;
  let ended = false;
  const next = turn.reached().then(() => ended = true);
  await Promise.resolve();
  assertEquals(ended, false);
  await next;
});
