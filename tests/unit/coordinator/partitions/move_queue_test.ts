import { assertEquals } from "@std/assert";
import { MoveQueue } from "../../../../coordinator/partitions/move_queue.ts";

Deno.test("MoveQueue: urgent ones first, then in order; nothing twice", () => {
  const queue = new MoveQueue();
  queue.add("b", 1, false);
  queue.add("a", 2, false);
  queue.add("a", 3, true);
  queue.add("a", 4, false);
  queue.add("a", 4, true);
  queue.add("a", 3, false);
  assertEquals(queue.nodes(), ["a", "b"]);
  assertEquals(queue.size, 4);
  assertEquals([1, 2, 3, 4].map(() => queue.take("a")), [3, 4, 2, undefined]);
  assertEquals(queue.nodes(), ["b"]);
});
