import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type {
  ClusterMap,
  NodeInfo,
  PartitionConfig,
} from "../../../../shared/cluster/cluster_map.ts";
import { awaitMap } from "../../../../client/library/first_map.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { DEADLINE_SCAN_MS } from "../../../../shared/limits/connections.ts";
import {
  HEAVY_REQUESTS_IN_FLIGHT_MAX,
  READ_ATTEMPT_TIMEOUT_MS,
  RETRY_MS_MAX,
} from "../../../../shared/limits/requests.ts";
import { CALLER } from "../../../../shared/wire/caller.ts";
import type { KeyRequest, Message, Reply, Request } from "../../../../shared/wire/messages.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import { Router, type RouterOptions } from "../../../../shared/routing/router.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../../../support/doubles/memory_transport.ts";
import { type Script, ScriptedNode } from "../../../support/doubles/scripted_node.ts";

const PARTITIONS = 4;
const OK: Reply = { req_type: "ack", message: "success", version: 1 };
const DATA: Reply = { req_type: "data", message: "v", version: 1 };

const put = (key = "k"): KeyRequest => ({ id: 7, req_type: "put", key, value: "v" });
const get = (key = "k"): KeyRequest => ({ req_type: "get", key });
const getReplica: KeyRequest = { req_type: "get", key: "k", consistency: "replica" };
const error = (code: string, detail?: Record<string, unknown>): Reply => ({
  req_type: "error",
  code,
  message: code,
  ...(detail === undefined ? {} : { detail }),
});

class Bench {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock, { delayMs: 1 });
  readonly nodes = new Map<string, ScriptedNode>();
  readonly router: Router;
  readonly replies: Reply[] = [];
  readonly events: string[] = [];
  /** What get_map is answered with. */
  served: ClusterMap | undefined;
  mapRequests = 0;

  constructor(options: Partial<RouterOptions> = {}) {
    const deps = {
      clock: this.clock,
      random: new SeededRandom(5),
      transport: this.network.transport("client"),
    };
    this.router = new Router(deps, {
      role: "client",
      onMap: (map) => this.events.push(`map ${map.epoch}`),
      ...options,
    });
  }

  /** Nodes a, b, c; `a` is the primary of everything and b and c hold replicas. */
  static async start(options: Partial<RouterOptions> = {}, epoch = 1): Promise<Bench> {
    const bench = new Bench(options);
    for (const id of ["a", "b", "c"]) {
      const node = new ScriptedNode(bench.network, id, () => error("internal"));
      await node.start();
      bench.nodes.set(id, node);
      bench.on(id, (request) => request.req_type === "get" ? DATA : OK);
    }
    bench.served = bench.map(epoch, "a");
    if (options.seeds === undefined) bench.router.adopt(bench.served);
    return bench;
  }

  map(
    epoch: number,
    primary: string | undefined,
    change: Partial<PartitionConfig> = {},
  ): ClusterMap {
    const nodes = ["a", "b", "c"].map((id): NodeInfo => ({
      id,
      host: id,
      port: 1,
      httpPort: 0,
      zone: id,
      weight: 1,
      incarnation: 1,
      state: "up",
    }));
    const config = { term: epoch, primary, inSync: ["a", "b", "c"], learners: [], ...change };
    return {
      epoch,
      nodes,
      partitions: Array.from({ length: PARTITIONS }, () => config),
      settings: {
        clusterId: "cluster",
        clusterName: "test",
        partitionCount: PARTITIONS,
        replicationFactor: 3,
        minInSync: 1,
        leaseMs: 1_500,
        heartbeatIntervalMs: 500,
        failureTimeoutMs: 2_500,
      },
    };
  }

  node(id: string): ScriptedNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  /** What a node answers; get_map is answered by the bench. */
  on(id: string, script: Script): void {
    this.node(id).script = (request: Request) => {
      if (request.req_type !== "get_map") return script(request);
      this.mapRequests++;
      return this.served === undefined
        ? error("unavailable")
        : { req_type: "map", map: this.served };
    };
  }

  execute(request: KeyRequest, timeoutMs = 10_000): () => void {
    return this.router.execute(request, timeoutMs, (reply) => this.replies.push(reply));
  }

  get codes(): string[] {
    return this.replies.map((reply) => reply.req_type === "error" ? reply.code : reply.req_type);
  }

  /** Data requests that a node saw. */
  seen(id: string): string[] {
    return this.node(id).seen.map(({ req_type }) => req_type).filter((type) => type !== "get_map");
  }
}

