import { assert, assertEquals } from "@std/assert";
import {
  type CoordinatorsReport,
  coordinatorsReport,
} from "../../../../coordinator/coordinators_report.ts";
import { collectCoordinators } from "../../../../coordinator/coordinator_metrics.ts";
import { ALERTS, alertsOf, whyAway } from "../../../../shared/diagnosis/alerts.ts";
import { coordinatorProblems } from "../../../../shared/diagnosis/coordinator_diagnosis.ts";
import { coordinatorsView } from "../../../../shared/diagnosis/coordinator_figures.ts";
import { metricDocument } from "../../../../shared/metrics/metric_document.ts";
import { MetricSet } from "../../../../shared/metrics/metric_set.ts";
import { ALONE } from "../../../support/data/coordinators_sample.ts";

type Line = CoordinatorsReport["coordinators"][number];

const KNOWN = ["c1", "c2", "c3"].map((id) => ({ id, host: id, port: 8080 }));
const NOW_MS = 100_000;

function line(id: string, of: Partial<Line> = {}): Line {
  const role = id === "c1" ? "active" as const : "standby" as const;
  return { id, folder: id, address: `${id}:8080`, role, behind: 0, heard_ms: 200, ...of };
}

/** What a coordinator says of itself. */
function told(report: Partial<CoordinatorsReport>) {
  const set = new MetricSet();
  collectCoordinators(set, { ...ALONE, needed: 2, ...report }, NOW_MS);
  return { now: { document: metricDocument(set), atMs: 0 }, before: undefined };
}

const STANDBY = told({ role: "standby", right: false, active_since: null, coordinators: [] });

function active(...coordinators: Line[]) {
  return told({ active_since: 40_000, coordinators });
}

function view(entries: Record<string, ReturnType<typeof told>>, known = KNOWN) {
  return coordinatorsView(known, new Map(Object.entries(entries)));
}

const WELL = {
  c1: active(line("c1"), line("c2"), line("c3")),
  c2: STANDBY,
  c3: STANDBY,
};

function problems(of: ReturnType<typeof view>): string[] {
  const found = [...coordinatorProblems(of)];
  for (const [, todo] of found) assert(todo.length > 0);
  return found.map(([text]) => text);
}

