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
  ["return 0/0"],
  ["return -1/0"],
  ["return 9223372036854775807"],
  ["return 9223372036854774784"],
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
  ["return (string.gsub(cmsgpack.pack(0), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(127), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(128), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(255), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(256), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(65535), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(65536), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(2^32-1), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(2^32), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(2^53), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(-1), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(-32), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(-33), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(-128), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(-129), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(-32768), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(-32769), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(-2^31), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(-2^31-1), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(-2^53), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(1.5), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(0.1), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(-0.25), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(1e300), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(1/0), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(2^63), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(2^64), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(true), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(false), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(nil), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(''), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack('abc'), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(string.rep('x', 31)), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(string.rep('x', 32)), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(string.rep('x', 256)), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack({}), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack({1, 2, 'x'}), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack({a = 1}), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack({[2] = 2}), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack({[1.5] = 1}), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack({1, nil, 3}), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack({{}, {{}}}), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(1, 'two', {3}), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack({[true] = 1}), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(cmsgpack.pack(cjson.null), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('b', 1), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('B', 255), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('>h', 258), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('<h', 258), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('H', 65535), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('i', -2), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('>I3', 66051), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('i8', 2^40), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('i16', -1), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('l', -1), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('T', 5), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('f', 1.5), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('>d', 0.1), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('s', 'abc'), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('c0', 'abc'), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('c2', 'abc'), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('c', 'abc'), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('!bi', 1, 2), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('!2bi', 1, 2), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('!4bd', 1, 2), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('bxh', 1, 2), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('> h h', 1, 2), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('Bc0', 3, 'abc'), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('h', '12'), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('i', 2.9), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack('i', -2.9), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return (string.gsub(struct.pack(''), '.', function(c) return string.format('%02x', string.byte(c)) end))"],
  ["return {struct.unpack('b', '\\255')}"],
  ["return {struct.unpack('B', '\\255')}"],
  ["return {struct.unpack('>h', '\\255\\254')}"],
  ["return {struct.unpack('<i3', '\\255\\255\\255')}"],
  ["return {struct.unpack('I3', '\\255\\255\\255')}"],
  ["return {struct.unpack('bxc2', '\\1\\0ab')}"],
  ["return {struct.unpack('Bc0', '\\3abcd')}"],
  ["return {struct.unpack('sb', 'abc\\0\\7')}"],
  ["return {struct.unpack('b', 'abc', 3)}"],
  ["return tostring(struct.unpack('d', struct.pack('d', 0.1)))"],
  ["return tostring(struct.unpack('f', struct.pack('f', 0.1)))"],
  ["return {struct.unpack('!bi', struct.pack('!bi', 1, 2))}"],
  ["return {struct.unpack('i16', struct.pack('i16', 77))}"],
  ["return struct.size('!bid')"],
  ["return struct.size('bid')"],
  ["return struct.size('c10 x !4 i')"],
  ["return struct.unpack('i', 'a')"],
  ["return struct.pack('z', 1)"],
  ["return {struct.unpack('bb', 'a')}"],
  ["return {cmsgpack.unpack(cmsgpack.pack(1, 'two', {3, {a = 'x'}}))}"],
  ["return cmsgpack.unpack(cmsgpack.pack({a = {b = 5}})).a.b"],
  ["return tostring(cmsgpack.unpack(cmsgpack.pack(0.1)))"],
  ["return {cmsgpack.unpack_one(cmsgpack.pack(7, 8))}"],
  ["return {cmsgpack.unpack_one(cmsgpack.pack(7, 8), 1)}"],
  ["return {cmsgpack.unpack_limit(cmsgpack.pack(7, 8, 9), 2)}"],
  ["return {cmsgpack.unpack_limit(cmsgpack.pack(7, 8, 9), 2, 1)}"],
  ["return {cmsgpack.unpack_limit(cmsgpack.pack(7, 8, 9), 0)}"],
  ["return {cmsgpack.unpack('')}"],
  ["return cmsgpack.unpack('\\193')"],
  ["return cmsgpack.unpack('\\207\\0\\0\\0\\0\\0\\0\\0\\9')"],
  ["return cmsgpack.unpack('\\208\\128')"],
  ["return cmsgpack.unpack('\\196\\1a')"],
  ["return cmsgpack.unpack('\\220')"],
  ["return {type(cmsgpack.unpack('\\192')), type(cmsgpack.unpack('\\195'))}"],
  ["return bit.tobit(0xffffffff)"],
  ["return bit.tobit(2^40 + 5)"],
  ["return bit.tobit(1.5)"],
  ["return bit.tobit(2.5)"],
  ["return bit.tobit(-1.5)"],
  ["return bit.bnot(0)"],
  ["return bit.band(255, 15, 7)"],
  ["return bit.bor(1, 2, 4)"],
  ["return bit.bxor(7, 2)"],
  ["return bit.lshift(1, 31)"],
  ["return bit.lshift(1, 33)"],
  ["return bit.rshift(-1, 1)"],
  ["return bit.arshift(-8, 1)"],
  ["return bit.rol(0x12345678, 12)"],
  ["return bit.ror(0x12345678, 12)"],
  ["return bit.rol(1, 0)"],
  ["return bit.bswap(0x12345678)"],
  ["return bit.tohex(255)"],
  ["return bit.tohex(255, 2)"],
  ["return bit.tohex(255, -4)"],
  ["return bit.tohex(-1)"],
  ["return bit.tohex(1, 20)"],
  ["return bit.band('7', 3)"],
  ["return bit.band({})"],
  ["return cjson.encode({[1] = 1, [3] = 3})"],
  ["return cjson.encode({[1] = 1, [10] = 3})"],
  ["return cjson.encode({[1] = 1, [11] = 3})"],
  ["return cjson.encode({[1] = 1, [2] = 2, [3] = 3, [4] = 4, [5] = 5, [6] = 6, [12] = 12})"],
  ["return cjson.encode({[1] = 1, a = 2})"],
  ["return cjson.encode({[2] = 1, [1.5] = 2})"],
  ["return cjson.encode('a/b\\127\\31\\0\\\\')"],
  ["local t = {} t[1] = t return cjson.encode(t)"],
  ["return redis.error_reply()"],
  ["return redis.status_reply('a', 'b')"],
  ["return redis.status_reply(1)"],
  ["return redis.error_reply('-X y')"],
  ["return redis.call()"],
  ["error()"],
  ["error({err = 'MY own'})"],
  ["foo = 1"],
  ["return foo"],
  ["#!lua\nreturn 1"],
  ["#!lua  flags=no-writes,allow-stale\nreturn redis.call('get', KEYS[1])", "1", "n"],
  ["#!lua flags=no-writes\nreturn redis.call('set', KEYS[1], 1)", "1", "n"],
  ["#!lua flags=\nreturn redis.call('set', KEYS[1], 1)", "1", "n"],
  ["#!lua flags=allow-oom,nope\nreturn 1"],
  ["#!lua name=x\nreturn 1"],
  ["#!python\nreturn 1"],
  ["#!lua"],
  ["#!"],
  ["#! lua\nreturn 1"],
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
        "local n = redis.call('incr', KEYS[1]) if n > tonumber(ARGV[1]) then error({err = 'FULL no more'}) end return n",
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

