/**
 * A cached read could be of any age: the gateway believed a value until it was told of a change, and the
 * connection over which it would have been told was half open. Found by the simulation with cuts that forget
 * streams ("weak reads: … read (cached)"). Now nobody tells it of changes, and a value has an age.
 */
import { assertEquals } from "@std/assert";
import { Gateway } from "../../coordinator/gateway/gateway.ts";
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import { Connection } from "../../shared/wire/connection.ts";
import { GATEWAY_CACHE_AGE_MS_MAX } from "../../shared/limits/requests.ts";
import type { Message, Reply } from "../../shared/wire/messages.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../support/doubles/memory_transport.ts";

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

Deno.test("Gateway: a cached value is given for no longer than its age, whatever became of its node", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock, { delayMs: 1 });
  let reads = 0;
  const answer = (message: Message): object | undefined => {
    if (message.req_type !== "get") return { req_type: "ack", message: "" };
    reads++;
    return { req_type: "data", message: `value ${reads}`, version: reads, timestamp: 1 };
  };
  await network.transport("n1").listen({ host: "n1", port: 1 }, (stream) => {
    new Connection(stream, clock, {
      onMessage: (message, connection) => connection.send({ ...answer(message), id: message.id }),
      onInvalid: () => {},
      onClose: () => {},
    });
  });
  const deps = { clock, random: new SeededRandom(1), transport: network.transport("gateway") };
  const gateway = new Gateway(deps, { clusterId: "c", cacheEntries: 10 });
  gateway.adopt(MAP);
  const read = async (): Promise<string> => {
    let reply: Reply | undefined;
    gateway.execute(
      { req_type: "get", key: "k", consistency: "cached", timeout_ms: 500 },
      (result) => reply = result,
    );
    await clock.run(600);
    return reply?.req_type === "data" ? reply.message ?? "" : reply?.req_type ?? "no answer";
  };

  assertEquals(await read(), "value 1");
  network.cut("gateway", "n1");
  assertEquals(await read(), "value 1", "for a moment");
  await clock.run(GATEWAY_CACHE_AGE_MS_MAX);
  assertEquals(await read(), "error", "nobody knows whether it has changed");
  gateway.close();
  await clock.run(1_000);
});
