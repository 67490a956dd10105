/**
 * A replica in sync that was sent everything took it piece by piece, and might be made primary in between:
 * with one half of a transaction. Found by a review.
 */
import { assert, assertEquals } from "@std/assert";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a transaction is there as a whole or not at all, whoever takes over in the middle of a resync", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  const n1 = cluster.node("n1");
  for (let i = 0; i < 4_000; i++) n1.execute(put(`k${i}`, "v"), () => {});
  await cluster.run(2_000);
  // n2 is slow for a moment, n3 is not.
  cluster.network.cut("n1", "n2");
  for (let i = 0; i < 5_000; i++) n1.execute(put(`s${i}`, "v"), () => {});
  n1.execute({
    req_type: "transaction",
    key: "a1",
    requests: [put("a1", "1"), put("z1", "1")],
  }, () => {});
  await cluster.run(100);
  const before = await cluster.contents("n3");
  assert(before.a1 === "1" && before.z1 === "1");
  cluster.crash("n1");
  cluster.fail("n1");
  for (let i = 0; i < 1_000; i++) {
    await cluster.run(1);
    if (cluster.node("n3").partition(0)?.store.get("a1") === undefined) break;
  }
  cluster.crash("n2");
  cluster.fail("n2");
  await cluster.run(100);
  const replies = [await cluster.ask("n3", get("a1")), await cluster.ask("n3", get("z1"))];
  const codes = replies.map((reply) => reply.req_type === "error" ? reply.code : reply.req_type);
  assertEquals(codes, [codes[0], codes[0]]);
});
