/**
 * The real programs, started for a measurement: one standalone node, or a coordinator and some nodes. Also the
 * processor time that they have used.
 *
 * @module
 */
import { connect } from "../client/mod.ts";
import type { Address } from "../shared/platform/transport.ts";
import { fetchMap, whatIsMissing } from "../tools/cluster_state.ts";
import type { ProbeLogin } from "../tools/json_probe.ts";
import type { LoadLogin } from "./load_order.ts";
import { COORDINATOR, NODE, type ProgramSpec } from "../tools/programs.ts";
import { type ReadyLine, ServerProcess } from "../tools/server_process.ts";

/** Servers that are ready. */
export interface Servers {
  readonly nodes: readonly ReadyLine[];
  /** Of all of them, the coordinator included. */
  readonly pids: readonly number[];
}

const WHOLE_TIMEOUT_MS = 60_000;
const POLL_MS = 100;

/** Starts servers, one node or cluster at a time, and ends what it has started. */
export class ServerStarter {
  readonly #processes: ServerProcess[] = [];
  readonly #stubs: Deno.ChildProcess[] = [];

  /** A node without a coordinator, on a new folder. */
  async startNode(folder: string, flags: readonly string[]): Promise<Servers> {
    const node = await this.#start(NODE, ["--standalone", `--data=${folder}`, ...flags]);
    await untilWhole(node, 1);
    return this.#servers([node]);
  }

  /** The same, secured; with a token of its administrator. */
  async startSecuredNode(
    folder: string,
    flags: readonly string[],
  ): Promise<{ servers: Servers; login: LoadLogin }> {
    const data = `${folder}/secured`;
    const node = await this.#start(NODE, ["--standalone", "--secure", `--data=${data}`, ...flags]);
    const login = await tokenAt(node, await administratorIn(data));
    return { servers: this.#servers([node]), login };
  }

  /** A coordinator and this many nodes, on new folders, when every partition has all its replicas. */
  async startCluster(
    nodeCount: number,
    folder: string,
    flags: readonly string[],
  ): Promise<Servers> {
    const coordinator = await this.#startCoordinator(nodeCount, folder, []);
    return await this.#startNodes(coordinator, nodeCount, folder, flags);
  }

  /** The same, secured: TLS at all ports, certificates between members. */
  async startSecuredCluster(
    nodeCount: number,
    folder: string,
    flags: readonly string[],
  ): Promise<{ servers: Servers; login: LoadLogin }> {
    const coordinator = await this.#startCoordinator(nodeCount, folder, ["--secure"]);
    const admin = await administratorIn(`${folder}/coordinator`);
    await using client = await connect({
      coordinator: `${coordinator.host}:${coordinator.port}`,
      ...admin,
    });
    const made = await client.administer({ req_type: "token_create", join: "node" });
    const token = `${folder}/join`;
    await Deno.writeTextFile(token, (made as { text: string }).text, { mode: 0o600 });
    const more = [...flags, `--join=${token}`, "--peer-port=0"];
    const servers = await this.#startNodes(coordinator, nodeCount, folder, more, admin);
    return { servers, login: await tokenAt(coordinator, admin) };
  }

  #startCoordinator(
    nodeCount: number,
    folder: string,
    flags: readonly string[],
  ): Promise<ReadyLine> {
    return this.#start(COORDINATOR, [
      "--heartbeat-port=0",
      "--discovery=off",
      `--data=${folder}/coordinator`,
      `--expect-nodes=${nodeCount}`,
      ...flags,
    ]);
  }

  async #startNodes(
    coordinator: ReadyLine,
    nodeCount: number,
    folder: string,
    flags: readonly string[],
    login?: ProbeLogin,
  ): Promise<Servers> {
    const nodes: ReadyLine[] = [];
    for (let i = 1; i <= nodeCount; i++) {
      nodes.push(
        await this.#start(NODE, [
          `--coordinator=${coordinator.host}:${coordinator.port}`,
          `--data=${folder}/node-${i}`,
          ...flags,
        ]),
      );
    }
    await untilWhole(coordinator, nodeCount, login);
    return this.#servers(nodes, nodes.length + 1);
  }

  /** A server that only answers: `workloads/denokv_stub.ts`. @param file what it syncs */
  async startDenoKvStub(file?: string): Promise<{ path: string; pids: readonly number[] }> {
    const program = new URL("workloads/denokv_stub.ts", import.meta.url).pathname;
    const args = ["run", "-A", "--quiet", program, ...(file === undefined ? [] : [file])];
    const stub = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
    this.#stubs.push(stub);
    const reader = stub.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    const { port } = JSON.parse(new TextDecoder().decode(value)) as { port: number };
    return { path: `http://127.0.0.1:${port}/db/stub`, pids: [stub.pid] };
  }

  /** Coordinators go first, so that nodes do not hand over to others that are about to end too. */
  async stopAll(): Promise<void> {
    const isFirst = ({ program }: ServerProcess) => program === COORDINATOR;
    for (const process of this.#processes.filter(isFirst)) await process.stop();
    await Promise.all(this.#processes.map((process) => process.stop()));
    this.#processes.length = 0;
    for (const stub of this.#stubs.splice(0)) {
      stub.kill();
      await stub.status;
      await stub.stdout.cancel();
    }
  }

  #start(program: ProgramSpec, args: readonly string[]): Promise<ReadyLine> {
    const child = ServerProcess.start(program, ["--host=127.0.0.1", "--port=0", ...args]);
    this.#processes.push(child);
    return child.ready;
  }

  /** @param processes how many of the last that were started */
  #servers(nodes: readonly ReadyLine[], processes = nodes.length): Servers {
    return { nodes, pids: this.#processes.slice(-processes).map(({ pid }) => pid) };
  }
}

