/**
 * Our store: one standalone node, or a coordinator and some nodes, from source with the permissions of `deno
 * task node`, or the executables of `dist/`. Nodes can be added, killed and started again.
 *
 * @module
 */
import { type Address, formatAddress } from "../../../shared/platform/transport.ts";
import { fetchMap, whatIsMissing } from "../../../tools/cluster_state.ts";
import { COORDINATOR, NODE, type ProgramSpec } from "../../../tools/programs.ts";
import { type ReadyLine, ServerProcess } from "../../../tools/server_process.ts";
import type { Endpoint } from "../clients/store_client.ts";
import type { Running, System, SystemProcess } from "./system.ts";

const WHOLE_TIMEOUT_MS = 600_000;
const POLL_MS = 50;
const DIST = new URL("../../../dist/", import.meta.url).pathname;

/** How our programs are started. */
export interface KvLaunch {
  /** Run the executables of `dist/`. */
  readonly dist: boolean;
  /** Each program from source leaves a profile of its processor time in this folder at its end. */
  readonly cpuProfiles?: string;
}

/** What to start. */
export interface KvOptions {
  /** 0: one standalone node, without a coordinator. */
  readonly nodes: number;
  readonly storage: "leveldb" | "memory";
  readonly folder: string;
  readonly launch: KvLaunch;
  /** Default 3. */
  readonly replicationFactor?: number;
  readonly nodeFlags?: readonly string[];
  readonly coordinatorFlags?: readonly string[];
}

interface KvNode {
  readonly folder: string;
  process: ServerProcess;
  ready: ReadyLine;
}

/** Our system. */
export class KvSystem implements System {
  readonly name = "kv";
  readonly #options: KvOptions;
  readonly #running: Running;
  #coordinator: { readonly process: ServerProcess; readonly ready: ReadyLine } | undefined;
  readonly nodes: KvNode[] = [];

  private constructor(options: KvOptions, running: Running) {
    this.#options = options;
    this.#running = running;
  }

