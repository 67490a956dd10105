/**
 * Finds promises that nobody waits for. If a statement makes a promise and neither awaits it nor handles its
 * failure, that failure is lost. The rule is typescript-eslint's `no-floating-promises`, because `deno lint`
 * has no rules that look at types. `void promise` says that a promise is ignored on purpose.
 *
 *     deno run --allow-read --allow-write --allow-env --allow-sys --allow-run tools/checks/floating_promises.ts
 *
 * @module
 */
import { ESLint } from "eslint";
import plugin from "@typescript-eslint/eslint-plugin";
import parser from "@typescript-eslint/parser";

const FOLDERS = ["shared", "coordinator", "node", "client", "tools"];
const ROOT = new URL("../../", import.meta.url).pathname;

/** The output of a command. @throws if it fails */
async function outputOf(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT })
    .output();
  if (!success) throw new Error(`deno ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** Where the types of each imported name are: `std/` by its folder, npm's packages in Deno's cache. */
async function typePaths(): Promise<Record<string, string[]>> {
  const { npmCache } = JSON.parse(await outputOf("info", "--json")) as { npmCache: string };
  const lock = JSON.parse(await Deno.readTextFile(`${ROOT}deno.lock`)) as { npm: object };
  const paths: Record<string, string[]> = {
    "@std/assert": [`${ROOT}std/assert/mod.ts`],
    "@std/cli/parse-args": [`${ROOT}std/cli/parse_args.ts`],
    "@std/crypto": [`${ROOT}std/crypto/mod.ts`],
  };
  for (const id of Object.keys(lock.npm)) {
    // `@scope/name@1.2.3_peer@4.5.6`
    const [, name, version] = /^(@?[^@]+)@([^_]+)/.exec(id) ?? [];
    if (name !== undefined) paths[name] = [`${npmCache}/registry.npmjs.org/${name}/${version}`];
  }
  return paths;
}

/** Compiler options for the type checker: those of deno.json, in the words of a tsconfig. */
async function writeProject(folder: string): Promise<string> {
  await Deno.writeTextFile(`${folder}/lib.deno.d.ts`, await outputOf("types"));
  const project = `${folder}/tsconfig.json`;
  const compilerOptions = {
    target: "esnext",
    module: "esnext",
    moduleResolution: "bundler",
    allowImportingTsExtensions: true,
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    resolveJsonModule: true,
    lib: ["esnext"],
    types: [],
    paths: await typePaths(),
  };
  const include = ["lib.deno.d.ts", ...FOLDERS.map((name) => `${ROOT}${name}`)];
  await Deno.writeTextFile(project, JSON.stringify({ compilerOptions, include }));
  return project;
}

async function main(): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "kv-floating-promises-" });
  try {
    const eslint = new ESLint({
      cwd: ROOT,
      overrideConfigFile: true,
      overrideConfig: [{
        files: ["**/*.ts"],
        languageOptions: { parser, parserOptions: { project: await writeProject(folder) } },
        linterOptions: { reportUnusedDisableDirectives: false },
        // The plugin's types and ESLint's name the same thing differently.
        plugins: { types: plugin as unknown as ESLint.Plugin },
        rules: { "types/no-floating-promises": "error" },
      }],
    });
    const results = await eslint.lintFiles(FOLDERS.map((name) => `${name}/**/*.ts`));
    const found = results.flatMap(({ filePath, messages }) =>
      messages.map(({ line, message }) => `${filePath.slice(ROOT.length)}:${line} ${message}`)
    );
    for (const line of found) console.error(line);
    console.log(`${results.length} files, ${found.length} promises that nobody waits for`);
    return found.length === 0 && results.length > 0 ? 0 : 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main());
