/**
 * A transfer of a whole partition that broke began anew. So a replica was never filled if its connection broke more often
 * than a transfer takes. Now the replica keeps what is filled, and is sent the rest.
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { RESYNC_CHUNK_ROWS } from "../../shared/limits/replication.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

const KEYS = 20 * RESYNC_CHUNK_ROWS;

Deno.test("a transfer that breaks goes on in the middle, over a new connection and in a new process", async () => {
  const cluster = new NodeCluster({ nodes: 3, replicas: 2 });
  await cluster.startAll();
  for (let i = 0; i < KEYS; i++) cluster.node("n1").execute(put(`k${i}`, "v"), () => {});
  await cluster.run(200);
  cluster.addLearner("n3");
  const filled = () => cluster.host("n3").node?.partition(0)?.store.state.filled?.upto ?? "";
  /** Until more than this is filled. */
  const filledBeyond = async (key: string) => {
    for (let waited = 0; filled() <= key; waited++) {
      assertLess(waited, 5_000, "it is filled further");
      await cluster.run(1);
    }
    return filled();
  };
  const first = await filledBeyond("");
  cluster.network.reset("n1", "n3");
  const second = await filledBeyond(first);
  assert(second > first);
  // What changes meanwhile comes too.
  cluster.crash("n3");
  await cluster.ask("n1", put("k0", "later"));
  await cluster.ask("n1", { req_type: "delete", key: "k1" });
  await cluster.ask("n1", { req_type: "delete", key: "k999" });
  await cluster.start("n3");
  await cluster.run(50);
  assert(filled() >= second, "its disk has what was filled");
  await cluster.run(5_000);
  assertEquals(cluster.config(0).inSync, ["n1", "n2", "n3"]);
  assertEquals(await cluster.contents("n3"), await cluster.contents("n1"));
  const stats = cluster.node("n1").stats();
  assertEquals([stats.resynced_resumed, stats.resynced_full], [1, 0]);
  const sent = stats.resynced_entries as number;
  assertLess(sent, KEYS - RESYNC_CHUNK_ROWS, `${sent} entries were sent in the last stream`);
});
