import { assertEquals } from "@std/assert";
import {
  WORKER_LINE_CHARACTERS_MAX,
  WORKER_REASON_CHARACTERS_MAX,
  WORKER_REASONS_MAX,
  WORKERS_MAX,
} from "../../../../shared/limits/cluster.ts";
import { LineSplitter } from "../../../../node/workers/line_splitter.ts";
import {
  healthLine,
  lineOf,
  parseOrder,
  parseReport,
  type WorkerOrder,
  type WorkerReport,
} from "../../../../node/workers/worker_lines.ts";

Deno.test("parseOrder and parseReport read what lineOf writes", () => {
  const orders: WorkerOrder[] = [
    { order: "stop" },
    { order: "leave" },
    { order: "workers", workers: [{ worker: 1, status: "ok", reasons: ["a\nb"] }] },
    { order: "workers", workers: [{ worker: 1, status: "ok", reasons: [], node: "n1" }] },
  ];
  for (const order of orders) assertEquals(parseOrder(lineOf(order)), order);
  const reports: WorkerReport[] = [
    { report: "ready", port: 8082, http: 0, node: "n1" },
    { report: "health", status: "degraded", reasons: ["why"] },
    { report: "left" },
  ];
  for (const report of reports) assertEquals(parseReport(lineOf(report)), report);
});

Deno.test("parseOrder and parseReport ignore what is neither", () => {
  const lines = [
    "",
    "a library says hello",
    "{",
    "null",
    "[]",
    "{}",
    '{"order":"dance","report":"dance"}',
    '{"order":"workers","report":"ready","port":"8081","http":1}',
    '{"order":"workers","workers":[{"worker":1,"status":"ok","reasons":[],"node":7}],"report":"ready","port":1,"http":1}',
    '{"order":"workers","workers":[null],"report":"health","status":"fine","reasons":[]}',
    '{"order":"workers","workers":[{"worker":1,"status":"ok","reasons":[1]}],"report":"health","status":"ok"}',
  ];
  for (const line of lines) {
    assertEquals([parseOrder(line), parseReport(line)], [undefined, undefined], line);
  }
});

Deno.test("healthLine: what all workers tell fits into a line, whatever their reasons are", () => {
  const reasons = Array<string>(100).fill("\u0001".repeat(10_000));
  const report = healthLine({ role: "node", status: "ok", reasons, checks: {} });
  if (report.report !== "health") throw new Error("no health");
  assertEquals(report.reasons.length, WORKER_REASONS_MAX);
  assertEquals(report.reasons[0]?.length, WORKER_REASON_CHARACTERS_MAX);
  const { status } = report;
  const workers = Array.from(
    { length: WORKERS_MAX },
    (_, i) => ({ worker: i, status, reasons: report.reasons }),
  );
  const line = lineOf({ order: "workers", workers });
  assertEquals(line.length < WORKER_LINE_CHARACTERS_MAX, true, String(line.length));
});

Deno.test("LineSplitter: gives the same lines however the bytes are cut", () => {
  const bytes = new TextEncoder().encode("one\n\ntwo ü €\nlast");
  for (let size = 1; size <= bytes.length; size++) {
    const lines: string[] = [];
    const splitter = new LineSplitter(100, (line) => lines.push(line));
    for (let at = 0; at < bytes.length; at += size) splitter.push(bytes.subarray(at, at + size));
    splitter.end();
    assertEquals(lines, ["one", "", "two ü €", "last"], `pieces of ${size}`);
  }
});

Deno.test("LineSplitter: cuts off a line that is too long, and goes on with the next", () => {
  const lines: string[] = [];
  const splitter = new LineSplitter(5, (line) => lines.push(line));
  for (const text of ["abc", "defgh", "ijk\nnext\n", "123456789\nx"]) {
    splitter.push(new TextEncoder().encode(text));
  }
  splitter.end();
  assertEquals(lines, ["abcde", "next", "12345", "x"]);
});
