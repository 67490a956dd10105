/**
 * The screen of `top`: the same figures and alerts as the console's, as lines of text. Pure.
 *
 * @module
 */
import type { ConsoleSnapshot, NodeView } from "../../../shared/console/snapshot.ts";
import type { CoordinatorView } from "../../../shared/diagnosis/coordinator_figures.ts";
import type { ProcessFigures } from "../../../shared/metrics/figures.ts";
import type { ScreenLine } from "../command/command.ts";
import { formatTable } from "../command/output.ts";

const UNKNOWN = "-";

function figure(value: number | undefined): string {
  if (value === undefined) return UNKNOWN;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
}

function milliseconds(value: number | undefined): string {
  if (value === undefined) return UNKNOWN;
  if (value >= 1_000) return `${(value / 1_000).toFixed(1)}s`;
  return `${value.toFixed(value >= 10 ? 0 : 1)}ms`;
}

function bytes(value: number | undefined): string {
  if (value === undefined) return UNKNOWN;
  const units = ["B", "K", "M", "G", "T"];
  let scaled = value;
  let unit = 0;
  for (; scaled >= 1024 && unit < units.length - 1; unit++) scaled /= 1024;
  return `${scaled.toFixed(scaled >= 100 || unit === 0 ? 0 : 1)}${units[unit]}`;
}

function percent(part: number | undefined): string {
  return part === undefined ? UNKNOWN : `${Math.round(100 * part)}%`;
}

const HEADER = [
  "process",
  "state",
  "prim",
  "foll",
  "fill",
  "req/s",
  "fail/s",
  "p50",
  "p99",
  "behind",
  "disk p99",
  "late p99",
  "cpu",
  "mem",
  "disk free",
  "conn",
];

/**
 * @param columns longer lines are cut
 * @param rows with more lines, the last ones are left out
 */
export function topLines(snapshot: ConsoleSnapshot, columns: number, rows: number): ScreenLine[] {
  const { cluster, nodes, coordinators, health, operations, alerts } = snapshot;
  const list = coordinators?.list ?? [];
  const up = nodes.filter(({ state }) => state === "up").length;
  const date = new Date(snapshot.atMs).toISOString().slice(11, 19);
  const lines: ScreenLine[] = [
    {
      text: `${cluster.name}  ${health.status}  ${up} of ${nodes.length} nodes up, ` +
        `${cluster.partitions} partitions, map ${cluster.epoch}  ${date} UTC`,
      strong: true,
    },
    ...alerts.map(({ severity, text }) => ({
      text: `${severity === "critical" ? "!!" : " !"} ${text}`,
      strong: severity === "critical",
    })),
    { text: "" },
    ...tableLines(HEADER, [
      ...nodes.map(nodeRow),
      ...list.map((one) => [
        list.length > 1 ? `coordinator ${one.id}` : "coordinator",
        one.figures === undefined ? "silent" : one.figures.health ?? UNKNOWN,
        "",
        "",
        "",
        ...processCells(one.figures),
      ]),
    ]),
  ];
  if (list.length > 1) {
    lines.push(
      { text: "" },
      ...tableLines(
        ["coordinator", "role", "address", "behind", "heard of", "active since"],
        list.map(coordinatorRow),
      ),
    );
  }
  if (operations.length > 0) {
    lines.push(
      { text: "" },
      ...tableLines(
        ["operation", "front end", "per s", "p50", "p99"],
        operations.map((of) => [
          of.operation,
          of.frontEnd,
          figure(of.perSecond),
          milliseconds(of.p50Ms),
          milliseconds(of.p99Ms),
        ]),
      ),
    );
  }
  return lines.slice(0, rows).map(({ text, strong = false }) => ({
    text: [...text].slice(0, columns).join(""),
    strong,
  }));
}

function tableLines(header: readonly string[], rows: readonly (readonly string[])[]): ScreenLine[] {
  // Figures stand at the right, below each other.
  const widths = header.map((name, i) =>
    Math.max(name.length, ...rows.map((row) => row[i]?.length ?? 0))
  );
  const aligned = (cells: readonly string[]) =>
    cells.map((cell, i) => i < 2 ? cell : cell.padStart(widths[i] ?? 0));
  const [head = "", ...body] = formatTable(aligned(header), rows.map(aligned)).trimEnd().split(
    "\n",
  );
  return [{ text: head, strong: true }, ...body.map((text) => ({ text }))];
}

function coordinatorRow(
  { id, address, role, behind, silentMs, activeSinceMs: since }: CoordinatorView,
): string[] {
  return [
    id,
    role ?? UNKNOWN,
    address || UNKNOWN,
    figure(behind),
    role === "active" || silentMs === undefined ? UNKNOWN : `${milliseconds(silentMs)} ago`,
    since === undefined || Math.abs(since) > 8.64e15
      ? UNKNOWN
      : new Date(since).toISOString().slice(0, 19).replace("T", " "),
  ];
}

function nodeRow({ address, state, figures, primaries, followers, learners }: NodeView): string[] {
  const health = state !== "up"
    ? state
    : figures === undefined
    ? "silent"
    : figures.health ?? state;
  return [
    address,
    health,
    String(primaries),
    String(followers),
    String(learners),
    ...processCells(figures),
  ];
}

function processCells(of: ProcessFigures | undefined): string[] {
  return [
    figure(of?.requestsPerSecond),
    figure(of?.failuresPerSecond),
    milliseconds(of?.p50Ms),
    milliseconds(of?.p99Ms),
    figure(of?.lagWrites),
    milliseconds(of?.commitP99Ms),
    milliseconds(of?.loopDelayP99Ms),
    percent(of?.processor),
    bytes(of?.memoryBytes),
    bytes(of?.diskFreeBytes),
    figure(of?.connections),
  ];
}
