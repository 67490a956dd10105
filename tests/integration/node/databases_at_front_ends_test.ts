/**
 * Databases, as users meet them: what is written into one at a front end is there at every other front end and in no
 * other database; they are made, listed, flushed and dropped, survive restarts and backups, and give their space back.
 *
 * @module
 */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Redis } from "ioredis";
import { KvError } from "../../../shared/base/errors.ts";
import { LineClient } from "../../support/clients/line_client.ts";
import { RespClient } from "../../support/clients/resp_client.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

async function statusOf(url: string): Promise<number> {
  const { status, body } = await fetch(url);
  await body?.cancel();
  return status;
}

Deno.test("databases: one keyspace at every front end, apart from every other", async () => {
  await using cluster = await TestCluster.start({ nodes: 3, partitions: 8 });
  await using kv = await cluster.connect();
  const { host, port } = await cluster.node(0).ready;
  const http = `http://${host}:${(await cluster.node(1).ready).facts.http}`;
  using wire = await LineClient.connect(await cluster.node(2).ready);
  using resp = await RespClient.connect({ hostname: host, port });
  const ask = async (request: object) => {
    await wire.send(JSON.stringify(request) + "\n");
    return await wire.reply();
  };

  assertMatch((await cluster.client("database", "create", "orders")).stdout, /orders is made/);
  await kv.createDatabase("carts", { together: true });
  const orders = kv.database("orders");
  const carts = kv.database("carts");
  await kv.put("k", "default");
  await orders.put("k", "orders");
  await carts.put("k", "carts");
  const seen: [string, string][] = [["orders", "orders"], ["carts", "carts"], [
    "default",
    "default",
  ]];
  for (const [database, value] of seen) {
    assertEquals(await kv.database(database).getText("k"), value);
    assertEquals((await ask({ req_type: "get", database, key: "k" })).message, value);
    assertEquals(await (await fetch(`${http}/db/${database}/kv/k`)).text(), value);
    assertEquals(await resp.ask(["KV.USE", database]), "+OK\r\n");
    assertEquals(await resp.ask(["GET", "k"]), `$${value.length}\r\n${value}\r\n`);
    assertEquals(await resp.ask(["DBSIZE"]), ":1\r\n");
    assertEquals(await resp.ask(["KEYS", "*"]), "*1\r\n$1\r\nk\r\n");
    assertEquals((await cluster.client("get", "k", "--database", database)).stdout, `${value}\n`);
    assertEquals(await (await fetch(`${http}/db/${database}/keys`)).json(), { keys: ["k"] });
    assertEquals((await ask({ req_type: "count", database })).result, 1);
    const page = await ask({ req_type: "scan", database, values: true });
    assertEquals((page.entries as unknown[][]).map(([key]) => key), ["k"]);
  }
  assertEquals(await (await fetch(`${http}/kv/k`)).text(), "default");
  assertEquals(await Array.fromAsync(kv.keys()), ["k"]);
  assertEquals(await Array.fromAsync(kv.keys({ reverse: true })), ["k"]);

  // Several keys at once, in each of them.
  for (const database of [orders, carts, kv]) {
    const names = Array.from({ length: 40 }, (_, i) => `n${i}`);
    const atomic = database.atomic();
    for (const name of names) atomic.put(name, name);
    await atomic.commit();
    assertEquals(await database.count({ prefix: "n" }), 40);
    assertEquals((await Array.fromAsync(database.keys({ prefix: "n" }))).length, 40);
    assertEquals(await database.deleteMatching({ prefix: "n3" }), 11);
  }
  const nodes = new Set<number>();
  for (const key of ["k", "n1", "n2", "n4"]) nodes.add((await carts.nodesForKey(key)).partition);
  assertEquals(nodes.size, 1, "all keys of carts lie together");

  // A batch names the database of each of its requests.
  const batch = await ask({
    req_type: "batch",
    requests: [
      { req_type: "get", database: "orders", key: "k" },
      { req_type: "get", key: "k" },
      { req_type: "get", database: "none", key: "k" },
    ],
  });
  const [one, two, three] = batch.result as Record<string, unknown>[];
  assertEquals([one?.message, two?.message, three?.code], ["orders", "default", "no_database"]);
  const posted = await fetch(`${http}/db/orders/batch`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ atomic: true, requests: [{ req_type: "put", key: "h", value: "1" }] }),
  });
  assertEquals(posted.status, 200);
  await posted.body?.cancel();
  assertEquals(await orders.getText("h"), "1");
  assertEquals(await kv.get("h"), undefined);

  // No front end lets anybody out of a database.
  for (const key of ["\0db/000001/k", "\0db/{000002}k", "\0db/"]) {
    assertEquals(await statusOf(`${http}/kv/${encodeURIComponent(key)}`), 400);
    await resp.ask(["SELECT", "0"]);
    assertMatch(await resp.ask(["GET", key]), /^-ERR/);
    await assertRejects(() => kv.get(key), KvError, "not for users");
  }
  assertEquals(await Array.fromAsync(kv.keys({ prefix: "\0db/" })), []);
  assertEquals(await statusOf(`${http}/db/none/kv/k`), 404);
  assertEquals(await statusOf(`${http}/db/orders/health`), 404);
  await assertRejects(() => kv.database("none").get("k"), KvError, "no database");

  assertEquals(
    (await kv.databases()).map(({ name, placement }) => [name, placement]),
    [["default", "spread"], ["orders", "spread"], ["carts", "together"]],
  );
  const inspected = JSON.parse(
    (await cluster.client("database", "inspect", "carts", "--json")).stdout,
  );
  assertEquals([inspected.keys, inspected.bytes > 0, inspected.expiring], [30, true, 0]);
  for (const key of ["e1", "e2"]) await carts.put(key, "v", { ttlMs: 600_000 });
  await carts.put("e1", "stays");
  assertEquals((await kv.databaseSize("carts"))?.expiring, 1);
  assertMatch((await cluster.client("database", "inspect", "carts")).stdout, /^expiring: 1$/m);
  const coordinator = `http://${host}:${(await cluster.coordinatorProcess.ready).facts.http}`;
  for (const site of [http, coordinator]) {
    const { keys, bytes, expiring } = await (await fetch(`${site}/db/carts`)).json();
    assertEquals([keys, bytes > 0, expiring], [32, true, 1], site);
  }
  let told = 0;
  for (const index of [0, 1, 2]) {
    const { facts } = await cluster.node(index).ready;
    const text = await (await fetch(`http://${host}:${facts.http}/metrics`)).text();
    told += Number(/^kv_keyspace_keys\{database="carts"\} (\d+)$/m.exec(text)?.[1] ?? NaN);
  }
  assertEquals(told, 32);
});

