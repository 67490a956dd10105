/**
 * `minInSync` was looked at when a write was taken, not when it was committed: a write whose replicas left the
 * set meanwhile was acknowledged with too few of them. Found by a review.
 */
import { assertEquals } from "@std/assert";
import type { Reply } from "../../shared/wire/messages.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a write whose replicas leave the set is not acknowledged with too few of them", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "0"));
  const { map } = cluster;
  cluster.map = { ...map, epoch: map.epoch + 1, settings: { ...map.settings, minInSync: 2 } };
  await cluster.run(1_000);
  cluster.network.cut("n1", "n2");
  let reply: Reply | undefined;
  cluster.node("n1").execute({ ...put("k", "1"), timeout_ms: 60_000 }, (is) => reply = is);
  await cluster.run(100);
  assertEquals(reply, undefined);
  cluster.fail("n2");
  await cluster.run(1_000);
  assertEquals(reply?.req_type === "error" ? reply.code : reply, "outcome_unknown");
  const read = await cluster.ask("n1", get("k"));
  assertEquals(read.req_type === "data" ? read.message : read, "1");
});
