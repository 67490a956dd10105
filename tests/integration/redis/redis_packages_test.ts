/**
 * Packages that people put on Redis, unchanged and in real use, against three nodes of which one is killed half-way.
 * docs/redis.md has the table of what works.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createServer } from "node:http";
import fastifyRateLimit from "@fastify/rate-limit";
import { createAdapter } from "@socket.io/redis-adapter";
import { RedisStore } from "connect-redis";
import fastify from "fastify";
import { RedisPubSub } from "graphql-redis-subscriptions";
import { Redis } from "ioredis";
import { Redis as Valkey } from "iovalkey";
import { RedisStore as RateLimitStore } from "rate-limit-redis";
import { createClient, createSentinel } from "redis";
import { createResumableStreamContext } from "resumable-stream";
import { Server } from "socket.io";
import { createStorage } from "unstorage";
import redisDriver from "unstorage/drivers/redis";
import { TestCluster } from "../../support/worlds/cluster.ts";

const POLL_MS = 20;
const WAIT_BOUND_MS = 60_000;

interface Place {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** A name for the keys of this use. */
  readonly round: string;
}

type Use = (place: Place) => Promise<void>;

/** A promise of what a callback gets. */
function called<T>(
  run: (done: (error: unknown, value?: T) => void) => void,
): Promise<T | undefined> {
  return new Promise((resolve, reject) =>
    run((error, value) => error ? reject(error) : resolve(value ?? undefined))
  );
}

