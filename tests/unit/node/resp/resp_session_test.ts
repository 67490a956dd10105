import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { REPLY_BYTES_PAUSE, WRITE_STALL_TIMEOUT_MS } from "../../../../shared/limits/admission.ts";
import { LONG_REPLY_BYTES } from "../../../../shared/limits/requests.ts";
import { RESP_PENDING_MAX } from "../../../../shared/limits/resp.ts";
import { encodeCommand, RespBench } from "../../../support/clients/resp_bench.ts";

const encoder = new TextEncoder();

Deno.test("RespSession: one write answers all commands of one read, in order", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  peer.feed("PING\r\nSET k v\r\nGET k\r\nECHO hi\r\n");
  await bench.clock.run();
  assertEquals(peer.written, ["+PONG\r\n+OK\r\n$1\r\nv\r\n$2\r\nhi\r\n"]);
});

Deno.test("RespSession: replies keep the commands' order, whenever they come", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  bench.database.later = true;
  peer.feed("SET k v\r\nGET k\r\nPING\r\nECHO hi\r\nFOO\r\nHELLO 9\r\n");
  await bench.clock.run();
  assertEquals(peer.received, "");
  assertEquals(bench.database.requests.length, 2, "both are under way");
  bench.database.release();
  await bench.clock.run();
  assertEquals(
    peer.received,
    "+OK\r\n$1\r\nv\r\n+PONG\r\n$2\r\nhi\r\n" +
      "-ERR unknown command 'FOO', with args beginning with: \r\n" +
      "-NOPROTO unsupported protocol version\r\n",
  );
});

Deno.test("RespSession: values are bytes, and outlive the chunk that they came in", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  const value = Uint8Array.from({ length: 256 }, (_, i) => i);
  assertEquals(await peer.ask(["SET", "k", value]), "+OK\r\n");
  peer.feed(encodeCommand(["GET", "k"]));
  await bench.clock.run();
  assertEquals(bench.database.entries.get("k")?.value, value);
  assertEquals(peer.received.length, "$256\r\n".length + 256 + 2);
});

Deno.test("RespSession: a client that asks much is not read until it has been answered", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  bench.database.later = true;
  peer.feed("GET k\r\n".repeat(RESP_PENDING_MAX + 10));
  assertEquals(bench.database.requests.length, RESP_PENDING_MAX);
  assert(peer.paused);
  bench.database.release();
  await bench.clock.run();
  assertEquals(bench.database.requests.length, RESP_PENDING_MAX + 10);
  assert(!peer.paused);
  bench.database.release();
  await bench.clock.run();
  assertEquals(peer.received, "$-1\r\n".repeat(RESP_PENDING_MAX + 10));
  assertEquals(bench.budget.taken, 0);
});

Deno.test("RespSession: a client that reads slowly is not read, and one that hangs is cut off", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  await peer.ask(["SET", "k", "x".repeat(1000)]);
  peer.queuedBytes = REPLY_BYTES_PAUSE + 1;
  peer.feed("GET k\r\n");
  await bench.clock.run();
  peer.feed("GET k\r\n");
  await bench.clock.run();
  assert(peer.paused);
  assertEquals(peer.written.length, 1);
  peer.drain();
  await bench.clock.run();
  assert(!peer.paused);
  assertEquals(peer.written.length, 2);
  peer.queuedBytes = 1;
  peer.feed("GET k\r\n");
  await bench.clock.advance(2 * WRITE_STALL_TIMEOUT_MS);
  assertEquals(peer.closed, "cut");
  assertEquals(bench.server.sessions.size, 0);
});

Deno.test("RespSession: long replies narrow what may be under way", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  await peer.ask(["SET", "k", "x".repeat(2_000_000)]);
  await peer.ask("GET k");
  bench.database.later = true;
  peer.feed("GET k\r\n".repeat(100));
  assert(bench.database.requests.length < 20);
  for (let i = 0; i < 100; i++) {
    bench.database.release();
    await bench.clock.run();
  }
  assertEquals(bench.database.requests.length, 102);
});

