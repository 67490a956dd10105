/**
 * Watches of a few real node cores: what is committed is told, in order, and after a failure too.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { isTombstone } from "../../../../shared/base/entry.ts";
import { PartitionSet } from "../../../../shared/cluster/partition_set.ts";
import { ClusterWatch } from "../../../../shared/database/cluster_watch.ts";
import type { WatchedEvent, WatchRequest } from "../../../../shared/watch/watch_event.ts";
import {
  BEGINNING,
  fromWirePosition,
  toWirePosition,
  type WatchPosition,
} from "../../../../shared/watch/watch_position.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import {
  WATCH_LOG_IDLE_MS,
  WATCH_READS_MAX,
  WATCH_REPLY_BYTES,
  WATCH_WAIT_MS,
} from "../../../../shared/limits/scans.ts";
import { errorReply } from "../../../../shared/operations/operation.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import { NodeCluster } from "../../../support/worlds/node_cluster.ts";

/** Watches, and keeps what it is told as lines. */
function watch(cluster: NodeCluster, request: WatchRequest) {
  const lines: string[] = [];
  let token = "";
  const tokens: string[] = [];
  const watching = new ClusterWatch({
    clock: cluster.clock,
    router: {
      map: () => cluster.map,
      refresh: () => Promise.resolve(cluster.map),
      request: (to, message, _, done) => {
        const { keys, prefixes, positions, wait_ms: waitMs = 0 } = message as Message<"watch_node">;
        const { node } = cluster.host(to);
        if (node === undefined) {
          cluster.clock.defer(() => done(errorReply("unavailable", "it does not run")));
          return;
        }
        node.watch.poll(
          {
            selection: { keys, prefixes },
            positions: new Map(positions.map((wire) => [wire[0], fromWirePosition(wire)])),
            isAbandoned: () => false,
          },
          waitMs,
          (answer) => {
            if ("req_type" in answer) return done(answer);
            const refused = new PartitionSet(cluster.map.settings.partitionCount);
            for (const partition of answer.refused) refused.add(partition);
            done({
              req_type: "changes",
              entries: [],
              local_entries: answer.entries,
              positions: [...answer.positions].map(([p, position]) => toWirePosition(p, position)),
              refused: refused.toText(),
              reset: answer.reset,
              more: answer.more,
            });
          },
        );
      },
    },
  }, request);
  const next = (): void =>
    watching.next((events: readonly WatchedEvent[] | Message<"error">) => {
      if ("req_type" in events) {
        lines.push(`error ${events.code}`);
        return;
      }
      for (const event of events) {
        const { type, entry } = event;
        tokens.push(token = event.token());
        if (entry === undefined) lines.push(type);
        else if (isTombstone(entry)) lines.push(`${type} ${entry.key}`);
        else lines.push(`${type} ${entry.key} ${new TextDecoder().decode(entry.value)}`);
      }
      next();
    });
  next();
  return { lines, tokens, token: () => token, close: () => watching.close() };
}

const put = (key: string, value: string) => ({ req_type: "put", key, value }) as const;

Deno.test("watch: from now on, of the keys that are wanted, in order (rule V1)", async () => {
  const cluster = new NodeCluster({ nodes: 3, partitions: 4 });
  await cluster.startAll();
  await cluster.run(1_000);
  const first = cluster.config(0).primary ?? "";
  await cluster.ask(first, put("a:0", "before"));
  const watching = watch(cluster, { prefixes: ["a:"] });
  await cluster.run(200);
  assertEquals(watching.lines, ["level"]);
  for (const value of ["1", "2"]) {
    for (const { primary = "" } of cluster.map.partitions) {
      await cluster.ask(primary, put("a:1", value));
      await cluster.ask(primary, put("b:1", value));
    }
  }
  await cluster.run(200);
  assertEquals(watching.lines, ["level", "put a:1 1", "put a:1 2"]);
  watching.close();
});

Deno.test("watch: the entries that are there, then level, then what comes, a deletion too", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  await cluster.run(1_000);
  const primary = cluster.config(0).primary ?? "";
  await cluster.ask(primary, put("x", "1"));
  await cluster.ask(primary, put("y", "1"));
  await cluster.ask(primary, { req_type: "delete", key: "y" });
  const watching = watch(cluster, { prefixes: [""], snapshot: true });
  await cluster.run(200);
  assertEquals(watching.lines, ["put x 1", "level"]);
  await cluster.ask(primary, { req_type: "delete", key: "x" });
  await cluster.run(200);
  assertEquals(watching.lines, ["put x 1", "level", "delete x"]);
  watching.close();
});

Deno.test("watch: goes on from a token with the newest state of what was missed", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  await cluster.run(1_000);
  const primary = cluster.config(0).primary ?? "";
  const before = watch(cluster, { prefixes: [""] });
  await cluster.run(200);
  before.close();
  for (const value of ["1", "2", "3"]) await cluster.ask(primary, put("x", value));
  const after = watch(cluster, { prefixes: [""], token: before.token() });
  await cluster.run(200);
  assertEquals(after.lines.at(-1), "level");
  assertEquals(after.lines.at(-2), "put x 3");
  after.close();
});

