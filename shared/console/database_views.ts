/**
 * The databases as the console shows them: from the map, and from what the nodes say of their parts. Pure.
 *
 * Invariant: at most METRIC_DATABASES_MAX and one more for all others, as in the metrics.
 *
 * @module
 */
import type { DatabaseList } from "../cluster/databases.ts";
import type { MetricName } from "../metrics/metric_table.ts";
import { type MetricDocument, samplesOf } from "../metrics/metric_document.ts";

/** A database, for the page. */
export interface DatabaseView {
  readonly name: string;
  /** Absent: several databases that are not told one by one. */
  readonly placement?: "spread" | "together";
  readonly keys: number;
  readonly expiring: number;
  readonly bytes: number;
  readonly maxKeys?: number;
  readonly maxBytes?: number;
}

/** @param documents of the nodes that answer: what others have is missing in the sums */
export function databaseViews(
  databases: DatabaseList | undefined,
  documents: readonly MetricDocument[],
): DatabaseView[] {
  const sums = (metric: MetricName) => {
    const of = new Map<string, number>();
    for (
      const { labels: [name = ""], value } of documents.flatMap((one) => samplesOf(one, metric))
    ) {
      if (typeof value === "number") of.set(name, (of.get(name) ?? 0) + value);
    }
    return of;
  };
  const [keys, expiring, bytes] = [
    sums("kv_keyspace_keys"),
    sums("kv_keyspace_expiring_keys"),
    sums("kv_keyspace_bytes"),
  ];
  const infos = new Map((databases?.list ?? []).map((info) => [info.name, info]));
  return [...keys].map(([name, count]) => {
    const info = infos.get(name);
    return {
      name,
      ...(info === undefined ? {} : { placement: info.together ? "together" : "spread" }),
      keys: count,
      expiring: expiring.get(name) ?? 0,
      bytes: bytes.get(name) ?? 0,
      ...(info?.maxKeys === undefined ? {} : { maxKeys: info.maxKeys }),
      ...(info?.maxBytes === undefined ? {} : { maxBytes: info.maxBytes }),
    };
  });
}
