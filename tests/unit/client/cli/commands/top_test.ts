import { assert, assertEquals } from "@std/assert";
import { collectCoordinators } from "../../../../../coordinator/coordinator_metrics.ts";
import { metricDocument } from "../../../../../shared/metrics/metric_document.ts";
import { MetricSet } from "../../../../../shared/metrics/metric_set.ts";
import { ALONE } from "../../../../support/data/coordinators_sample.ts";
import { topLines } from "../../../../../client/cli/commands/top.ts";
import { consoleSnapshot } from "../../../../../shared/console/snapshot.ts";
import { fakeMap } from "../../../../support/worlds/fake_cluster.ts";

const THREE = ["c1", "c2", "c3"].map((id, i) => ({ id, host: "127.0.0.1", port: 8080 + i }));

function snapshot(coordinators?: Parameters<typeof consoleSnapshot>[0]["coordinators"]) {
  return consoleSnapshot({
    wallMs: Date.UTC(2026, 10, 21, 12, 30),
    periodMs: 2_000,
    map: { ...fakeMap(), coordinators: THREE },
    secured: false,
    version: "0.1.0",
    health: { status: "ok", reasons: [] },
    seenBy: "client",
    coordinators,
    nodes: new Map([["00000000000000a1", {
      now: { document: {}, atMs: 0 },
      before: undefined,
    }]]),
  });
}

const textsOf = (...args: Parameters<typeof topLines>) => topLines(...args).map(({ text }) => text);

Deno.test("topLines: the cluster, what is wrong, and each process; what is not known is a dash", () => {
  const lines = textsOf(snapshot(), 200, 100);
  assertEquals(lines[0], "test  ok  2 of 2 nodes up, 8 partitions, map 3  12:30:00 UTC");
  assertEquals(
    lines[1],
    "!! node 00000000000000a2 (127.0.0.1:8082) counts as up, and does not answer",
  );
  const table = lines.slice(3);
  assert(table[0]?.startsWith("process         state   prim"), table[0]);
  assert(table[1]?.startsWith("127.0.0.1:8081  up         4     4     0      -"), table[1]);
  assert(table[2]?.startsWith("127.0.0.1:8082  silent     4     4     0      -"), table[2]);
  assertEquals(
    textsOf(snapshot(new Map()), 200, 100)[1],
    "!! none of the 3 coordinators answers",
  );
});

Deno.test("topLines: each coordinator with its role, how far it is behind, and when it was heard of", () => {
  const document = metricDocument(activeSays());
  const told = (of: typeof document) => ({ now: { document: of, atMs: 0 }, before: undefined });
  const lines = textsOf(snapshot(new Map([["c1", told(document)], ["c2", told({})]])), 200, 100);
  assert(
    lines.includes(
      " ! coordinator c3 (127.0.0.1:8082) does not answer, and was last heard of 41 s ago by the active one",
    ),
    lines.join("\n"),
  );
  const at = lines.findIndex((text) => text.startsWith("coordinator  role"));
  assertEquals(lines.slice(at + 1, at + 4), [
    "c1           active   127.0.0.1:8080       0          -  2026-11-21 12:00:00",
    "c2           standby  127.0.0.1:8081       1  200ms ago                    -",
    "c3           standby  127.0.0.1:8082      12  41.0s ago                    -",
  ]);
});

function activeSays(): MetricSet {
  const set = new MetricSet();
  const sinceMs = Date.UTC(2026, 10, 21, 12);
  const line = (id: string, behind: number, heardMs: number) => ({
    id,
    folder: id,
    address: id,
    role: id === "c1" ? "active" as const : "standby" as const,
    behind,
    heard_ms: heardMs,
  });
  const coordinators = [line("c1", 0, 0), line("c2", 1, 200), line("c3", 12, 41_000)];
  const report = { ...ALONE, needed: 2, active_since: sinceMs, coordinators };
  collectCoordinators(set, report, sinceMs + 60_000);
  return set;
}

Deno.test("topLines: fits into any terminal", () => {
  for (const [columns, rows] of [[1, 1], [20, 3], [80, 24]] as const) {
    const lines = textsOf(snapshot(), columns, rows);
    assert(lines.length <= rows);
    for (const line of lines) assert(line.length <= columns);
  }
});
