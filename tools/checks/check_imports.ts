/**
 * Checks which files import which, so that the layers stay layers:
 *
 * - `shared/` imports no role; a role imports its own folder and `shared/`, no other role.
 * - Inside of `shared/` and of each role, a folder imports its own files and those of folders below it
 *   (see {@linkcode LAYERS}), holds at most {@linkcode FOLDER_FILES_MAX} files, and says in a `README.md` what it is for. No files import each other in a circle, types included.
 * - Nothing imports a `main.ts`, a test, or a file of `tools/` or `bench/`; `tests/` may import
 *   everything else, `tools/` and `bench/` import everything but tests. `examples/` imports the library by its name.
 * - A file `_private.ts` is imported from its own folder only.
 * - A package is imported by its name in deno.json, never by `npm:` or `jsr:`; `std/` imports nothing.
 * - Only certain files touch the real world (see {@linkcode REAL_FILES}): all others get time, randomness,
 *   network and disk passed in, so that the simulator can run them.
 *
 * @module
 */
import { dirname, join, normalize } from "node:path/posix";

const ROLES = ["coordinator", "node", "client"] as const;
const FOLDERS = [
  "shared",
  ...ROLES,
  "std",
  "tests",
  "tools",
  "bench",
  "console",
  "examples",
] as const;

/**
 * The folders of `shared/` and of each role, from the lowest layer to the highest. A folder imports only
 * those of lower layers, not others of its own layer. "" is the root of the role.
 */
const LAYERS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  shared: [
    ["base"],
    ["limits"],
    ["cluster", "platform", "tracing"],
    [
      "admission",
      "metrics",
      "platform/deno",
      "platform/node",
      "program",
      "ring",
      "scheduling",
      "schema",
    ],
    ["diagnosis", "operations"],
    ["wire", "security/login"],
    ["arguments", "denokv", "discovery", "security", "validation", "watch", "http/protocol"],
    ["console", "database", "routing", "security/members"],
    ["server"],
    ["http/endpoints"],
    ["http"],
  ],
  node: [
    ["storage", "membership", "workers"],
    ["requests", "storage/memory", "resp/protocol"],
    ["transactions"],
    ["replication", "storage/journal", "resp/command"],
    ["resp/info", "resp/watch", "resp/scripts/worker"],
    [
      "peers",
      "scans",
      "watch",
      "maintenance",
      "storage/leveldb",
      "resp/commands",
      "resp/transactions",
      "resp/bitmaps",
      "resp/topology",
      "resp/pubsub",
      "resp/rdb",
    ],
    ["resp/scripts"],
    ["resp/tables"],
    ["resp"],
    ["server"],
    [""],
  ],
  coordinator: [
    ["placement", "gateway", "discovery", "register"],
    ["agreement", "state", "register/etcd"],
    ["partitions", "membership"],
    ["controller"],
    [""],
  ],
  client: [
    ["calls", "fetch", "npm"],
    ["backup", "transfer"],
    ["library"],
    ["cli/command"],
    ["cli/commands"],
    ["cli"],
    [""],
  ],
};

/** Files in one folder of the product: with more, a folder tells nothing and wants to be two. */
export const FOLDER_FILES_MAX = 15;

/** Files that may touch the real world, by path. */
const REAL_FILES: readonly RegExp[] = [
  /\/main\.ts$/,
  /\/(deno|file|level)_\w+\.ts$/,
  /^shared\/platform\/(clock|random|node\/node_\w+)\.ts$/,
  /^client\/(library\/node_platform|fetch\/fetch_(client|watch))\.ts$/,
  /^shared\/platform\/deno\/folder_(kind|lock|security)\.ts$/,
  /^shared\/program\/(log|program|terminal)\.ts$/,
  /^coordinator\/discovery\/cs_config\.ts$/,
  /^node\/storage\/leveldb\/data_folder\.ts$/,
  /^(std|tests|tools|bench|console|examples)\//,
];

