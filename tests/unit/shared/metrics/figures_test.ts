import { assertEquals } from "@std/assert";
import { REQUEST_SECONDS_BUCKETS, SAMPLES_READ_MAX } from "../../../../shared/limits/requests.ts";
import { alertsOf } from "../../../../shared/diagnosis/alerts.ts";
import {
  type ClusterFacts,
  operationFigures,
  processFigures,
} from "../../../../shared/metrics/figures.ts";
import { Histogram } from "../../../../shared/metrics/histogram.ts";
import {
  type MetricDocument,
  metricDocument,
  readMetricDocument,
} from "../../../../shared/metrics/metric_document.ts";
import { MetricSet } from "../../../../shared/metrics/metric_set.ts";
import { METRIC_ROWS } from "../../../../shared/metrics/metric_table.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

/** What a process says that has answered so many `get`s in so many ms each. */
function documentOf(
  { gets = 0, ms = 1, started = 100, failed = 0 }: {
    gets?: number;
    ms?: number;
    started?: number;
    failed?: number;
  },
): MetricDocument {
  const set = new MetricSet();
  set.set("kv_info", 1, "node", "n1", "c1", "0.1.0");
  set.set("process_start_time_seconds", started);
  set.set("kv_requests_total", gets, "wire", "get", "ok");
  set.set("kv_requests_total", 1_000 * gets, "peer", "get", "ok");
  set.set("kv_requests_total", failed, "wire", "get", "timeout");
  set.set("kv_requests_total", 5 * gets, "wire", "get", "not_found");
  const latency = new Histogram(REQUEST_SECONDS_BUCKETS);
  for (let i = 0; i < gets; i++) latency.observe(ms / 1_000);
  set.histogram("kv_request_seconds", latency.state(), "wire", "get");
  set.set("kv_node_lease", true);
  return metricDocument(set);
}

Deno.test("processFigures: rates and latencies between two documents; without an earlier one there are none", () => {
  const now = { document: documentOf({ gets: 30, ms: 50, failed: 4 }), atMs: 12_000 };
  const alone = processFigures(now, undefined);
  assertEquals([alone.requestsPerSecond, alone.p99Ms, alone.lease], [undefined, undefined, true]);
  assertEquals([alone.keys, alone.diskWritable, alone.registered], [
    undefined,
    undefined,
    undefined,
  ]);
  const before = { document: documentOf({ gets: 10, ms: 0.5 }), atMs: 10_000 };
  const figures = processFigures(now, before);
  // What is not found is no failure, what others pass on is counted where it came from.
  assertEquals(figures.requestsPerSecond, (20 + 100 + 4) / 2);
  assertEquals(figures.failuresPerSecond, 2);
  assertEquals(figures.version, "0.1.0");
  assertEquals((figures.p50Ms ?? 0) > 10, true, "only what came since counts");
});

Deno.test("processFigures: of a process that was started again nothing is compared with what it was before", () => {
  const before = { document: documentOf({ gets: 1_000 }), atMs: 0 };
  const now = { document: documentOf({ gets: 5, started: 200 }), atMs: 2_000 };
  assertEquals(processFigures(now, before).requestsPerSecond, undefined);
});

Deno.test("operationFigures: the most frequent first, over all processes", () => {
  const pair = (gets: number) => ({
    now: { document: documentOf({ gets }), atMs: 1_000 },
    before: { document: documentOf({}), atMs: 0 },
  });
  const [get, ...others] = operationFigures([pair(10), pair(20)], 5);
  assertEquals([get?.operation, get?.frontEnd, get?.perSecond], ["get", "wire", 30]);
  assertEquals(others, []);
  assertEquals(operationFigures([pair(10)], 0), []);
});

