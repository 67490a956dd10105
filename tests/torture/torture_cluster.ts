/**
 * A cluster of real processes with a proxy in front of each: what a process advertises is its
 * proxy's address, so that everything between two processes goes through one. The proxies have
 * addresses of their own in 127.0.0.0/8, at the port of the process behind them.
 *
 * Invariant: processes are ended by their ids, all of them, whatever happens.
 *
 * @module
 */
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import type { Address } from "../../shared/platform/transport.ts";
import { fetchMap, whatIsMissing } from "../../tools/cluster_state.ts";
import { COORDINATOR, NODE } from "../../tools/programs.ts";
import { ServerProcess } from "../../tools/server_process.ts";
import { Links } from "./links.ts";
import { HeartbeatProxy, StreamProxy } from "./proxy.ts";

const REAL = "127.0.0.1";
const COORDINATOR_PROXY = "127.0.0.2";
const POLL_MS = 100;

/** A node. */
export interface TortureNode {
  readonly index: number;
  /** Its id in the map; known when it has registered. */
  id: string | undefined;
  process: ServerProcess;
  port: number;
  proxy: StreamProxy | undefined;
  stopped: boolean;
}

/** The cluster. */
export class TortureCluster {
  readonly links = new Links();
  readonly nodes: TortureNode[] = [];
  readonly #folder: string;
  readonly #nodeCount: number;
  #coordinator: ServerProcess | undefined;
  #port = 0;
  #heartbeatPort = 0;
  #proxies: { stream: StreamProxy; heartbeats: HeartbeatProxy } | undefined;

  constructor(folder: string, nodeCount: number) {
    this.#folder = folder;
    this.#nodeCount = nodeCount;
  }

  /** Where clients and nodes find the coordinator. */
  get coordinatorAddress(): Address {
    return { host: COORDINATOR_PROXY, port: this.#port };
  }

  get coordinator(): ServerProcess {
    if (this.#coordinator === undefined) throw new Error("the coordinator was never started");
    return this.#coordinator;
  }

  get heartbeats(): HeartbeatProxy {
    if (this.#proxies === undefined) throw new Error("the coordinator was never started");
    return this.#proxies.heartbeats;
  }

  /** Where clients find a node. */
  nodeAddress(index: number): Address {
    return { host: hostOf(index), port: this.nodes[index]?.port ?? 0 };
  }

  /** Starts everything, and waits until every replica is in sync. */
  async start(): Promise<void> {
    await this.startCoordinator();
    for (let i = 0; i < this.#nodeCount; i++) {
      const process = this.#spawnNode(i, 0);
      const node = { index: i, id: undefined, process, port: 0, proxy: undefined, stopped: false };
      this.nodes.push(node);
    }
    for (const node of this.nodes) {
      node.port = (await node.process.ready).port;
    }
    await this.whole(60_000);
  }

  /** Starts the coordinator, for the first time or again. */
  async startCoordinator(): Promise<void> {
    this.#coordinator = ServerProcess.start(COORDINATOR, [
      `--host=${REAL}`,
      `--port=${this.#port}`,
      `--heartbeat-port=${this.#heartbeatPort}`,
      "--discovery=off",
      `--data=${this.#folder}/coordinator`,
      "--partitions=16",
      `--expect-nodes=${this.#nodeCount}`,
    ], { cwd: this.#folder });
    const { port, facts } = await this.#coordinator.ready;
    this.#port = port;
    this.#heartbeatPort = facts.heartbeat ?? 0;
    this.#proxies ??= {
      stream: new StreamProxy(
        this.links,
        "coordinator",
        { hostname: COORDINATOR_PROXY, port },
        { hostname: REAL, port },
      ),
      heartbeats: new HeartbeatProxy(
        this.links,
        { hostname: COORDINATOR_PROXY, port: this.#heartbeatPort },
        { hostname: REAL, port: this.#heartbeatPort },
      ),
    };
  }

  /** Starts a node again that is gone. */
  async restartNode(node: TortureNode): Promise<void> {
    node.process = this.#spawnNode(node.index, node.port);
    node.stopped = false;
    await node.process.ready;
  }

  /** Breaks every connection to a process. */
  reset(target: TortureNode | "coordinator"): void {
    if (target === "coordinator") this.#proxies?.stream.reset();
    else target.proxy?.reset();
  }

  /** The coordinator's map, past the proxies. */
  async map(): Promise<ClusterMap | undefined> {
    try {
      return await fetchMap({ host: REAL, port: this.#port });
    } catch {
      return undefined;
    }
  }

  /** Waits until every node is up and every replica in sync. @throws {Error} with what is missing */
  async whole(boundMs: number): Promise<void> {
    const endMs = performance.now() + boundMs;
    for (;;) {
      const map = await this.map();
      this.#learnNodes(map);
      const missing = whatIsMissing(map, this.#nodeCount);
      if (missing === undefined) return;
      if (performance.now() > endMs) {
        throw new Error(`after ${boundMs} ms: ${missing}\n${this.logs()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** The ends of all logs. */
  logs(): string {
    const all: [name: string, process: ServerProcess | undefined][] = [
      ["coordinator", this.#coordinator],
    ];
    for (const { index, process } of this.nodes) all.push([`node ${index}`, process]);
    return all.map(([name, process]) => `--- ${name}\n${process?.log.slice(-15).join("\n")}`)
      .join("\n");
  }

  /** Ends all processes and proxies. */
  async close(): Promise<void> {
    const processes = this.nodes.map(({ process }) => process);
    if (this.#coordinator !== undefined) processes.push(this.#coordinator);
    await Promise.all(processes.map((process) => process.crash()));
    this.#proxies?.stream.close();
    this.#proxies?.heartbeats.close();
    for (const { proxy } of this.nodes) proxy?.close();
  }

  #spawnNode(index: number, port: number): ServerProcess {
    const { host, port: coordinatorPort } = this.coordinatorAddress;
    return ServerProcess.start(NODE, [
      `--host=${REAL}`,
      `--advertise-host=${hostOf(index)}`,
      `--port=${port}`,
      `--coordinator=${host}:${coordinatorPort}`,
      `--data=${this.#folder}/node-${index}`,
    ], { cwd: this.#folder });
  }

  /** A node's proxy needs its name, which the map tells. */
  #learnNodes(map: ClusterMap | undefined): void {
    for (const { id, host, port } of map?.nodes ?? []) {
      const node = this.nodes.find((one) => hostOf(one.index) === host && one.port === port);
      if (node === undefined || node.proxy !== undefined) continue;
      node.id = id;
      node.proxy = new StreamProxy(
        this.links,
        id,
        { hostname: host, port },
        { hostname: REAL, port },
      );
    }
  }
}

function hostOf(index: number): string {
  return `127.0.1.${index + 1}`;
}
