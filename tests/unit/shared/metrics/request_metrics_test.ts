import { assertEquals } from "@std/assert";
import { COUNTED_OPERATIONS_MAX, ENDED_PER_TURN_MAX } from "../../../../shared/limits/requests.ts";
import { SLOW_KEY_CHARACTERS_MAX, SLOW_REQUESTS_MAX } from "../../../../shared/limits/requests.ts";
import { countOf } from "../../../../shared/metrics/histogram.ts";
import {
  histogramsOf,
  metricDocument,
  valueOf,
} from "../../../../shared/metrics/metric_document.ts";
import { MetricSet } from "../../../../shared/metrics/metric_set.ts";
import { RequestMetrics, UNKNOWN_OPERATION } from "../../../../shared/metrics/request_metrics.ts";
import { SlowLog } from "../../../../shared/metrics/slow_log.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

const REMOTE = { host: "10.0.0.9", port: 4711 };

function setUp(thresholdMs?: number) {
  const clock = new ManualClock();
  let reads = 0;
  const counted = Object.create(clock, {
    monotonicMs: {
      value: () => {
        reads++;
        return clock.monotonicMs();
      },
    },
  }) as ManualClock;
  for (const name of ["defer", "wallMs"] as const) {
    Object.defineProperty(counted, name, { value: clock[name].bind(clock) });
  }
  const metrics = new RequestMetrics(counted, new SlowLog(thresholdMs));
  const document = () => {
    const set = new MetricSet();
    metrics.collect(set);
    return metricDocument(set);
  };
  return { clock, metrics, document, reads: () => reads };
}

Deno.test("RequestMetrics: counts by front end, operation and code, and takes the time to the end of the turn", () => {
  const { clock, metrics, document } = setUp();
  const get = metrics.series("wire", "get");
  const began = metrics.beganMs();
  clock.advance(3);
  metrics.ended(get, began, undefined);
  metrics.ended(get, metrics.beganMs(), "timeout");
  clock.advance(0);
  const told = document();
  assertEquals(valueOf(told, "kv_requests_total", "wire", "get", "ok"), 1);
  assertEquals(valueOf(told, "kv_requests_total", "wire", "get", "timeout"), 1);
  const [latency] = histogramsOf(told, "kv_request_seconds");
  assertEquals(latency?.sum, 0.003);
  assertEquals(latency && countOf(latency), 2);
});

Deno.test("RequestMetrics: reads the clock twice in a turn, however many requests it has", () => {
  const { clock, metrics, reads } = setUp();
  const series = metrics.series("resp", "get");
  for (let i = 0; i < 100; i++) metrics.ended(series, metrics.beganMs(), undefined);
  clock.settle();
  assertEquals(reads(), 2);
});

Deno.test("RequestMetrics: a code that is none of ours, and operations beyond the bound, make no series of their own", () => {
  const { clock, metrics, document } = setUp();
  metrics.ended(metrics.series("peer", "get"), metrics.beganMs(), "made up by a peer");
  for (let i = 0; i < 2 * COUNTED_OPERATIONS_MAX; i++) {
    metrics.ended(metrics.series("http", `operation ${i}`), metrics.beganMs(), undefined);
  }
  clock.settle();
  const told = document();
  assertEquals(valueOf(told, "kv_requests_total", "peer", "get", "internal"), 1);
  const { samples } = told.kv_requests_total ?? { samples: [] };
  assertEquals(samples.filter(([[of]]) => of === "http").length, COUNTED_OPERATIONS_MAX + 1);
  assertEquals(
    valueOf(told, "kv_requests_total", "http", UNKNOWN_OPERATION),
    COUNTED_OPERATIONS_MAX,
  );
});

Deno.test("RequestMetrics: a turn with very many requests is taken the time of in between", () => {
  const { metrics, document } = setUp();
  const series = metrics.series("wire", "get");
  for (let i = 0; i < 2 * ENDED_PER_TURN_MAX + 7; i++) metrics.ended(series, 0, undefined);
  const [latency] = histogramsOf(document(), "kv_request_seconds");
  assertEquals(latency && countOf(latency), 2 * ENDED_PER_TURN_MAX + 7);
});

Deno.test("SlowLog: keeps the newest slow requests with their keys and who asked, and no others", () => {
  const { clock, metrics } = setUp(50);
  const put = metrics.series("wire", "put");
  const slow = (ms: number, asked: object, code?: string) => {
    const began = metrics.beganMs();
    clock.advance(ms);
    metrics.ended(put, began, code, asked, REMOTE);
    clock.advance(0);
  };
  slow(49, { key: "fast" });
  slow(50, { key: "k".repeat(SLOW_KEY_CHARACTERS_MAX + 1), value: "secret" }, "timeout");
  slow(70, {});
  assertEquals(metrics.slow.newest().map(({ atMs: _, ...rest }) => rest), [
    {
      id: 1,
      elapsedMs: 70,
      frontEnd: "wire",
      operation: "put",
      code: "ok",
      client: "10.0.0.9:4711",
    },
    {
      id: 0,
      elapsedMs: 50,
      frontEnd: "wire",
      operation: "put",
      code: "timeout",
      key: `${"k".repeat(SLOW_KEY_CHARACTERS_MAX)}…`,
      client: "10.0.0.9:4711",
    },
  ]);
  for (let i = 0; i < SLOW_REQUESTS_MAX; i++) slow(60, { key: `${i}` });
  assertEquals(metrics.slow.size, SLOW_REQUESTS_MAX);
  assertEquals(metrics.slow.newest(2).map(({ key }) => key), ["127", "126"]);
  assertEquals(metrics.slow.total, SLOW_REQUESTS_MAX + 2);
  metrics.slow.clear();
  assertEquals([metrics.slow.newest(), metrics.slow.total], [[], SLOW_REQUESTS_MAX + 2]);
});