Deno.test("databases of Redis: by number, made when they are selected, with MOVE, COPY, FLUSHDB, FLUSHALL and INFO", async () => {
  await using cluster = await TestCluster.start({ nodes: 2, replicationFactor: 2, partitions: 8 });
  const { host, port } = await cluster.node(0).ready;
  const five = new Redis({ host, port, db: 5 });
  const zero = new Redis({ host, port });
  try {
    assertEquals(await five.set("k", "five"), "OK");
    assertEquals(await zero.get("k"), null);
    assertEquals(await zero.set("z", "zero"), "OK");
    assertEquals(await five.dbsize(), 1);
    assertEquals(await zero.move("z", 5), 1);
    assertEquals(await zero.move("z", 5), 0);
    assertEquals(await five.mget("k", "z"), ["five", "zero"]);
    assertEquals(await five.multi().incr("n").incr("n").exec(), [[null, 1], [null, 2]]);
    assertMatch(await zero.info("keyspace"), /db5:keys=3/);
    assertMatch(String(await five.client("INFO")), / db=5 /);
    assertMatch(String(await zero.client("INFO")), / db=0 /);
    await assertRejects(() => zero.select(16), Error, "out of range");
    await assertRejects(() => zero.swapdb(0, 1), Error, "SWAPDB");
    assertEquals(await zero.set("c", "copied", "EX", 1_000), "OK");
    assertEquals(await zero.copy("c", "n", "DB", 5), 0);
    assertEquals(await zero.copy("c", "n", "DB", 5, "REPLACE"), 1);
    assertEquals(await zero.copy("c", "c", "DB", 7), 1, "the database is made");
    assertEquals([await five.get("n"), await zero.get("c")], ["copied", "copied"]);
    assertEquals((await five.ttl("n")) > 900, true);
    await assertRejects(() => zero.call("MULTI").then(() => zero.copy("c", "n", "DB", 5)));
    await assertRejects(() => zero.call("EXEC"), Error, "EXECABORT");
    assertEquals(await zero.del("c"), 1);
    await zero.set("stays", "1");
    assertEquals(await five.flushdb(), "OK");
    assertEquals([await five.dbsize(), await zero.dbsize()], [0, 1]);
    assertMatch(await zero.info("keyspace"), /db7:keys=1/);
    await five.set("k", "five");
    assertEquals(await five.flushall(), "OK");
    assertEquals([await five.dbsize(), await zero.dbsize()], [0, 0]);
    assertEquals(/db7:keys=1/.test(await zero.info("keyspace")), false);
  } finally {
    five.disconnect();
    zero.disconnect();
  }
});

