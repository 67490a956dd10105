/**
 * The figures that INFO shows: of this node, or, for those who ask at the port that the workers of a machine share, of
 * all its workers together.
 *
 * @module
 */
import { isObject } from "../../../shared/cluster/map_shape.ts";
import type { MetricSet } from "../../../shared/metrics/metric_set.ts";
import type { MetricName } from "../../../shared/metrics/metric_table.ts";
import type { WorkerAnswer } from "../../workers/machine_questions.ts";
import { machineMetrics, machineStats } from "../../workers/machine_stats.ts";
import type { Call, CommandMachine, CommandServer } from "../command/command.ts";

/** What the sections are made of. */
export interface InfoFigures {
  readonly metrics: MetricSet;
  /** As `stats` has them. */
  readonly stats: Readonly<Record<string, unknown>>;
  readonly port: number;
  readonly clients: number;
  readonly clientsMax: number;
  /** Since the start, or since CONFIG RESETSTAT. */
  readonly connections: number;
  readonly commands: number;
  /** How each worker of the machine is; undefined for a node. */
  readonly workers: Readonly<Record<string, string>> | undefined;
}

/** Collects them. @param done is called once, now or later */
export function collectFigures(
  { session, server }: Call,
  done: (figures: InfoFigures) => void,
): void {
  const { machine } = server.node;
  if (!session.isShared || machine === undefined) return done(ownFigures(server));
  const { questions } = machine;
  const told: { stats?: readonly WorkerAnswer[]; metrics?: readonly WorkerAnswer[] } = {};
  for (const question of ["stats", "metrics"] as const) {
    questions.ask(question, (answers) => {
      told[question] = answers;
      const { stats, metrics } = told;
      if (stats !== undefined && metrics !== undefined) {
        done(machineFigures(server, machine, stats, metrics));
      }
    });
  }
}

function ownFigures(server: CommandServer): InfoFigures {
  return {
    metrics: server.node.metrics(),
    stats: server.node.stats(),
    port: server.node.address()?.port ?? 0,
    clients: server.sessions.size,
    clientsMax: server.node.clientsMax(),
    connections: server.connections - server.countedBefore.connections,
    commands: server.commands - server.countedBefore.commands,
    workers: undefined,
  };
}

function machineFigures(
  { countedBefore }: CommandServer,
  { worker, address }: CommandMachine,
  stats: readonly WorkerAnswer[],
  told: readonly WorkerAnswer[],
): InfoFigures {
  const metrics = machineMetrics(told);
  const sum = (name: MetricName) => numberOf(metrics, name) ?? 0;
  return {
    metrics,
    stats: machineStats(stats, worker),
    port: address.port,
    clients: sum("kv_resp_connections"),
    clientsMax: sum("kv_connections_max"),
    connections: sum("kv_resp_connections_total") - countedBefore.connections,
    commands: sum("kv_resp_commands_total") - countedBefore.commands,
    workers: Object.fromEntries(stats.map((one) => [`worker_${one.worker}`, workerText(one)])),
  };
}

function workerText({ node, status, answer, error }: WorkerAnswer): string {
  const facts: Record<string, unknown> = { node: node ?? "", status, answered: Number(!error) };
  if (isObject(answer)) {
    for (const name of ["connections", "requests", "own", "entries"]) facts[name] = answer[name];
  }
  return Object.entries(facts).map(([name, value]) => `${name}=${value ?? ""}`).join(",");
}

/** The value of a counter or gauge, that with this label if one is given; undefined if there is none. */
export function numberOf(metrics: MetricSet, name: MetricName, label?: string): number | undefined {
  const sample = metrics.samples(name).find(({ labels }) =>
    label === undefined || labels[0] === label
  );
  return typeof sample?.value === "number" ? sample.value : undefined;
}
