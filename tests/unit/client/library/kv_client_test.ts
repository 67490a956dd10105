import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { KvEntry } from "../../../../client/calls/call.ts";
import { KvClient } from "../../../../client/library/kv_client.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { Reply } from "../../../../shared/wire/messages.ts";
import { FakeCluster } from "../../../support/worlds/fake_cluster.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

function setUp() {
  const cluster = new FakeCluster();
  const clock = new ManualClock();
  return { cluster, clock, client: new KvClient({ clock, router: cluster }) };
}

const failure = (code: string): Reply => ({ req_type: "error", code, message: `said ${code}` });

async function codeOf(call: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => call, KvError)).code;
}

Deno.test("KvClient writes and reads text, bytes and JSON", async () => {
  const { client } = setUp();
  assertEquals(await client.put("a", "Zoë"), 1);
  assertEquals(await client.put("b", Uint8Array.of(0, 255)), 2);
  assertEquals(await client.putJson("c", { x: [1] }), 3);
  assertEquals(await client.put("d", ""), 4);
  assertEquals(await client.getText("a"), "Zoë");
  assertEquals(await client.get("b"), Uint8Array.of(0, 255));
  assertEquals(await client.getJson("c"), { x: [1] });
  assertEquals(await client.getText("d"), "");
  assertEquals(await client.getEntry("a"), {
    key: "a",
    value: new TextEncoder().encode("Zoë"),
    version: 1,
    timestampMs: 1_000,
    expiresAtMs: undefined,
  });
});

Deno.test("KvClient keeps the media type with the value", async () => {
  const { client } = setUp();
  const contentType = "text/html; charset=utf-8";
  await client.put("page", "<p>", { contentType });
  await client.put("plain", "p");
  assertEquals((await client.getEntry("page"))?.contentType, contentType);
  assertEquals("contentType" in (await client.getEntry("plain") ?? {}), false);
  const types = new Map<string, string | undefined>();
  for await (const { key, contentType } of client.scan()) types.set(key, contentType);
  assertEquals([types.get("page"), types.get("plain")], [contentType, undefined]);
});

Deno.test("KvClient says undefined or false if there is no such key", async () => {
  const { client } = setUp();
  assertEquals(await client.get("a"), undefined);
  assertEquals(await client.getText("a"), undefined);
  assertEquals(await client.getJson("a"), undefined);
  assertEquals(await client.getEntry("a"), undefined);
  assertEquals(await client.exists("a"), false);
  assertEquals(await client.delete("a"), false);
  assertEquals(await codeOf(client.update("a", "")), "not_found");
  await client.create("a", "");
  assertEquals(await codeOf(client.create("a", "")), "exists");
  assertEquals(await client.exists("a"), true);
  assertEquals(await client.delete("a"), true);
});

Deno.test("KvClient.getText and getJson refuse what is not text or JSON", async () => {
  const { client } = setUp();
  await client.put("a", Uint8Array.of(0xff));
  await client.put("b", "{");
  assertEquals(await codeOf(client.getText("a")), "bad_request");
  assertEquals(await codeOf(client.getJson("b")), "bad_request");
  await assertRejects(() => client.putJson("c", undefined), TypeError);
});

Deno.test("KvClient refuses bad keys and values before anything is sent", async () => {
  const { client, cluster } = setUp();
  for (const key of ["", "\ud800"]) {
    assertEquals(await codeOf(client.get(key)), "bad_request");
    assertEquals(await codeOf(client.put(key, "")), "bad_request");
  }
  assertEquals(await codeOf(client.exists("é".repeat(1_025))), "key_too_large");
  assertEquals(await client.exists("é".repeat(1_024)), false);
  assertEquals(await codeOf(client.put("a", new Uint8Array(8 * 2 ** 20 + 1))), "value_too_large");
  assertEquals(await codeOf(client.put("a", "\udc00")), "bad_request");
  assertEquals(cluster.requests.length, 1);
});