/** Programs as texts, made from sources that are checked themselves. */
export const TEXTS: readonly string[] = [
  "shared/console/console_bundle.ts",
  "node/resp/scripts/worker_bundle.ts",
];

/** How the real world is touched. */
const REAL_WORLD: readonly RegExp[] = [
  /\bDeno\.(?!inspect\b)\w+/,
  /\bDate\.now\b|\bnew Date\(\)|\bperformance\./,
  /\bMath\.random\b|\bcrypto\.(getRandomValues|randomUUID)\b/,
  /\b(setTimeout|setInterval|setImmediate|queueMicrotask|fetch)\(/,
];

/** What breaks a rule. */
export interface Breach {
  readonly file: string;
  readonly what: string;
}

/** The text without its comments; strings that look like a comment do not matter here. */
export function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
}

/** What a source text imports or exports from, types included. */
export function importsOf(source: string): string[] {
  const code = withoutComments(source);
  const found: string[] = [];
  const pattern =
    /(?:^|[\s;}])(?:import|export)\s[^;'"`]*?from\s*["']([^"']+)["']|(?:^|[\s;}])import\s*["']([^"']+)["']|\bimport\s*\(\s*["']([^"']+)["']/g;
  for (const [, from, bare, dynamic] of code.matchAll(pattern)) {
    const specifier = from ?? bare ?? dynamic;
    if (specifier !== undefined) found.push(specifier);
  }
  return found;
}

/** Why a file may not import a specifier, or undefined if it may. */
export function whyForbidden(file: string, specifier: string): string | undefined {
  const from = file.split("/")[0] ?? "";
  if (/^(npm|jsr|https?):/.test(specifier)) {
    return `imports ${specifier}: name it in "imports" of deno.json`;
  }
  if (!specifier.startsWith(".")) return undefined;
  const target = normalize(join(dirname(file), specifier));
  if (target.startsWith("..")) return `imports ${specifier}, outside of the project`;
  const to = target.split("/")[0] ?? "";
  const name = target.split("/").at(-1) ?? "";

  if (name === "main.ts") return `imports ${target}: nothing imports a main.ts`;
  if (name.endsWith("_test.ts")) return `imports ${target}: nothing imports a test`;
  if (name.startsWith("_") && dirname(target) !== dirname(file)) {
    return `imports ${target}, which is private to its folder`;
  }
  if (from === to) return whyOutOfLayer(file, target);
  if (to === "tests") return `imports ${target}: only tests import from tests/`;
  if (to === "std") return `imports ${target}: import the package by its name`;
  if (from === "tests" || from === "tools" || from === "bench") return undefined;
  if (to === "shared" && from !== "std") return undefined;
  return `imports ${target}: ${from}/ imports only ${from === "std" ? "itself" : "shared/"}`;
}

/** The folder below its role's root, and its layer; -1 if {@linkcode LAYERS} does not have it. */
function placeOf(file: string): { readonly folder: string; readonly layer: number } {
  const [role = "", ...rest] = dirname(file).split("/");
  const folder = rest.join("/");
  const layer = (LAYERS[role] ?? []).findIndex((folders) => folders.includes(folder));
  return { folder, layer };
}

/** Why a file may not import another one of its role, or undefined if it may. */
function whyOutOfLayer(file: string, target: string): string | undefined {
  const role = file.split("/")[0] ?? "";
  if (LAYERS[role] === undefined) return undefined;
  const from = placeOf(file);
  const to = placeOf(target);
  if (from.folder === to.folder) return undefined;
  for (const { folder, layer } of [from, to]) {
    if (layer === -1) return `imports ${target}: say in LAYERS where ${role}/${folder}/ stands`;
  }
  if (to.layer < from.layer) return undefined;
  return `imports ${target}: ${role}/${to.folder}/ is not below ${role}/${from.folder}/ (see LAYERS)`;
}

/** The files that each file imports, by path. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** The files of a project that a source text imports. */
export function targetsOf(file: string, source: string): string[] {
  return importsOf(source).filter((specifier) => specifier.startsWith("."))
    .map((specifier) => normalize(join(dirname(file), specifier)));
}

/**
 * One circle of imports for each file that closes one: a depth-first walk, which costs O(files + imports).
 */
export function circlesOf(graph: ImportGraph): string[][] {
  const done = new Set<string>();
  const path: string[] = [];
  const circles: string[][] = [];
  const visit = (file: string) => {
    if (done.has(file)) return;
    const at = path.indexOf(file);
    if (at !== -1) {
      circles.push([...path.slice(at), file]);
      return;
    }
    path.push(file);
    for (const target of graph.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return circles;
}

/** All breaches of the rules in one file. */
export function checkFile(file: string, source: string): Breach[] {
  const imports = importsOf(source).flatMap((specifier) => whyForbidden(file, specifier) ?? []);
  return [...imports, ...realWorldOf(file, source)].map((what) => ({ file, what }));
}

/** Where a file touches the real world although it may not. */
export function realWorldOf(file: string, source: string): string[] {
  if (TEXTS.includes(file) || REAL_FILES.some((pattern) => pattern.test(file))) return [];
  const code = withoutComments(source);
  return REAL_WORLD.flatMap((pattern) => {
    const found = pattern.exec(code)?.[0];
    return found === undefined ? [] : `uses ${found}: take it as a parameter (see REAL_FILES)`;
  });
}

/** All TypeScript files of a folder, in order. */
export async function* sourceFiles(folder: string): AsyncGenerator<string> {
  const entries: Deno.DirEntry[] = [];
  try {
    for await (const entry of Deno.readDir(folder)) entries.push(entry);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  for (const entry of entries.toSorted((a, b) => a.name < b.name ? -1 : 1)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* sourceFiles(path);
    else if (/\.tsx?$/.test(entry.name)) yield path;
  }
}

/** Folders of {@linkcode LAYERS} that are missing, or have no README.md that says what they are for. */
async function foldersWithoutReadme(): Promise<Breach[]> {
  const breaches: Breach[] = [];
  for (const [role, layers] of Object.entries(LAYERS)) {
    for (const folder of layers.flat()) {
      if (folder === "") continue;
      const file = `${role}/${folder}/README.md`;
      const isThere = await Deno.stat(file).then(({ isFile }) => isFile, () => false);
      if (!isThere) breaches.push({ file, what: "is missing: say what lives in this folder" });
    }
  }
  return breaches;
}

/** Folders of {@linkcode LAYERS} with more files than a reader can keep in mind. */
export function crowdedFolders(files: Iterable<string>): Breach[] {
  const counts = new Map<string, number>();
  for (const file of files) {
    if (LAYERS[file.split("/")[0] ?? ""] === undefined) continue;
    const folder = dirname(file);
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  return [...counts].filter(([, count]) => count > FOLDER_FILES_MAX).map(([file, count]) => {
    return {
      file,
      what: `has ${count} files, at most ${FOLDER_FILES_MAX}: part it by what they do`,
    };
  });
}

async function main(): Promise<number> {
  const breaches: Breach[] = await foldersWithoutReadme();
  let files = 0;
  const graph = new Map<string, string[]>();
  for (const folder of FOLDERS) {
    for await (const file of sourceFiles(folder)) {
      files++;
      const source = await Deno.readTextFile(file);
      breaches.push(...checkFile(file, source));
      graph.set(file, targetsOf(file, source));
    }
  }
  breaches.push(...crowdedFolders(graph.keys()));
  for (const circle of circlesOf(graph)) {
    breaches.push({ file: circle[0] ?? "", what: `imports itself: ${circle.join(" -> ")}` });
  }
  for (const { file, what } of breaches) console.error(`${file} ${what}`);
  console.log(`${files} files, ${breaches.length} breaches`);
  return breaches.length === 0 && files > 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
