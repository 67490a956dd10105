/** What was measured, as lines for people and as a document. @module */
import { median } from "../figure.ts";
import type { RowResult, Side } from "./comparison.ts";
import type { Machine, Versions } from "./machine.ts";
import type { ExtraFigure } from "./scenario.ts";

/** All results of a run. */
export interface ReportDocument {
  readonly date: string;
  readonly machine: Machine;
  readonly versions: Versions;
  readonly settings: object;
  /** By scenario. */
  readonly notes: Readonly<Record<string, readonly string[]>>;
  readonly rows: readonly RowResult[];
  readonly figures: readonly ExtraFigure[];
}

/** A row, in lines: what it is, then each side. */
export function rowLines(result: RowResult): string[] {
  const { title, ratio, aim, ours, theirs } = result;
  const verdict = ratio === undefined
    ? "not compared"
    : `ratio ${fixed(ratio.median)} (${fixed(ratio.min)}–${fixed(ratio.max)})` +
      (aim === undefined ? "" : `, aim ${aim}`);
  return [`${result.name}: ${title}: ${verdict}`, ...[ours, theirs].flatMap(sideLine)];
}

function sideLine(side: Side | undefined): string[] {
  if (side === undefined) return [];
  const { store, client, samples } = side;
  const middle = (pick: (sample: Side["samples"][number]) => number) => median(samples.map(pick));
  const cpu = middle(({ serverCpuUs }) => Object.values(serverCpuUs).reduce((a, b) => a + b, 0));
  const own = middle(({ clientCpuUs }) => clientCpuUs ?? Number.NaN);
  const others = middle(({ otherProcessors }) => otherProcessors ?? Number.NaN);
  const errors = samples.reduce((sum, sample) => sum + sample.errors, 0);
  const first = samples.find(({ firstError }) => firstError !== undefined)?.firstError;
  return [
    `  ${store.padEnd(6)}${perSecond(side.median).padStart(11)}  ` +
    `p50 ${fixed(middle(({ latencyMs }) => latencyMs.p50))} ms, ` +
    `p99 ${fixed(middle(({ latencyMs }) => latencyMs.p99))} ms, ` +
    `CPU/op: servers ${fixed(cpu)} µs, client ${fixed(own)} µs; ` +
    `others ${fixed(others)} CPUs  [${client}]`,
    ...(errors === 0 ? [] : [`  ${errors} ERRORS, the first: ${first}`]),
  ];
}

/** A figure, in a line. */
export function figureLine({ name, title, value, unit, bound }: ExtraFigure): string {
  const limit = bound === undefined
    ? ""
    : ` (bound ${bound} ${unit}: ${value <= bound ? "kept" : "NOT KEPT"})`;
  return `${name}: ${title}: ${fixed(value)} ${unit}${limit}`;
}

/** A table for docs/performance.md. */
export function markdownTable(rows: readonly RowResult[]): string {
  const lines = rows.map(({ title, ours, theirs, ratio, aim }) => {
    const cells = [
      title,
      perSecond(ours.median),
      theirs === undefined ? "–" : `${perSecond(theirs.median)} (${theirs.store})`,
      ratio === undefined
        ? "–"
        : `${fixed(ratio.median)} (${fixed(ratio.min)}–${fixed(ratio.max)})`,
      `${fixed(ours.cpuUs)} / ${fixed(theirs?.cpuUs ?? Number.NaN)}`,
      aim === undefined ? "report" : String(aim),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    "| workload | ours | theirs | ratio (range) | CPU µs an operation, ours / theirs | aim |",
    "|---|---|---|---|---|---|",
    ...lines,
  ].join("\n");
}

/** The same for figures that are not compared. */
export function figureTable(figures: readonly ExtraFigure[]): string {
  const lines = figures.map(({ title, value, unit, bound }) =>
    `| ${title} | ${fixed(value)} ${unit} | ${
      bound === undefined ? "report" : `${bound} ${unit}`
    } |`
  );
  return ["| what | measured | bound |", "|---|---|---|", ...lines].join("\n");
}

/** The machine and the versions, in lines. */
export function machineLines(machine: Machine, versions: Versions): string[] {
  const { cpu, cores, memoryGiB, kernel, fileSystem, syncUs, loadBefore } = machine;
  return [
    `machine: ${cores} × ${cpu ?? "unknown processor"}, ${memoryGiB} GiB, Linux ${kernel}, ` +
    `${fileSystem ?? "unknown file system"}, sync p50 ${syncUs.p50} µs p99 ${syncUs.p99} µs, ` +
    `load before ${fixed(loadBefore)}`,
    `versions: kv ${versions.kv}, deno ${versions.deno}, redis ${versions.redis ?? "none"}, ` +
    `etcd ${versions.etcd ?? "none"}`,
  ];
}

function perSecond(value: number): string {
  return `${Math.round(value).toLocaleString("en-US")}/s`;
}

/** Three significant digits. */
function fixed(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1_000) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}