/** What a caller without a compiler may give; each must be refused, and none may be left out. */
Deno.test("KvClient refuses values and options of a wrong type before anything is sent", async () => {
  const { client, cluster } = setUp();
  for (const value of [5, null, undefined, {}, [1], new ArrayBuffer(1), 5n]) {
    const wrong = value as unknown as string;
    assertEquals(await codeOf(client.put("a", wrong)), "bad_request", String(value));
    assertEquals(await codeOf(client.append("a", wrong)), "bad_request", String(value));
    assertThrows(() => client.atomic().put("a", wrong), KvError, "a string or a Uint8Array");
    const [one] = await client.putMany([["a", wrong]]);
    assertEquals(one?.ok === false && one.error.code, "bad_request", String(value));
  }
  const numbers: unknown[] = [NaN, Infinity, -1, 1.5, null, "5"];
  for (const number of numbers) {
    const wrong = number as number;
    for (const options of [{ ttlMs: wrong }, { expiresAtMs: wrong }, { ifVersion: wrong }]) {
      const shown = `${JSON.stringify(options)} ${number}`;
      assertEquals(await codeOf(client.put("a", "", options)), "bad_request", shown);
      assertThrows(() => client.atomic().create("a", "", options), KvError, "must be", shown);
    }
    assertEquals(await codeOf(client.delete("a", { ifVersion: wrong })), "bad_request");
    assertEquals(await codeOf(client.expire("a", { ttlMs: wrong })), "bad_request");
    const request = { req_type: "put", key: "a", value: "", if_version: wrong } as const;
    const step = { req_type: "transaction", key: "a", requests: [request] } as const;
    // On the JSON wire null is "not given".
    if (number === null) continue;
    assertEquals(await codeOf(client.execute(request)), "bad_request", String(number));
    assertEquals(await codeOf(client.execute(step)), "bad_request", String(number));
  }
  assertEquals(await codeOf(client.put("a", "", { ttlMs: 0 })), "bad_request");
  assertEquals(await codeOf(client.put("a", "", { keepTtl: 1 as never })), "bad_request");
  assertEquals(await codeOf(client.expire("a", { ttlMs: 1, when: "zz" as never })), "bad_request");
  assertEquals(await codeOf(client.get("a", { timeoutMs: Infinity })), "bad_request");
  assertEquals(await codeOf(client.count({ prefix: 5 as never })), "bad_request");
  assertEquals(
    await codeOf(client.execute({ req_type: "put", key: "a", value: 5 as never })),
    "bad_request",
  );
  const odd = { req_type: "get", key: "a", more: 5n } as const;
  assertEquals(await codeOf(client.execute(odd)), "not_found");
  assertEquals(cluster.requests.map((request) => ({ ...request })), [
    { req_type: "get", key: "a", timeout_ms: 10_000 },
  ]);
});

Deno.test("KvClient passes on what the cluster refuses, with code and detail", async () => {
  const { client, cluster } = setUp();
  for (const code of ["outcome_unknown", "unavailable", "timeout", "overloaded"]) {
    cluster.fault = () => failure(code);
    assertEquals(await codeOf(client.put("a", "")), code);
    assertEquals(await codeOf(client.get("a")), code);
  }
  cluster.fault = () => ({ ...failure("of_the_future"), req_type: "error" } as Reply);
  assertEquals(await codeOf(client.put("a", "")), "internal");
  cluster.fault = () => ({ req_type: "ack", message: "success" });
  assertEquals(await codeOf(client.get("a")), "internal");
});

Deno.test("KvClient sends deadline, acks and consistency if they are asked for", async () => {
  const { cluster, clock } = setUp();
  const client = new KvClient({ clock, router: cluster }, { timeoutMs: 700, acks: "primary" });
  await client.put("a", "");
  await client.put("a", "", { timeoutMs: 50, acks: "all" });
  await client.get("a", { consistency: "replica" });
  const sent = cluster.requests.map(({ id: _, ...request }) => request);
  assertEquals(sent, [
    { req_type: "put", key: "a", value: "", acks: "primary", timeout_ms: 700 },
    { req_type: "put", key: "a", value: "", acks: "all", timeout_ms: 50 },
    { req_type: "get", key: "a", consistency: "replica", timeout_ms: 700 },
  ]);
  assertEquals(await codeOf(client.get("a", { timeoutMs: 0 })), "bad_request");
});

Deno.test("KvClient ends a call with the reason of its signal, and leaves no listener", async () => {
  const { client, cluster } = setUp();
  cluster.held = [];
  const controller = new AbortController();
  const reason = new Error("enough");
  const call = client.put("a", "1", { signal: controller.signal });
  await Promise.resolve();
  controller.abort(reason);
  assertEquals(await assertRejects(() => call), reason);
  assertEquals(cluster.cancelled, 1);
  // The answer that comes after all changes nothing.
  cluster.held.forEach((answer) => answer());
  assertEquals(
    await assertRejects(() => client.put("a", "2", { signal: controller.signal })),
    reason,
  );
  assertEquals(cluster.held.length, 1);

  const counting = countingSignal();
  cluster.held = undefined;
  await client.put("a", "3", { signal: counting.signal });
  await client.get("a", { signal: counting.signal });
  assertEquals(counting.listeners(), 0);
});

function countingSignal() {
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args));
  signal.removeEventListener = (
    ...args: Parameters<typeof remove>
  ) => (listeners--, remove(...args));
  return { signal, listeners: () => listeners };
}