Deno.test("Router sends a request to its partition's primary, marked as passed on", async () => {
  const bench = await Bench.start();
  const split = bench.map(2, "a");
  const keys = Array.from({ length: 40 }, (_, i) => `key${i}`);
  const owner = (key: string) => ["a", "b", "c", "a"][partitionOf(key, PARTITIONS)] ?? "";
  bench.router.adopt({
    ...split,
    partitions: split.partitions.map((config, i) => ({
      ...config,
      primary: ["a", "b", "c", "a"][i],
    })),
  });
  for (const key of keys) bench.execute(put(key), 5_000);
  bench.clock.advance(20);
  assertEquals(bench.codes, keys.map(() => "ack"));
  for (const id of ["a", "b", "c"]) {
    const seen = bench.node(id).seen as Message<"put">[];
    assertEquals(seen.map(({ key }) => key), keys.filter((key) => owner(key) === id));
    for (const request of seen) {
      assertEquals([request.forwarded, request.timeout_ms, request.value], [true, 5_000, "v"]);
    }
  }
  bench.router.close();
});

Deno.test("Router follows the hint of not_primary at once, and gets a new map", async () => {
  const bench = await Bench.start();
  bench.on("a", () => error("not_primary", { primary: "b" }));
  bench.served = bench.map(2, "b");
  bench.execute(put());
  bench.clock.advance(15);
  assertEquals(bench.codes, ["ack"]);
  assertEquals([bench.seen("a"), bench.seen("b")], [["put"], ["put"]]);
  assertEquals(bench.router.map()?.epoch, 2);
  bench.execute(put());
  bench.clock.advance(15);
  assertEquals([bench.seen("a"), bench.seen("b")], [["put"], ["put", "put"]]);
  bench.router.close();
});

Deno.test("Router does not run in circles if two nodes point at each other", async () => {
  const bench = await Bench.start();
  bench.on("a", () => error("not_primary", { primary: "b" }));
  bench.on("b", () => error("not_primary", { primary: "a" }));
  bench.execute(put(), 3_000);
  bench.clock.advance(4_000);
  assertEquals(bench.codes, ["unavailable"]);
  const tries = bench.seen("a").length + bench.seen("b").length;
  assertEquals(tries > 10 && tries < 60, true, `${tries} tries`);
  bench.router.close();
});

Deno.test("Router keeps trying a write whose node is down until a new map names another", async () => {
  const bench = await Bench.start();
  bench.node("a").kill();
  // Others cannot reach it either.
  for (const id of ["b", "c"]) {
    bench.on(id, (request) => "relay" in request && request.relay ? error("unavailable") : OK);
  }
  bench.execute(put());
  bench.clock.advance(3_000);
  assertEquals(bench.codes, []);
  bench.served = bench.map(2, "b");
  bench.clock.advance(RETRY_MS_MAX + 100);
  assertEquals(bench.codes, ["ack"]);
  const done = bench.node("b").seen.filter((request) => "forwarded" in request);
  assertEquals(done.map(({ req_type }) => req_type), ["put"]);
  bench.router.close();
});

Deno.test("Router sends what waits at once when a map comes", async () => {
  const bench = await Bench.start();
  bench.node("a").kill();
  bench.execute(put());
  bench.execute(get());
  bench.clock.advance(1_000);
  bench.router.adopt(bench.map(2, "b"));
  bench.clock.advance(10);
  assertEquals(bench.codes.toSorted(), ["ack", "data"]);
  bench.router.close();
});

Deno.test("Router gives outcome_unknown of a write to the caller, and sends it once", async () => {
  for (const failure of ["break", "kill", "unknown"] as const) {
    const bench = await Bench.start();
    bench.on(
      "a",
      () => failure === "break" ? "break" : failure === "kill" ? "hold" : error("outcome_unknown"),
    );
    bench.execute(put());
    bench.clock.advance(10);
    if (failure === "kill") bench.node("a").kill();
    bench.clock.advance(10_000);
    assertEquals(bench.codes, ["outcome_unknown"], failure);
    assertEquals(bench.seen("a").length, 1);
    assertEquals(bench.seen("b"), []);
    bench.router.close();
  }
});

