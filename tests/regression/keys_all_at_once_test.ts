/**
 * What a replica lacked of the recent writes was sent to it all at once, however much that was. Found by a
 * review.
 */
import { assert } from "@std/assert";
import { RESYNC_CHUNK_BYTES } from "../../shared/limits/replication.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a learner has one piece under way at a time, also of the recent writes", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "1"));
  await cluster.run(3_000);
  cluster.crash("n2");
  cluster.fail("n2");
  const value = "x".repeat(1 << 20);
  for (let i = 0; i < 40; i++) cluster.node("n1").execute(put(`k${i}`, value), () => {});
  await cluster.run(1_000);
  await cluster.start("n2");
  cluster.network.delayMs = 100;
  cluster.addLearner("n2");
  let most = 0;
  for (let i = 0; i < 150; i++) {
    await cluster.run(10);
    const [peer] = cluster.node("n1").stats().peers as { queued_bytes: number }[];
    most = Math.max(most, peer?.queued_bytes ?? 0);
  }
  assert(most < 8 * RESYNC_CHUNK_BYTES + (2 << 20), `${most} bytes were queued`);
});
