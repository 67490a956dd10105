/**
 * A cluster of real processes with a proxy in front of each: what a process advertises is its
 * proxy's address, so that everything between two processes goes through one. The proxies have
 * addresses of their own in 127.0.0.0/8, at the ports of the process behind them, which has an address of its own, too:
 * at 127.0.0.1 an outgoing connection might have taken its port by the time when it starts again.
 *
 * Invariant: processes are ended by their ids, all of them, whatever happens.
 *
 * @module
 */
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import { type Address, formatAddress } from "../../shared/platform/transport.ts";
import { fetchMap, whatIsMissing } from "../../tools/cluster_state.ts";
import { askJson, type JsonReply, type ProbeLogin } from "../../tools/json_probe.ts";
import { COORDINATOR, NODE } from "../../tools/programs.ts";
import { howEnded, ServerProcess } from "../../tools/server_process.ts";
import { Links } from "./links.ts";
import { HeartbeatProxy, type SenderOf, StreamProxy } from "./proxy.ts";
import { SocketOwners } from "./socket_owners.ts";

const POLL_MS = 100;
/**
 * Each member renews its certificate in a run of three minutes or more, and when the authority is rotated. With 90 s, a
 * node that was killed and cut off again and again on a busy machine missed the time for it, and was out, as it must be.
 */
const CERTIFICATE_LIFETIME_MS = 240_000;
/** An active coordinator hears of the others more often. */
const HEARD_MS_MAX = 3_000;

/** What to start. */
export interface TortureOptions {
  readonly nodes: number;
  readonly coordinators: number;
  readonly secure: boolean;
}

/** A coordinator or a node. */
export interface TortureProcess {
  /** As the links know it: `node 0`, `coordinator 1`. */
  readonly name: string;
  readonly index: number;
  readonly kind: "node" | "coordinator";
  /** What its proxies have as their address, and what it listens at. */
  readonly host: string;
  readonly realHost: string;
  process: ServerProcess;
  port: number;
  heartbeatPort: number;
  /** A secured node's port for members; 0 until the map tells it. */
  peerPort: number;
  readonly streams: StreamProxy[];
  heartbeats: HeartbeatProxy | undefined;
  /** Whether its end is our doing. */
  mayEnd: boolean;
}

type Place = Pick<
  TortureProcess,
  "kind" | "index" | "host" | "realHost" | "port" | "heartbeatPort" | "peerPort"
>;

/** The cluster. */
export class TortureCluster {
  readonly links = new Links();
  readonly coordinators: TortureProcess[] = [];
  readonly nodes: TortureProcess[] = [];
  /** Processes that ended by themselves, and their last words. */
  readonly deaths: string[] = [];
  readonly #folder: string;
  readonly #options: TortureOptions;
  readonly #owners: SocketOwners;
  #credentials: ProbeLogin | undefined;

