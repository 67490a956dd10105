import { assertEquals } from "@std/assert";
import { diagnose, type Examined, type Patient } from "../../../../shared/diagnosis/diagnosis.ts";
import { processFigures } from "../../../../shared/metrics/figures.ts";
import { fakeMap } from "../../../support/worlds/fake_cluster.ts";

const NOTHING = processFigures({ document: {}, atMs: 0 }, undefined);
const FIGURES = { ...NOTHING, version: "0.1.0", commitP99Ms: 5, connectionsMax: 5_000, dateMs: 0 };

function process(id: string, of: Partial<typeof NOTHING> = {}, clockMs = 0): Examined {
  return { id, figures: { ...FIGURES, ...of }, error: undefined, clockMs, answerMs: 10 };
}

const MAP = { ...fakeMap(), settings: { ...fakeMap().settings, minInSync: 2 } };
const WELL: Patient = {
  map: MAP,
  alerts: [],
  coordinators: {
    list: ["c1", "c2", "c3"].map((id) => ({
      id,
      address: `${id}:1`,
      role: id === "c1" ? "active" : "standby",
      figures: FIGURES,
    })),
    needed: 2,
    hasActive: true,
  },
  processes: [process("coordinator"), ...MAP.nodes.map(({ id }) => process(id))],
};

function bad(patient: Patient): string[] {
  return diagnose(patient).filter(({ verdict }) => verdict === "bad").map(({ about }) => about);
}

function withNode(of: Partial<typeof NOTHING>, clockMs = 0): Patient {
  return { ...WELL, processes: [...WELL.processes.slice(0, 2), process("n9", of, clockMs)] };
}

Deno.test("diagnose: a well cluster has nothing to mend; what is not told is unknown, and not well", () => {
  assertEquals(bad(WELL), []);
  const silent = diagnose({ ...WELL, processes: [] });
  assertEquals(
    silent.filter(({ verdict }) => verdict === "unknown").map(({ about }) => about),
    ["versions", "clocks", "disks", "descriptors"],
  );
});

Deno.test("diagnose: each thing that is to be mended is found, and says what to do", () => {
  const { settings, nodes } = MAP;
  const map = (change: Partial<typeof MAP>): Patient => ({ ...WELL, map: { ...MAP, ...change } });
  const [first, second] = nodes;
  if (first === undefined || second === undefined) throw new Error("the map has two nodes");
  const table: [Patient, string[]][] = [
    [{ ...WELL, processes: [{ ...process("n1"), figures: undefined, error: "refused" }] }, [
      "processes",
    ]],
    [{ ...WELL, coordinators: { list: [], hasActive: false } }, ["coordinators"]],
    // A node that is a cluster by itself.
    [{ ...WELL, coordinators: undefined }, []],
    [map({ settings: { ...settings, replicationFactor: 1 } }), ["redundancy"]],
    [map({ settings: { ...settings, minInSync: 1 } }), ["redundancy"]],
    [map({ nodes: [first, { ...second, state: "down" }] }), ["redundancy", "zones"]],
    [map({ nodes: [first, { ...second, zone: first.zone }] }), ["zones"]],
    [withNode({ version: "0.2.0" }), ["versions"]],
    [withNode({}, 1_500), ["clocks"]],
    [withNode({}, -1_500), ["clocks"]],
    // The answer may have taken this time back.
    [withNode({}, 1_005), []],
    [withNode({ commitP99Ms: 400 }), ["disks"]],
    [map({ nodes: [first, { ...second, host: "10.0.0.2" }] }), ["addresses"]],
    [map({ nodes: [first, { ...second, host: first.host, port: first.port }] }), ["addresses"]],
    [withNode({ connectionsMax: 130 }), ["descriptors"]],
    [withNode({ certificateFromMs: 0, certificateEndMs: 100, dateMs: 90 }), ["certificates"]],
    [withNode({ certificateFromMs: 0, certificateEndMs: 100, dateMs: 50 }), []],
    [
      {
        ...WELL,
        alerts: [{ name: "KvSlowDisk", severity: "warning", text: "slow", todo: "Mend it." }],
      },
      ["alerts"],
    ],
  ];
  for (const [patient, wanted] of table) {
    assertEquals(bad(patient), wanted);
    for (const { verdict, todo } of diagnose(patient)) {
      assertEquals(verdict === "bad", todo !== undefined);
    }
  }
});
