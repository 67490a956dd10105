/**
 * Writes `docs/metrics.md` from the table of metrics. Part of `deno task docs`; a unit test compares the page with the
 * output of this file.
 *
 * @module
 */
import {
  BATCH_WRITES_BUCKETS,
  DISK_SECONDS_BUCKETS,
  LOOP_SAMPLE_MS,
  REQUEST_SECONDS_BUCKETS,
} from "../../shared/limits/requests.ts";
import { METRIC_ROWS, type MetricSpec } from "../../shared/metrics/metric_table.ts";
import { markdownTable } from "./markdown_table.ts";

const INTRODUCTION = `# Metrics

<!-- Made by \`deno task docs\` from shared/metrics/metric_table.ts; do not change it by hand. -->

Every node and the coordinator answer \`GET /metrics\` on their HTTP ports, in Prometheus' text format. A scrape configuration, a dashboard and alert rules are in [operations.md](operations.md#monitoring). Of a machine with several workers ([--workers](operations.md#all-cores-of-a-machine)) the port that they share answers for all of them: each series has the label \`worker\`, and \`kv_worker_up\` says of which workers there are any. At a worker's own port there is that worker alone, without the label. Scrape either the shared port or the workers' own, not both; add up over \`worker\` what belongs to the machine, but not what all workers have in common, such as \`kv_disk_free_bytes\`.

In a secured process a scraper logs in like everybody else, and its user needs the right \`monitor\`, which shows no keys and allows nothing else ([security.md](security.md#rights)).

No label has a value for each key, client or address: how many series there are is bounded by the tables of operations and error codes, and by the number of nodes. Series of an operation appear with its first request. Times are seconds, sizes bytes. Counters begin at 0 with each start of a process.`;

/** The page. */
export function metricsReference(): string {
  const buckets = [
    ["kv_request_seconds", REQUEST_SECONDS_BUCKETS],
    ["kv_commit_seconds, kv_event_loop_delay_seconds", DISK_SECONDS_BUCKETS],
    ["kv_commit_writes", BATCH_WRITES_BUCKETS],
  ] as const;
  return `${INTRODUCTION}

## Of every process

${tableOf("both")}

## Of nodes

${tableOf("node")}

## Of the coordinator

${tableOf("coordinator")}

## Buckets

${
    markdownTable(
      ["histograms", "upper bounds"],
      buckets.map(([names, bounds]) => [
        names.split(", ").map((name) => `\`${name}\``).join(", "),
        bounds.join(", "),
      ]),
    )
  }

## How requests are counted

A request is counted once, at the process and front end at which it came in. A node that passes a request on to another one counts it at its own front end, and the other one counts it as \`front_end="peer"\`. So the requests of all clients are the sum over all processes without \`peer\`.

The operation is the message of the wire (\`get\`, \`batch\`), the command of RESP (\`set\`, \`client|list\`), or method and path of HTTP (\`GET /kv/{key}\`). What is in no table counts as \`unknown\`. Commands between MULTI and EXEC count as one \`exec\`, requests in a batch as one \`batch\`. The code is \`ok\`, or that of the error ([protocol.md](protocol.md)); at the RESP front end, errors that no other front end has are \`bad_request\`.

A request's time is that from when its bytes were read to the end of the turn of the event loop in which it was answered. It includes waiting for disks and followers, and not the time that bytes spend in the network or in the buffers of a process that does not read. How long those may have waited says \`kv_event_loop_delay_seconds\`, which is measured every ${LOOP_SAMPLE_MS} ms.

What is not measured: garbage collection and open descriptors. Deno 2.9 tells a program nothing of the one, and keeps it from reading the other. A long collection shows as event loop delay, and \`kv_connections_max\` follows from the limit of descriptors.
`;
}

function tableOf(of: MetricSpec["of"]): string {
  const rows = METRIC_ROWS.filter(([, spec]) => spec.of === of)
    .map(([name, { type, help, labels }]) => [
      `\`${name}\``,
      type,
      labels.length === 0 ? "–" : labels.map((label) => `\`${label}\``).join(", "),
      help,
    ]);
  return markdownTable(["metric", "type", "labels", "what"], rows);
}
