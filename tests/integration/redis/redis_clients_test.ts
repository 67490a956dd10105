/**
 * Redis clients as people have them, unchanged, in their default settings, against real nodes: ioredis
 * and node-redis from npm, redis-cli and redis-benchmark if they are installed.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { Redis } from "ioredis";
import { createClient, RESP_TYPES, WatchError } from "redis";
import { NODE } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { hasRedis } from "../../support/clients/redis_server.ts";
import { needing } from "../../support/needs.ts";

/** A node that stands alone, on a port of the system's choice or a given one. */
async function startNode(port = 0): Promise<ServerProcess> {
  const flags = ["--http-port=0", "--standalone", "--partitions=8", "--storage=memory"];
  const process = ServerProcess.start(NODE, [`--port=${port}`, ...flags], { detached: false });
  await process.ready;
  return process;
}

const binary = new Uint8Array(Array.from({ length: 256 }, (_, i) => i));

Deno.test("ioredis: values, expiry, pipelines, transactions, scans", async () => {
  const node = await startNode();
  const { port } = await node.ready;
  const redis = new Redis({ host: "127.0.0.1", port });
  try {
    assertEquals(await redis.set("k", "v"), "OK");
    assertEquals(await redis.get("k"), "v");
    assertEquals(await redis.get("none"), null);
    await redis.set("binary", Buffer.from(binary));
    assertEquals(new Uint8Array(await redis.getBuffer("binary") ?? []), binary);
    assertEquals(await redis.set("k", "w", "EX", 100, "XX", "GET"), "v");
    assertEquals(await redis.ttl("k"), 100);
    assertEquals(await redis.incrby("n", 5), 5);
    assertEquals(await redis.mget("k", "none", "n"), ["w", null, "5"]);
    await assertRejects(
      () => redis.incr("k"),
      Error,
      "ERR value is not an integer or out of range",
    );

    const pipeline = redis.pipeline();
    for (let i = 0; i < 1_000; i++) pipeline.set(`p:${i}`, String(i)).get(`p:${i}`);
    const replies = await pipeline.exec() ?? [];
    assertEquals(replies.length, 2_000);
    replies.forEach(([error, reply], i) =>
      assertEquals([error, reply], [null, i % 2 === 0 ? "OK" : String((i - 1) / 2)])
    );

    assertEquals(await redis.multi().set("{t}a", "1").incr("{t}a").get("{t}a").exec(), [
      [null, "OK"],
      [null, 2],
      [null, "2"],
    ]);
    const keys = ["a", "b", "c", "d", "e", "f"];
    const crossing = keys.reduce((multi, key) => multi.set(key, "1"), redis.multi());
    assertEquals(await crossing.exec(), keys.map(() => [null, "OK"]));
    assertEquals(await redis.exists(...keys), keys.length);
    // What follows on the same connection comes after it.
    const [, , replies2] = await Promise.all([
      redis.mset("a", "2", "b", "2", "c", "2"),
      redis.rename("a", "z"),
      redis.mget("a", "b", "c", "z"),
    ]);
    assertEquals(replies2, [null, "2", "2", "2"]);

    const other = redis.duplicate();
    await redis.watch("{t}a");
    await other.set("{t}a", "9");
    assertEquals(await redis.multi().set("{t}b", "1").exec(), null);
    await ended(other);

    const found: string[] = [];
    for await (const page of redis.scanStream({ match: "p:*", count: 77 })) found.push(...page);
    assertEquals(new Set(found).size, 1_000);
    assertEquals(found.length, 1_000);
    assertMatch(await redis.info(), /redis_version:7/);
    assertEquals((await redis.keys("p:99*")).length, 11);
  } finally {
    await ended(redis);
    await node.crash();
  }
});

Deno.test("ioredis: comes back after the node did, and sends what waits", async () => {
  let node = await startNode();
  const { port } = await node.ready;
  const redis = new Redis({
    host: "127.0.0.1",
    port,
    retryStrategy: () => 20,
    maxRetriesPerRequest: null,
  });
  redis.on("error", () => {});
  try {
    assertEquals(await redis.set("k", "v"), "OK");
    const gone = new Promise((resolve) => redis.once("close", resolve));
    await node.crash();
    await gone;
    const waiting = redis.set("k", "again");
    node = await startNode(port);
    assertEquals(await waiting, "OK");
    assertEquals(await redis.get("k"), "again");
  } finally {
    await ended(redis);
    await node.crash();
  }
});

for (const protocol of [undefined, 2, 3] as const) {
  Deno.test(`node-redis, ${protocol === undefined ? "as it comes" : `RESP${protocol}`}: values, pipelines, transactions, scans`, () =>
    useNodeRedis(protocol));
}

