/**
 * A primary that had found its data damaged went on to answer reads by its lease, while the
 * coordinator, which had heard of the damage, made another replica primary without waiting for that lease.
 * Found by the simulation (seed 196: "n3 and n2 can both answer strong reads").
 */
import { assertEquals } from "@std/assert";
import { KvError } from "../../shared/base/errors.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a primary that reported damage answers no read by its lease", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  assertEquals((await cluster.ask("n1", put("k", "old"))).req_type, "ack");
  cluster.node("n1").partition(0)?.onReadFailed("test", new KvError("corrupt", "a test says so"));
  // Its report is under way; nothing gets to it any more.
  cluster.host("n1").reachable = false;
  for (const other of ["n2", "n3"]) cluster.network.cut("n1", other);
  await cluster.run(200);
  assertEquals(cluster.config(0).primary, "n2");
  assertEquals((await cluster.ask("n2", put("k", "new"))).req_type, "ack");
  assertEquals(cluster.node("n1").hasLease, true);
  const late = await cluster.ask("n1", { ...get("k"), timeout_ms: 500 });
  assertEquals(late.req_type, "error");
});
