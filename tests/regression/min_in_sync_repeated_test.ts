/**
 * A write that was committed with fewer replicas than `minInSync` was told to its client as `outcome_unknown`,
 * but acknowledged to the same client's second attempt, which waited for it in its client session. Found by a review.
 */
import { assertEquals } from "@std/assert";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a repeated write is not acknowledged with too few replicas either", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "0"));
  const { map } = cluster;
  cluster.map = { ...map, epoch: map.epoch + 1, settings: { ...map.settings, minInSync: 2 } };
  await cluster.run(1_000);
  cluster.network.cut("n1", "n2");
  const replies: Reply[] = [];
  const request = {
    ...put("k", "1"),
    session: "l",
    request_number: 1,
    timeout_ms: 60_000,
  } as KeyRequest;
  for (const again of [false, true]) {
    cluster.node("n1").execute({ ...request, again } as KeyRequest, (reply) => replies.push(reply));
    await cluster.run(100);
  }
  assertEquals(replies, []);
  cluster.fail("n2");
  await cluster.run(1_000);
  const codes = replies.map((reply) => reply.req_type === "error" ? reply.code : reply.req_type);
  assertEquals(codes, ["outcome_unknown", "outcome_unknown"]);
});
