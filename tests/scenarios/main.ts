/**
 * Runs scenario files, and with `--rewrite` writes into them what really came of each step; read the
 * difference before you believe it.
 *
 *     deno task scenarios [--rewrite] [FILE…]
 *
 * @module
 */
import { parseScenario, rewritten, runScenario } from "./scenario.ts";
import { scenarioFiles, stageFor } from "./scenario_files.ts";

async function main(args: readonly string[]): Promise<number> {
  const rewrite = args.includes("--rewrite");
  const named = args.filter((arg) => !arg.startsWith("--"));
  let different = 0;
  for (const file of named.length > 0 ? named : await scenarioFiles()) {
    const before = await Deno.readTextFile(file);
    const scenario = parseScenario(before);
    const after = rewritten(scenario, await runScenario(scenario, stageFor(file)));
    if (after === before) continue;
    different++;
    console.log(`${rewrite ? "rewritten" : "different"}: ${file}`);
    if (rewrite) await Deno.writeTextFile(file, after);
  }
  console.log(`${different} of the scenarios ${rewrite ? "rewritten" : "differ"}`);
  return different > 0 && !rewrite ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
