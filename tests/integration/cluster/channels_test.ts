/**
 * The ways between a node and its coordinator fail one by one: TCP without UDP, one direction alone, a
 * connection that stands and lets nothing through. Whoever cannot be told what to do does not count as
 * alive, though its heartbeats come, and others take its roles.
 *
 * @module
 */
import { assert } from "@std/assert";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { WAY_HOST, WayToCoordinator } from "../../support/worlds/way_to_coordinator.ts";

Deno.test("cluster: a node that cannot be told anything loses its roles, and has them again when it can", async (t) => {
  await using cluster = await TestCluster.start({
    nodes: 3,
    coordinatorFlags: [`--advertise-host=${WAY_HOST}`],
  });
  const { heartbeat = 0 } = cluster.coordinatorFacts;
  using way = new WayToCoordinator(cluster.coordinatorAddress, heartbeat);
  const index = await cluster.addNode([`--coordinator=${way.address}`]);
  await cluster.whole({ nodes: 4 });
  const { port } = cluster.nodeAddress(index);

  const leads = `node ${index} is up, and primary of something`;
  const isBack = () =>
    cluster.waitFor(leads, ({ nodes, partitions }) => {
      const node = nodes.find((node) => node.port === port);
      return node?.state === "up" && partitions.some(({ primary }) => primary === node.id);
    });
  /** It is known to be away, and every partition has another primary. */
  const isAway = () =>
    cluster.waitFor("the others lead every partition", ({ nodes, partitions }) => {
      const node = nodes.find((node) => node.port === port);
      return node?.state === "down" &&
        partitions.every(({ primary }) => primary !== undefined && primary !== node.id);
    });
  const says = (what: string) => {
    const { log } = cluster.coordinatorProcess;
    assert(log.some((line) => line.includes("a node is down") && line.includes(what)), what);
  };
  const isServed = async () => {
    await using kv = await cluster.connect();
    for (let i = 0; i < 100; i++) await kv.put(`key ${i}`, "x", { timeoutMs: 60_000 });
  };

  await t.step(
    "its TCP connection ends while UDP passes, and another node is stopped",
    async () => {
      await isBack();
      way.accepts = false;
      way.reset();
      await cluster.node(0).stop();
      await isAway();
      says("it has no connection to the TCP port");
      await isServed();
      await cluster.restart(0);
      way.accepts = true;
      await cluster.whole({ nodes: 4 });
    },
  );

  await t.step("its TCP connection stands, and lets nothing through", async () => {
    await isBack();
    way.tcp.up = way.tcp.down = false;
    await isAway();
    says("nothing gets through its TCP connection");
    await isServed();
    way.tcp.up = way.tcp.down = true;
    way.reset();
    await cluster.whole({ nodes: 4 });
  });

  await t.step("it hears nothing at all, and is heard", async () => {
    await isBack();
    way.tcp.down = way.udp.down = false;
    await isAway();
    await isServed();
    way.tcp.down = way.udp.down = true;
    way.reset();
    await cluster.whole({ nodes: 4 });
  });

  await t.step("what it says over TCP does not arrive", async () => {
    await isBack();
    way.tcp.up = false;
    await isAway();
    await isServed();
    way.tcp.up = true;
    way.reset();
    await cluster.whole({ nodes: 4 });
  });
});
