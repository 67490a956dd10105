import { wireForm } from "../../../../shared/wire/wire_form.ts";
import { assert, assertEquals } from "@std/assert";
import { STATE_WRITE_DELAY_MS } from "../../../../shared/limits/storage.ts";
import { get, NodeCluster, put } from "../../../support/worlds/node_cluster.ts";

async function startCluster(
  options: { nodes: number; partitions?: number; replicas?: number },
): Promise<NodeCluster> {
  const cluster = new NodeCluster(options);
  await cluster.startAll();
  return cluster;
}

function value(reply: unknown): unknown {
  return (reply as { message?: unknown }).message;
}

function code(reply: unknown): unknown {
  return (reply as { code?: unknown }).code;
}

Deno.test("replication: a write is on all in-sync replicas before it is acknowledged", async () => {
  const cluster = await startCluster({ nodes: 3 });
  const reply = await cluster.ask("n1", put("a", "1"));
  assertEquals(reply, { req_type: "ack", message: "success", version: 1 });
  for (const id of ["n1", "n2", "n3"]) assertEquals(await cluster.contents(id), { a: "1" });
  assertEquals(value(await cluster.ask("n1", get("a"))), "1");
});

Deno.test("replication: update, create and delete look at the key's newest write", async () => {
  const cluster = await startCluster({ nodes: 2 });
  assertEquals(
    code(await cluster.ask("n1", { req_type: "update", key: "a", value: "x" })),
    "not_found",
  );
  assertEquals(code(await cluster.ask("n1", { req_type: "delete", key: "a" })), "not_found");
  const replies: unknown[] = [];
  const node = cluster.node("n1");
  // All in one turn: each is judged by the writes before it, none of which is committed yet.
  node.execute({ req_type: "create", key: "a", value: "1" }, (r) => replies.push(r.req_type));
  node.execute({ req_type: "create", key: "a", value: "2" }, (r) => replies.push(code(r)));
  node.execute({ req_type: "update", key: "a", value: "3" }, (r) => replies.push(r.req_type));
  node.execute({ req_type: "get", key: "a" }, (r) => replies.push(value(wireForm(r))));
  node.execute({ req_type: "delete", key: "a" }, (r) => replies.push(r.req_type));
  node.execute({ req_type: "get", key: "a" }, (r) => replies.push(code(r)));
  assertEquals(replies, []);
  await cluster.run(100);
  // The writes when they are committed, and then what waited for that.
  assertEquals(replies, ["ack", "ack", "ack", "exists", "3", "not_found"]);
});

Deno.test("replication: another node says who is primary", async () => {
  const cluster = await startCluster({ nodes: 2 });
  const reply = await cluster.ask("n2", put("a", "1"));
  assert(reply.req_type === "error");
  assertEquals(reply.code, "not_primary");
  assertEquals(reply.detail, { partition: 0, primary: "n1", host: "n1", port: 1, epoch: 1 });
});

Deno.test("replication: a replica that is silent is reported, and writes go on without it", async () => {
  const cluster = await startCluster({ nodes: 3 });
  cluster.network.cut("n1", "n3");
  const reply = await cluster.ask("n1", put("a", "1"));
  assertEquals(reply.req_type, "ack");
  assertEquals(cluster.reports[0]?.req_type, "lagging");
  assertEquals(cluster.config(0).inSync, ["n1", "n2"]);
});

Deno.test("replication: the next in-sync replica takes over with every acknowledged write", async () => {
  const cluster = await startCluster({ nodes: 3 });
  for (let i = 0; i < 20; i++) await cluster.ask("n1", put(`k${i}`, `${i}`));
  cluster.crash("n1");
  cluster.fail("n1");
  await cluster.run(50);
  for (let i = 0; i < 20; i++) assertEquals(value(await cluster.ask("n2", get(`k${i}`))), `${i}`);
  assertEquals((await cluster.ask("n2", put("k0", "new"))).req_type, "ack");
  assertEquals((await cluster.contents("n3")).k0, "new");
});

Deno.test("replication: what only a lost primary's replica had is replaced by the new primary's truth", async () => {
  const cluster = await startCluster({ nodes: 3 });
  await cluster.ask("n1", put("a", "old"));
  await cluster.ask("n1", put("gone", "x"));
  await cluster.run(200);
  // n3 gets a write that n2 never sees; it is never acknowledged.
  cluster.network.cut("n1", "n2");
  let answered: unknown;
  cluster.node("n1").execute(put("a", "unseen"), (reply) => answered = reply);
  cluster.node("n1").execute(put("fresh", "unseen"), (reply) => answered = reply);
  await cluster.run(50);
  assertEquals(answered, undefined);
  assertEquals((await cluster.contents("n3")).a, "unseen");
  cluster.crash("n1");
  cluster.fail("n1");
  await cluster.run(100);
  assertEquals(await cluster.contents("n2"), { a: "old", gone: "x" });
  assertEquals(await cluster.contents("n3"), { a: "old", gone: "x" });
  assertEquals(value(await cluster.ask("n2", get("a"))), "old");
});

