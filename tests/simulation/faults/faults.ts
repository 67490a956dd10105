/**
 * What may go wrong in a run, by name, each with a rate. A run chooses at random which of them are
 * on and how often they strike ("swarm testing", Groce and others, 2012): quiet runs and wild ones,
 * and mixtures in which one fault does not hide another.
 *
 * @module
 */
import { type Random, randomBelow, randomFraction } from "../../../shared/platform/random.ts";
import { spread } from "../sim/scheduler.ts";
import { type NetworkOptions, QUIET_NETWORK } from "../sim/sim_network.ts";

/** Faults that strike at moments; rates are times a minute for the whole cluster. */
export interface FaultRates {
  cut: number;
  reset: number;
  slowLink: number;
  kill: number;
  pause: number;
  slowProcess: number;
  stop: number;
  join: number;
  leave: number;
  coordinatorKill: number;
  coordinatorStop: number;
  coordinatorPause: number;
  coordinatorSuspend: number;
  allAtOnce: number;
  wallJump: number;
  diskFull: number;
  diskSlow: number;
  readErrors: number;
  filesMissing: number;
  bitFlip: number;
  rot: number;
  oldFolder: number;
  /** Only in storms of their own: what else happens there must let everybody know what is to be noticed. */
  oldDocument: number;
  folderPutBack: number;
  channelCut: number;
  halfOpen: number;
  pairCut: number;
  suspend: number;
  claim: number;
  isolate: number;
  orphan: number;
  forget: number;
  replace: number;
  learnerDamage: number;
  /** Only where there are several coordinators. */
  coordinatorSet: number;
  /** Only in a storm of its own: what was acknowledged is given up. */
  forceInTransfer: number;
}

/** The name of such a fault. */
export type FaultName = keyof FaultRates;

/** Everything that a run may suffer. */
export interface Faults {
  readonly rates: FaultRates;
  readonly network: NetworkOptions;
  /** Drift of the clocks: from 0 for none to 1 for all that is allowed. */
  readonly drift: number;
  /** How far dates may be off. */
  readonly wallOffsetMs: number;
  /** The share of deaths in which the host loses its power. */
  readonly powerLoss: number;
  /** The share of cuts that are one-way, and the share that make streams be forgotten. */
  readonly oneWay: number;
  readonly forgetful: number;
  /** How long things stay broken, at most. */
  readonly outageMsMax: number;
  /** The share of restarts before which batches vanish from the disk. */
  readonly vanishing: number;
}

/** The highest rates. */
const RATES_MAX: FaultRates = {
  cut: 12,
  reset: 12,
  slowLink: 4,
  kill: 8,
  pause: 10,
  slowProcess: 3,
  stop: 3,
  join: 1,
  leave: 1,
  coordinatorKill: 4,
  coordinatorStop: 2,
  coordinatorPause: 3,
  coordinatorSuspend: 2,
  allAtOnce: 0.7,
  wallJump: 3,
  diskFull: 3,
  diskSlow: 4,
  readErrors: 2,
  filesMissing: 2,
  bitFlip: 4,
  rot: 1.5,
  oldFolder: 6,
  oldDocument: 0,
  folderPutBack: 0,
  channelCut: 8,
  halfOpen: 4,
  pairCut: 4,
  suspend: 6,
  claim: 4,
  isolate: 3,
  orphan: 3,
  forget: 1,
  replace: 1,
  learnerDamage: 3,
  coordinatorSet: 0,
  forceInTransfer: 0,
};

/** Nothing goes wrong. */
export function noFaults(): Faults {
  const rates = { ...RATES_MAX };
  for (const name of Object.keys(rates) as FaultName[]) rates[name] = 0;
  return {
    rates,
    network: QUIET_NETWORK,
    drift: 0,
    wallOffsetMs: 0,
    powerLoss: 0,
    oneWay: 0,
    forgetful: 0,
    outageMsMax: 1_000,
    vanishing: 0,
  };
}

/** Without what only disks can suffer: nodes that keep everything in memory. */
export function withoutDisks(faults: Faults): Faults {
  const { rates } = faults;
  return {
    ...faults,
    rates: {
      ...rates,
      diskFull: 0,
      diskSlow: 0,
      readErrors: 0,
      filesMissing: 0,
      bitFlip: 0,
      rot: 0,
      oldFolder: 0,
      forget: 0,
      replace: 0,
      learnerDamage: 0,
    },
    vanishing: 0,
  };
}

/** Chooses what goes wrong in a run. */
export function chooseFaults(random: Random): Faults {
  const share = (of: number) => randomFraction(random) < of;
  const quiet = share(0.08);
  // Some runs have few kinds of faults, some nearly all; most kinds are in most runs.
  const on = quiet ? 0 : 0.35 + 0.6 * randomFraction(random);
  const rates = { ...RATES_MAX };
  for (const name of Object.keys(rates) as FaultName[]) {
    if (RATES_MAX[name] === 0) continue;
    const rate = spread(random, RATES_MAX[name] / 8, RATES_MAX[name]);
    rates[name] = share(on) ? rate : 0;
  }
  const latency = randomBelow(random, 4);
  const some = (max: number) => share(on) ? spread(random, max / 50, max) : 0;
  return {
    rates,
    network: {
      latencyMinMs: [0.1, 0.5, 5, 20][latency] ?? 0.5,
      latencySpreadMs: [0.5, 3, 20, 60][latency] ?? 3,
      spikeRate: some(0.03),
      spikeMs: spread(random, 20, 1_500),
      datagramLoss: some(0.5),
      datagramDoubling: some(0.3),
      refusals: some(0.1),
      splits: some(0.1),
      bufferBytes: share(0.3) ? 16 * 1024 : 256 * 1024,
    },
    drift: share(0.6) ? 1 : 0,
    wallOffsetMs: share(0.5) ? spread(random, 10, 3_600_000) : 0,
    powerLoss: share(on) ? randomFraction(random) : 0,
    oneWay: share(on) ? randomFraction(random) : 0,
    forgetful: share(on) ? randomFraction(random) * 0.5 : 0,
    outageMsMax: spread(random, 1_000, 40_000),
    vanishing: share(on * 0.5) ? 0.5 : 0,
  };
}
