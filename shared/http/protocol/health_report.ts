/**
 * What a process says of its health. The node and the coordinator have the rules and make the report.
 *
 * @module
 */

/** The health of a process. */
export interface HealthReport {
  readonly role: "node" | "coordinator";
  /** `ok`; `degraded`: it serves, but something needs time or attention; `unavailable`: it cannot serve. */
  readonly status: "ok" | "degraded" | "unavailable";
  /** What keeps it from serving, and what is degraded, in words. */
  readonly reasons: readonly string[];
  /** The values that were looked at. */
  readonly checks: Readonly<Record<string, unknown>>;
}

/** Collects what is wrong. */
export class HealthFindings {
  readonly #unavailable: string[] = [];
  readonly #degraded: string[] = [];

  /** It cannot serve. */
  unavailable(condition: boolean, why: string): void {
    if (condition) this.#unavailable.push(why);
  }

  /** It serves, but not as it should. */
  degraded(condition: boolean, why: string): void {
    if (condition) this.#degraded.push(why);
  }

  report(role: HealthReport["role"], checks: HealthReport["checks"]): HealthReport {
    const status = this.#unavailable.length > 0
      ? "unavailable"
      : this.#degraded.length > 0
      ? "degraded"
      : "ok";
    return { role, status, reasons: [...this.#unavailable, ...this.#degraded], checks };
  }
}

/** The report of a secured process: it serves without its audit log, and says so. */
export function withAudit(report: HealthReport, failure: string | undefined): HealthReport {
  const checks = { ...report.checks, audit_failure: failure ?? null };
  if (failure === undefined) return { ...report, checks };
  const reasons = [...report.reasons, `the audit log is not written: ${failure}`];
  return {
    ...report,
    status: report.status === "ok" ? "degraded" : report.status,
    reasons,
    checks,
  };
}
