/**
 * Makes the packages of the client library: npm's, as a folder and a tarball, and JSR's, as a folder that `deno publish`
 * takes. npm's holds bundles (by `deno bundle`, so that nothing has to be installed beside it), declarations (by
 * TypeScript), and `kv-client` for Node. Decision 0030 says why it is made so.
 *
 *     deno task pack [--out dist/packages]
 *
 * It needs npm, which makes the tarball. `deno publish --dry-run` judges JSR's folder.
 *
 * @module
 */
import { VERSION } from "../../shared/base/version.ts";
import { writeDeclarations } from "./declarations.ts";
import { moduleFiles, runDeno } from "./module_files.ts";
import { showUsage } from "../usage.ts";

/** The names under which it would be published. */
export const NPM_NAME = "kv-client";
export const JSR_NAME = "@kv/client";

/** What can be imported, by the module of the package. */
const ENTRIES = { "index.js": "client/mod.ts", "fetch.js": "client/fetch.ts" } as const;
const PROGRAM = "client/main.ts";
const RUNTIME = "client/npm/deno_over_node.ts";

/** Node is first given what the program uses of Deno. */
const BIN = `#!/usr/bin/env node
import { denoOverNode } from "../lib/npm/deno_over_node.js";

globalThis.Deno ??= denoOverNode();
await import("../lib/main.js");
`;

const MANIFEST = {
  name: NPM_NAME,
  version: VERSION,
  description: "Client of the kv store: a typed library for Node, Bun and Deno, and a shell",
  license: "MIT",
  type: "module",
  sideEffects: false,
  exports: {
    ".": { types: "./types/client/mod.d.ts", default: "./lib/mod.js" },
    "./fetch": { types: "./types/client/fetch.d.ts", default: "./lib/fetch.js" },
    "./package.json": "./package.json",
  },
  types: "./types/client/mod.d.ts",
  bin: { [NPM_NAME]: "./bin/kv-client.js" },
  files: ["lib", "types", "bin"],
  engines: { node: ">=20" },
};

/** Makes npm's folder. */
async function makeNpm(folder: string): Promise<void> {
  const entries = Object.values(ENTRIES);
  await Deno.mkdir(`${folder}/bin`, { recursive: true });
  await runDeno([
    ...["bundle", "--quiet", "--platform=deno", "--code-splitting", `--outdir=${folder}/lib`],
    ...entries,
    PROGRAM,
    RUNTIME,
  ]);
  await startAlways(`${folder}/lib/main.js`);
  await writeDeclarations(entries, `${folder}/types`);
  await Deno.writeTextFile(`${folder}/bin/kv-client.js`, BIN, { mode: 0o755 });
  await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify(MANIFEST, null, 2) + "\n");
  await Deno.copyFile("LICENSE", `${folder}/LICENSE`);
  await Deno.copyFile("client/npm/PACKAGE.md", `${folder}/README.md`);
}

/** In the package the program is imported by the file that is run; and Node 20 has no `import.meta.main`. */
async function startAlways(path: string): Promise<void> {
  const text = await Deno.readTextFile(path);
  const parts = text.split("import.meta.main");
  if (parts.length !== 2) throw new Error(`${path}: import.meta.main must be there once`);
  await Deno.writeTextFile(path, parts.join("true"));
}

/** Makes JSR's folder: the sources themselves. */
async function makeJsr(folder: string): Promise<void> {
  const { files, others } = await moduleFiles(Object.values(ENTRIES));
  const foreign = others.filter((specifier) => !specifier.startsWith("node:"));
  if (foreign.length > 0) throw new Error(`the library imports ${foreign.join(", ")}`);
  for (const file of files) {
    const target = `${folder}/${file}`;
    await Deno.mkdir(target.replace(/[^/]*$/, ""), { recursive: true });
    await Deno.copyFile(file, target);
  }
  const config = {
    name: JSR_NAME,
    version: VERSION,
    license: "MIT",
    exports: { ".": "./client/mod.ts", "./fetch": "./client/fetch.ts" },
    // The stand-in for JSR's package is among the files: see decision 0001.
    imports: { "@std/crypto": "./std/crypto/mod.ts" },
  };
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config, null, 2) + "\n");
  await Deno.copyFile("LICENSE", `${folder}/LICENSE`);
  await Deno.copyFile("client/npm/PACKAGE.md", `${folder}/README.md`);
}

/** @returns the tarball's path */
async function makeTarball(folder: string, out: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("npm", {
    args: ["pack", "--silent", "--offline", "--pack-destination", out, folder],
  }).output();
  const [name, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
  if (!success) throw new Error(`npm pack failed: ${errors}`);
  return `${out}/${name}`;
}

async function bytesOf(folder: string, suffix: string): Promise<number> {
  let sum = 0;
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) sum += await bytesOf(path, suffix);
    else if (name.endsWith(suffix)) sum += (await Deno.stat(path)).size;
  }
  return sum;
}

const kib = (bytes: number) => `${Math.ceil(bytes / 1024)} KiB`;

const USAGE = "usage: deno task pack [--out FOLDER]";

async function main(args: readonly string[]): Promise<number> {
  if (showUsage(args, USAGE)) return 0;
  const out = args.length === 0 ? "dist/packages" : args[1];
  if (out === undefined || (args.length > 0 && (args[0] !== "--out" || args.length > 2))) {
    console.error(USAGE);
    return 2;
  }
  await Deno.remove(out, { recursive: true }).catch(() => {});
  const [npm, jsr] = [`${out}/npm`, `${out}/jsr`];
  await makeNpm(npm);
  await makeJsr(jsr);
  // The types of messages follow from tables, which JSR's quick way of reading types does not understand.
  const dry = ["publish", "--dry-run", "--allow-dirty", "--allow-slow-types", "--quiet"];
  await runDeno(dry, jsr);
  const tarball = await makeTarball(npm, out);
  const { size } = await Deno.stat(tarball);
  console.log(
    `${tarball}  ${kib(size)} (JavaScript ${kib(await bytesOf(`${npm}/lib`, ".js"))}, ` +
      `declarations ${kib(await bytesOf(`${npm}/types`, ".d.ts"))})`,
  );
  console.log(`${jsr}  ${kib(await bytesOf(jsr, ".ts"))} of sources`);
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
