/**
 * The workload and the checkers of the simulation against real processes: real SIGKILL, SIGSTOP,
 * and connections that are cut, slow or reset, since the simulator cannot know what it leaves out.
 *
 *     deno task torture [--minutes 2] [--nodes 3] [--coordinators 3] [--secure] [--seed N] [--history FILE]
 *
 * It needs Linux, whose kernel tells who has which connection. The seed decides what is done and asked, not how it falls in time: a run cannot be repeated.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { KvClient } from "../../client/library/kv_client.ts";
import { SystemClock } from "../../shared/platform/clock.ts";
import { DenoTransport } from "../../shared/platform/deno/deno_transport.ts";
import { type Random, SeededRandom, SystemRandom } from "../../shared/platform/random.ts";
import { Router } from "../../shared/routing/router.ts";
import { showUsage } from "../../tools/usage.ts";
import { History } from "../simulation/checkers/history.ts";
import { historyLines } from "../simulation/checkers/history_export.ts";
import { judgeHistory } from "../simulation/checkers/judge.ts";
import { OneAddressRouter } from "../simulation/sim/one_address_router.ts";
import { Workload, type WorkloadClient } from "../simulation/workload/workload.ts";
import { Nemesis } from "./nemesis.ts";
import { TortureCluster } from "./torture_cluster.ts";

const HEAL_MS_MAX = 60_000;
const CALM_MS = 5_000;
/** Operations that must have succeeded for each second, or the run proved nothing. */
const OK_PER_SECOND_MIN = 5;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function makeClients(cluster: TortureCluster): WorkloadClient[] {
  const clock = new SystemClock();
  const { credentials, addresses: seeds, coordinatorAddress: coordinator } = cluster;
  const transport = new DenoTransport(undefined, { authority: credentials?.ca });
  const deps = { clock, random: new SystemRandom(), transport };
  const hello = credentials?.token === undefined ? {} : { secret: credentials.token };
  const library = () => new Router(deps, { role: "client", hello, seeds });
  const node = seeds.at(-1) ?? coordinator;
  const kinds = [
    { name: "library 1", router: library, gateway: false },
    { name: "library 2", router: library, gateway: false },
    {
      name: "gateway",
      router: () => new OneAddressRouter(deps, coordinator, hello),
      gateway: true,
    },
    {
      name: "node",
      router: () => new OneAddressRouter(deps, node, hello),
      gateway: false,
    },
  ];
  return kinds.map(({ name, router, gateway }) => {
    let sessions = 0;
    return {
      name,
      kv: new KvClient({ clock, router: router(), clientId: name }),
      clock,
      concurrency: 4,
      gateway,
      open: () => new KvClient({ clock, router: router(), clientId: `${name}-${++sessions}` }),
    };
  });
}

/** All processes have the date of one machine; the history has a clock of its own. */
const CLOCKS_MS = 100;

const USAGE = "usage: deno task torture [--minutes 2] [--nodes 3] [--coordinators 1] [--secure] " +
  "[--seed N] [--history FILE]";

