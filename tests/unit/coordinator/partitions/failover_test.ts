import { assertEquals } from "@std/assert";
import {
  type Case,
  judge,
  type ReplicaStanding,
} from "../../../../coordinator/partitions/failover.ts";
import type { PartitionConfig } from "../../../../shared/cluster/cluster_map.ts";

const NOW = 100_000;

/** Kinds of replicas; ages in ms before now. */
const base: ReplicaStanding = {
  writable: true,
  presence: "live",
  stale: false,
  damaged: false,
  canBeTold: true,
  lagging: false,
  saidGoodbye: false,
  going: false,
  lastSeenMs: NOW - 100,
  registeredMs: 0,
  leaseUntilMs: NOW + 1_475,
  held: undefined,
};
const KINDS = {
  current: base,
  down: { ...base, presence: "down", lastSeenMs: NOW - 2_500, leaseUntilMs: NOW - 925 },
  // Missed, but its lease may still last (the settings have changed, say).
  downLeased: { ...base, presence: "down", lastSeenMs: NOW - 2_500, leaseUntilMs: NOW + 500 },
  // Went down with the others, a moment before them.
  downNow: { ...base, presence: "down", lastSeenMs: NOW - 400, leaseUntilMs: NOW - 925 },
  unknown: { ...base, presence: "unknown", lastSeenMs: NOW - 1_000 },
  restarted: { ...base, stale: true, registeredMs: NOW - 1_000, held: { term: 5, lastSeq: 10 } },
  restartedAhead: {
    ...base,
    stale: true,
    registeredMs: NOW - 1_000,
    held: { term: 5, lastSeq: 12 },
  },
  restartedNewTerm: {
    ...base,
    stale: true,
    registeredMs: NOW - 1_000,
    held: { term: 6, lastSeq: 9 },
  },
  restartedNow: { ...base, stale: true, registeredMs: NOW - 50, held: { term: 5, lastSeq: 10 } },
  restartedEmpty: { ...base, stale: true, registeredMs: NOW - 1_000 },
  restartedDamaged: { ...base, stale: true, damaged: true, held: { term: 5, lastSeq: 99 } },
  damaged: { ...base, damaged: true },
  lagging: { ...base, lagging: true },
  goneJustNow: { ...base, presence: "down", lastSeenMs: NOW - 400, saidGoodbye: true },
  going: { ...base, going: true },
} as const satisfies Record<string, ReplicaStanding>;
type Kind = keyof typeof KINDS;

interface Row {
  name: string;
  /** The in-sync set, in order; the first is primary unless `primary` says otherwise. */
  replicas: Kind[];
  primary?: number | "none";
  learners?: Kind[];
  leaseUntilMs?: number;
  graceUntilMs?: number;
  fresh?: boolean;
  /** Indices of replicas: what is expected. Absent: nothing changes. */
  change?: { primary: number | "none"; inSync: number[]; revived?: number[] };
  learnersLeft?: number;
  wait?: number;
  lost?: boolean;
}