Deno.test("Router knows of an attempt that was made before it was asked", async () => {
  const bench = await Bench.start();
  bench.on("a", () => error("unavailable"));
  const { key } = put();
  bench.execute({ req_type: "increment", key, session: "l", request_number: 1, again: true }, 500);
  bench.clock.advance(1_000);
  assertEquals(bench.codes, ["outcome_unknown"], "that attempt may have happened");
  bench.router.close();
});

Deno.test("Router: of a repeated write, only what the client session remembers is certain", async () => {
  const settled = (code: string): Reply => ({ ...error(code), settled: true } as Reply);
  const cases: [reply: Reply, wanted: string][] = [
    [settled("not_an_integer"), "not_an_integer"],
    [settled("bad_request"), "bad_request"],
    [settled("exists"), "exists"],
    // Of a client session that has passed it, of a node with lower limits, of a disk that fails.
    [error("bad_request"), "outcome_unknown"],
    [error("value_too_large"), "outcome_unknown"],
    [error("storage_failed"), "outcome_unknown"],
    [OK, "ack"],
  ];
  for (const [last, wanted] of cases) {
    const bench = await Bench.start();
    let count = 0;
    bench.on("a", () => count++ === 0 ? "break" : last);
    bench.execute({ req_type: "increment", key: "k", session: "l", request_number: 1 });
    bench.clock.advance(2_000);
    assertEquals([bench.codes, count], [[wanted], 2]);
    bench.router.close();
  }
});

Deno.test("Router gives outcome_unknown for a write without an answer at its deadline", async () => {
  const bench = await Bench.start();
  bench.on("a", () => "hold");
  bench.execute(put(), 2_000);
  bench.clock.advance(2_100);
  assertEquals(bench.codes, ["outcome_unknown"]);
  for (const { reply } of bench.node("a").held) reply(OK);
  bench.clock.advance(100);
  assertEquals(bench.codes.length, 1);
  bench.router.close();
});

Deno.test("Router ends a write to a node that the map declares failed, without waiting", async () => {
  const bench = await Bench.start();
  bench.on("a", () => "hold");
  bench.execute(put());
  bench.execute(get());
  bench.clock.advance(100);
  const failed = bench.map(2, "b");
  bench.served = {
    ...failed,
    nodes: failed.nodes.map((node) => node.id === "a" ? { ...node, state: "down" } : node),
  };
  // Nobody tells: the silence of the node makes the router ask.
  bench.clock.advance(3_000);
  assertEquals(bench.codes.toSorted(), ["data", "outcome_unknown"]);
  assertEquals(bench.seen("b"), ["get"]);
  bench.router.close();
});

Deno.test("Router sends a read again after a failed transport and after a silent attempt", async () => {
  for (const failure of ["break", "hold"] as const) {
    const bench = await Bench.start();
    let count = 0;
    bench.on("a", () => count++ === 0 ? failure : DATA);
    bench.execute(get());
    bench.clock.advance(5_000);
    assertEquals([bench.codes, count], [["data"], 2], failure);
    bench.router.close();
  }
});

Deno.test("Router sends again exactly what is known not to have happened", async () => {
  const cases: [code: string, write: boolean, read: boolean][] = [
    ["not_primary", true, true],
    ["unavailable", true, true],
    ["overloaded", true, true],
    ["not_enough_replicas", true, true],
    ["outcome_unknown", false, true],
    ["timeout", false, true],
    ["not_found", false, false],
    ["bad_request", false, false],
    ["version_mismatch", false, false],
    ["internal", false, false],
    ["corrupt", false, false],
    ["a_code_of_the_future", false, false],
  ];
  for (const [code, write, read] of cases) {
    for (const [request, again] of [[put(), write], [get(), read]] as const) {
      const bench = await Bench.start();
      let count = 0;
      bench.on("a", () => count++ === 0 ? error(code) : OK);
      bench.execute(request);
      bench.clock.advance(2_000);
      assertEquals(count, again ? 2 : 1, `${request.req_type} ${code}`);
      assertEquals(bench.codes, [again ? "ack" : code]);
      bench.router.close();
    }
  }
});

