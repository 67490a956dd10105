/**
 * What the tasks have in common that make a bundle, a text in the repository: they write it, or with `--check` compare it
 * with what its sources make.
 *
 * @module
 */
import { showUsage } from "./usage.ts";

/** A bundle. */
export interface BundleTask {
  /** The name of the task in deno.json. */
  readonly name: string;
  /** Where the bundle lies. */
  readonly path: string;
  /** @throws {Error} if the bundler fails, or cannot be fetched */
  make(): Promise<string>;
}

/** Runs a task. @returns the exit code: 1 if the bundle is not that of the sources */
export async function runBundleTask(
  { name, path, make }: BundleTask,
  args: readonly string[],
): Promise<number> {
  if (showUsage(args, `usage: deno task ${name} [--check]`)) return 0;
  const text = await make();
  if (args.includes("--check")) {
    const isSame = text === await Deno.readTextFile(path);
    console.log(isSame ? "the bundle is that of the sources" : `run: deno task ${name}`);
    return isSame ? 0 : 1;
  }
  await Deno.writeTextFile(path, text);
  console.log(`${path}: ${(text.length / 1024).toFixed(0)} KiB`);
  return 0;
}
