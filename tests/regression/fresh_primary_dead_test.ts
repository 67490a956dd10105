/**
 * The first primary of a new cluster's partition died before it had noted anything down, and so did the
 * one that was named in its place, before it was missed. Both came back with nothing of the partition
 * on their disks, which was taken for emptied disks: the partition had no primary for ever, although
 * nothing was lost. Found by the simulation (seed 500114: "150 s after the storm partition 6 is held
 * by …, undefined first").
 */
import { assert, assertEquals, assertExists } from "@std/assert";
import { NodeCluster } from "../support/worlds/node_cluster.ts";
import { World } from "../support/worlds/membership_world.ts";

Deno.test("a partition whose first two primaries died before they adopted it is served", () => {
  const world = new World({ expectNodes: 3, settings: { replicationFactor: 2 } });
  const [a, b, c] = ["a", "b", "c"].map((letter) => world.start(letter));
  assertExists(a);
  assertExists(b);
  assertExists(c);
  const { inSync: [first, second] } = world.config(0);
  const processes = [a, b, c];
  const letterOf = (id: string | undefined) => id?.[0] ?? "";
  const one = processes.find(({ node }) => node === first);
  const two = processes.find(({ node }) => node === second);
  assertExists(one);
  assertExists(two);
  // The second lives long enough to be heard of after the first one's restart.
  one.heard = two.heard = false;
  world.kill(one);
  world.start(letterOf(first), { held: [] });
  world.advance(100);
  two.heard = true;
  two.map = undefined;
  world.beat(two);
  // It loses its power, so that its connection does not end.
  two.alive = false;
  world.advance(2_000);
  assertEquals(world.config(0).primary, second, "the second is not missed yet, and takes over");
  world.start(letterOf(second), { held: [] });
  world.advance(10_000);
  assert(world.config(0).primary !== undefined, "it is served");
  assertEquals(world.controller.stats().unavailable_partitions, 0);
});

Deno.test("a node tells of a map only when what it is primary of is on its disk", async () => {
  const cluster = new NodeCluster({ nodes: 1 });
  await cluster.startAll();
  await cluster.run(100);
  const node = cluster.node("n1");
  const { map } = cluster;
  assertEquals(node.storedEpoch, map.epoch);
  const partitions = map.partitions.map((config) => ({ ...config, term: config.term + 1 }));
  node.applyMap({ ...map, epoch: map.epoch + 1, partitions });
  assertEquals(node.storedEpoch, map.epoch, "adopted, and not on disk");
  await cluster.run(100);
  assertEquals(node.storedEpoch, map.epoch + 1);
});
