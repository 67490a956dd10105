/**
 * A machine was replaced: its node was killed, its folder was gone, and a new node was started at its address. The
 * old id stayed `down` for an hour: the cluster's health was degraded and `ping` ended with 4.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { TestCluster } from "../support/worlds/cluster.ts";

Deno.test("a node that was replaced at its address is let go, another one by forget-node", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await using kv = await cluster.connect();
  await kv.put("k", "1");
  const before = (await cluster.map()).nodes;
  const { port } = cluster.nodeAddress(0);
  const old = before.find((node) => node.port === port)?.id ?? "";
  const refused = await cluster.client("forget-node", old);
  assertEquals(refused.code, 2);
  assertStringIncludes(refused.stderr, `forget_node: node ${old} (`);
  assertStringIncludes(refused.stderr, "is up");

  await cluster.crash(0);
  await Deno.remove(cluster.nodeFolder(0), { recursive: true });
  await cluster.restart(0);
  await cluster.waitFor("the old id is gone", ({ nodes }) => !nodes.some(({ id }) => id === old));
  const { nodes } = await cluster.whole({ nodes: 3 });
  assertEquals(nodes.length, 3);
  assertEquals(nodes.filter(({ id }) => before.some((was) => was.id === id)).length, 2);
  assertEquals((await cluster.client("ping")).code, 0);

  // One that nobody replaces goes by an order.
  await cluster.crash(1);
  const left = await cluster.waitFor(
    "a node is down",
    (map) => map.nodes.some(({ state }) => state === "down"),
  );
  const gone = left.nodes.find(({ state }) => state === "down")?.id ?? "";
  assertEquals((await cluster.client("ping")).code, 4);
  const forgotten = await cluster.client("forget-node", gone);
  assertEquals([forgotten.code, forgotten.stdout], [0, `node ${gone} is forgotten\n`]);
  assertEquals((await cluster.client("ping")).code, 0);

  // It comes back on its folder: as a new node, which is brought level.
  await cluster.restart(1);
  await cluster.whole({ nodes: 3 });
  assertEquals(await kv.getText("k"), "1");
});