Deno.test("Router gives up at the deadline with the last reason", async () => {
  const cases: [code: string, request: KeyRequest, wanted: string][] = [
    ["not_enough_replicas", put(), "not_enough_replicas"],
    ["not_primary", put(), "unavailable"],
    ["unavailable", get(), "unavailable"],
    ["outcome_unknown", get(), "timeout"],
  ];
  for (const [code, request, wanted] of cases) {
    const bench = await Bench.start();
    bench.on("a", () => error(code));
    bench.execute(request, 1_000);
    bench.clock.advance(990);
    assertEquals(bench.codes, []);
    bench.clock.advance(40);
    assertEquals(bench.codes, [wanted]);
    const [reply] = bench.replies;
    const text = reply?.req_type === "error" ? reply.message : "";
    assertStringIncludes(text, "gave up after 10");
    assertStringIncludes(text, `last: ${code}`);
    bench.router.close();
  }
});

Deno.test("Router waits if a partition has no primary", async () => {
  const bench = await Bench.start();
  bench.served = bench.map(2, undefined);
  bench.router.adopt(bench.served);
  bench.execute(put());
  bench.clock.advance(2_000);
  assertEquals(bench.codes, []);
  bench.served = bench.map(3, "c");
  bench.clock.advance(RETRY_MS_MAX + 100);
  assertEquals([bench.codes, bench.seen("c")], [["ack"], ["put"]]);
  bench.router.close();
});

Deno.test("Router tries again if its first map has no primary for what it waits with", async () => {
  const bench = await Bench.start({ seeds: [{ host: "b", port: 1 }] });
  bench.served = bench.map(2, undefined);
  bench.execute(put());
  bench.clock.advance(2_000);
  assertEquals(bench.codes, []);
  bench.served = bench.map(3, "c");
  bench.clock.advance(RETRY_MS_MAX + 100);
  assertEquals([bench.codes, bench.seen("c")], [["ack"], ["put"]]);
  bench.router.close();
});

Deno.test("Router asks for a map once, however many requests want one", async () => {
  const bench = await Bench.start();
  bench.on("a", () => error("unavailable"));
  for (let i = 0; i < 500; i++) bench.execute(put(), 1_000);
  bench.clock.advance(1_100);
  assertEquals(bench.codes.length, 500);
  assertEquals(bench.mapRequests < 25, true, `${bench.mapRequests} requests for the map`);
  bench.router.close();
});

Deno.test("Router gets its first map from a seed, and waits for it within the deadline", async () => {
  const bench = await Bench.start({ seeds: [{ host: "nobody", port: 1 }, { host: "b", port: 1 }] });
  bench.execute(put());
  bench.clock.advance(100);
  assertEquals([bench.codes, bench.seen("a")], [["ack"], ["put"]]);
  assertEquals(bench.events, ["map 1"]);
  bench.router.close();

  const alone = await Bench.start({ seeds: [{ host: "nobody", port: 1 }] });
  alone.execute(put(), 500);
  alone.clock.advance(600);
  assertEquals(alone.codes, ["unavailable"]);
  const [reply] = alone.replies;
  assertStringIncludes(reply?.req_type === "error" ? reply.message : "", "nobody:1");
  alone.router.close();
});

Deno.test("Router.refresh gives the newest map, or says who was asked in vain", async () => {
  const bench = await Bench.start({ seeds: [{ host: "a", port: 1 }] });
  const [one, two] = [bench.router.refresh(), bench.router.refresh()];
  await bench.clock.run(100);
  assertEquals([(await one).epoch, (await two).epoch], [1, 1]);
  assertEquals(bench.mapRequests, 1);
  bench.served = bench.map(5, "a");
  const three = bench.router.refresh();
  await bench.clock.run(200);
  assertEquals((await three).epoch, 5);
  bench.router.close();
  await assertRejects(() => bench.router.refresh());

  const alone = await Bench.start({ seeds: [{ host: "nobody", port: 1 }] });
  const failed: Promise<KvError> = alone.router.refresh().then(() => {
    throw new Error("a map from nowhere");
  }, (error) => error);
  await alone.clock.run(2_000);
  assertEquals((await failed).code, "unavailable");
  assertStringIncludes((await failed).message, "nobody:1");
  alone.router.close();
});

