/**
 * Runs seeds of the simulation.
 *
 *     deno task sim --seeds 200 --from 1 [--history FILE] [--timeline FILE] [--storm SECONDS] [--kind NAME]
 *
 * `--kind` is a storm of `faults/storms.ts` (default: all kinds of faults, by the seed), `--storm` its length. `--history` writes what the clients saw as JSON lines (FILE.SEED if there are several seeds),
 * `--timeline` the whole record of the last seed that failed; `--keep-going` does not end at the
 * first failure. An interrupt ends it after the seed under way, with the sums.
 *
 * Prints progress, how much time was simulated, and what happened how often. A seed that fails is run
 * once more with a record; what is printed then is the cause, the command that replays it, and the
 * timeline, shortened to the partition concerned.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { showUsage } from "../../tools/usage.ts";
import { Coverage, HAPPENINGS } from "./coverage.ts";
import { historyLines } from "./checkers/history_export.ts";
import { STORMS } from "./faults/storms.ts";
import { simulate, type SimulationOptions, type SimulationResult } from "./simulation.ts";

const TIMELINE_LINES = 150;

const USAGE = `usage: deno task sim [--seeds 20] [--from 1] [--history FILE] [--timeline FILE]
                     [--storm SECONDS] [--kind NAME] [--keep-going]`;

async function main(): Promise<number> {
  if (showUsage(Deno.args, USAGE)) return 0;
  const flags = parseArgs(Deno.args, {
    string: ["seeds", "from", "history", "timeline", "storm", "kind"],
    boolean: ["keep-going"],
    default: { seeds: "20", from: "1" },
  });
  const from = Number(flags.from);
  const seeds = Number(flags.seeds);
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(seeds) || seeds < 1) {
    console.error("--seeds and --from must be whole numbers, --seeds at least 1");
    return 2;
  }
  const kind: string | undefined = flags.kind;
  if (kind !== undefined && !isStorm(kind)) {
    console.error(`--kind is one of ${Object.keys(STORMS).join(", ")}`);
    return 2;
  }
  const storm: Partial<SimulationOptions> = {
    ...(kind === undefined ? {} : STORMS[kind]),
    ...(flags.storm === undefined ? {} : { stormMs: Number(flags.storm) * 1_000 }),
  };
  const coverage = new Coverage();
  const startMs = performance.now();
  const failed: number[] = [];
  let simulatedMs = 0;
  let operations = 0;
  let interrupted = false;
  Deno.addSignalListener("SIGINT", () => {
    console.log("ends after this seed");
    interrupted = true;
  });
  let done = 0;
  for (let seed = from; seed < from + seeds && !interrupted; seed++) {
    const beganMs = performance.now();
    // Most errors of a run are answers, and nobody reads where they came from.
    Error.stackTraceLimit = 0;
    const result = await simulate({ seed, ...storm });
    done++;
    coverage.add(result.coverage);
    simulatedMs += result.simulatedMs;
    operations += result.operations;
    const tookMs = performance.now() - beganMs;
    console.log(
      `seed ${seed}: ${result.failure === undefined ? "ok" : "FAILED"}, ` +
        `${(result.simulatedMs / 1000).toFixed(0)} s simulated at ` +
        `${(result.simulatedMs / tookMs).toFixed(0)} times real time, ` +
        `${result.events} events, ${result.ok} of ${Math.floor(result.operations)} operations ok`,
    );
    if (flags.history !== undefined) {
      const file = seeds === 1 ? flags.history : `${flags.history}.${seed}`;
      await Deno.writeTextFile(file, historyLines(result.history));
    }
    if (result.failure === undefined) continue;
    failed.push(seed);
    const { timeline, storm: seconds } = flags;
    await explain(result, storm, { timeline, kind, storm: seconds });
    if (!flags["keep-going"]) break;
  }
  const minutes = (performance.now() - startMs) / 60_000;
  const hours = simulatedMs / 3_600_000;
  console.log(`\n${coverage}`);
  console.log(
    `\n${hours.toFixed(2)} hours simulated, ${(hours / minutes).toFixed(2)} hours a minute, ` +
      `${Math.floor(operations)} operations`,
  );
  if (failed.length > 0) {
    console.log(`FAILED: seeds ${failed.join(" ")}`);
    return 1;
  }
  const missing = coverage.missing();
  // The shares are those of storms of the usual length.
  if (missing.length > 0 && Object.keys(storm).length === 0) {
    console.log(`FAILED: never happened: ${missing.join(", ")}`);
    return 1;
  }
  console.log(
    `${done} seeds, all ok; ${coverage.due().length} of ${HAPPENINGS.length} things are due to ` +
      `happen in so many, and ${missing.length === 0 ? "did" : `${missing.length} did not`}`,
  );
  return 0;
}

function isStorm(name: string): name is keyof typeof STORMS {
  return Object.hasOwn(STORMS, name);
}

async function explain(
  result: SimulationResult,
  storm: Partial<SimulationOptions>,
  flags: {
    readonly timeline?: string | undefined;
    readonly storm?: string | undefined;
    readonly kind?: string | undefined;
  },
): Promise<void> {
  const { seed, failure } = result;
  if (failure === undefined) return;
  Error.stackTraceLimit = 30;
  const again = await simulate({ seed, ...storm, recording: true });
  console.log(`\n${failure.what}\n${again.failure?.stack ?? ""}\n`);
  const seconds = flags.storm === undefined ? "" : ` --storm ${flags.storm}`;
  const kind = flags.kind === undefined ? "" : ` --kind "${flags.kind}"`;
  console.log(`replay: deno task sim --seeds 1 --from ${seed}${seconds}${kind}\n`);
  if (again.hash !== result.hash) {
    console.log("THE REPLAY IS ANOTHER RUN: something is not deterministic");
  }
  const text = again.trace.text(failure.partition);
  const { timeline } = flags;
  if (timeline !== undefined) await Deno.writeTextFile(timeline, again.trace.text() + "\n");
  const lines = text.split("\n");
  console.log(
    lines.length > TIMELINE_LINES ? `(${lines.length - TIMELINE_LINES} lines before)` : "",
  );
  console.log(lines.slice(-TIMELINE_LINES).join("\n"));
}

if (import.meta.main) Deno.exit(await main());
