/**
 * With four nodes and 8 partitions one node was to hold all 8: all nodes that might lead one more
 * partition held all the replicas that they might, and the last primary was placed over the bound of replicas.
 * Found by the simulation (seed 25000118: "holds 8 replicas, the bound is 7"), whose nodes these are.
 */
import { assertEquals } from "@std/assert";
import { place } from "../../coordinator/placement/placement.ts";

Deno.test("the last primary of a small cluster keeps to the bounds", () => {
  const ids = ["ed67f7849672bebf", "22ef906511f15b73", "c5cc5995fb52f497", "1f574c8d3d84d94d"];
  const table = place(ids.map((id) => ({ id, weight: 1, zone: id })), 8, 3);
  for (const id of ids) {
    const held = table.filter((holders) => holders.includes(id)).length;
    const led = table.filter(([primary]) => primary === id).length;
    // 1.15 times 6 replicas and 2 primaries, rounded up.
    assertEquals([held <= 7, led <= 3], [true, true], `${id} holds ${held} and leads ${led}`);
  }
});
