/**
 * Runs the simulation with a mistake in the production code: a child process whose import map has a
 * changed copy in the place of one file. Nothing in the repository is changed.
 *
 * @module
 */
import type { MutantReport } from "./mutant.ts";
import { mutate, type Mutation } from "./mutation.ts";

const ROOT = new URL("../../../", import.meta.url);
/**
 * A child that has not done a single seed in this long is ended, and counts as having found something: it
 * hangs. A seed takes seconds if the machine is not very busy.
 */
const TIMEOUT_MS = 900_000;

/** The same for a test file, which takes seconds. */
const TEST_TIMEOUT_MS = 300_000;

/** What came of a mutation. */
export interface MutationResult {
  /** How many seeds it took; undefined if it was not found. */
  readonly foundAfter: number | undefined;
  readonly what: string | undefined;
  readonly elapsedMs: number;
}

/**
 * Runs up to `seeds` seeds, until one fails.
 *
 * @param mutation none for the code as it is
 */
export async function runMutation(
  mutation: Mutation | undefined,
  from: number,
  seeds: number,
  storm = mutation?.storm,
): Promise<MutationResult> {
  const startMs = performance.now();
  return await withImportMap(mutation, async (importMap) => {
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-check",
        "--no-lock",
        "--import-map",
        importMap,
        new URL("mutant.ts", import.meta.url).href,
        String(from),
        String(seeds),
        ...(storm === undefined ? [] : [storm]),
      ],
      cwd: new URL(ROOT),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let hangs = false;
    const watch = () =>
      setTimeout(() => {
        hangs = true;
        child.kill("SIGKILL");
      }, TIMEOUT_MS);
    let timer = watch();
    const stderrText = new Response(child.stderr).text();
    let stdout = "";
    for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
      clearTimeout(timer);
      timer = watch();
      stdout += piece;
    }
    const { code } = await child.status;
    clearTimeout(timer);
    const stderr = await stderrText;
    const elapsedMs = performance.now() - startMs;
    const text = stdout.trim().split("\n").at(-1) ?? "";
    if (hangs) return { foundAfter: seeds, what: "the simulation does not end", elapsedMs };
    if (code !== 0 || text === "") {
      const error = stderr.trim().split("\n").slice(0, 3).join(" ");
      return {
        foundAfter: 1,
        what: `the simulation's process ended with ${code}: ${error}`,
        elapsedMs,
      };
    }
    const { seed, what } = JSON.parse(text) as MutantReport;
    return { foundAfter: seed === undefined ? undefined : seed - from + 1, what, elapsedMs };
  });
}

/** Runs a test file. @returns what failed; undefined if all of it passes */
async function runTest(
  mutation: Mutation | undefined,
  test: string,
): Promise<string | undefined> {
  return await withImportMap(mutation, async (importMap) => {
    const options = ["-A", "--no-prompt", "--no-check", "--no-lock", "--import-map", importMap];
    const { code, signal, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["test", ...options, test],
      cwd: new URL(ROOT),
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(TEST_TIMEOUT_MS),
    }).output();
    if (code === 0) return undefined;
    if (signal !== null) return `${test} does not end`;
    const text = new TextDecoder().decode(stdout);
    return text.split("\n").find((line) => / \.\.\. FAILED/.test(line)) ?? `it ended with ${code}`;
  });
}

/** Runs the test that must find the mistake, and without the mistake must not fail. */
async function findByTest(mutation: Mutation, test: string): Promise<MutationResult> {
  const startMs = performance.now();
  const what = await runTest(mutation, test);
  const unseeded = what === undefined ? undefined : await runTest(undefined, test);
  const elapsedMs = performance.now() - startMs;
  if (unseeded === undefined) {
    return { foundAfter: what === undefined ? undefined : 1, what, elapsedMs };
  }
  throw new Error(`${mutation.name}: ${test} fails with the code as it is: ${unseeded}`);
}

async function withImportMap<T>(
  mutation: Mutation | undefined,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "kv-mutation-" });
  try {
    const importMap = `${folder}/import_map.json`;
    await Deno.writeTextFile(importMap, await importMapOf(mutation, folder));
    return await use(importMap);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What the code as it is does with a seed, and kind of storm: undefined if it passes. */
export type Unseeded = Map<string, string | undefined>;

/**
 * Runs the mutation's seeds until one fails that the code as it is passes.
 *
 * @param known a seed that has found it before; it is tried first, then the others in order
 */
export async function findMutation(
  mutation: Mutation,
  from: number,
  unseeded: Unseeded,
  known?: number,
): Promise<MutationResult> {
  if (mutation.test !== undefined) return await findByTest(mutation, mutation.test);
  let elapsedMs = 0;
  /** The next seed that fails with the mistake, of those from `seed` on. */
  const next = async (seed: number, seeds: number) => {
    const result = await runMutation(mutation, seed, seeds);
    elapsedMs += result.elapsedMs;
    return result.foundAfter === undefined
      ? undefined
      : { seed: seed + result.foundAfter - 1, what: result.what };
  };
  const found = ({ seed, what }: { seed: number; what: string | undefined }) => ({
    foundAfter: seed - from + 1,
    what,
    elapsedMs,
  });
  if (known !== undefined && known >= from && known < from + mutation.seedsMax) {
    const failing = await next(known, 1);
    if (failing !== undefined && await passesUnseeded(mutation, known, unseeded)) {
      return found(failing);
    }
  }
  for (let done = 0; done < mutation.seedsMax;) {
    const failing = await next(from + done, mutation.seedsMax - done);
    if (failing === undefined) break;
    if (await passesUnseeded(mutation, failing.seed, unseeded)) return found(failing);
    done = failing.seed - from + 1;
  }
  return { foundAfter: undefined, what: undefined, elapsedMs };
}

/** Whether the code as it is passes a seed. */
async function passesUnseeded(
  { storm }: Mutation,
  seed: number,
  unseeded: Unseeded,
): Promise<boolean> {
  const name = `${seed}${storm === undefined ? "" : ` (${storm})`}`;
  if (!unseeded.has(name)) unseeded.set(name, (await runMutation(undefined, seed, 1, storm)).what);
  return unseeded.get(name) === undefined;
}

/** The repository's own import map, with what `links` of deno.json say, and the changed file. */
async function importMapOf(mutation: Mutation | undefined, folder: string): Promise<string> {
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const imports: Record<string, string> = { ...config.imports };
  for (const link of config.links as string[]) {
    const base = new URL(link + "/", ROOT);
    const { name, exports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", base)));
    const paths: Record<string, string> = typeof exports === "string" ? { ".": exports } : exports;
    for (const [path, file] of Object.entries(paths)) {
      imports[name + path.slice(1)] = new URL(file, base).href;
    }
  }
  if (mutation !== undefined) {
    const original = new URL(mutation.file, ROOT);
    const source = mutate(await Deno.readTextFile(original), mutation);
    // The copy lies elsewhere: what it imports is named in full.
    const moved = source.replaceAll(
      /(\bfrom\s+")(\.\.?\/[^"]+)(")/g,
      (_, before, path, after) => before + new URL(path, original).href + after,
    );
    const copy = `${folder}/mutated.ts`;
    await Deno.writeTextFile(copy, moved);
    imports[original.href] = new URL(`file://${copy}`).href;
  }
  return JSON.stringify({ imports });
}
