/**
 * Figures as a table for people, and with the machine that they hold for as a JSON document.
 *
 * @module
 */
import type { Figure } from "./figure.ts";
import { processorName } from "./servers.ts";

const COLUMNS = [
  "workload",
  "median",
  "best",
  "spread",
  "p50 ms",
  "p99 ms",
  "max ms",
  "server µs/request",
];

/** One line a figure, as soon as it is there. */
export function tableHead(group: string): string {
  return `\n${row([group, ...COLUMNS.slice(1)])}\n${"-".repeat(WIDTHS.reduce((a, b) => a + b, 0))}`;
}

const WIDTHS = [42, 16, 16, 9, 9, 9, 9, 20] as const;

function row(cells: readonly string[]): string {
  return cells.map((cell, i) => i === 0 ? cell.padEnd(WIDTHS[0]) : cell.padStart(WIDTHS[i] ?? 0))
    .join("").trimEnd();
}

/**
 * One figure. The spread is the distance between best and worst round, relative to the median. If it is large,
 * the machine was busy with something else, and the best round says more.
 */
export function tableRow(figure: Figure): string {
  const { median, rounds, latencyMs, serverCpuUsPerRequest, errors, firstError } = figure;
  const spread = (Math.max(...rounds) - Math.min(...rounds)) / median;
  const cells = [
    figure.name,
    amount(figure, median),
    amount(figure, figure.unit === "ns/op" ? Math.min(...rounds) : Math.max(...rounds)),
    `${Math.round(spread * 100)} %`,
    ...(latencyMs === undefined
      ? []
      : [latencyMs.p50, latencyMs.p99, latencyMs.max].map((ms) => ms.toFixed(2))),
    ...(serverCpuUsPerRequest === undefined ? [] : [serverCpuUsPerRequest.toFixed(1)]),
  ];
  const trouble = errors === undefined || errors === 0
    ? ""
    : `\n  ${errors} replies were errors; the first: ${firstError}`;
  return row(cells) + trouble;
}

function amount({ unit }: Figure, value: number): string {
  const digits = unit === "ns/op" && value < 100 ? 1 : 0;
  const text = value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return `${text} ${unit === "ns/op" ? "ns" : unit === "bytes" ? "B" : "/s"}`;
}

/** What was measured, where and how. */
export function figureDocument(figures: readonly Figure[], settings: object): object {
  const cpus = navigator.hardwareConcurrency;
  return {
    date: new Date().toISOString(),
    machine: {
      os: Deno.build.os,
      arch: Deno.build.arch,
      release: Deno.osRelease(),
      cpus,
      cpu: processorName(),
    },
    deno: Deno.version.deno,
    settings,
    figures,
  };
}
