/**
 * A local cluster from source: coordinators and some nodes as child processes, and the client's shell in
 * front if there is a terminal. Prints one line per process, then `ready` when every partition has all its
 * replicas in sync. Ctrl-C, SIGTERM, the shell's `exit`, or the end of what started it (`npx`, `deno task`) end
 * all of it cleanly; the data stays in the folder for the next time. A child that dies is reported, not
 * restarted.
 *
 * With `--secure` the cluster is secured: its nodes join by a token that is made for them, and what to type next is
 * printed.
 *
 *     deno task up [--nodes 3] [--workers 1] [--coordinators 1] [--base-port 8080] [--data .kv] [--secure] …
 *
 * Invariant: whatever happens after the first child was started, all children are gone at the end, even if this
 * process is killed: each watches a pipe that closes with it.
 *
 * @module
 */
import { minInSyncDefault } from "../shared/cluster/cluster_settings.ts";
import type { Program, Values } from "../shared/program/config.ts";
import { KvError } from "../shared/base/errors.ts";
import {
  REPLICATION_FACTOR_DEFAULT,
  REPLICATION_FACTOR_MAX,
  WORKERS_MAX,
} from "../shared/limits/cluster.ts";
import { COORDINATORS_CHANGE_MS, COORDINATORS_MAX } from "../shared/limits/membership.ts";
import { keepOnly } from "../shared/program/deno_permissions.ts";
import { type Run, runProgram } from "../shared/program/program.ts";
import { printError } from "../shared/program/terminal.ts";
import { choice, flag, integer, text } from "../shared/program/setting.ts";
import { FolderLock } from "../shared/platform/deno/folder_lock.ts";
import { type Address, formatAddress } from "../shared/platform/transport.ts";
import { workerFolder } from "../node/worker_settings.ts";
import { findLaunchers, untilOneEnds } from "./package/launchers.ts";
import { fetchMap, whatIsMissing } from "./cluster_state.ts";
import { askJson, type ProbeLogin } from "./json_probe.ts";
import { CLIENT, COORDINATOR, NODE, type ProgramSpec } from "./programs.ts";
import { howEnded, ServerProcess } from "./server_process.ts";

const UP_SETTINGS = {
  nodes: integer({ help: "How many nodes.", default: 3, min: 1, max: 100 }),
  workers: integer({
    help: "How many workers each node has; see kv-node --workers.",
    default: 1,
    min: 1,
    max: WORKERS_MAX,
  }),
  coordinators: integer({
    help: "How many coordinators. A cluster that has more of them already keeps them.",
    default: 1,
    min: 1,
    max: COORDINATORS_MAX,
  }),
  basePort: integer({
    help: "The coordinator's TCP port; the nodes have the following ones. If it is given, the " +
      "UDP port of the heartbeats is the same (otherwise 3769). With 0 the system chooses all ports.",
    default: 8080,
    min: 0,
    max: 65_000,
    placeholder: "PORT",
  }),
  data: text({
    help: "The folder of all data and logs.",
    default: ".kv",
    placeholder: "FOLDER",
  }),
  replicationFactor: integer({
    help: "Copies of each key.",
    default: REPLICATION_FACTOR_DEFAULT,
    min: 1,
    max: REPLICATION_FACTOR_MAX,
  }),
  storage: choice(["leveldb", "memory"], {
    help: "Where data is stored: on disk, or in memory until the end.",
    default: "leveldb",
  }),
  secure: flag({
    help: "TLS on all ports, certificates between the members, and a login for everything.",
  }),
  noShell: flag({ help: "Open no shell: wait for Ctrl-C or SIGTERM." }),
};

const UP_PROGRAM: Program<typeof UP_SETTINGS> = {
  name: "deno task up",
  summary: "a local cluster",
  usage: ["[flags]"],
  settings: UP_SETTINGS,
};

const HEARTBEAT_PORT_DEFAULT = 3769;
/** A token to join is used at once. */
const TOKEN_MS = 600_000;
/** The time between two looks at the cluster's map until it is complete. */
const POLL_MS = 100;
/** How often it asks for the new coordinators to be added. */
const STANDBY_ATTEMPTS = 100;
/** What a coordinator's folder has once it was started. */
const RECORD_FILE = "register.json";
/** After this time it prints what is still missing, and again each time the same time has passed. */
const TELL_MISSING_MS = 5_000;

