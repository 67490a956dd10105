/**
 * Commands that look at a running cluster: `top` (what it does, again and again) and `moves` (what is on its way from node
 * to node), `slowlog` (what took long).
 *
 * @module
 */
import { sleep } from "../../../shared/platform/clock.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { wordFields } from "../../../shared/arguments/word_fields.ts";
import { described, flag, optional, positiveDuration } from "../../../shared/schema/fields.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { SLOW_REQUESTS_MAX } from "../../../shared/limits/requests.ts";
import { type Command, type CommandContext, ownValues } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { dateText, errorLine, formatTable, keyLabel } from "../command/output.ts";
import { ClusterView } from "./cluster_view.ts";
import { printEither } from "./operation_commands.ts";
import { topLines } from "./top.ts";

const TOP_FIELDS = {
  once: described("Print the state once, of the time between two looks, and end", optional(flag)),
  every: described("The time between two looks", optional(positiveDuration), { fallback: "2s" }),
};
const TOP_EVERY_MS = 2_000;
const TOP_COLUMNS_PRINTED = 200;
const SLOW_SHOWN = 20;

/** The rows of the table. */
export const WATCH_COMMANDS: readonly Command[] = [
  {
    name: "top",
    arguments: [],
    options: ["json", "timeoutMs"],
    own: wordFields(TOP_FIELDS),
    help: "what the cluster does now, and what is wrong with it; q or Ctrl-C ends it",
    answers: "without a terminal, or with --json, the state once",
    example: "top --every 5s",
    run: runTop,
  },
  {
    name: "moves",
    arguments: [],
    options: ["json", "timeoutMs"],
    help: "the replicas that are being filled, and partitions with too few replicas",
    run: runMoves,
  },
  {
    name: "slowlog",
    arguments: [{ name: "COUNT", optional: true, about: `how many, ${SLOW_SHOWN} by default` }],
    options: ["json", "timeoutMs"],
    help: "the newest requests that took long, of all processes, with their keys",
    example: "slowlog 50",
    run: runSlowlog,
  },
];

async function runTop(_: readonly Word[], context: CommandContext): Promise<number> {
  const { io, settings, signal, clock, given } = context;
  const { once, every }: { once?: boolean; every?: number } = ownValues(
    "top",
    wordFields(TOP_FIELDS),
    given,
  );
  const everyMs = every ?? TOP_EVERY_MS;
  const view = new ClusterView(await context.client(), clock);
  const options = { timeoutMs: settings.timeoutMs };
  await view.look(options);
  if (settings.json || once === true || io.screen === undefined) {
    await sleep(clock, everyMs);
    const snapshot = await view.look(options);
    const lines = topLines(snapshot, TOP_COLUMNS_PRINTED, Infinity);
    await printEither(context, snapshot, lines.map(({ text }) => `${text}\n`).join(""));
    return EXIT.ok;
  }
  const screen = io.screen();
  let isOver = false;
  const over = Promise.race([screen.ended, aborted(signal)]).then(() => void (isOver = true));
  try {
    for (;;) {
      const { columns, rows } = screen.size();
      try {
        screen.show(topLines(await view.look(options), columns, rows - 1));
      } catch (error) {
        // It goes on looking: that nobody answers is what there is to see.
        if (!(error instanceof KvError)) throw error;
        screen.show([{ text: errorLine(error), strong: true }]);
      }
      await Promise.race([sleep(clock, everyMs), over]);
      if (isOver) return EXIT.ok;
    }
  } finally {
    screen.end();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function runMoves(_: readonly Word[], context: CommandContext): Promise<number> {
  const client = await context.client();
  const { nodes, partitions, settings } = await client.clusterMap();
  const nameOf = (id: string | undefined) => {
    const node = nodes.find((one) => one.id === id);
    return node === undefined ? id ?? "nobody" : formatAddress(node);
  };
  const moves = partitions.flatMap(({ primary, inSync, learners }, partition) =>
    learners.map((to) => ({ partition, from: primary, to, inSync: inSync.length }))
  );
  const thin = partitions.filter(({ inSync }) => inSync.length < settings.replicationFactor).length;
  const summary = `${moves.length} replica${moves.length === 1 ? " is" : "s are"} being filled, ` +
    `${thin} of ${partitions.length} partitions have fewer than ${settings.replicationFactor} in sync\n`;
  const table = moves.length === 0 ? "" : formatTable(
    ["partition", "from", "to", "in sync"],
    moves.map(({ partition, from, to, inSync }) => [partition, nameOf(from), nameOf(to), inSync]),
  );
  await printEither(context, { moves, underReplicated: thin }, table + summary);
  return EXIT.ok;
}

async function runSlowlog(args: readonly Word[], context: CommandContext): Promise<number> {
  const { settings, signal } = context;
  const count = countOf(args[0]?.text);
  const client = await context.client();
  const processes = await client.slowRequests(count, { timeoutMs: settings.timeoutMs, signal });
  const all = processes.flatMap(({ id, requests = [] }) =>
    requests.map((request) => ({ process: id, ...request }))
  ).toSorted((a, b) => b.atMs - a.atMs).slice(0, count);
  const failed = processes.flatMap(({ id, error }) =>
    error === undefined ? [] : [`${id}: ${errorLine(error)}\n`]
  );
  const table = all.length === 0 ? "no slow requests\n" : formatTable(
    ["when", "took", "process", "front end", "operation", "code", "client", "key"],
    all.map((of) => [
      dateText(of.atMs),
      `${of.elapsedMs.toFixed(0)} ms`,
      of.process,
      of.frontEnd,
      of.operation,
      of.code,
      of.client ?? "",
      of.key === undefined ? "" : keyLabel(of.key),
    ]),
  );
  await printEither(context, all, table + failed.join(""));
  return failed.length === processes.length ? EXIT.unavailable : EXIT.ok;
}

/** @throws {KvError} `bad_request` */
function countOf(text: string | undefined): number {
  if (text === undefined) return SLOW_SHOWN;
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= SLOW_REQUESTS_MAX) return count;
  throw new KvError(
    "bad_request",
    `slowlog: COUNT is from 1 to ${SLOW_REQUESTS_MAX}, as many as a process keeps; got ${
      JSON.stringify(text)
    }`,
  );
}
