/**
 * `delete_matching` found a key that is longer than this process takes (it was written before
 * `--key-bytes-max` was lowered, or at a node that has a larger one), and what the database throws then
 * escaped from the callback of its scan: one line ended the node. Found by a review.
 */
import { assertEquals } from "@std/assert";
import type { Database } from "../../shared/database/database.ts";
import type { Reply } from "../../shared/wire/messages.ts";
import { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import { serveDeleteMatching } from "../../shared/server/scan_requests.ts";
import { RespBench } from "../support/clients/resp_bench.ts";

Deno.test("delete_matching answers, and deletes the others, whatever the keys that it finds", async () => {
  const { clock, database } = new RespBench({ limits: { keyBytesMax: 64, valueBytesMax: 1_000 } });
  const times = { timestampMs: 0, expiresAtMs: 0 };
  for (const key of ["x".repeat(100), "xy"]) {
    database.entries.set(key, {
      key,
      value: new Uint8Array(1),
      seq: 1,
      term: 1,
      flags: 0,
      ...times,
    });
  }
  // A page comes later, as it does from other nodes: nobody is there to catch anything.
  const scan: Database["scan"] = (request, timeoutMs, done) => {
    clock.defer(() => database.scan(request, timeoutMs, done));
    return () => {};
  };
  const execute = database.execute.bind(database);
  const request = { req_type: "delete_matching", prefix: "x" } as const;
  const replies: Reply[] = [];
  const deps = { clock, work: new WorkScheduler(clock), database: { scan, execute } };
  serveDeleteMatching(deps, request, (reply) => replies.push(reply));
  await clock.run(100);
  const outcomes = replies.map((reply) => reply.req_type === "error" && [reply.code, reply.detail]);
  assertEquals(outcomes, [["key_too_large", { deleted: 1 }]]);
});
