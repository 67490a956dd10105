/**
 * Changes, told to clients of Redis: KV.WATCH as pushes of RESP3.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { BasicClientSideCache, createClient } from "redis";
import { WATCHES_PER_CONNECTION_MAX } from "../../../shared/limits/scans.ts";
import { RespClient } from "../../support/clients/resp_client.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

async function connectTo(cluster: TestCluster, index: number): Promise<RespClient> {
  const { host: hostname, port } = cluster.nodeAddress(index);
  return await RespClient.connect({ hostname, port });
}

/** The parts of a push; nil is "_". */
function partsOf(push: string): string[] {
  assertMatch(push, /^>/);
  const [, ...lines] = push.split("\r\n");
  return lines.filter((line) => line !== "" && !line.startsWith("$"));
}

Deno.test("KV.WATCH: pushes the changes of keys at all nodes, and goes on from a token", async () => {
  await using cluster = await TestCluster.start({ nodes: 3, replicationFactor: 1, minInSync: 1 });
  await using kv = await cluster.connect();
  await kv.put("w:a", "1");
  using client = await connectTo(cluster, 0);
  assertEquals(
    await client.ask(["KV.WATCH", "mine", "PREFIX", "w:"]),
    "-ERR KV.WATCH needs RESP3: say HELLO 3 first\r\n",
  );
  await client.ask(["HELLO", "3"]);
  assertEquals(
    await client.ask(["kv.watch", "mine", "prefix", "w:", "key", "x", "SNAPSHOT"]),
    "+OK\r\n",
  );
  assertEquals(partsOf(await client.reply()).slice(0, 6), [
    "kv.watch",
    "mine",
    "put",
    "w:a",
    "1",
    ":1",
  ]);
  assertEquals(partsOf(await client.reply()).slice(0, 6), [
    "kv.watch",
    "mine",
    "level",
    "_",
    "_",
    "_",
  ]);
  await kv.put("x", "2");
  const put = partsOf(await client.reply());
  assertEquals(put.slice(0, 6), ["kv.watch", "mine", "put", "x", "2", ":1"]);
  assertEquals(await client.ask(["KV.UNWATCH", "mine"]), ":1\r\n");
  assertEquals(await client.ask(["KV.UNWATCH", "mine"]), ":0\r\n");
  await kv.delete("x");

  using other = await connectTo(cluster, 2);
  await other.ask(["HELLO", "3"]);
  const token = put[6] ?? "";
  assertEquals(
    await other.ask(["KV.WATCH", "again", "PREFIX", "w:", "KEY", "x", "TOKEN", token]),
    "+OK\r\n",
  );
  assertEquals(partsOf(await other.reply()).slice(0, 5), ["kv.watch", "again", "delete", "x", "_"]);
});

Deno.test("KV.WATCH: what is wrong is refused, and RESET ends all watches", async () => {
  await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1, minInSync: 1 });
  using client = await connectTo(cluster, 0);
  await client.ask(["HELLO", "3"]);
  const refusals = [
    ["KV.WATCH", "a", "SNAPSHOT"],
    ["KV.WATCH", "a", "PREFIX"],
    ["KV.WATCH", "a", "NONSENSE", "b"],
    ["KV.WATCH", "a", "PREFIX", "b", "TOKEN", "nonsense"],
    ["KV.WATCH", "a", "KEY", ""],
    ["KV.WATCH"],
  ];
  for (const command of refusals) assertMatch(await client.ask(command), /^-ERR /);
  for (let i = 0; i < WATCHES_PER_CONNECTION_MAX; i++) {
    let reply = await client.ask(["KV.WATCH", String(i), "KEY", "k"]);
    // Pushes of the watches before it come in between.
    while (reply.startsWith(">")) reply = await client.reply();
    assertEquals(reply, "+OK\r\n");
  }
  let reply = await client.ask(["KV.WATCH", "one more", "KEY", "k"]);
  while (reply.startsWith(">")) reply = await client.reply();
  assertMatch(reply, /^-ERR bad_request watch: a connection has at most 64/);
  reply = await client.ask(["RESET"]);
  while (reply.startsWith(">")) reply = await client.reply();
  assertEquals(reply, "+RESET\r\n");
  const { host, port } = cluster.nodeHttpAddress(0);
  const metrics = await (await fetch(`http://${host}:${port}/metrics`)).text();
  assert(metrics.includes("\nkv_watches 0\n"));
});