async function useNodeRedis(protocol: 2 | 3 | undefined): Promise<void> {
  const node = await startNode();
  const { port } = await node.ready;
  const client = createClient({
    url: `redis://127.0.0.1:${port}`,
    ...(protocol === undefined ? {} : { RESP: protocol }),
  });
  client.on("error", () => {});
  await client.connect();
  try {
    assertEquals(await client.set("k", "v"), "OK");
    assertEquals(await client.get("k"), "v");
    assertEquals(await client.get("none"), null);
    const buffers = client.withTypeMapping({
      [RESP_TYPES.BLOB_STRING]: Buffer,
    });
    await client.set("binary", Buffer.from(binary));
    assertEquals(new Uint8Array((await buffers.get("binary")) ?? []), binary);
    assertEquals(await client.setNX("k", "w"), 0);
    assertEquals(await client.set("k", "w", { expiration: { type: "EX", value: 50 } }), "OK");
    assertEquals(await client.ttl("k"), 50);
    assertEquals(await client.incrByFloat("f", 0.1), "0.1");
    assertEquals(
      await Promise.all(Array.from({ length: 1_000 }, (_, i) => client.incr(i < 0 ? "" : "count"))),
      Array.from({ length: 1_000 }, (_, i) => i + 1),
    );
    const transaction = client.multi().set("{t}a", "1").incr("{t}a").get("{t}a");
    const executed: unknown[] = await transaction.exec();
    assertEquals(executed, ["OK", 2, "2"]);
    await client.watch("{t}a");
    await client.set("{t}a", "8");
    await assertRejects(() => client.multi().set("{t}b", "1").exec(), WatchError);
    await client.mSet(Array.from({ length: 300 }, (_, i): [string, string] => [`s:${i}`, "1"]));
    const found: string[] = [];
    for await (const page of client.scanIterator({ MATCH: "s:*", COUNT: 50 })) found.push(...page);
    assertEquals(new Set(found).size, 300);
    const config = await client.configGet("databases");
    assertEquals({ ...config }, { databases: "16" });
    assert((await client.commandCount()) > 60);
  } finally {
    client.destroy();
    await node.crash();
  }
}

Deno.test("Redis clients on three nodes: any node takes any key, and a failover counts once", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  const clients = [0, 1, 2].map((i) => {
    const { host, port } = cluster.nodeAddress(i);
    const redis = new Redis({ host, port, retryStrategy: () => 50, maxRetriesPerRequest: null });
    redis.on("error", () => {});
    return redis;
  });
  const [first] = clients;
  assert(first !== undefined);
  try {
    for (let i = 0; i < 30; i++) assertEquals(await clients[i % 3]?.set(`k${i}`, String(i)), "OK");
    for (let i = 0; i < 30; i++) assertEquals(await clients[(i + 1) % 3]?.get(`k${i}`), String(i));
    assertEquals(await first.dbsize(), 30);
    assertEquals(await first.rename("k1", "k1"), "OK");
    assertEquals(await first.wait(2, 100), 2);
    const nodes = await first.call("LIST_NODES");
    assert(Array.isArray(nodes) && nodes.length === 3);

    // A counter whose primary dies while a client of another node counts.
    const primary = await cluster.primaryOf("counter");
    const counting = clients[(primary + 1) % 3];
    assert(counting !== undefined);
    const replies: number[] = [];
    let failed = 0;
    const crash = (async () => {
      while (replies.length < 50) await new Promise((resolve) => setTimeout(resolve, 5));
      // The client of a dead connection would leave a timer behind when it is told to end.
      const lost = clients[primary];
      if (lost !== undefined) await ended(lost);
      await cluster.crash(primary);
    })();
    for (let i = 0; i < 400; i++) {
      await counting.incr("counter").then((count) => replies.push(count), () => failed++);
    }
    await crash;
    assertEquals(failed, 0, "none of them ended in an error");
    assertEquals(replies, Array.from({ length: 400 }, (_, i) => i + 1), "and each counted once");
  } finally {
    await Promise.all(clients.filter(({ status }) => status !== "end").map(ended));
  }
});

/** Ends a client, and waits until it has. */
async function ended(redis: Redis): Promise<void> {
  const end = new Promise((resolve) => redis.once("end", resolve));
  redis.disconnect();
  await end;
}

/** Runs a program of Redis against a node. */
async function run(program: string, port: number, ...args: string[]): Promise<string> {
  const command = new Deno.Command(program, { args: ["-p", String(port), ...args] });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  assertEquals(code, 0, decoder.decode(stderr));
  return decoder.decode(stdout);
}

Deno.test({
  ...needing("redis-cli and redis-benchmark work unchanged", {
    met: hasRedis("redis-cli") && hasRedis("redis-benchmark"),
    otherwise: "no redis-cli or no redis-benchmark",
  }),
  fn: async () => {
    const node = await startNode();
    const { port } = await node.ready;
    try {
      assertEquals(await run("redis-cli", port, "set", "a b", "c"), "OK\n");
      assertEquals(await run("redis-cli", port, "-3", "get", "a b"), "c\n");
      assertMatch(await run("redis-cli", port, "--scan"), /^a b\n$/);
      assertMatch(await run("redis-cli", port, "-3", "command", "docs", "get"), /summary/);
      assertMatch(await run("redis-cli", port, "info", "server"), /redis_version:7/);
      const tests = "ping_inline,ping_mbulk,set,get,incr,mset";
      const figures = await run(
        "redis-benchmark",
        port,
        "-t",
        tests,
        "-n",
        "2000",
        "-c",
        "10",
        "-P",
        "4",
        "-r",
        "100",
        "--csv",
      );
      assertEquals(figures.trim().split("\n").length, 7, figures);
    } finally {
      await node.crash();
    }
  },
});