Deno.test("databases of Redis: INFO tells how many keys expire, also after a restart", async () => {
  await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1, partitions: 4 });
  const keyspace = async () => {
    const { host, port } = await cluster.node(0).ready;
    const redis = new Redis({ host, port });
    try {
      return (await redis.info("keyspace")).split("\r\n").filter((line) => line !== "");
    } finally {
      redis.disconnect();
    }
  };
  const { host, port } = await cluster.node(0).ready;
  const [zero, five] = [new Redis({ host, port }), new Redis({ host, port, db: 5 })];
  await zero.mset("a", "1", "b", "1", "c", "1");
  await zero.set("d", "1", "EX", 1_000);
  await five.set("a", "1");
  for (const key of ["b", "c"]) await five.set(key, "1", "EX", 1_000);
  zero.disconnect();
  five.disconnect();
  const told = ["# Keyspace", "db0:keys=4,expires=1,avg_ttl=0", "db5:keys=3,expires=2,avg_ttl=0"];
  assertEquals(await keyspace(), told);
  await cluster.crash(0);
  await cluster.restart(0);
  await cluster.whole({ nodes: 1 });
  await cluster.poll(
    "INFO tells what it told before",
    async () => (await keyspace()).join() === told.join() ? true : undefined,
  );
});

Deno.test("databases: dropped and made again, flushed, saved and restored, and there after a restart", async () => {
  const folder = await Deno.makeTempDir();
  await using cluster = await TestCluster.start({ nodes: 2, replicationFactor: 2, partitions: 8 });
  await using kv = await cluster.connect();
  await kv.createDatabase("a");
  await kv.createDatabase("b", { together: true });
  const [a, b] = [kv.database("a"), kv.database("b")];
  const entries = Array.from({ length: 500 }, (_, i) => [`k${i}`, "v".repeat(100)] as const);
  for (const database of [kv, a, b]) await database.putMany(entries);
  assertEquals((await cluster.client("backup", `${folder}/f`)).code, 0);

  // Nobody can be asked, and nobody has said that it is meant.
  assertEquals((await cluster.client("database", "drop", "a")).code !== 0, true);
  assertEquals(await a.count(), 500);
  await kv.dropDatabase("a");
  await assertRejects(() => a.get("k1"), KvError, "no database");
  await kv.createDatabase("a");
  assertEquals(await a.count(), 0, "nothing of the one before");
  assertEquals(await a.get("k1"), undefined);
  assertEquals([await b.count(), await kv.count()], [500, 500]);

  assertEquals((await cluster.client("database", "flush", "b", "--force")).code, 0);
  assertEquals([await b.count(), await kv.count()], [0, 500]);

  await kv.flushAll();
  const restored = await cluster.client("restore", `${folder}/f`);
  assertEquals(restored.code, 0, restored.stderr);
  for (const database of [kv, a, b]) {
    assertEquals(await database.count(), 500);
    assertEquals(await database.getText("k499"), "v".repeat(100));
  }
  await Deno.remove(folder, { recursive: true });
});
