/**
 * A machine that is suspended (sleep, live migration) stops its monotonic clock. When it went on, a
 * primary still had the lease of before, for up to 1.5 s, although others had long taken over; the gateway
 * believed its cache for 3 s. Found by reading.
 */
import { assertEquals } from "@std/assert";
import { Gateway } from "../../coordinator/gateway/gateway.ts";
import { Connection } from "../../shared/wire/connection.ts";
import type { Message, Reply } from "../../shared/wire/messages.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { NodeCluster } from "../support/worlds/node_cluster.ts";
import { settled } from "../support/worlds/membership_world.ts";

Deno.test("a node whose machine was suspended for longer than the lease has none when it goes on", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  const node = cluster.node("n1");
  assertEquals(node.hasLease, true);
  cluster.clock.setWall(cluster.clock.wallMs() + 60_000);
  assertEquals(node.hasLease, false, "at once, before any timer has run");
  await cluster.run(1_000);
  assertEquals(node.hasLease, true, "by heartbeats of after");
});

Deno.test("a gateway whose machine was suspended does not believe what it knew before", async () => {
  const { clock, network, map } = new NodeCluster({ nodes: 1 });
  let reads = 0;
  const answer = (message: Message): object => {
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
  gateway.adopt(map);
  const read = async (): Promise<string | undefined> => {
    let reply: Reply | undefined;
    gateway.execute(
      { req_type: "get", key: "k", consistency: "cached", timeout_ms: 500 },
      (result) => reply = result,
    );
    await clock.run(10);
    return reply?.req_type === "data" ? reply.message : undefined;
  };
  assertEquals([await read(), await read()], ["value 1", "value 1"]);
  clock.setWall(clock.wallMs() + 60_000);
  assertEquals(await read(), "value 2");
  await clock.run(2_000);
  assertEquals(await read(), "value 2", "and the new one is believed");
  gateway.close();
  await clock.run(1_000);
});

Deno.test("a coordinator that stood still judges nobody for a while", () => {
  const [world, a] = settled(3);
  const before = world.map.partitions;
  if (a !== undefined) a.heard = false;
  world.advance(1_500);
  world.controller.stoodStill(60_000, world.nowMs);
  world.advance(2_000);
  assertEquals(world.map.partitions, before);
  world.advance(1_000);
  assertEquals(world.map.nodes.filter(({ state }) => state === "down").map(({ id }) => id), [
    a?.node,
  ]);
});
