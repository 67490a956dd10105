import { assertEquals, assertRejects } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { DELETES_IN_FLIGHT_MAX } from "../../../../shared/limits/scans.ts";
import type { Message, Reply } from "../../../../shared/wire/messages.ts";
import { WorkScheduler } from "../../../../shared/scheduling/work_scheduler.ts";
import { serveDeleteMatching } from "../../../../shared/server/scan_requests.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryDatabase } from "../../../support/doubles/memory_database.ts";

function depsOf(clock: ManualClock, database: MemoryDatabase) {
  return { clock, work: new WorkScheduler(clock), database };
}

function run(
  database: MemoryDatabase,
  request: Omit<Message<"delete_matching">, "req_type">,
): Promise<Reply> {
  const full = { req_type: "delete_matching", ...request } as const;
  return new Promise((resolve) => {
    serveDeleteMatching(depsOf(new ManualClock(), database), full, resolve);
  });
}

function databaseOf(count: number): MemoryDatabase {
  const database = new MemoryDatabase();
  for (let i = 0; i < count; i++) database.set(`a${i}`, "v");
  database.set("b", "v");
  return database;
}

Deno.test("delete_matching: takes away what matches, over many pages, and nothing else", async () => {
  const count = 3 * DELETES_IN_FLIGHT_MAX + 5;
  const database = databaseOf(count);
  assertEquals(await run(database, { prefix: "a" }), {
    req_type: "result",
    result: { deleted: count },
  });
  assertEquals([...database.entries].filter(([, e]) => e.flags === 0).map(([key]) => key), ["b"]);
  assertEquals(await run(database, { prefix: "" }), { req_type: "result", result: { deleted: 1 } });
  assertEquals(await run(database, { prefix: "" }), { req_type: "result", result: { deleted: 0 } });
});

Deno.test("delete_matching: refuses to take everything unless that is said", async () => {
  const error = await assertRejects(() => run(databaseOf(1), {}), KvError);
  assertEquals(error.code, "bad_request");
});

Deno.test("delete_matching: with the time half gone it says where to go on", async () => {
  const database = databaseOf(2 * DELETES_IN_FLIGHT_MAX);
  const clock = new ManualClock();
  const scan = database.scan.bind(database);
  let pages = 0;
  database.scan = (request, timeoutMs, done) => {
    pages++;
    clock.setTimer(600, () => scan(request, timeoutMs, done));
    return () => {};
  };
  let reply: Reply | undefined;
  const request = { req_type: "delete_matching", prefix: "a", timeout_ms: 1_000 } as const;
  serveDeleteMatching(depsOf(clock, database), request, (is) => reply = is);
  await clock.run(5_000);
  assertEquals(pages, 1);
  const { deleted, next } = (reply as Message<"result">).result as Record<string, unknown>;
  assertEquals(deleted, DELETES_IN_FLIGHT_MAX);
  let rest: Reply | undefined;
  serveDeleteMatching(depsOf(clock, database), {
    req_type: "delete_matching",
    prefix: "a",
    after: String(next),
  }, (is) => rest = is);
  await clock.run(5_000);
  assertEquals(rest, { req_type: "result", result: { deleted: DELETES_IN_FLIGHT_MAX } });
});

Deno.test("delete_matching: an error says how far it came", async () => {
  const database = databaseOf(10);
  database.intercept = (request) =>
    request.key === "a7" ? { req_type: "error", code: "outcome_unknown", message: "m" } : undefined;
  assertEquals(await run(database, { prefix: "a" }), {
    req_type: "error",
    code: "outcome_unknown",
    message: "m",
    detail: { deleted: 9 },
  });
});

Deno.test("delete_matching: after a failure no other page is begun", async () => {
  const database = databaseOf(2 * DELETES_IN_FLIGHT_MAX);
  const clock = new ManualClock();
  let begun = 0;
  database.execute = (_request, _timeoutMs, done) => {
    begun++;
    done({ req_type: "error", code: "storage_failed", message: "m" });
  };
  const replies: Reply[] = [];
  const request = { req_type: "delete_matching", prefix: "a" } as const;
  serveDeleteMatching(depsOf(clock, database), request, (reply) => replies.push(reply));
  await clock.run(60_000);
  assertEquals(replies.length, 1);
  assertEquals(begun, DELETES_IN_FLIGHT_MAX);
});

Deno.test("delete_matching: it answers when all that it has begun has ended, and not before", async () => {
  const database = databaseOf(5);
  const clock = new ManualClock();
  const late: (() => void)[] = [];
  database.execute = (request, _timeoutMs, done) => {
    if (request.key === "a0") done({ req_type: "error", code: "unavailable", message: "m" });
    else late.push(() => done({ req_type: "ack" }));
  };
  const replies: Reply[] = [];
  database.set("a", "v");
  const request = { req_type: "delete_matching", prefix: "a" } as const;
  serveDeleteMatching(depsOf(clock, database), request, (reply) => replies.push(reply));
  await clock.run(1_000);
  assertEquals([late.length, replies.length], [5, 0]);
  for (const end of late) end();
  await clock.run(1_000);
  assertEquals(replies, [{
    req_type: "error",
    code: "unavailable",
    message: "m",
    detail: { deleted: 5 },
  }]);
});
