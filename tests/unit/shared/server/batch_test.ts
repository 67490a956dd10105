import { assert, assertEquals, assertThrows } from "@std/assert";
import { executeBatch, type ExecuteOne } from "../../../../shared/server/batch.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import {
  BATCH_REPLY_BYTES_MAX,
  BATCH_REQUESTS_AT_ONCE,
  BATCH_REQUESTS_MAX,
} from "../../../../shared/limits/requests.ts";
import { FRAME_BYTES_MAX } from "../../../../shared/limits/wire.ts";
import type { KeyRequest, Message, Reply } from "../../../../shared/wire/messages.ts";
import { checkKeyRequest } from "../../../../shared/validation/request_checks.ts";
import { wireBytes } from "../../../../shared/wire/wire_bytes.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { get, put } from "../../../support/worlds/node_cluster.ts";

function batch(requests: object[], timeoutMs?: number): Message<"batch"> {
  return timeoutMs === undefined
    ? { req_type: "batch", requests }
    : { req_type: "batch", requests, timeout_ms: timeoutMs };
}

/** Runs a batch on a store that answers at once. */
function run(message: Message<"batch">, execute: ExecuteOne, clock = new ManualClock()): Reply[] {
  let answer: Reply | undefined;
  executeBatch(clock, message, execute, (reply) => {
    assertEquals(answer, undefined, "a batch is answered once");
    answer = reply;
  });
  assert(answer?.req_type === "result");
  return answer.result as Reply[];
}

const echo: ExecuteOne = (request, reply) => {
  checkKeyRequest(request);
  reply({ req_type: "data", message: request.key, id: 9 });
};

function codes(replies: Reply[]): string[] {
  return replies.map((reply) => reply.req_type === "error" ? reply.code : reply.req_type);
}

Deno.test("executeBatch: replies in order, a malformed request's error at its place, no ids", () => {
  const replies = run(
    batch([
      { ...get("a"), id: 1 },
      7,
      { req_type: "get" },
      { req_type: "get", key: "" },
      { req_type: "ping" },
      { req_type: "batch", requests: [] },
      { ...get("b"), timeout_ms: 0 },
      get("c"),
    ] as object[]),
    echo,
  );
  const bad = Array.from({ length: 6 }, () => "bad_request");
  assertEquals(codes(replies), ["data", ...bad, "data"]);
  assertEquals(replies[0], { req_type: "data", message: "a" });
  assertEquals(run(batch([]), echo), []);
});

Deno.test("executeBatch: a great many requests that are answered at once do not pile up", () => {
  const requests = Array.from({ length: BATCH_REQUESTS_MAX }, (_, i) => get(`k${i}`));
  const replies = run(batch(requests), echo);
  assertEquals(replies.length, BATCH_REQUESTS_MAX);
  assertEquals((replies[4_711] as Message<"data">).message, "k4711");
  const error = assertThrows(() => run(batch([...requests, get("k")]), echo), KvError);
  assertEquals(error.code, "bad_request");
});

Deno.test("executeBatch: only a bounded number are under way, and each is told how much time is left", () => {
  const clock = new ManualClock();
  const waiting: { request: KeyRequest; reply: (reply: Reply) => void }[] = [];
  let answer: Reply | undefined;
  const requests = Array.from({ length: BATCH_REQUESTS_AT_ONCE + 2 }, () => put("k", "v"));
  const own = { ...put("k", "v"), timeout_ms: 50 };
  executeBatch(
    clock,
    batch([own, ...requests], 1_000),
    (request, reply) => waiting.push({ request, reply }),
    (reply) => answer = reply,
  );
  assertEquals(waiting.length, BATCH_REQUESTS_AT_ONCE);
  assertEquals(waiting.slice(0, 2).map(({ request }) => request.timeout_ms), [50, 1_000]);
  clock.advance(600);
  waiting.shift()?.reply({ req_type: "ack" });
  assertEquals(waiting.at(-1)?.request.timeout_ms, 400);
  clock.advance(400);
  for (const { reply } of waiting.splice(0)) reply({ req_type: "ack" });
  assert(answer?.req_type === "result");
  const replies = answer.result as Reply[];
  assertEquals(codes(replies.slice(-2)), ["timeout", "timeout"]);
  assertEquals(codes(replies.slice(0, -2)).every((code) => code === "ack"), true);
});

Deno.test("executeBatch: the replies fit into a frame", () => {
  const large: ExecuteOne = (request, reply) =>
    reply({ req_type: "data", message: "\u0001".repeat(request.key === "small" ? 10 : 200_000) });
  const requests = [
    ...Array.from({ length: 6 }, () => get("large")),
    put("large", "v"),
    ...Array.from({ length: 10 }, () => get("small")),
    get("large"),
  ];
  const replies = run(batch(requests), large);
  assert(wireBytes(replies) < FRAME_BYTES_MAX);
  assertEquals(codes(replies), [
    ...Array.from({ length: 6 }, () => "data"),
    "outcome_unknown",
    ...Array.from({ length: 10 }, () => "data"),
    "overloaded",
  ]);
  // One value of any size is given, and nothing is begun after it.
  let begun = 0;
  const huge = run(batch([get("a"), get("b")]), (_request, reply) => {
    begun++;
    reply({ req_type: "data", value64: "A".repeat(BATCH_REPLY_BYTES_MAX + 100) });
  });
  assertEquals([codes(huge), begun], [["data", "overloaded"], 1]);
});
