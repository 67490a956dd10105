import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Atomic, AtomicResult } from "../../../../client/library/atomic.ts";
import type { KvEntry } from "../../../../client/calls/call.ts";
import { KvClient } from "../../../../client/library/kv_client.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { KeyRequest, Reply } from "../../../../shared/wire/messages.ts";
import { FakeCluster } from "../../../support/worlds/fake_cluster.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

function setUp(answer: Reply) {
  const router = new FakeCluster();
  router.fault = () => answer;
  const client = new KvClient({ clock: new ManualClock(), router, clientId: "me" });
  return { client, sent: router.requests };
}

const OK: Reply = { req_type: "result", result: [], version: 9 };

function codeOf(result: AtomicResult<unknown> | undefined): string | undefined {
  return result?.ok === false ? result.error.code : undefined;
}

Deno.test("Atomic.commit sends one transaction, and reads each answer by its own type", async () => {
  const { client, sent } = setUp({
    req_type: "result",
    version: 9,
    result: [
      { req_type: "ack", version: 7 },
      { req_type: "ack", version: 8 },
      { req_type: "error", code: "not_found", message: "" },
      { req_type: "result", result: "12345678901234567890", version: 9 },
      { req_type: "error", code: "not_an_integer", message: "" },
      { req_type: "data", message: "x", version: 3, timestamp: 1 },
      { req_type: "error", code: "not_found", message: "" },
      { req_type: "result", result: true },
    ],
  });
  const outcome = await client.atomic()
    .check("{t}a", 5)
    .check("{t}b", undefined)
    .put("{t}a", "1", { ttlMs: 1_000 })
    .delete("{t}b")
    .delete("{t}c")
    .increment("{t}n", -2)
    .increment("{t}text")
    .get("{t}a")
    .get("{t}none")
    .exists("{t}a")
    .commit({ acks: "primary", timeoutMs: 700 });
  assert(outcome.ok);
  const [put, gone, absent, sum, wrong, found, none, there] = outcome.results;
  // The types are part of the test.
  const version: number | undefined = put.ok ? put.value : undefined;
  const number: bigint | undefined = sum.ok ? sum.value : undefined;
  const entry: KvEntry | undefined = found.ok ? found.value : undefined;
  assertEquals([outcome.version, version, number], [9, 7, 12345678901234567890n]);
  assertEquals([gone, absent, there], [
    { ok: true, value: true },
    { ok: true, value: false },
    { ok: true, value: true },
  ]);
  assertEquals(codeOf(wrong), "not_an_integer");
  assertEquals([entry?.key, entry?.version], ["{t}a", 3]);
  assertEquals(none, { ok: true, value: undefined });
  assertEquals(sent as unknown, [{
    req_type: "transaction",
    key: "{t}a",
    requests: [
      { req_type: "put", key: "{t}a", ttl_ms: 1_000, value: "1" },
      { req_type: "delete", key: "{t}b" },
      { req_type: "delete", key: "{t}c" },
      { req_type: "increment", key: "{t}n", by: "-2" },
      { req_type: "increment", key: "{t}text", by: "1" },
      { req_type: "get", key: "{t}a" },
      { req_type: "get", key: "{t}none" },
      { req_type: "exists", key: "{t}a" },
    ],
    checks: [["{t}a", 5], ["{t}b", 0]],
    acks: "primary",
    session: "me.7.0",
    request_number: 1,
    timeout_ms: 700,
  }]);
});

Deno.test("Atomic.commit tells which check failed", async () => {
  const { client } = setUp({
    req_type: "error",
    code: "version_mismatch",
    message: "",
    detail: { key: "b", version: 4 },
  });
  const outcome = await client.atomic().check("a", 1).check("b", 2).put("a", "").commit();
  assertEquals(outcome, { ok: false, key: "b", version: 4 });
});

Deno.test("Atomic.commit throws what concerns the whole", async () => {
  for (const code of ["timeout", "outcome_unknown", "transaction_too_large"]) {
    const { client } = setUp({ req_type: "error", code, message: "" });
    const error = await assertRejects(() => client.atomic().put("a", "").commit(), KvError);
    assertEquals(error.code, code);
  }
  const { client } = setUp(OK);
  const short = await assertRejects(() => client.atomic().put("a", "").commit(), KvError);
  assertEquals(short.code, "internal");
});

Deno.test("Atomic.commit sends reads without a client session, and nothing if there is nothing", async () => {
  const { client, sent } = setUp({
    req_type: "result",
    result: [{ req_type: "error", code: "not_found", message: "" }],
  });
  const outcome = await client.atomic().check("a", 0).get("a").commit();
  assertEquals(outcome, {
    ok: true,
    version: undefined,
    results: [{ ok: true, value: undefined }],
  });
  assertEquals("session" in (sent[0] as KeyRequest), false);
  assertEquals(await client.atomic().commit(), { ok: true, version: undefined, results: [] });
  assertEquals(sent.length, 1);
});

Deno.test("Atomic can be gathered in a loop, is committed once, and refuses bad input at once", async () => {
  const { client, sent } = setUp({
    req_type: "result",
    result: [{ req_type: "ack", version: 1 }, { req_type: "ack", version: 2 }],
  });
  const atomic: Atomic = client.atomic();
  for (const key of ["a", "b"]) atomic.put(key, key);
  assertEquals((await atomic.commit()).ok, true);
  assertEquals((await assertRejects(() => atomic.commit(), KvError)).code, "bad_request");
  assertEquals(sent.length, 1);
  const codes = [
    () => client.atomic().put("", "x"),
    () => client.atomic().check("", 1),
    () => client.atomic().check("a", -1),
    () => client.atomic().get("k".repeat(3_000)),
    () => client.atomic().append("a", new Uint8Array(9 * 2 ** 20)),
  ].map((call) => assertThrows(call, KvError).code);
  assertEquals(codes, [
    "bad_request",
    "bad_request",
    "bad_request",
    "key_too_large",
    "value_too_large",
  ]);
});
