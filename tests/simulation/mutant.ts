/**
 * The child process of `mutation_run.ts`: runs seeds until one fails, and says which and why, as one
 * line of JSON. The mistake in the code that it runs was put there by its import map; of that it knows
 * nothing.
 *
 *     mutant.ts FROM SEEDS
 *
 * @module
 */
import { simulate } from "./simulation.ts";

/** What the child says. */
export interface MutantReport {
  /** The first seed that failed. */
  readonly seed: number | undefined;
  readonly what: string | undefined;
  readonly simulatedMs: number;
}

async function runSeeds(from: number, seeds: number): Promise<MutantReport> {
  let simulatedMs = 0;
  for (let seed = from; seed < from + seeds; seed++) {
    const result = await simulate({ seed });
    simulatedMs += result.simulatedMs;
    if (result.failure !== undefined) {
      return { seed, what: result.failure.what, simulatedMs };
    }
  }
  return { seed: undefined, what: undefined, simulatedMs };
}

if (import.meta.main) {
  const [from, seeds] = Deno.args.map(Number);
  console.log(JSON.stringify(await runSeeds(from ?? 1, seeds ?? 1)));
}