Deno.test("watch: goes on at the new primary after a failure", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  await cluster.run(1_000);
  const watching = watch(cluster, { prefixes: [""] });
  const failing = cluster.config(0).primary ?? "";
  await cluster.ask(failing, put("x", "1"));
  await cluster.run(200);
  cluster.crash(failing);
  cluster.fail(failing);
  await cluster.run(5_000);
  const primary = cluster.config(0).primary ?? "";
  assert(primary !== failing);
  await cluster.ask(primary, put("x", "2"));
  await cluster.run(2_000);
  const changes = watching.lines.filter((line) => line.startsWith("put"));
  assertEquals(changes, ["put x 1", "put x 2"]);
  assert(!watching.lines.includes("reset"), watching.lines.join());
  watching.close();
});

Deno.test("watch: a token of another lineage begins with reset (rule V5)", async () => {
  const cluster = new NodeCluster({ nodes: 1 });
  await cluster.startAll();
  await cluster.run(1_000);
  const primary = cluster.config(0).primary ?? "";
  await cluster.ask(primary, put("x", "1"));
  const before = watch(cluster, { prefixes: [""] });
  await cluster.run(200);
  before.close();
  cluster.configure(0, {
    term: cluster.config(0).term + 1,
    forcedTerm: cluster.config(0).term + 1,
  });
  await cluster.run(500);
  const after = watch(cluster, { prefixes: [""], token: before.token() });
  await cluster.run(1_000);
  assertEquals(after.lines.slice(0, 3), ["reset", "put x 1", "level"]);
  after.close();
});

Deno.test("watch: what is not committed is not told (rule V3)", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  await cluster.run(1_000);
  const primary = cluster.config(0).primary ?? "";
  await cluster.ask(primary, put("x", "1"));
  for (const id of cluster.hosts.keys()) if (id !== primary) cluster.crash(id);
  cluster.coordinatorUp = false;
  cluster.node(primary).execute(put("x", "2"), () => {});
  const live = watch(cluster, { prefixes: [""] });
  const whole = watch(cluster, { prefixes: [""], snapshot: true });
  await cluster.run(2_500);
  assertEquals(live.lines, ["level"]);
  assertEquals(whole.lines, []);
  live.close();
  whole.close();
});

Deno.test("watch: a deletion that nobody knows any more is told as reset (rule V7)", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  await cluster.run(1_000);
  const primary = cluster.config(0).primary ?? "";
  await cluster.ask(primary, put("x", "1"));
  const before = watch(cluster, { prefixes: [""] });
  await cluster.run(200);
  before.close();
  await cluster.ask(primary, { req_type: "delete", key: "x" });
  await cluster.ask(primary, put("y", "1"));
  // The log is given up when nobody has asked for a while; by then the tombstone is dropped as well.
  await cluster.run(45_000);
  const after = watch(cluster, { prefixes: [""], token: before.token() });
  await cluster.run(1_000);
  assertEquals(after.lines, ["reset", "put y 1", "level"]);
  after.close();
});

Deno.test("watch: a token that was given before level begins with reset (rule V8)", async () => {
  const cluster = new NodeCluster({ nodes: 1, partitions: 1 });
  await cluster.startAll();
  await cluster.run(1_000);
  const primary = cluster.config(0).primary ?? "";
  for (const key of ["a", "b"]) await cluster.ask(primary, put(key, "1"));
  const before = watch(cluster, { prefixes: [""], snapshot: true });
  await cluster.run(200);
  assertEquals(before.lines, ["put a 1", "put b 1", "level"]);
  before.close();
  await cluster.ask(primary, { req_type: "delete", key: "a" });
  // As of the first event: a has been told, b has not.
  const after = watch(cluster, { prefixes: [""], token: before.tokens[0] });
  await cluster.run(1_000);
  assertEquals(after.lines, ["reset", "put b 1", "level"]);
  after.close();
});

Deno.test("watch: a token of other partitions begins with reset (rule V8)", async () => {
  const cluster = new NodeCluster({ nodes: 1, partitions: 8 });
  await cluster.startAll();
  await cluster.run(1_000);
  const one = watch(cluster, { keys: ["x"] });
  await cluster.run(200);
  one.close();
  const all = watch(cluster, { prefixes: [""], token: one.token() });
  await cluster.run(500);
  assertEquals(all.lines, ["reset", "level"]);
  all.close();
});

