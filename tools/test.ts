/**
 * Runs all tests in groups, each with only the permissions that it needs: the unit tests have none, which
 * proves that they do no I/O. Three groups run at a time, and the longer ones in parts, because tests of real
 * processes wait half of their time (for a lease to end, a process to start). The output of each is then printed
 * as a whole at its end. The files of a part are imported by one module: `deno test` loads all modules anew for each
 * file that it is given, which for 450 files took a minute and a half of processor time. Types are not checked here,
 * since each group would check them anew: `deno task ok` does it once. At the end it prints the names of the tests that
 * were left out and why, those of the tests that failed with their errors, then one summary line, `N passed, N failed`.
 * The exit code is 1 if any test failed or none ran.
 *
 *     deno task test [GROUP…] [-- FLAGS OF deno test]
 *
 * @module
 */
import { showUsage } from "./usage.ts";

const WITH_FILES = ["--allow-read", "--allow-write", "--allow-env", "--allow-sys", "--allow-ffi"];
const WITH_PROCESSES = [...WITH_FILES, "--allow-net", "--allow-run"];

/** A group: a folder of `tests/` or a file in it, and flags for `deno test`. */
interface Group {
  readonly name: string;
  readonly flags: readonly string[];
  /** A file. Default: all of the folder of the group's name. */
  readonly path?: string;
  /** Its files are run in this many parts, each of which counts as a group. Default 1. */
  readonly parts?: number;
}

/** The groups in the order in which they begin: the longest one first, so that none is left alone in the end. */
const GROUPS: readonly Group[] = [
  // All of it: a browser's driver reads files of the system that only this permits.
  { name: "integration", flags: ["--allow-all"], parts: 6 },
  // One thread for minutes: not to be left for the end.
  { name: "simulation", flags: [] },
  // The smoke test beside it tests what `deno task build` has made, whenever that was.
  { name: "binaries", flags: WITH_PROCESSES, path: "binaries/compiled_cluster_test.ts" },
  { name: "regression", flags: WITH_PROCESSES },
  { name: "contract", flags: [...WITH_FILES, "--allow-net"] },
  { name: "unit", flags: [], parts: 4 },
  { name: "scenarios", flags: ["--allow-read=tests,docs,coordinator,node,shared"] },
];

/** How many groups run at a time. With more, tests of real processes would wait for each other's processor. */
const GROUPS_AT_A_TIME = 3;

/** A group that takes longer hangs: it is ended, and counts as failed. */
const GROUP_TIMEOUT_MS = 900_000;

interface Result {
  passed: number;
  failed: number;
  /** The names of the tests that were left out. A name says why; see `tests/support/needs.ts`. */
  leftOut: string[];
  /** What `deno test` says of the failed ones: names, errors, places. Empty if none failed. */
  failures: string;
}

/** The output of `deno test`: `NAME ... ignored (0ms)`, and `ok | 3 passed (1 step) | 0 failed (5ms)` at its end. */
export function parseSummary(output: string): Result | undefined {
  const lines = output.match(/^(?:ok|FAILED) \| .*$/gm);
  const summary = lines?.at(-1);
  if (summary === undefined) return undefined;
  const count = (word: string) => Number(new RegExp(`(\\d+) ${word}`).exec(summary)?.[1] ?? 0);
  const leftOut = [...output.matchAll(/^(.+?) \.\.\. ignored \(.*\)$/gm)].map(([, name = ""]) =>
    name
  );
  // With --filter or --parallel a name may be missing, but the number is always there.
  for (let unnamed = leftOut.length; unnamed < count("ignored"); unnamed++) {
    leftOut.push("a test whose name deno test did not tell");
  }
  return {
    passed: count("passed"),
    failed: count("failed"),
    leftOut,
    failures: parseFailures(output),
  };
}

/** What stands between the headings of the errors and the summary, if any test failed. */
function parseFailures(output: string): string {
  const start = output.lastIndexOf("\n ERRORS \n");
  const end = output.lastIndexOf("\nFAILED | ");
  return start < 0 || end < start ? "" : output.slice(start, end).trim();
}

/** The files of tests in a folder and in those below it, in the order of their names. */
async function testFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  try {
    for await (const entry of Deno.readDir(folder)) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory) files.push(...await testFiles(path));
      if (entry.isFile && entry.name.endsWith("_test.ts")) files.push(path);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return files.sort();
}

/** A group, or a part of one, that is run by itself. */
interface Run {
  readonly group: Group;
  readonly title: string;
  readonly paths: readonly string[];
}

/** What is to be run of a group: nothing if it has no tests. */
async function runsOf(group: Group): Promise<Run[]> {
  const { name, path, parts = 1 } = group;
  const files = path === undefined ? await testFiles(`tests/${name}`) : [`tests/${path}`];
  if (parts === 1) return files.length === 0 ? [] : [{ group, title: name, paths: files }];
  return Array.from({ length: parts }, (_, part) => ({
    group,
    title: `${name}, part ${part + 1} of ${parts}`,
    paths: files.filter((_, at) => at % parts === part),
  })).filter(({ paths }) => paths.length > 0);
}

/** Where bytes go: one of our own streams, or a buffer until a group has ended. */
interface Output {
  writeSync(bytes: Uint8Array): number;
}

