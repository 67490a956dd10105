/** The rules for Prometheus, the dashboard, the table of the console and the runbook are about the same alerts and metrics. */
import { assert, assertEquals } from "@std/assert";
import { load } from "js-yaml";
import dashboard from "../../../ops/grafana/kv.json" with { type: "json" };
import rules from "../../../ops/prometheus/alerts.yml" with { type: "text" };
import ruleTests from "../../../ops/prometheus/alerts_test.yml" with { type: "text" };
import operations from "../../../docs/operations.md" with { type: "text" };
import { ALERT_BOUNDS, ALERTS } from "../../../shared/diagnosis/alerts.ts";
import { METRIC_ROWS } from "../../../shared/metrics/metric_table.ts";

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook_url: string };
}

const RULES = (load(rules) as { groups: { rules: Rule[] }[] }).groups.flatMap(({ rules }) => rules);

/** Every series that the table makes. */
const SERIES = new Set(
  METRIC_ROWS.flatMap(([name, { type }]) =>
    type === "histogram" ? ["bucket", "sum", "count"].map((part) => `${name}_${part}`) : [name]
  ),
);

function seriesIn(expr: string): string[] {
  return [...expr.matchAll(/\b(?:kv|process)_[a-z_]+\b/g)].map(([name]) => name);
}

Deno.test("alerts.yml: has the alerts of the console, as severe, each with its part of the runbook", () => {
  assertEquals(
    RULES.map(({ alert, labels }) => [alert, labels.severity]),
    Object.entries(ALERTS).map(([name, { severity }]) => [name, severity]),
  );
  for (const { alert, annotations } of RULES) {
    assert(operations.includes(`\n#### ${alert}\n`), alert);
    assertEquals(annotations.runbook_url, `docs/operations.md#${alert.toLowerCase()}`);
    assert(ruleTests.includes(`alertname: ${alert}\n`), `${alert} has no test`);
  }
});

Deno.test("alerts.yml and kv.json: ask for metrics that there are", () => {
  for (const { alert, expr } of RULES) {
    for (const name of seriesIn(expr)) assert(SERIES.has(name), `${alert}: ${name}`);
  }
  const panels = dashboard.panels as { title: string; targets?: { expr: string }[] }[];
  const asked = panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ title, expr }))
  );
  assert(asked.length > 20);
  for (const { title, expr } of asked) {
    const names = seriesIn(expr);
    assert(names.length > 0, title);
    for (const name of names) assert(SERIES.has(name), `${title}: ${name}`);
    // Nothing is imported by hand: the data source and the job are chosen.
    assert(expr.includes('job="$job"'), `${title}: ${expr}`);
  }
});

Deno.test("alerts.yml: has the bounds of the console", () => {
  const expr = (name: string) => RULES.find(({ alert }) => alert === name)?.expr ?? "";
  const table: [string, number][] = [
    ["KvDiskAlmostFull", ALERT_BOUNDS.diskFreePart],
    ["KvCoordinatorAway", ALERT_BOUNDS.coordinatorBehind],
    ["KvReplicationBehind", ALERT_BOUNDS.lagWrites],
    ["KvSlowDisk", ALERT_BOUNDS.commitP99Ms / 1_000],
    ["KvEventLoopBlocked", ALERT_BOUNDS.loopDelayP99Ms / 1_000],
    ["KvRequestsFailing", ALERT_BOUNDS.failuresPart],
    ["KvCertificateEnds", ALERT_BOUNDS.certificatePart],
  ];
  for (const [name, bound] of table) {
    assertEquals(Number(/[<>] ([\d.]+)\s*$/.exec(expr(name))?.[1]), bound, name);
  }
});
