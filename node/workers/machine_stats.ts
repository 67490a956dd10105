/**
 * The figures of a machine, from what each of its workers says. Pure.
 *
 * Invariants: a number is the sum over the workers that have answered, and no sum is made of what is not a quantity of
 * one worker alone. Beside the sums stands what each worker says, so that nothing is lost in them; and of each worker
 * that has not answered, why.
 *
 * @module
 */
import { isObject } from "../../shared/cluster/map_shape.ts";
import { expositionOfWorkers } from "../../shared/metrics/exposition.ts";
import { readMetricDocument, samplesOf } from "../../shared/metrics/metric_document.ts";
import { addedSamples, MetricSet } from "../../shared/metrics/metric_set.ts";
import { METRIC_ROWS } from "../../shared/metrics/metric_table.ts";
import type { WorkerAnswer } from "./machine_questions.ts";

/** Numbers of `stats` of which a sum would mean nothing. */
const NO_SUMS = new Set(["epoch", "worker", "workers"]);

/**
 * What `stats` of the machine says.
 *
 * @param answeredBy the number of the worker that has asked the others
 */
export function machineStats(
  answers: readonly WorkerAnswer[],
  answeredBy: number,
): Record<string, unknown> {
  const sums: Record<string, number> = {};
  for (const { answer } of answers) {
    if (!isObject(answer)) continue;
    for (const [name, value] of Object.entries(answer)) {
      if (typeof value !== "number" || NO_SUMS.has(name)) continue;
      sums[name] = (Object.hasOwn(sums, name) ? sums[name] ?? 0 : 0) + value;
    }
  }
  return {
    workers: answers.length,
    answered: answers.filter(hasAnswered).length,
    answered_by: answeredBy,
    ...sums,
    of_each: answers.map(({ worker, node, status, reasons, answer, error }) => ({
      worker,
      node,
      status,
      reasons,
      ...(error === undefined
        ? { stats: answer }
        : { error: { code: error.code, message: error.message } }),
    })),
  };
}

function hasAnswered({ error }: WorkerAnswer): boolean {
  return error === undefined;
}

/** What `/metrics` of the machine says: every series with its worker, and which workers have answered. */
export function machineExposition(answers: readonly WorkerAnswer[]): string {
  return expositionOfWorkers(answers.map(({ worker, answer }) => {
    const document = readMetricDocument(answer);
    const set = new MetricSet();
    set.set("kv_worker_up", document !== undefined);
    return {
      worker,
      samples: (name) =>
        name === "kv_worker_up" || document === undefined
          ? set.samples(name)
          : samplesOf(document, name),
    };
  }));
}

/**
 * The sums over the workers that have answered. For those who read quantities: of the moments and of what all workers
 * have in common (`kv_date_seconds`, `kv_map_epoch`) the sums mean nothing.
 */
export function machineMetrics(answers: readonly WorkerAnswer[]): MetricSet {
  const sums = new MetricSet();
  const documents = answers.map(({ answer }) => readMetricDocument(answer) ?? {});
  for (const [name] of METRIC_ROWS) {
    for (const sample of addedSamples(documents.flatMap((one) => samplesOf(one, name)))) {
      const { labels, value } = sample;
      if (typeof value === "number") sums.set(name, value, ...labels);
      else sums.histogram(name, value, ...labels);
    }
  }
  return sums;
}