Deno.test("RespSession: a connection whose last reply was long has one command under way, in its turn", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  await peer.ask(["SET", "k", "x".repeat(LONG_REPLY_BYTES + 1)]);
  await peer.ask("GET k");
  const before = bench.database.requests.length;
  bench.database.later = true;
  // Others' heavy work is before it.
  let first = true;
  bench.server.work.add(() => {
    const again = first;
    first = false;
    return again;
  });
  peer.feed("GET k\r\n".repeat(10));
  await bench.clock.advance(1);
  assertEquals(bench.database.requests.length, before + 1);
  for (let i = 2; i <= 10; i++) {
    bench.database.release();
    await bench.clock.advance(1);
    assertEquals(bench.database.requests.length, before + i);
  }
  bench.database.release();
  await bench.clock.advance(1);
  const long = `$${LONG_REPLY_BYTES + 1}\r\n`.length + LONG_REPLY_BYTES + 3;
  assertEquals(peer.received.length, 10 * long);
  // One that is gone asks nothing more.
  peer.feed("GET k\r\n".repeat(10));
  peer.close();
  await bench.clock.advance(1);
  assert(bench.database.requests.length <= before + 11);
  assertEquals(bench.budget.taken, 0);
});

Deno.test("RespSession: a protocol error is answered, after what came before it, and ends the connection", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  bench.database.later = true;
  peer.feed("GET k\r\n*1\r\n:1\r\nPING\r\n");
  await bench.clock.run();
  assertEquals(peer.closed, "open");
  bench.database.release();
  await bench.clock.run();
  assertEquals(peer.received, "$-1\r\n-ERR Protocol error: expected '$', got ':'\r\n");
  assertEquals(peer.closed, "flushed");
});

Deno.test("RespSession: QUIT answers what came before, and nothing behind it runs", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  bench.database.later = true;
  peer.feed("SET a 1\r\nQUIT\r\nSET b 1\r\n");
  await bench.clock.run();
  assertEquals(peer.closed, "open");
  bench.database.release();
  await bench.clock.run();
  assertEquals(peer.received, "+OK\r\n+OK\r\n");
  assertEquals(peer.closed, "flushed");
  assertEquals(bench.database.requests.length, 1);
});

Deno.test("RespSession: who sends no more still gets all replies", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  bench.database.later = true;
  const count = 2 * RESP_PENDING_MAX + 10;
  peer.feed("GET k\r\n".repeat(count) + "GET part");
  peer.end();
  for (let i = 0; i < 3; i++) {
    await bench.clock.run();
    assertEquals(peer.closed, "open");
    bench.database.release();
  }
  await bench.clock.run();
  assertEquals(peer.received, "$-1\r\n".repeat(count));
  assertEquals(peer.closed, "flushed");
});

Deno.test("RespSession: a connection that ends early leaves nothing behind", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  bench.database.later = true;
  peer.feed("SET a 1\r\nGET a\r\nMULTI\r\nSET b 1\r\n");
  peer.close();
  await bench.clock.run();
  bench.database.release();
  await bench.clock.run();
  assertEquals([bench.budget.taken, bench.server.sessions.size], [0, 0]);
});

Deno.test("RespSession: CLIENT REPLY switches replies off, on and over one", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  assertEquals(await peer.ask("CLIENT REPLY OFF"), "");
  assertEquals(await peer.ask("PING"), "");
  assertEquals(await peer.ask("SET a 1"), "");
  assertEquals(await peer.ask("CLIENT REPLY ON"), "+OK\r\n");
  assertEquals(await peer.ask("GET a"), "$1\r\n1\r\n");
  assertEquals(await peer.ask("CLIENT REPLY SKIP"), "");
  assertEquals(await peer.ask("GET a"), "");
  assertEquals(await peer.ask("GET a"), "$1\r\n1\r\n");
});