  /** Starts it on new folders, and waits until every partition has all its replicas. */
  static async start(options: KvOptions, running: Running): Promise<KvSystem> {
    const system = new KvSystem(options, running);
    const { nodes, folder, replicationFactor, coordinatorFlags = [] } = options;
    await Deno.mkdir(folder, { recursive: true });
    if (nodes > 0) {
      const process = system.#start(COORDINATOR, [
        "--host=127.0.0.1",
        "--port=0",
        "--heartbeat-port=0",
        "--no-cs-config",
        `--data=${folder}/coordinator`,
        `--expect-nodes=${nodes}`,
        ...(nodes === 1 ? ["--min-in-sync=1"] : []),
        ...(replicationFactor === undefined ? [] : [`--replication-factor=${replicationFactor}`]),
        ...coordinatorFlags,
      ]);
      system.#coordinator = { process, ready: await process.ready };
    }
    await Promise.all(Array.from({ length: Math.max(1, nodes) }, () => system.addNode()));
    await system.untilWhole(Math.max(1, nodes));
    await Promise.all(system.endpoints.map(untilItKnows));
    return system;
  }

  get setup(): string {
    const { nodes, storage, launch: { dist } } = this.#options;
    const what = nodes === 0 ? "one node, --standalone" : `coordinator and ${nodes} nodes`;
    const flags = ["--storage=" + storage, ...this.#options.nodeFlags ?? []].join(" ");
    return `${what}, ${flags}, ${dist ? "executables of dist/" : "from source"}`;
  }

  get processes(): SystemProcess[] {
    const nodes = this.nodes.map(({ process }, i) => ({ role: `node ${i + 1}`, pid: process.pid }));
    const coordinator = this.#coordinator?.process;
    return coordinator === undefined
      ? nodes
      : [{ role: "coordinator", pid: coordinator.pid }, ...nodes];
  }

  get endpoints(): Endpoint[] {
    return this.nodes.map(({ ready: { host, port } }) => ({ host, port }));
  }

  get httpEndpoints(): Endpoint[] {
    return this.nodes.flatMap(({ ready: { host, facts } }) =>
      facts.http === undefined ? [] : [{ host, port: facts.http }]
    );
  }

  /** The address to ask for the map: the coordinator, or the only node. */
  get authority(): Address {
    const ready = this.#coordinator?.ready ?? this.nodes[0]?.ready;
    if (ready === undefined) throw new Error("nothing was started");
    return { host: ready.host, port: ready.port };
  }

  /** Starts one more node on a new folder. @returns its index */
  async addNode(): Promise<number> {
    const folder = `${this.#options.folder}/node-${this.nodes.length + 1}`;
    const index = this.nodes.length;
    const process = this.#startNode(folder, 0);
    const unknown = { text: "", program: NODE.name, host: "127.0.0.1", port: 0, facts: {} };
    const node: KvNode = { folder, process, ready: unknown };
    this.nodes.push(node);
    node.ready = await process.ready;
    return index;
  }

  /** Starts a node again that has ended: same folder, same port. */
  async restart(index: number): Promise<void> {
    const node = this.#node(index);
    node.process = this.#startNode(node.folder, node.ready.port);
    node.ready = await node.process.ready;
  }

  /** SIGKILL; returns at once after the signal. */
  kill(index: number): void {
    this.#node(index).process.signal("SIGKILL");
  }

  /** SIGTERM; returns when it is gone. */
  async stop(index: number): Promise<void> {
    await this.#node(index).process.stop();
  }

  /** The index of the node with that id. */
  async indexOf(id: string | undefined): Promise<number> {
    const info = (await fetchMap(this.authority))?.nodes.find((node) => node.id === id);
    return this.nodes.findIndex(({ ready }) => ready.port === info?.port);
  }

  /** Waits until this many nodes are up and all replicas are in sync. */
  async untilWhole(nodes: number): Promise<void> {
    const endMs = performance.now() + WHOLE_TIMEOUT_MS;
    for (;;) {
      const missing = await fetchMap(this.authority).then((map) => whatIsMissing(map, nodes))
        .catch((error) => `no answer (${error.message})`);
      if (missing === undefined) return;
      if (performance.now() > endMs) throw new Error(`the servers are not ready: ${missing}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  #node(index: number): KvNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`there is no node ${index}`);
    return node;
  }

  #startNode(folder: string, port: number): ServerProcess {
    const { nodes, storage, nodeFlags = [] } = this.#options;
    return this.#start(NODE, [
      "--host=127.0.0.1",
      `--port=${port}`,
      `--data=${folder}`,
      `--storage=${storage}`,
      nodes === 0 ? "--standalone" : `--coordinator=${formatAddress(this.authority)}`,
      ...nodeFlags,
    ]);
  }

  #start(program: ProgramSpec, args: readonly string[]): ServerProcess {
    const { folder, launch: { dist, cpuProfiles } } = this.#options;
    const process = ServerProcess.start(program, args, {
      detached: false,
      cwd: folder,
      ...(dist ? { executable: DIST + program.name } : {}),
      ...(cpuProfiles === undefined
        ? {}
        : { denoFlags: ["--cpu-prof", `--cpu-prof-dir=${cpuProfiles}`] }),
    });
    // The measurement is over: nobody waits for handovers, unless a profile must be written.
    this.#running.add(() => cpuProfiles === undefined ? process.crash() : process.stop());
    return process;
  }
}

/** A node may learn a moment later than the coordinator that the cluster has been laid out. */
async function untilItKnows(node: Endpoint): Promise<void> {
  const endMs = performance.now() + WHOLE_TIMEOUT_MS;
  while (await fetchMap(node) === undefined) {
    if (performance.now() > endMs) throw new Error(`node ${formatAddress(node)} has no map`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