Deno.test("awaitMap: asks a node that has not joined its cluster yet again, until the deadline", async () => {
  const bench = await Bench.start({ seeds: [{ host: "nobody", port: 1 }, { host: "a", port: 1 }] });
  const joining = error("unavailable", { joining: true });
  let asked = 0;
  bench.node("a").script = () =>
    asked++ < 3 ? joining : { req_type: "map", map: bench.map(1, "a") };
  const map = awaitMap(bench.clock, bench.router, 2_000);
  await bench.clock.run(1_900);
  assertEquals([(await map).epoch, asked], [1, 4]);
  bench.router.close();

  const never = await Bench.start({ seeds: [{ host: "a", port: 1 }] });
  let askedInVain = 0;
  never.node("a").script = () => (askedInVain++, joining);
  const failed = assertRejects(() => awaitMap(never.clock, never.router, 1_000), KvError);
  await never.clock.run(1_100);
  assertEquals((await failed).code, "unavailable");
  assertEquals(askedInVain > 5, true, `asked ${askedInVain} times`);
  never.router.close();

  const alone = await Bench.start({ seeds: [{ host: "nobody", port: 1 }] });
  const refused = assertRejects(() => awaitMap(alone.clock, alone.router, 60_000), KvError);
  await alone.clock.run(1_000);
  assertStringIncludes((await refused).message, "nobody:1", "said at once");
  alone.router.close();
});

Deno.test("Router.refresh asks the map source first, then others", async () => {
  const fresh = (await Bench.start()).map(9, "a");
  const bench = await Bench.start({ mapSource: () => Promise.resolve(fresh) });
  const one = bench.router.refresh();
  await bench.clock.run(10);
  assertEquals([(await one).epoch, bench.mapRequests], [9, 0]);
  bench.router.close();

  const other = await Bench.start({ mapSource: () => Promise.reject(new Error("away")) });
  other.served = other.map(3, "a");
  const two = other.router.refresh();
  await other.clock.run(100);
  assertEquals((await two).epoch, 3);
  other.router.close();
});

Deno.test("Router.refresh asks somebody else if the answer is older than what it has", async () => {
  const bench = await Bench.start({}, 5);
  let asked = 0;
  for (const id of ["a", "b", "c"]) {
    bench.node(id).script = () => {
      asked++;
      return { req_type: "map", map: bench.map(asked === 3 ? 8 : 2, "a") };
    };
  }
  const refreshed = bench.router.refresh();
  await bench.clock.run(200);
  assertEquals([(await refreshed).epoch, asked], [8, 3]);
  bench.router.close();
});

Deno.test("Router.adopt takes newer maps of the same cluster only", async () => {
  const bench = await Bench.start();
  bench.router.adopt(bench.map(4, "b"));
  bench.router.adopt(bench.map(3, "c"));
  const strange = bench.map(9, "c");
  bench.router.adopt({ ...strange, settings: { ...strange.settings, clusterId: "other" } });
  assertEquals(bench.router.map()?.epoch, 4);
  assertEquals(bench.events, ["map 1", "map 4"]);
  bench.router.close();
});

Deno.test("Router reads from any in-sync replica, and from another if that fails", async () => {
  const bench = await Bench.start();
  for (let i = 0; i < 60; i++) bench.execute(getReplica);
  bench.clock.advance(50);
  assertEquals(bench.codes.length, 60);
  for (const id of ["a", "b", "c"]) {
    assertEquals(bench.seen(id).length > 5, true, `${id} is asked too`);
  }
  bench.node("a").kill();
  bench.on("b", () => error("unavailable"));
  bench.clock.advance(10);
  for (let i = 0; i < 60; i++) bench.execute(getReplica);
  bench.clock.advance(10);
  assertEquals(bench.codes.slice(60), Array.from({ length: 60 }, () => "data"));
  bench.router.close();
});

Deno.test("Router carries out what this node is primary of here", async () => {
  const here: KeyRequest[] = [];
  const local = {
    nodeId: "b",
    execute(request: KeyRequest, reply: (reply: Reply) => void) {
      here.push(request);
      reply(DATA);
    },
  };
  const bench = await Bench.start({ role: "node", local });
  bench.execute(put());
  bench.execute(getReplica);
  assertEquals(bench.codes, ["data"], "the replica here is the nearest");
  bench.clock.advance(20);
  assertEquals(bench.codes, ["data", "ack"]);
  bench.router.adopt(bench.map(2, "b"));
  bench.execute(put());
  assertEquals(bench.codes.length, 3);
  assertEquals(here.map(({ req_type }) => req_type), ["get", "put"]);
  assertEquals(here[1], put(), "unchanged");
  bench.router.close();
});

