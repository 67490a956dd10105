/**
 * Bundles the worker that runs Lua scripts (`node/resp/scripts/worker/`), with the VM of `wasmoon-lua5.1` and its
 * WebAssembly, into `node/resp/scripts/worker_bundle.ts`: one text that the node contains, so that the worker needs no
 * file and no permission, however the node was built. The bundle is committed, as the console's is
 * (docs/decisions/0052-lua.md).
 *
 *     deno task scripts:worker            writes it
 *     deno task scripts:worker --check    ends with 1 if it is not that of the sources
 *
 * @module
 */
import { createHash } from "node:crypto";
import { runBundleTask } from "./bundle_task.ts";

const FOLDER = "node/resp/scripts";
const BUNDLE = `${FOLDER}/worker_bundle.ts`;
const SOURCES = [
  "bit",
  "json",
  "lua_arguments",
  "lua_state",
  "lua_vm",
  "main",
  "msgpack",
  "prelude",
  "reply_values",
  "script_messages",
  "struct",
]
  .map((name) => `${FOLDER}/worker/${name}.ts`);
const PACKAGE = "wasmoon-lua5.1";

/** A hash of all that the worker is made from: its sources, and the version of the package. */
export async function hashOfSources(): Promise<string> {
  const hash = createHash("sha256");
  for (const path of [...SOURCES, "tools/scripts_worker.ts"]) {
    hash.update(`${path}\n${await Deno.readTextFile(path)}\n`);
  }
  hash.update(await packageVersion());
  return hash.digest("hex");
}

/** The hash that the committed bundle was made with. */
export async function hashOfBundle(): Promise<string | undefined> {
  const text = await Deno.readTextFile(BUNDLE).catch(() => "");
  return /^export const SCRIPT_WORKER_SOURCES =\s*"([0-9a-f]{64})"/m.exec(text)?.[1];
}

async function packageVersion(): Promise<string> {
  const { imports } = JSON.parse(await Deno.readTextFile("deno.json"));
  return imports[PACKAGE];
}

async function deno(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1" },
  }).output();
  const [text = "", errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`deno ${args.join(" ")}: ${errors}`);
  return text;
}

/** Where Deno keeps the package. */
async function packageFolder(): Promise<string> {
  const info: { npmPackages?: Record<string, { name: string; localPath?: string }> } = JSON.parse(
    await deno("info", "--json", await packageVersion()),
  );
  const folder = Object.values(info.npmPackages ?? {})
    .find(({ name }) => name === PACKAGE)?.localPath;
  if (folder === undefined) throw new Error(`cannot find ${PACKAGE} in Deno's cache`);
  return folder;
}

/**
 * The package as a module. It is told that it is in a browser: there it loads its WebAssembly by `fetch`, from a URL that
 * holds it, where in Node it would read a file. Of lodash it uses only what we do not.
 */
async function vmText(): Promise<string> {
  const folder = `${await packageFolder()}/dist`;
  const wasm = await Deno.readFile(`${folder}/liblua5.1.wasm`);
  return `const window = globalThis, process = undefined, document = undefined;
const location = { href: "file:///lua/" }, require = () => ({}), exports = {}, module = {};
(function () {
${await Deno.readTextFile(`${folder}/index.js`)}
}).call({});
export const { LuaApi } = exports;
export const LUA_WASM = "data:application/wasm;base64,${wasm.toBase64()}";
`;
}

/** The text of the bundle. @throws {Error} if the bundler fails, or cannot be fetched */
export async function bundleText(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "kv-scripts-worker-" });
  try {
    await Deno.writeTextFile(`${folder}/vm.js`, await vmText());
    const main = new URL(`../${FOLDER}/worker/main.ts`, import.meta.url).href;
    await Deno.writeTextFile(
      `${folder}/worker.ts`,
      `import { LUA_WASM, LuaApi } from "./vm.js";
import { listen } from "${main}";
listen(async () => (await LuaApi.initialize(LUA_WASM, undefined)).module);
`,
    );
    const script = await deno(
      "bundle",
      "--quiet",
      "--platform=browser",
      "--minify",
      `${folder}/worker.ts`,
    );
    return `// Made by \`deno task scripts:worker\`; do not change it by hand.
export const SCRIPT_WORKER_SOURCES = "${await hashOfSources()}";
export const SCRIPT_WORKER = ${JSON.stringify(script)};
`;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const task = { name: "scripts:worker", path: BUNDLE, make: bundleText };
  Deno.exit(await runBundleTask(task, Deno.args));
}
