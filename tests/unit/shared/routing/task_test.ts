import { assertEquals } from "@std/assert";
import {
  finalReply,
  hintOf,
  lateReply,
  requestNow,
  type Task,
  taskOf,
  unansweredReply,
} from "../../../../shared/routing/task.ts";
import type { KeyRequest, Message, Reply } from "../../../../shared/wire/messages.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

const GET: KeyRequest = { req_type: "get", key: "k" };
const PUT: KeyRequest = { req_type: "put", key: "k", value: "v" };
const error = (code: string, more = {}): Message<"error"> => {
  return { req_type: "error", code, message: `said ${code}`, ...more };
};
const task = (request: KeyRequest, facts: Partial<Task> = {}): Task => {
  return { ...taskOf(request, 1_000, 500, () => {}), attempts: 1, ...facts };
};
const codeOf = (reply: Reply) => reply.req_type === "error" ? reply.code : reply.req_type;

Deno.test("taskOf: an attempt of somebody else may have happened already", () => {
  assertEquals(task({ ...PUT, again: true }).unknown, true);
  assertEquals([task(PUT).unknown, task(PUT).deadlineMs], [false, 1_500]);
});

Deno.test("requestNow: goes as it is at first, and then with what is left", () => {
  const clock = new ManualClock();
  clock.advance(1_200);
  const leftMs = 1_500 - clock.monotonicMs();
  const request: KeyRequest = { ...PUT, timeout_ms: 500 };
  assertEquals(requestNow(task(request), clock) === request, true);
  const second = task(request, { attempts: 2, unknown: true });
  assertEquals(requestNow(second, clock), { ...PUT, timeout_ms: Math.ceil(leftMs), again: true });
  clock.advance(leftMs);
  assertEquals(requestNow(second, clock), undefined);
});

Deno.test("lateReply: a write that may have happened is unknown, whatever the last attempt said", () => {
  const ends: [Partial<Task>, string][] = [
    [{}, "timeout"],
    [{ last: error("overloaded") }, "overloaded"],
    [{ last: error("not_primary") }, "unavailable"],
    [{ last: error("outcome_unknown") }, "timeout"],
    [{ last: error("overloaded"), unknown: true }, "outcome_unknown"],
  ];
  for (const [facts, code] of ends) assertEquals(lateReply(task(PUT, facts), 1_600).code, code);
  assertEquals(
    lateReply(task(PUT, { attempts: 3, last: error("overloaded") }), 1_600).message,
    "put: gave up after 600 ms and 3 attempts; last: said overloaded",
  );
});

Deno.test("unansweredReply: of a read nothing can have happened", () => {
  assertEquals(codeOf(unansweredReply(task(GET), 1_500)), "timeout");
  assertEquals(codeOf(unansweredReply(task(PUT), 1_500)), "outcome_unknown");
});

Deno.test("finalReply: only what holds of every attempt ends a write that may have happened", () => {
  const unknown = task(PUT, { unknown: true });
  const ends: [Reply, string][] = [
    [{ req_type: "ack", message: "success", version: 1 }, "ack"],
    [error("exists"), "outcome_unknown"],
    [error("exists", { settled: true }), "exists"],
    [error("reply_not_kept"), "reply_not_kept"],
  ];
  for (const [reply, code] of ends) {
    assertEquals(codeOf(finalReply(unknown, reply)), code);
    assertEquals(finalReply(task(PUT), reply), reply);
  }
});

Deno.test("hintOf: a node's id, or an object with one; anything else is no hint", () => {
  const hint = (detail: unknown) => hintOf(error("not_primary", { detail }));
  assertEquals([hint({ primary: "n2" }), hint({ primary: { id: "n3" } })], ["n2", "n3"]);
  const others = [undefined, null, "n2", {}, { primary: null }, { primary: { id: 3 } }];
  for (const detail of others) assertEquals(hint(detail), undefined);
});
