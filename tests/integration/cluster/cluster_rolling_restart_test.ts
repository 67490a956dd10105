/**
 * A rolling restart: every process is stopped cleanly and started again, one after the other,
 * while clients write and read at every front end. It may cost nobody an error.
 *
 * @module
 */
import { assertEquals, assertGreater } from "@std/assert";
import type { KvClient } from "../../../client/mod.ts";
import {
  countByHttp,
  countByLibrary,
  countByLines,
  type Counting,
} from "../../support/clients/counting.ts";
import { Workload } from "../../support/clients/workload.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { TestCoordinators } from "../../support/worlds/coordinators.ts";

const NODES = [0, 1, 2];

Deno.test("cluster: a rolling restart costs no client an error, at any front end", async () => {
  await using cluster = await TestCluster.start({ nodes: NODES.length });
  await restartsWithoutError(cluster, NODES);
});

Deno.test("secured cluster: a rolling restart costs no client an error, at any front end", async () => {
  await using cluster = await TestCluster.start({ nodes: NODES.length, secured: true });
  // What is different from an open one shows at the first node as well.
  await restartsWithoutError(cluster, [0]);
});

async function restartsWithoutError(
  cluster: TestCluster,
  nodes: readonly number[],
): Promise<void> {
  const login = cluster.probeLogin;
  await using kv = await cluster.connect();
  await using workload = Workload.start(kv, "loop");
  const http = await Promise.all(NODES.map((index) => httpAddress(cluster, index)));
  const counters: Counting[] = [
    countByLibrary(kv, "by library"),
    countByLines(cluster.coordinatorAddress, "by-gateway", "json", login),
    ...NODES.map((i) => countByLines(cluster.nodeAddress(i), `by-wire-${i}`, "json", login)),
    ...NODES.map((i) => countByLines(cluster.nodeAddress(i), `by-resp-${i}`, "resp", login)),
    countByHttp(() => http, "by-http", login),
  ];
  const surveys = survey(kv);
  /** A time in which everybody has got on. */
  const progress = async () => {
    const before = counters.map(({ acknowledged }) => acknowledged);
    await cluster.poll("progress at every front end", () => {
      const isDone = ({ acknowledged, errors }: Counting, i: number) =>
        errors.length > 0 || acknowledged > (before[i] ?? 0);
      return Promise.resolve(counters.every(isDone) || undefined);
    }, () => counters.map(({ key, acknowledged }) => `${key}: ${acknowledged}`));
    assertEquals(counters.flatMap(({ errors }) => errors), []);
  };

  for (const index of nodes) {
    await progress();
    const { code } = await cluster.node(index).stop();
    assertEquals(code, 0);
    await cluster.restart(index);
    http[index] = await httpAddress(cluster, index);
    await cluster.whole({ nodes: NODES.length });
  }
  await progress();
  const { code } = await cluster.coordinatorProcess.stop();
  assertEquals(code, 0);
  await cluster.restartCoordinator();
  await cluster.whole({ nodes: NODES.length });
  await progress();

  // Of three coordinators each is stopped, the active one among them, wherever the clients are.
  await using coordinators = await TestCoordinators.add(cluster, 2);
  counters.push(
    ...[1, 2].map((i) => countByLines(coordinators.addressOf(i), `by-gateway-${i}`, "json", login)),
  );
  for (let index = 0; index < coordinators.count; index++) {
    await progress();
    const stopped = await coordinators.processOf(index).stop();
    assertEquals(stopped.code, 0);
    await coordinators.restart(index);
    await coordinators.level(index);
  }
  await progress();

  const rounds = await surveys.stop();
  await Promise.all(counters.map((counter) => counter.stop()));
  assertEquals(counters.flatMap(({ errors }) => errors), []);
  for (const { key, acknowledged } of counters) {
    assertEquals([key, await kv.getText(key)], [key, String(acknowledged)]);
  }
  assertGreater(rounds, 0);
  const { errors, violations, unknown } = await workload.stop();
  assertEquals([errors, violations, unknown], [[], [], 0]);
}

/** Counts all keys, goes through them and makes a backup, again and again. @returns how often */
function survey(kv: KvClient): { stop(): Promise<number> } {
  let stopping = false;
  const running = (async () => {
    let rounds = 0;
    while (!stopping) {
      assertGreater(await kv.count(), 0);
      for await (const _ of kv.keys());
      await kv.backup(() => Promise.resolve());
      rounds++;
    }
    return rounds;
  })();
  // It is looked at when it is stopped.
  running.catch(() => {});
  return {
    stop() {
      stopping = true;
      return running;
    },
  };
}

async function httpAddress(cluster: TestCluster, index: number): Promise<string> {
  const { facts } = await cluster.node(index).ready;
  return `http${cluster.probeLogin === undefined ? "" : "s"}://127.0.0.1:${facts.http}`;
}
