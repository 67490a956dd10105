/**
 * What a supervisor and its workers say to each other: lines of JSON, orders on a worker's standard input, reports on
 * its standard output. Both are of one version, since one starts the other; all the same a line that is none is
 * ignored, because a library may write to standard output too. Pure.
 *
 * @module
 */
import {
  WORKER_NODE_CHARACTERS_MAX,
  WORKER_REASON_CHARACTERS_MAX,
  WORKER_REASONS_MAX,
} from "../../shared/limits/cluster.ts";
import type { HealthReport } from "../../shared/http/protocol/health_report.ts";

/** How a worker is, as the others of its machine are told. */
export interface WorkerHealth {
  /** From 1 on. */
  readonly worker: number;
  readonly status: HealthReport["status"];
  readonly reasons: readonly string[];
  /** The node that it is, as long as it runs and says something: so it can be asked for more. */
  readonly node?: string | undefined;
}

/** From the supervisor. */
export type WorkerOrder =
  /** Hand everything over, and end. */
  | { readonly order: "stop" }
  /** Leave the cluster for good, and end. */
  | { readonly order: "leave" }
  /** All workers of the machine that have not left, this one too. */
  | { readonly order: "workers"; readonly workers: readonly WorkerHealth[] };

/** From a worker. */
export type WorkerReport =
  /** It listens, at ports of its own. */
  | {
    readonly report: "ready";
    readonly port: number;
    readonly http: number;
    /** The node that it is. */
    readonly node: string;
  }
  | {
    readonly report: "health";
    readonly status: HealthReport["status"];
    readonly reasons: readonly string[];
  }
  /** It has left the cluster, and ends. */
  | { readonly report: "left" };

/** As one line, without its end. */
export function lineOf(message: WorkerOrder | WorkerReport): string {
  return JSON.stringify(message);
}

/** The health of a worker, within the bounds of a line. */
export function healthLine({ status, reasons }: HealthReport): WorkerReport {
  return {
    report: "health",
    status,
    reasons: reasons.slice(0, WORKER_REASONS_MAX)
      .map((reason) => reason.slice(0, WORKER_REASON_CHARACTERS_MAX)),
  };
}

/** The order in a line; undefined if it has none. */
export function parseOrder(line: string): WorkerOrder | undefined {
  const value = parseObject(line);
  switch (value?.order) {
    case "stop":
    case "leave":
      return { order: value.order };
    case "workers":
      return Array.isArray(value.workers) && value.workers.every(isWorkerHealth)
        ? { order: "workers", workers: value.workers }
        : undefined;
    default:
      return undefined;
  }
}

/** The report in a line; undefined if it has none. */
export function parseReport(line: string): WorkerReport | undefined {
  const value = parseObject(line);
  switch (value?.report) {
    case "ready":
      return Number.isSafeInteger(value.port) && Number.isSafeInteger(value.http) &&
          isNodeId(value.node)
        ? {
          report: "ready",
          port: Number(value.port),
          http: Number(value.http),
          node: value.node,
        }
        : undefined;
    case "health":
      return isHealth(value)
        ? { report: "health", status: value.status, reasons: value.reasons }
        : undefined;
    case "left":
      return { report: "left" };
    default:
      return undefined;
  }
}

function parseObject(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function isWorkerHealth(value: unknown): value is WorkerHealth {
  return typeof value === "object" && value !== null && "worker" in value &&
    Number.isSafeInteger(value.worker) && isHealth(value) &&
    (!("node" in value) || isNodeId(value.node));
}

function isNodeId(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= WORKER_NODE_CHARACTERS_MAX;
}

function isHealth(value: object): value is Omit<WorkerHealth, "worker"> {
  return "status" in value &&
    (value.status === "ok" || value.status === "degraded" || value.status === "unavailable") &&
    "reasons" in value && Array.isArray(value.reasons) &&
    value.reasons.every((reason) => typeof reason === "string");
}
