import { assertEquals } from "@std/assert";
import { LATER_MS, partitionParts } from "../../../support/worlds/coordinator_state.ts";

Deno.test("TargetAssignment.update: another one only if the nodes that count are others", () => {
  const { target, state, member } = partitionParts();
  assertEquals(target.of(0), [], "none before the first");
  assertEquals(target.update(LATER_MS), true);
  assertEquals(target.of(0), ["a", "b", "c"]);
  state.touch(member("a"));
  assertEquals(target.update(LATER_MS), false, "the same nodes");
  assertEquals([target.partitionsOf("a"), target.partitionsOf("x")], [[0], []]);
});

Deno.test("TargetAssignment.update: a node that is down counts for the repair delay", () => {
  const { target, state, member } = partitionParts();
  target.update(LATER_MS);
  member("a").presence = "down";
  member("a").downSinceMs = LATER_MS;
  state.touch(member("a"));
  assertEquals([target.update(LATER_MS + 4_999), target.of(0)], [false, ["a", "b", "c"]]);
  assertEquals([target.update(LATER_MS + 5_000), target.of(0)], [true, ["b", "c"]]);
  assertEquals(target.partitionsOf("a"), []);
});

Deno.test("TargetAssignment.update: without any node the target before stays", () => {
  const { target, state, member } = partitionParts({ nodes: ["a"] });
  target.update(LATER_MS);
  member("a").departure = "leaving";
  state.touch(member("a"));
  assertEquals([target.update(LATER_MS), target.of(0)], [false, ["a"]]);
});
