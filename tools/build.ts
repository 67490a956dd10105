/**
 * Makes `dist/kv-coordinator`, `dist/kv-node` and `dist/kv-client`: standalone executables by `deno
 * compile`; or, if Deno cannot download its runtime stub, self-extracting files that contain the Deno
 * binary and the bundled program (see `self_extracting.ts`). It says which kind it made, and runs each
 * once if it is for this machine, because a wrong stub gives a file as well.
 *
 *     deno task build [--target TRIPLE] [--out dist] [--self-extracting] [--no-check]
 *
 * `--target` and `--no-check` (types) are passed to `deno compile`; `DENORT_BIN` in the environment names a runtime stub. An
 * older version of Deno than the supported one should not touch the lock file: `task --no-lock build`.
 * Uses no package: it must run before anything can be downloaded.
 *
 * @module
 */
import { isSupported } from "./deno_version.ts";
import { PROGRAMS, type ProgramSpec } from "./programs.ts";
import { buildSelfExtracting } from "./self_extracting.ts";
import { VERSION } from "../shared/base/version.ts";
import { showUsage } from "./usage.ts";

interface Options {
  readonly target: string | undefined;
  readonly out: string;
  readonly selfExtracting: boolean;
  readonly checked: boolean;
}

const USAGE =
  `usage: deno task build [--target TRIPLE] [--out FOLDER] [--self-extracting] [--no-check]
DENORT_BIN in the environment: the runtime stub to put the programs on`;

function parseOptions(args: readonly string[]): Options | undefined {
  const options = {
    target: undefined as string | undefined,
    out: "dist",
    selfExtracting: false,
    checked: SUPPORTED,
  };
  for (let i = 0; i < args.length; i++) {
    const [name, inline] = splitOnce(args[i] ?? "");
    if (name === "--self-extracting" && inline === undefined) {
      options.selfExtracting = true;
      continue;
    }
    if (name === "--no-check" && inline === undefined) {
      options.checked = false;
      continue;
    }
    const value = inline ?? args[++i];
    if (value === undefined || value === "") return undefined;
    if (name === "--target") options.target = value;
    else if (name === "--out") options.out = value;
    else return undefined;
  }
  return options;
}

function splitOnce(arg: string): [name: string, value: string | undefined] {
  const at = arg.indexOf("=");
  return at < 0 ? [arg, undefined] : [arg.slice(0, at), arg.slice(at + 1)];
}

/** The result of `deno compile`. `no-stub`: it could not get the runtime stub. */
type Compiled = "made" | "no-stub" | "failed";

async function compile(program: ProgramSpec, options: Options): Promise<Compiled> {
  const output = `${options.out}/${program.name}`;
  // Older versions of Deno refuse to overwrite what they did not compile.
  await Deno.remove(output).catch(() => {});
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "compile",
      "--quiet",
      "--no-prompt",
      ...LOCK_FLAGS,
      ...(options.checked ? [] : ["--no-check"]),
      ...program.permissions,
      ...(options.target === undefined ? [] : ["--target", options.target]),
      "--output",
      output,
      program.entry,
    ],
    env: { NO_COLOR: "1" },
    stdout: "inherit",
    stderr: "piped",
  }).output();
  if (success) return "made";
  const text = new TextDecoder().decode(stderr);
  const noStub = Deno.env.get("DENORT_BIN") === undefined &&
    /Setting up base binary|dl\.deno\.land/.test(text);
  if (noStub) return "no-stub";
  console.error(text.trimEnd());
  return "failed";
}

/** Lock file and types are those of the supported version of Deno; an older one reads neither. */
const SUPPORTED = isSupported(Deno.version.deno);
const LOCK_FLAGS: readonly string[] = SUPPORTED ? [] : ["--no-lock"];

/** Why the file is not a working program; undefined if it prints its name and version. */
async function whyUnfit(program: ProgramSpec, options: Options): Promise<string | undefined> {
  const { target, out } = options;
  if (target !== undefined && target !== Deno.build.target) return undefined;
  const path = await Deno.realPath(`${out}/${program.name}`)
    .catch(() => Deno.realPath(`${out}/${program.name}.exe`));
  const cache = await Deno.makeTempDir();
  try {
    const { code, stdout, stderr } = await new Deno.Command(path, {
      args: ["--version"],
      env: { XDG_CACHE_HOME: cache },
    }).output();
    const [text, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
    const wanted = `${program.name} ${VERSION}`;
    if (code === 0 && text === wanted) return undefined;
    const said = JSON.stringify((text || errors || "").split("\n")[0]);
    return `--version must print "${wanted}"; it ended with ${code} and said ${said}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

/** Says what was made. @returns whether it runs */
async function check(program: ProgramSpec, options: Options, kind: string): Promise<boolean> {
  const why = await whyUnfit(program, options);
  if (why === undefined) {
    await tell(program, options.out, kind);
    return true;
  }
  const stub = Deno.env.get("DENORT_BIN");
  console.error(
    `${options.out}/${program.name} was made, but does not run: ${why}` +
      (stub === undefined
        ? ""
        : `; is DENORT_BIN=${stub} a runtime stub of Deno ${Deno.version.deno}?`),
  );
  return false;
}

async function tell(program: ProgramSpec, out: string, kind: string): Promise<void> {
  const path = `${out}/${program.name}`;
  const { size } = await Deno.stat(path).catch(() => Deno.stat(`${path}.exe`));
  console.log(`${path}  ${(size / 2 ** 20).toFixed(1)} MiB  ${kind}`);
}

async function main(args: readonly string[]): Promise<number> {
  if (showUsage(args, USAGE)) return 0;
  const options = parseOptions(args);
  if (options === undefined) {
    console.error(USAGE);
    return 2;
  }
  await Deno.mkdir(options.out, { recursive: true });

  let selfExtracting = options.selfExtracting;
  for (const program of PROGRAMS) {
    if (!selfExtracting) {
      const compiled = await compile(program, options);
      if (compiled === "failed") return 1;
      if (compiled === "made") {
        if (!await check(program, options, "compiled")) return 1;
        continue;
      }
      console.log("Deno's runtime stub cannot be downloaded; making self-extracting executables");
      selfExtracting = true;
    }
    if (options.target !== undefined && options.target !== Deno.build.target) {
      console.error(
        `cannot make a self-extracting executable for ${options.target} on ${Deno.build.target}: ` +
          `it holds this machine's Deno; build on such a machine, or name a stub in DENORT_BIN`,
      );
      return 1;
    }
    await buildSelfExtracting(program, `${options.out}/${program.name}`, LOCK_FLAGS);
    if (!await check(program, options, "self-extracting")) return 1;
  }
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