Deno.test("CLIENT TRACKING: node-redis' client-side cache keeps what it has read, until it changes anywhere", async () => {
  await using cluster = await TestCluster.start({ nodes: 3, replicationFactor: 1, minInSync: 1 });
  await using kv = await cluster.connect();
  await kv.createDatabase("5");
  const { host, port } = cluster.nodeAddress(0);
  for (const database of [0, 5]) {
    const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0, evictPolicy: "LRU" });
    const socket = { host, port };
    const client = createClient({ RESP: 3, clientSideCache: cache, socket, database });
    client.on("error", () => {});
    await client.connect();
    const writer = database === 0 ? kv : kv.database("5");
    const keys = Array.from({ length: 12 }, (_, i) => `k${i}`);
    for (const key of keys) await writer.put(key, "1");
    for (const key of keys) assertEquals(await client.get(key), "1");
    for (const key of keys) assertEquals(await client.get(key), "1");
    assertEquals(cache.stats().hitCount, keys.length);
    for (const key of keys) {
      await writer.put(key, "2");
      await cluster.poll("the new value", async () => await client.get(key) === "2" || undefined);
    }
    client.destroy();
  }
});

Deno.test("CLIENT TRACKING, keyspace notifications: also of a secured cluster, as far as the user may read", async () => {
  await using cluster = await TestCluster.start({
    nodes: 2,
    replicationFactor: 1,
    minInSync: 1,
    secured: true,
  });
  const alice = { user: "alice", password: "correct horse" };
  const grants = (["read", "write"] as const).map((right) => ({
    database: "default",
    prefix: "app:",
    right,
  }));
  await cluster.order({ req_type: "role_set", role: "app", grants });
  await cluster.order({ req_type: "user_add", ...alice, roles: ["app"] });
  const { host, port } = cluster.nodeAddress(0);
  const { ca = "", user = "", password = "" } = cluster.credentials ?? {};
  const open = async (login: { user: string; password: string }) => {
    const client = createClient({
      RESP: 3,
      username: login.user,
      password: login.password,
      socket: { host, port, tls: true, ca },
    });
    client.on("error", () => {});
    await client.connect();
    return client;
  };
  const root = await open({ user, password });
  const reader = await cluster.poll("alice at the node", async () => await open(alice));
  await root.configSet("notify-keyspace-events", "KA");
  const heard: string[] = [];
  await reader.pSubscribe(
    "__keyspace@0__:app:*",
    (event, channel) => heard.push(`${channel} ${event}`),
  )
    .catch((error) => heard.push(String(error)));
  await root.pSubscribe(
    "__keyspace@0__:*",
    (event, channel) => heard.push(`root ${channel} ${event}`),
  );
  await using kv = await cluster.connect();
  for (let i = 0; i < 4; i++) await kv.put(`app:${i}`, "v");
  await cluster.poll(
    "all events",
    () => Promise.resolve(heard.filter((line) => line.startsWith("root")).length >= 4 || undefined),
    () => heard,
  );
  assert(heard.includes("root __keyspace@0__:app:3 set"), heard.join());
  await cluster.poll(
    "what alice may read",
    () => Promise.resolve(heard.includes("__keyspace@0__:app:3 set") || undefined),
    () => heard,
  );
  await assertRejects(() => reader.pSubscribe("__key*__:*", () => {}), Error, "NOPERM");
  await assertRejects(() => reader.subscribe("__keyevent@0__:set", () => {}), Error, "NOPERM");
  for (const client of [root, reader]) client.destroy();
});
