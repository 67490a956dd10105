/**
 * The comparison, `deno task compare`: this store beside Redis and etcd, on one machine, in one run, doing the
 * same work with the same durability; and figures of ours that are not compared with another store.
 *
 * Each store runs as separate processes on loopback, with its data in one folder. The load comes from
 * redis-benchmark, or from a process of ours that is the same for all. Rounds alternate. What is not installed
 * is left out, and this is reported. It only measures: no test depends on it.
 *
 *     deno task compare [--only NAME,…] [flags]
 *
 * @module
 */
import { resolve } from "node:path";
import { loadConfig, type Program, type Values } from "../../shared/program/config.ts";
import { helpText } from "../../shared/program/help_text.ts";
import { flag, integer, optionalText, texts } from "../../shared/program/setting.ts";
import { ratioChart } from "./chart.ts";
import { compare, type Effort, type RowResult } from "./comparison.ts";
import { LoadGenerator } from "./load/load_generator.ts";
import { lookAtMachine, lookAtVersions, type Versions } from "./machine.ts";
import {
  figureLine,
  figureTable,
  machineLines,
  markdownTable,
  type ReportDocument,
  rowLines,
} from "./report.ts";
import type { ExtraFigure, Scenario } from "./scenario.ts";
import { SCENARIOS } from "./scenarios.ts";
import { Running } from "./systems/system.ts";

const SETTINGS = {
  only: texts({
    help: `Only these: ${SCENARIOS.map(({ name }) => name).join(", ")}; a group of them: ` +
      "comparison (the default), extra; or rows, such as cluster-write or memory-get-p16.",
    placeholder: "NAME,…",
  }),
  rounds: integer({ help: "Rounds of each row.", min: 1, max: 100, default: 5 }),
  roundMs: integer({
    help: "How long each store is measured in a round.",
    min: 100,
    max: 600_000,
    unit: "ms",
    default: 3_000,
  }),
  manyKeys: integer({
    help: "Keys of the scenarios that measure what many keys cost: footprint, resync.",
    min: 1_000,
    max: 1e9,
    default: 1_000_000,
  }),
  quick: flag({ help: "A little of everything: to see that it runs, not to quote." }),
  dist: flag({ help: "Run the executables of dist/ instead of the source." }),
  cpuProfiles: optionalText({
    help: "A folder for profiles of our programs' processor time, for DevTools; slows them down.",
    placeholder: "FOLDER",
  }),
  data: optionalText({
    help: "A folder on the disk to measure; by default the system's temporary folder.",
    placeholder: "FOLDER",
  }),
  json: optionalText({
    help: "Where to write the figures; by default bench/results/compare-DATE.json.",
    placeholder: "FILE",
  }),
  svg: optionalText({
    help: "Where to draw the ratios; by default beside the figures.",
    placeholder: "FILE",
  }),
};

const PROGRAM: Program<typeof SETTINGS> = {
  name: "deno task compare",
  summary: "measures this store beside Redis and etcd",
  usage: ["[flags]"],
  settings: SETTINGS,
};

type CompareSettings = Values<typeof SETTINGS>;

const QUICK_EFFORT: Effort = { rounds: 1, roundMs: 300 };
const QUICK_MANY_KEYS = 3_000;

/** What a run has gathered so far. */
class Gathered {
  readonly rows: RowResult[] = [];
  readonly figures: ExtraFigure[] = [];
  readonly notes: Record<string, string[]> = {};
  failed = false;
}

async function runScenario(
  scenario: Scenario,
  settings: CompareSettings,
  folder: string,
  versions: Versions,
  running: Running,
  gathered: Gathered,
): Promise<void> {
  const effort = settings.quick ? QUICK_EFFORT : settings;
  console.log(`\n--- ${scenario.name}: ${scenario.title}`);
  const notes = gathered.notes[scenario.name] = [] as string[];
  const met: string[] = [];
  let wanted = 0;
  await scenario.run({
    effort,
    quick: settings.quick,
    manyKeys: settings.quick ? QUICK_MANY_KEYS : settings.manyKeys,
    launch: {
      dist: settings.dist,
      ...(settings.cpuProfiles === undefined ? {} : { cpuProfiles: resolve(settings.cpuProfiles) }),
    },
    folder: `${folder}/${scenario.name}`,
    versions,
    running,
    startGenerator: () => {
      const generator = new LoadGenerator();
      running.add(() => generator.close());
      return generator;
    },
    measure: async (row) => {
      met.push(row.name);
      if (!isWanted(row.name, scenario, settings.only)) return;
      wanted++;
      const result = await compare(row, effort);
      gathered.rows.push(result);
      rowLines(result).forEach((line) => console.log(line));
    },
    figure: (measured) => {
      // Small and short runs say nothing about a bound.
      const { bound: _, ...rest } = measured;
      const figure = settings.quick ? rest : measured;
      gathered.figures.push(figure);
      console.log(figureLine(figure));
    },
    note: (text) => {
      notes.push(text);
      console.log(`  (${text})`);
    },
  });
  if (met.length > 0 && wanted === 0) {
    throw new Error(`--only names none of its rows; there are ${met.join(", ")}`);
  }
}

