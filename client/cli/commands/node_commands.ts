/**
 * Commands about nodes and coordinators of the cluster: `forget-node`, `coordinators`. What tells of all nodes is in `command_table.ts`.
 *
 * @module
 */
import type { CoordinatorLine, CoordinatorsReport } from "../../calls/call.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { described, flag, optional } from "../../../shared/schema/fields.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { wordFields } from "../../../shared/arguments/word_fields.ts";
import { type Command, type CommandContext, ownValues } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { printEither } from "./operation_commands.ts";
import { isYes } from "./scan_commands.ts";

const FORGET_FIELDS = {
  yes: described("Do not ask", optional(flag)),
  force: described(
    "Also if only its replicas have all acknowledged writes; what others lack is lost",
    optional(flag),
  ),
};

/** The rows of the table. */
export const NODE_COMMANDS: readonly Command[] = [
  {
    name: "forget-node",
    arguments: [{ name: "NODE-ID", about: "as list-nodes shows it" }],
    options: ["json", "timeoutMs"],
    own: wordFields(FORGET_FIELDS),
    help: "remove a node that is down and will not come back from the list; asks at a terminal",
    answers: "the partitions that are served from replicas that may lack writes (with --force)",
    example: "forget-node 4bac27231e730f85",
    run: runForgetNode,
  },
];

async function runForgetNode(args: readonly Word[], context: CommandContext): Promise<number> {
  const { io, settings, signal, given } = context;
  const id = args[0]?.text ?? "";
  const { force = false, yes }: { force?: boolean; yes?: boolean } = ownValues(
    "forget-node",
    wordFields(FORGET_FIELDS),
    given,
  );
  const client = await context.client();
  if (yes !== true && io.ask !== undefined) {
    const node = (await client.listNodes()).find((listed) => listed.id === id);
    const name = node === undefined ? id : `${id} (${formatAddress(node)}, ${node.state})`;
    const loss = force ? " What only it holds is LOST." : "";
    const answer = await io.ask(`Forget node ${name} for good?${loss} (yes/no) `, signal);
    if (!isYes(answer)) {
      throw new KvError("bad_request", "forget-node: not confirmed; nothing was done");
    }
  }
  const { forced, revoked } = await client.forgetNode(id, {
    force,
    timeoutMs: settings.timeoutMs,
    signal,
  });
  const lines = forced.map(({ partition, node, term, lastSeq }) =>
    `partition ${partition}: node ${node} serves, from a replica of term ${term} with writes up to ` +
    `seq ${lastSeq}\n`
  );
  const certificates = revoked.length === 0 ? "" : ", and its certificates are revoked";
  const text = `node ${id} is forgotten${certificates}\n${lines.join("")}`;
  await printEither(context, { forgotten: id, forced, revoked }, text);
  return EXIT.ok;
}

/** The rows about coordinators. */
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
    run: runCoordinators,
  },
];

async function runCoordinators(args: readonly Word[], context: CommandContext): Promise<number> {
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
