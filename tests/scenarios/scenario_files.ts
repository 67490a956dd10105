/**
 * Where the scenarios are.
 *
 * @module
 */

const FOLDER = "tests/scenarios/replication";

/** All scenario files, in the order of their names, by their path from the project's root. */
export async function scenarioFiles(): Promise<string[]> {
  const files: string[] = [];
  for await (const { name } of Deno.readDir(FOLDER)) {
    if (name.endsWith(".txt")) files.push(`${FOLDER}/${name}`);
  }
  return files.toSorted();
}
