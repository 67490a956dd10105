import { assertEquals } from "@std/assert";
import { Handovers } from "../../../../coordinator/partitions/handovers.ts";
import { MOVES_PER_NODE_MAX, REPAIR_BACKOFF_MS } from "../../../../shared/limits/membership.ts";
import { HANDOVER_TIMEOUT_MS } from "../../../../shared/limits/replication.ts";

const ORDER = { from: "a", to: "b", term: 1 };

Deno.test("Handovers: a node has so many under way, and room again when one is forgotten", () => {
  const handovers = new Handovers();
  for (let p = 0; p < MOVES_PER_NODE_MAX; p++) {
    assertEquals(handovers.hasRoom("a"), true);
    handovers.add(p, ORDER, 0);
  }
  assertEquals([handovers.hasRoom("a"), handovers.hasRoom("b")], [false, true]);
  handovers.forget(0);
  handovers.forget(0);
  assertEquals([handovers.hasRoom("a"), handovers.size], [true, MOVES_PER_NODE_MAX - 1]);
  assertEquals(handovers.get(0), undefined);
});

Deno.test("Handovers.takeOverdue: gives those that were not answered in time, once", () => {
  const handovers = new Handovers();
  handovers.add(1, ORDER, 0);
  handovers.add(2, ORDER, 10);
  const dueMs = HANDOVER_TIMEOUT_MS + REPAIR_BACKOFF_MS;
  assertEquals(handovers.takeOverdue(dueMs - 1), []);
  assertEquals(handovers.takeOverdue(dueMs).map(([partition]) => partition), [1]);
  assertEquals([handovers.get(1), handovers.get(2)?.to], [undefined, "b"]);
});
