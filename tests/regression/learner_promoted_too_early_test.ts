/**
 * A learner was reported as caught up when it had acknowledged the end of its resync, although a
 * write that was committed without it meanwhile was still on its way to its disk. Made in-sync, it
 * lacked an acknowledged write. Found by the simulation (seed 15).
 */
import { assert, assertEquals } from "@std/assert";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a learner is reported when all that is committed is on its disk", async () => {
  const cluster = new NodeCluster({ nodes: 2, replicas: 1 });
  await cluster.startAll();
  const primary = cluster.node("n1");
  const coordinator = primary.coordinator;
  let reported = 0;
  primary.coordinator = {
    send(report) {
      if ("req_type" in report && report.req_type === "caught_up") {
        reported++;
        const committed = primary.partition(0)?.store.state.commitSeq ?? 0;
        const there = cluster.node("n2").partition(0)?.store.state.lastSeq ?? 0;
        assert(there >= committed, `${committed} are committed, the learner has ${there}`);
      }
      coordinator?.send(report);
    },
  };
  let acked = 0;
  for (let i = 0; i < 40; i++) {
    if (i === 10) cluster.addLearner("n2");
    primary.execute(put(`k${i}`, "x"), (reply) => {
      if (reply.req_type === "ack") acked++;
    });
    await cluster.run(0.5);
  }
  await cluster.run(100);
  assertEquals([acked, reported > 0], [40, true]);
  assertEquals(cluster.config(0).inSync, ["n1", "n2"]);
});
