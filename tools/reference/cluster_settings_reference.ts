/**
 * Writes the table of the settings of a cluster in docs/operations.md from `shared/cluster/cluster_settings.ts`.
 * Part of `deno task docs`.
 *
 * @module
 */
import { settingRows } from "../../shared/cluster/cluster_settings.ts";
import { envOf } from "../../shared/program/config.ts";
import { flagOf } from "../../shared/program/setting.ts";

const BEGIN = "<!-- cluster settings: made by `deno task docs` -->";
const END = "<!-- end of cluster settings -->";

/** The page with the table as it follows from the code. */
export function withClusterSettings(page: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`docs/operations.md has no ${BEGIN} … ${END}`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${settingsTable()}\n\n${page.slice(end)}`;
}

function settingsTable(): string {
  const lines = settingRows().map(([, row]) => {
    const placeholder = row.kind === "text" ? row.placeholder : row.unit?.toUpperCase() ?? "N";
    const standard = typeof row.standard === "function" ? "–" : `\`${row.standard}\``;
    return [
      `\`--${flagOf(row.flag)} ${placeholder}\``,
      `\`${envOf(row.flag)}\``,
      standard,
      row.fixed === true ? "no" : "yes",
      row.help,
    ];
  });
  return markdown([
    ["flag, YAML key", "environment", "new cluster", "may change", "what"],
    ...lines,
  ]);
}

/** As `deno fmt` leaves it. */
function markdown(rows: readonly (readonly string[])[]): string {
  const [head = [], ...rest] = rows;
  const widths = head.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rest.map(line)].join("\n");
}
