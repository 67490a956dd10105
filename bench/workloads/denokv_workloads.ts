/**
 * Deno KV through `Deno.openKv`: on a file of Deno's own, which syncs each commit as a node does, on one node, and on three; and
 * on servers that keep nothing, which show what such a client reaches at all. Rounds alternate: one of each
 * contestant, again and again, and each contestant has a client process of its own all the time.
 *
 * @module
 */
import { createInterface, type Interface } from "node:readline";
import { type ChildProcess, spawn } from "node:child_process";
import { type Effort, median, type Report } from "../figure.ts";
import { processorTimeUs } from "../servers.ts";

/** Where a database is. */
export interface DenoKvContestant {
  readonly name: string;
  /** What `Deno.openKv` opens. */
  readonly path: string;
  /** Of the servers; none for a file. */
  readonly pids: readonly number[];
  /** It keeps nothing, so that there is nothing to read. */
  readonly isStub?: boolean;
}

const WRITES = [
  "set, one after the other",
  "set, 50 at a time",
  "atomic with 10 mutations, 50 at a time",
] as const;
const READS = ["get, 50 at a time", "list of 1,000"] as const;

/** Measures all workloads on each database. */
export async function measureDenoKv(
  group: string,
  contestants: readonly DenoKvContestant[],
  { rounds, roundMs }: Effort,
  report: Report,
): Promise<void> {
  const loads: Load[] = [];
  try {
    for (const contestant of contestants) {
      const load = new Load(contestant);
      loads.push(load);
      if (contestant.isStub !== true) await load.round("fill", 0);
    }
    for (const name of [...WRITES, ...READS]) {
      const isRead = READS.some((read) => read === name);
      const competing = loads.filter(({ contestant }) => !isRead || contestant.isStub !== true);
      for (let round = 0; round < rounds; round++) {
        for (const load of competing) await load.measure(name, roundMs);
      }
      for (const { contestant, rates, serverUs } of competing) {
        const title = `${name}, ${contestant.name}`;
        const figure = { group, name: title, unit: "requests/s" as const, median: median(rates) };
        const cpu = contestant.pids.length === 0 ? {} : { serverCpuUsPerRequest: median(serverUs) };
        report({ ...figure, rounds: [...rates], ...cpu });
        rates.length = 0;
        serverUs.length = 0;
      }
    }
  } finally {
    for (const load of loads) load.end();
  }
}

/** A client process. */
class Load {
  readonly contestant: DenoKvContestant;
  readonly rates: number[] = [];
  readonly serverUs: number[] = [];
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  constructor(contestant: DenoKvContestant) {
    this.contestant = contestant;
    const load = new URL("denokv_load.ts", import.meta.url).pathname;
    const args = ["run", "-A", "--quiet", "--unstable-kv", load, contestant.path];
    const env = { ...Deno.env.toObject(), DENO_KV_ACCESS_TOKEN: "any" };
    const child = spawn(Deno.execPath(), args, { env, stdio: ["pipe", "pipe", "inherit"] });
    this.#process = child;
    this.#reader = createInterface({ input: child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  async measure(name: string, ms: number): Promise<void> {
    const { pids } = this.contestant;
    const before = processorTimeUs(pids) ?? Number.NaN;
    const { requests, ms: tookMs, all } = await this.round(name, ms);
    this.rates.push(requests * 1_000 / tookMs);
    this.serverUs.push(((processorTimeUs(pids) ?? Number.NaN) - before) / all);
  }

  async round(name: string, ms: number) {
    this.#process.stdin?.write(JSON.stringify({ name, ms }) + "\n");
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`the load on ${this.contestant.path} has failed`);
    return JSON.parse(value) as { requests: number; all: number; ms: number };
  }

  end(): void {
    this.#process.kill();
    this.#reader.close();
  }
}