async function run(scenarios: readonly Scenario[], settings: CompareSettings): Promise<boolean> {
  const folder = await Deno.makeTempDir({
    prefix: "kv-compare-",
    ...(settings.data === undefined ? {} : { dir: resolve(settings.data) }),
  });
  const gathered = new Gathered();
  let running = new Running();
  const cleanUp = async () => {
    await running[Symbol.asyncDispose]();
    await Deno.remove(folder, { recursive: true });
  };
  let interruption: Promise<void> | undefined;
  const onSignal = () => {
    interruption ??= cleanUp().finally(() => Deno.exit(130));
  };
  Deno.addSignalListener("SIGINT", onSignal);
  Deno.addSignalListener("SIGTERM", onSignal);
  try {
    const versions = await lookAtVersions();
    const machine = await lookAtMachine(folder);
    machineLines(machine, versions).forEach((line) => console.log(line));
    for (const scenario of scenarios) {
      try {
        await runScenario(scenario, settings, folder, versions, running, gathered);
      } catch (error) {
        // The other figures count all the same.
        if (interruption !== undefined) break;
        gathered.failed = true;
        const text = error instanceof Error ? error.message : String(error);
        gathered.notes[scenario.name]?.push(`failed: ${text}`);
        console.error(`compare: ${scenario.name} failed: ${text}`);
      }
      await running[Symbol.asyncDispose]();
      running = new Running();
    }
    await writeReport({
      date: new Date().toISOString(),
      machine,
      versions,
      settings,
      notes: gathered.notes,
      rows: gathered.rows,
      figures: gathered.figures,
    }, settings);
  } finally {
    await (interruption ?? cleanUp());
  }
  return !gathered.failed;
}

async function writeReport(document: ReportDocument, settings: CompareSettings): Promise<void> {
  const results = new URL("../results/", import.meta.url).pathname;
  const name = `${results}compare-${document.date.slice(0, 19).replaceAll(":", "-")}`;
  await Deno.mkdir(results, { recursive: true });
  const json = settings.json ?? `${name}.json`;
  await Deno.writeTextFile(json, `${JSON.stringify(document, undefined, 2)}\n`);
  if (document.rows.length > 0) console.log(`\n${markdownTable(document.rows)}`);
  if (document.figures.length > 0) console.log(`\n${figureTable(document.figures)}`);
  console.log(`\nwritten to ${json}`);
  const { machine, versions } = document;
  const subtitle = `${document.date.slice(0, 10)}, ${machine.cores} × ${machine.cpu}, ` +
    `Redis ${versions.redis ?? "–"}, etcd ${versions.etcd ?? "–"}, NATS ${versions.nats ?? "–"}`;
  const chart = ratioChart(document.rows, subtitle);
  if (chart === undefined) return;
  const svg = settings.svg ?? json.replace(/(\.json)?$/, ".svg");
  await Deno.writeTextFile(svg, `${chart}\n`);
  console.log(`drawn in ${svg}`);
}

/** The scenarios that were asked for: by name, by group, or by one of their rows. */
function chosen(only: readonly string[]): Scenario[] {
  if (only.length === 0) return SCENARIOS.filter(({ group }) => group === "comparison");
  const asked = (name: string) =>
    SCENARIOS.filter((scenario) =>
      scenario.name === name || scenario.group === name || isRowOf(name, scenario)
    );
  const unknown = only.find((name) => asked(name).length === 0);
  if (unknown !== undefined) {
    const names = SCENARIOS.map(({ name }) => name).join(", ");
    throw new Error(`--only: there is no ${unknown}; there are comparison, extra, ${names}`);
  }
  const wanted = new Set(only.flatMap(asked));
  return SCENARIOS.filter((scenario) => wanted.has(scenario));
}

/** Rows begin with the name of their scenario: `cluster-write-library`. */
function isRowOf(name: string, scenario: Scenario): boolean {
  return scenario.group === "comparison" && name.startsWith(`${scenario.name}-`);
}

/** If rows of a scenario were asked for by name, or by the first words of a name: only those. */
function isWanted(row: string, scenario: Scenario, only: readonly string[]): boolean {
  const rows = only.filter((name) => isRowOf(name, scenario));
  return rows.length === 0 || rows.some((name) => row === name || row.startsWith(`${name}-`));
}

async function main(): Promise<number> {
  try {
    const loaded = loadConfig(PROGRAM, {
      args: Deno.args,
      env: (name) => Deno.env.get(name),
      readFile: Deno.readTextFileSync,
    });
    if (loaded.kind !== "run") {
      console.log(helpText(PROGRAM));
      return 0;
    }
    return await run(chosen(loaded.values.only), loaded.values) ? 0 : 1;
  } catch (error) {
    console.error(`compare: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
