/**
 * The benchmark, `deno task bench`. It only measures: no test depends on it.
 *
 * Workloads, by group:
 *
 * | group | what |
 * |---|---|
 * | codec | framing, decoding and encoding of the JSON wire, values, entries, checksums |
 * | metrics | what counting and timing costs a request, and what a scrape costs |
 * | ring | position of a key, AVL tree, walk on the ring, placement |
 * | storage | partition stores on LevelDB: synced batches of 1, 100 and 1,000 puts, gets, scans |
 * | node | one node by itself: put and get, 1 and 16 requests outstanding on each connection |
 * | secure | the same of two nodes in turn, one of them with `--secure`; how fast clients connect; and of two clusters, see cluster |
 * | fairness | how long pings and single keys take beside one heavy request, on a node with a million keys |
 * | cluster | three nodes, three replicas of each key: the same, sent to each key's primary; and 16 outstanding, sent to any node |
 * | databases | a put beside a thousand databases, and in one of them, on one node; how long others wait, on three nodes, while one with a million keys is dropped |
 * | transactions | three nodes: transactions of keys of one, two and ten partitions, beside a single put |
 * | denokv | `Deno.openKv` on a file, on one node and on three: sets, gets, atomic operations, lists |
 * | watch | from a write's acknowledgement to its event at a watcher; what a write costs that a hundred are told of; what idle watchers cost |
 *
 * Keys have 16 bytes and values 100, keys are drawn at random from 50,000, writes are synced at every
 * replica before they are acknowledged (`--fsync` says otherwise). Each figure is the median of several
 * rounds after a warm-up. Servers are processes of their own; the load generator is a worker in this
 * one, and shares the processors with them: on two cores a cluster of three nodes is measured
 * together with that.
 *
 *     deno task bench [GROUP…] [flags]
 *
 * @module
 */
import { loadConfig, type Program, type Values } from "../shared/program/config.ts";
import { helpText } from "../shared/program/help_text.ts";
import { choice, flag, integer, optionalText } from "../shared/program/setting.ts";
import { measureCodec } from "./workloads/codec_workloads.ts";
import { measureCoordinators } from "./workloads/coordinator_workloads.ts";
import type { Effort, Figure, Report } from "./figure.ts";
import { figureDocument, tableHead, tableRow } from "./figure_table.ts";
import { measureDatabases } from "./workloads/database_workloads.ts";
import { measureDenoKv } from "./workloads/denokv_workloads.ts";
import { measureFairness } from "./workloads/fairness_workloads.ts";
import { measureMetrics } from "./workloads/metrics_workloads.ts";
import { measureRing } from "./workloads/ring_workloads.ts";
import {
  CONNECTING_WORKLOADS,
  DIRECT_WORKLOADS,
  FORWARDED_WORKLOADS,
  measureServers,
} from "./workloads/server_workloads.ts";
import { type Servers, ServerStarter } from "./servers.ts";
import { measureTransactions } from "./workloads/transaction_workloads.ts";
import { measureStorage } from "./workloads/storage_workloads.ts";
import { measureWatch } from "./workloads/watch_workloads.ts";

const GROUPS = [
  "codec",
  "metrics",
  "ring",
  "storage",
  "coordinators",
  "node",
  "secure",
  "cluster",
  "fairness",
  "databases",
  "transactions",
  "denokv",
  "watch",
] as const;
type Group = (typeof GROUPS)[number];

const CLUSTER_NODES = 3;

const SETTINGS = {
  rounds: integer({ help: "Rounds of each workload.", min: 1, max: 100, default: 5 }),
  roundMs: integer({
    help: "How long a round of a server workload lasts; others take a tenth of it.",
    min: 100,
    max: 600_000,
    unit: "ms",
    default: 2_000,
  }),
  connections: integer({
    help: "Connections of all clients together.",
    min: 1,
    max: 5_000,
    default: 50,
  }),
  storage: choice(["leveldb", "memory"], { help: "The servers' storage.", default: "leveldb" }),
  fsync: choice(["always", "interval", "never"], {
    help: "The servers' --fsync.",
    default: "always",
  }),
  quick: flag({ help: "One short round of everything: to see that it runs, not to quote." }),
  data: optionalText({
    help: "A folder on the disk to measure; by default the system's temporary folder.",
    placeholder: "FOLDER",
  }),
  json: optionalText({
    help: "Where to write the figures; by default bench/results/DATE.json.",
    placeholder: "FILE",
  }),
};

const PROGRAM: Program<typeof SETTINGS> = {
  name: "bench",
  summary: "measures codec, ring, storage, one node and a three-node cluster",
  usage: [`[${GROUPS.join("|")}]… [flags]`],
  settings: SETTINGS,
  rest: true,
};

type BenchSettings = Values<typeof SETTINGS>;

