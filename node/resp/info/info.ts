/**
 * INFO: what tools read, under Redis's names, and in the section `kv` the true state of this node, or of the machine
 * of which it is a worker, and its cluster. Fields that have no meaning here are left out, not invented.
 *
 * @module
 */
import { type DatabaseUsage, DEFAULT_DATABASE } from "../../../shared/cluster/databases.ts";
import { ASK_USAGE } from "../../../shared/database/database_usages.ts";
import { indexOfDatabase } from "../command/database_index.ts";
import { settingsShown } from "../../../shared/cluster/cluster_settings.ts";
import type { MetricSet } from "../../../shared/metrics/metric_set.ts";
import type { Call } from "../command/command.ts";
import { collectFigures, type InfoFigures, numberOf } from "./info_figures.ts";
import { commandStatsFacts, latencyStatsFacts } from "./command_stats.ts";
import { REDIS_VERSION } from "../command/redis_version.ts";
import { VERSION } from "../../../shared/base/version.ts";

/** How long counting the keys may take; after that it is left out. */
const COUNT_TIMEOUT_MS = 2_000;

/** What the section `keyspace` says of a database. */
interface KeyspaceFacts {
  readonly keys: number;
  readonly expires: number;
}

/** By the database's number in the Redis protocol. */
type Keyspaces = ReadonlyMap<number, KeyspaceFacts>;

type Facts = Readonly<Record<string, string | number>>;

const SECTIONS = [
  "server",
  "clients",
  "memory",
  "stats",
  "replication",
  "cpu",
  "commandstats",
  "latencystats",
  "cluster",
  "keyspace",
  "workers",
  "kv",
];
/** Words that mean all sections. */
const ALL = new Set(["all", "everything"]);
/** They are as long as there are commands, and come only if they are asked for. */
const LONG = new Set(["commandstats", "latencystats"]);

/** Answers INFO for some sections, or for all of them if none is named. */
export function writeInfo(asked: readonly string[], call: Call, done: () => void): void {
  const all = asked.some((name) => ALL.has(name));
  const most = asked.length === 0 || asked.includes("default");
  const wanted = SECTIONS.filter((name) =>
    all || asked.includes(name) || (most && !LONG.has(name))
  );
  const answer = (keys: Keyspaces | undefined) =>
    collectFigures(call, (figures) => {
      const text = wanted.filter((name) => name !== "workers" || figures.workers !== undefined)
        .map((name) => sectionText(name, factsOf(name, call, keys, figures))).join("\r\n");
      call.session.answer((out) => out.verbatim(text));
      done();
    });
  if (!wanted.includes("keyspace")) {
    answer(undefined);
    return;
  }
  countEach(call, (keys) => askExpiring(call, keys, answer));
}

/** Counts the keys of each database that has a number, one after the other. */
function countEach(call: Call, done: (keys: ReadonlyMap<number, number>) => void): void {
  const { session, server } = call;
  const names = [
    DEFAULT_DATABASE,
    ...(session.database.map()?.databases?.list ?? []).map(({ name }) => name),
  ]
    .filter((name) => indexOfDatabase(name) !== undefined)
    .sort((a, b) => (indexOfDatabase(a) ?? 0) - (indexOfDatabase(b) ?? 0));
  const found = new Map<number, number>();
  const next = (at: number): void => {
    const name = names[at];
    if (name === undefined) return done(found);
    session.inDatabase(name).count({}, COUNT_TIMEOUT_MS, (result) => {
      if (typeof result === "number") found.set(indexOfDatabase(name) ?? 0, result);
      server.clock.defer(() => next(at + 1));
    });
  };
  next(0);
}

const TITLES: Readonly<Record<string, string>> = { kv: "kv", cpu: "CPU" };
/** Adds how many of the keys expire, as far as the nodes know that answer in time. */
function askExpiring(
  { session, server: { node } }: Call,
  keys: ReadonlyMap<number, number>,
  done: (keyspaces: Keyspaces) => void,
): void {
  const list = session.database.map()?.databases?.list ?? [];
  const indexes = new Map(list.map(({ name, number }) => [number, indexOfDatabase(name)]));
  node.askOthers(ASK_USAGE, COUNT_TIMEOUT_MS, (replies) => {
    const usages = [node.databaseUsage()];
    for (const reply of replies) {
      if (reply.req_type === "result") usages.push(reply.result as DatabaseUsage);
    }
    const expiring = new Map<number | undefined, number>();
    const add = (index: number | undefined, more: number) =>
      expiring.set(index, (expiring.get(index) ?? 0) + more);
    for (const { databases, defaultExpiring = 0 } of usages) {
      add(0, defaultExpiring);
      for (const [number, , , more] of databases) add(indexes.get(number), more);
    }
    const facts = [...keys].map(([index, count]) =>
      // What has expired and is not deleted yet is no key any more, but is among those that expire.
      [index, { keys: count, expires: Math.min(count, expiring.get(index) ?? 0) }] as const
    );
    done(new Map(facts));
  });
}

