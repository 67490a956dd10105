/**
 * Scripts beside a real redis-server, and the packages that people use for the scripts in them: a rate limiter and
 * locks, unchanged, against three nodes of which one is killed.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Redis } from "ioredis";
import { RateLimiterRedis } from "rate-limiter-flexible";
import { Mutex } from "redis-semaphore";
import redlock from "redlock";
import { NODE } from "../../../tools/programs.ts";
import { hashOfBundle, hashOfSources } from "../../../tools/scripts_worker.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { hasRedis, RedisServer } from "../../support/clients/redis_server.ts";
import { RespClient } from "../../support/clients/resp_client.ts";
import { needing } from "../../support/needs.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const REDIS = { met: hasRedis("redis-server"), otherwise: "no redis-server 7.0" };

/** Scripts and their keys and arguments; the keys `n` (5) and `text` are there. */
const CASES: readonly (readonly string[])[] = [
  ["return 1"],
  ["return 3.99"],
  ["return -1.5"],
  ["return 'text'"],
  ["return {1, 2, {3, 'x'}, nil, 4}"],
  ["return {true, false, 'x'}"],
  ["return true"],
  ["return nil"],
  ["return {ok = 'FINE'}"],
  ["return {err = 'MY error'}"],
  ["return redis.error_reply('MY error')"],
  ["return redis.error_reply('single')"],
  ["return redis.status_reply('FINE')"],
  ["return {KEYS[1], KEYS[2], ARGV[1], #ARGV}", "2", "a", "b", "c", "d"],
  ["return redis.call('get', KEYS[1])", "1", "n"],
  ["return redis.call('get', KEYS[1])", "1", "nobody"],
  ["return redis.call('incrby', KEYS[1], ARGV[1])", "1", "n", "7"],
  ["return redis.call('incr', KEYS[1])", "1", "text"],
  ["return redis.pcall('incr', KEYS[1])", "1", "text"],
  ["local r = redis.pcall('incr', KEYS[1]) return r.err", "1", "text"],
  ["return {redis.call('set', KEYS[1], 1.5), redis.call('get', KEYS[1])}", "1", "f"],
  ["return {redis.call('set', KEYS[1], 0.1), redis.call('get', KEYS[1])}", "1", "f"],
  ["return {redis.call('set', KEYS[1], 1e20), redis.call('get', KEYS[1])}", "1", "f"],
  ["return {redis.call('set', KEYS[1], 100), redis.call('get', KEYS[1])}", "1", "f"],
  ["return redis.call('mget', KEYS[1], KEYS[2])", "2", "text", "nobody"],
  ["return redis.call('set', KEYS[1], 'x', 'NX')", "1", "text"],
  ["return redis.call('exists', KEYS[1], KEYS[2])", "2", "text", "nobody"],
  ["return {redis.call('set', KEYS[1], 'x', 'EX', 100), redis.call('ttl', KEYS[1])}", "1", "t"],
  ["return redis.call('setrange', KEYS[1], 2, 'abc')", "1", "text"],
  ["return redis.call('append', KEYS[1], 'z')", "1", "text"],
  ["return type(redis.call('get', KEYS[1]))", "1", "nobody"],
  ["return type(redis.call('set', KEYS[1], 1))", "1", "x"],
  ["return redis.call('ping')"],
  ["return redis.call('echo', 'hello')"],
  ["return redis.sha1hex('abc')"],
  ["return string.format('%5.2f|%d|%s', 1.005, 7, 'x')"],
  ["return 10 / 2 .. ''"],
  ["return tostring(0.1 + 0.2)"],
  ["return tonumber('0x10')"],
  ["return tostring(1e15) .. ' ' .. tostring(2^53)"],
  ["return cjson.encode({1, 2, 3})"],
  ["return cjson.encode({a = 1})"],
  ["return cjson.encode({})"],
  ["return cjson.encode('q\"uote')"],
  ["return cjson.encode(1.5)"],
  ["return cjson.encode({[1] = 'a', [2] = 'b'})"],
  ["return cjson.decode('[1, 2, {\"a\": null}]')[3].a == cjson.null"],
  ["return cjson.decode('{\"a\": [1.5, true]}').a[1] * 2"],
  ["return {pcall(error, 'x')}"],
  ["return select('#', unpack({1, 2, 3}))"],
  ["return {tostring(nil), type(redis), type(cjson), type(KEYS)}"],
  ["return table.concat({1, 2, 3}, '-')"],
  ["return #string.rep('ab', 1000)"],
  ["return {math.floor(2.7), math.max(1, 5, 3), 7 % 3, -7 % 3}"],
  ["return loadstring('return 5')()"],
  ["return string.gsub('hello', 'l', 'L')"],
];