/** Moves an amount from one account to another, once for each name of a transfer. */
const TRANSFER = `
  if redis.call('set', KEYS[3], 1, 'NX') == false then return redis.error_reply('AGAIN') end
  redis.call('incrby', KEYS[1], -ARGV[1])
  return redis.call('incrby', KEYS[2], ARGV[1])`;

Deno.test("scripts in a secured cluster have the rights of whoever calls them, and happen as a whole while a node dies in the middle of them", async () => {
  await using cluster = await TestCluster.start({ nodes: 3, secured: true });
  const alice = { user: "alice", password: "correct horse" };
  const grant = (right: string, prefix: string) => ({ database: "default", prefix, right });
  const grants = [grant("read", "app:"), grant("write", "app:"), grant("read", "price:")];
  await cluster.order({ req_type: "role_set", role: "app", grants });
  await cluster.order({ req_type: "user_add", ...alice, roles: ["app"] });
  await using kv = await cluster.connect();
  await kv.put("price:tea", "3");
  await kv.put("secret", "x");
  const { ca = "" } = cluster.credentials ?? {};
  const open = (i: number) => {
    const { host, port } = cluster.nodeAddress(i);
    const client = new Redis({
      host,
      port,
      username: alice.user,
      password: alice.password,
      tls: { ca },
      maxRetriesPerRequest: 0,
      enableReadyCheck: false,
      retryStrategy: () => 100,
    });
    client.on("error", () => {});
    return client;
  };
  const clients = [open(1), open(2)];
  const [one, two] = clients as [Redis, Redis];
  try {
    const buy = "return redis.call('incrby', KEYS[2], redis.call('get', KEYS[1]))";
    await cluster.poll(
      "alice is known at both nodes",
      () =>
        Promise.all(clients.map((client) => client.eval(buy, 2, "price:tea", "app:paid"))).catch(
          () => undefined,
        ),
    );
    assertEquals(Number(await kv.getText("app:paid")) % 3, 0);
    const sha1 = await one.script("LOAD", buy) as string;
    assert(Number(await one.evalsha(sha1, 2, "price:tea", "app:paid")) > 0);
    const refused: [script: string, ...keys: string[]][] = [
      ["return redis.call('set', KEYS[1], 0)", "price:tea"],
      ["return redis.call('get', KEYS[1])", "secret"],
      // It need not touch what it may not read.
      ["return redis.call('get', KEYS[1])", "app:paid", "secret"],
      ["return redis.call('get', 'secret')", "app:paid"],
      ["return redis.call('flushall')", "app:paid"],
      ["return redis.call('acl', 'list')", "app:paid"],
    ];
    for (const [script, ...keys] of refused) {
      await assertRejects(() => one.eval(script, keys.length, ...keys), Error, "", script);
    }
    await assertRejects(() => one.call("CLIENT", "PAUSE", "1000"), Error, "NOPERM");
    assertEquals([await kv.getText("price:tea"), await kv.getText("secret")], ["3", "x"]);

    const accounts = ["app:a", "app:b", "app:c", "app:d"];
    for (const account of accounts) await one.set(account, 100);
    const done: string[] = [];
    let sent = 0;
    let crash: Promise<void> | undefined;
    const go = async (client: Redis) => {
      while (done.length < 60) {
        const name = `app:transfer:${sent++}`;
        const from = sent % 4;
        const [a = "", b = ""] = [accounts[from], accounts[(from + 1 + sent % 3) % 4]];
        try {
          await client.eval(TRANSFER, 3, a, b, name, 1 + sent % 5);
          done.push(name);
          // The others' are under way.
          if (done.length >= 20) crash ??= cluster.crash(0);
        } catch (error) {
          // It has happened or not; which of both is seen below.
          assert(error instanceof Error);
        }
      }
    };
    await Promise.all([go(one), go(one), go(two), go(two)]);
    await crash;
    const left = await one.mget(...accounts);
    assertEquals(left.reduce((sum, amount) => sum + Number(amount), 0), 400, `${left}`);
    const kept = await one.mget(...done);
    assert(kept.every((value) => value === "1"), "what was acknowledged has happened");
    await assertRejects(
      () => two.eval(TRANSFER, 3, "app:a", "app:b", done[0] ?? "", 1),
      Error,
      "AGAIN",
    );

    await cluster.order({ req_type: "role_set", role: "app", grants: [grant("read", "app:")] });
    await cluster.poll("alice may write no more", async () => {
      const refusal = await two.eval("return redis.call('incr', KEYS[1])", 1, "app:e").catch(
        String,
      );
      return String(refusal).includes("NOPERM") || undefined;
    });
  } finally {
    for (const client of clients) client.disconnect();
  }
});

Deno.test("the worker's bundle is that of its sources; else: deno task scripts:worker", async () => {
  assertEquals(await hashOfBundle(), await hashOfSources());
});