const ROWS: Row[] = [
  { name: "all current: nothing", replicas: ["current", "current", "current"] },
  {
    name: "current primary drops a down replica",
    replicas: ["current", "down", "current"],
    change: { primary: 0, inSync: [0, 2] },
  },
  {
    name: "current primary drops a stale replica",
    replicas: ["current", "restarted", "current"],
    change: { primary: 0, inSync: [0, 2] },
  },
  {
    name: "one change drops all that must go",
    replicas: ["current", "restarted", "down"],
    change: { primary: 0, inSync: [0] },
  },
  {
    name: "one that said good-bye goes at once",
    replicas: ["current", "goneJustNow", "current"],
    change: { primary: 0, inSync: [0, 2] },
  },
  {
    name: "where the primary is about to go as well, all replicas keep their claim",
    replicas: ["going", "goneJustNow"],
    wait: NOW + 500,
  },
  {
    name: "a lagging replica goes",
    replicas: ["current", "lagging", "current"],
    change: { primary: 0, inSync: [0, 2] },
  },
  {
    name: "a damaged replica goes",
    replicas: ["current", "damaged"],
    change: { primary: 0, inSync: [0] },
  },
  {
    name: "a primary not heard of since does not drop a down replica",
    replicas: ["current", "downNow"],
    wait: NOW + 500,
  },
  {
    name: "a primary not heard of since does not drop a restarted replica",
    replicas: ["current", "restartedNow"],
    wait: NOW + 500,
  },
  {
    name: "after a coordinator's start nobody is dropped",
    replicas: ["current", "unknown", "unknown"],
  },
  {
    name: "after a coordinator's start a silent primary is waited for",
    replicas: ["unknown", "current"],
    wait: NOW + 1_500,
  },
  {
    name: "a learner that is down goes",
    replicas: ["current"],
    learners: ["down", "current"],
    change: { primary: 0, inSync: [0] },
    learnersLeft: 1,
  },
  {
    name: "down primary: the next in order takes over",
    replicas: ["down", "current", "current"],
    change: { primary: 1, inSync: [1, 2] },
  },
  {
    name: "down primary: stale, down and damaged ones are passed over and dropped",
    replicas: ["down", "restarted", "down", "damaged", "current"],
    change: { primary: 4, inSync: [4] },
  },
  {
    name: "down primary: its lease is waited for",
    replicas: ["downLeased", "current"],
    wait: NOW + 500,
  },
  {
    name: "down primary: a lease of an earlier one is waited for",
    replicas: ["current", "current"],
    primary: "none",
    leaseUntilMs: NOW + 700,
    wait: NOW + 700,
  },
  {
    name: "no primary: the first current one",
    replicas: ["restarted", "current"],
    primary: "none",
    change: { primary: 1, inSync: [1] },
  },
  {
    name: "down primary: a replica not heard of since does not take over",
    replicas: ["downNow", "current"],
    wait: NOW + 500,
  },
  {
    name: "undecided replicas stay in the set",
    replicas: ["down", "current", "unknown"],
    change: { primary: 1, inSync: [1, 2] },
  },
  {
    name: "damaged primary: the next takes over at once, leases or not",
    replicas: ["damaged", "current"],
    change: { primary: 1, inSync: [1] },
  },
  { name: "damaged primary alone stays", replicas: ["damaged"] },
  {
    name: "damaged primary, the other replica away: nobody serves, nobody is dropped",
    replicas: ["damaged", "down"],
    change: { primary: "none", inSync: [0, 1] },
    lost: true,
  },
  {
    name: "damaged primary, a good restarted replica",
    replicas: ["damaged", "restarted"],
    change: { primary: 1, inSync: [1], revived: [1] },
  },
  {
    name: "all down: no primary, everybody keeps the claim",
    replicas: ["down", "down"],
    change: { primary: "none", inSync: [0, 1] },
    lost: true,
  },
  { name: "no primary, all down: lost", replicas: ["down", "down"], primary: "none", lost: true },
  {
    name: "all restarted: the one with the highest seq",
    replicas: ["restarted", "restartedAhead", "restarted"],
    primary: "none",
    change: { primary: 1, inSync: [1, 0, 2], revived: [1, 0, 2] },
  },
  {
    name: "all restarted: the term goes before the seq",
    replicas: ["restartedAhead", "restartedNewTerm"],
    primary: "none",
    change: { primary: 1, inSync: [1, 0], revived: [1, 0] },
  },
  {
    name: "all restarted: among equals the first in order",
    replicas: ["restarted", "restarted"],
    primary: "none",
    change: { primary: 0, inSync: [0, 1], revived: [0, 1] },
  },
  {
    name: "some restarted: the missing are waited for",
    replicas: ["restarted", "downNow"],
    primary: "none",
    wait: NOW - 400 + 2_500,
  },
  {
    name: "some restarted: not for ever",
    replicas: ["restarted", "down"],
    primary: "none",
    change: { primary: 0, inSync: [0], revived: [0] },
  },
  {
    name: "some restarted: a coordinator that could not hear waits",
    replicas: ["restarted", "down"],
    primary: "none",
    graceUntilMs: NOW + 900,
    wait: NOW + 900,
  },
  {
    name: "emptied and damaged replicas do not qualify",
    replicas: ["restartedEmpty", "restartedDamaged", "restarted"],
    primary: "none",
    change: { primary: 2, inSync: [2], revived: [2] },
  },
  {
    name: "only emptied replicas: lost",
    replicas: ["restartedEmpty", "restartedEmpty"],
    primary: "none",
    lost: true,
  },
  {
    name: "a partition that nobody ever served may begin anywhere",
    replicas: ["restartedEmpty", "restartedEmpty"],
    primary: "none",
    fresh: true,
    change: { primary: 0, inSync: [0, 1], revived: [0, 1] },
  },
  {
    name: "even that waits for all of them",
    replicas: ["restartedEmpty", "down"],
    primary: "none",
    fresh: true,
    lost: true,
  },
  { name: "a partition without replicas is not judged", replicas: [], primary: "none" },
];

for (const row of ROWS) {
  Deno.test(`judge: ${row.name}`, () => {
    const standings = new Map<string, ReplicaStanding>();
    row.replicas.forEach((kind, i) => standings.set(`n${i}`, KINDS[kind]));
    (row.learners ?? []).forEach((kind, i) => standings.set(`l${i}`, KINDS[kind]));
    const name = (i: number | "none") => i === "none" ? undefined : `n${i}`;
    const config: PartitionConfig = {
      term: 5,
      primary: name(row.primary ?? 0),
      inSync: row.replicas.map((_, i) => `n${i}`),
      learners: (row.learners ?? []).map((_, i) => `l${i}`),
    };
    const of: Case = {
      config,
      replica: (id) => standings.get(id) ?? base,
      leaseUntilMs: row.leaseUntilMs ?? 0,
      fresh: row.fresh ?? false,
      failureTimeoutMs: 2_500,
      graceUntilMs: row.graceUntilMs ?? 0,
      heartbeatIntervalMs: 500,
    };
    const verdict = judge(of, NOW);
    assertEquals(verdict.lost, row.lost ?? false);
    assertEquals(verdict.waitUntilMs, row.wait);
    if (row.change === undefined) {
      assertEquals(verdict.change, undefined);
      return;
    }
    const { primary, inSync, revived = [] } = row.change;
    assertEquals(verdict.change?.primary, name(primary));
    assertEquals(verdict.change?.inSync, inSync.map((i) => `n${i}`));
    assertEquals(verdict.change?.revived, revived.map((i) => `n${i}`));
    if (row.learnersLeft !== undefined) {
      assertEquals(verdict.change?.learners.length, row.learnersLeft);
    }
  });
}

Deno.test("judge: a term on disk that is above the map's raises the new one", () => {
  const of: Case = {
    config: { term: 5, primary: undefined, inSync: ["n0"], learners: [] },
    replica: () => ({ ...KINDS.restarted, held: { term: 40, lastSeq: 1 } }),
    leaseUntilMs: 0,
    fresh: false,
    failureTimeoutMs: 2_500,
    graceUntilMs: 0,
    heartbeatIntervalMs: 500,
  };
  assertEquals(judge(of, NOW).change?.termFloor, 40);
});