async function main({ config, sources, logger }: Run<typeof UP_SETTINGS>): Promise<number> {
  const given = sources.basePort !== "default";
  keepOnly({ read: [], write: [config.data], run: true }, logger("up"));
  const cluster = new LocalCluster(config, given ? config.basePort : HEARTBEAT_PORT_DEFAULT);
  const ending = onSignals(cluster);
  const launchers = await findLaunchers();
  void untilOneEnds(launchers, ending.signal).then(({ pid, command }) => {
    printError(`deno task up: what started it has ended (pid ${pid}, ${command}); ending`);
    ending.abort();
  });
  try {
    await Promise.race([cluster.start(), aborted(ending.signal)]);
    await cluster.untilWhole(ending.signal);
    if (ending.signal.aborted) return 0;
    cluster.sayWhatNext();
    console.log("ready");
    if (!config.noShell && Deno.stdin.isTerminal()) {
      ending.ignoreInterrupts = true;
      await Promise.race([cluster.runShell(), aborted(ending.signal)]);
      return 0;
    }
    await Promise.race([aborted(ending.signal), cluster.allGone()]);
    return ending.signal.aborted ? 0 : 1;
  } catch (error) {
    // A child that our own signal ended while it was starting has not failed.
    if (ending.signal.aborted) return 0;
    throw error;
  } finally {
    await cluster.stop();
  }
}

/** What the signals have asked for. */
interface Ending {
  readonly signal: AbortSignal;
  abort(): void;
  /** The shell reads Ctrl-C itself. */
  ignoreInterrupts: boolean;
}

