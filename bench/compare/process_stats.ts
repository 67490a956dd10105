/**
 * Processor time and memory of single processes, from /proc. Without /proc these figures are missing, and
 * nothing else.
 *
 * @module
 */
import process from "node:process";
import { processorTimeUs } from "../servers.ts";
import type { SystemProcess } from "./systems/system.ts";

/** Processor time of this process so far, in ms: independent of what else the machine does. */
export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** Processor time, in µs, by role. */
export type CpuTimes = Readonly<Record<string, number>>;

/** What each process has used so far. */
export function cpuTimes(processes: readonly SystemProcess[]): CpuTimes {
  const times: Record<string, number> = {};
  for (const { role, pid } of processes) {
    const us = processorTimeUs([pid]);
    if (us !== undefined) times[role] = us;
  }
  return times;
}

/** What each process used between two looks, per operation. */
export function cpuPerOperation(before: CpuTimes, after: CpuTimes, operations: number): CpuTimes {
  const costs: Record<string, number> = {};
  for (const [role, us] of Object.entries(after)) {
    const from = before[role];
    if (from !== undefined && operations > 0) costs[role] = (us - from) / operations;
  }
  return costs;
}

/** Processor time that the whole machine has used so far, in µs: everything but idling and waiting. */
export function machineCpuUs(): number | undefined {
  try {
    const { success, stdout } = new Deno.Command("cat", { args: ["/proc/stat"] }).outputSync();
    if (!success) return undefined;
    // The first line: user, nice, system, idle, waiting for disks, interrupts, taken by the host.
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] =
      new TextDecoder().decode(stdout).split("\n")[0]?.trim().split(/\s+/).slice(1).map(Number) ??
        [];
    return (user + nice + system + irq + softirq + steal) * 1e6 / TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
}

/** Linux counts processor time in hundredths of a second. */
const TICKS_PER_SECOND = 100;

/** Processors that the rest of the machine kept busy between two looks. */
export function othersOf(
  machineBefore: number | undefined,
  machineAfter: number | undefined,
  before: CpuTimes,
  after: CpuTimes,
  wallMs: number,
): number | undefined {
  if (machineBefore === undefined || machineAfter === undefined) return undefined;
  const own = Object.values(cpuPerOperation(before, after, 1)).reduce((sum, us) => sum + us, 0);
  return Math.max(0, machineAfter - machineBefore - own) / (wallMs * 1_000);
}

/** Bytes of resident memory: now, and the most there ever was. */
export function memoryOf(pid: number): { now: number; peak: number } | undefined {
  try {
    const { success, stdout } = new Deno.Command("cat", { args: [`/proc/${pid}/status`] })
      .outputSync();
    if (!success) return undefined;
    const status = new TextDecoder().decode(stdout);
    const field = (name: string) =>
      1_024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? Number.NaN);
    return { now: field("VmRSS"), peak: field("VmHWM") };
  } catch {
    return undefined;
  }
}
