/**
 * `--help` of the tasks whose command line is a few words. The task itself does not run then.
 *
 * @module
 */

/** Prints the usage if it is asked for. @returns whether it was */
export function showUsage(args: readonly string[], usage: string): boolean {
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  if (!own.includes("--help") && !own.includes("-h")) return false;
  console.log(usage);
  return true;
}
