/**
 * INFO: what tools read, under Redis's names, and in the section `kv` the true state of this node and its
 * cluster. Fields that have no meaning here are left out, not invented.
 *
 * @module
 */
import { DEFAULT_DATABASE } from "../../../shared/cluster/databases.ts";
import { indexOfDatabase } from "./database_index.ts";
import { settingsShown } from "../../../shared/cluster/cluster_settings.ts";
import type { Call } from "./command.ts";
import { REDIS_VERSION } from "./redis_version.ts";
import { VERSION } from "../../../shared/base/version.ts";

/** How long counting the keys may take; after that it is left out. */
const COUNT_TIMEOUT_MS = 2_000;

type Facts = Readonly<Record<string, string | number>>;

const SECTIONS = [
  "server",
  "clients",
  "memory",
  "stats",
  "replication",
  "cluster",
  "keyspace",
  "kv",
];
/** Words that mean all sections. */
const ALL = new Set(["all", "default", "everything"]);

/** Answers INFO for some sections, or for all of them if none is named. */
export function writeInfo(asked: readonly string[], call: Call, done: () => void): void {
  const all = asked.length === 0 || asked.some((name) => ALL.has(name));
  const wanted = SECTIONS.filter((name) => all || asked.includes(name));
  const answer = (keys: ReadonlyMap<number, number> | undefined) => {
    const text = wanted.map((name) => sectionText(name, factsOf(name, call, keys))).join("\r\n");
    call.session.answer((out) => out.verbatim(text));
    done();
  };
  if (!wanted.includes("keyspace")) {
    answer(undefined);
    return;
  }
  countEach(call, (keys) => answer(keys));
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

function sectionText(name: string, facts: Facts): string {
  const title = name === "kv" ? "kv" : name.charAt(0).toUpperCase() + name.slice(1);
  const lines = Object.entries(facts).map(([key, value]) => `${key}:${value}\r\n`);
  return `# ${title}\r\n${lines.join("")}`;
}

function factsOf(
  section: string,
  call: Call,
  keys: ReadonlyMap<number, number> | undefined,
): Facts {
  const { server } = call;
  switch (section) {
    case "server": {
      const upSeconds = Math.floor((server.clock.monotonicMs() - server.startedMs) / 1000);
      return {
        redis_version: REDIS_VERSION,
        redis_mode: "standalone",
        server_name: "kv-node",
        arch_bits: 64,
        run_id: server.node.nodeId,
        tcp_port: server.node.address()?.port ?? 0,
        uptime_in_seconds: upSeconds,
        uptime_in_days: Math.floor(upSeconds / 86_400),
      };
    }
    case "clients":
      return {
        connected_clients: server.sessions.size,
        maxclients: server.node.clientsMax(),
        blocked_clients: 0,
      };
    case "memory":
      // Nothing is ever evicted.
      return { maxmemory: 0, maxmemory_policy: "noeviction" };
    case "stats":
      return {
        total_connections_received: server.connections - server.countedBefore.connections,
        total_commands_processed: server.commands - server.countedBefore.commands,
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
        [...keys ?? []].filter(([, count]) => count > 0)
          .map(([index, count]) => [`db${index}`, `keys=${count},expires=0,avg_ttl=0`]),
      );
    default:
      return ownFacts(call);
  }
}

function ownFacts({ server }: Call): Facts {
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
  for (const [name, value] of Object.entries(server.node.stats())) {
    if (typeof value === "number" || typeof value === "string") facts[`kv_${name}`] = value;
    else if (typeof value === "boolean") facts[`kv_${name}`] = value ? 1 : 0;
  }
  return facts;
}
