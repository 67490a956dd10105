/**
 * The workload and the checkers of the simulation against real processes: real SIGKILL, SIGSTOP,
 * and connections that are cut, slow or reset, since the simulator cannot know what it leaves out.
 *
 *     deno task torture [--minutes 2] [--nodes 3] [--seed N] [--history FILE]
 *
 * The seed decides what is done and asked, not how it falls in time: a run cannot be repeated.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { KvClient } from "../../client/library/kv_client.ts";
import { SystemClock } from "../../shared/platform/clock.ts";
import { DenoTransport } from "../../shared/platform/deno/deno_transport.ts";
import {
  type Random,
  randomBelow,
  SeededRandom,
  SystemRandom,
} from "../../shared/platform/random.ts";
import { Router } from "../../shared/routing/router.ts";
import { showUsage } from "../../tools/usage.ts";
import { History } from "../simulation/checkers/history.ts";
import { historyLines } from "../simulation/checkers/history_export.ts";
import { judgeHistory } from "../simulation/checkers/judge.ts";
import { OneAddressRouter } from "../simulation/sim/one_address_router.ts";
import { Workload, type WorkloadClient } from "../simulation/workload/workload.ts";
import { TortureCluster, type TortureNode } from "./torture_cluster.ts";

const HEAL_MS_MAX = 60_000;
const CALM_MS = 5_000;
/** Operations that must have succeeded for each second, or the run proved nothing. */
const OK_PER_SECOND_MIN = 5;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** What goes wrong, one thing after the other; each ends by itself. */
class Nemesis {
  readonly counts = new Map<string, number>();
  readonly #cluster: TortureCluster;
  readonly #random: Random;
  readonly #underWay = new Set<Promise<void>>();
  /** Processes that something is being done to. */
  readonly #busy = new Set<TortureNode | "coordinator">();

  constructor(cluster: TortureCluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
  }

