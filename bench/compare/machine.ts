/**
 * What a measurement is valid for: the machine, how long its disk takes to sync, what else it was doing, and
 * the versions of everything.
 *
 * @module
 */
import { median } from "../figure.ts";
import { processorName } from "../servers.ts";
import { outputOf } from "./systems/foreign_process.ts";

/** The machine. */
export interface Machine {
  readonly cpu: string | undefined;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  /** Of the folder in which all servers have their data. */
  readonly fileSystem: string | undefined;
  /** Time that a sync of one more 4 KiB takes, in µs. */
  readonly syncUs: { readonly p50: number; readonly p99: number };
  /** Processes that want to run, mean of a minute, before the measurement began. */
  readonly loadBefore: number;
}

/** Versions; undefined if something is not installed. */
export interface Versions {
  readonly kv: string;
  readonly deno: string;
  readonly redis: string | undefined;
  readonly redisBenchmark: string | undefined;
  readonly etcd: string | undefined;
  readonly nats: string | undefined;
}

const SYNCS_MAX = 500;
const SYNCS_MS = 400;
const SYNC_BYTES = 4_096;

/** Looks at the machine; writes a file in the folder, and removes it. */
export async function lookAtMachine(folder: string): Promise<Machine> {
  const fileSystem = (await outputOf("df", ["--output=fstype,source", folder]))
    ?.split("\n")[1]?.trim().replace(/\s+/, " on ");
  return {
    cpu: processorName(),
    cores: navigator.hardwareConcurrency,
    memoryGiB: Math.round(Deno.systemMemoryInfo().total / 2 ** 30),
    kernel: Deno.osRelease(),
    fileSystem,
    syncUs: await measureSync(folder),
    loadBefore: Deno.loadavg()[0] ?? Number.NaN,
  };
}

async function measureSync(folder: string): Promise<{ p50: number; p99: number }> {
  const path = `${folder}/sync-probe`;
  const times: number[] = [];
  const file = await Deno.open(path, { create: true, write: true });
  try {
    const bytes = new Uint8Array(SYNC_BYTES).fill(7);
    const end = performance.now() + SYNCS_MS;
    while (times.length < SYNCS_MAX && performance.now() < end) {
      await file.write(bytes);
      const begin = performance.now();
      file.syncDataSync();
      times.push((performance.now() - begin) * 1_000);
    }
  } finally {
    file.close();
    await Deno.remove(path);
  }
  times.sort((a, b) => a - b);
  return {
    p50: Math.round(median(times)),
    p99: Math.round(times[Math.floor(times.length * 0.99)] ?? 0),
  };
}

/** Asks each program. */
export async function lookAtVersions(): Promise<Versions> {
  const root = new URL("../..", import.meta.url).pathname;
  const commit = await outputOf("git", ["-C", root, "rev-parse", "--short", "HEAD"]);
  const changed = await outputOf("git", ["-C", root, "status", "--porcelain"]) ?? "";
  return {
    kv: `${commit ?? "unknown"}${changed === "" ? "" : " with changes"}`,
    deno: Deno.version.deno,
    redis: /v=(\S+)/.exec(await outputOf("redis-server", ["--version"]) ?? "")?.[1],
    redisBenchmark: /redis-benchmark (\S+)/
      .exec(await outputOf("redis-benchmark", ["--version"]) ?? "")?.[1],
    etcd: /etcd Version: (\S+)/.exec(await outputOf("etcd", ["--version"]) ?? "")?.[1],
    nats: /v(\S+)/.exec(await outputOf("nats-server", ["--version"]) ?? "")?.[1],
  };
}
