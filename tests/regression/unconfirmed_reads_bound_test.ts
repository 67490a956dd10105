/**
 * Reads that waited for a confirmation were bounded by the round: each that failed made room for as many again,
 * so that they came to everything that a node has for requests. Found by a review.
 */
import { assert, assertEquals } from "@std/assert";
import { WAITING_REQUESTS_MAX } from "../../shared/limits/replication.ts";
import type { Reply } from "../../shared/wire/messages.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("reads that nobody confirms are bounded in number over all rounds", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "0"));
  cluster.coordinatorUp = false;
  cluster.network.cut("n1", "n2");
  await cluster.run(3_000);
  const codes: Record<string, number> = {};
  const count = (reply: Reply) => {
    const code = reply.req_type === "error" ? reply.code : reply.req_type;
    codes[code] = (codes[code] ?? 0) + 1;
  };
  const primary = cluster.node("n1").partition(0)?.primary;
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < WAITING_REQUESTS_MAX; i++) {
      cluster.node("n1").execute({ ...get("k"), timeout_ms: 60_000 }, count);
    }
    await cluster.run(1_500);
    assert((primary?.waitingCount ?? 0) <= WAITING_REQUESTS_MAX, `${primary?.waitingCount}`);
  }
  assertEquals(codes, { overloaded: 3 * WAITING_REQUESTS_MAX });
});
