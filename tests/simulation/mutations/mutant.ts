/**
 * The child process of `mutation_run.ts`: runs seeds until one fails, and says which and why, as one
 * line of JSON, the last one; before it comes a line for each seed, as a sign of life. The mistake in the code that it
 * runs was put there by its import map; of that it knows nothing.
 *
 *     mutant.ts FROM SEEDS [STORM]
 *
 * @module
 */
import { messageOf } from "../../../shared/base/errors.ts";
import { STORMS } from "../faults/storms.ts";
import { runStorm } from "../../support/worlds/register_storms.ts";
import { simulate, type SimulationOptions } from "../simulation.ts";

/** What the child says. */
export interface MutantReport {
  /** The first seed that failed. */
  readonly seed: number | undefined;
  readonly what: string | undefined;
  readonly simulatedMs: number;
}

/**
 * A storm of a kind is for one sort of mistake: what is not concerned only takes time from what is. Clients of lists, of
 * accounts and of databases are there in the storm of all kinds, and where a kind names them.
 */
const OTHERS_AWAY: Partial<SimulationOptions> = {
  databases: false,
  lists: { lists: 0, accounts: 0 },
};

async function runSeeds(from: number, seeds: number, storm: string): Promise<MutantReport> {
  const kind = Object.entries(STORMS).find(([name]) => name === storm)?.[1];
  const options = kind === undefined ? {} : { ...OTHERS_AWAY, ...kind };
  let simulatedMs = 0;
  // As in `main.ts`: most errors of a run are answers.
  Error.stackTraceLimit = 0;
  for (let seed = from; seed < from + seeds; seed++) {
    const result = await simulate({ ...options, seed });
    simulatedMs += result.simulatedMs;
    console.log("another seed is done");
    if (result.failure !== undefined) {
      return { seed, what: result.failure.what, simulatedMs };
    }
  }
  return { seed: undefined, what: undefined, simulatedMs };
}

/** The coordinators' register alone. */
function runRegisterSeeds(from: number, seeds: number): MutantReport {
  let simulatedMs = 0;
  for (let seed = from; seed < from + seeds; seed++) {
    let what: string | undefined;
    try {
      const { world, recovered } = runStorm(seed);
      simulatedMs += world.nowMs;
      if (!recovered) what = "nobody is active after the storm";
    } catch (error) {
      what = messageOf(error);
    }
    if (what !== undefined) return { seed, what, simulatedMs };
  }
  return { seed: undefined, what: undefined, simulatedMs };
}

if (import.meta.main) {
  const [from, seeds, storm = ""] = Deno.args;
  const report = storm === "register"
    ? runRegisterSeeds(Number(from), Number(seeds))
    : await runSeeds(Number(from), Number(seeds), storm);
  console.log(JSON.stringify(report));
}