Deno.test("Router passes on what this node is not primary of any more", async () => {
  const local = {
    nodeId: "a",
    execute: (_: KeyRequest, reply: (reply: Reply) => void) =>
      reply(error("not_primary", { primary: "c" })),
  };
  const bench = await Bench.start({ role: "node", local });
  bench.execute(put());
  bench.clock.advance(20);
  assertEquals([bench.codes, bench.seen("c")], [["ack"], ["put"]]);
  bench.router.close();
});

Deno.test("Router keeps the deadline of what this node itself does not answer", async () => {
  const replies: ((reply: Reply) => void)[] = [];
  const local = {
    nodeId: "a",
    execute: (_: KeyRequest, reply: (reply: Reply) => void) => void replies.push(reply),
  };
  const bench = await Bench.start({ role: "node", local });
  bench.execute(put(), 1_000);
  bench.execute(get(), 1_000);
  bench.clock.advance(1_100);
  assertEquals(bench.codes, ["outcome_unknown", "timeout"]);
  for (const reply of replies) reply(OK);
  assertEquals(bench.codes.length, 2);
  assertEquals(bench.clock.timers, 0);
  bench.router.close();
});

Deno.test("Router: the function that execute returns ends it, wherever it is", async () => {
  const bench = await Bench.start();
  bench.on("a", () => "hold");
  const sent = bench.execute(put(), 1_000);
  bench.clock.advance(20);
  bench.node("b").kill();
  bench.router.adopt(bench.map(2, "b"));
  const waiting = bench.execute(put(), 1_000);
  bench.clock.advance(200);
  sent();
  waiting();
  waiting();
  bench.clock.advance(5_000);
  assertEquals(bench.codes, []);
  bench.router.close();
});

Deno.test("Router.request asks one node, and knows those of the map alone", async () => {
  const bench = await Bench.start();
  const replies: Reply[] = [];
  bench.router.request("c", { req_type: "stats" }, 1_000, (reply) => replies.push(reply));
  bench.router.request("z", { req_type: "stats" }, 1_000, (reply) => replies.push(reply));
  assertEquals(replies, []);
  bench.clock.advance(20);
  assertEquals(replies.map(({ req_type }) => req_type).toSorted(), ["ack", "error"]);
  assertEquals(bench.seen("c"), ["stats"]);
  bench.router.close();
});

Deno.test("Router closes connections to nodes that leave the map", async () => {
  const bench = await Bench.start();
  bench.execute(put());
  bench.clock.advance(20);
  assertEquals(bench.network.openEnds, 2);
  const next = bench.map(2, "b", { inSync: ["b", "c"] });
  bench.router.adopt({ ...next, nodes: next.nodes.filter(({ id }) => id !== "a") });
  bench.clock.advance(20);
  assertEquals(bench.network.openEnds, 0);
  bench.router.close();
});

Deno.test("Router.close ends everything and leaves nothing behind", async () => {
  const bench = await Bench.start();
  bench.on("a", () => "hold");
  bench.execute(put());
  bench.execute(get());
  bench.clock.advance(20);
  bench.node("b").kill();
  bench.router.adopt(bench.map(2, "b"));
  bench.execute(put());
  bench.clock.advance(100);
  bench.router.close();
  bench.router.close();
  bench.clock.advance(10);
  assertEquals(bench.codes.length, 3);
  assertEquals(bench.codes[0], "outcome_unknown");
  for (const { reply } of bench.node("a").held) reply(OK);
  bench.clock.advance(60_000);
  assertEquals([bench.network.openEnds, bench.clock.timers], [0, 0]);
});

Deno.test("Router: a request to a cluster that is not laid out yet learns what it waits for", async () => {
  const bench = await Bench.start();
  bench.router.adopt(bench.served = bench.map(2, undefined, { term: 0, inSync: [] }));
  bench.execute(put());
  bench.clock.advance(20_000);
  const [reply] = bench.replies;
  assertEquals(reply?.req_type === "error" && reply.code, "unavailable");
  assertStringIncludes(
    reply?.req_type === "error" ? reply.message : "",
    "3 nodes are there, and its coordinator waits for more (--expect-nodes)",
  );
  bench.router.close();
});