Deno.test("KvClient lists nodes and the holders of a key", async () => {
  const { client } = setUp();
  const nodes = await client.listNodes();
  assertEquals(nodes.map((n) => [n.port, n.own.length, n.prev.length]), [[8081, 4, 4], [
    8082,
    4,
    4,
  ]]);
  const { nodes: holders, partition } = await client.nodesForKey("k");
  assertEquals(holders.map((holder) => holder.role), ["primary", "replica"]);
  assert(nodes.find((node) => node.id === holders[0]?.id)?.own.includes(partition));
});

Deno.test("KvClient asks the coordinator and every node for stats and ping", async () => {
  const cluster = new FakeCluster();
  const coordinator = {
    request: (_: object, _timeoutMs: number, done: (reply: Reply) => void) =>
      done(failure("unavailable")),
    close: () => {},
  };
  const client = new KvClient({ clock: new ManualClock(), router: cluster, coordinator });
  const stats = await client.stats();
  assertEquals(stats.map(({ id, error }) => [id, error?.code]), [
    ["coordinator", "unavailable"],
    ["00000000000000a1", undefined],
    ["00000000000000a2", undefined],
  ]);
  assertEquals(stats[1]?.stats, { node: "00000000000000a1", writes: 7 });
  assertEquals((await client.ping()).map(({ elapsedMs }) => elapsedMs), [undefined, 0, 0]);
});

Deno.test("KvClient asks the coordinator's cache if that will do, and the primary if it cannot tell", async () => {
  const cluster = new FakeCluster();
  const asked: unknown[] = [];
  let answer: Reply = { req_type: "data", message: "cached", version: 3 };
  const coordinator = {
    request: (message: object, _timeoutMs: number, done: (reply: Reply) => void) => {
      asked.push((message as { consistency?: unknown }).consistency);
      done(answer);
    },
    close: () => {},
  };
  const client = new KvClient({ clock: new ManualClock(), router: cluster, coordinator });
  await client.put("k", "fresh");
  assertEquals(await client.getText("k", { consistency: "cached" }), "cached");
  answer = failure("unavailable");
  assertEquals(await client.getText("k", { consistency: "cached" }), "fresh");
  assertEquals(await client.getText("k"), "fresh");
  assertEquals(asked, ["cached", "cached"]);
});

async function collect(entries: AsyncIterable<KvEntry>): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of entries) keys.push(key);
  return keys;
}

Deno.test("KvClient.scan gives every key once, in order, however long the pages are", async () => {
  const { client, cluster } = setUp();
  const all = Array.from({ length: 100 }, (_, i) => `key-${i}`);
  for (const key of all) await client.put(key, key);
  assertEquals(await collect(client.scan()), all.toSorted());
  cluster.pageRows = 1_000;
  assertEquals(await collect(client.scan()), all.toSorted());
});

Deno.test("KvClient.scan goes on after the last key when a node fails", async () => {
  const { client, cluster, clock } = setUp();
  for (let i = 0; i < 60; i++) await client.put(`key-${i}`, "");
  const expected = await collect(client.scan());
  let calls = 0;
  const codes = ["unavailable", "outcome_unknown", "timeout", "not_primary"];
  cluster.fault = () => calls++ % 3 === 1 ? failure(codes[calls % 4] ?? "") : undefined;
  const keys: string[] = [];
  const reading = (async () => {
    for await (const { key } of client.scan()) keys.push(key);
  })();
  let done = false;
  void reading.finally(() => done = true);
  while (!done) {
    clock.advance(100);
    await Promise.resolve();
  }
  await reading;
  assertEquals(keys, expected);
  assert(cluster.refreshes > 5);
});

Deno.test("KvClient.scan ends with the error that stays, and with its deadline", async () => {
  const { client, cluster, clock } = setUp();
  await client.put("a", "");
  cluster.fault = () => failure("forbidden");
  assertEquals(await codeOf(collect(client.scan())), "forbidden");
  cluster.fault = () => failure("unavailable");
  const call = codeOf(collect(client.scan({ timeoutMs: 3_000 })));
  let code: string | undefined;
  void call.then((given) => code = given);
  while (code === undefined) {
    clock.advance(100);
    await Promise.resolve();
  }
  assertEquals(code, "unavailable");
  assert(clock.monotonicMs() < 20_000);
});

Deno.test("KvClient refuses calls once it is closed", async () => {
  const { client, cluster } = setUp();
  await client[Symbol.asyncDispose]();
  client.close();
  assert(cluster.closed);
  const calls = [client.get("a"), client.put("a", "b"), client.listNodes(), client.count()];
  for (const call of [...calls, collect(client.scan())]) {
    const error = await assertRejects(() => call, KvError, "closed");
    // A loop that tries again what may be tried again must end.
    assertEquals([error.code, error.retryable], ["bad_request", false]);
  }
});
