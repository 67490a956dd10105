import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { DISK_SECONDS_BUCKETS } from "../../../../shared/limits/requests.ts";
import { expositionOf } from "../../../../shared/metrics/exposition.ts";
import { Histogram } from "../../../../shared/metrics/histogram.ts";
import {
  histogramsOf,
  metricDocument,
  samplesOf,
  valueOf,
} from "../../../../shared/metrics/metric_document.ts";
import { MetricSet } from "../../../../shared/metrics/metric_set.ts";
import { METRIC_ROWS } from "../../../../shared/metrics/metric_table.ts";

function someSet(): MetricSet {
  const set = new MetricSet();
  set.set("kv_requests_total", 3, "http", "GET /kv/{key}", "ok");
  set.set("kv_requests_total", 1, "resp", "get", "timeout");
  set.set("kv_node_lease", true);
  set.set("kv_database_bytes", undefined);
  const histogram = new Histogram([0.5, 1]);
  for (const value of [0.1, 0.7, 0.7, 3]) histogram.observe(value);
  set.histogram("kv_request_seconds", histogram.state(), "wire", 'a"b\\c\nd');
  return set;
}

Deno.test("expositionOf: help, type, labels that are escaped, and buckets that are added up", () => {
  const lines = expositionOf(someSet()).split("\n");
  assertEquals(lines.filter((line) => line.startsWith("kv_")), [
    'kv_requests_total{front_end="http",operation="GET /kv/{key}",code="ok"} 3',
    'kv_requests_total{front_end="resp",operation="get",code="timeout"} 1',
    'kv_request_seconds_bucket{front_end="wire",operation="a\\"b\\\\c\\nd",le="0.5"} 1',
    'kv_request_seconds_bucket{front_end="wire",operation="a\\"b\\\\c\\nd",le="1"} 3',
    'kv_request_seconds_bucket{front_end="wire",operation="a\\"b\\\\c\\nd",le="+Inf"} 4',
    'kv_request_seconds_sum{front_end="wire",operation="a\\"b\\\\c\\nd"} 4.5',
    'kv_request_seconds_count{front_end="wire",operation="a\\"b\\\\c\\nd"} 4',
    "kv_node_lease 1",
  ]);
  assertEquals(lines.filter((line) => line.startsWith("# TYPE")), [
    "# TYPE kv_requests_total counter",
    "# TYPE kv_request_seconds histogram",
    "# TYPE kv_node_lease gauge",
  ]);
  assertEquals(lines.at(-1), "", "the last line ends");
  assertEquals(expositionOf(new MetricSet()), "");
});

Deno.test("MetricSet: takes only what the table says", () => {
  const set = new MetricSet();
  assertThrows(() => set.set("kv_node_lease", 1, "surplus"), Error, "has the labels");
  assertThrows(() => set.set("kv_requests_total", 1), Error, "has the labels");
  assertThrows(() => set.set("kv_commit_seconds", 1), Error, "is a histogram");
});

Deno.test("METRICS: names are as Prometheus wants them, labels are not one for each key or client", () => {
  for (const [name, { type, labels, bounds, help }] of METRIC_ROWS) {
    assertMatch(name, /^(kv|process)_[a-z_]+[a-z]$/);
    assertEquals(name.endsWith("_total"), type === "counter", name);
    assertEquals(bounds !== undefined, type === "histogram", name);
    assertMatch(help, /^[A-Z0-9].*\.$/s, name);
    for (const label of labels) {
      assertEquals(["key", "client", "address", "user"].includes(label), false, `${name} ${label}`);
    }
  }
});

Deno.test("metricDocument: is read as what it was made from", () => {
  const set = someSet();
  set.histogram("kv_commit_seconds", new Histogram(DISK_SECONDS_BUCKETS).state());
  const document = JSON.parse(JSON.stringify(metricDocument(set)));
  for (const name of ["kv_requests_total", "kv_commit_seconds", "kv_node_lease"] as const) {
    assertEquals(samplesOf(document, name), set.samples(name));
  }
  assertEquals(valueOf(document, "kv_requests_total"), 4);
  assertEquals(valueOf(document, "kv_requests_total", "http"), 3);
  assertEquals(valueOf(document, "kv_requests_total", "http", "GET /nothing"), undefined);
  assertEquals(valueOf(document, "kv_database_bytes"), undefined);
  assertEquals(histogramsOf(document, "kv_request_seconds").length, 1);
  assertEquals(histogramsOf(document, "kv_request_seconds", ([of]) => of === "http"), []);
});
