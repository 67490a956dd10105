/**
 * A batch that a replica had written before it was resynced back to a lower seq counted, when it was on disk at
 * last, as if it told of the writes of the primary that this node was by then: committed beyond its last seq,
 * it answered no write. Found by a review.
 */
import { assert, assertEquals, assertExists } from "@std/assert";
import type { Reply } from "../../shared/wire/messages.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a slow disk's batch of before does not count for the writes of a new primary", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  const { storage } = cluster.host("n3");
  const write = storage.write.bind(storage);
  let stalled = false;
  const held: (() => void)[] = [];
  storage.write = (changes, sync, done) => {
    if (stalled) held.push(() => write(changes, sync, done));
    else write(changes, sync, done);
  };
  const unstall = () => {
    stalled = false;
    for (const go of held.splice(0)) go();
  };
  await cluster.startAll();
  await cluster.ask("n1", put("a", "1"));
  await cluster.run(3_000);
  // n3 takes a hundred writes that n2 does not see, and its disk takes its time with them.
  cluster.network.cut("n1", "n2");
  stalled = true;
  for (let i = 0; i < 100; i++) cluster.node("n1").execute(put(`s${i}`, "x"), () => {});
  await cluster.run(50);
  cluster.crash("n1");
  cluster.fail("n1");
  await cluster.run(50);
  // It was made equal to n2, which dies in its turn.
  const store = cluster.node("n3").partition(0)?.store;
  assertExists(store);
  assertEquals(store.state.lastSeq, 1);
  cluster.crash("n2");
  cluster.fail("n2");
  await cluster.run(50);
  unstall();
  await cluster.run(3_000);
  const { commitSeq, lastSeq } = store.state;
  let answer: Reply | undefined;
  cluster.node("n3").execute(put("b", "2"), (reply) => answer = reply);
  await cluster.run(1_000);
  assert(
    commitSeq <= lastSeq,
    `committed up to ${commitSeq}, of ${lastSeq}; a write then: ${JSON.stringify(answer)}`,
  );
  assertEquals(answer?.req_type, "ack");
});
