/**
 * `--force` onto a node whose replica was just being deleted made a primary over half-deleted rows: reads said
 * "no such key" and writes `internal`. Found by a review (suspect S15).
 */
import { assertEquals } from "@std/assert";
import { KvError } from "../../shared/base/errors.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a replica that is being deleted becomes primary when that is done, with nothing", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  for (let i = 0; i < 10; i++) await cluster.ask("n1", put(`k${i}`, "x"));
  const { storage } = cluster.host("n2");
  const range = storage.range.bind(storage);
  storage.range = () => Promise.reject(new KvError("storage_failed", "not now"));
  cluster.node("n2").partition(0)?.onReadFailed("test", new KvError("corrupt", "a test says so"));
  await cluster.run(2_000);
  assertEquals(cluster.config(0), { term: 2, primary: "n1", inSync: ["n1"], learners: ["n2"] });
  assertEquals(cluster.node("n2").partition(0)?.store.isClearing, true);
  cluster.crash("n1");
  cluster.configure(0, { term: 3, primary: "n2", inSync: ["n2"], learners: [] });
  await cluster.run(2_000);
  const refused = await cluster.ask("n2", get("k1"));
  assertEquals(refused.req_type === "error" && refused.code, "unavailable");
  storage.range = range;
  await cluster.run(10_000);
  const gone = await cluster.ask("n2", get("k1"));
  assertEquals(gone.req_type === "error" && gone.code, "not_found");
  assertEquals((await cluster.ask("n2", put("k1", "y"))).req_type, "ack");
});