/** The credentials that the first start has made. */
async function administratorIn(data: string): Promise<ProbeLogin> {
  const { user, password, ca } = JSON.parse(
    await Deno.readTextFile(`${data}.security/admin.json`),
  );
  return { user, password, ca };
}

/** A token of the administrator, which costs a login less than its password. */
async function tokenAt({ host, port }: Address, admin: ProbeLogin): Promise<LoadLogin> {
  await using client = await connect({ coordinator: `${host}:${port}`, ...admin });
  const made = await client.administer({ req_type: "token_create", user: admin.user });
  return { ...admin, token: (made as { text: string }).text };
}

async function untilWhole(
  server: Address,
  nodeCount: number,
  login?: ProbeLogin,
): Promise<void> {
  for (let waitedMs = 0;; waitedMs += POLL_MS) {
    const missing = await fetchMap(server, login).then((map) => whatIsMissing(map, nodeCount))
      .catch((error) => `no answer (${error.message})`);
    if (missing === undefined) return;
    if (waitedMs >= WHOLE_TIMEOUT_MS) throw new Error(`the servers are not ready: ${missing}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Linux counts processor time in hundredths of a second. */
const TICKS_PER_SECOND = 100;

/** Processor time of processes, all their threads, in µs; undefined on a system without /proc. */
export function processorTimeUs(pids: readonly number[]): number | undefined {
  const stats = readProc(pids.map((pid) => `/proc/${pid}/stat`));
  if (stats === undefined) return undefined;
  let ticks = 0;
  for (const stat of stats.trim().split("\n")) {
    // The name, in parentheses, may hold anything; user and system time are the 12th and 13th
    // fields behind it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * 1e6 / TICKS_PER_SECOND;
}

/** Memory of processes together, in MiB (2^20 bytes); undefined on a system without /proc. */
export function processMemoryMiB(pids: readonly number[]): number | undefined {
  const status = readProc(pids.map((pid) => `/proc/${pid}/status`));
  if (status === undefined) return undefined;
  let kib = 0;
  for (const [, size] of status.matchAll(/^VmRSS:\s+(\d+) kB$/gm)) kib += Number(size);
  return Math.round(kib / 1024);
}

/** The processor's name, if the system tells it. */
export function processorName(): string | undefined {
  return /^model name\s*: (.*)$/m.exec(readProc(["/proc/cpuinfo"]) ?? "")?.[1];
}

/** Reads files of /proc; Deno itself reads them only with all permissions. */
function readProc(paths: readonly string[]): string | undefined {
  try {
    const { success, stdout } = new Deno.Command("cat", { args: [...paths] }).outputSync();
    return success ? new TextDecoder().decode(stdout) : undefined;
  } catch {
    return undefined;
  }
}