Deno.test("RespSession: MULTI queues, EXEC runs all as one request", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  const before = bench.database.requests.length;
  const line = "MULTI\r\nSET {t}a 1\r\nINCR {t}a\r\nPING\r\nGET\r\nDISCARD\r\n";
  assertMatch(await peer.ask(line), /^\+OK\r\n(\+QUEUED\r\n){3}-ERR wrong number.*\r\n\+OK\r\n$/);
  assertEquals(
    await peer.ask(
      "MULTI\r\nSET {t}a 1\r\nINCR {t}a\r\nPING\r\nSET {t}a 1 EX 0\r\nMGET {t}a {t}b\r\nEXEC",
    ),
    "+OK\r\n" + "+QUEUED\r\n".repeat(5) +
      "*5\r\n+OK\r\n:2\r\n+PONG\r\n-ERR invalid expire time in 'set' command\r\n*2\r\n$1\r\n2\r\n$-1\r\n",
  );
  assertEquals(bench.database.requests.length - before, 1);
});

Deno.test("RespSession: EXEC refuses what was spoilt as a whole, and makes one step of keys of several partitions", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  assertStringIncludes(
    await peer.ask("MULTI\r\nSET a 1\r\nNOSUCH\r\nEXEC"),
    "-EXECABORT Transaction discarded because of previous errors.\r\n",
  );
  assertEquals(bench.database.requests.length, 0);
  assertStringIncludes(
    // What follows it waits for it.
    await peer.ask("MULTI\r\nSET a 1\r\nSET b 1\r\nINCR c\r\nEXEC\r\nGET c"),
    "*3\r\n+OK\r\n+OK\r\n:1\r\n$1\r\n1\r\n",
  );
  assertEquals(bench.database.requests.map(({ req_type }) => req_type), ["transaction", "get"]);
  assertEquals(await peer.ask("MSET a 2 b 2"), "+OK\r\n");
  assertEquals(bench.database.requests.at(-1)?.req_type, "transaction");
  assertEquals(await peer.ask("EXEC"), "-ERR EXEC without MULTI\r\n");
  assertEquals(await peer.ask("DISCARD"), "-ERR DISCARD without MULTI\r\n");
});

Deno.test("RespSession: EXEC does nothing if a watched key has changed", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  const other = bench.connect();
  const run = () => peer.ask("MULTI\r\nSET {t}b 2\r\nEXEC");
  await peer.ask("WATCH {t}a");
  assertEquals(await run(), "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
  await peer.ask("WATCH {t}a {t}b");
  await other.ask("SET {t}a 1");
  assertEquals(await run(), "+OK\r\n+QUEUED\r\n*-1\r\n");
  assertEquals(await run(), "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n", "and forgets what was watched");
  await peer.ask("WATCH {t}a");
  await other.ask("DEL {t}a");
  await peer.ask("UNWATCH");
  assertEquals(await run(), "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
  await peer.ask("WATCH elsewhere");
  assertStringIncludes(await run(), "*1\r\n+OK");
});

Deno.test("RespSession: RENAME is tried again if somebody writes in between", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  await peer.ask("SET {t}a 1");
  let times = 0;
  const put = { req_type: "put", key: "{t}a", bytes: encoder.encode("2") } as const;
  bench.database.before = (request) => {
    const { checks } = request as { checks?: unknown[] };
    if (checks === undefined || checks.length === 0 || ++times > 3) return;
    bench.database.before = () => {};
    bench.database.execute(put, 1, () => {});
  };
  assertEquals(await peer.ask("RENAME {t}a {t}b"), "+OK\r\n");
  assertEquals(await peer.ask("MGET {t}a {t}b"), "*2\r\n$-1\r\n$1\r\n2\r\n");
  assertEquals(
    await peer.ask(
      "MULTI\r\nSET {t}c 3\r\nRENAME {t}c {t}d\r\nRENAME {t}x {t}y\r\nGET {t}d\r\nEXEC",
    ),
    "+OK\r\n" + "+QUEUED\r\n".repeat(4) + "*4\r\n+OK\r\n+OK\r\n-ERR no such key\r\n$1\r\n3\r\n",
  );
});

