/**
 * A cluster of real processes for integration tests: on port 0, in a temporary folder, ended and
 * removed with the test.
 *
 *     await using cluster = await TestCluster.start({ nodes: 3 });
 *     await cluster.client("put", "k", "v");                   // runs kv-client once
 *     await using kv = await cluster.connect();                // the client library
 *     const reply = await cluster.ask(0, { req_type: "get", key: "k" });   // JSON wire, node 0
 *     const primary = await cluster.primaryOf("k");            // index of a node
 *     await cluster.crash(primary);                            // SIGKILL, and it is gone
 *     await cluster.whole({ nodes: 2 });                       // waits for the replicas, bounded
 *     await cluster.restart(primary);                          // same folder, same port
 *     await cluster.waitFor("…", (map) => map.epoch > 5);      // any condition of the map
 *     await cluster.addNode();                                 // one more
 *     await cluster.coordinatorProcess.crash(); await cluster.restartCoordinator();
 *
 * Waiting is for events, with a bound; what was waited for and the processes' logs are in the error.
 *
 * @module
 */
import { connect, type KvClient } from "../../../client/mod.ts";
import { type ClusterMap, partitionConfig } from "../../../shared/cluster/cluster_map.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import type { Address } from "../../../shared/platform/transport.ts";
import { fetchMap, whatIsMissing } from "../../../tools/cluster_state.ts";
import { askJson, type JsonReply, type ProbeLogin } from "../../../tools/json_probe.ts";
import { CLIENT, COORDINATOR, NODE } from "../../../tools/programs.ts";
import { FileDocumentStore } from "../../../shared/platform/deno/file_document_store.ts";
import { ServerProcess } from "../../../tools/server_process.ts";

/** Bound of every wait. It is long, because a loaded machine is slow; no test waits for it to pass. */
const WAIT_BOUND_MS = 60_000;
/** Between two looks at a condition. */
const POLL_MS = 50;

/** Unless a test names one. By default it follows from the port for requests, and another test may have that one. */
function anyHttpPort(flags: readonly string[]): string[] {
  return flags.some((flag) => flag.startsWith("--http-port")) ? [] : ["--http-port=0"];
}

/** What to start. */
export interface ClusterOptions {
  /** Default 3. */
  readonly nodes?: number;
  /** Default 3. */
  readonly replicationFactor?: number;
  /** Default: the product's, half of the replicas rounded up; with three replicas, a lone node never accepts a write. */
  readonly minInSync?: number | undefined;
  /** Default 32, so that a test's maps are small. */
  readonly partitions?: number;
  readonly storage?: "leveldb" | "memory";
  /** Whether the coordinator answers discovery, on a port that the system chooses. Default: no. */
  readonly discovery?: boolean;
  /** Further flags. */
  readonly coordinatorFlags?: readonly string[];
  readonly nodeFlags?: readonly string[];
  /** Whether it is secured; nodes join by a token. Everything that this world does it does as the administrator. */
  readonly secured?: boolean;
  /** What to run instead of the node's source, given its flags; "" for none. */
  readonly nodeExecutable?: string;
}

/** How `kv-client` ended. */
export interface ClientResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `kv-client` that is under way. */
export interface RunningClient {
  /** Gives it a piece of its standard input. Rejects if it reads no more. */
  write(text: string): Promise<void>;
  /** Ends its input, and waits for its end. */
  end(): Promise<ClientResult>;
}

interface TestNode {
  process: ServerProcess;
  address: Address;
  httpPort: number;
  readonly folder: string;
}

/** A running cluster. */
export class TestCluster implements AsyncDisposable {
  /** The temporary folder of all of it. */
  readonly folder: string;
  readonly #options: Required<ClusterOptions>;
  readonly #nodes: TestNode[] = [];
  #credentials: ProbeLogin | undefined;
  #probeLogin: ProbeLogin | undefined;
  #joinToken: Promise<string> | undefined;
  #coordinator:
    | { process: ServerProcess; address: Address; facts: Readonly<Record<string, number>> }
    | undefined;

  private constructor(folder: string, options: Required<ClusterOptions>) {
    this.folder = folder;
    this.#options = options;
  }