function alerts(of: ReturnType<typeof view>): string[] {
  const facts = {
    awaitedNodes: 0,
    partitions: 1,
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
  return alertsOf(facts, [], NOW_MS, of).map(({ name }) => name);
}

Deno.test("coordinatorsView: who is active and since when, how far the others are behind, when they were heard of", () => {
  const { list, needed, hasActive } = view(WELL);
  assertEquals([needed, hasActive], [2, true]);
  assertEquals(list.map(({ figures: _, ...rest }) => rest), [
    {
      id: "c1",
      address: "c1:8080",
      role: "active",
      behind: 0,
      silentMs: 200,
      activeSinceMs: 40_000,
    },
    { id: "c2", address: "c2:8080", role: "standby", behind: 0, silentMs: 200 },
    { id: "c3", address: "c3:8080", role: "standby", behind: 0, silentMs: 200 },
  ]);
  assertEquals([problems(view(WELL)), alerts(view(WELL))], [[], []]);
});

Deno.test("coordinatorsView: of two that say that they are active, the later one counts", () => {
  const late = told({
    generation: 7,
    active_since: 90_000,
    coordinators: [line("c1"), line("c2", { role: "active" })],
  });
  const roles = view({ ...WELL, c2: late }).list.map(({ role }) => role);
  assertEquals(roles, ["active", "active", "standby"]);
  assertEquals(view({ ...WELL, c2: late }).list[1]?.activeSinceMs, 90_000);
});

Deno.test("coordinators: each thing that is wrong with them is told by doctor, and is an alert if it cannot wait", () => {
  const { c1, c2, c3 } = WELL;
  const with3 = (of: Partial<Line>) => active(line("c1"), line("c2"), line("c3", of));
  const table: [Record<string, ReturnType<typeof told>>, RegExp[], string[]][] = [
    [{ c1, c2 }, [/^c3 \(c3:8080\) does not answer$/], ["KvCoordinatorAway"]],
    [
      { c1: with3({ heard_ms: 41_000 }), c2 },
      [/^c3 .* does not answer, and was last heard of 41 s ago by the active one$/],
      ["KvCoordinatorAway"],
    ],
    // It answers whoever looks, and not the active one.
    [{ c1: with3({ heard_ms: 41_000 }), c2, c3 }, [/^c3 .* was last heard of 41 s/], [
      "KvCoordinatorAway",
    ]],
    [{ c1: with3({ heard_ms: null }), c2, c3 }, [/^c3 .* was last heard of 60 s/], [
      "KvCoordinatorAway",
    ]],
    [{ c1: with3({ behind: 11 }), c2, c3 }, [/^c3 .* is 11 changes behind$/], [
      "KvCoordinatorAway",
    ]],
    [{ c1: with3({ behind: 10 }), c2, c3 }, [], []],
    // Nobody acts.
    [{ c2 }, [/^none can act: 1 of 3 answer, and 2 have/, /^c1 /, /^c3 /], [
      "KvNoActiveCoordinator",
      "KvCoordinatorAway",
      "KvCoordinatorAway",
    ]],
    [{ c1: told({ right: false, coordinators: [line("c1"), line("c2"), line("c3")] }), c2, c3 }, [
      /^none can act: 3 of 3 answer/,
    ], ["KvNoActiveCoordinator"]],
    [{}, [/^none can act: 0 of 3 answer, and a majority/, /^c1 /, /^c2 /, /^c3 /], [
      "KvCoordinatorUnreachable",
    ]],
    [
      {
        ...WELL,
        c1: active(line("c1"), line("c2"), line("c3"), line("c4", { role: "waiting" })),
      },
      [/^c4 waits to be added$/],
      [],
    ],
  ];
  for (const [entries, texts, names] of table) {
    const found = problems(view(entries));
    assertEquals(found.length, texts.length, found.join("; "));
    texts.forEach((text, i) => assert(text.test(found[i] ?? ""), `${text}: ${found[i]}`));
    assertEquals(alerts(view(entries)), names);
    for (const name of names) assert(name in ALERTS);
  }
});

Deno.test("doctor: one coordinator alone, and an even number of them, are to be mended; in an etcd any number will do", () => {
  const first = KNOWN.slice(0, 1);
  const alone = view({ c1: told({ needed: 1, coordinators: [line("c1")] }) }, first);
  assertEquals(problems(alone).length, 1);
  assert(problems(alone)[0]?.startsWith("there is one"));
  assertEquals(alerts(alone), []);
  const two = active(line("c1"), line("c2"));
  assertEquals(problems(view({ c1: two, c2: STANDBY }, KNOWN.slice(0, 2))), [
    "there are 2, of which 2 are needed: no more of them may die than of 1",
  ]);
  const etcd = told({ needed: 1, coordinators: [line("c1"), line("c2")] });
  assertEquals(problems(view({ c1: etcd, c2: STANDBY }, KNOWN.slice(0, 2))), []);
});

Deno.test("collectCoordinators: two folders of one name are one series, that of the new folder", () => {
  const set = new MetricSet();
  const lines = [
    line("c1"),
    line("c2", { role: "leaving", folder: "old", behind: 9 }),
    line("c2", { role: "joining", folder: "new", behind: 1 }),
    line("c2", { role: "waiting", folder: "other", behind: 5 }),
  ];
  collectCoordinators(set, { ...ALONE, active_since: 40_000, coordinators: lines }, NOW_MS);
  assertEquals(
    set.samples("kv_coordinator_member").map(({ labels }) => labels),
    [["c1", "active"], ["c2", "joining"]],
  );
  assertEquals(set.samples("kv_coordinator_behind").map(({ value }) => value), [0, 1]);
});

Deno.test("whyAway: of one that waits for an operator nothing is expected", () => {
  assertEquals(whyAway({ id: "c4", address: "", role: "waiting" }), undefined);
  assertEquals(whyAway({ id: "c4", address: "" }), "does not answer");
  assertEquals(coordinatorsReport(undefined, false, { monotonicMs: 0 }).needed, 1);
});