Deno.test("RespSession: the cluster's failures are errors that clients know", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  const cases: [code: string, text: string][] = [
    ["unavailable", "-CLUSTERDOWN unavailable why\r\n"],
    ["overloaded", "-TRYAGAIN overloaded why\r\n"],
    ["not_enough_replicas", "-NOREPLICAS not_enough_replicas why\r\n"],
    ["outcome_unknown", "-ERR outcome_unknown why\r\n"],
    ["timeout", "-ERR timeout why\r\n"],
    ["storage_failed", "-MISCONF storage_failed why\r\n"],
  ];
  for (const [code, text] of cases) {
    bench.database.failures.push({ req_type: "error", code, message: "why" });
    assertEquals(await peer.ask("SET k v"), text);
  }
  const small = new RespBench({ limits: { keyBytesMax: 4, valueBytesMax: 8 } });
  const client = small.connect();
  assertMatch(await client.ask("GET longer"), /^-ERR key_too_large /);
  assertMatch(await client.ask("SET k 123456789"), /^-ERR string exceeds maximum allowed size/);
  assertMatch(await client.ask(["GET", ""]), /^-ERR a key must not be empty/);
  assertEquals(await client.ask(["GET", Uint8Array.of(0xff)]), "$-1\r\n");
});

Deno.test("RespSession: what would do harm twice goes in a client session, if there are several nodes", async () => {
  const alone = new RespBench();
  await alone.connect().ask("INCR n");
  assertEquals(alone.database.requests.map((request) => "session" in request), [false]);

  const bench = new RespBench({ nodes: 2 });
  const peer = bench.connect();
  const deduplicated = async (line: string) => {
    await peer.ask(line);
    return bench.database.requests.splice(0)
      .map((request) => "session" in request ? [request.session, request.request_number] : []);
  };
  const without = ["SET k v", "SET k v EX 9", "GET k", "DEL k", "TTL k"];
  for (const line of without) assertEquals((await deduplicated(line)).flat(), [], line);
  const [first] = await deduplicated("INCR k");
  const session = first?.[0];
  assertMatch(String(session), /^resp-[0-9a-f]{16}\.\d+\.0$/);
  let op = 1;
  for (
    const line of [
      "APPEND k 1",
      "SET k v NX",
      "GETDEL k",
      "SET k v GET",
      "PERSIST k",
      "EXPIRE k 9",
      "MSET {k}a 1 {k}b 2",
    ]
  ) {
    assertEquals(await deduplicated(line), [[session, ++op]], line);
  }
  assertEquals((await deduplicated("MULTI\r\nGET k\r\nEXEC")).flat(), []);
  assertEquals(await deduplicated("MULTI\r\nSET k v\r\nEXEC"), [[session, ++op]]);
  bench.database.later = true;
  peer.feed("INCR k\r\nINCR k\r\n");
  const names = bench.database.requests.map((request) =>
    "session" in request ? request.session : ""
  );
  assertEquals(new Set(names).size, 2, "one request at a time");
});

Deno.test("RespSession: commands in the making are bounded for all connections together", async () => {
  const bench = new RespBench();
  const [first, second] = [bench.connect(), bench.connect()];
  const part = `*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$7000000\r\n`;
  first.feed(part);
  await bench.clock.run();
  const held = () => Number(bench.admission.stats().unfinished_bytes);
  assert(held() < 10_000, "a length that is announced costs nothing");
  first.feed("x".repeat(300_000));
  second.feed(part + "x".repeat(500_000));
  await bench.clock.run();
  assert(held() > 800_000 && held() < 2_000_000);
});

Deno.test("RespSession: many long values are refused as one reply", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  await peer.ask(["SET", "k", "x".repeat(8_000_000)]);
  assertMatch(
    await peer.ask(["MGET", ..."kkkkk"]),
    /^-ERR frame_too_large the values come to more/,
  );
});

Deno.test("RespSession.retire: a pipeline is answered to its end, then the connection ends", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  bench.database.later = true;
  peer.feed("SET k v\r\nGET k\r\nMULTI\r\nGET");
  for (const session of bench.server.sessions.values()) session.retire();
  await bench.clock.run();
  bench.database.release();
  await bench.clock.run();
  assertEquals([peer.received, peer.closed], ["+OK\r\n$1\r\nv\r\n+OK\r\n", "open"]);
  // What has begun belongs to it, a transaction too.
  peer.feed(" k\r\nEXEC\r\n");
  await bench.clock.run();
  bench.database.release();
  await bench.clock.run();
  assertMatch(peer.received, /\+QUEUED\r\n\*1\r\n\$1\r\nv\r\n$/);
  assertEquals(peer.closed === "open", false);
});