/** Looks again until it is so. */
async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + WAIT_BOUND_MS;
  while (!await look()) {
    if (performance.now() > endMs) throw new Error(`waited ${WAIT_BOUND_MS} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function clientOf(url: string) {
  const client = createClient({ url });
  // What was under way when a node died fails where it was asked.
  client.on("error", () => {});
  return client;
}

async function withClient(
  url: string,
  use: (client: ReturnType<typeof clientOf>) => Promise<void>,
) {
  const client = clientOf(url);
  await client.connect();
  try {
    await use(client);
  } finally {
    client.destroy();
  }
}

const PACKAGES: Record<string, Use> = {
  "iovalkey": async ({ host, port, round }) => {
    const valkey = new Valkey({ host, port });
    try {
      await valkey.set(`valkey ${round}`, "v", "EX", 60);
      const replies = await valkey.multi().incr(`n ${round}`).get(`valkey ${round}`).exec();
      assertEquals(replies, [[null, 1], [null, "v"]]);
      assertEquals(await valkey.eval("return ARGV[1]", 0, "x"), "x");
    } finally {
      valkey.disconnect();
    }
  },

  "connect-redis with express-session": ({ url, round }) =>
    withClient(url, async (client) => {
      const store = new RedisStore({
        client: client as never,
        prefix: `session ${round}:`,
        ttl: 100,
      });
      const session = { cookie: { maxAge: 60_000, originalMaxAge: 60_000 }, user: "ada" };
      await called((done) => store.set("one", session as never, done));
      await called((done) => store.set("two", session as never, done));
      assertEquals(
        (await called<{ user: string }>((done) => store.get("one", done as never)))?.user,
        "ada",
      );
      await called((done) => store.touch("one", session as never, done));
      const ttl = await client.ttl(`session ${round}:one`);
      assert(ttl > 0 && ttl <= 100, `${ttl}`);
      assertEquals(await called<number>((done) => store.length(done as never)), 2);
      const ids = await called<string[]>((done) => store.ids(done as never));
      assertEquals(ids?.toSorted(), ["one", "two"]);
      await called((done) => store.destroy("one", done));
      assertEquals(await called((done) => store.get("one", done as never)), undefined);
      await called((done) => store.clear(done));
      assertEquals(await called<number>((done) => store.length(done as never)) ?? 0, 0);
    }),

  "rate-limit-redis": ({ url, round }) =>
    withClient(url, async (client) => {
      const store = new RateLimitStore({
        sendCommand: (...words: string[]) => client.sendCommand(words) as never,
        prefix: `limit ${round}:`,
      });
      await store.init({ windowMs: 60_000 } as never);
      const hits = await Promise.all(Array.from({ length: 5 }, () => store.increment("ada")));
      assertEquals(hits.map(({ totalHits }) => totalHits).toSorted(), [1, 2, 3, 4, 5]);
      assert((hits[0]?.resetTime?.getTime() ?? 0) > Date.now());
      await store.decrement("ada");
      assertEquals((await store.get("ada"))?.totalHits, 4);
      await store.resetKey("ada");
      assertEquals((await store.increment("ada")).totalHits, 1);
    }),

  "@fastify/rate-limit": async ({ host, port, round }) => {
    const redis = new Redis({ host, port });
    const app = fastify();
    try {
      await app.register(fastifyRateLimit, {
        max: 2,
        timeWindow: "1 minute",
        redis,
        nameSpace: `fastify ${round} `,
      });
      app.get("/", () => Promise.resolve("hello"));
      const codes: number[] = [];
      for (let i = 0; i < 4; i++) codes.push((await app.inject("/")).statusCode);
      assertEquals(codes, [200, 200, 429, 429]);
    } finally {
      await app.close();
      redis.disconnect();
    }
  },

  "unstorage": async ({ url, round }) => {
    const storage = createStorage({ driver: redisDriver({ url, base: `storage ${round}` }) });
    try {
      await storage.setItem("a:b", { n: 1 });
      await storage.setItem("a:c", "text", { ttl: 60 });
      assertEquals(await storage.getItem("a:b"), { n: 1 });
      assertEquals(await storage.hasItem("a:c"), true);
      assertEquals((await storage.getKeys("a")).toSorted(), ["a:b", "a:c"]);
      assertEquals((await storage.getItems(["a:b", "a:c"])).length, 2);
      await storage.removeItem("a:b");
      await storage.clear();
      assertEquals(await storage.getKeys(), []);
    } finally {
      await storage.dispose();
    }
  },

  "graphql-redis-subscriptions": async ({ host, port, round }) => {
    const pubsub = new RedisPubSub({ connection: { host, port } });
    try {
      const heard: unknown[] = [];
      const both = Promise.withResolvers<void>();
      await pubsub.subscribe(`news ${round}`, (news: unknown) => {
        heard.push(news);
        if (heard.length === 2) both.resolve();
      });
      await pubsub.publish(`news ${round}`, { title: "one" });
      await pubsub.publish(`news ${round}`, { title: "two" });
      await both.promise;
      assertEquals(heard, [{ title: "one" }, { title: "two" }]);
    } finally {
      await pubsub.close();
    }
  },

  "@socket.io/redis-adapter": async ({ host, port }) => {
    const clients = Array.from({ length: 4 }, () => new Redis({ host, port }));
    const servers = [0, 2].map((i) => {
      const server = new Server(createServer());
      server.adapter(createAdapter(clients[i], clients[i + 1]));
      return server;
    });
    try {
      const [one, two] = servers as [Server, Server];
      two.on("hello", (name: string, reply: (text: string) => void) => reply(`hello ${name}`));
      const adapter = one.of("/").adapter as unknown as { serverCount(): Promise<number> };
      // It does not tell when it has subscribed.
      const ask = () =>
        new Promise<unknown>((resolve) =>
          one.serverSideEmit(
            "hello",
            "ada",
            (error: unknown, replies: unknown) => resolve(error ? undefined : replies),
          )
        );
      await until("both servers", async () => await adapter.serverCount() === 2);
      let replies: unknown;
      await until(
        "an answer",
        async () => Array.isArray(replies = await ask()) && replies.length > 0,
      );
      assertEquals(replies, ["hello ada"]);
    } finally {
      for (const server of servers) await server.close();
      for (const client of clients) client.disconnect();
    }
  },

  "resumable-stream": async ({ url, round }) => {
    const [publisher, subscriber] = [clientOf(url), clientOf(url)];
    for (const client of [publisher, subscriber]) await client.connect();
    const waiting: Promise<unknown>[] = [];
    const streams = createResumableStreamContext({
      waitUntil: (promise) => void waiting.push(promise),
      publisher: publisher as never,
      subscriber: subscriber as never,
      keyPrefix: `stream ${round}`,
    });
    try {
      const gate = Promise.withResolvers<void>();
      const source = new ReadableStream<string>({
        async start(controller) {
          controller.enqueue("one ");
          await gate.promise;
          controller.enqueue("two");
          controller.close();
        },
      });
      const first = await streams.resumableStream("id", () => source);
      const reader = first?.getReader();
      assertEquals((await reader?.read())?.value, "one ");
      const again = await streams.resumeExistingStream("id");
      assert(again instanceof ReadableStream);
      gate.resolve();
      let text = "";
      for await (const piece of again) text += piece;
      assertEquals(text, "one two");
      assertEquals((await reader?.read())?.value, "two");
      await reader?.cancel();
      await Promise.all(waiting);
    } finally {
      // It still tells that the stream has ended.
      for (const client of [publisher, subscriber]) await client.close();
    }
  },
};

Deno.test("packages on Redis do what they promise, and go on when a node has been killed", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  const { host, port } = cluster.nodeAddress(1);
  const place = { host, port, url: `redis://${host}:${port}` };
  for (const [name, use] of Object.entries(PACKAGES)) {
    await t.step(name, () => use({ ...place, round: "before" }));
  }
  const sentinel = createSentinel({
    name: "any",
    sentinelRootNodes: [0, 1, 2].map((i) => ({ ...cluster.nodeAddress(i) })),
  });
  sentinel.on("error", () => {});
  await sentinel.connect();
  assertEquals(await sentinel.set("by sentinel", "before"), "OK");
  await cluster.crash(0);
  await t.step("redis, createSentinel: goes on at another node", async () => {
    await cluster.poll("a write", async () => await sentinel.set("by sentinel", "after"));
    assertEquals(await sentinel.get("by sentinel"), "after");
    sentinel.destroy();
  });
  await cluster.waitFor(
    "two nodes",
    ({ nodes }) => nodes.filter(({ state }) => state === "up").length === 2,
  );
  for (const [name, use] of Object.entries(PACKAGES)) {
    await t.step(`${name}, after`, () => use({ ...place, round: "after" }));
  }
});