Deno.test("replication: a replica that comes back gets the difference, not everything", async () => {
  const cluster = await startCluster({ nodes: 3 });
  for (let i = 0; i < 500; i++) cluster.node("n1").execute(put(`k${i}`, "v"), () => {});
  // Long enough for the commit seq to be on disk as well, which takes its time.
  await cluster.run(2 * STATE_WRITE_DELAY_MS);
  cluster.crash("n3");
  cluster.fail("n3");
  await cluster.ask("n1", put("k7", "later"));
  await cluster.ask("n1", { req_type: "delete", key: "k8" });
  await cluster.start("n3");
  cluster.addLearner("n3");
  await cluster.run(500);
  assertEquals(cluster.config(0).inSync, ["n1", "n2", "n3"]);
  assertEquals(await cluster.contents("n3"), await cluster.contents("n1"));
  const sent = cluster.node("n1").stats().resynced_entries as number;
  // Besides the two that it missed, at most those that came after the commit seq on its disk.
  assert(sent < 20, `${sent} entries were sent`);
});

Deno.test("replication: an empty replica is filled while writes go on", async () => {
  const cluster = await startCluster({ nodes: 3, replicas: 2 });
  for (let i = 0; i < 5_000; i++) cluster.node("n1").execute(put(`k${i}`, "v"), () => {});
  await cluster.run(200);
  cluster.addLearner("n3");
  for (let i = 0; i < 200; i++) {
    cluster.node("n1").execute(put(`k${i * 7}`, `w${i}`), () => {});
    await cluster.run(1);
  }
  await cluster.run(3_000);
  assertEquals(cluster.config(0).inSync, ["n1", "n2", "n3"]);
  assertEquals(await cluster.contents("n3"), await cluster.contents("n1"));
});

Deno.test("replication: reads go on without a lease, by asking the other replicas", async () => {
  const cluster = await startCluster({ nodes: 3 });
  await cluster.ask("n1", put("a", "1"));
  cluster.coordinatorUp = false;
  await cluster.run(3_000);
  assertEquals(cluster.node("n1").hasLease, false);
  assertEquals(value(await cluster.ask("n1", get("a"))), "1");
  assertEquals((await cluster.ask("n1", put("a", "2"))).req_type, "ack");
  assertEquals(value(await cluster.ask("n1", get("a"))), "2");
});

Deno.test("replication: a primary that was replaced answers nothing", async () => {
  const cluster = await startCluster({ nodes: 3 });
  await cluster.ask("n1", put("a", "1"));
  // n1 neither hears the coordinator nor anybody else; its lease runs out.
  cluster.host("n1").reachable = false;
  cluster.network.cut("n1", "n2");
  cluster.network.cut("n1", "n3");
  await cluster.run(2_000);
  cluster.fail("n1");
  await cluster.run(100);
  assertEquals((await cluster.ask("n2", put("a", "2"))).req_type, "ack");
  assertEquals(code(await cluster.ask("n1", { ...get("a"), timeout_ms: 500 })), "timeout");
  assertEquals(
    code(await cluster.ask("n1", { ...put("a", "3"), timeout_ms: 500 })),
    "outcome_unknown",
  );
  cluster.network.heal("n1", "n2");
  cluster.network.heal("n1", "n3");
  await cluster.run(2_000);
  assertEquals(code(await cluster.ask("n1", { ...get("a"), timeout_ms: 500 })), "timeout");
  cluster.host("n1").reachable = true;
  await cluster.run(1_000);
  cluster.addLearner("n1");
  await cluster.run(1_000);
  assertEquals(await cluster.contents("n1"), { a: "2" });
  assertEquals(value(await cluster.ask("n2", get("a"))), "2");
});

Deno.test("replication: hand-over loses no request", async () => {
  const cluster = await startCluster({ nodes: 3 });
  const replies: string[] = [];
  for (let i = 0; i < 50; i++) {
    cluster.node("n1").execute(put(`k${i}`, "v"), (reply) => replies.push(reply.req_type));
  }
  cluster.node("n1").onHandover(0, 1, "n2");
  let late: unknown;
  cluster.node("n1").execute(get("k1"), (reply) => late = code(reply));
  await cluster.run(200);
  assertEquals(replies, Array(50).fill("ack"));
  assertEquals(late, "not_primary");
  assertEquals(cluster.config(0).primary, "n2");
  assertEquals(value(await cluster.ask("n2", get("k49"))), "v");
});

