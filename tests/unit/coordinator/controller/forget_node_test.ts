import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import {
  idOf,
  type Process,
  settled,
  type World,
  type WorldOptions,
} from "../../../support/worlds/membership_world.ts";

/** Nodes `a`, `b` and `c`, everything in sync. */
function three(options: WorldOptions = {}): { world: World; a: Process; b: Process; c: Process } {
  const [world, a, b, c] = settled(3, { obedient: true, ...options });
  assert(a !== undefined && b !== undefined && c !== undefined);
  return { world, a, b, c };
}

/** What is answered to an order that is refused. */
function refusal(world: World, node: string, force = false): [code: string, text: string] {
  const error = assertThrows(() => world.controller.forgetNode(node, force, world.nowMs), KvError);
  return [error.code, error.message];
}

function forget(world: World, node: string, force = false) {
  const forced = world.controller.forgetNode(node, force, world.nowMs);
  world.advance(50);
  return forced;
}

function listed(world: World): string {
  return world.map.nodes.map(({ id }) => id[0]).join("");
}

/** The order of deaths by which only `a` holds everything of each partition: then nobody lives but `b`. */
function onlyAHoldsAll(): { world: World; a: Process; b: Process; c: Process } {
  const { world, a, b, c } = three();
  const old = world.heldOf(b, 3);
  world.kill(b);
  world.advance(10_000);
  world.kill(c);
  world.advance(10_000);
  world.kill(a);
  world.advance(10_000);
  world.start("b", { held: old });
  world.advance(10_000);
  assertEquals(world.controller.stats().lost_partitions, 16);
  return { world, a, b, c };
}

// What goes by itself.

Deno.test("ClusterController: a node that another one has replaced at its address is off the list once nothing needs it", () => {
  const { world, a } = three();
  world.kill(a);
  world.start("d", { host: "a" });
  world.advance(2_000);
  assertEquals(listed(world), "abcd", "it is not missed yet");
  world.advance(2_000);
  assertEquals(listed(world), "bcd");
  assert(world.infos.some((line) => line.includes("another node has come at its address, host-a")));
  world.advance(10_000);
  const { nodes, under_replicated_partitions } = world.controller.stats();
  assertEquals([nodes.up, nodes.down, under_replicated_partitions], [3, 0, 0]);
});

Deno.test("ClusterController: a replaced node that a partition waits for is kept", () => {
  const { world, a, b, c } = three();
  for (const process of [a, b, c]) world.kill(process);
  world.start("d", { host: "a" });
  world.advance(60_000);
  assertEquals(listed(world), "abcd");
  assertEquals(world.controller.stats().lost_partitions, 16);
});

Deno.test("ClusterController: a node that is down keeps its place for an hour if nobody has come in it", () => {
  const { world, a } = three();
  world.kill(a);
  world.start("d");
  world.advance(3_590_000, 1_000);
  assertEquals(listed(world), "abcd");
  world.advance(20_000);
  assertEquals(listed(world), "bcd");
});

// What an operator says.

Deno.test("ClusterController.forgetNode: a node that is down goes off the list, and the others fill its place", () => {
  const { world, a } = three();
  world.start("d");
  world.advance(10_000);
  world.kill(a);
  world.advance(10_000);
  assertEquals(listed(world), "abcd");
  assertEquals(forget(world, a.node), []);
  assertEquals(listed(world), "bcd");
  assert(world.warnings.some((line) => line.startsWith("an operator has a node forgotten")));
  assertEquals(world.controller.stats().nodes.down, 0);
});

Deno.test("ClusterController.forgetNode: is refused for a node that is up, may be up, or is none", () => {
  const { world, a } = three();
  assertEquals(refusal(world, idOf("x"))[0], "bad_request");
  assertStringIncludes(refusal(world, a.node).join(" "), "bad_request forget_node: node");
  world.kill(a);
  world.advance(1_000);
  assertEquals(refusal(world, a.node)[0], "bad_request", "it is not missed yet");
  world.advance(3_000);
  // Its heartbeats come, and it has no session.
  a.alive = true;
  world.advance(500);
  assertEquals(refusal(world, a.node)[0], "unavailable");
  a.alive = false;
  world.advance(3_000);
  world.restartCoordinator();
  assertStringIncludes(
    refusal(world, a.node).join(" "),
    "unavailable forget_node: no node has registered",
  );
});