async function measureGroup(
  group: Group,
  settings: BenchSettings,
  folder: string,
  starter: ServerStarter,
  report: Report,
): Promise<void> {
  const effort: Effort = settings.quick ? { rounds: 1, roundMs: 500 } : settings;
  const { connections, storage, fsync } = settings;
  const flags = [`--storage=${storage}`, `--fsync=${fsync}`];
  switch (group) {
    case "codec":
      return await measureCodec(effort, report);
    case "metrics":
      return await measureMetrics(effort, report);
    case "ring":
      return await measureRing(effort, report);
    case "storage":
      return await measureStorage(effort, `${folder}/storage`, report);
    case "coordinators":
      return await measureCoordinators(effort, `${folder}/coordinators`, report);
    case "node": {
      const node = await starter.startNode(`${folder}/node`, flags);
      const contestants = [{ servers: node }];
      return await measureServers(
        group,
        contestants,
        DIRECT_WORKLOADS,
        connections,
        effort,
        report,
      );
    }
    case "secure": {
      const plain = await starter.startNode(`${folder}/plain`, flags);
      const { servers, login } = await starter.startSecuredNode(`${folder}/secure`, flags);
      const contestants = [{ servers: plain }, { servers, login, label: ", TLS" }];
      const workloads = [...DIRECT_WORKLOADS, ...CONNECTING_WORKLOADS];
      await measureServers(group, contestants, workloads, connections, effort, report);
      await starter.stopAll();
      const cluster = await starter.startCluster(CLUSTER_NODES, `${folder}/plain-cluster`, flags);
      const secured = await starter.startSecuredCluster(
        CLUSTER_NODES,
        `${folder}/secured-cluster`,
        flags,
      );
      return await measureServers(
        group,
        [
          { servers: cluster, label: ", cluster" },
          { ...secured, label: ", cluster, TLS" },
        ],
        [...DIRECT_WORKLOADS, ...FORWARDED_WORKLOADS],
        connections,
        effort,
        report,
      );
    }
    case "fairness": {
      const node = await starter.startNode(`${folder}/fairness`, flags);
      return await measureFairness(group, node, { ...effort, quick: settings.quick }, report);
    }
    case "databases": {
      const many = await starter.startNode(`${folder}/databases`, flags);
      const large = await starter.startCluster(CLUSTER_NODES, `${folder}/large`, flags);
      const servers = { many, large };
      return await measureDatabases(group, servers, { ...effort, quick: settings.quick }, report);
    }
    case "transactions": {
      const cluster = await starter.startCluster(CLUSTER_NODES, `${folder}/transactions`, flags);
      return await measureTransactions(group, cluster, effort, report);
    }
    case "denokv": {
      const urlOf = ({ nodes: [node] }: Servers) =>
        `http://${node?.host}:${node?.facts.http}/db/bench`;
      const one = await starter.startNode(`${folder}/denokv`, flags);
      const three = await starter.startCluster(CLUSTER_NODES, `${folder}/denokv-cluster`, flags);
      const crude = await starter.startDenoKvStub();
      const crudeFile = await starter.startDenoKvStub(`${folder}/denokv-stub`);
      const contestants = [
        { name: "a file", path: `${folder}/denokv.sqlite`, pids: [] },
        { name: "crudest server", ...crude, isStub: true },
        { name: "crudest server with sync", ...crudeFile, isStub: true },
        { name: "one node", path: urlOf(one), pids: one.pids },
        { name: "three nodes", path: urlOf(three), pids: three.pids },
      ];
      return await measureDenoKv(group, contestants, effort, report);
    }
    case "watch": {
      const one = await starter.startNode(`${folder}/watch`, flags);
      const three = await starter.startCluster(CLUSTER_NODES, `${folder}/watch-cluster`, flags);
      const contestants = [{ name: "one node", servers: one }, {
        name: "three nodes",
        servers: three,
      }];
      return await measureWatch(group, contestants, { ...effort, quick: settings.quick }, report);
    }
    case "cluster": {
      const cluster = await starter.startCluster(CLUSTER_NODES, `${folder}/cluster`, flags);
      const workloads = [...DIRECT_WORKLOADS, ...FORWARDED_WORKLOADS];
      const contestants = [{ servers: cluster }];
      return await measureServers(group, contestants, workloads, connections, effort, report);
    }
  }
}

async function run(groups: readonly Group[], settings: BenchSettings): Promise<void> {
  const figures: Figure[] = [];
  const starter = new ServerStarter();
  const folder = await Deno.makeTempDir({
    prefix: "kv-bench-",
    ...(settings.data === undefined ? {} : { dir: settings.data }),
  });
  const cleanUp = async () => {
    await starter.stopAll();
    await Deno.remove(folder, { recursive: true });
  };
  // The servers are in process groups of their own: a Ctrl-C does not reach them.
  let interruption: Promise<void> | undefined;
  const onSignal = () => {
    interruption ??= cleanUp().finally(() => Deno.exit(130));
  };
  Deno.addSignalListener("SIGINT", onSignal);
  Deno.addSignalListener("SIGTERM", onSignal);
  try {
    for (const group of groups) {
      console.log(tableHead(group));
      await measureGroup(group, settings, folder, starter, (figure) => {
        figures.push(figure);
        console.log(tableRow(figure));
      });
      await starter.stopAll();
    }
  } finally {
    // If the user has interrupted it, the measurement fails for that reason alone.
    await (interruption ?? cleanUp());
    if (figures.length > 0) writeDocument(figures, settings);
  }
}

function writeDocument(figures: readonly Figure[], settings: BenchSettings): void {
  const results = new URL("results/", import.meta.url);
  Deno.mkdirSync(results, { recursive: true });
  const date = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  const file = settings.json ?? new URL(`${date}.json`, results);
  const document = figureDocument(figures, settings);
  Deno.writeTextFileSync(file, `${JSON.stringify(document, undefined, 2)}\n`);
  console.log(`\nWritten to ${file instanceof URL ? file.pathname : file}`);
}

async function main(): Promise<number> {
  try {
    const loaded = loadConfig(PROGRAM, {
      args: Deno.args,
      env: (name) => Deno.env.get(name),
      readFile: Deno.readTextFileSync,
    });
    if (loaded.kind !== "run") {
      console.log(helpText(PROGRAM));
      return 0;
    }
    const wanted = loaded.rest.length === 0 ? GROUPS : loaded.rest;
    const unknown = wanted.find((name) => !(GROUPS as readonly string[]).includes(name));
    if (unknown !== undefined) {
      console.error(`bench: unknown group ${unknown}; there are ${GROUPS.join(", ")}`);
      return 2;
    }
    await run(GROUPS.filter((group) => wanted.includes(group)), loaded.values);
    return 0;
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
