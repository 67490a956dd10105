/**
 * A router that was closed took requests: a cached read that was under way when its client was closed
 * went from the coordinator to the key's primary, over a new connection that stayed open for ever, and
 * ended as `outcome_unknown`. Found by a review.
 */
import { assertEquals } from "@std/assert";
import { KvClient } from "../../client/library/kv_client.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { Router } from "../../shared/routing/router.ts";
import { RpcClient } from "../../shared/wire/rpc_client.ts";
import { fakeMap } from "../support/worlds/fake_cluster.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../support/doubles/memory_transport.ts";
import { ScriptedNode } from "../support/doubles/scripted_node.ts";

/** A cluster that says nothing, and a router that knows it. */
async function silentCluster() {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock, { delayMs: 1 });
  const map = fakeMap();
  const nodes = map.nodes.map((node, i) => ({ ...node, host: `h${i}`, port: 1 }));
  const scripted: ScriptedNode[] = [];
  for (const { host } of nodes) {
    scripted.push(await new ScriptedNode(network, host, () => "hold").start());
  }
  const coordinator = await new ScriptedNode(network, "c", () => "hold").start();
  const deps = { clock, random: new SeededRandom(1), transport: network.transport("client") };
  const router = new Router(deps, { role: "client" });
  router.adopt({ ...map, nodes });
  const open = () => scripted.reduce((sum, { servers }) => sum + servers.size, 0);
  return { clock, deps, router, coordinator, open, nodes };
}

Deno.test("KvClient.close: a cached read that is under way opens no new connection", async () => {
  const { clock, deps, router, coordinator: { address }, open } = await silentCluster();
  const hello = { req_type: "hello", protocol: 1, role: "client" } as const;
  const coordinator = new RpcClient(deps, address, hello);
  const client = new KvClient({ clock, router, coordinator });
  let end: string | undefined;
  client.get("k", { consistency: "cached" }).then(() => end = "value", (error) => end = error.code);
  await clock.run(100);
  client.close();
  await clock.run(60_000);
  assertEquals([open(), end], [0, "unavailable"]);
});

Deno.test("Router that is closed refuses requests, and says what may have happened before", async () => {
  const { clock, router, open, nodes } = await silentCluster();
  router.close();
  const ends: unknown[] = [];
  const end = (reply: Reply) => ends.push(reply.req_type === "error" && reply.code);
  const write: KeyRequest = {
    req_type: "increment",
    key: "k",
    by: "1",
    session: "l",
    request_number: 1,
  };
  router.execute(write, 1_000, end);
  router.execute({ ...write, again: true }, 1_000, end);
  router.request(nodes[0]?.id ?? "", { req_type: "ping" }, 1_000, end);
  assertEquals(ends, [], "never before the call has returned");
  await clock.run(100);
  assertEquals(ends, ["unavailable", "outcome_unknown", "unavailable"]);
  assertEquals(open(), 0);
});
