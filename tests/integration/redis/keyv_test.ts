/**
 * Keyv and cache-manager over a Redis store, as people have them, against three nodes of which one is killed. They write
 * several values by one MULTI, whose keys are in several partitions: that must be stored, and not only said to be.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import KeyvRedis from "@keyv/redis";
import { createCache } from "cache-manager";
import { Keyv } from "keyv";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const NAMES = Array.from({ length: 12 }, (_, i) => `name${i}`);

Deno.test("@keyv/redis and cache-manager: what is written for several keys at once is stored, also when a node has been killed", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  const uri = `redis://${formatAddress(cluster.nodeAddress(1))}`;
  const store = new KeyvRedis(uri);
  const keyv = new Keyv(store, { namespace: "app" });
  const use = async () => {
    const entries = NAMES.map((key, i) => ({ key, value: { i } }));
    await keyv.setMany(entries);
    assertEquals(await keyv.getMany(NAMES), entries.map(({ value }) => value));
    await keyv.deleteMany(NAMES.slice(0, 6));
    assertEquals(
      await keyv.getMany(NAMES),
      entries.map(({ value }, i) => i < 6 ? undefined : value),
    );
    const cache = createCache({ stores: [keyv], ttl: 60_000 });
    await cache.mset(NAMES.map((key, i) => ({ key, value: i })));
    assertEquals(await cache.mget(NAMES), NAMES.map((_, i) => i));
    await cache.mdel(NAMES);
    assertEquals(await cache.mget(NAMES), NAMES.map(() => undefined));
  };
  try {
    await use();
    await cluster.crash(0);
    await cluster.waitFor(
      "two nodes",
      ({ nodes }) => nodes.filter(({ state }) => state === "up").length === 2,
    );
    await use();
  } finally {
    await keyv.disconnect();
  }
});
