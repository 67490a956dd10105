/**
 * @valkey/valkey-glide, unchanged: a client whose work is done by native code, which comes as a package for each
 * platform. Alone and in cluster mode, against three nodes of which one is killed.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { needing } from "../../support/needs.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

/** Undefined if its native part is not there for this platform. */
const GLIDE = await import("@valkey/valkey-glide").catch(() => undefined);

const NATIVE = { met: GLIDE !== undefined, otherwise: "no native part of valkey-glide" };

Deno.test({
  ...needing(
    "valkey-glide: values, expiry, batches, scripts, messages; both modes go on when a node is killed",
    NATIVE,
  ),
  fn: async () => {
    assert(GLIDE !== undefined);
    const { Batch, GlideClient, GlideClusterClient, ProtocolVersion, Script, TimeUnit } = GLIDE;
    await using cluster = await TestCluster.start({ nodes: 3 });
    const addresses = [0, 1, 2].map((i) => cluster.nodeAddress(i));
    const options = { addresses, requestTimeout: 5_000, clientName: "glide" };
    const [, second] = addresses;
    assert(second !== undefined);
    const one = await GlideClient.createClient({ ...options, addresses: [second] });
    const all = await GlideClusterClient.createClient(options);
    const heard = Promise.withResolvers<string>();
    const listener = await GlideClient.createClient({
      addresses: [second],
      protocol: ProtocolVersion.RESP3,
      pubsubSubscriptions: {
        channelsAndPatterns: {
          // 0: names, not patterns.
          0: new Set(["news"]),
        },
        callback: ({ message }) => heard.resolve(String(message)),
      },
    });
    try {
      const use = async (round: string) => {
        const key = (name: string) => `${round} ${name}`;
        assertEquals(
          await one.set(key("a"), "1", { expiry: { type: TimeUnit.Seconds, count: 100 } }),
          "OK",
        );
        assertEquals(await all.get(key("a")), "1");
        assert(await one.ttl(key("a")) > 0);
        assertEquals(await all.incrBy(key("a"), 5), 6);
        assertEquals(await all.mset({ [key("b")]: "x", [key("c")]: "y" }), "OK");
        assertEquals(await one.mget([key("b"), key("c"), key("none")]), ["x", "y", null]);
        const batch = new Batch(true).set(key("d"), "1").incr(key("d")).get(key("d"));
        assertEquals(await one.exec(batch, true), ["OK", 2, "2"]);
        const script = new Script("return redis.call('append', KEYS[1], ARGV[1])");
        assertEquals(await all.invokeScript(script, { keys: [key("b")], args: ["yz"] }), 3);
        script.release();
        const [, keys] = await one.scan("0", { match: `${round} *`, count: 1_000 });
        assertEquals(keys.length, 4);
        assertEquals(await one.del([key("b"), key("c")]), 2);
      };
      await use("before");
      await one.publish("hello", "news");
      assertEquals(await heard.promise, "hello");
      await cluster.crash(0);
      await cluster.waitFor(
        "two nodes",
        ({ nodes }) => nodes.filter(({ state }) => state === "up").length === 2,
      );
      // What was on its way to the dead node fails, as with Redis, and so does what is asked before the client in cluster
      // mode has seen where that node's slots are now.
      let round = 0;
      await cluster.poll("both clients go on", async () => {
        await use(`after ${++round}`);
        return true;
      });
    } finally {
      for (const client of [one, all, listener]) client.close();
    }
  },
});
