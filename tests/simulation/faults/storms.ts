/**
 * Kinds of storms that give one sort of mistake more occasions to show than a storm of all kinds does.
 * `mutations.ts` says which seeded bug is looked for in which.
 *
 * @module
 */
import { FAILURE_TIMEOUT_MS, LEASE_MS } from "../../../shared/limits/membership.ts";
import type { UNSERVED_MS_MAX } from "./availability.ts";
import { noFaults } from "./faults.ts";
import type { SimulationOptions } from "../simulation.ts";

const NONE = noFaults();
const BUSY = { coldKeys: 0, looseKeys: 0, hotPercent: 100, loosePercent: 0, pauseMsMax: 100 };

/** No client session is forgotten: for storms in which no request may end with an unknown outcome. */
const REMEMBERED = { clientSessionsMax: undefined } as const;

/** Messages take from a moment to half a second, and hosts lose their power. */
const LATE = {
  ...NONE,
  network: { ...NONE.network, latencyMinMs: 1, latencySpreadMs: 120, spikeRate: 0.1, spikeMs: 500 },
  outageMsMax: 3_000,
  powerLoss: 1,
  drift: 1,
};

const USUAL_LEASE = { leaseMs: LEASE_MS, failureTimeoutMs: FAILURE_TIMEOUT_MS };
const LEASES = [USUAL_LEASE, { leaseMs: 12_000, failureTimeoutMs: 14_000 }, USUAL_LEASE];

/** One sort of fault, one at a time: `availability.ts` says for how long it may be felt. */
function alone(name: keyof typeof UNSERVED_MS_MAX) {
  return {
    alone: name,
    faults: { ...NONE, rates: { ...NONE.rates, [name]: 20 }, outageMsMax: 12_000 },
    stormMs: 90_000,
    scanner: false,
    shape: { replicationFactor: 3, minInSync: 1, repairDelayMs: 500, memory: false, ...REMEMBERED },
    workload: { pauseMsMax: 200, coldKeys: 24, looseKeys: 0, loosePercent: 0 },
    atomic: { pauseMsMax: 8_000 },
  } as const;
}

/** Replicas are filled in many small pieces, over links that are not fast, while much is written and deleted. */
const IN_PIECES = {
  links: {
    network: { ...NONE.network, latencyMinMs: 1, latencySpreadMs: 60 },
    outageMsMax: 6_000,
  },
  shape: {
    partitions: 2,
    replicationFactor: 2,
    minInSync: 1,
    repairDelayMs: 500,
    memory: false,
    expectNodes: 1,
    tombstoneKeepMs: 1_000,
    resyncRowsMax: 2,
    recentWritesMax: 4,
  },
  workload: {
    ...BUSY,
    hotKeys: 240,
    pauseMsMax: 60,
    weakPercent: 0,
    weights: { read: 10, exists: 5, write: 10, create: 40, update: 0, delete: 35 },
  },
};

