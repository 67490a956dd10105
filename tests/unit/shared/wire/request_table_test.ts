import { assert, assertEquals } from "@std/assert";
import { RequestTable } from "../../../../shared/wire/request_table.ts";

function asked(deadlineMs: number) {
  return { message: {}, deadlineMs, timeoutMs: 10, done: () => {} };
}

Deno.test("RequestTable: an answer takes its request out once, and makes room", () => {
  const table = new RequestTable(1);
  const first = asked(10);
  const id = table.send(first);
  const second = asked(20);
  table.wait(second);
  assertEquals(table.hasRoom, false);
  assertEquals(table.next(), undefined);
  assertEquals(table.answered(id), first);
  assertEquals(table.next(), second);
  assertEquals(table.waiting, 0);
  assertEquals(table.takeSent(), []);
});

Deno.test("RequestTable: with a bound, what has been asked for longest goes first", () => {
  const table = new RequestTable(1);
  for (const deadlineMs of [20, 30, 10, 20]) table.wait(asked(deadlineMs));
  assertEquals(table.takeWaiting().map(({ deadlineMs }) => deadlineMs), [10, 20, 20, 30]);
});

Deno.test("RequestTable: what was sent over a connection that is left is in a table of its own", () => {
  const table = new RequestTable(1);
  const before = asked(10);
  const id = table.send(before);
  table.wait(asked(30));
  const left = table.leave();
  assertEquals([left.sent, left.waiting, table.sent, table.waiting], [1, 0, 0, 1]);
  const next = table.next();
  assert(next !== undefined, "the new connection has room");
  const idAfter = table.send(next);
  assertEquals([table.answered(id), left.answered(idAfter)], [undefined, undefined]);
  assertEquals(left.answered(id), before);
});

Deno.test("RequestTable: overdue requests are taken out, and keep their place in flight until the connection ends", () => {
  const table = new RequestTable(2);
  table.send(asked(10));
  table.send(asked(30));
  table.wait(asked(10));
  table.wait(asked(30));
  assertEquals(table.takeLostSent(10).map(({ deadlineMs }) => deadlineMs), [10]);
  assertEquals(table.takeLostWaiting(10).map(({ deadlineMs }) => deadlineMs), [10]);
  assertEquals([table.sent, table.waiting, table.hasRoom], [1, 1, false]);
  table.disconnected();
  assertEquals([table.takeSent().length, table.hasRoom], [1, true]);
});
