/**
 * A request that a node's router tried again at the node itself got its whole time anew: a write whose caller had
 * been told long ago that nobody knows was still made, as late as twice its deadline. Found by a review.
 */
import { assertEquals } from "@std/assert";
import type { Reply } from "../../shared/wire/messages.ts";
import { Router } from "../../shared/routing/router.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a write that is tried again here does not happen after its deadline", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "0"));
  const { clock, random, network } = cluster;
  const node = cluster.node("n2");
  const router = new Router({ clock, random, transport: network.transport("n2") }, {
    role: "client",
    local: { nodeId: "n2", execute: (request, reply) => node.execute(request, reply) },
  });
  router.adopt(cluster.map);
  cluster.crash("n1");
  let reply: Reply | undefined;
  router.execute({ ...put("k", "1"), timeout_ms: 3_000 }, 3_000, (is) => reply = is);
  await cluster.run(2_000);
  // The other replica is gone as well, and the coordinator does not say so for a while.
  network.cut("n2", "n3");
  cluster.fail("n1");
  cluster.coordinatorUp = false;
  router.adopt(cluster.map);
  await cluster.run(1_200);
  assertEquals(reply?.req_type === "error" ? reply.code : reply, "outcome_unknown");
  cluster.coordinatorUp = true;
  await cluster.run(500);
  cluster.fail("n3");
  await cluster.run(1_000);
  const read = await cluster.ask("n2", get("k"));
  assertEquals(read.req_type === "data" ? read.message : read, "0");
  router.close();
});