/** The first SIGINT or SIGTERM asks for the end; a second one enforces it. */
function onSignals(cluster: LocalCluster): Ending {
  const controller = new AbortController();
  const ending: Ending = {
    signal: controller.signal,
    abort: () => controller.abort(),
    ignoreInterrupts: false,
  };
  const onSignal = () => {
    if (controller.signal.aborted) cluster.kill();
    else controller.abort();
  };
  Deno.addSignalListener("SIGTERM", onSignal);
  Deno.addSignalListener("SIGINT", () => {
    if (!ending.ignoreInterrupts) onSignal();
  });
  return ending;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** The child processes. */
class LocalCluster {
  readonly #settings: Values<typeof UP_SETTINGS>;
  readonly #heartbeatPort: number;
  /** Coordinator first. */
  readonly #servers: ServerProcess[] = [];
  readonly #logs: Deno.FsFile[] = [];
  #shell: Deno.ChildProcess | undefined;
  #coordinator: Address | undefined;
  /** Of a secured cluster. */
  #credentials: { readonly file: string; readonly login: ProbeLogin } | undefined;
  readonly #nodes: Address[] = [];
  readonly #coordinators: Address[] = [];
  #stopping = false;

  constructor(settings: Values<typeof UP_SETTINGS>, heartbeatPort: number) {
    this.#settings = settings;
    this.#heartbeatPort = heartbeatPort;
  }

  /** Starts everything, and prints each ready line. @throws {KvError} if a child does not start */
  async start(): Promise<void> {
    const { nodes, workers, basePort, data, replicationFactor, storage, secure } = this.#settings;
    if (secure && storage === "memory") {
      throw new KvError("bad_config", "--secure needs --storage leveldb; leave --storage out");
    }
    const coordinatorFolder = await this.#prepareFolders();
    this.#coordinator = await this.#startServer(COORDINATOR, "coordinator", [
      "--host=127.0.0.1",
      `--port=${basePort}`,
      `--heartbeat-port=${this.#heartbeatPort}`,
      // A cluster for trying things: nothing on the network should find it by accident.
      "--discovery=off",
      `--data=${coordinatorFolder}`,
      `--replication-factor=${replicationFactor}`,
      // If one node was asked for, one replica is what was asked for.
      `--min-in-sync=${Math.min(nodes, minInSyncDefault(replicationFactor))}`,
      `--expect-nodes=${nodes * workers}`,
      ...(secure ? ["--secure"] : []),
    ]);
    this.#coordinators.push(this.#coordinator);
    if (secure) {
      this.#credentials = await readCredentials(`${coordinatorFolder}.security/admin.json`);
    }
    await this.#startStandbys(coordinatorFolder);
    const coordinator = this.#coordinators.map(formatAddress).join(",");
    for (let i = 1; i <= nodes && !this.#stopping; i++) {
      const folder = `${data}/node-${i}`;
      const token = await this.#joinToken(workers === 1 ? folder : workerFolder(folder, workers));
      const node = await this.#startServer(NODE, `node-${i}`, [
        "--host=127.0.0.1",
        `--port=${basePort === 0 ? 0 : this.#portOf(i)}`,
        `--coordinator=${coordinator}`,
        `--storage=${storage}`,
        `--data=${folder}`,
        // On one machine, each node stands for a machine of its own.
        ...(workers === 1 ? [] : [`--workers=${workers}`, `--zone=node-${i}`]),
      ], token === undefined ? {} : { KV_JOIN: token });
      this.#nodes.push(node);
    }
  }

  /** The port of the n-th process after the coordinator; the workers of a node have those behind its own. */
  #portOf(index: number): number {
    const { basePort, workers } = this.#settings;
    return basePort + 1 + (index - 1) * (workers === 1 ? 1 : workers + 1);
  }

  /** The further coordinators, with folders beside that of the first one, and ports behind those of the nodes. */
  async #startStandbys(first: string): Promise<void> {
    const { nodes, basePort, coordinators, secure } = this.#settings;
    const [leader] = this.#coordinators;
    if (leader === undefined) return;
    // Those that are there from the last time have a say in who is active: all are started before anybody waits.
    const fresh: string[] = [];
    for (let i = 2; i <= coordinators && !this.#stopping; i++) {
      const folder = `${first}-${i}`;
      const isNew = !await isThere(`${folder}/${RECORD_FILE}`);
      if (isNew) fresh.push(`c${i}`);
      const token = secure && isNew ? await this.#joinToken(folder, "coordinator") : undefined;
      const standby = await this.#startServer(COORDINATOR, `coordinator-${i}`, [
        "--host=127.0.0.1",
        `--port=${basePort === 0 ? 0 : this.#portOf(nodes + i - 1)}`,
        "--heartbeat-port=0",
        "--discovery=off",
        `--id=c${i}`,
        `--join=${formatAddress(leader)}`,
        `--data=${folder}`,
        "--no-cs-config",
        ...(secure ? ["--secure"] : []),
      ], token === undefined ? {} : { KV_JOIN_TOKEN: token });
      this.#coordinators.push(standby);
    }
    if (fresh.length === 0) return;
    const login = this.#credentials?.login;
    for (let attempt = 0; !this.#stopping; attempt++) {
      const added = await askJson(
        leader,
        { req_type: "coordinators_change", add: fresh },
        2 * COORDINATORS_CHANGE_MS,
        login,
      );
      if (added.req_type === "result") return;
      // It waits for them to say that they are there.
      if (attempt === STANDBY_ATTEMPTS) {
        throw new KvError("unavailable", `the coordinators were not added: ${added.message}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** A token for a node that is no member yet; undefined for one that needs none. */
  async #joinToken(
    folder: string,
    role: "node" | "coordinator" = "node",
  ): Promise<string | undefined> {
    if (this.#credentials === undefined || this.#coordinator === undefined) return undefined;
    if (await isThere(`${folder}.security/member.json`)) return undefined;
    const order = { req_type: "token_create", join: role, ttl_ms: TOKEN_MS };
    const made = await askJson(this.#coordinator, order, undefined, this.#credentials.login);
    if (made.req_type !== "result") throw new KvError("unavailable", `no token: ${made.message}`);
    return (made.result as { text: string }).text;
  }

  /** How a secured cluster is used. */
  sayWhatNext(): void {
    if (this.#credentials === undefined || this.#coordinator === undefined) return;
    const { file, login: { user } } = this.#credentials;
    const ca = `${this.#settings.data}/coordinator.security/ca.crt`;
    const [node] = this.#nodes;
    const coordinator = this.#coordinators.map(formatAddress).join(",");
    console.log("secured: all ports speak TLS, and want a login. What to type next:");
    console.log(
      `  export KV_CREDENTIALS=${file} KV_COORDINATOR=${coordinator}\n` +
        "  deno task client put greeting hello\n" +
        "  deno task client token create --join node      # for one more node, on this machine or another",
    );
    if (node === undefined) return;
    console.log(
      `  redis-cli --tls --cacert ${ca} -h ${node.host} -p ${node.port} --user ${user} --askpass   ` +
        `# its password is in ${file}`,
    );
  }

  /** Creates the folders. @returns the coordinator's */
  async #prepareFolders(): Promise<string> {
    const { data, storage } = this.#settings;
    // Nodes in memory begin empty each time; a map of the last time would wait for what is gone.
    const memory = storage === "memory";
    const folder = memory ? `${data}/coordinator-memory` : `${data}/coordinator`;
    // First checks whether another process uses it: what belongs to a running cluster must not be removed.
    await FolderLock.acquire(data, UP_PROGRAM.name);
    try {
      if (memory) await Deno.remove(folder, { recursive: true }).catch(ignoreNotFound);
      await Deno.mkdir(`${data}/logs`, { recursive: true, mode: 0o700 });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new KvError("storage_failed", `cannot use the folder ${data}: ${reason}`, { cause });
    }
    return folder;
  }

  async #startServer(
    program: ProgramSpec,
    name: string,
    args: string[],
    env: Record<string, string> = {},
  ): Promise<Address> {
    const logPath = `${this.#settings.data}/logs/${name}.log`;
    const log = await Deno.open(logPath, { create: true, append: true, mode: 0o600 });
    this.#logs.push(log);
    const encoder = new TextEncoder();
    const server = ServerProcess.start(program, args, {
      env,
      onLog: (line) => void log.writeSync(encoder.encode(`${line}\n`)),
    });
    this.#servers.push(server);
    const { text, host, port } = await server.ready.catch(async () => {
      const how = howEnded(await server.status);
      throw new KvError("unavailable", `${name} ${how}: ${server.lastWords()}`);
    });
    console.log(text);
    void server.status.then((status) => {
      if (this.#stopping) return;
      const said = status.signal === null ? `: ${server.lastWords()}` : "";
      printError(
        `${program.name} ${host}:${port} (pid ${server.pid}) ${howEnded(status)}${said}\n` +
          `  It is not restarted; its log is ${logPath}`,
      );
    });
    return { host, port };
  }

  /** Waits until every partition has all its replicas in sync. @throws if a child dies meanwhile */
  async untilWhole(signal: AbortSignal): Promise<void> {
    const coordinator = this.#coordinator;
    if (coordinator === undefined) return;
    let tellMs = performance.now() + TELL_MISSING_MS;
    while (!signal.aborted) {
      if (this.#servers.some((server) => server.ended)) {
        throw new KvError("unavailable", "a process died before the cluster was whole (see above)");
      }
      const missing = await fetchMap(coordinator, this.#credentials?.login)
        .then((map) => whatIsMissing(map, this.#settings.nodes * this.#settings.workers))
        .catch((error) => `the coordinator does not answer (${error.message})`);
      if (missing === undefined) return;
      if (performance.now() > tellMs) {
        printError(`waiting: ${missing}`);
        tellMs += TELL_MISSING_MS;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** The client's shell, on our terminal, to its end. */
  async runShell(): Promise<void> {
    this.#shell = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        ...CLIENT.permissions,
        new URL(`../${CLIENT.entry}`, import.meta.url).pathname,
        `--coordinator=${this.#coordinators.map(formatAddress).join(",")}`,
        ...(this.#credentials === undefined ? [] : [`--credentials=${this.#credentials.file}`]),
      ],
    }).spawn();
    await this.#shell.status;
    this.#shell = undefined;
  }

  /** Resolves when no server is left. */
  async allGone(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.status));
  }

  /**
   * Ends all children. The coordinator goes first: a node that finds it gone does not hand over its partitions to
   * others that are about to end too.
   */
  async stop(): Promise<void> {
    this.#stopping = true;
    try {
      this.#shell?.kill("SIGTERM");
    } catch {
      // It ended a moment ago.
    }
    const count = this.#coordinators.length;
    // All at once: none of them is to take over from another.
    await Promise.all(this.#servers.slice(0, count).map((server) => server.stop()));
    await Promise.all(this.#servers.slice(count).map((server) => server.stop()));
    for (const log of this.#logs) log.close();
  }

  /** Ends all children at once. */
  kill(): void {
    for (const server of this.#servers) server.signal("SIGKILL");
  }
}

/** @throws {KvError} `bad_config` if the file is gone */
async function readCredentials(file: string): Promise<{ file: string; login: ProbeLogin }> {
  try {
    return { file, login: JSON.parse(await Deno.readTextFile(file)) };
  } catch (cause) {
    throw new KvError(
      "bad_config",
      `deno task up works as the administrator whose credentials are in ${file}, which cannot be read; put it ` +
        "back, or name another --data folder",
      { cause },
    );
  }
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, (error) => {
    ignoreNotFound(error);
    return false;
  });
}

function ignoreNotFound(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

if (import.meta.main) await runProgram(UP_PROGRAM, main);