Deno.test("ClusterController.forgetNode: who alone holds acknowledged writes is given up by force only", () => {
  const { world, a, b } = onlyAHoldsAll();
  const [code, text] = refusal(world, a.node);
  assertEquals(code, "bad_request");
  assertStringIncludes(text, "of 16 of its partitions");
  assertStringIncludes(text, "--force");
  assert(world.map.partitions.every(({ inSync }) => inSync.includes(a.node)), "nothing was done");
  for (let p = 0; p < 16; p++) world.forced.add(`${p}/${b.node}`);
  const forced = forget(world, a.node, true);
  assertEquals(forced.length, 16);
  assertEquals(forced[0], { partition: 0, node: b.node, term: 1, last_seq: 3 });
  assertEquals(listed(world), "bc");
  assertEquals(world.controller.stats().unavailable_partitions, 0);
});

Deno.test("ClusterController.forgetNode: who shares what it holds with one that is down leaves it to that one", () => {
  const { world, a, b, c } = three();
  for (const process of [a, b, c]) world.kill(process);
  world.advance(10_000);
  const held = world.heldOf(c);
  world.start("d");
  world.advance(5_000);
  assertEquals(forget(world, a.node), []);
  assertEquals(forget(world, b.node), []);
  world.map.partitions.forEach(({ inSync }) => assertEquals(inSync, [c.node]));
  assertEquals(refusal(world, c.node)[0], "bad_request", "it is the last one");
  world.start("c", { held });
  world.advance(10_000);
  assertEquals(listed(world), "cd");
  assertEquals(world.controller.stats().unavailable_partitions, 0);
});

Deno.test("ClusterController.forgetNode: a damaged replica of another node does not count as another replica", () => {
  const { world, a, b, c } = three();
  for (const process of [a, b, c]) world.kill(process);
  world.advance(10_000);
  const damaged = world.heldOf(b).map(([p, term, seq]) => [p, term, seq, 1] as const);
  world.start("b", { held: damaged });
  world.start("c");
  world.advance(10_000);
  // `b` says that its replicas are damaged, and `c` that it has none.
  assertStringIncludes(refusal(world, a.node)[1], "of 16 of its partitions");
});

Deno.test("ClusterController.forgetNode: if nobody could be made primary instead, nothing is done", () => {
  const { world, a, b, c } = three();
  for (const process of [b, c]) world.kill(process);
  world.advance(10_000);
  world.kill(a);
  world.advance(10_000);
  assertEquals(refusal(world, a.node, true)[0], "unavailable");
  assertEquals(listed(world), "abc");
});

Deno.test("ClusterController: a node that was forgotten and comes back is a new one, whose replicas do not count", () => {
  const { world, a, b, c } = three();
  world.kill(a);
  world.advance(10_000);
  forget(world, a.node);
  for (const process of [b, c]) world.kill(process);
  world.advance(10_000);
  // An older copy of its folder would be refused if it were still known.
  world.obedient = false;
  world.start("a", { held: world.heldOf(a), incarnation: 1, batch: 7 });
  world.advance(60_000);
  assertEquals(world.controller.stats().lost_partitions, 16, "it is made primary of nothing");
  world.map.partitions.forEach(({ inSync }) => assertEquals(inSync.includes(a.node), false));
  world.obedient = true;
  world.start("b", { held: world.heldOf(b) });
  world.start("c", { held: world.heldOf(c) });
  world.advance(30_000);
  const { unavailable_partitions, under_replicated_partitions } = world.controller.stats();
  assertEquals([unavailable_partitions, under_replicated_partitions], [0, 0]);
});
