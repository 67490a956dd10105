/**
 * A node that was started again while its coordinator was away followed nobody: configurations come from the
 * coordinator alone. As it is in the in-sync sets, all writes of its partitions waited until the
 * coordinator was back. It keeps the newest map on its disk, which vouches for whom it followed. Found by a review.
 */
import { assert, assertEquals } from "@std/assert";
import type { Reply } from "../../shared/wire/messages.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

const SOON = { timeout_ms: 3_000 };

/** Three nodes, the first of which is the primary of the one partition; then the coordinator goes. */
async function cluster(): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  assertEquals(code(await cluster.ask("n1", put("k", "1"))), "ack");
  cluster.coordinatorUp = false;
  return cluster;
}

function code(reply: Reply): string {
  return reply.req_type === "error" ? reply.code : reply.req_type;
}

Deno.test("a replica that restarts without a coordinator follows the primary that it followed", async () => {
  const world = await cluster();
  world.crash("n2");
  await world.start("n2");
  assertEquals(world.node("n2").map(), undefined);
  assertEquals(code(await world.ask("n1", { ...put("k", "2"), ...SOON })), "ack");
  // The leases are over: this is answered by asking all replicas.
  await world.run(5_000);
  assertEquals(world.node("n1").hasLease, false);
  const read = await world.ask("n1", { ...get("k"), ...SOON });
  assertEquals(read.req_type === "data" && read.message, "2");
  assertEquals(await world.contents("n2"), { k: "2" });
  // It serves nothing by that, and is no primary of anything.
  assertEquals(world.node("n2").hasLease, false);
  for (const consistency of ["strong", "replica"] as const) {
    const reply = await world.ask("n2", { ...get("k"), consistency });
    assertEquals(code(reply), "unavailable");
  }
  world.coordinatorUp = true;
  await world.run(2_000);
  assert(world.node("n2").partition(0)?.isSettled);
  assertEquals(code(await world.ask("n1", put("k", "3"))), "ack");
});

Deno.test("a former primary makes nobody primary by the map that it has kept", async () => {
  const world = await cluster();
  world.crash("n1");
  await world.start("n1");
  await world.run(5_000);
  assertEquals(world.node("n1").partition(0), undefined);
  assertEquals(code(await world.ask("n1", { ...put("k", "2"), ...SOON })), "unavailable");
});

Deno.test("a kept map vouches for nobody but the primary that it names, in that term", async () => {
  const world = await cluster();
  const kept = world.map;
  // The coordinator has gone on, and the replica has not kept what it said.
  world.coordinatorUp = true;
  world.configure(0, { term: 2, primary: "n3" });
  await world.run(1_000);
  assertEquals(code(await world.ask("n3", put("k", "2"))), "ack");
  world.coordinatorUp = false;
  world.crash("n2");
  world.host("n2").keptMap = kept;
  await world.start("n2");
  await world.run(5_000);
  // n3 asks in a later term than the kept map knows. n1, which that names, would not be followed either: the
  // disk tells of a later term.
  assertEquals(world.node("n2").partition(0), undefined);
  world.coordinatorUp = true;
  await world.run(1_000);
  assertEquals(code(await world.ask("n3", put("k", "3"))), "ack");
});

Deno.test("a replica whose disk is of a later term than the map that it has kept follows nobody by that", async () => {
  const world = await cluster();
  const kept = world.map;
  world.coordinatorUp = true;
  // The former primary hears nothing of it, and goes on as one that is cut off would.
  world.host("n1").reachable = false;
  world.configure(0, { term: 2, primary: "n3", inSync: ["n2", "n3"] });
  await world.run(1_000);
  assertEquals(code(await world.ask("n3", put("k", "2"))), "ack");
  world.coordinatorUp = false;
  for (const id of ["n2", "n3"]) {
    world.crash(id);
    world.host(id).keptMap = kept;
    await world.start(id);
  }
  const written = await world.ask("n1", { ...put("k", "lost"), ...SOON });
  assertEquals(code(written), "outcome_unknown");
  assertEquals([world.node("n2").partition(0), world.node("n3").partition(0)], [
    undefined,
    undefined,
  ]);
});

Deno.test("a replica that was damaged when it was opened waits for the coordinator", async () => {
  const world = await cluster();
  world.crash("n2");
  const node = await world.start("n2", { damaged: true });
  await world.run(5_000);
  assertEquals(node.partition(0), undefined);
});