/** Errors alike in their first word; and what follows, as far as both say where the script failed. */
function alike(wanted: string, given: string): boolean {
  if (wanted === given) return true;
  return wanted.startsWith("-") && given.startsWith("-") &&
    wanted.split(" ")[0] === given.split(" ")[0];
}

Deno.test({
  ...needing("scripts answer what they answer in redis-server", REDIS),
  fn: async () => {
    await using redis = await RedisServer.start();
    const node = ServerProcess.start(
      NODE,
      ["--port=0", "--http-port=off", "--standalone", "--storage=memory"],
      { detached: false },
    );
    try {
      const { host, port } = await node.ready;
      using theirs = await redis.connect();
      using ours = await RespClient.connect({ hostname: host, port });
      const differences: string[] = [];
      for (const protocol of ["2", "3"]) {
        for (const client of [theirs, ours]) {
          await client.ask(["HELLO", protocol]);
          for (const line of ["FLUSHALL", "SET n 5", "SET text abc"]) await client.ask(line);
        }
        for (const [script = "", count = "0", ...args] of CASES) {
          const command = ["EVAL", script, count, ...args];
          const wanted = await theirs.ask(command);
          const given = await ours.ask(command);
          if (alike(wanted, given)) continue;
          differences.push(
            `${command.join(" ")}\n  redis ${JSON.stringify(wanted)}\n  ours  ${
              JSON.stringify(given)
            }`,
          );
        }
      }
      assertEquals(differences.length, 0, `\n${differences.join("\n")}`);
    } finally {
      await node.crash();
    }
  },
});

Deno.test("rate-limiter-flexible, redis-semaphore and redlock keep their promises, and a node is killed", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  const nodes = [1, 2].map((i) => cluster.nodeAddress(i));
  const clients = nodes.map(({ host, port }) => new Redis({ host, port }));
  const [one, two] = clients as [Redis, Redis];
  try {
    const use = async (round: string) => {
      const limiter = new RateLimiterRedis({
        storeClient: one,
        points: 3,
        duration: 60,
        keyPrefix: round,
      });
      const taken = await Promise.allSettled(
        Array.from({ length: 8 }, () => limiter.consume("ada")),
      );
      assertEquals(taken.filter(({ status }) => status === "fulfilled").length, 3, round);

      const mutexes = clients.map((client) =>
        new Mutex(client, `lock ${round}`, { acquireAttemptsLimit: 1, lockTimeout: 60_000 })
      );
      const got = await Promise.all(mutexes.map((mutex) => mutex.tryAcquire()));
      assertEquals(got.filter(Boolean).length, 1, round);
      await Promise.all(mutexes.map((mutex) => mutex.release()));
      assertEquals(await mutexes[1]?.tryAcquire(), true, round);
      await mutexes[1]?.release();

      const Redlock = (redlock as unknown as { default?: typeof redlock }).default ?? redlock;
      const locks = new Redlock([one as never], { retryCount: 0 });
      const lock = await locks.acquire([`a ${round}`, `b ${round}`], 60_000);
      await assertRejects(() => locks.acquire([`b ${round}`], 60_000));
      const longer = await lock.extend(60_000);
      await longer.release();
      await (await locks.acquire([`b ${round}`], 60_000)).release();
    };
    await use("before");
    await cluster.crash(0);
    await cluster.waitFor(
      "two nodes",
      ({ nodes }) => nodes.filter(({ state }) => state === "up").length === 2,
    );
    await use("after");

    // A script of our own, by its SHA-1, at a node that has not seen it.
    two.defineCommand("countTo", {
      numberOfKeys: 1,
      lua:
        "local n = redis.call('incr', KEYS[1]) if n > tonumber(ARGV[1]) then return redis.error_reply('FULL no more') end return n",
    });
    const countTo = two as unknown as { countTo(key: string, max: number): Promise<number> };
    const counted = await Promise.allSettled(
      Array.from({ length: 30 }, () => countTo.countTo("seats", 20)),
    );
    assertEquals(counted.filter(({ status }) => status === "fulfilled").length, 20);
    assert(
      (await one.get("seats")) === "20",
      "a script that ends with an error has changed nothing",
    );
  } finally {
    for (const client of clients) client.disconnect();
  }
});

Deno.test("the worker's bundle is that of its sources; else: deno task scripts:worker", async () => {
  assertEquals(await hashOfBundle(), await hashOfSources());
});