Deno.test("watch: level is not told before a partition has told what it has, with little room (rule V9)", async () => {
  // Of each partition more was written than its log keeps, so each has to be read.
  const cluster = new NodeCluster({ nodes: 1, partitions: 4 });
  await cluster.startAll();
  await cluster.run(1_000);
  const before = watch(cluster, { prefixes: [""] });
  await cluster.run(200);
  before.close();
  await cluster.run(WATCH_LOG_IDLE_MS + 1_000);
  const value = "x".repeat(WATCH_REPLY_BYTES / 2);
  for (let i = 0; i < 24; i++) await cluster.ask("n1", put(`k${i}`, value));
  const after = watch(cluster, { prefixes: [""], token: before.token() });
  await cluster.run(20_000);
  after.close();
  const puts = after.lines.filter((line) => line.startsWith("put"));
  assertEquals([puts.length, after.lines.indexOf("level")], [24, 24]);
});

Deno.test("watch: level is not told for a primary that cannot serve yet, however long that takes (rule V9)", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  await cluster.run(1_000);
  const [first = "", second = "", third = ""] = cluster.config(0).inSync;
  assertEquals(cluster.config(0).primary, first);
  const before = watch(cluster, { prefixes: [""] });
  await cluster.run(200);
  before.close();
  await cluster.ask(first, put("x", "1"));
  // The next primary waits for a replica that is gone, and nobody says so to the coordinator.
  cluster.crash(first);
  cluster.crash(third);
  const inSync = [second, third];
  cluster.configure(0, { term: cluster.config(0).term + 1, primary: second, inSync });
  cluster.coordinatorUp = false;
  const after = watch(cluster, { prefixes: [""], token: before.token() });
  await cluster.run(3 * WATCH_WAIT_MS);
  assertEquals(after.lines, []);
  cluster.coordinatorUp = true;
  cluster.fail(third);
  await cluster.run(WATCH_WAIT_MS);
  assertEquals(after.lines.slice(0, 2), ["put x 1", "level"]);
  after.close();
});

Deno.test("watch: whatever place somebody claims, he holds up nobody else's reading", async () => {
  const cluster = new NodeCluster({ nodes: 1 });
  await cluster.startAll();
  await cluster.run(1_000);
  await cluster.ask("n1", put("x", "1"));
  const { watch: nodeWatch } = cluster.node("n1");
  const far = Number.MAX_SAFE_INTEGER;
  const told: string[] = [];
  for (
    const wire of [
      [0, 0, far, far, far, "", 1],
      [0, 0, 0, far, 0, "", 1],
      [0, 0, 0, 0, far, "a", 1],
      [0, 0, 0, 0, far, "a", 0],
      [0, 0, far, 0, 0, "a", 0],
      [0, 0, far],
    ] as const
  ) {
    nodeWatch.poll(
      {
        selection: { prefixes: [""] },
        positions: new Map([[0, fromWirePosition(wire)]]),
        isAbandoned: () => false,
      },
      WATCH_WAIT_MS,
      (answer) => {
        if ("req_type" in answer) told.push(answer.code);
        else told.push(answer.reset ? "reset" : `told ${answer.entries.length}`);
      },
    );
  }
  await cluster.run(10);
  assertEquals(told.toSorted(), ["reset", "reset", "reset", "reset", "told 1", "told 1"]);
});

Deno.test("watch: who waits to be read for is answered in time, with what was found until then and a place that is true (rule V9)", async () => {
  const cluster = new NodeCluster({ nodes: 3, partitions: 2 });
  await cluster.startAll();
  await cluster.run(1_000);
  const [first = "", other = "", third = ""] = cluster.config(0).inSync;
  const { watch: nodeWatch } = cluster.node(first);
  const [slow, quick] = ["s", "q"].map((name, partition) => {
    for (let i = 0;; i++) if (partitionOf(`${name}${i}`, 2) === partition) return `${name}${i}`;
  });
  assert(slow !== undefined && quick !== undefined);
  cluster.configure(1, { term: cluster.config(1).term + 1, primary: first });
  await cluster.run(1_000);
  type Answer = Parameters<Parameters<typeof nodeWatch.poll>[2]>[0];
  const poll = (positions: Map<number, WatchPosition | undefined>, waitMs: number) =>
    new Promise<Answer>((done) =>
      nodeWatch.poll(
        { selection: { prefixes: [""] }, positions, isAbandoned: () => false },
        waitMs,
        done,
      )
    );
  const begun = await poll(new Map([[0, undefined], [1, undefined]]), WATCH_WAIT_MS);
  assert("positions" in begun);
  await cluster.ask(first, put(quick, "1"));
  // From here on nothing of partition 0 is committed: what is read of it has to wait.
  cluster.crash(other);
  cluster.crash(third);
  cluster.coordinatorUp = false;
  cluster.node(first).execute(put(slow, "1"), () => {});
  for (let i = 0; i < 3 * WATCH_READS_MAX; i++) void poll(new Map([[0, BEGINNING]]), 60_000);
  let answer: Answer | undefined;
  const positions = new Map(begun.positions);
  positions.set(0, BEGINNING);
  void poll(positions, 500).then((is) => answer = is);
  await cluster.run(700);
  assert(answer !== undefined && "entries" in answer);
  assertEquals([answer.entries.map(({ key }) => key), answer.more], [[quick], true]);
  assertEquals([...answer.positions.keys()], [1]);
});
