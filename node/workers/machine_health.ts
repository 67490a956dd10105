/**
 * The health of a machine, from that of its workers. Pure.
 *
 * Invariant: a machine can serve if one of its workers can: whoever is asked forwards what it does not hold. It is
 * `ok` only if all of them are.
 *
 * @module
 */
import type { HealthReport } from "../../shared/http/protocol/health_report.ts";
import type { WorkerHealth } from "./worker_lines.ts";

/**
 * How each worker is, by their numbers.
 *
 * @param own of the worker that answers, now
 * @param workers of all, as the supervisor has told last
 */
export function workersNow(
  { status, reasons }: Pick<HealthReport, "status" | "reasons">,
  ownNumber: number,
  workers: readonly WorkerHealth[],
): WorkerHealth[] {
  const known = workers.find(({ worker }) => worker === ownNumber);
  const others = workers.filter(({ worker }) => worker !== ownNumber);
  return [...others, { ...known, worker: ownNumber, status, reasons }]
    .sort((a, b) => a.worker - b.worker);
}

/** What `/health` of the machine says; the parameters are those of {@linkcode workersNow}. */
export function machineHealth(
  own: HealthReport,
  ownNumber: number,
  workers: readonly WorkerHealth[],
): HealthReport {
  const all = workersNow(own, ownNumber, workers);
  return {
    role: own.role,
    status: all.every(({ status }) => status === "unavailable")
      ? "unavailable"
      : all.every(({ status }) => status === "ok")
      ? "ok"
      : "degraded",
    reasons: all.flatMap(({ worker, reasons }) =>
      reasons.map((reason) => `worker ${worker}: ${reason}`)
    ),
    checks: {
      workers: all.map(({ worker, status }) => ({ worker, status })),
      answered_by: ownNumber,
    },
  };
}