Deno.test("readMetricDocument: reads what metricDocument makes, and fails at nothing that a process can send", () => {
  const whole = documentOf({ gets: 3 });
  assertEquals(readMetricDocument(JSON.parse(JSON.stringify(whole))), whole);
  const random = new SeededRandom(7);
  const names = METRIC_ROWS.map(([name]) => name);
  const junk: unknown[] = [null, 1, -1, 1e308, "x", [], {}, [[]], [1, [2]], [["a"], 1], true, [
    NaN,
  ]];
  const any = (depth: number): unknown => {
    const one = junk[randomBelow(random, junk.length)];
    if (depth === 0 || randomBelow(random, 3) === 0) return one;
    if (randomBelow(random, 2) === 0) {
      return Array.from({ length: randomBelow(random, 4) }, () => any(depth - 1));
    }
    return { labels: any(depth - 1), bounds: any(depth - 1), samples: any(depth - 1) };
  };
  for (let round = 0; round < 3_000; round++) {
    const sent: Record<string, unknown> = {};
    for (let i = 0; i < 8; i++) sent[names[randomBelow(random, names.length)] ?? ""] = any(4);
    const document = readMetricDocument(round % 10 === 0 ? any(3) : sent);
    if (document === undefined) continue;
    const told = { document, atMs: 1_000 };
    const figures = processFigures(told, { document: whole, atMs: 0 });
    operationFigures([{ now: told, before: { document: whole, atMs: 0 } }], 5);
    alertsOf(WELL, [{ id: "n1", address: "a:1", state: "up", figures }], 0);
  }
  const samples = Array.from({ length: 2 * SAMPLES_READ_MAX }, () => [[], 1]);
  const long = readMetricDocument({ kv_node_lease: { samples } });
  assertEquals(long?.kv_node_lease?.samples.length, SAMPLES_READ_MAX);
});

const WELL: ClusterFacts = {
  awaitedNodes: 0,
  partitions: 32,
  withoutPrimary: 0,
  lost: 0,
  unserved: 0,
  readOnly: 0,
  underReplicated: 0,
  damagedReplicas: 0,
  moves: 0,
  handovers: 0,
  documentStale: false,
  documentFailing: false,
};

Deno.test("alertsOf: each reason is told, the worst first, and nothing if all is well", () => {
  const good = processFigures({ document: documentOf({ gets: 1 }), atMs: 1_000 }, undefined);
  const node = { id: "n1", address: "a:1", state: "up", figures: good };
  const names = (
    facts: ClusterFacts,
    ...nodes: Parameters<typeof alertsOf>[1][number][]
  ) => alertsOf(facts, nodes, 1_000).map(({ name }) => name);
  assertEquals(names(WELL, node), []);
  const silent = { list: [{ id: "c1", address: "h:1" }], hasActive: false };
  assertEquals(alertsOf(WELL, [node], 1_000, silent).map(({ name }) => name), [
    "KvCoordinatorUnreachable",
  ]);
  assertEquals(names({ ...WELL, underReplicated: 3, withoutPrimary: 1 }, node), [
    "KvPartitionsWithoutPrimary",
    "KvUnderReplicated",
  ]);
  // A cluster that waits for its nodes has no primaries, and nothing is wrong with that.
  assertEquals(names({ ...WELL, awaitedNodes: 2, withoutPrimary: 32, underReplicated: 32 }), []);
  assertEquals(names(WELL, { ...node, figures: undefined }), ["KvProcessDown"]);
  assertEquals(names(WELL, { ...node, state: "down", figures: undefined }), ["KvProcessDown"]);
  const table: [Partial<typeof good>, string[]][] = [
    [{ registered: false }, ["KvCoordinatorUnreachable"]],
    [{ diskWritable: false }, ["KvDiskRefusesWrites"]],
    [{ diskFreeBytes: 9, diskSizeBytes: 100 }, ["KvDiskAlmostFull"]],
    [{ diskFreeBytes: 11, diskSizeBytes: 100 }, []],
    [{ lagWrites: 20_000 }, ["KvReplicationBehind"]],
    [{ commitP99Ms: 900 }, ["KvSlowDisk"]],
    [{ loopDelayP99Ms: 900 }, ["KvEventLoopBlocked"]],
    [{ requestsPerSecond: 100, failuresPerSecond: 2 }, ["KvRequestsFailing"]],
    [{ requestsPerSecond: 1_000, failuresPerSecond: 2 }, []],
    [{ refusedPerSecond: 1 }, ["KvConnectionsRefused"]],
    [{ certificateFromMs: 0, certificateEndMs: 1_200 }, ["KvCertificateEnds"]],
    [{ certificateFromMs: 0, certificateEndMs: 2_000 }, []],
  ];
  for (const [figures, wanted] of table) {
    assertEquals(names(WELL, { ...node, figures: { ...good, ...figures } }), wanted);
  }
  for (
    const alert of alertsOf(
      { ...WELL, unserved: 1, damagedReplicas: 1, documentStale: true },
      [],
      0,
    )
  ) {
    assertEquals(alert.todo.endsWith("."), true);
  }
});
