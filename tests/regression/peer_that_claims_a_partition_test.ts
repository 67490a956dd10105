/**
 * Anybody who said `hello` as a node could take a partition: one `resync_query` with a higher term that
 * named the sender as the primary was believed, over the coordinator's map and for ever. The partition's
 * reads and writes failed until its nodes were started again, and the health of each was "ok". Found by
 * an attack.
 */
import { assertEquals } from "@std/assert";
import { Connection } from "../../shared/wire/connection.ts";
import { PROTOCOL_VERSION } from "../../shared/wire/messages.ts";
import { TERM_MAX } from "../../shared/limits/cluster.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

/** Opens a connection to a node and says hello as another one. */
async function peer(cluster: NodeCluster, to: string, as: string) {
  const received: Record<string, unknown>[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<Connection>();
  cluster.network.transport("rogue").connect({ host: to, port: 1 }, 1_000, (stream) => {
    resolve(
      new Connection(stream, cluster.clock, {
        onMessage: (message) => void received.push({ ...message }),
        onInvalid: () => {},
        onClose: () => {},
      }),
    );
  }, reject);
  await cluster.run(10);
  const connection = await promise;
  connection.send({ id: 0, req_type: "hello", protocol: PROTOCOL_VERSION, role: "peer", node: as });
  await cluster.run(10);
  return { connection, received };
}

Deno.test("a peer that says it is the primary is not believed over the map", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  assertEquals((await cluster.ask("n1", put("k", "1"))).req_type, "ack");
  for (const as of ["rogue", "n2"]) {
    for (const to of ["n1", "n2", "n3"]) {
      if (to === as) continue;
      const { connection } = await peer(cluster, to, as);
      for (const term of [1, 2, 9, TERM_MAX]) {
        for (const epoch of [0, 1, 2, Number.MAX_SAFE_INTEGER]) {
          const inSync = [as, "n1", "n2", "n3"].filter((id, i, ids) => ids.indexOf(id) === i);
          const config = { term, primary: as, inSync, learners: [] };
          const stream = 1_000_000;
          connection.send({ req_type: "resync_query", p: 0, config, epoch, stream });
          connection.send({ req_type: "new_term", p: 0, config, epoch, stream });
          connection.send({
            req_type: "resync_begin",
            ...{ p: 0, term, stream, next: 1, full: true },
          });
          connection.send({
            req_type: "append",
            parts: [[0, term, stream, 99, [["k", 99, term, 0, 1, 0, "false"]]]],
          });
        }
      }
      await cluster.run(50);
    }
  }
  assertEquals((await cluster.ask("n1", put("k", "2"))).req_type, "ack");
  const read = await cluster.ask("n1", get("k"));
  assertEquals(read.req_type === "data" && read.message, "2");
  for (const id of ["n1", "n2", "n3"]) {
    const replica = cluster.node(id).partition(0);
    assertEquals([replica?.config, replica?.isSettled], [cluster.config(0), true], id);
    assertEquals(await cluster.contents(id), { k: "2" });
  }
  // What the disks note down must not bar the true primary after a restart either.
  for (const id of ["n1", "n2", "n3"]) cluster.crash(id);
  await cluster.startAll();
  assertEquals((await cluster.ask("n1", put("k", "3"))).req_type, "ack");
});

Deno.test("a node that has no map yet believes nobody either", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  cluster.coordinatorUp = false;
  await cluster.start("n2");
  const { connection, received } = await peer(cluster, "n2", "n1");
  const config = { term: 7, primary: "n1", inSync: ["n1", "n2"], learners: [] };
  connection.send({ req_type: "resync_query", p: 0, config, epoch: 9, stream: 5 });
  await cluster.run(50);
  assertEquals(received.map(({ req_type }) => req_type), ["ack", "stream_refused"]);
  cluster.coordinatorUp = true;
  await cluster.start("n1");
  assertEquals((await cluster.ask("n1", put("k", "1"))).req_type, "ack");
});

Deno.test("a primary that is ahead of a replica's map is followed as soon as the map comes", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  cluster.host("n3").reachable = false;
  cluster.configure(0, { term: 2, primary: "n2" });
  await cluster.run(500);
  assertEquals(cluster.node("n2").partition(0)?.primary?.phase, "resyncing");
  assertEquals(cluster.node("n3").partition(0)?.config?.primary, "n1");
  cluster.host("n3").reachable = true;
  cluster.node("n3").applyMap(cluster.map);
  // No timer has to run for that: the question waited.
  await cluster.run(20);
  assertEquals(cluster.node("n2").partition(0)?.primary?.phase, "serving");
});