  constructor(folder: string, options: TortureOptions) {
    this.#folder = folder;
    this.#options = options;
    this.#owners = new SocketOwners(() => [
      ...this.processes.map(({ name, process }) => [name, process.pid] as const),
      ["client", Deno.pid],
    ]);
  }

  get processes(): readonly TortureProcess[] {
    return [...this.coordinators, ...this.nodes];
  }

  /** Where clients and nodes find the first coordinator. */
  get coordinatorAddress(): Address {
    return addressOf(this.#at(this.coordinators, 0));
  }

  /** The administrator of a secured cluster, by a token; a password takes 0.1 s of the processor at each login. */
  get credentials(): ProbeLogin | undefined {
    return this.#credentials;
  }

  /** Where clients find the processes. */
  get addresses(): readonly Address[] {
    return this.processes.map(addressOf);
  }

  /** Of 100 heartbeats, this many are lost, and this many come twice. */
  disturbHeartbeats(lossPercent: number, doublePercent: number): void {
    for (const { heartbeats } of this.coordinators) {
      if (heartbeats === undefined) continue;
      heartbeats.lossPercent = lossPercent;
      heartbeats.doublePercent = doublePercent;
    }
  }

  /** Starts everything, and waits until every replica is in sync. */
  async start(): Promise<void> {
    const { nodes, coordinators, secure } = this.#options;
    await this.#add("coordinator", []);
    if (secure) await this.#logIn();
    for (let i = 1; i < coordinators; i++) {
      const { host, port } = this.coordinatorAddress;
      await this.#add("coordinator", [`--join=${host}:${port}`], "KV_JOIN_TOKEN");
    }
    for (let i = 0; i < nodes; i++) await this.#add("node", [], "KV_JOIN");
    const add = this.coordinators.slice(1).map(idOf);
    if (add.length > 0) {
      await this.#until("the coordinators are added", 60_000, async () => {
        const reply = await this.order({ req_type: "coordinators_change", add });
        return reply.req_type === "result" ? undefined : String(reply.message);
      });
    }
    await this.whole(60_000);
  }

  /** Starts a process again that is gone. */
  async restart(member: TortureProcess): Promise<void> {
    member.process = this.#start(member, [], {});
    member.mayEnd = false;
    this.#watch(member);
    await member.process.ready;
  }

  /** Ends a process: as a crash does, or as an operator does. */
  async end(member: TortureProcess, how: "crash" | "stop"): Promise<void> {
    member.mayEnd = true;
    await member.process[how]();
  }

  /** Breaks every connection to a process. */
  reset({ streams }: TortureProcess): void {
    for (const stream of streams) stream.reset();
  }

  /** What the first coordinator says that answers, past the proxies. */
  async order(request: JsonReply): Promise<JsonReply> {
    let last: JsonReply = { req_type: "error", message: "no coordinator answers" };
    for (const { realHost, port } of this.coordinators) {
      try {
        const at = { host: realHost, port };
        last = await askJson(at, request, undefined, this.#credentials);
        if (last.req_type !== "error") return last;
      } catch {
        // It is away, as it may be.
      }
    }
    return last;
  }

  /** Waits until every process takes part and every replica is in sync. @throws {Error} with what is missing */
  async whole(boundMs: number): Promise<void> {
    await this.#until("the cluster is whole", boundMs, async () => {
      const [dead] = this.deaths;
      if (dead !== undefined) throw new Error(dead);
      const map = await this.#map();
      this.#serveMap(map);
      return whatIsMissing(map, this.#options.nodes) ?? await this.#coordinatorMissing() ??
        await this.#certificateMissing();
    });
  }

  /** The ends of all logs. */
  logs(): string {
    return this.processes
      .map(({ name, process }) => `--- ${name}\n${process.log.slice(-25).join("\n")}`)
      .join("\n");
  }

  /** Ends all processes and proxies. */
  async close(): Promise<void> {
    await Promise.all(this.processes.map((member) => this.end(member, "crash")));
    for (const { streams, heartbeats } of this.processes) {
      heartbeats?.close();
      for (const stream of streams) stream.close();
    }
  }

  async #map(): Promise<ClusterMap | undefined> {
    for (const { realHost, port } of this.coordinators) {
      try {
        const map = await fetchMap({ host: realHost, port }, this.#credentials);
        if (map !== undefined) return map;
      } catch {
        // It is away, as it may be.
      }
    }
    return undefined;
  }

  async #coordinatorMissing(): Promise<string | undefined> {
    if (this.coordinators.length === 1) return undefined;
    const { result } = await this.order({ req_type: "coordinators" });
    const report = result as {
      right: boolean;
      coordinators: { id: string; role: string; behind?: number; heard_ms?: number | null }[];
    } | undefined;
    if (report?.right !== true) return "no coordinator has the right to act";
    const late = report.coordinators.find(({ role, behind, heard_ms: heardMs }) =>
      role !== "active" && !(behind === 0 && (heardMs ?? Infinity) < HEARD_MS_MAX)
    );
    return late === undefined ? undefined : `not level: ${JSON.stringify(late)}`;
  }

  /** Each member has a certificate that counts, and an operator sees it. */
  async #certificateMissing(): Promise<string | undefined> {
    if (!this.#options.secure) return undefined;
    const { result } = await this.order({ req_type: "cert_list" });
    const listed = result as { id: string; until: number; revoked: boolean }[] | undefined;
    const good = listed?.filter(({ until, revoked }) => until > Date.now() && !revoked);
    const ids = new Set(good?.map(({ id }) => id));
    const { size } = ids;
    const wanted = this.processes.length;
    return size === wanted
      ? undefined
      : `${size} of ${wanted} members have a certificate: ${[...ids]}`;
  }

  async #until(
    what: string,
    boundMs: number,
    missing: () => Promise<string | undefined>,
  ): Promise<void> {
    const endMs = performance.now() + boundMs;
    for (;;) {
      const why = await missing();
      if (why === undefined) return;
      if (performance.now() > endMs) {
        throw new Error(`waited ${boundMs} ms until ${what}: ${why}\n${this.logs()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async #logIn(): Promise<void> {
    const file = `${this.#folder}/coordinator-0.security/admin.json`;
    const admin: ProbeLogin = JSON.parse(await Deno.readTextFile(file));
    this.#credentials = admin;
    const text = await this.#token({ user: admin.user });
    this.#credentials = { ...admin, token: text };
  }

  async #token(whose: { user: string } | { join: "node" | "coordinator" }): Promise<string> {
    const { result, message } = await this.order({ req_type: "token_create", ...whose });
    if (result === undefined) throw new Error(`no token: ${message}`);
    return (result as { text: string }).text;
  }

  /** @param joinBy the environment variable by which a secured cluster is joined */
  async #add(
    kind: TortureProcess["kind"],
    flags: readonly string[],
    joinBy?: string,
  ): Promise<void> {
    const list = kind === "node" ? this.nodes : this.coordinators;
    const index = list.length;
    const env = joinBy === undefined || !this.#options.secure
      ? {}
      : { [joinBy]: await this.#token({ join: kind }) };
    const place = { kind, index, ...hostsOf(kind, index), port: 0, heartbeatPort: 0, peerPort: 0 };
    const member: TortureProcess = {
      ...place,
      name: `${kind} ${index}`,
      process: this.#start(place, flags, env),
      streams: [],
      heartbeats: undefined,
      mayEnd: false,
    };
    list.push(member);
    this.#watch(member);
    const { port, facts } = await member.process.ready;
    member.port = port;
    member.heartbeatPort = facts.heartbeat ?? 0;
    if (kind === "coordinator") this.#serveCoordinator(member);
    else this.#serveStream(member, port);
  }

  #start(
    { kind, index, host, realHost, port, heartbeatPort, peerPort }: Place,
    flags: readonly string[],
    env: Record<string, string>,
  ): ServerProcess {
    const { nodes, secure } = this.#options;
    const own = kind === "coordinator"
      ? [
        `--id=c${index + 1}`,
        `--heartbeat-port=${heartbeatPort}`,
        "--discovery=off",
        "--no-cs-config",
        ...(index === 0 ? ["--partitions=16", `--expect-nodes=${nodes}`] : []),
        ...(secure ? ["--secure", `--certificate-lifetime-ms=${CERTIFICATE_LIFETIME_MS}`] : []),
      ]
      : [
        `--coordinator=${this.coordinators.map(addressOf).map(formatAddress).join(",")}`,
        ...(secure ? [`--peer-port=${peerPort}`] : []),
      ];
    return ServerProcess.start(kind === "coordinator" ? COORDINATOR : NODE, [
      `--host=${realHost}`,
      `--advertise-host=${host}`,
      `--port=${port}`,
      `--data=${this.#folder}/${kind}-${index}`,
      ...own,
      ...flags,
    ], { cwd: this.#folder, env });
  }

  #watch(member: TortureProcess): void {
    const { name, process } = member;
    process.status.then((status) => {
      if (member.mayEnd) return;
      this.deaths.push(`${name} ${howEnded(status)} by itself:\n${process.log.join("\n")}`);
    });
  }

  readonly #senderOf: SenderOf = (_, ends) => this.#owners.ownerOf(ends);

  #serveCoordinator(member: TortureProcess): void {
    const { name, host: hostname, realHost, heartbeatPort } = member;
    this.#serveStream(member, member.port);
    member.heartbeats = new HeartbeatProxy(
      this.links,
      { hostname, port: heartbeatPort },
      { hostname: realHost, port: heartbeatPort },
      name,
      this.#senderOf,
    );
  }

  #serveStream(
    { name, host: hostname, realHost, streams }: TortureProcess,
    port: number,
  ): void {
    const upstream = { hostname: realHost, port };
    streams.push(new StreamProxy(this.links, name, { hostname, port }, upstream, this.#senderOf));
  }

  /** A secured node's port for members is in the map. */
  #serveMap(map: ClusterMap | undefined): void {
    for (const { host, port, peerPort } of map?.nodes ?? []) {
      const node = this.nodes.find((one) => one.host === host && one.port === port);
      if (node === undefined || peerPort === undefined || node.peerPort !== 0) continue;
      node.peerPort = peerPort;
      this.#serveStream(node, peerPort);
    }
  }

  #at(list: readonly TortureProcess[], index: number): TortureProcess {
    const member = list[index];
    if (member === undefined) throw new Error(`there is no process ${index} yet`);
    return member;
  }
}

function hostsOf(kind: TortureProcess["kind"], index: number): { host: string; realHost: string } {
  const [proxies, processes] = kind === "node" ? [1, 3] : [2, 4];
  return { host: `127.0.${proxies}.${index + 1}`, realHost: `127.0.${processes}.${index + 1}` };
}

function addressOf({ host, port }: TortureProcess): Address {
  return { host, port };
}

function idOf({ index }: TortureProcess): string {
  return `c${index + 1}`;
}
