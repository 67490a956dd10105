/**
 * A primary reported only replicas that writes wait for. Learners that it could not reach kept all the
 * places for transfers to their node for ever, so that the node was never filled by anybody else either.
 * Found by a review.
 */
import { assertEquals } from "@std/assert";
import { MOVES_PER_NODE_MAX } from "../../shared/limits/membership.ts";
import { LEARNER_TIMEOUT_MS } from "../../shared/limits/replication.ts";
import { idOf, World } from "../support/worlds/membership_world.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a primary reports a learner that it cannot reach", async () => {
  const cluster = new NodeCluster({ nodes: 3, replicas: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "1"));
  cluster.network.cut("n1", "n3");
  cluster.addLearner("n3");
  await cluster.run(LEARNER_TIMEOUT_MS - 1_000);
  assertEquals(cluster.reports, []);
  await cluster.run(2_000);
  assertEquals(cluster.reports.map(({ req_type }) => req_type), ["lagging"]);
});

Deno.test("a node that one primary cannot reach is still filled by the others", () => {
  const partitionCount = 64;
  const isOfA = (p: number) => p < partitionCount / 2;
  const [a, b, c] = [idOf("a"), idOf("b"), idOf("c")];
  let joined = false;
  const world = new World({
    expectNodes: 2,
    settings: { replicationFactor: 2, partitionCount },
    // The first half is a's and the second b's; both get their second replica on c.
    place: (_nodes, count) =>
      Array.from({ length: count }, (_, p) => [isOfA(p) ? a : b, ...(joined ? [c] : [])]),
  });
  const atA = world.start("a");
  const atB = world.start("b");
  world.advance(2_000);
  joined = true;
  world.start("c");
  // Between a and c nothing gets through: b's replicas are brought level, a's are reported in time.
  const sinceMs = new Map<string, number>();
  for (let i = 0; i < 1_200; i++) {
    world.advance(100, 100);
    world.map.partitions.forEach(({ learners: [node], term }, p) => {
      if (node === undefined) return;
      if (!isOfA(p)) return world.report(atB, { req_type: "caught_up", p, term, node });
      const since = sinceMs.get(`${p}/${term}`) ?? world.nowMs;
      sinceMs.set(`${p}/${term}`, since);
      if (world.nowMs - since <= LEARNER_TIMEOUT_MS) return;
      world.report(atA, { req_type: "lagging", p, term, node, reason: "down" });
    });
  }
  const learners = world.map.partitions.filter(({ learners }) => learners.length > 0);
  assertEquals(learners.length <= MOVES_PER_NODE_MAX, true);
  const filled = world.map.partitions.filter(({ inSync }) => inSync.includes(c));
  assertEquals(filled.length, partitionCount / 2);
});
