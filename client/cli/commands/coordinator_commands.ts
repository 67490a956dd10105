/**
 * The command `coordinators`: who they are, and other ones.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import type { CoordinatorLine, CoordinatorsReport } from "../../calls/call.ts";
import type { Command, CommandContext } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { printEither } from "./operation_commands.ts";

/** The rows of the table. */
export const COORDINATOR_COMMANDS: readonly Command[] = [
  {
    name: "coordinators",
    arguments: [
      { name: "ACTION", optional: true, about: "add, remove or replace; none lists them" },
      { name: "ID", optional: true, repeats: true, about: "as the list shows them" },
    ],
    options: ["json", "timeoutMs"],
    help: "the coordinators: list them, add those that wait, remove or replace one",
    answers: "the coordinators, which one is active, and how far behind it each other one is",
    example: "coordinators replace c2 c4",
    run,
  },
];

async function run(args: readonly Word[], context: CommandContext): Promise<number> {
  const { settings, signal } = context;
  const [action, ...ids] = args.map(({ text }) => text);
  const change = changeOf(action, ids);
  const client = await context.client();
  const report = await client.coordinators(change, { timeoutMs: settings.timeoutMs, signal });
  await printEither(context, report, coordinatorsText(report));
  return EXIT.ok;
}

function changeOf(action: string | undefined, ids: readonly string[]) {
  switch (action) {
    case undefined:
      return undefined;
    case "add":
      return { add: ids };
    case "remove":
      if (ids.length > 0) return { remove: ids };
      break;
    case "replace": {
      const [before, after, ...more] = ids;
      if (before !== undefined && after !== undefined && more.length === 0) {
        return { remove: [before], add: [after] };
      }
      break;
    }
  }
  throw new KvError(
    "bad_request",
    "coordinators: required nothing, add [ID…], remove ID…, or replace OLD NEW, given " +
      JSON.stringify([action, ...ids].join(" ")),
  );
}

/** As a person reads it. */
export function coordinatorsText(report: CoordinatorsReport): string {
  const lines = report.coordinators.map((one) => `${lineOf(one, report)}\n`);
  const isWaiting = report.coordinators.some(({ role }) => role === "waiting");
  const hint = isWaiting ? "waiting ones become coordinators by: coordinators add\n" : "";
  const right = report.right
    ? ""
    : "the active coordinator does not reach a majority: membership stands still, data is served\n";
  return lines.join("") + right + hint;
}

function lineOf(
  { id, address, role, behind, heard_ms: heardMs }: CoordinatorLine,
  { active_since: since, generation }: CoordinatorsReport,
): string {
  const parts = [id, address, role];
  if (role === "active" && since !== null) {
    parts.push(`since ${new Date(since).toISOString()}`, `generation ${generation}`);
  } else if (role !== "waiting") {
    parts.push(heardMs === null ? "not heard of" : `heard of ${seconds(heardMs)} ago`);
    if (behind !== null) parts.push(behind === 0 ? "level" : `${behind} changes behind`);
  }
  return parts.join("  ");
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
