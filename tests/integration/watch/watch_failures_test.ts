/**
 * Watches of real processes while these are killed, restarted, moved and forced: of each key the states are told in order, the
 * last one always, and `reset` only if something is missing.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { KvClient } from "../../../client/mod.ts";
import { partitionConfig } from "../../../shared/cluster/cluster_map.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import { COORDINATOR } from "../../../tools/programs.ts";
import {
  FetchWatching,
  HttpWatching,
  LibraryWatching,
  type Watching,
  WireWatching,
} from "../../support/clients/watchers.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const KEYS = Array.from({ length: 8 }, (_, i) => `w:${i}`);

/** Counts up in each key, one write after the other, until it is stopped. */
class Counter implements AsyncDisposable {
  readonly #kv: KvClient;
  readonly #ended: Promise<void>;
  #stopped = false;
  count = 0;

  constructor(kv: KvClient) {
    this.#kv = kv;
    this.#ended = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.count++;
      // One that fails may have happened, or not: the next one is greater.
      await Promise.allSettled(KEYS.map((key) => this.#kv.put(key, String(this.count))));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#ended;
  }
}

/** Whether the watcher has learnt of writes that began after this was called. */
async function hearsMore(watchers: readonly Watching[], counter: Counter): Promise<void> {
  const from = counter.count;
  for (const watching of watchers) {
    await watching.until(
      `counts beyond ${from}`,
      ({ state }) => KEYS.every((key) => Number(state.get(key)) > from),
    );
  }
}

/** Judges what was told: each key in order, without reset, and at last what is there. */
async function judge(watchers: readonly Watching[], kv: KvClient): Promise<void> {
  for (const key of KEYS) await kv.put(key, "1000000");
  for (const watching of watchers) {
    await watching.until(
      "the last state of each key",
      ({ state }) => KEYS.every((key) => state.get(key) === "1000000"),
    );
    assertEquals(watching.errors, []);
    const versions = new Map<string, number>();
    for (const { type, key, version = 0 } of watching.told) {
      assert(type !== "reset", `${watching.name} was told reset`);
      if (key === undefined) continue;
      const before = versions.get(key) ?? 0;
      assert(version >= before, `${watching.name}: ${key} went from ${before} to ${version}`);
      versions.set(key, version);
    }
  }
}

Deno.test("watch: goes on through the kill of a primary, and its return", async () => {
  await using cluster = await TestCluster.start();
  await using kv = await cluster.connect();
  await using watched = await cluster.connect();
  const primary = await cluster.primaryOf("w:0");
  const others = [0, 1, 2].filter((index) => index !== primary);
  await using library = new LibraryWatching(watched, { prefix: "w:" }).start();
  // One at the node that dies: it goes on at another one, from its token.
  let at = primary;
  await using http = new HttpWatching(() => cluster.nodeHttpAddress(at), "prefix=w:").start();
  await using wire = new WireWatching(cluster.nodeAddress(others[0] ?? 0), { prefixes: ["w:"] })
    .start();
  const addresses = [primary, others[1] ?? 0].map((index) => cluster.nodeHttpAddress(index));
  await using web = new FetchWatching(addresses, { prefix: "w:" }).start();
  const watchers = [library, http, wire, web];
  for (const watching of watchers) await watching.untilLine("level");
  {
    await using counter = new Counter(kv);
    await hearsMore(watchers, counter);
    await cluster.crash(primary);
    at = others[1] ?? 0;
    await hearsMore(watchers, counter);
    await cluster.restart(primary);
    await cluster.whole({ nodes: 3 });
    await hearsMore(watchers, counter);
  }
  assert(http.connections > 1);
  await judge(watchers, kv);
});

Deno.test("watch: goes on through moves of partitions, and a rolling restart", async () => {
  await using cluster = await TestCluster.start({
    nodes: 2,
    replicationFactor: 2,
    minInSync: 1,
  });
  await using kv = await cluster.connect();
  await using watched = await cluster.connect();
  await using library = new LibraryWatching(watched, { prefix: "w:" }).start();
  await using http = new HttpWatching(() => cluster.nodeHttpAddress(0), "prefix=w:").start();
  await using wire = new WireWatching(cluster.nodeAddress(1), { prefixes: ["w:"] }).start();
  const watchers = [library, http, wire];
  for (const watching of watchers) await watching.untilLine("level");
  {
    await using counter = new Counter(kv);
    await hearsMore(watchers, counter);
    // A third of the replicas goes to a new node.
    await cluster.addNode();
    await cluster.whole({ nodes: 3 });
    await hearsMore(watchers, counter);
    for (const index of [0, 1, 2]) {
      assertEquals((await cluster.node(index).stop()).code, 0);
      await cluster.restart(index);
      await cluster.whole({ nodes: 3 });
      await hearsMore(watchers, counter);
    }
    assertEquals((await cluster.coordinatorProcess.stop()).code, 0);
    await hearsMore(watchers, counter);
    await cluster.restartCoordinator();
    await cluster.whole({ nodes: 3 });
  }
  await judge(watchers, kv);
});

Deno.test("watch: a forced primary is told as reset, and then what it has", async () => {
  await using cluster = await TestCluster.start({ nodes: 2, replicationFactor: 2, minInSync: 1 });
  await using kv = await cluster.connect();
  await kv.put("w:0", "everywhere");
  const { settings } = await cluster.map();
  const partition = partitionOf("w:0", settings.partitionCount);
  await cluster.crash(1);
  await cluster.waitFor(
    "one replica in sync",
    (map) => partitionConfig(map, partition).inSync.length === 1,
  );
  await kv.put("w:0", "on one node");
  await using watching = new LibraryWatching(kv, { prefix: "w:", snapshot: true }).start();
  await watching.untilLine("level");
  assertEquals(watching.lines, ["put w:0 on one node", "level"]);
  await cluster.crash(0);
  await cluster.restart(1);
  await cluster.waitFor(
    "the node that knows less alone",
    ({ nodes }) => nodes.filter(({ state }) => state === "up").length === 1,
  );
  const { port } = cluster.coordinatorAddress;
  await cluster.poll("the forced primary", async () => {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        ...COORDINATOR.permissions,
        new URL(`../../../${COORDINATOR.entry}`, import.meta.url).pathname,
        "--force",
        `--port=${port}`,
        `--data=${cluster.folder}/coordinator`,
      ],
      cwd: cluster.folder,
    }).output();
    if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
    const { forcedTerm } = partitionConfig(await cluster.map(), partition);
    return forcedTerm === undefined ? undefined : true;
  });
  await watching.until("reset", ({ lines }) => lines.includes("reset"));
  await watching.until("level again", ({ lines }) => lines.at(-1) === "level");
  assertEquals(watching.state.get("w:0"), "everywhere");
});