Deno.test("Router does not take another process's answer for that of the node it asks", async () => {
  const bench = await Bench.start();
  bench.node("b").welcome = error("unavailable");
  const replies: Reply[] = [];
  for (const id of ["a", "b"]) {
    bench.router.request(id, { req_type: "ping" }, 1_000, (reply) => replies.push(reply));
  }
  bench.clock.advance(2_000);
  assertEquals(replies.map(({ req_type }) => req_type).sort(), ["ack", "error"]);
  // The node is the judge: it is told who is looked for.
  for (const id of ["a", "b"]) {
    const hellos = bench.node(id).hellos as Message<"hello">[];
    assertEquals(new Set(hellos.map(({ to }) => to)), new Set([id]));
  }
  bench.router.close();
});

/** The router cannot reach a node; others can. */
async function cutFrom(bench: Bench, id: string): Promise<void> {
  bench.network.cut("client", id);
  bench.network.reset("client", id);
  await bench.clock.run(10);
}

Deno.test("Router goes by way of a replica when it cannot reach the primary itself", async () => {
  const bench = await Bench.start();
  await cutFrom(bench, "a");
  bench.execute(get());
  await bench.clock.run(3_000);
  assertEquals(bench.codes, ["data"], "one attempt to connect has shown it");
  bench.execute({ ...put(), timeout_ms: 10_000 });
  const begin = bench.clock.monotonicMs();
  while (bench.replies.length < 2) await bench.clock.run(1);
  assertEquals(bench.clock.monotonicMs() - begin < 10, true, "the next knows at once");
  const relayed = [...bench.node("b").seen, ...bench.node("c").seen]
    .filter(({ req_type }) => req_type === "put" || req_type === "get")
    .map((request) => "relay" in request && [request.relay, request.forwarded]);
  assertEquals(relayed, [[true, undefined], [true, undefined]]);
  // When it can be reached again, the detour ends.
  bench.network.heal("client", "a");
  await bench.clock.run(3_000);
  bench.execute(put());
  await bench.clock.run(10);
  assertEquals(bench.seen("a"), ["put"]);
  bench.router.close();
});

Deno.test("Router passes on what it is asked to pass on to the primary alone", async () => {
  const bench = await Bench.start();
  bench.execute({ ...put(), relay: true });
  await bench.clock.run(10);
  const [first] = bench.node("a").seen;
  assertEquals(first && "relay" in first && first.relay, false);
  assertEquals(first && "forwarded" in first && first.forwarded, true);
  await cutFrom(bench, "a");
  bench.execute({ ...put(), relay: true }, 5_000);
  await bench.clock.run(6_000);
  assertEquals([bench.seen("b"), bench.seen("c")], [[], []], "it would go in circles");
  assertEquals(bench.codes, ["ack", "unavailable"]);
  bench.router.close();
});

Deno.test("Router tries another way round when the first does not get there either", async () => {
  const bench = await Bench.start();
  await cutFrom(bench, "a");
  let tries = 0;
  for (const id of ["b", "c"]) {
    bench.on(id, (request) => {
      if (request.req_type !== "put") return DATA;
      tries++;
      return tries < 4 ? error("unavailable") : OK;
    });
  }
  bench.execute({ ...put(), session: "l", request_number: 1 } as KeyRequest);
  await bench.clock.run(5_000);
  assertEquals([bench.codes, tries], [["ack"], 4]);
  bench.router.close();
});

Deno.test("Router repeats a write whose detour ended in silence only if its client session makes that harmless", async () => {
  for (const session of [{}, { session: "l", request_number: 1 }]) {
    const bench = await Bench.start();
    await cutFrom(bench, "a");
    let asked = 0;
    for (const id of ["b", "c"]) {
      bench.on(id, (request) => {
        if (request.req_type !== "put") return DATA;
        asked++;
        return asked === 1 ? "hold" : OK;
      });
    }
    bench.execute({ ...put(), ...session } as KeyRequest);
    await bench.clock.run(11_000);
    const deduplicated = "session" in session;
    assertEquals([bench.codes, asked], [
      [deduplicated ? "ack" : "outcome_unknown"],
      deduplicated ? 2 : 1,
    ]);
    bench.router.close();
  }
});

Deno.test("Router goes on when the node on the detour says that the attempt's deadline has passed", async () => {
  const bench = await Bench.start();
  await cutFrom(bench, "a");
  let asked = 0;
  for (const id of ["b", "c"]) {
    bench.on(id, (request) => {
      if (request.req_type !== "put") return DATA;
      return ++asked === 1 ? error("timeout") : OK;
    });
  }
  bench.execute({ ...put(), session: "s", request_number: 1 } as KeyRequest, 60_000);
  await bench.clock.run(5_000);
  assertEquals([bench.codes, asked], [["ack"], 2]);
  bench.router.close();
});

