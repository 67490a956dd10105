/**
 * A write whose first attempt had an unknown outcome, and was sent again, ended as `timeout` when the
 * last attempt was known not to have been sent, which promises that the write did not happen. Found by
 * the simulation (seed 2104: a delete that had "timed out" took effect).
 */
import { assertEquals } from "@std/assert";
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { Router } from "../../shared/routing/router.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../support/doubles/memory_transport.ts";
import { ScriptedNode } from "../support/doubles/scripted_node.ts";

const MAP: ClusterMap = {
  epoch: 1,
  settings: {
    clusterId: "c",
    clusterName: "test",
    partitionCount: 1,
    replicationFactor: 1,
    minInSync: 1,
    leaseMs: 1_500,
    heartbeatIntervalMs: 500,
    failureTimeoutMs: 2_500,
  },
  nodes: [{
    id: "n1",
    host: "n1",
    port: 1,
    httpPort: 0,
    zone: "n1",
    weight: 1,
    incarnation: 1,
    state: "up",
  }],
  partitions: [{ term: 1, primary: "n1", inSync: ["n1"], learners: [] }],
};

Deno.test("Router: a write that may have happened never ends as one that did not", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock, { delayMs: 1 });
  await new ScriptedNode(network, "n1", () => {
    network.cut("client", "n1");
    return "break";
  }).start();
  const deps = { clock, random: new SeededRandom(1), transport: network.transport("client") };
  const router = new Router(deps, { role: "client" });
  router.adopt(MAP);
  let code = "";
  const request = {
    req_type: "put",
    key: "k",
    value: "v",
    session: "l",
    request_number: 1,
  } as const;
  router.execute(request, 600, (reply) => {
    code = reply.req_type === "error" ? reply.code : reply.req_type;
  });
  await clock.run(20);
  network.reset("client", "n1");
  await clock.run(2_000);
  assertEquals(code, "outcome_unknown");
  router.close();
});