async function main(args: string[]): Promise<number> {
  if (showUsage(args, USAGE)) return 0;
  const flags = parseArgs(args, {
    string: ["minutes", "nodes", "coordinators", "seed", "history"],
    boolean: ["secure"],
    default: {
      minutes: "2",
      nodes: "3",
      coordinators: "1",
      seed: String(new SystemRandom().uint32()),
    },
  });
  const minutes = Number(flags.minutes);
  const [nodes, coordinators] = [Number(flags.nodes), Number(flags.coordinators)];
  const isCount = (count: number) => Number.isSafeInteger(count) && count >= 1;
  if (!(minutes > 0) || !isCount(nodes) || !isCount(coordinators)) {
    console.error("--minutes must be more than 0, --nodes and --coordinators whole numbers from 1");
    return 2;
  }
  if (Deno.build.os !== "linux") {
    console.error("it asks Linux's kernel who has which connection, and runs there alone");
    return 2;
  }
  const random = new SeededRandom(Number(flags.seed));
  const folder = await Deno.makeTempDir({ prefix: "kv-torture-" });
  const cluster = new TortureCluster(folder, { nodes, coordinators, secure: flags.secure });
  const interrupt = () => {
    cluster.close().finally(() => Deno.exit(130));
  };
  Deno.addSignalListener("SIGINT", interrupt);
  Deno.addSignalListener("SIGTERM", interrupt);
  console.log(
    `torture of ${flags.secure ? "a secured cluster of " : ""}${nodes} nodes and ${coordinators} ` +
      `coordinators for ${minutes} minutes, seed ${flags.seed}`,
  );
  let clients: WorkloadClient[] = [];
  try {
    await cluster.start();
    clients = makeClients(cluster);
    const problem = await torture(cluster, clients, random, minutes, flags.history);
    if (problem === undefined) return 0;
    console.log(`FAILED: ${problem}`);
    return 1;
  } catch (error) {
    console.log(`FAILED: ${error instanceof Error ? error.stack : error}`);
    return 1;
  } finally {
    for (const { kv } of clients) kv.close();
    await cluster.close();
    await Deno.remove(folder, { recursive: true });
  }
}

/** @returns what is wrong */
async function torture(
  cluster: TortureCluster,
  clients: readonly WorkloadClient[],
  random: Random,
  minutes: number,
  historyFile: string | undefined,
): Promise<string | undefined> {
  const history = new History();
  const deps = {
    random: new SeededRandom(random.uint32()),
    history,
    nowMs: () => performance.now(),
  };
  const workload = new Workload(deps, clients, { pauseMsMax: 60, clocksMs: CLOCKS_MS });
  const nemesis = new Nemesis(cluster, random);
  workload.start();
  await nemesis.run(performance.now() + minutes * 60_000);
  const storm = { ...workload.counts };
  await cluster.whole(HEAL_MS_MAX);
  // What was asked in the storm comes to its end first.
  await sleep(10_000);
  const calmFrom = history.events.length;
  await sleep(CALM_MS);
  await workload.stop();
  const reader = clients[0];
  const held = reader === undefined ? undefined : await workload.readAll(reader);
  const started = performance.now();
  const judgement = judgeHistory(history, held === undefined ? {} : { held });
  if (historyFile !== undefined) await Deno.writeTextFile(historyFile, historyLines(history));
  for (const [name, count] of nemesis.counts) {
    console.log(`  ${String(count).padStart(4)}  ${name}`);
  }
  console.log(
    `${judgement.operations} operations on ${judgement.keys} keys: in the storm ${storm.ok} ok, ` +
      `${storm.fail} failed, ${storm.info} of unknown outcome; judged in ` +
      `${(performance.now() - started).toFixed(0)} ms, ${judgement.states} states`,
  );
  const [failure] = judgement.failures;
  if (failure !== undefined) return `${failure.check}: ${failure.text}\n${cluster.logs()}`;
  if (storm.ok < OK_PER_SECOND_MIN * minutes * 60) {
    return `only ${storm.ok} operations succeeded: the run proves nothing`;
  }
  const [late] = workload.late;
  if (late !== undefined) {
    return `operation ${late.id} of ${late.client} took ${late.elapsedMs.toFixed(0)} ms, its ` +
      `deadline was ${late.timeoutMs} ms`;
  }
  const answers = new Set(["not_found", "exists", "version_mismatch", "given up"]);
  for (const { type, f, key, error } of history.events.slice(calmFrom)) {
    if ((type === "fail" || type === "info") && !answers.has(error ?? "")) {
      return `in the calm, ${f} of ${key} ended as ${type} (${error})\n${cluster.logs()}`;
    }
  }
  console.log("all operations are explained, and nothing acknowledged was lost");
  return undefined;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
