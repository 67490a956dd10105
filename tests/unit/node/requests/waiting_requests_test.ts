import { assertEquals } from "@std/assert";
import { WAITING_REQUESTS_MAX } from "../../../../shared/limits/replication.ts";
import { REQUEST_TIMEOUT_MS } from "../../../../shared/limits/requests.ts";
import type { Reply } from "../../../../shared/wire/messages.ts";
import { WaitingRequests } from "../../../../node/requests/waiting_requests.ts";

function setUp() {
  const log: string[] = [];
  const waiting = new WaitingRequests(() => 1_000);
  const add = (name: string, timeoutMs?: number) =>
    waiting.add(
      { timeout_ms: timeoutMs },
      (reply: Reply) => log.push(`${name} ${reply.req_type === "error" ? reply.code : "?"}`),
      () => log.push(`${name} runs`),
    );
  return { log, waiting, add };
}

Deno.test("WaitingRequests gives them back in order, those that were put back first", () => {
  const { log, waiting, add } = setUp();
  add("a");
  add("b");
  const taken = waiting.takeAll();
  assertEquals(waiting.size, 0);
  add("c");
  waiting.putBack(taken);
  for (const request of waiting.takeAll()) request.run();
  assertEquals(log, ["a runs", "b runs", "c runs"]);
});

Deno.test("WaitingRequests answers whose deadline has passed, and no other", () => {
  const { log, waiting, add } = setUp();
  add("short", 50);
  add("usual");
  waiting.expire(1_049);
  assertEquals(log, []);
  waiting.expire(1_050);
  assertEquals(log, ["short timeout"]);
  waiting.expire(1_000 + REQUEST_TIMEOUT_MS);
  assertEquals(log, ["short timeout", "usual timeout"]);
  assertEquals(waiting.size, 0);
});

Deno.test("WaitingRequests keeps what comes while it answers", () => {
  const { log, waiting, add } = setUp();
  waiting.add({ timeout_ms: 50 }, () => add("next"), () => {});
  waiting.expire(1_050);
  assertEquals(waiting.size, 1);
  for (const request of waiting.takeAll()) request.run();
  assertEquals(log, ["next runs"]);
});

Deno.test("WaitingRequests lets a request go on with what is left of its time", () => {
  let nowMs = 1_000;
  const waiting = new WaitingRequests(() => nowMs);
  const left: (number | undefined)[] = [];
  for (const timeout_ms of [50, 500, undefined]) {
    waiting.add({ timeout_ms }, () => {}, (request) => left.push(request.timeout_ms));
  }
  nowMs += 200;
  for (const request of waiting.takeAll()) request.run();
  assertEquals(left, [1, 300, REQUEST_TIMEOUT_MS - 200]);
});

Deno.test("WaitingRequests refuses more than it may hold", () => {
  const { log, waiting, add } = setUp();
  for (let i = 0; i <= WAITING_REQUESTS_MAX; i++) add(String(i));
  assertEquals(log, [`${WAITING_REQUESTS_MAX} overloaded`]);
  waiting.failAll({ req_type: "error", code: "not_primary", message: "" });
  assertEquals(log.length, WAITING_REQUESTS_MAX + 1);
});