function sectionText(name: string, facts: Facts): string {
  const title = TITLES[name] ?? name.charAt(0).toUpperCase() + name.slice(1);
  const lines = Object.entries(facts).map(([key, value]) => `${key}:${value}\r\n`);
  return `# ${title}\r\n${lines.join("")}`;
}

function factsOf(
  section: string,
  call: Call,
  keys: Keyspaces | undefined,
  figures: InfoFigures,
): Facts {
  const { server } = call;
  const { metrics } = figures;
  switch (section) {
    case "server": {
      const upSeconds = Math.floor((server.clock.monotonicMs() - server.startedMs) / 1000);
      return {
        redis_version: REDIS_VERSION,
        redis_mode: "standalone",
        server_name: "kv-node",
        arch_bits: 64,
        run_id: server.node.nodeId,
        tcp_port: figures.port,
        uptime_in_seconds: upSeconds,
        uptime_in_days: Math.floor(upSeconds / 86_400),
      };
    }
    case "clients":
      return {
        connected_clients: figures.clients,
        maxclients: figures.clientsMax,
        blocked_clients: 0,
      };
    case "memory":
      return memoryFacts(metrics);
    case "cpu":
      // Of both together: Deno's threads are not told apart.
      return {
        used_cpu_sys: "0.000000",
        used_cpu_user: (numberOf(metrics, "process_cpu_seconds_total") ?? 0).toFixed(6),
      };
    case "commandstats":
      return commandStatsFacts(metrics);
    case "latencystats":
      return latencyStatsFacts(metrics);
    case "stats":
      return {
        total_connections_received: figures.connections,
        total_commands_processed: figures.commands,
        rejected_connections: numberOf(metrics, "kv_connections_refused_total") ?? 0,
        expired_keys: numberOf(metrics, "kv_expired_keys_total") ?? 0,
        evicted_keys: 0,
        pubsub_channels: server.pubSub.local.channels("channel", undefined).length,
        pubsub_patterns: server.pubSub.local.patterns.length,
      };
    case "replication":
      // Each node takes every write, whoever its primary is.
      return { role: "master", connected_slaves: 0 };
    case "cluster":
      // CLUSTER answers, and some clients in cluster mode look here before they ask.
      return { cluster_enabled: 1 };
    case "keyspace":
      return Object.fromEntries(
        [...keys ?? []].filter(([, facts]) => facts.keys > 0)
          .map(([index, { keys, expires }]) => [
            `db${index}`,
            `keys=${keys},expires=${expires},avg_ttl=0`,
          ]),
      );
    case "workers":
      return figures.workers ?? {};
    default:
      return ownFacts(call, figures.stats);
  }
}

/** Data of a node with a disk is not in memory: this is what the process takes. */
function memoryFacts(metrics: MetricSet): Facts {
  const used = numberOf(metrics, "kv_heap_bytes", "used");
  const rss = numberOf(metrics, "process_resident_memory_bytes");
  return {
    ...(used === undefined ? {} : { used_memory: used, used_memory_human: humanBytes(used) }),
    ...(rss === undefined ? {} : { used_memory_rss: rss, used_memory_rss_human: humanBytes(rss) }),
    // Nothing is ever evicted.
    maxmemory: 0,
    maxmemory_human: "0B",
    maxmemory_policy: "noeviction",
  };
}

/** As Redis writes it. */
function humanBytes(bytes: number): string {
  if (bytes < 1_024) return `${bytes}B`;
  const [size, unit] = bytes < 1_048_576
    ? [1_024, "K"]
    : bytes < 2 ** 30
    ? [1_048_576, "M"]
    : [2 ** 30, "G"];
  return `${(bytes / size).toFixed(2)}${unit}`;
}

function ownFacts({ server }: Call, stats: InfoFigures["stats"]): Facts {
  const facts: Record<string, string | number> = { kv_version: VERSION };
  const map = server.database.map();
  if (map !== undefined) {
    const { settings, nodes, partitions, epoch } = map;
    facts.kv_cluster = settings.clusterName;
    facts.kv_epoch = epoch;
    facts.kv_nodes = nodes.length;
    facts.kv_nodes_up = nodes.filter(({ state }) => state === "up").length;
    facts.kv_partitions = partitions.length;
    facts.kv_partitions_without_primary = partitions
      .filter(({ primary }) => primary === undefined).length;
    for (const [name, value] of Object.entries(settingsShown(settings))) {
      facts[`kv_${name}`] = value;
    }
  }
  for (const [name, value] of Object.entries(stats)) {
    if (typeof value === "number" || typeof value === "string") facts[`kv_${name}`] = value;
    else if (typeof value === "boolean") facts[`kv_${name}`] = value ? 1 : 0;
  }
  return facts;
}