Deno.test("replication: after a drain that nobody answers it serves again, and asks for each read", async () => {
  const cluster = await startCluster({ nodes: 3 });
  await cluster.ask("n1", put("a", "1"));
  cluster.coordinatorUp = false;
  cluster.node("n1").onHandover(0, 1, "n2");
  assertEquals(value(await cluster.ask("n1", get("a"))), "1");
  assertEquals(cluster.node("n1").partition(0)?.primary?.leaseBarred, true);
  cluster.coordinatorUp = true;
  await cluster.run(3_000);
  // The report is repeated; it either moved the primary or renewed the term.
  assert(cluster.config(0).term > 1);
});

Deno.test("replication: a read from a replica is passed on when the replica cannot tell", async () => {
  const cluster = await startCluster({ nodes: 2 });
  await cluster.ask("n1", put("a", "1"));
  await cluster.run(500);
  const read = { ...get("a"), consistency: "replica" as const };
  assertEquals(value(await cluster.ask("n2", read)), "1");
  cluster.coordinatorUp = false;
  await cluster.run(3_000);
  assertEquals(code(await cluster.ask("n2", read)), "not_primary");
});

Deno.test("replication: a replica does not answer a read from a write that is not committed (rule R4)", async () => {
  const cluster = await startCluster({ nodes: 3 });
  await cluster.ask("n1", put("a", "1"));
  await cluster.run(500);
  const read = { ...get("a"), consistency: "replica" as const };
  assertEquals(value(await cluster.ask("n2", read)), "1");
  // The write waits for n3, and n2 has it.
  cluster.crash("n3");
  let acknowledged = false;
  cluster.node("n1").execute(put("a", "2"), () => void (acknowledged = true));
  await cluster.run(100);
  const [entry] = Object.values(await cluster.contents("n2"));
  assertEquals([entry, acknowledged], ["2", false]);
  assertEquals(code(await cluster.ask("n2", read)), "not_primary");
  await cluster.start("n3");
  await cluster.run(2_000);
  assertEquals(acknowledged, true);
  assertEquals(value(await cluster.ask("n2", read)), "2");
});

Deno.test("replication: everything stopped and started again is all there", async () => {
  const cluster = await startCluster({ nodes: 3 });
  for (let i = 0; i < 50; i++) await cluster.ask("n1", put(`k${i}`, `${i}`));
  for (const id of ["n1", "n2", "n3"]) cluster.crash(id);
  cluster.configure(0, { term: 2, primary: "n3" });
  for (const id of ["n1", "n2", "n3"]) await cluster.start(id);
  await cluster.run(500);
  for (let i = 0; i < 50; i++) assertEquals(value(await cluster.ask("n3", get(`k${i}`))), `${i}`);
  assertEquals((await cluster.ask("n3", put("k0", "x"))).req_type, "ack");
  assertEquals(await cluster.contents("n1"), await cluster.contents("n3"));
});

Deno.test("replication: a replica that is made primary in the middle of its resync serves what it has", async () => {
  const cluster = await startCluster({ nodes: 3, replicas: 2 });
  for (let i = 0; i < 12_000; i++) cluster.node("n1").execute(put(`k${i}`, "v"), () => {});
  await cluster.run(200);
  cluster.addLearner("n3");
  const store = () => cluster.node("n3").partition(0)?.store;
  for (let i = 0; i < 1_000 && (store()?.state.count ?? 0) === 0; i++) await cluster.run(1);
  const { term } = cluster.config(0);
  cluster.crash("n1");
  cluster.crash("n2");
  // An operator's order: nobody else would take a replica that is not in sync.
  cluster.configure(0, { term: term + 1, primary: "n3", inSync: ["n3"], learners: [] });
  assert((store()?.state.count ?? 0) < 12_000);
  assertEquals((await cluster.ask("n3", put("after", "1"))).req_type, "ack");
  await cluster.start("n2");
  cluster.addLearner("n2");
  await cluster.run(5_000);
  assertEquals(cluster.config(0).inSync, ["n3", "n2"]);
  assertEquals(await cluster.contents("n2"), await cluster.contents("n3"));
});

Deno.test("replication: a replica that restarts does not follow a primary of an earlier term", async () => {
  const cluster = await startCluster({ nodes: 2 });
  await cluster.ask("n1", put("a", "old"));
  // n1 is cut off and replaced; n2 goes on alone, and restarts without hearing the coordinator.
  cluster.host("n1").reachable = false;
  cluster.network.cut("n1", "n2");
  await cluster.run(3_000);
  cluster.fail("n1");
  await cluster.run(100);
  assertEquals((await cluster.ask("n2", put("a", "new"))).req_type, "ack");
  cluster.crash("n2");
  cluster.host("n2").reachable = false;
  cluster.network.heal("n1", "n2");
  await cluster.start("n2");
  assertEquals(
    code(await cluster.ask("n1", { ...put("a", "lost"), timeout_ms: 3_000 })),
    "outcome_unknown",
  );
  cluster.host("n2").reachable = true;
  await cluster.run(1_000);
  assertEquals(await cluster.contents("n2"), { a: "new" });
  assertEquals(value(await cluster.ask("n2", get("a"))), "new");
});