  /** Starts coordinator and nodes, and waits until every replica is in sync. */
  static async start(options: ClusterOptions = {}): Promise<TestCluster> {
    const folder = await Deno.makeTempDir({ prefix: "kv-test-" });
    const cluster = new TestCluster(folder, {
      nodes: 3,
      replicationFactor: 3,
      minInSync: undefined,
      partitions: 32,
      storage: "leveldb",
      discovery: false,
      coordinatorFlags: [],
      nodeFlags: [],
      nodeExecutable: "",
      secured: false,
      ...options,
    });
    try {
      await cluster.restartCoordinator();
      await cluster.#logProbeIn();
      const { nodes } = cluster.#options;
      await Promise.all(Array.from({ length: nodes }, () => cluster.addNode()));
      if (nodes > 0) await cluster.whole({ nodes });
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The administrator of a secured cluster. */
  get credentials(): ProbeLogin | undefined {
    if (!this.#options.secured) return undefined;
    return this.#credentials ??= JSON.parse(Deno.readTextFileSync(this.credentialsFile));
  }

  /** As whom this looks at a secured cluster: by a token, since a password takes 0.1 s of the processor at each look. */
  get probeLogin(): ProbeLogin | undefined {
    return this.#probeLogin;
  }

  async #logProbeIn(): Promise<void> {
    const { credentials } = this;
    if (credentials === undefined) return;
    this.#probeLogin = credentials;
    const made = await this.order({ req_type: "token_create", user: credentials.user });
    this.#probeLogin = { ...credentials, token: (made as { text: string }).text };
  }

  /** As `kv-client` takes them. */
  get credentialsFile(): string {
    return `${this.folder}/coordinator.security/admin.json`;
  }

  /** A token by which nodes join; one for all. */
  joinToken(): Promise<string> {
    return this.#joinToken ??= this.order({ req_type: "token_create", join: "node" })
      .then((made) => (made as { text: string }).text);
  }

  /** What the coordinator answers to an administrator's order. */
  async order(order: JsonReply): Promise<unknown> {
    const reply = await this.ask("coordinator", order);
    if (reply.req_type !== "result") throw new Error(`refused: ${JSON.stringify(reply)}`);
    return reply.result;
  }

  /** The coordinator's process. */
  get coordinatorProcess(): ServerProcess {
    return this.#theCoordinator().process;
  }

  /** Where the coordinator listens; the same after a restart. */
  get coordinatorAddress(): Address {
    return this.#theCoordinator().address;
  }

  /** Its further ports, as it has said when it was ready: `heartbeat`, `http`. */
  get coordinatorFacts(): Readonly<Record<string, number>> {
    return this.#theCoordinator().facts;
  }

  /** Nodes that were ever started, dead ones included. */
  get nodeCount(): number {
    return this.#nodes.length;
  }

  /** A node's process. */
  node(index: number): ServerProcess {
    return this.#theNode(index).process;
  }

  /** Where a node listens; the same after a restart. */
  nodeAddress(index: number): Address {
    return this.#theNode(index).address;
  }

  /** Where a node serves HTTP. */
  nodeHttpAddress(index: number): Address {
    const { address, httpPort } = this.#theNode(index);
    return { host: address.host, port: httpPort };
  }

  /** A node's data folder. */
  nodeFolder(index: number): string {
    return this.#theNode(index).folder;
  }

  /** Starts one more node. @returns its index */
  async addNode(flags: readonly string[] = []): Promise<number> {
    const join = this.#options.secured ? await this.joinToken() : undefined;
    const index = this.#nodes.length;
    const folder = `${this.folder}/node-${index}`;
    const process = this.#startNode(folder, 0, flags, join);
    const node: TestNode = {
      process,
      folder,
      address: { host: "127.0.0.1", port: 0 },
      httpPort: 0,
    };
    this.#nodes.push(node);
    const { host, port, facts } = await process.ready;
    node.address = { host, port };
    node.httpPort = facts.http ?? 0;
    return index;
  }

  /** SIGKILL to a node; returns when it is gone. */
  async crash(index: number): Promise<void> {
    await this.#theNode(index).process.crash();
  }

  /** Starts a node again that is gone: same folder, same port. */
  async restart(index: number, flags: readonly string[] = []): Promise<void> {
    const node = this.#theNode(index);
    if (!node.process.ended) throw new Error(`node ${index} is still running`);
    node.process = this.#startNode(node.folder, node.address.port, flags);
    node.httpPort = (await node.process.ready).facts.http ?? 0;
  }

  /** Starts the coordinator (again): same folder, same ports. */
  async restartCoordinator(flags: readonly string[] = []): Promise<void> {
    const before = this.#coordinator;
    if (before !== undefined && !before.process.ended) {
      throw new Error("the coordinator is still running");
    }
    const {
      replicationFactor,
      minInSync,
      partitions,
      nodes,
      discovery,
      coordinatorFlags,
      secured,
    } = this.#options;
    const process = ServerProcess.start(COORDINATOR, [
      "--host=127.0.0.1",
      `--port=${before?.address.port ?? 0}`,
      `--heartbeat-port=${before?.facts.heartbeat ?? 0}`,
      ...(discovery ? ["--discovery=on", "--discovery-port=0"] : ["--discovery=off"]),
      `--data=${this.folder}/coordinator`,
      `--replication-factor=${replicationFactor}`,
      `--partitions=${partitions}`,
      `--expect-nodes=${Math.max(1, nodes)}`,
      ...(minInSync === undefined ? [] : [`--min-in-sync=${minInSync}`]),
      ...(secured ? ["--secure"] : []),
      ...anyHttpPort([...coordinatorFlags, ...flags]),
      ...coordinatorFlags,
      ...flags,
    ], { cwd: this.folder, detached: false });
    // Registered at once, so that it is ended even if it does not become ready.
    const unknown = { host: "127.0.0.1", port: 0 };
    this.#coordinator = { process, address: before?.address ?? unknown, facts: {} };
    const { host, port, facts } = await process.ready;
    this.#coordinator = { process, address: { host, port }, facts };
  }

  #startNode(
    folder: string,
    port: number,
    flags: readonly string[],
    joinToken?: string,
  ): ServerProcess {
    const { host, port: coordinatorPort } = this.#theCoordinator().address;
    return ServerProcess.start(NODE, [
      "--host=127.0.0.1",
      `--port=${port}`,
      ...(flags.some((flag) => flag.startsWith("--coordinator="))
        ? []
        : [`--coordinator=${host}:${coordinatorPort}`]),
      `--data=${folder}`,
      `--storage=${this.#options.storage}`,
      ...anyHttpPort([...this.#options.nodeFlags, ...flags]),
      ...this.#options.nodeFlags,
      ...flags,
    ], {
      cwd: this.folder,
      detached: false,
      ...(joinToken === undefined ? {} : { env: { KV_JOIN: joinToken } }),
      ...(this.#options.nodeExecutable === "" ? {} : { executable: this.#options.nodeExecutable }),
    });
  }

  /** Asks a node, by its index, or the coordinator one thing over the JSON wire. */
  ask(whom: number | "coordinator", request: JsonReply, timeoutMs?: number): Promise<JsonReply> {
    const address = whom === "coordinator" ? this.coordinatorAddress : this.nodeAddress(whom);
    return askJson(address, request, timeoutMs, this.probeLogin);
  }

  /** What a node, by its index, or the coordinator says of itself. */
  async stats(whom: number | "coordinator"): Promise<Record<string, unknown>> {
    const reply = await this.ask(whom, { req_type: "stats" });
    if (reply.req_type !== "result") throw new Error(`no stats: ${JSON.stringify(reply)}`);
    return reply.result as Record<string, unknown>;
  }

  /** The client library, connected to this cluster. Close it, or bind it with `await using`. */
  connect(): Promise<KvClient> {
    const { host, port } = this.coordinatorAddress;
    return connect({ coordinator: `${host}:${port}`, ...this.credentials });
  }

  /** Runs `kv-client` once to its end, with the coordinator's address. */
  client(...args: readonly string[]): Promise<ClientResult> {
    return this.clientWithInput("", ...args);
  }

  /** Runs `kv-client` once, with a standard input. */
  async clientWithInput(input: string, ...args: readonly string[]): Promise<ClientResult> {
    const client = this.startClient(...args);
    // A client that does not read its input has ended, and says why itself.
    await client.write(input).catch(() => {});
    return await client.end();
  }

  /** Starts `kv-client` once, with the coordinator's address; its standard input comes in pieces. */
  startClient(...args: readonly string[]): RunningClient {
    const { host, port } = this.coordinatorAddress;
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        ...CLIENT.permissions,
        new URL(`../../../${CLIENT.entry}`, import.meta.url).pathname,
        `--coordinator=${host}:${port}`,
        ...(this.#options.secured ? [`--credentials=${this.credentialsFile}`] : []),
        ...args,
      ],
      cwd: this.folder,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    const output = child.output();
    return {
      write: (text) => writer.write(new TextEncoder().encode(text)),
      async end() {
        await writer.close().catch(() => {});
        const { code, stdout, stderr } = await output;
        const decoder = new TextDecoder();
        return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
      },
    };
  }

  /** The coordinator's map. */
  async map(): Promise<ClusterMap> {
    const map = await fetchMap(this.coordinatorAddress, this.probeLogin);
    if (map === undefined) throw new Error("the coordinator has no map yet");
    return map;
  }

  /** The epoch of the map that a node keeps on its disk; undefined for none. */
  async keptEpoch(index: number): Promise<number | undefined> {
    const document = await new FileDocumentStore(`${this.#theNode(index).folder}/map.json`).read();
    return (document as { map?: ClusterMap } | undefined)?.map?.epoch;
  }

  /** A node's index by its id; undefined for one that is not (or no longer) in the map. */
  async indexOf(id: string | undefined): Promise<number | undefined> {
    const info = (await this.map()).nodes.find((node) => node.id === id);
    const index = this.#nodes.findIndex(({ address }) => address.port === info?.port);
    return index < 0 ? undefined : index;
  }

  /** The index of the node that is a key's primary. */
  async primaryOf(key: string): Promise<number> {
    const map = await this.map();
    const partition = partitionOf(key, map.settings.partitionCount);
    const index = await this.indexOf(partitionConfig(map, partition).primary);
    if (index === undefined) throw new Error(`partition ${partition} has no primary`);
    return index;
  }

  /** Waits until exactly `nodes` nodes are up and every partition has all its replicas in sync. */
  async whole({ nodes }: { nodes: number }): Promise<ClusterMap> {
    return await this.waitFor(
      `a whole cluster of ${nodes}`,
      (map) => whatIsMissing(map, nodes) === undefined && upCount(map) === nodes,
      (map) => whatIsMissing(map, nodes) ?? `${upCount(map)} nodes are up`,
    );
  }

  /** Waits for a condition of the coordinator's map. @returns the map that fulfils it */
  async waitFor(
    what: string,
    condition: (map: ClusterMap) => boolean,
    describe: (map: ClusterMap) => unknown = (map) => map.epoch,
  ): Promise<ClusterMap> {
    let seen: unknown = "no map";
    return await this.poll(what, async () => {
      const map = await fetchMap(this.coordinatorAddress, this.probeLogin);
      if (map === undefined) return undefined;
      seen = describe(map);
      return condition(map) ? map : undefined;
    }, () => seen);
  }

  /** Waits until the map of a node fulfils a condition. */
  async waitForMap(index: number, condition: (map: ClusterMap) => boolean): Promise<void> {
    await this.poll(`a map of node ${index}`, async () => {
      const map = await fetchMap(this.nodeAddress(index), this.probeLogin);
      return map !== undefined && condition(map) ? true : undefined;
    });
  }

  /** Waits until `look` returns something. It may throw meanwhile, for example because nobody listens yet. */
  async poll<T>(
    what: string,
    look: () => Promise<T | undefined>,
    seen: () => unknown = () => "nothing",
  ): Promise<T> {
    const endMs = performance.now() + WAIT_BOUND_MS;
    let problem: unknown;
    while (performance.now() < endMs) {
      try {
        const found = await look();
        if (found !== undefined) return found;
        problem = undefined;
      } catch (error) {
        problem = error;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new Error(
      `waited ${WAIT_BOUND_MS} ms for ${what}; last seen: ${
        problem ?? JSON.stringify(seen())
      }\n${this.logs()}`,
    );
  }

  /** Servers that others have started beside these, by name: their logs are shown too. */
  further: () => readonly (readonly [string, ServerProcess])[] = () => [];

  /** The ends of all logs, to show if a test fails. */
  logs(): string {
    const processes = [
      ["coordinator", this.#coordinator?.process] as const,
      ...this.further(),
      ...this.#nodes.map(({ process }, i) => [`node ${i}`, process] as const),
    ];
    return processes.flatMap(([name, process]) => [
      `--- ${name} (pid ${process?.pid}${process?.ended ? ", gone" : ""})`,
      ...(process?.log.slice(-30) ?? []),
    ]).join("\n");
  }

  /** Ends every process at once and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    const processes = this.#nodes.map(({ process }) => process);
    if (this.#coordinator !== undefined) processes.push(this.#coordinator.process);
    await Promise.all(processes.map((process) => process.crash()));
    await Deno.remove(this.folder, { recursive: true });
  }

  #theCoordinator() {
    if (this.#coordinator === undefined) throw new Error("the coordinator was never started");
    return this.#coordinator;
  }

  #theNode(index: number): TestNode {
    const node = this.#nodes[index];
    if (node === undefined) throw new Error(`there is no node ${index}`);
    return node;
  }
}

function upCount(map: ClusterMap): number {
  return map.nodes.filter(({ state }) => state === "up").length;
}
