/**
 * Deno's own commands, as the tools run them.
 *
 * @module
 */

/** Runs `deno ARGS`. @returns its standard output @throws {Error} with what it said, if it failed */
export async function runDeno(args: readonly string[], cwd?: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    env: { NO_COLOR: "1" },
    ...(cwd === undefined ? {} : { cwd }),
  }).output();
  const [out, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (success) return out ?? "";
  throw new Error(`deno ${args[0]} failed: ${errors}${out}`);
}

/** The files of this project that modules consist of, and whatever else they import, by their specifiers. */
export async function moduleFiles(
  entries: readonly string[],
): Promise<{ files: string[]; others: string[] }> {
  const root = new URL(`file://${Deno.cwd()}/`).href;
  const found = new Set<string>();
  for (const entry of entries) {
    const info: { modules: { specifier: string }[] } = JSON.parse(
      await runDeno(["info", "--json", entry]),
    );
    for (const { specifier } of info.modules) found.add(specifier);
  }
  const all = [...found].sort();
  return {
    files: all.filter((one) => one.startsWith(root)).map((one) => one.slice(root.length)),
    others: all.filter((one) => !one.startsWith(root)),
  };
}