Deno.test("CLIENT PAUSE: the commands of all connections wait, UNPAUSE too, and are answered in order when it is over", async () => {
  const bench = new RespBench();
  const [one, two] = [bench.connect(), bench.connect()];
  assertEquals(await one.ask("CLIENT PAUSE 500"), "+OK\r\n");
  one.feed("SET k v\r\nGET k\r\n");
  two.feed("PING\r\nCLIENT UNPAUSE\r\n");
  await bench.clock.advance(499);
  assertEquals([one.received, two.received], ["", ""]);
  assert(one.paused && two.paused, "nothing more is read of them");
  await bench.clock.advance(2);
  assertEquals([one.received, two.received], ["+OK\r\n$1\r\nv\r\n", "+PONG\r\n+OK\r\n"]);
  assert(!one.paused && !two.paused);
});

Deno.test("CLIENT PAUSE WRITE: only what may write waits, until UNPAUSE; a shorter or milder one changes nothing", async () => {
  const bench = new RespBench();
  const [one, two] = [bench.connect(), bench.connect()];
  assertEquals(await one.ask("CLIENT PAUSE 60000 WRITE"), "+OK\r\n");
  assertEquals(await one.ask("CLIENT PAUSE 10 WRITE"), "+OK\r\n");
  const waiting = ["SET k v", "EVAL x 0", "PUBLISH c m", "KV.DELETE_MATCHING a"].map((line) => {
    const peer = bench.connect();
    peer.feed(`GET k\r\n${line}\r\nPING\r\n`);
    return peer;
  });
  two.feed("MULTI\r\nGET k\r\nEXEC\r\n");
  await bench.clock.advance(1_000);
  for (const peer of waiting) assertEquals(peer.received, "$-1\r\n");
  assertEquals(two.received, "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n");
  assertEquals(await one.ask("CLIENT UNPAUSE"), "+OK\r\n");
  await bench.clock.run();
  for (const peer of waiting) assert(peer.received.endsWith("+PONG\r\n"), peer.received);
  assertEquals(await two.ask("GET k"), "$1\r\nv\r\n");
});

Deno.test("CLIENT PAUSE: a transaction that was queued before waits if it writes; RESET and a refused command do not wait for WRITE", async () => {
  const bench = new RespBench();
  const [one, two] = [bench.connect(), bench.connect()];
  for (const line of ["MULTI", "SET k v"]) await two.ask(line);
  await one.ask("CLIENT PAUSE 100 WRITE");
  two.feed("EXEC\r\n");
  await bench.clock.advance(50);
  assertEquals(two.received, "");
  assertEquals(await one.ask("SET"), "-ERR wrong number of arguments for 'set' command\r\n");
  assertEquals(await one.ask("RESET"), "+RESET\r\n");
  await bench.clock.advance(51);
  assertEquals(two.received, "*1\r\n+OK\r\n");
});

Deno.test("CLIENT PAUSE: what waits counts as input of its connection, and a node that stops waits for nobody", async () => {
  const bench = new RespBench();
  const [one, two, three] = [bench.connect(), bench.connect(), bench.connect()];
  await one.ask("CLIENT PAUSE 60000 WRITE");
  two.feed(encodeCommand(["SET", "k", "x".repeat(100_000)]));
  await bench.clock.run();
  const [, session] = [...bench.server.sessions.values()];
  assert((session?.keptBytes.query ?? 0) > 100_000);
  three.feed("SET k other\r\n");
  three.close();
  await bench.clock.run();
  for (const each of [...bench.server.sessions.values()]) each.retire();
  await bench.clock.run();
  assertEquals(two.received, "+OK\r\n");
  assertEquals([two.closed, bench.server.sessions.size, bench.budget.taken], ["flushed", 0, 0]);
});
