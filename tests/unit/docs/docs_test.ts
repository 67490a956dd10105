/**
 * The pages that list what a table in the code says do not drift from it. They are imported as text,
 * so that this test needs no permission.
 */
import { assertEquals, assertMatch } from "@std/assert";
import foundBugs from "../../../docs/found-bugs.md" with { type: "text" };
import metrics from "../../../docs/metrics.md" with { type: "text" };
import library from "../../../docs/library.md" with { type: "text" };
import operations from "../../../docs/operations.md" with { type: "text" };
import reference from "../../../docs/operations-reference.md" with { type: "text" };
import protocol from "../../../docs/protocol.md" with { type: "text" };
import redis from "../../../docs/redis.md" with { type: "text" };
import { CLIENT_SETTINGS } from "../../../client/cli/settings.ts";
import { COORDINATOR_SETTINGS } from "../../../coordinator/settings.ts";
import { ERROR_PREFIXES } from "../../../node/resp/command/error_text.ts";
import { COMMAND_TABLE } from "../../../node/resp/tables/command_table.ts";
import { NODE_SETTINGS } from "../../../node/settings.ts";
import type { Settings } from "../../../shared/program/command_line.ts";
import { envOf } from "../../../shared/program/config.ts";
import { ERROR_CODES, isErrorCode } from "../../../shared/base/errors.ts";
import { LOG_SETTINGS } from "../../../shared/program/log.ts";
import { MESSAGES } from "../../../shared/wire/messages.ts";
import { flagOf } from "../../../shared/program/setting.ts";
import { settingRows } from "../../../shared/cluster/cluster_settings.ts";
import { withClusterSettings } from "../../../tools/reference/cluster_settings_reference.ts";
import { metricsReference } from "../../../tools/reference/metrics_reference.ts";
import {
  operationsReference,
  withWireTable,
} from "../../../tools/reference/operations_reference.ts";

/** Rows of the tables of a part of a page, as lists of cells. */
function rows(page: string): string[][] {
  return page.split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()));
}

/** The part of a page under a heading, up to the next one. */
function section(page: string, heading: string): string {
  const [, after = ""] = page.split(`\n${heading}\n`);
  return after.split(/\n##+ /)[0] ?? "";
}

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "");
}

