/**
 * Everything that CI runs, in the order in which it finds mistakes fastest: formatting, lint, types, import
 * rules, names of files in pages and comments, error rules, forgotten promises, tests. All of it runs even if an early part fails; then the exit
 * code is 1.
 *
 *     deno task ok [--no-tests]
 *
 * @module
 */
import { showUsage } from "./usage.ts";

interface Part {
  readonly name: string;
  /** Arguments of deno. */
  readonly args: readonly string[];
}

const CHECKS: readonly Part[] = [
  { name: "formatting", args: ["fmt", "--check", "--quiet"] },
  { name: "lint", args: ["lint", "--quiet"] },
  { name: "types", args: ["check", "--quiet", "."] },
  {
    name: "import rules",
    args: ["run", "--no-prompt", "--allow-read", "tools/checks/check_imports.ts"],
  },
  {
    name: "names of files",
    args: ["run", "--no-prompt", "--allow-read=.", "tools/checks/check_paths.ts"],
  },
  {
    name: "error rules",
    args: ["run", "--no-prompt", "--allow-read", "tools/checks/check_errors.ts"],
  },
  {
    name: "forgotten promises",
    args: [
      "run",
      "--no-prompt",
      "--allow-read",
      "--allow-write",
      "--allow-env",
      "--allow-sys",
      "--allow-run",
      "tools/checks/floating_promises.ts",
    ],
  },
];
const TESTS: Part = {
  name: "tests",
  args: ["run", "--no-prompt", "--allow-read", "--allow-run", "--allow-env", "tools/test.ts"],
};

async function passes(part: Part): Promise<boolean> {
  console.log(`=== ${part.name}`);
  const { success } = await new Deno.Command(Deno.execPath(), { args: [...part.args] })
    .spawn().status;
  return success;
}

const USAGE = "usage: deno task ok [--no-tests]";

async function main(args: readonly string[]): Promise<number> {
  if (showUsage(args, USAGE)) return 0;
  if (args.some((arg) => arg !== "--no-tests")) {
    console.error(`unknown argument ${args.join(" ")}; ${USAGE}`);
    return 2;
  }
  const failed: string[] = [];
  for (const part of args.length > 0 ? CHECKS : [...CHECKS, TESTS]) {
    if (!await passes(part)) failed.push(part.name);
  }
  console.log(failed.length === 0 ? "ok" : `not ok: ${failed.join(", ")}`);
  return failed.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
