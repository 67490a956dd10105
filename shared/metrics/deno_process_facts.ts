/**
 * What Deno says of its own process. Garbage collection and open descriptors are not among it: Deno 2.9 tells nobody of
 * the one, and lets nobody read /proc for the other.
 *
 * @module
 */
import { statfsSync } from "node:fs";
import { cpuUsage } from "node:process";

/** See `shared/metrics/process_metrics.ts`. */
export class DenoProcessFacts {
  /** About when the process began: when this was made. */
  readonly startedMs = Date.now();

  wallMs(): number {
    return Date.now();
  }

  cpuSeconds(): number {
    const { user, system } = cpuUsage();
    return (user + system) / 1e6;
  }

  memory(): Deno.MemoryUsage {
    return Deno.memoryUsage();
  }
}

/** The file system of a folder; undefined if it cannot be asked. What is free is what this user may use. */
export function diskSpace(
  folder: string,
): { readonly freeBytes: number; readonly sizeBytes: number } | undefined {
  try {
    const { bsize, blocks, bavail } = statfsSync(folder);
    return { freeBytes: bsize * bavail, sizeBytes: bsize * blocks };
  } catch {
    return undefined;
  }
}
