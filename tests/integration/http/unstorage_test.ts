/**
 * npm's unstorage with its `http` driver, unchanged, against three nodes of which one is killed. The `redis` driver is in
 * `tests/integration/redis/`.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createStorage } from "unstorage";
import http from "unstorage/drivers/http";
import { TestCluster } from "../../support/worlds/cluster.ts";

async function use(base: string): Promise<void> {
  const storage = createStorage({ driver: http({ base }) });
  await storage.setItem("a:b", { n: 1 });
  await storage.setItem("a:größe", "text", { ttl: 60 });
  await storage.setItemRaw("a:bytes", Uint8Array.of(0, 255));
  assertEquals(await storage.getItem("a:b"), { n: 1 });
  assertEquals(await storage.getItem("a:größe"), "text");
  assertEquals(await storage.getItem("none"), null);
  const raw = await storage.getItemRaw("a:bytes");
  assertEquals(new Uint8Array(raw as ArrayBuffer), Uint8Array.of(0, 255));
  assertEquals(await storage.getItemRaw("none") ?? null, null);
  assertEquals([await storage.hasItem("a:b"), await storage.hasItem("a:c")], [true, false]);
  const { ttl, mtime } = await storage.getMeta("a:größe");
  assert(Number(ttl) > 0 && Number(ttl) <= 60, `${ttl}`);
  assert(Math.abs(Number(mtime) - Date.now()) < 60_000, `${mtime}`);
  assertEquals((await storage.getKeys("a")).toSorted(), ["a:b", "a:bytes", "a:größe"]);
  assertEquals((await storage.getItems(["a:b", "none"])).map(({ value }) => value), [
    { n: 1 },
    null,
  ]);
  await storage.removeItem("a:b");
  await storage.removeItem("a:b");
  assertEquals(await storage.getItem("a:b"), null);
  await storage.setItem("b:c", 1);
  assertEquals((await storage.getKeys()).toSorted(), ["a:bytes", "a:größe", "b:c"]);
  await storage.clear();
  assertEquals(await storage.getKeys(), []);
  await storage.dispose();
}

Deno.test("unstorage over HTTP: items, bytes, times to live, and a node that dies", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  const { host, port } = cluster.nodeHttpAddress(1);
  await using kv = await cluster.connect();
  await kv.createDatabase("cache");
  const bases = ["storage", "storage/", "db/cache/storage"].map((path) =>
    `http://${host}:${port}/${path}`
  );
  for (const base of bases) await use(base);
  const storage = createStorage({ driver: http({ base: bases[0] ?? "" }) });
  await storage.setItem("kept", "before");
  assertEquals(await kv.getText("kept"), "before");
  await storage.removeItem("kept");
  await cluster.crash(0);
  await cluster.waitFor(
    "two nodes",
    ({ nodes }) => nodes.filter(({ state }) => state === "up").length === 2,
  );
  for (const base of bases) await use(base);
});
