/**
 * What is known of a process and its machine beside what it does, and how it gets into a set: the same for nodes and
 * coordinators.
 *
 * @module
 */
import { VERSION } from "../base/version.ts";
import type { MetricSet } from "./metric_set.ts";
import type { ProcessMetrics } from "./process_metrics.ts";

/** When a certificate is good, in milliseconds since 1970-01-01 UTC. */
export interface CertificatePeriod {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What the program that runs knows. */
export interface ProcessSite {
  readonly metrics: ProcessMetrics;
  /** When certificates are good. Of a secured process. */
  certificates?(): { readonly [of in "server" | "authority"]: CertificatePeriod };
  /** Of the file system of the data folder; undefined if that is not known. */
  diskSpace?(): { readonly freeBytes: number; readonly sizeBytes: number } | undefined;
}

const STATUSES = ["ok", "degraded", "unavailable"] as const;

/** @param site undefined: nothing is known of the process */
export function collectProcess(
  set: MetricSet,
  site: ProcessSite | undefined,
  { role, id, cluster, health }: {
    readonly role: "node" | "coordinator";
    readonly id: string;
    readonly cluster: string;
    readonly health: { readonly status: (typeof STATUSES)[number] };
  },
): void {
  set.set("kv_info", 1, role, id, cluster, VERSION);
  for (const status of STATUSES) set.set("kv_health", status === health.status, status);
  site?.metrics.collect(set);
  for (const [of, { fromMs, untilMs }] of Object.entries(site?.certificates?.() ?? {})) {
    set.set("kv_certificate_begin_seconds", fromMs / 1_000, of);
    set.set("kv_certificate_end_seconds", untilMs / 1_000, of);
  }
  const space = site?.diskSpace?.();
  if (space !== undefined) {
    set.set("kv_disk_free_bytes", space.freeBytes);
    set.set("kv_disk_size_bytes", space.sizeBytes);
  }
}
