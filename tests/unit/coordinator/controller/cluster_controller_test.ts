import {
  assert,
  assertEquals,
  assertExists,
  assertGreater,
  assertLess,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { ClusterController } from "../../../../coordinator/controller/cluster_controller.ts";
import { place } from "../../../../coordinator/placement/placement.ts";
import { newCluster, type StoredCluster } from "../../../../coordinator/state/stored_cluster.ts";
import { type NodeId, whyNotLaidOut } from "../../../../shared/cluster/cluster_map.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { MOVES_PER_NODE_MAX } from "../../../../shared/limits/membership.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import {
  DrivenController,
  idOf,
  type Process,
  SETTINGS,
  settled,
  World,
  type WorldOptions,
} from "../../../support/worlds/membership_world.ts";

/** Three nodes, everything in sync. */
function three(options: WorldOptions = {}): { world: World; a: Process; b: Process; c: Process } {
  const [world, a, b, c] = settled(3, options);
  assert(a !== undefined && b !== undefined && c !== undefined);
  return { world, a, b, c };
}

/** The first partition of which the node is (not) primary. */
function partitionOf(world: World, id: NodeId, primary = true): number {
  const p = world.map.partitions.findIndex((config) =>
    primary ? config.primary === id : config.primary !== id && config.inSync.includes(id)
  );
  assert(p >= 0);
  return p;
}

function processOf(world: World, id: NodeId | undefined): Process {
  const process = [...world.processes.values()].find((p) => p.node === id && p.alive);
  assertExists(process);
  return process;
}

function registration(process: Process): Message<"register"> {
  return {
    req_type: "register",
    node: process.node,
    instance: process.instance,
    incarnation: process.incarnation,
    host: "h",
    port: 1,
    http_port: 0,
    zone: "z",
    weight: 1,
    held: [],
  };
}

function lagging(p: number, term: number, node: NodeId): Message<"lagging"> {
  return { req_type: "lagging", p, term, node, reason: "test" };
}

// Beginning.

Deno.test("ClusterController: the first node of a new cluster is primary of everything", () => {
  const world = new World();
  const a = world.start("a");
  world.map.partitions.forEach(({ term, primary, inSync }) => {
    assertEquals([term, primary, inSync], [1, a.node, [a.node]]);
  });
});

Deno.test("ClusterController: later nodes of a new cluster come as learners", () => {
  const world = new World();
  world.start("a");
  const b = world.start("b");
  world.advance(100);
  const learning = world.map.partitions.filter(({ learners }) => learners.includes(b.node));
  assertEquals(learning.length, MOVES_PER_NODE_MAX);
  world.obedient = true;
  world.advance(5_000);
  assertEquals(world.controller.stats().moves, 0);
  world.map.partitions.forEach(({ inSync }) => assertEquals(inSync.length, 2));
  const own = world.map.partitions.filter(({ primary }) => primary === b.node).length;
  assertGreater(own, 5);
  assertLess(own, 11);
});

Deno.test("ClusterController: with expectNodes the first placement waits for them", () => {
  const world = new World({ expectNodes: 3 });
  const a = world.start("a");
  world.start("b");
  world.advance(1_000);
  assertEquals(world.map.partitions[0]?.inSync, []);
  assertEquals(world.received(a, "registered").length, 1);
  assertEquals(world.controller.stats().awaited_nodes, 3);
  // Once for each number of nodes, not at each tick.
  const waits = "a new cluster waits for its nodes before it is placed ";
  assertEquals(
    world.infos.filter((line) => line.startsWith(waits)).map((line) => line.slice(waits.length)),
    [0, 1, 2].map((nodes) =>
      JSON.stringify({
        nodes,
        expected: 3,
        reason: whyNotLaidOut({ there: nodes, awaited: 3, minInSync: 1 }),
      })
    ),
  );
  world.start("c");
  assertEquals(world.controller.stats().awaited_nodes, 0);
  world.map.partitions.forEach(({ term, inSync }) => assertEquals([term, inSync.length], [1, 3]));
});

Deno.test("ClusterController: the first placement waits for as many nodes as a write needs", () => {
  const world = new World({ settings: { minInSync: 2 } });
  const a = world.start("a");
  world.advance(1_000);
  assertEquals(world.map.partitions[0]?.inSync, []);
  assertEquals(world.controller.stats().awaited_nodes, 2);
  // The first one dies at once: nobody misses what it never got.
  world.kill(a);
  world.advance(3_000);
  world.start("b");
  world.advance(1_000);
  assertEquals(world.controller.stats().awaited_nodes, 2, "one of two is there");
  world.start("c");
  world.map.partitions.forEach(({ inSync }) => assertEquals(inSync.length, 2));
  assertEquals(world.controller.stats().read_only_partitions, 0);
});

Deno.test("ClusterController: partitions with fewer replicas in sync than a write needs are counted", () => {
  const { world, a, b } = three({ settings: { minInSync: 2 } });
  world.kill(a);
  world.advance(3_000);
  assertEquals(world.controller.stats().read_only_partitions, 0, "two of three are enough");
  world.kill(b);
  world.advance(3_000);
  const stats = world.controller.stats();
  assertEquals([stats.read_only_partitions, stats.unavailable_partitions], [16, 0]);
});

Deno.test("ClusterController: a session is told of nothing before it is on disk", () => {
  const world = new World({ autoPersist: false });
  world.persist();
  const a = world.start("a");
  world.advance(200);
  assertEquals(a.inbox, []);
  assertEquals(world.map.nodes, []);
  world.persist();
  assertEquals(a.inbox.map((m) => m.req_type), ["registered"]);
  assertEquals(world.map.nodes.length, 1);
});

Deno.test("ClusterController: what is decided during a write goes into the next one", () => {
  const world = new World({ autoPersist: false });
  const a = world.start("a");
  world.persist();
  world.start("b");
  world.start("c");
  const { epoch } = world.map;
  world.persist();
  world.persist();
  assertEquals(world.map.nodes.length, 3);
  assertEquals(world.map.epoch, epoch + 2);
  assertEquals(a.map, world.map);
});

Deno.test("ClusterController: a failed write is tried again with another epoch, and shown to nobody", () => {
  const { world, a } = three({ autoPersist: true });
  world.failWrites = true;
  world.autoPersist = false;
  const { epoch } = world.map;
  world.kill(a);
  world.advance(2_600);
  world.persist();
  assertEquals(world.map.epoch, epoch);
  world.failWrites = false;
  world.autoPersist = true;
  world.advance(1_100);
  assertGreater(world.map.epoch, epoch + 1);
  assertEquals(world.map.nodes[0]?.state, "down");
});

// Registration.

Deno.test("ClusterController.register: refuses what is malformed, foreign or too old", () => {
  const { world, a } = three();
  const base = registration(a);
  const rows: [Partial<Message<"register">>, string][] = [
    [{ node: "x" }, "bad_request"],
    [{ node: idOf("A") }, "bad_request"],
    [{ host: "" }, "bad_request"],
    [{ zone: "z".repeat(256) }, "bad_request"],
    [{ port: 0 }, "bad_request"],
    [{ port: 70_000 }, "bad_request"],
    [{ weight: 0 }, "bad_request"],
    [{ weight: NaN }, "bad_request"],
    [{ weight: 1e9 }, "bad_request"],
    [{ held: [[99, 1, 1, 0]] }, "bad_request"],
    [{ held: [[1, 1]] as never }, "bad_request"],
    [{ cluster_id: "other" }, "wrong_cluster"],
    [{ cluster_name: "other" }, "wrong_cluster"],
    [{ incarnation: 0 }, "stale_incarnation"],
    [{ instance: "another" }, "stale_incarnation"],
  ];
  for (const [change, code] of rows) {
    const refusal = world.controller.register(999, { ...base, ...change }, world.nowMs);
    assertEquals(refusal?.code, code, JSON.stringify(change));
  }
  assertEquals(
    world.controller.register(
      999,
      { ...base, cluster_id: "c1", cluster_name: "whatever it was called" },
      world.nowMs,
    ),
    undefined,
  );
});

Deno.test("ClusterController.register: one connection is one node's", () => {
  const { world, a } = three();
  const d = world.start("d", { register: false });
  d.session = a.session;
  const refusal = world.controller.register(a.session, registration(d), world.nowMs);
  assertEquals(refusal?.code, "bad_request");
});

Deno.test("ClusterController.register: the same process again keeps its roles; its old session is closed", () => {
  const { world, a } = three();
  const before = world.map.partitions;
  const old = a.session;
  world.register(a);
  assertEquals(world.closed, [old]);
  assertEquals(world.map.partitions, before);
  world.advance(5_000);
  assertEquals(world.map.partitions, before);
});

Deno.test("ClusterController: a session that is lost and comes back changes nothing", () => {
  const { world, a } = three();
  const before = world.map.partitions;
  world.controller.sessionClosed(a.session, world.nowMs);
  world.advance(2_000);
  assertExists(world.beat(a));
  assertEquals(world.register(a), undefined);
  world.advance(10_000);
  assertEquals(world.map.partitions, before);
});

// Who can be told.

/** Whether the world's log says why the node is down. */
function whyDown(world: World, { node }: Process): string | undefined {
  return world.warnings.find((line) => line.startsWith("a node is down") && line.includes(node));
}

Deno.test("ClusterController: a node without a session is down though its heartbeats come, and gets no role", () => {
  const { world, a, b } = three();
  world.obedient = true;
  world.advance(5_000);
  const since = world.nowMs;
  world.controller.sessionClosed(a.session, world.nowMs);
  // Another one stops in good order at the same moment: nothing of it goes to who cannot be told.
  const had = world.map.partitions.filter(({ primary }) => primary === a.node).length;
  world.leave(b, true);
  while (world.map.nodes.some(({ id, state }) => id === a.node && state !== "down")) {
    world.advance(50);
    const has = world.map.partitions.filter(({ primary }) => primary === a.node).length;
    assert(has <= had, "it is given none");
  }
  assert(world.nowMs - since <= 2_500 + 50, `${world.nowMs - since} ms`);
  assertStringIncludes(whyDown(world, a) ?? "", "it has no connection to the TCP port");
  world.advance(2_000);
  assertEquals(world.map.partitions.filter(({ primary }) => primary === a.node), []);
  assertEquals(world.beat(a), undefined);
  assertEquals(world.register(a), undefined);
  assertEquals(world.beat(a)?.lease, true);
});

Deno.test("ClusterController: a node to which nothing gets through is down, and its roles go to others in time", () => {
  const { world, a } = three();
  world.advance(5_000);
  a.deaf = true;
  const since = world.nowMs;
  while (world.map.partitions.some(({ primary }) => primary === a.node)) {
    world.advance(50);
    assert(world.nowMs - since <= 3_600, "within the time of any single fault");
  }
  assertStringIncludes(whyDown(world, a) ?? "", "nothing gets through its TCP connection");
  world.undeafen(a);
  world.register(a);
  world.advance(500);
  assertEquals(world.map.nodes.find(({ id }) => id === a.node)?.state, "up");
});

Deno.test("ClusterController: a node that hears and does not take over maps is down in time", () => {
  const { world, a, b } = three();
  world.advance(5_000);
  const old = a.map;
  a.hear = (message) => message.req_type !== "map_delta";
  world.kill(b);
  const since = world.nowMs;
  while (world.map.nodes.some(({ id, state }) => id === a.node && state !== "down")) {
    world.advance(50);
    assertEquals(a.map, old);
    assert(world.nowMs - since <= 2_500 + 500 + 3_600, `after ${world.nowMs - since} ms`);
  }
  assertStringIncludes(whyDown(world, a) ?? "", "does not take over map");
});

Deno.test("ClusterController: a node that registers and hears nothing is never live, and nothing is placed on it", () => {
  const world = new World();
  const process = world.start("a", { register: false });
  process.deaf = true;
  for (let i = 0; i < 5; i++) {
    world.register(process);
    assertEquals(world.beat(process)?.lease, false);
    world.advance(5_000);
    assertEquals(world.controller.stats().nodes.up, 0);
  }
  assertEquals(world.map.partitions.every(({ primary }) => primary === undefined), true);
  process.deaf = false;
  world.register(process);
  assertEquals(world.map.partitions.every(({ primary }) => primary === process.node), true);
});

Deno.test("ClusterController.heartbeat: who hears again after a while has a lease with the next", () => {
  const { world, a } = three();
  world.advance(5_000);
  a.deaf = true;
  world.advance(2_000);
  a.deaf = false;
  assertEquals(world.beat(a)?.lease, false, "it repeats old news");
  assertEquals(world.beat(a)?.lease, true);
  assertEquals(world.map.nodes.find(({ id }) => id === a.node)?.state, "up");
});

Deno.test("ClusterController.heartbeat: what an earlier coordinator said is not taken for this one's word", () => {
  const { world, a } = three();
  world.advance(5_000);
  a.heardAt = world.nowMs + 1;
  assertEquals(world.beat(a)?.lease, false);
});

Deno.test("ClusterController.stats: counts the partitions that their primaries cannot serve", () => {
  const { world, a, b } = three();
  a.unserved = 3;
  b.unserved = 2;
  world.advance(500);
  assertEquals(world.controller.stats().unserved_partitions, 5);
  world.kill(b);
  world.advance(5_000);
  assertEquals(world.controller.stats().unserved_partitions, 3);
});

// Heartbeats.

Deno.test("ClusterController.heartbeat: only a live process is acknowledged; others are told to register", () => {
  const { world, a } = three();
  assertExists(world.beat(a));
  a.heard = false;
  world.advance(2_600);
  assertEquals(world.map.nodes.find(({ id }) => id === a.node)?.state, "down");
  assertEquals(world.beat(a), undefined);
  assertEquals(world.received(a, "register_again").length, 1);
  assertEquals(world.register(a), undefined);
  assertExists(world.beat(a));
  const other = { ...a, instance: "other" };
  assertEquals(world.beat(other), undefined);
  assertEquals(world.received(a, "register_again").length, 1, "another process's matter");
});

Deno.test("ClusterController.heartbeat: one that lost its roles gets no lease before it has the map", () => {
  const { world, a } = three();
  world.beat(a);
  a.heard = false;
  world.advance(2_400);
  world.autoPersist = false;
  world.advance(200);
  // The failover is decided and not published. The old primary comes back and knows nothing of it.
  assertExists(world.writing);
  const published = world.map.epoch;
  a.heard = true;
  world.register(a);
  const ack = world.beat(a);
  assertGreater(ack?.epoch ?? 0, published);
  assertEquals(a.leaseUntilMs, 0);
});

// Failures.

Deno.test("ClusterController: the next in-sync replicas take over after a failure, one term later", () => {
  const { world, a } = three();
  const before = world.map.partitions;
  world.beat(a);
  world.kill(a);
  world.advance(2_400);
  assertEquals(world.map.partitions, before);
  world.advance(300);
  world.map.partitions.forEach((config, p) => {
    const was = before[p];
    assertExists(was);
    const others = was.inSync.filter((id) => id !== a.node);
    assertEquals(config.inSync, others);
    assertEquals(config.primary, others[0]);
    assertEquals(config.term, 2);
  });
  assertEquals(world.controller.stats().unavailable_partitions, 0);
});

Deno.test("ClusterController: a restarted node's partitions wait for its old lease, then move", () => {
  const { world, a } = three();
  const p = partitionOf(world, a.node);
  world.beat(a);
  const beatMs = world.nowMs;
  const held = world.heldOf(a);
  world.kill(a);
  world.advance(200);
  const a2 = world.start("a", { held });
  assertEquals(world.config(p).primary, undefined, "never named by a map that its process gets");
  assertEquals(a2.map?.partitions[p]?.primary, undefined);
  world.advance(1_300);
  assertEquals(world.config(p).primary, undefined);
  assertLess(world.nowMs, beatMs + 1_575);
  world.advance(200);
  assertGreater(world.nowMs, beatMs + 1_575);
  assertExists(world.config(p).primary);
  assert(world.config(p).primary !== a.node);
  assert(!world.config(p).inSync.includes(a.node));
  assertEquals(world.config(p).learners.length <= 1, true);
  world.obedient = true;
  world.advance(5_000);
  assertEquals(world.config(p).primary, a.node, "and back, when it has caught up");
  assertEquals(world.config(p).inSync.length, 3);
});

Deno.test("ClusterController: a restarted replica leaves the set and comes back as a learner", () => {
  const { world, a } = three();
  const p = partitionOf(world, a.node, false);
  const { term } = world.config(p);
  const held = world.heldOf(a);
  world.kill(a);
  world.advance(100);
  world.start("a", { held });
  world.advance(600);
  assert(!world.config(p).inSync.includes(a.node));
  assertGreater(world.config(p).term, term);
  world.obedient = true;
  world.advance(5_000);
  assertEquals(world.config(p).inSync.length, 3);
});

Deno.test("ClusterController: of a single node's restart the partition waits for the lease alone", () => {
  const world = new World({ settings: { replicationFactor: 1 } });
  const a = world.start("a");
  world.advance(1_000);
  const held = world.heldOf(a);
  world.kill(a);
  world.advance(100);
  world.start("a", { held });
  world.advance(1_600);
  world.map.partitions.forEach(({ primary }) => assertEquals(primary, a.node));
});

Deno.test("ClusterController: everything restarted at once: the replica that reports most is primary", () => {
  const { world, a, b, c } = three();
  const helds = [world.heldOf(a, 10), world.heldOf(b, 12), world.heldOf(c, 11)];
  for (const process of [a, b, c]) world.kill(process);
  world.advance(6_000);
  world.map.partitions.forEach(({ primary, inSync }) => {
    assertEquals(primary, undefined);
    assertEquals(inSync.length, 3, "everybody keeps the claim");
  });
  assertEquals(world.controller.stats().lost_partitions, 16);
  const said = world.errors.find((line) => line.startsWith("partitions without a primary"));
  assertStringIncludes(said ?? "", '"partitions":"0 1 2 3 4 5 6 7 …"');
  const { host, port } = a.map?.nodes.find(({ id }) => id === a.node) ?? {};
  assertStringIncludes(said ?? "", `"holders":"${a.node} (${host}:${port}) ${b.node} (`);
  ["a", "b", "c"].forEach((letter, i) => world.start(letter, { held: helds[i] ?? [] }));
  world.advance(100);
  // The first that came was alone for no time: all three were there within the same tick or chosen
  // by what was there; each has every acknowledged write.
  world.map.partitions.forEach(({ primary }) => assertExists(primary));
  assertEquals(world.controller.stats().lost_partitions, 0);
});

Deno.test("ClusterController: everything restarted before anybody was missed", () => {
  const { world, a, b, c } = three();
  const helds = [world.heldOf(a, 10), world.heldOf(b, 12), world.heldOf(c, 11)];
  for (const process of [a, b, c]) world.kill(process);
  world.advance(300);
  ["a", "b", "c"].forEach((letter, i) => world.start(letter, { held: helds[i] ?? [] }));
  world.map.partitions.forEach(({ inSync }) => assertEquals(inSync.length, 3));
  world.advance(1_700);
  world.map.partitions.forEach(({ primary, inSync }) => {
    assertEquals(primary, b.node, "it reports the highest seq");
    assertEquals(inSync.length, 3);
  });
});

Deno.test("ClusterController: one of three restarted ones stays away: it is waited for, then not", () => {
  const { world, a, b, c } = three();
  const helds = [world.heldOf(a), world.heldOf(b)];
  for (const process of [a, b, c]) world.kill(process);
  world.advance(300);
  world.start("a", { held: helds[0] ?? [] });
  world.start("b", { held: helds[1] ?? [] });
  world.advance(1_500);
  // Of its own partitions it is still primary by name, since it has not been missed yet.
  world.map.partitions.forEach(({ primary }) =>
    assert(primary === undefined || primary === c.node)
  );
  world.advance(1_200);
  assertEquals(world.controller.stats().unavailable_partitions, 0);
  world.map.partitions.forEach(({ inSync }) => assert(!inSync.includes(c.node)));
});

Deno.test("ClusterController: an emptied or damaged replica is not chosen; it waits for the good one", () => {
  const { world, a, b, c } = three();
  const held = world.heldOf(a);
  const damaged = world.heldOf(c).map(([p, term, seq]) => [p, term, seq, 1] as const);
  for (const process of [a, b, c]) world.kill(process);
  world.advance(10_000);
  world.start("b", { held: [] });
  world.start("c", { held: damaged });
  world.advance(5_000);
  assertEquals(world.controller.stats().lost_partitions, 16);
  world.start("a", { held });
  world.advance(100);
  world.map.partitions.forEach(({ primary, inSync }) => {
    assertEquals(primary, a.node);
    assertEquals(inSync, [a.node]);
  });
});

Deno.test("ClusterController: a node that was declared failed comes back as the same process", () => {
  const { world, a, b, c } = three();
  for (const process of [a, b, c]) process.heard = false;
  world.advance(4_000);
  assertEquals(world.controller.stats().unavailable_partitions, 16);
  b.heard = true;
  assertEquals(world.register(b), undefined);
  world.advance(100);
  world.map.partitions.forEach(({ primary, inSync }) => {
    assertEquals(primary, b.node, "it never stopped; no lease of others can be left");
    assertEquals(inSync, [b.node]);
  });
});

Deno.test("ClusterController: when all fall silent at once, nobody is dropped on another's word", () => {
  const { world, a, b, c } = three();
  // The last heartbeats come within one interval.
  world.beat(a);
  world.kill(a);
  world.nowMs += 200;
  world.beat(b);
  world.kill(b);
  world.nowMs += 250;
  world.beat(c);
  world.kill(c);
  world.advance(4_000);
  world.map.partitions.forEach(({ inSync }) => assertEquals(inSync.length, 3));
});

Deno.test("ClusterController: a coordinator that stood still judges nobody for what it did not hear", () => {
  const { world } = three();
  const before = world.map.partitions;
  world.nowMs += 20_000;
  world.controller.tick(world.nowMs);
  world.advance(5_000);
  assertEquals(world.map.partitions, before);
});

Deno.test("ClusterController: an older process is refused and has no say", () => {
  const { world, a } = three();
  const a2 = world.start("a", { held: world.heldOf(a) });
  assertEquals(world.beat(a), undefined);
  assertEquals(world.register(a)?.code, "stale_incarnation");
  const p = partitionOf(world, a.node, false);
  const { term } = world.config(p);
  world.controller.report(a.session, { req_type: "damaged", p, term }, world.nowMs);
  assertEquals(world.config(p).term, term);
  assertExists(world.beat(a2));
});

// Reports.

Deno.test("ClusterController: a replica that lags leaves the set, and is filled again later and later", () => {
  const { world, a } = three();
  const p = partitionOf(world, a.node);
  const lame = world.config(p).inSync[1];
  assertExists(lame);
  let { term } = world.config(p);
  world.report(a, lagging(p, term, lame));
  assertEquals(world.config(p).inSync.length, 2);
  assertEquals(world.config(p).term, term + 1);
  const pauses: number[] = [];
  for (let i = 0; i < 3; i++) {
    const sinceMs = world.nowMs;
    while (!world.config(p).learners.includes(lame)) world.advance(50);
    pauses.push(Math.round((world.nowMs - sinceMs) / 1_000));
    term = world.config(p).term;
    world.report(a, lagging(p, term, lame));
    assertEquals(world.config(p).learners, []);
    assertEquals(world.config(p).term, term + 1, "what it might still report is old now");
  }
  assertEquals(pauses, [1, 2, 4]);
});

Deno.test("ClusterController: old news is ignored", () => {
  const { world, a } = three();
  const p = partitionOf(world, a.node);
  const [, second, third] = world.config(p).inSync;
  assert(second !== undefined && third !== undefined);
  const { term } = world.config(p);
  world.report(a, lagging(p, term, second));
  const { config } = { config: world.config(p) };
  world.report(a, lagging(p, term, third));
  world.report(a, { req_type: "drained", p, term });
  world.report(a, { req_type: "resumed", p, term });
  world.controller.report(a.session, { req_type: "caught_up", p, term, node: second }, world.nowMs);
  assertEquals(world.config(p), config);
});

Deno.test("ClusterController: only the primary's present session may report", () => {
  const { world, a, b } = three();
  const p = partitionOf(world, a.node);
  const { term } = world.config(p);
  const config = world.config(p);
  world.report(b, lagging(p, term, a.node));
  assertEquals(world.config(p), config);
  const old = a.session;
  world.register(a);
  world.controller.report(old, lagging(p, term, b.node), world.nowMs);
  world.controller.report(12_345, lagging(p, term, b.node), world.nowMs);
  assertEquals(world.config(p), config);
  world.report(a, lagging(p, term, a.node));
  world.report(a, lagging(999, term, b.node));
  assertEquals(world.config(p), config);
});

Deno.test("ClusterController: a learner that restarts meanwhile is not in sync by an old report", () => {
  const { world, a, b } = three();
  const p = partitionOf(world, a.node);
  world.report(a, lagging(p, world.config(p).term, b.node));
  while (!world.config(p).learners.includes(b.node)) world.advance(50);
  const { term } = world.config(p);
  world.start("b");
  assertGreater(world.config(p).term, term);
  world.controller.report(
    a.session,
    { req_type: "caught_up", p, term, node: b.node },
    world.nowMs,
  );
  assert(!world.config(p).inSync.includes(b.node));
});

Deno.test("ClusterController: resumed gives the same primary a new term", () => {
  const { world, a } = three();
  const p = partitionOf(world, a.node);
  const before = world.config(p);
  world.report(a, { req_type: "resumed", p, term: before.term });
  assertEquals(world.config(p), { ...before, term: before.term + 1 });
});

Deno.test("ClusterController: a damaged replica goes; a damaged primary's place is taken at once", () => {
  const { world, a } = three();
  const own = partitionOf(world, a.node);
  const other = partitionOf(world, a.node, false);
  const next = world.config(own).inSync[1];
  world.report(a, { req_type: "damaged", p: own, term: world.config(own).term });
  world.report(a, { req_type: "damaged", p: other, term: world.config(other).term });
  assertEquals(world.config(own).primary, next);
  assert(!world.config(own).inSync.includes(a.node));
  assert(!world.config(other).inSync.includes(a.node));
  world.obedient = true;
  world.advance(4_000);
  assertEquals(world.config(own).inSync.length, 3, "filled anew");
  assertEquals(world.controller.stats().damaged_replicas, 0);
});

Deno.test("ClusterController: the last replica stays primary, damaged or not", () => {
  const world = new World({ settings: { replicationFactor: 1 } });
  const a = world.start("a");
  world.advance(100);
  world.report(a, { req_type: "damaged", p: 0, term: 1 });
  assertEquals(world.config(0).primary, a.node);
  assertEquals(world.controller.stats().damaged_replicas, 1);
});

// Moves.

Deno.test("ClusterController: a fourth node gets about a quarter, a few at a time", () => {
  const { world } = three({ settings: { partitionCount: 256 } });
  const d = world.start("d");
  world.advance(100);
  let most = 0;
  for (let i = 0; i < 400 && (i < 10 || world.controller.stats().moves > 0); i++) {
    const learning = world.map.partitions.filter(({ learners }) => learners.includes(d.node));
    most = Math.max(most, learning.length);
    world.obey();
    world.advance(50);
    world.map.partitions.forEach(({ inSync }) => assertGreater(inSync.length, 2));
  }
  world.obedient = true;
  world.advance(2_000);
  assertEquals(most, MOVES_PER_NODE_MAX);
  const replicas = world.map.partitions.filter(({ inSync }) => inSync.includes(d.node)).length;
  const own = world.map.partitions.filter(({ primary }) => primary === d.node).length;
  assertGreater(replicas, 170);
  assertLess(replicas, 225);
  assertGreater(own, 50);
  assertLess(own, 78);
  world.map.partitions.forEach(({ inSync, learners }) => {
    assertEquals([inSync.length, learners.length], [3, 0]);
  });
});

Deno.test("ClusterController: replicas of a dead node go to others only after the repair delay", () => {
  const [world, a] = settled(4);
  assertExists(a);
  world.kill(a);
  world.advance(7_000);
  assertEquals(world.controller.stats().moves, 0);
  assertGreater(world.controller.stats().under_replicated_partitions, 0);
  world.obedient = true;
  world.advance(3_000);
  assertEquals(world.controller.stats().under_replicated_partitions, 0);
});

Deno.test("ClusterController: partitions that lack replicas go first", () => {
  const [world, a] = settled(4, { settings: { partitionCount: 64 } });
  assertExists(a);
  world.kill(a);
  world.advance(3_000);
  world.start("e");
  world.advance(5_500);
  const filled = world.map.partitions.filter(({ learners }) => learners.length > 0);
  assertGreater(filled.length, 0);
  const lacking = world.map.partitions.filter(({ inSync }) => inSync.length < 3).length;
  assertGreater(lacking, 0);
  const urgent = filled.filter(({ inSync }) => inSync.length < 3).length;
  assertGreater(urgent, filled.length / 2);
});

Deno.test("ClusterController: a hand-over is published when the old primary has drained", () => {
  const { world, a, b } = three();
  world.kill(a);
  world.advance(3_000);
  const a2 = world.start("a");
  const moved = () => [...world.processes.values()].flatMap((p) => world.received(p, "handover"));
  while (moved().length === 0) {
    world.map.partitions.forEach(({ primary, learners, term }, p) => {
      for (const node of learners) {
        world.report(processOf(world, primary), { req_type: "caught_up", p, term, node });
      }
    });
    world.advance(50);
  }
  const [order] = moved();
  assertExists(order);
  const { p, term, to } = order;
  assertEquals(to, a2.node);
  const before = world.config(p);
  const old = processOf(world, before.primary);
  assert(old.node !== b.node || before.primary === b.node);
  world.report(old, { req_type: "drained", p, term: term - 1 });
  assertEquals(world.config(p), before, "of another term");
  world.report(old, { req_type: "drained", p, term });
  const after = world.config(p);
  assertEquals(after.primary, a2.node);
  assertEquals(after.term, term + 1);
  assertEquals(after.inSync[0], a2.node);
  assertEquals(after.inSync.toSorted(), before.inSync.toSorted());
});

Deno.test("ClusterController: a hand-over that is not answered is forgotten and ordered again", () => {
  const { world, a } = three();
  world.kill(a);
  world.advance(3_000);
  world.start("a");
  const orders = () => [...world.processes.values()].flatMap((p) => world.received(p, "handover"));
  for (let i = 0; i < 40; i++) {
    world.map.partitions.forEach(({ primary, learners, term }, p) => {
      for (const node of learners) {
        world.report(processOf(world, primary), { req_type: "caught_up", p, term, node });
      }
    });
    world.advance(50);
  }
  const [first] = orders();
  assertExists(first);
  const { p, term } = first;
  world.advance(1_500);
  const config = world.config(p);
  assertEquals(config.term, term);
  world.report(processOf(world, config.primary), { req_type: "drained", p, term });
  assertEquals(world.config(p), config, "too late: it serves again");
  world.advance(3_000);
  assertEquals(orders().filter((order) => order.p === p).length, 2);
});

Deno.test("ClusterController: surplus replicas go only when all that are wanted for are in sync", () => {
  const { world } = three({ settings: { partitionCount: 64 } });
  world.start("d");
  for (let i = 0; i < 100; i++) {
    world.advance(100);
    world.map.partitions.forEach(({ inSync }) => assertGreater(inSync.length, 2));
    world.obey();
  }
  world.map.partitions.forEach(({ inSync }) => assertEquals(inSync.length, 3));
});

// Leaving.

Deno.test("ClusterController.leave: a node is emptied, then let go and taken off the list", () => {
  const [world, a] = settled(4, { obedient: true });
  assertExists(a);
  const gone = world.received(a, "left");
  assertEquals(gone, []);
  let left = 0;
  world.leave(a, false);
  assertEquals(world.map.nodes.find(({ id }) => id === a.node)?.state, "leaving");
  const min = () => Math.min(...world.map.partitions.map(({ inSync }) => inSync.length));
  for (let i = 0; i < 200 && left === 0; i++) {
    world.obedient = false;
    world.advance(50);
    left += world.received(a, "left").length;
    world.obey();
    assertEquals(min() >= 3, true);
  }
  assertEquals(left, 1);
  assert(!world.map.nodes.some(({ id }) => id === a.node));
  assertEquals(world.controller.stats().under_replicated_partitions, 0);
  world.kill(a);
  world.advance(5_000);
});

Deno.test("ClusterController.leave: with nowhere to go it hands its primaries over and goes", () => {
  const { world, a } = three();
  world.leave(a, false);
  let left = 0;
  for (let i = 0; i < 100 && left === 0; i++) {
    world.advance(50);
    left += world.received(a, "left").length;
    world.obey();
  }
  assertEquals(left, 1);
  world.map.partitions.forEach(({ inSync, primary }) => {
    assertEquals(inSync.length, 2);
    assertExists(primary);
  });
});

Deno.test("ClusterController.leave: the last node simply goes, and keeps its claim", () => {
  const world = new World();
  const a = world.start("a");
  world.advance(100);
  const held = world.heldOf(a);
  world.leave(a, false);
  assertEquals(world.received(a, "left").length, 1);
  world.kill(a);
  world.advance(3_000);
  assertEquals(world.config(0), { term: 2, primary: undefined, inSync: [a.node], learners: [] });
  world.start("a", { held });
  world.advance(100);
  assertEquals(world.config(0).primary, a.node);
  assertEquals(world.map.nodes[0]?.state, "up");
});

Deno.test("ClusterController.leave: a node that stops hands over its primaries and keeps its replicas", () => {
  const { world, a } = three();
  world.leave(a, true);
  let left = 0;
  for (let i = 0; i < 100 && left === 0; i++) {
    world.advance(50);
    left += world.received(a, "left").length;
    world.obey();
  }
  assertEquals(left, 1);
  world.map.partitions.forEach(({ inSync, primary }) => {
    assertEquals(inSync.length, 3);
    assert(primary !== a.node);
  });
  world.kill(a);
  assertEquals(world.map.nodes.find(({ id }) => id === a.node)?.state, "down", "it said so");
  world.advance(1_500);
  world.map.partitions.forEach(({ inSync }) => assertEquals(inSync.length, 2));
});

Deno.test("ClusterController.leave: all stop at once: each is let go at once", () => {
  const { world, a, b, c } = three();
  for (const process of [a, b, c]) world.leave(process, true);
  world.advance(100);
  for (const process of [a, b, c]) assertEquals(world.received(process, "left").length, 1);
  world.map.partitions.forEach(({ inSync }) => assertEquals(inSync.length, 3));
});

Deno.test("ClusterController: a memory node that died is taken off the list; its replicas are elsewhere", () => {
  const [world] = settled(3, { obedient: true });
  const d = world.start("d", { memory: true });
  world.advance(5_000);
  world.kill(d);
  world.advance(12_000);
  assert(!world.map.nodes.some(({ id }) => id === d.node));
});

// The coordinator's restart.

Deno.test("ClusterController: after its restart nothing moves, if the nodes come back in time", () => {
  const { world, a, b, c } = three();
  const before = world.map.partitions;
  world.restartCoordinator();
  world.advance(500);
  for (const process of [a, b, c]) assertEquals(world.register(process), undefined);
  world.advance(10_000);
  assertEquals(world.map.partitions.map((x) => x), before.map((x) => x));
});

Deno.test("ClusterController: after its restart it judges nobody for a failure timeout", () => {
  const { world, a, b, c } = three();
  const before = world.map.partitions;
  world.restartCoordinator();
  for (const process of [b, c]) world.register(process);
  world.kill(a);
  world.advance(2_400);
  assertEquals(world.map.partitions, before);
  world.advance(300);
  assertEquals(world.controller.stats().unavailable_partitions, 0);
  world.map.partitions.forEach(({ inSync }) => assertEquals(inSync.length, 2));
});

Deno.test("ClusterController: after its restart it still knows whose roles are those of an earlier process", () => {
  const { world, a, b, c } = three();
  const p = partitionOf(world, a.node);
  for (const process of [a, b, c]) world.kill(process);
  world.advance(3_000);
  // Comes back emptied: its role in the set is worth nothing.
  const a2 = world.start("a", { held: [] });
  world.advance(3_000);
  assertEquals(world.config(p).primary, undefined);
  world.restartCoordinator();
  assertEquals(world.register(a2, { held: [] }), undefined);
  world.advance(6_000);
  assertEquals(world.config(p).primary, undefined);
  assertEquals(world.config(p).inSync.length, 3);
});

Deno.test("ClusterController: after its restart a copied folder's process is still told apart", () => {
  const { world, a } = three();
  world.restartCoordinator();
  const twin = { ...a, instance: "twin" };
  assertEquals(world.register(twin)?.code, "stale_incarnation");
  assertEquals(world.register(a), undefined);
});

Deno.test("ClusterController: all restarted, the coordinator too, before anybody served", () => {
  const { world } = three();
  const fresh = new World({ expectNodes: 3 });
  for (const letter of ["a", "b", "c"]) fresh.start(letter);
  for (const process of fresh.processes.values()) fresh.kill(process);
  fresh.restartCoordinator();
  for (const letter of ["a", "b", "c"]) fresh.start(letter, { held: [] });
  fresh.advance(3_000);
  assertEquals(fresh.controller.stats().unavailable_partitions, 0);
  assertEquals(world.disk?.fresh, [], "once adopted, an empty disk is an emptied one");
});

// Force.

Deno.test("ClusterController.force: serves from the best replica that is left", () => {
  const { world, a, b, c } = three({ settings: { partitionCount: 4 } });
  const old = world.heldOf(b, 3);
  world.kill(b);
  world.advance(10_000);
  for (const process of [a, c]) world.kill(process);
  world.advance(5_000);
  assertThrows(() => world.controller.force(undefined, b.node, world.nowMs), KvError);
  world.start("b", { held: old });
  world.advance(5_000);
  assertEquals(world.controller.stats().lost_partitions, 4);
  for (let p = 0; p < 4; p++) world.forced.add(`${p}/${b.node}`);
  const forced = world.controller.force(undefined, undefined, world.nowMs);
  world.advance(50);
  assertEquals(
    forced,
    [0, 1, 2, 3].map((partition) => ({ partition, node: b.node, term: 1, last_seq: 3 })),
  );
  assertEquals(world.controller.stats().unavailable_partitions, 0);
  assertEquals(world.config(0).inSync, [b.node]);

  // Whoever comes back learns that it has another past, also from later configurations.
  const forcedTerm = world.config(0).forcedTerm ?? 0;
  assertEquals(forcedTerm, world.config(0).term);
  world.obedient = true;
  world.start("a", { held: world.heldOf(a) });
  world.advance(10_000);
  world.restartCoordinator();
  assertEquals(world.config(0).inSync.includes(a.node), true);
  assertEquals(world.config(0).forcedTerm, forcedTerm);
  assertGreater(world.config(0).term, forcedTerm);
});

Deno.test("ClusterController.force: refuses what is served, unknown or down", () => {
  const { world, a } = three();
  for (
    const [p, node] of [[0, undefined], [99, undefined], [undefined, "x"]] as const
  ) {
    const error = assertThrows(() => world.controller.force(p, node, world.nowMs), KvError);
    assertEquals(error.code, "bad_request");
  }
  assertEquals(world.controller.force(undefined, a.node, world.nowMs), []);
});

Deno.test("ClusterController: after its restart it waits for leases that it does not know of", () => {
  const { world, a } = three();
  const p = partitionOf(world, a.node);
  world.beat(a);
  const held = world.heldOf(a);
  world.kill(a);
  world.start("a", { held });
  assertEquals(world.config(p).primary, undefined);
  // Whose lease the partition waits for is forgotten with this.
  world.restartCoordinator();
  for (const process of world.processes.values()) if (process.alive) world.register(process);
  world.advance(1_500);
  assertEquals(world.config(p).primary, undefined);
  world.advance(200);
  assertExists(world.config(p).primary);
});

Deno.test("ClusterController: after its restart, leases of the former settings are waited for", () => {
  const { world } = three();
  const stored = world.disk;
  assertExists(stored);
  let writing: StoredCluster | undefined;
  const settings = { ...stored.map.settings, leaseMs: 1_100 };
  const controller = new DrivenController(
    {
      place,
      stored: {
        ...stored,
        leaseMsMax: 2_000,
        map: {
          ...stored.map,
          settings,
          partitions: stored.map.partitions.map((c) => ({ ...c, primary: undefined })),
        },
      },
      changed: true,
      repairDelayMs: 0,
      expectNodes: 1,
      generation: "again",
      acceptEpoch: undefined,
    },
    0,
    ({ document }) => void (writing = document ?? writing),
  );
  controller.start(0);
  for (const process of world.processes.values()) {
    process.session += 100;
    controller.register(process.session, registration(process), 10);
  }
  const goOn = (ms: number) => {
    for (let next = writing; next !== undefined; next = writing) {
      writing = undefined;
      controller.persisted(next.map.epoch, ms);
    }
    const { epoch } = controller.published;
    for (const { node, instance, incarnation } of world.processes.values()) {
      controller.heartbeat(
        {
          req_type: "heartbeat",
          ...{ node, instance, incarnation, sent: ms, epoch, map: epoch, heard: ms, unserved: 0 },
        },
        undefined,
        ms,
      );
    }
    controller.tick(ms);
  };
  for (let ms = 50; ms < 2_100; ms += 50) goOn(ms);
  assertEquals(controller.stats().unavailable_partitions, 16);
  goOn(2_150);
  assertEquals(controller.stats().unavailable_partitions, 0);
});

Deno.test("ClusterController: who cannot write hands over, leaves the sets, and takes its place again (rule C7)", () => {
  const { world, a } = three();
  const before = world.map.partitions;
  world.obedient = true;
  world.sayDisk(a, false);
  world.advance(2_000);
  assertEquals(world.map.partitions.filter(({ primary }) => primary === a.node), []);
  world.map.partitions.forEach(({ inSync, learners }, p) => {
    const led = before[p]?.primary === a.node;
    // Of others it is a replica until its primary finds that it does not acknowledge.
    assertEquals([inSync.includes(a.node), learners], [!led, []], `partition ${p}`);
  });
  assertEquals(world.controller.stats().read_only_nodes, 1);
  world.sayDisk(a, true);
  world.advance(10_000);
  assertEquals(
    world.map.partitions.map(({ primary, inSync }) => [primary, inSync]),
    before.map(({ primary, inSync }) => [primary, inSync]),
  );
});

Deno.test("ClusterController: if all disks are full, or too few could write without it, nobody hands over (rule C7)", () => {
  for (const [full, minInSync] of [[3, 1], [2, 2]] as const) {
    const { world, a, b, c } = three({ settings: { minInSync } });
    const before = world.map.partitions;
    world.obedient = true;
    for (const process of [a, b, c].slice(0, full)) world.sayDisk(process, false);
    world.advance(3_000);
    const moved = world.map.partitions.filter(({ primary }, p) => primary !== before[p]?.primary);
    assertEquals(moved, [], `${full} are full`);
  }
});

Deno.test("ClusterController: in the place of a dead primary comes one that can write, if there is one (rule C7)", () => {
  const { world, a, b, c } = three({ settings: { minInSync: 2 } });
  world.sayDisk(b, false);
  world.kill(a);
  world.advance(4_000);
  for (const { primary } of world.map.partitions) assert(primary === c.node || primary === b.node);
  const led = world.map.partitions.filter(({ primary }) => primary === b.node).length;
  assertEquals(led, heldFirst(b.node));
  function heldFirst(node: NodeId): number {
    return settled(3, { settings: { minInSync: 2 } })[0].map.partitions.filter((p) =>
      p.primary === node
    ).length;
  }
});

// The order of a step.

Deno.test("ClusterController.step: writes first, and publishes, sends and answers when that is on disk", () => {
  const controller = new ClusterController({
    place,
    stored: newCluster({ ...SETTINGS, replicationFactor: 1 }),
    changed: true,
    generation: "g",
    acceptEpoch: undefined,
    repairDelayMs: 5_000,
    expectNodes: 1,
  }, 0);
  const start = controller.step({ type: "start", heartbeatPort: 7 }, 0);
  assertEquals([start.document?.map.epoch, start.published], [1, undefined]);
  const registered = controller.step({
    type: "register",
    session: 1,
    message: registration(three().a),
  }, 10);
  assertEquals([registered.document, registered.messages], [undefined, []], "one write at a time");
  const first = controller.step({ type: "persisted", epoch: 1 }, 20);
  assertEquals([first.published?.epoch, first.document?.map.epoch], [1, 2]);
  assertEquals(first.messages, [], "the registration is not on disk yet");
  const second = controller.step({ type: "persisted", epoch: 2 }, 30);
  assertEquals(second.published?.nodes.length, 1);
  const [{ sessions, message } = { sessions: [], message: undefined }] = second.messages;
  assertEquals([sessions, message?.req_type], [[1], "registered"]);
  assertEquals(message?.req_type === "registered" && [message.map.epoch, message.heartbeat_port], [
    2,
    7,
  ]);
  assertEquals([second.document, second.published], [undefined, controller.published]);
});

Deno.test("ClusterController.step: with an old document it does nothing more, whatever it is told (rule C9)", () => {
  const { world, a, b } = three();
  const copied = structuredClone(world.disk);
  world.kill(b);
  world.advance(10_000);
  world.disk = copied;
  world.publishedMaps = [];
  world.restartCoordinator();
  const { controller, nowMs } = world;
  // Registered by a node that has seen nothing since, before one comes that has.
  const fresh = world.start("d");
  assertEquals(world.register(a)?.code, "stale_document");
  const { epoch } = world.map;
  controller.disk(fresh.session, false, nowMs);
  controller.leave(fresh.session, true, nowMs);
  controller.tick(nowMs + 60_000);
  assertEquals(controller.askWhatIsHeld(nowMs), false);
  assertEquals([world.writing, world.map.epoch], [undefined, epoch]);
});