/** Keeps what is written to it, so that it can be printed at once. */
class KeptOutput implements Output {
  readonly #pieces: Uint8Array[] = [];

  writeSync(bytes: Uint8Array): number {
    this.#pieces.push(bytes.slice());
    return bytes.length;
  }

  show(): void {
    for (const piece of this.#pieces) writeAll(Deno.stdout, piece);
  }
}

function writeAll(to: Output, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}

/** Copies a stream to an output as it arrives, and returns all of it as text. */
async function echo(from: ReadableStream<Uint8Array<ArrayBuffer>>, to: Output): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of from) {
    writeAll(to, bytes);
    text += decoder.decode(bytes, { stream: true });
  }
  return text;
}

/** Ends running groups; one function for each. */
const endings = new Set<() => void>();

/** Makes a module that imports these files. @returns its path */
async function importingAll(paths: readonly string[], folder: string): Promise<string> {
  const module = await Deno.makeTempFile({ dir: folder, suffix: "_test.ts" });
  const urls = paths.map((path) => new URL(`../${path}`, import.meta.url).href);
  await Deno.writeTextFile(module, urls.map((url) => `import "${url}";\n`).join(""));
  return module;
}

async function runGroup(
  { name, flags }: Group,
  module: string,
  extra: readonly string[],
  kept: KeptOutput | undefined,
): Promise<Result> {
  // A process group of its own, so that nothing that a test started outlives the group.
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "--config=deno.json",
      "--no-prompt",
      "--no-check",
      "--sanitize-ops",
      "--sanitize-resources",
      ...flags,
      ...extra,
      module,
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached: true,
  }).spawn();
  const endGroup = () => {
    try {
      Deno.kill(-child.pid, "SIGKILL");
    } catch {
      // All of it has ended.
    }
  };
  endings.add(endGroup);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    endGroup();
  }, GROUP_TIMEOUT_MS);
  const [status, output] = await Promise.all([
    child.status,
    echo(child.stdout, kept ?? Deno.stdout),
    echo(child.stderr, kept ?? Deno.stderr),
  ]);
  clearTimeout(timer);
  endGroup();
  endings.delete(endGroup);

  const result = parseSummary(output) ?? { passed: 0, failed: 0, leftOut: [], failures: "" };
  if (!status.success && result.failed === 0) {
    const reason = timedOut
      ? `did not end within ${GROUP_TIMEOUT_MS / 1000} s`
      : `ended with exit code ${status.code} before or after its tests (see above)`;
    const failure = `${name}: deno test ${reason}; counted as one failure`;
    console.error(failure);
    result.failed = 1;
    result.failures = failure;
  }
  return result;
}

const USAGE = `usage: deno task test [GROUP…] [-- FLAGS OF deno test]
groups: ${GROUPS.map(({ name }) => name).join(", ")}; all of them where none is named`;

async function main(args: readonly string[]): Promise<number> {
  if (showUsage(args, USAGE)) return 0;
  const end = args.indexOf("--");
  const wanted = end < 0 ? args : args.slice(0, end);
  const extra = end < 0 ? [] : args.slice(end + 1);
  const unknown = wanted.filter((name) => !GROUPS.some((group) => group.name === name));
  if (unknown.length > 0) {
    const names = GROUPS.map((group) => group.name).join(", ");
    console.error(`unknown group of tests: ${unknown.join(", ")}; there are ${names}`);
    return 2;
  }

  const total = { passed: 0, failed: 0, leftOut: [] as string[], failures: [] as string[] };
  const chosen = wanted.length === 0 ? GROUPS : GROUPS.filter(({ name }) => wanted.includes(name));
  const left = (await Promise.all(chosen.map(runsOf))).flat();
  const keepsOutput = left.length > 1;
  const folder = await Deno.makeTempDir({ prefix: "kv-tests-" });
  const work = async () => {
    for (let run = left.shift(); run !== undefined; run = left.shift()) {
      const { group, title, paths } = run;
      console.log(`--- ${title}`);
      const kept = keepsOutput ? new KeptOutput() : undefined;
      const startMs = performance.now();
      const result = await runGroup(group, await importingAll(paths, folder), extra, kept);
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
      kept?.show();
      console.log(`--- ${title}: ${result.passed} passed, ${result.failed} failed (${seconds} s)`);
      total.passed += result.passed;
      total.failed += result.failed;
      if (result.failures !== "") total.failures.push(`--- failed in ${title}\n${result.failures}`);
      total.leftOut.push(...result.leftOut.map((test) => `${group.name}: ${test}`));
    }
  };
  const interrupt = () => {
    for (const end of endings) end();
    Deno.removeSync(folder, { recursive: true });
    Deno.exit(130);
  };
  const signals: Deno.Signal[] = ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, interrupt);
  await Promise.all(Array.from({ length: GROUPS_AT_A_TIME }, work));
  for (const signal of signals) Deno.removeSignalListener(signal, interrupt);
  await Deno.remove(folder, { recursive: true });
  const { leftOut } = total;
  console.log(`--- left out: ${leftOut.length === 0 ? "nothing" : leftOut.length}`);
  for (const test of leftOut) console.log(`  ${test}`);
  // Once more at the end, so that whoever sees the last lines only knows what failed.
  for (const failures of total.failures) console.log(failures);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed > 0 || total.passed === 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