  async run(untilMs: number): Promise<void> {
    while (performance.now() < untilMs) {
      await sleep(200 + this.#below(1_800));
      if (this.#underWay.size >= 3) continue;
      const { name, act } = this.#choose();
      this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
      const done: Promise<void> = act().finally(() => this.#underWay.delete(done));
      this.#underWay.add(done);
    }
    await Promise.all(this.#underWay);
    this.#cluster.links.heal();
    this.#cluster.heartbeats.lossPercent = 0;
    this.#cluster.heartbeats.doublePercent = 0;
  }

  #below(bound: number): number {
    return randomBelow(this.#random, bound);
  }

  #choose(): { name: string; act: () => Promise<void> } {
    const { nodes, links, heartbeats } = this.#cluster;
    const free = nodes.filter((node) => !this.#busy.has(node));
    const node = free[this.#below(free.length)];
    const nothing = { name: "nothing", act: () => Promise.resolve() };
    const names = [...nodes.flatMap(({ id }) => id ?? []), "coordinator"];
    const from = names[this.#below(names.length)] ?? "";
    const to = names[this.#below(names.length)] ?? "";
    switch (this.#below(9)) {
      case 0:
        return node === undefined ? nothing : { name: "node killed", act: () => this.#kill(node) };
      case 1:
        return node === undefined ? nothing : { name: "node paused", act: () => this.#pause(node) };
      case 2:
        if (this.#busy.has("coordinator")) return nothing;
        return { name: "coordinator killed", act: () => this.#killCoordinator() };
      case 3:
        if (this.#busy.has("coordinator")) return nothing;
        return { name: "coordinator paused", act: () => this.#pause("coordinator") };
      case 4:
        return {
          name: "one way cut",
          act: async () => {
            links.set(from, to, { cut: true });
            await sleep(200 + this.#below(6_000));
            links.set(from, to, { cut: false });
          },
        };
      case 5:
        return {
          name: "process cut off",
          act: async () => {
            const all = [...names, "client"];
            for (const other of all) this.#cut(from, other, true);
            await sleep(200 + this.#below(6_000));
            for (const other of all) this.#cut(from, other, false);
          },
        };
      case 6:
        return {
          name: "slow link",
          act: async () => {
            const delayMs = 5 + this.#below(400);
            links.set(from, to, { delayMs });
            links.set(to, from, { delayMs });
            await sleep(1_000 + this.#below(6_000));
            links.set(from, to, { delayMs: 0 });
            links.set(to, from, { delayMs: 0 });
          },
        };
      case 7:
        return {
          name: "connections reset",
          act: () => {
            this.#cluster.reset(node ?? "coordinator");
            return Promise.resolve();
          },
        };
      default:
        return {
          name: "heartbeats lost and doubled",
          act: async () => {
            heartbeats.lossPercent = this.#below(70);
            heartbeats.doublePercent = this.#below(50);
            await sleep(2_000 + this.#below(5_000));
            heartbeats.lossPercent = 0;
            heartbeats.doublePercent = 0;
          },
        };
    }
  }

  #cut(a: string, b: string, cut: boolean): void {
    this.#cluster.links.set(a, b, { cut });
    this.#cluster.links.set(b, a, { cut });
  }

  async #kill(node: TortureNode): Promise<void> {
    this.#busy.add(node);
    await node.process.crash();
    await sleep(this.#below(8_000));
    await this.#cluster.restartNode(node);
    this.#busy.delete(node);
  }

  async #pause(whom: TortureNode | "coordinator"): Promise<void> {
    this.#busy.add(whom);
    const process = whom === "coordinator" ? this.#cluster.coordinator : whom.process;
    process.signal("SIGSTOP");
    await sleep(100 + this.#below(6_000));
    process.signal("SIGCONT");
    this.#busy.delete(whom);
  }

  async #killCoordinator(): Promise<void> {
    this.#busy.add("coordinator");
    await this.#cluster.coordinator.crash();
    await sleep(this.#below(5_000));
    await this.#cluster.startCoordinator();
    this.#busy.delete("coordinator");
  }
}

function makeClients(cluster: TortureCluster): WorkloadClient[] {
  const clock = new SystemClock();
  const deps = { clock, random: new SystemRandom(), transport: new DenoTransport() };
  const coordinator = cluster.coordinatorAddress;
  const seeds = [coordinator, ...cluster.nodes.map(({ index }) => cluster.nodeAddress(index))];
  const library = () => new Router(deps, { role: "client", seeds });
  const kinds = [
    { name: "library 1", router: library, gateway: false },
    { name: "library 2", router: library, gateway: false },
    { name: "gateway", router: () => new OneAddressRouter(deps, coordinator), gateway: true },
    {
      name: "node",
      router: () => new OneAddressRouter(deps, cluster.nodeAddress(0)),
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

const USAGE = "usage: deno task torture [--minutes 2] [--nodes 3] [--seed N] [--history FILE]";

async function main(args: string[]): Promise<number> {
  if (showUsage(args, USAGE)) return 0;
  const flags = parseArgs(args, {
    string: ["minutes", "nodes", "seed", "history"],
    default: { minutes: "2", nodes: "3", seed: String(new SystemRandom().uint32()) },
  });
  const minutes = Number(flags.minutes);
  const nodes = Number(flags.nodes);
  if (!(minutes > 0) || !Number.isSafeInteger(nodes) || nodes < 1) {
    console.error("--minutes must be more than 0, --nodes a whole number from 1");
    return 2;
  }
  const random = new SeededRandom(Number(flags.seed));
  const folder = await Deno.makeTempDir({ prefix: "kv-torture-" });
  const cluster = new TortureCluster(folder, nodes);
  const interrupt = () => {
    cluster.close().finally(() => Deno.exit(130));
  };
  Deno.addSignalListener("SIGINT", interrupt);
  Deno.addSignalListener("SIGTERM", interrupt);
  console.log(`torture of ${nodes} nodes for ${minutes} minutes, seed ${flags.seed}`);
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