Deno.test("docs/protocol.md: lists every message with its fields, and no other", () => {
  const listed: Record<string, string[]> = {};
  for (const heading of protocol.match(/^### .*$/gm) ?? []) {
    for (const [name = "", fields = ""] of rows(section(protocol, heading))) {
      const [message] = namesIn(name);
      if (message === undefined || fields === "yes" || fields === "no") continue;
      listed[message] = namesIn(fields);
    }
  }
  const wanted = Object.entries(MESSAGES).map(([name, { fields }]) => [
    name,
    Object.entries<{ optional: boolean; local?: boolean }>(fields)
      .filter(([, { local }]) => local !== true)
      .map(([field, { optional }]) => optional ? `${field}?` : field),
  ]);
  assertEquals(listed, Object.fromEntries(wanted));
});

Deno.test("docs/operations-reference.md and the table in docs/protocol.md: `deno task docs` changes nothing", () => {
  assertEquals(reference, operationsReference());
  assertEquals(protocol, withWireTable(protocol));
});

Deno.test("docs/metrics.md: has every metric with type, labels and help; `deno task docs` changes nothing", () => {
  assertEquals(metrics, metricsReference());
});

Deno.test("docs/operations.md, the cluster's settings: `deno task docs` changes nothing", () => {
  assertEquals(operations, withClusterSettings(operations));
});

Deno.test("docs/protocol.md: lists every error code, and whether to try again", () => {
  const listed: Record<string, string> = {};
  for (const [name = "", again = ""] of rows(protocol)) {
    const [code] = namesIn(name);
    if (code !== undefined && (again === "yes" || again === "no")) listed[code] = again;
  }
  const wanted = Object.entries(ERROR_CODES).map(([code, { retry }]) => [
    code,
    retry ? "yes" : "no",
  ]);
  assertEquals(listed, Object.fromEntries(wanted));
});

Deno.test("docs/library.md: says of each error code that it lists whether to try again", () => {
  const listed = rows(section(library, "## Time-outs and errors")).slice(2);
  const codes = listed.flatMap(([codes = "", again]) =>
    namesIn(codes).map((code) => [code, again])
  );
  const wanted = codes.map(([code = ""]) => {
    if (!isErrorCode(code)) return [code, "no such code"];
    return [code, ERROR_CODES[code].retry ? "yes" : "no"];
  });
  assertEquals(codes, wanted);
  assertEquals(codes.length > 15, true);
});

/** Without the settings of the cluster, which have a table of their own. */
function ofTheProcess(settings: Settings): Settings {
  const ofTheCluster = settingRows().map(([, { flag }]) => flag);
  return Object.fromEntries(
    Object.entries(settings).filter(([name]) => !ofTheCluster.includes(name)),
  );
}

const TABLES: readonly [heading: string, settings: Settings][] = [
  ["### kv-coordinator", ofTheProcess(COORDINATOR_SETTINGS)],
  ["### kv-node", NODE_SETTINGS],
  ["### kv-client", CLIENT_SETTINGS],
  ["### All three", LOG_SETTINGS],
];

for (const [heading, settings] of TABLES) {
  Deno.test(`docs/operations.md, ${heading.slice(4)}: lists every setting with its default`, () => {
    const listed = rows(section(operations, heading)).slice(2).map(([flag = "", env, fallback]) => [
      namesIn(flag)[0]?.split(" ")[0],
      env,
      fallback,
    ]);
    const wanted = Object.entries(settings).map(([name, { fallbackText }]) => [
      `--${flagOf(name)}`,
      `\`${envOf(name)}\``,
      fallbackText === undefined ? "–" : `\`${fallbackText}\``,
    ]);
    assertEquals(listed, wanted);
  });
}

Deno.test("docs/redis.md: lists every command that Redis has, and every prefix of an error", () => {
  const listed = rows(section(redis, "## Commands"))
    .filter(([group]) => group !== "our own")
    .flatMap(([, commands = ""]) => namesIn(commands))
    .filter((name) =>
      /^[A-Z]{3,}/.test(name) && name !== "MATCH" && name !== "COUNT" && name !== "TYPE"
    );
  const there = COMMAND_TABLE.all
    .filter(({ group, name }) =>
      group !== "kv" && !name.startsWith("kv.") && name !== "post" && name !== "host:"
    )
    .flatMap((spec) =>
      spec.subcommands === undefined || spec.name === "command"
        ? [spec, ...(spec.subcommands ?? [])]
        : spec.subcommands
    )
    // One sentence there says it of all of them.
    .filter(({ name }) => !name.endsWith("|help"))
    .map(({ name }) => name.replace("|", " ").toUpperCase());
  assertEquals(new Set(listed), new Set(there.filter((name) => name !== "TYPE")));
  const prefixes = rows(section(redis, "## Errors")).flatMap(([prefix = "", code = ""]) =>
    namesIn(code).map((name) => [name, namesIn(prefix)[0]])
  );
  for (const [code, prefix] of Object.entries(ERROR_PREFIXES)) {
    if (code === "unauthorized" || code === "forbidden") continue;
    assertEquals(prefixes.find(([name]) => name === code)?.[1], prefix, code);
  }
});

Deno.test("docs/found-bugs.md: names each bug once, on a line of the list", () => {
  const [, ...bugs] = foundBugs.split(/\n\n(?=- )/);
  assertEquals(bugs.length, 1, "one list, without a gap");
  const lines = (bugs[0] ?? "").trimEnd().split("\n");
  for (const line of lines) assertMatch(line, /^- \*\*[^*]+:\*\* .+ \*\*Now:\*\* .+\.$/);
  const names = lines.map((line) => line.split(" **Now:**")[0]);
  assertEquals(names.length, new Set(names).size);
});
