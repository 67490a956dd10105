/**
 * A replica in the set that answered every question, and then refused the stream each time, was never
 * reported: each answer counted as progress. Writes of its partition waited for it for ever, while
 * everything looked well. Found by an entry that replicas could not read (its expiry was too far away).
 */
import { assert, assertEquals } from "@std/assert";
import { KvError } from "../../shared/base/errors.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a replica that refuses whatever it is sent is reported, though it answers", async () => {
  const cluster = new NodeCluster({ nodes: 2, replicas: 2 });
  await cluster.startAll();
  for (let i = 0; i < 10; i++) await cluster.ask("n1", put(`k${i}`, "x"));
  // After a restart the replica must read its disk to take a write.
  cluster.crash("n2");
  await cluster.start("n2");
  await cluster.run(1_000);
  cluster.reports.length = 0;
  const { storage } = cluster.host("n2");
  let refusals = 0;
  storage.get = () => {
    refusals++;
    throw new KvError("storage_failed", "an error of the disk");
  };
  const reply = await cluster.ask("n1", put("k1", "y"));
  assert(refusals > 1, `${refusals} refusals`);
  // It is dropped from the set, and the write is answered.
  assertEquals(reply.req_type, "ack");
  assert(cluster.reports.some((report) => report.req_type === "lagging" && report.node === "n2"));
  assertEquals(cluster.config(0).inSync, ["n1"]);
});
