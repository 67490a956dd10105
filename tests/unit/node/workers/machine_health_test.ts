import { assertEquals } from "@std/assert";
import { machineHealth } from "../../../../node/workers/machine_health.ts";
import type { HealthReport } from "../../../../shared/http/protocol/health_report.ts";

type Status = HealthReport["status"];

function health(own: Status, ...others: Status[]): HealthReport {
  const report: HealthReport = {
    role: "node",
    status: own,
    reasons: own === "ok" ? [] : ["why"],
    checks: { node: "n" },
  };
  const workers = others.map((status, i) => ({ worker: i + 2, status, reasons: ["because"] }));
  // What the supervisor knows of the one that answers is older than what that knows itself.
  return machineHealth(report, 1, [
    { worker: 1, status: "unavailable", reasons: ["old"] },
    ...workers,
  ]);
}

Deno.test("machineHealth: a machine serves if one of its workers does, and is well if all are", () => {
  const cases: [own: Status, others: Status[], machine: Status][] = [
    ["ok", ["ok"], "ok"],
    ["ok", [], "ok"],
    ["ok", ["unavailable"], "degraded"],
    ["unavailable", ["ok"], "degraded"],
    ["degraded", ["ok"], "degraded"],
    ["unavailable", ["degraded", "unavailable"], "degraded"],
    ["unavailable", ["unavailable"], "unavailable"],
  ];
  for (const [own, others, machine] of cases) {
    assertEquals(health(own, ...others).status, machine, `${own}, ${others}`);
  }
});

Deno.test("machineHealth: each reason says whose it is", () => {
  const { reasons, checks } = health("degraded", "unavailable");
  assertEquals(reasons, ["worker 1: why", "worker 2: because"]);
  assertEquals(checks, {
    workers: [{ worker: 1, status: "degraded" }, { worker: 2, status: "unavailable" }],
    answered_by: 1,
  });
});
