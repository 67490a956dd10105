/**
 * The real programs, started for a measurement: one node by itself, or a local cluster by the tool
 * behind `deno task up`. Also the processor time that they have used.
 *
 * @module
 */

/** Where a node listens. */
export interface NodeAddress {
  readonly host: string;
  readonly port: number;
}

/** Servers that are ready. */
export interface Servers {
  readonly nodes: readonly NodeAddress[];
  /** Of all of them, the coordinator included. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const PERMISSIONS = [
  "--allow-net",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-sys",
  "--allow-ffi",
];

/** A node without a coordinator, on a new folder. */
export async function startNode(folder: string, flags: readonly string[]): Promise<Servers> {
  const child = new Child(
    [...PERMISSIONS, "node/main.ts", "127.0.0.1", "0", "--standalone", "--data", folder, ...flags],
  );
  const [, host, port] = await child.line(/kv-node\W+(\d+\.\d+\.\d+\.\d+):(\d+)/);
  return {
    nodes: [{ host: host ?? "", port: Number(port) }],
    pids: [child.pid],
    stop: () => child.stop(),
  };
}

/** A coordinator and so many nodes, when every partition has all its copies. */
export async function startCluster(
  nodeCount: number,
  folder: string,
  flags: readonly string[],
  fsync: string,
): Promise<Servers> {
  const child = new Child([
    ...PERMISSIONS,
    "--allow-run",
    "tools/up.ts",
    "--no-shell",
    ...["--nodes", String(nodeCount), "--base-port", "0", "--data", folder],
    ...flags,
  ], { KV_FSYNC: fsync });
  await child.line(/^ready/);
  const nodes: NodeAddress[] = [];
  const pids: number[] = [];
  for (const line of child.lines) {
    const [, program, host, port, pid] = /^(kv-\w+) (\S+):(\d+) .*\bpid=(\d+)/.exec(line) ?? [];
    if (pid === undefined) continue;
    pids.push(Number(pid));
    if (program === "kv-node") nodes.push({ host: host ?? "", port: Number(port) });
  }
  return { nodes, pids, stop: () => child.stop() };
}

/** A program of ours under way. */
class Child {
  readonly lines: string[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #output: Promise<unknown>;
  #onLine: () => void = () => {};
  #ended = false;

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", ...args],
      cwd: new URL("..", import.meta.url),
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const { stdout, stderr, status } = this.#process;
    this.#output = Promise.all([this.#collect(stdout), this.#collect(stderr), status]).then(() => {
      this.#ended = true;
      this.#onLine();
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** The first line that matches. @throws with what the program said, where none comes */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#onLine();
    }, START_TIMEOUT_MS);
    try {
      for (let next = 0;;) {
        for (; next < this.lines.length; next++) {
          const found = pattern.exec(this.lines[next] ?? "");
          if (found !== null) return found;
        }
        if (this.#ended || late) {
          await this.stop();
          const how = late ? `did not say it within ${START_TIMEOUT_MS / 1_000} s` : "ended";
          throw new Error(`waiting for ${pattern}, the program ${how}:\n${this.lines.join("\n")}`);
        }
        await new Promise<void>((resolve) => this.#onLine = resolve);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.#output;
    clearTimeout(timer);
  }

  async #collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let text = "";
    for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (text + piece).split("\n");
      text = lines.pop() ?? "";
      this.lines.push(...lines);
      if (lines.length > 0) this.#onLine();
    }
    if (text !== "") this.lines.push(text);
  }
}

/** Linux counts processor time in hundredths of a second. */
const TICKS_PER_SECOND = 100;

/** Processor time of processes, all their threads, in µs; undefined on a system without /proc. */
export function processorTimeUs(pids: readonly number[]): number | undefined {
  let ticks = 0;
  for (const pid of pids) {
    try {
      const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
      // The name, in parentheses, may hold anything; user and system time are the 12th and 13th
      // fields behind it.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      return undefined;
    }
  }
  return ticks * 1e6 / TICKS_PER_SECOND;
}
