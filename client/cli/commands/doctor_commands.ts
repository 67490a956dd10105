/**
 * `doctor`: looks at everything that can be known of a cluster from outside, and says what to mend.
 *
 * @module
 */
import { diagnose, type Examined, type Finding } from "../../../shared/diagnosis/diagnosis.ts";
import { processFigures } from "../../../shared/metrics/figures.ts";
import { addedUp, quantileOf } from "../../../shared/metrics/histogram.ts";
import { histogramsOf, type MetricDocument } from "../../../shared/metrics/metric_document.ts";
import { sleep } from "../../../shared/platform/clock.ts";
import type { Command, CommandContext } from "../command/command.ts";
import { coordinatorOf } from "../../library/processes.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { ClusterView } from "./cluster_view.ts";
import { printEither } from "./operation_commands.ts";

/** Rates and latencies are of this long. */
const LOOK_MS = 1_000;

/** The rows of the table. */
export const DOCTOR_COMMANDS: readonly Command[] = [
  {
    name: "doctor",
    arguments: [],
    options: ["json", "timeoutMs"],
    help:
      "looks at coordinators, clocks, disks, addresses, versions, limits, certificates and redundancy; says what to mend",
    answers: "exit code 0 if there is nothing to mend, else 1",
    run: runDoctor,
  },
];

async function runDoctor(_: readonly Word[], context: CommandContext): Promise<number> {
  const { settings, signal, clock } = context;
  const client = await context.client();
  const options = { timeoutMs: settings.timeoutMs, signal };
  const view = new ClusterView(client, clock);
  await view.look(options);
  await sleep(clock, LOOK_MS);
  const snapshot = await view.look(options);
  // Once more, for the dates, and for why somebody does not answer.
  const beganMs = clock.wallMs();
  const answers = await client.metrics(options);
  const answerMs = clock.wallMs() - beganMs;
  const nodes = new Map(snapshot.nodes.map(({ id, figures }) => [id, figures]));
  const coordinators = snapshot.coordinators?.list ?? [];
  const processes = answers.map(({ id, metrics, error }): Examined => {
    const alone = metrics && processFigures({ document: metrics, atMs: 0 }, undefined);
    const coordinator = coordinatorOf(id);
    const figures = coordinator === undefined
      ? nodes.get(id)
      : coordinators.find((one) => one.id === coordinator)?.figures;
    // If nothing was written just now: since the process began.
    const commitP99Ms = figures?.commitP99Ms ?? (metrics && everCommitted(metrics));
    return {
      id,
      figures: alone && { ...alone, ...(commitP99Ms === undefined ? {} : { commitP99Ms }) },
      error: error?.message,
      clockMs: alone?.dateMs === undefined ? undefined : alone.dateMs - clock.wallMs(),
      answerMs,
    };
  });
  const map = await client.clusterMap();
  const findings = diagnose({
    map,
    alerts: snapshot.alerts,
    coordinators: snapshot.coordinators,
    processes,
  });
  await printEither(context, findings, findings.map(lineOf).join(""));
  return findings.every(({ verdict }) => verdict !== "bad") ? EXIT.ok : EXIT.error;
}

function everCommitted(metrics: MetricDocument): number | undefined {
  const all = addedUp(histogramsOf(metrics, "kv_commit_seconds"));
  const seconds = all && quantileOf(all, 0.99);
  return seconds === undefined ? undefined : seconds * 1_000;
}

const MARKS = { ok: "ok ", bad: "BAD", unknown: "?  " } as const;

function lineOf({ about, verdict, text, todo }: Finding): string {
  const advice = todo === undefined ? "" : `                   ${todo}\n`;
  return `${MARKS[verdict]}  ${about.padEnd(13)} ${text}\n${advice}`;
}