Deno.test("Router.request asks for a piece of a scan by way of another node, and for nothing else", async () => {
  const bench = await Bench.start();
  await cutFrom(bench, "a");
  bench.execute(get());
  await bench.clock.run(3_000);
  const scan = { req_type: "scan_node", timeout_ms: 1_000 };
  const ask = (message: object) =>
    bench.router.request("a", message, 1_000, (reply) => bench.replies.push(reply));
  bench.on("b", () => ({ req_type: "entries", entries: [] }));
  bench.on("c", () => ({ req_type: "entries", entries: [] }));
  ask(scan);
  await bench.clock.run(10);
  const pieces = [...bench.node("b").seen, ...bench.node("c").seen]
    .filter(({ req_type }) => req_type === "scan_node");
  assertEquals(pieces.map((piece) => "of" in piece && piece.of), ["a"]);
  ask({ ...scan, of: "a" });
  ask({ req_type: "stats" });
  await bench.clock.run(2_000);
  assertEquals(bench.codes.slice(1).sort(), ["entries", "unavailable", "unavailable"]);
  bench.router.close();
});

Deno.test("Router: requests of callers with long replies have a connection of their own, and others do not wait behind them", async () => {
  const bench = await Bench.start();
  bench.on("a", (request) => "key" in request && request.key === "long" ? "hold" : DATA);
  const heavy = { closed: false, heavy: true };
  for (let i = 0; i < 3; i++) {
    bench.execute(Object.assign(get("long"), { [CALLER]: heavy }));
  }
  bench.execute(get());
  bench.clock.advance(100);
  assertEquals(bench.codes, ["data"]);
  assertEquals(bench.node("a").servers.size, 2);
  // They are apart from each other also when both have been used.
  const keys = [...bench.node("a").servers].map(({ outstanding }) => outstanding);
  assertEquals(keys.sort(), [0, 3]);
});

Deno.test("Router: nothing more is tried for a caller that is gone", async () => {
  const bench = await Bench.start();
  for (const id of ["a", "b", "c"]) bench.on(id, () => error("unavailable"));
  const caller = { closed: false, heavy: false };
  bench.execute(Object.assign(get(), { [CALLER]: caller }), 60_000);
  bench.clock.advance(500);
  const before = bench.node("a").seen.length;
  caller.closed = true;
  bench.clock.advance(5_000);
  assertEquals(bench.codes, ["unavailable"]);
  assert(bench.node("a").seen.filter(({ req_type }) => req_type === "get").length <= before);
});

Deno.test("Router: requests of callers with long replies are sent a few at a time, and not at all once nobody waits", async () => {
  const bench = await Bench.start();
  bench.on("a", () => "hold");
  const node = bench.node("a");
  const caller = { closed: false, heavy: true };
  const count = 3 * HEAVY_REQUESTS_IN_FLIGHT_MAX;
  for (let i = 0; i < count; i++) {
    bench.execute(Object.assign(get(`k${i}`), { [CALLER]: caller }), 60_000);
  }
  bench.clock.advance(100);
  assertEquals([node.held.length, bench.codes], [HEAVY_REQUESTS_IN_FLIGHT_MAX, []]);
  node.held.shift()?.reply(DATA);
  bench.clock.advance(100);
  assertEquals([node.seen.length, bench.codes], [HEAVY_REQUESTS_IN_FLIGHT_MAX + 1, ["data"]]);
  // All end within a look at the deadlines, and not when their time is over.
  caller.closed = true;
  bench.clock.advance(2 * DEADLINE_SCAN_MS);
  assertEquals(bench.codes.length, count);
  assertEquals(node.seen.length, HEAVY_REQUESTS_IN_FLIGHT_MAX + 1);
  // Those of others go on when the node has answered what it was sent, also if that takes long.
  bench.execute(Object.assign(get("other"), { [CALLER]: { closed: false, heavy: true } }));
  bench.clock.advance(2 * READ_ATTEMPT_TIMEOUT_MS);
  for (const { reply } of node.held.splice(0)) reply(DATA);
  bench.clock.advance(100);
  for (const { reply } of node.held.splice(0)) reply(DATA);
  bench.clock.advance(100);
  assertEquals(bench.codes.slice(count), ["data"]);
});
