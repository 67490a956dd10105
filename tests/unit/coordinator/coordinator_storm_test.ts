import { assert, assertEquals } from "@std/assert";
import { runCoordinatorStorm } from "../../support/worlds/coordinator_storm.ts";

/** What docs/performance.md tells of was measured with 1,000 nodes, 256 partitions and 10,000 clients here. */
const SIZE = { nodes: 60, partitions: 64, clients: 300 };

Deno.test("Coordinator: all nodes and clients that turn to another one at once are served within 5 s", async () => {
  const figures = await runCoordinatorStorm(SIZE);
  const text = JSON.stringify(figures);
  assert(figures.nodesMs < 5_000 && figures.clientsMs < 5_000, text);
  // Each node is given the map once, and nobody is taken to be down.
  assertEquals([figures.maps, figures.down, figures.failovers], [SIZE.nodes, 0, 0], text);
});
