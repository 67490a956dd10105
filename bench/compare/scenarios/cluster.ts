/**
 * Three nodes against three members of etcd, values of 256 bytes: writes (ours synced on
 * all three replicas, etcd's on a majority) and linearizable reads. Three ways to connect: as programs
 * do (our library; gRPC over one connection to each member), with 100 and with 1,000 operations under way, each of 100
 * clients with a connection of its own (RESP; gRPC), and HTTP with keep-alive on both sides.
 *
 * @module
 */
import type { ClientKind } from "../clients/store_client.ts";
import { clientOf, loadContestant, loadKeys, type Work } from "../load_contestant.ts";
import { speaksHttp, speaksResp } from "../probes.ts";
import { HOW_TO_GET, type Scenario, type ScenarioContext } from "../scenario.ts";
import { startEtcd } from "../systems/etcd_system.ts";
import { KvSystem } from "../systems/kv_system.ts";
import type { System } from "../systems/system.ts";

const NODES = 3;
const CLIENTS = 100;
const VALUE_BYTES = 256;
const KEYS = 10_000;
const YCSB_KEYS = 100_000;
const QUICK_KEYS = 1_000;
const MANY_CLIENTS = 1_000;

interface Way {
  readonly name: string;
  readonly title: string;
  readonly ours: ClientKind;
  readonly theirs: ClientKind;
  readonly connections: number;
  readonly clients: number;
  /** The ratio of rates that is aimed at. */
  readonly aims: { readonly write: number; readonly read: number };
}

const LIBRARY: Way = {
  name: "library",
  title: "as programs connect",
  ours: "library",
  theirs: "etcd-grpc",
  connections: NODES,
  clients: CLIENTS,
  aims: { write: 2.5, read: 12 },
};
const MANY: Way = {
  ...LIBRARY,
  name: "library-1000",
  clients: MANY_CLIENTS,
  aims: { write: 2.5, read: 10 },
};
const CONNECTIONS: Way = {
  name: "connections",
  title: "a connection each",
  ours: "resp",
  theirs: "etcd-grpc",
  connections: CLIENTS,
  clients: CLIENTS,
  aims: { write: 2, read: 6 },
};
const HTTP: Way = {
  name: "http",
  title: "HTTP",
  ours: "http",
  theirs: "etcd-http",
  connections: CLIENTS,
  clients: CLIENTS,
  aims: { write: 1.5, read: 5 },
};

/** Writes and reads. */
export const CLUSTER: Scenario = {
  name: "cluster",
  title: "three nodes against three members of etcd",
  group: "comparison",
  run: async (context) => {
    const { kv, etcd } = await startBoth(context);
    const data = { keys: context.quick ? QUICK_KEYS : KEYS, valueBytes: VALUE_BYTES };
    const generator = context.startGenerator();
    await loadKeys(generator, clientOf(kv, "library", NODES), data);
    if (etcd !== undefined) await loadKeys(generator, clientOf(etcd, "etcd-grpc", NODES), data);
    const possible = await ways(kv, context);
    for (const [verb, reads] of [["write", 0], ["read", 1]] as const) {
      for (const way of possible) {
        const work: Work = {
          data,
          clients: way.clients,
          mix: { reads, readModifyWrites: 0 },
          distribution: "uniform",
        };
        const on = (system: System, kind: ClientKind) =>
          loadContestant(generator, system, clientOf(system, kind, way.connections), work);
        await context.measure({
          name: `cluster-${verb}-${way.name}`,
          title:
            `3 nodes, ${reads === 0 ? "writes synced on all 3 replicas" : "linearizable reads"}, ` +
            `${way.clients} clients, ${VALUE_BYTES} B, ${way.title}`,
          aim: way.aims[verb],
          ours: on(kv, way.ours),
          ...(etcd === undefined ? {} : { theirs: on(etcd, way.theirs) }),
        });
      }
    }
  },
};

/** The mixes of YCSB (Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", 2010). */
const MIXES = [
  { name: "a", text: "half reads, half updates", reads: 0.5, readModifyWrites: 0 },
  { name: "b", text: "95 % reads, 5 % updates", reads: 0.95, readModifyWrites: 0 },
  { name: "c", text: "reads", reads: 1, readModifyWrites: 0 },
  { name: "f", text: "half reads, half read-modify-writes", reads: 0.5, readModifyWrites: 0.5 },
] as const;

/** Mixes in which a few keys are used often. */
export const YCSB: Scenario = {
  name: "ycsb",
  title: "YCSB A, B, C and F against etcd, over the library",
  group: "comparison",
  run: async (context) => {
    const { kv, etcd } = await startBoth(context);
    const data = { keys: context.quick ? QUICK_KEYS : YCSB_KEYS, valueBytes: VALUE_BYTES };
    const generator = context.startGenerator();
    await loadKeys(generator, clientOf(kv, LIBRARY.ours, NODES), data);
    if (etcd !== undefined) await loadKeys(generator, clientOf(etcd, LIBRARY.theirs, NODES), data);
    for (const { name, text, ...mix } of MIXES) {
      const work: Work = { data, clients: CLIENTS, mix, distribution: "zipfian" };
      await context.measure({
        name: `ycsb-${name}`,
        title: `3 nodes, YCSB ${name.toUpperCase()} (${text}), zipfian, ${data.keys} keys`,
        ours: loadContestant(generator, kv, clientOf(kv, LIBRARY.ours, NODES), work),
        ...(etcd === undefined ? {} : {
          theirs: loadContestant(generator, etcd, clientOf(etcd, LIBRARY.theirs, NODES), work),
        }),
      });
    }
  },
};

async function startBoth(context: ScenarioContext) {
  const { folder, launch, running, versions } = context;
  const kv = await KvSystem.start(
    { nodes: NODES, storage: "leveldb", folder: `${folder}/kv`, launch },
    running,
  );
  context.note(`kv: ${kv.setup}`);
  let etcd: System | undefined;
  if (versions.etcd === undefined) context.note(HOW_TO_GET.etcd);
  else {
    etcd = await startEtcd(NODES, `${folder}/etcd`, running);
    context.note(`etcd: ${etcd.setup}`);
  }
  return { kv, etcd };
}

/** The ways by which this version of ours can be reached. */
async function ways(kv: KvSystem, context: ScenarioContext): Promise<Way[]> {
  const [endpoint] = kv.endpoints;
  const resp = endpoint !== undefined && await speaksResp(endpoint);
  const http = await speaksHttp(kv.httpEndpoints[0]);
  if (!resp) context.note("this kv-node does not speak RESP: the JSON wire is used instead");
  if (!http) context.note("this kv-node does not speak HTTP: those rows are left out");
  return [
    LIBRARY,
    MANY,
    resp ? CONNECTIONS : { ...CONNECTIONS, ours: "wire" },
    ...(http ? [HTTP] : []),
  ];
}
