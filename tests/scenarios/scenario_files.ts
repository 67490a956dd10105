/**
 * Where the scenarios are, and on which stage they are played.
 *
 * @module
 */
import { membershipStage } from "./membership_stage.ts";
import { replicationStage } from "./replication_stage.ts";
import type { Stage } from "./scenario.ts";
import { transactionsStage } from "./transactions_stage.ts";

const ROOT = "tests/scenarios";

const STAGES: Readonly<Record<string, () => Stage>> = {
  membership: membershipStage,
  replication: replicationStage,
  transactions: transactionsStage,
};

/** All scenario files, in the order of their names, by their path from the project's root. */
export async function scenarioFiles(): Promise<string[]> {
  const files: string[] = [];
  for (const folder of Object.keys(STAGES)) {
    for await (const { name } of Deno.readDir(`${ROOT}/${folder}`)) {
      if (name.endsWith(".txt")) files.push(`${ROOT}/${folder}/${name}`);
    }
  }
  return files.toSorted();
}

/** A new stage for a file. @throws {Error} if it is in no folder of scenarios */
export function stageFor(file: string): Stage {
  const stage = STAGES[file.split("/").at(-2) ?? ""];
  if (stage === undefined) throw new Error(`${file} is in none of ${Object.keys(STAGES)}`);
  return stage();
}