/** Storms of few kinds of faults, and clients that all want the same few keys. */
export const STORMS = {
  /** The network is cut again and again, and processes stand still. */
  cuts: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, cut: 10, pause: 6, coordinatorPause: 2 },
      oneWay: 0.3,
      outageMsMax: 12_000,
      drift: 1,
    },
    stormMs: 120_000,
    shape: { replicationFactor: 3, memory: false },
    workload: { ...BUSY, hotKeys: 8, weakPercent: 0 },
  },
  /**
   * Three coordinators, that die, stand still, and lose each other, the nodes and their disks, while an operator adds,
   * removes and replaces some: from one to five.
   */
  coordinators: {
    faults: {
      ...NONE,
      rates: {
        ...NONE.rates,
        cut: 8,
        pairCut: 2,
        channelCut: 4,
        halfOpen: 2,
        kill: 1,
        pause: 1,
        coordinatorKill: 6,
        coordinatorStop: 2,
        coordinatorPause: 4,
        coordinatorSuspend: 2,
        diskSlow: 2,
        diskFull: 1,
        wallJump: 0.5,
        coordinatorSet: 10,
      },
      network: {
        ...NONE.network,
        latencyMinMs: 1,
        latencySpreadMs: 30,
        spikeRate: 0.02,
        spikeMs: 2_000,
      },
      oneWay: 0.4,
      powerLoss: 0.5,
      outageMsMax: 8_000,
      drift: 1,
    },
    stormMs: 120_000,
    shape: { replicationFactor: 3, memory: false, coordinators: 3, ...REMEMBERED },
    workload: { ...BUSY, hotKeys: 8, weakPercent: 0 },
  },
  /** As `cuts`, more of them, and the clients contradict each other all the time. */
  splits: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, cut: 20, pause: 3, kill: 3 },
      outageMsMax: 8_000,
      drift: 1,
    },
    stormMs: 120_000,
    shape: { replicationFactor: 3, memory: false },
    workload: {
      ...BUSY,
      hotKeys: 12,
      pauseMsMax: 40,
      weakPercent: 50,
      weights: { read: 30, exists: 5, write: 10, create: 20, update: 5, delete: 30 },
    },
  },
  /**
   * Messages take from a moment to half a second, and nodes die all the time: what is done in the
   * wrong order stays so for long enough to be seen, and a death comes in between.
   */
  late: {
    faults: { ...LATE, rates: { ...NONE.rates, kill: 18, cut: 6 } },
    stormMs: 120_000,
    // Laid out on the first node that comes; what it takes alone may be lost with it.
    shape: { replicationFactor: 3, minInSync: 1, memory: false, expectNodes: 1 },
    workload: { ...BUSY, hotKeys: 6, pauseMsMax: 40, weakPercent: 50 },
    atomic: { pauseMsMax: 8_000 },
  },
  /** Disks fail to read for a while, and nothing on them is damaged. */
  reads: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, readErrors: 8, kill: 4 },
      outageMsMax: 6_000,
    },
    stormMs: 60_000,
    shape: { replicationFactor: 3, memory: false },
    workload: { ...BUSY, hotKeys: 12, coldKeys: 60, hotPercent: 60 },
  },
  /** Disks fail to read, now and then or for good, and blocks of databases rot. */
  disks: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, rot: 8, readErrors: 2, kill: 4, stop: 2 },
      outageMsMax: 6_000,
    },
    stormMs: 120_000,
    shape: { replicationFactor: 3, memory: false },
    workload: { ...BUSY, hotKeys: 12, coldKeys: 60, hotPercent: 60 },
  },
  /** The network falls apart for long enough that both sides have a primary, and clients read at both. */
  halves: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, cut: 10 },
      outageMsMax: 20_000,
      drift: 1,
    },
    stormMs: 120_000,
    shape: { replicationFactor: 3, memory: false },
    workload: {
      ...BUSY,
      hotKeys: 8,
      weakPercent: 0,
      weights: { read: 60, exists: 0, write: 40, create: 0, update: 0, delete: 0 },
    },
  },
  /** Nodes stand still with writes under way, and go on when others have taken over. */
  pauses: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, pause: 25 },
      network: { ...NONE.network, latencyMinMs: 5, latencySpreadMs: 30 },
      drift: 1,
    },
    stormMs: 120_000,
    shape: { replicationFactor: 3, memory: false },
    workload: { ...BUSY, hotKeys: 8, pauseMsMax: 40, weakPercent: 0 },
  },
  /** As `splits`, for clients that ask in transactions. */
  groups: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, cut: 20, pause: 3, kill: 4 },
      outageMsMax: 8_000,
      drift: 1,
    },
    stormMs: 120_000,
    shape: { replicationFactor: 3 },
    workload: { coldKeys: 4, looseKeys: 0, loosePercent: 0, pauseMsMax: 2_000 },
    atomic: { groups: 4, pauseMsMax: 60, lookPercent: 50 },
  },
  /** Nodes stop, die and come back; primaries and replicas move all the time. */
  moves: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, stop: 6, kill: 6, pause: 6, cut: 4 },
      network: { ...NONE.network, latencyMinMs: 5, latencySpreadMs: 20 },
      outageMsMax: 8_000,
      drift: 1,
    },
    stormMs: 120_000,
    shape: { repairDelayMs: 500, memory: false },
    workload: { ...BUSY, hotKeys: 16, weakPercent: 0 },
  },
  /** Keys come and go, tombstones are dropped soon, and nodes stay away for longer than that. */
  deletes: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, kill: 8, cut: 4 },
      outageMsMax: 30_000,
    },
    stormMs: 150_000,
    shape: {
      partitions: 2,
      replicationFactor: 2,
      minInSync: 1,
      repairDelayMs: 500,
      memory: false,
      expectNodes: 1,
      tombstoneKeepMs: 1_000,
    },
    workload: {
      ...BUSY,
      hotKeys: 40,
      pauseMsMax: 400,
      weakPercent: 0,
      weights: { read: 40, exists: 5, write: 10, create: 20, update: 5, delete: 30 },
    },
  },
  /**
   * As `deletes`, with so few writes that what a node has missed may be one deletion, and nobody remembers it: who was
   * there has restarted as well.
   */
  fewDeletes: {
    faults: { ...NONE, rates: { ...NONE.rates, kill: 16 }, outageMsMax: 30_000 },
    stormMs: 180_000,
    scanner: false,
    shape: {
      nodes: 3,
      partitions: 2,
      replicationFactor: 2,
      minInSync: 1,
      repairDelayMs: 60_000,
      memory: false,
      expectNodes: 3,
      tombstoneKeepMs: 500,
    },
    workload: {
      ...BUSY,
      hotKeys: 20,
      newPercent: 0,
      counterPercent: 0,
      expiringPercent: 0,
      sessionPercent: 0,
      pauseMsMax: 4_000,
      weakPercent: 0,
      weights: { read: 20, exists: 0, write: 15, create: 30, update: 0, delete: 35, cas: 0 },
    },
    atomic: { pauseMsMax: 20_000 },
  },
  /** As `deletes`, with tombstones that stay for as long as a copy is away. */
  deletesKept: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, kill: 8, cut: 4 },
      outageMsMax: 30_000,
    },
    stormMs: 150_000,
    shape: {
      partitions: 2,
      replicationFactor: 2,
      minInSync: 1,
      repairDelayMs: 500,
      memory: false,
      expectNodes: 1,
      tombstoneKeepMs: 3_600_000,
    },
    workload: {
      ...BUSY,
      hotKeys: 40,
      pauseMsMax: 400,
      weakPercent: 0,
      weights: { read: 40, exists: 5, write: 10, create: 20, update: 5, delete: 30 },
    },
  },
  /** As `deletes`, with disks that are slow, so that much is written while replicas are sent everything. */
  fills: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, kill: 8, cut: 4, diskSlow: 12 },
      outageMsMax: 20_000,
    },
    stormMs: 100_000,
    shape: {
      partitions: 2,
      replicationFactor: 2,
      minInSync: 1,
      repairDelayMs: 500,
      memory: false,
      expectNodes: 1,
      tombstoneKeepMs: 1_000,
    },
    workload: {
      ...BUSY,
      hotKeys: 60,
      pauseMsMax: 60,
      weakPercent: 0,
      weights: { read: 10, exists: 5, write: 10, create: 40, update: 0, delete: 35 },
    },
    atomic: { pauseMsMax: 8_000 },
  },
  /** Replicas are sent everything in many small pieces, and links break and nodes die in between, while much is deleted. */
  transfers: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, reset: 120, kill: 10, cut: 6 },
      ...IN_PIECES.links,
    },
    stormMs: 60_000,
    shape: IN_PIECES.shape,
    workload: IN_PIECES.workload,
    atomic: { pauseMsMax: 8_000 },
  },
  /** As `transfers`, with two replicas to fill, and an operator who gives up what is being filled. */
  forcedTransfers: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, reset: 120, kill: 6, cut: 4, forceInTransfer: 6 },
      ...IN_PIECES.links,
    },
    stormMs: 90_000,
    shape: { ...IN_PIECES.shape, nodes: 4, replicationFactor: 3, ...REMEMBERED },
    workload: IN_PIECES.workload,
    atomic: { pauseMsMax: 8_000 },
    lists: { pauseMsMax: 2_000 },
  },
  /**
   * Nodes and their links fail all the time, and what one replica alone has taken is to be given up; few keys
   * are written so often that the next write would hide one that was forgotten.
   */
  unacknowledged: {
    faults: { ...LATE, rates: { ...NONE.rates, kill: 14, cut: 16, pause: 4 } },
    stormMs: 120_000,
    shape: { replicationFactor: 3, minInSync: 1, memory: false, repairDelayMs: 500 },
    workload: {
      ...BUSY,
      hotKeys: 200,
      pauseMsMax: 60,
      weakPercent: 0,
      weights: { read: 20, exists: 0, write: 60, create: 10, update: 0, delete: 10 },
    },
    atomic: { pauseMsMax: 8_000 },
  },
  /** Primaries move by handover, and clients read through the gateway's cache. */
  caches: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, stop: 10, cut: 10, pause: 6 },
      network: { ...NONE.network, latencyMinMs: 1, latencySpreadMs: 20 },
      outageMsMax: 8_000,
      drift: 1,
    },
    stormMs: 120_000,
    shape: { repairDelayMs: 500, memory: false },
    workload: {
      ...BUSY,
      hotKeys: 8,
      weakPercent: 100,
      weights: { read: 80, exists: 0, write: 20, create: 0, update: 0, delete: 0 },
    },
  },
  /**
   * Nodes lose the coordinator and not each other, and what their replicas say of their reads is late: others
   * take over between the question and the answer, and clients read and write at both sides.
   */
  rounds: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, orphan: 24 },
      network: {
        ...NONE.network,
        latencyMinMs: 1,
        latencySpreadMs: 15,
        spikeRate: 0.25,
        spikeMs: 900,
      },
      outageMsMax: 14_000,
      drift: 1,
    },
    stormMs: 120_000,
    clients: ["node", "node", "node", "gateway", "node", "node", "node"],
    shape: { replicationFactor: 3, memory: false },
    workload: {
      ...BUSY,
      hotKeys: 8,
      pauseMsMax: 20,
      weakPercent: 0,
      weights: { read: 60, exists: 0, write: 40, create: 0, update: 0, delete: 0 },
    },
    atomic: { pauseMsMax: 8_000 },
  },
  /** Nodes that only clients reach, and clients that are content with what a replica has. */
  isolated: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, isolate: 10, kill: 2 },
      outageMsMax: 10_000,
      drift: 1,
    },
    stormMs: 90_000,
    shape: { replicationFactor: 3, memory: false },
    workload: {
      ...BUSY,
      hotKeys: 12,
      weakPercent: 70,
      weights: { read: 60, exists: 5, write: 35, create: 0, update: 0, delete: 0 },
    },
    atomic: { pauseMsMax: 8_000 },
  },
  /**
   * Values expire all the time, by dates that differ by more than a failover takes, and nodes are cut off
   * with what they have just decided.
   */
  expiries: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, kill: 2, isolate: 14 },
      wallOffsetMs: 20_000,
      outageMsMax: 4_000,
    },
    stormMs: 60_000,
    shape: { replicationFactor: 3, minInSync: 1, memory: false },
    workload: {
      ...BUSY,
      hotKeys: 20,
      pauseMsMax: 40,
      newPercent: 0,
      counterPercent: 0,
      expiringPercent: 100,
      ttlMsMin: 100,
      ttlMsMax: 2_000,
      weakPercent: 0,
      weights: { read: 70, exists: 10, write: 20, create: 0, update: 0, delete: 0, cas: 0 },
    },
    atomic: { pauseMsMax: 8_000 },
  },
  /** Answers are lost all the time, of requests that must not happen twice. */
  answers: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, reset: 40, cut: 10, kill: 4, pause: 4 },
      oneWay: 0.5,
      outageMsMax: 4_000,
    },
    stormMs: 60_000,
    shape: { replicationFactor: 3, memory: false },
    workload: {
      ...BUSY,
      hotKeys: 4,
      hotPercent: 30,
      counters: 8,
      counterPercent: 60,
      pauseMsMax: 40,
      sessionPercent: 0,
      weakPercent: 0,
    },
    atomic: { pauseMsMax: 8_000 },
  },
  /**
   * One client scans, counts and backs up without a rest, and all others write, for a short while each: nodes
   * that only clients reach read what is never committed, and nobody writes it again elsewhere.
   */
  scans: {
    faults: { ...LATE, rates: { ...NONE.rates, kill: 6, isolate: 12 } },
    stormMs: 60_000,
    shape: { partitions: 8, replicationFactor: 3, minInSync: 1, memory: false },
    scanner: true,
    workload: {
      ...BUSY,
      hotKeys: 16,
      pauseMsMax: 60,
      newPercent: 0,
      counterPercent: 0,
      expiringPercent: 0,
      weakPercent: 0,
      timeoutMsMin: 1_500,
      timeoutMsMax: 2_500,
      weights: { read: 30, exists: 0, write: 60, create: 0, update: 0, delete: 10, cas: 0 },
    },
    atomic: { pauseMsMax: 8_000 },
  },
  /** The coordinator dies again and again while members come and go. */
  coordinator: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, coordinatorKill: 10, kill: 6, diskSlow: 6 },
      outageMsMax: 4_000,
      powerLoss: 1,
    },
    stormMs: 120_000,
    shape: { repairDelayMs: 500, memory: false },
    workload: { ...BUSY, hotKeys: 8 },
  },
  /** Nodes stand still while the coordinator starts again and again, each time with other leases. */
  leases: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, pause: 20, coordinatorKill: 25 },
      outageMsMax: 2_000,
      drift: 1,
    },
    stormMs: 120_000,
    shape: { replicationFactor: 3, memory: false, leases: LEASES },
    workload: { ...BUSY, hotKeys: 8, weakPercent: 0 },
  },
  /** One node dies, and comes back; the next dies when all is well again. */
  deaths: alone("kill"),
  /** The same: nodes that stand still. */
  standstills: alone("pause"),
  /** The same: the coordinator. */
  "coordinator's deaths": alone("coordinatorKill"),
  "coordinator's standstills": alone("coordinatorPause"),
  /** The same: its machine sleeps, and only its date tells so. */
  "coordinator's sleeps": alone("coordinatorSuspend"),
  /** No fault, and then nodes that are stopped cleanly, which nobody may notice. */
  rolling: {
    faults: NONE,
    stormMs: 5_000,
    rolling: true,
    shape: { replicationFactor: 3, minInSync: 1, memory: false, ...REMEMBERED },
    workload: { pauseMsMax: 50, coldKeys: 24 },
    atomic: { pauseMsMax: 200 },
  },
  /** The coordinator starts again and again, sometimes on an old copy of its document. */
  documents: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, coordinatorKill: 6, oldDocument: 12 },
      outageMsMax: 1_000,
    },
    stormMs: 90_000,
    shape: { replicationFactor: 3, memory: false, leases: LEASES },
    workload: { ...BUSY, hotKeys: 8 },
  },
  /** An operator goes on from an old copy of the coordinator's document. */
  accepted: {
    faults: { ...NONE, rates: { ...NONE.rates, kill: 4 }, outageMsMax: 4_000 },
    stormMs: 20_000,
    acceptsOld: true,
    shape: { replicationFactor: 3, memory: false },
    workload: { pauseMsMax: 300, coldKeys: 24, looseKeys: 0, loosePercent: 0 },
    atomic: { pauseMsMax: 4_000 },
  },
  /** No fault, and then the active coordinator loses all nodes, and not the other coordinators. */
  deaf: {
    faults: NONE,
    stormMs: 5_000,
    losesNodes: true,
    scanner: false,
    shape: {
      nodes: 4,
      expectNodes: 4,
      replicationFactor: 3,
      minInSync: 1,
      memory: false,
      coordinators: 3,
      secured: false,
      ...REMEMBERED,
    },
    workload: { pauseMsMax: 300, coldKeys: 24, timeoutMsMin: 8_000, timeoutMsMax: 10_000 },
    atomic: { pauseMsMax: 4_000 },
  },
  /** An operator gives up partitions whose replicas come back later, with everything. */
  forces: {
    faults: { ...NONE, rates: { ...NONE.rates, kill: 4 }, outageMsMax: 4_000 },
    stormMs: 20_000,
    forces: true,
    shape: { nodes: 5, expectNodes: 5, replicationFactor: 2, minInSync: 1, memory: false },
    workload: { pauseMsMax: 200, coldKeys: 24, looseKeys: 0, loosePercent: 0 },
    atomic: { pauseMsMax: 4_000 },
  },
  /** All nodes die at once, and one comes back first, on a copy of its folder that was made while it ran. */
  put_back: {
    faults: { ...NONE, rates: { ...NONE.rates, folderPutBack: 12 }, outageMsMax: 1_000 },
    stormMs: 120_000,
    shape: { replicationFactor: 3, memory: false, fsync: "always", expectNodes: 3 },
    workload: { ...BUSY, hotKeys: 12, pauseMsMax: 40 },
  },
  /** No fault, and then disks that are full one after the other, for whose nodes others write. */
  full: {
    faults: NONE,
    stormMs: 5_000,
    fullDisks: true,
    shape: { replicationFactor: 3, minInSync: 2, memory: false, ...REMEMBERED },
    // What one disk alone has acknowledged may be lost with it, and with that a version that a client knows.
    workload: { pauseMsMax: 300, coldKeys: 24, looseKeys: 0, loosePercent: 0 },
    atomic: { pauseMsMax: 2_000 },
  },
  /** No fault, and then single ones between two hosts, each for a while. */
  outages: {
    faults: NONE,
    stormMs: 5_000,
    outages: true,
    // The keys that are asked for meanwhile are none of a scanner's.
    scanner: false,
    // One node is deaf and another one stopped: what is left must be enough for writes.
    shape: {
      nodes: 4,
      expectNodes: 4,
      replicationFactor: 3,
      minInSync: 1,
      memory: false,
      ...REMEMBERED,
    },
    // Weak reads and short deadlines end with errors while nobody serves.
    workload: { pauseMsMax: 300, coldKeys: 24, timeoutMsMin: 8_000, timeoutMsMax: 10_000 },
    atomic: { pauseMsMax: 4_000 },
  },
  /** TCP and UDP of nodes are cut one without the other, sessions are half open, and machines sleep. */
  channels: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, channelCut: 14, halfOpen: 8, suspend: 14, pairCut: 4, kill: 2 },
      network: { ...NONE.network, latencyMinMs: 1, latencySpreadMs: 60 },
      outageMsMax: 12_000,
      drift: 1,
    },
    stormMs: 120_000,
    shape: { replicationFactor: 3, memory: false },
    workload: {
      ...BUSY,
      hotKeys: 8,
      pauseMsMax: 40,
      weakPercent: 0,
      weights: { read: 60, exists: 0, write: 40, create: 0, update: 0, delete: 0 },
    },
  },
  /** Transactions over several partitions, all on the same few keys, whose leaders and participants die. */
  parts: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, kill: 10, cut: 6, reset: 6, pause: 3, stop: 2 },
      network: { ...NONE.network, latencyMinMs: 1, latencySpreadMs: 30 },
      outageMsMax: 5_000,
      powerLoss: 0.3,
    },
    stormMs: 60_000,
    scanner: false,
    shape: { replicationFactor: 3, memory: false },
    workload: { coldKeys: 12, pauseMsMax: 4_000 },
    atomic: { groups: 0 },
    lists: { lists: 4, accounts: 4, pauseMsMax: 100 },
  },
  /** Databases are dropped and made again under their names, while nodes are cut off from coordinators that die. */
  names: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, orphan: 20, cut: 6, kill: 2, coordinatorKill: 4 },
      network: { ...NONE.network, latencyMinMs: 1, latencySpreadMs: 10 },
      outageMsMax: 8_000,
      drift: 1,
    },
    stormMs: 90_000,
    scanner: false,
    databases: { pauseMsMax: 100, dropPercent: 20 },
    shape: { replicationFactor: 3, memory: false, coordinators: 3 },
    workload: { coldKeys: 12, pauseMsMax: 4_000 },
    atomic: { pauseMsMax: 8_000 },
    lists: { lists: 0, accounts: 0 },
  },
  /** Somebody who is no node claims partitions. */
  strangers: {
    faults: { ...NONE, rates: { ...NONE.rates, claim: 20, kill: 4, cut: 4 }, outageMsMax: 4_000 },
    stormMs: 60_000,
    shape: { replicationFactor: 3, memory: false },
    workload: { ...BUSY, hotKeys: 12 },
  },
  /** A secured cluster, whose nodes lose each other and the coordinator, and somebody who uses the occasion. */
  adversary: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, kill: 4, cut: 8, orphan: 6, coordinatorKill: 2 },
      outageMsMax: 12_000,
      drift: 1,
    },
    stormMs: 90_000,
    shape: { replicationFactor: 3, memory: false, secured: true },
    workload: { ...BUSY, hotKeys: 12, weakPercent: 0 },
  },
  /** Nodes die and come back, and somebody starts old copies of their folders. */
  copies: {
    faults: {
      ...NONE,
      rates: { ...NONE.rates, kill: 8, coordinatorKill: 3, oldFolder: 8 },
      outageMsMax: 4_000,
    },
    stormMs: 60_000,
    shape: { memory: false },
    workload: { coldKeys: 24, pauseMsMax: 1_000 },
  },
} as const satisfies Record<string, Partial<SimulationOptions>>;
