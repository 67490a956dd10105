/**
 * Deno KV through `Deno.openKv`: on a file of Deno's own, which syncs each commit as a node does, on one node, and on three.
 *
 * @module
 */
import { type Effort, median, type Report } from "../figure.ts";

/** Where a database is. */
export interface DenoKvContestant {
  readonly name: string;
  /** What `Deno.openKv` opens. */
  readonly path: string;
}

/** Measures all workloads on each database, one database after the other. */
export async function measureDenoKv(
  group: string,
  contestants: readonly DenoKvContestant[],
  { rounds, roundMs }: Effort,
  report: Report,
): Promise<void> {
  const load = new URL("denokv_load.ts", import.meta.url).pathname;
  for (const { name: contestant, path } of contestants) {
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--unstable-kv", load, path, String(rounds), String(roundMs)],
      env: { DENO_KV_ACCESS_TOKEN: "any" },
      stderr: "inherit",
    });
    const { success, stdout } = await command.output();
    if (!success) throw new Error(`the load on ${path} has failed`);
    for (const line of new TextDecoder().decode(stdout).trim().split("\n")) {
      const { name, rates } = JSON.parse(line) as { name: string; rates: number[] };
      const figure = { group, name: `${name}, ${contestant}`, unit: "requests/s" } as const;
      report({ ...figure, median: median(rates), rounds: rates });
    }
  }
}
