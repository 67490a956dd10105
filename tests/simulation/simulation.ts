/**
 * One run: a cluster and its clients from a seed, a storm in which things go wrong, a calm in which
 * everything must heal, and the checks. The seed (and the commit) decides everything.
 *
 * @module
 */
import { type DatabaseHabits, DatabaseWorkload } from "./workload/database_workload.ts";
import { BALANCE_BOUND } from "../../shared/limits/cluster.ts";
import { STOP_GRACE_MS } from "../../shared/limits/connections.ts";
import {
  DRAIN_TIMEOUT_MS,
  FAILURE_TIMEOUT_MS,
  HEARD_INTERVALS_MAX,
  HEARTBEAT_INTERVAL_MS,
  LEASE_MS,
} from "../../shared/limits/membership.ts";
import { TOMBSTONE_KEEP_MS } from "../../shared/limits/replication.ts";
import { REQUEST_TIMEOUT_MS } from "../../shared/limits/requests.ts";
import { DISK_FAILED_MS, DISK_HANDOVER_MS } from "../../shared/limits/storage.ts";
import type { Message, Reply, ReplyTo } from "../../shared/wire/messages.ts";
import { KvError } from "../../shared/base/errors.ts";
import { minInSyncDefault } from "../../shared/cluster/cluster_settings.ts";
import { partitionOf } from "../../shared/cluster/position.ts";
import {
  type Random,
  randomBelow,
  randomFraction,
  SeededRandom,
} from "../../shared/platform/random.ts";
import { place } from "../../coordinator/placement/placement.ts";
import type { CoordinatorsReport } from "../../coordinator/coordinators_report.ts";
import type { Coverage, Happening } from "./coverage.ts";
import { UNSERVED_MS_MAX } from "./faults/availability.ts";
import { chooseFaults, type Faults, withoutDisks } from "./faults/faults.ts";
import { compareReplicas, seqsOf } from "./checkers/replicas.ts";
import { History, isTelling } from "./checkers/history.ts";
import { Invariants, Violation } from "./checkers/invariants.ts";
import { judgeHistory } from "./checkers/judge.ts";
import { Adversary } from "./faults/adversary.ts";
import { loseNodes } from "./faults/lost_nodes.ts";
import { Nemesis } from "./faults/nemesis.ts";
import { type Outage, OUTAGES } from "./faults/outages.ts";
import { ServiceWatch } from "./checkers/service.ts";
import { between, Scheduler } from "./sim/scheduler.ts";
import type { Watcher } from "./workload/watcher.ts";
import { NOT_IN_PAGE, type Scanner } from "./workload/scanner.ts";
import { OPEN_AFTER_CLOSE_MS, whatIsOpen, whatIsQueued } from "./checkers/leaks.ts";
import { judgeAtomic } from "./checkers/atomic_checker.ts";
import { type AtomicCall, describe, groupKeys } from "./checkers/atomic_history.ts";
import { type AtomicOptions, AtomicWorkload } from "./workload/atomic_workload.ts";
import { Workload, type WorkloadClient, type WorkloadOptions } from "./workload/workload.ts";
import { checkLists } from "./checkers/list_checker.ts";
import { describeList } from "./checkers/list_history.ts";
import { type ListOptions, ListWorkload } from "./workload/list_workload.ts";
import { staleness } from "./checkers/weak_reads.ts";
import {
  type ClientKind,
  type ClusterShape,
  COORDINATOR_HOST,
  type LeaseTimes,
  type NodeHost,
  type Sabotage,
  World,
} from "./sim/world.ts";
import type { Trace } from "./trace.ts";

/** From the end of the storm until everything must be as if nothing had happened. */
export const HEAL_MS_MAX = 150_000;
/** After that, what was under way ends. */
const SETTLE_MS = 25_000;
/** After the probes of dead connections, what was under way over others ends: the longest deadline. */
const PROBED_MS = 12_000;
/** How often a partition is given up whose replicas come back, and how long the pauses around it are, at most. */
const FORCED_TURNS = 3;
const FORCED_PAUSE_MS = 5_000;
/** From the end of the storm until an operator gives up what is lost. */
const FORCE_AFTER_MS = 20_000;
/** The numbers of those who watch databases, which no other client has. */
const DATABASE_WATCHERS_FROM = 100;
/** By then a watcher has taken what was written before, however slow it is, or has gone on from its token. */
const WATCHERS_MS_MAX = 45_000;
/** How long nodes may still write by themselves when nobody asks for anything any more. */
const STILL_MS_MAX = 30_000;
/** How long clients then still ask; every one of their requests must succeed. */
const CALM_MS = 5_000;
/** A node that is told to stop is gone after this long. */
const ROLL_MS_MAX = DRAIN_TIMEOUT_MS + STOP_GRACE_MS + 2_000;
const FULL_DISKS = 2;
/** The node whose disk is full has written something by then, or tried to. */
const REFUSED_MS_MAX = 20_000;
/** From then on, and with a coordinator that it can talk to, others are primary of all that it was after this long. */
const FULL_MS_MAX = DISK_HANDOVER_MS - DISK_FAILED_MS;
/** How long clients are watched while a disk is full. */
const FULL_WATCH_MS = 5_000;
/** Operations that must have succeeded for each second of a run, or it proved nothing. */
const OK_PER_SECOND_MIN = 0.5;
/** Keys of a run with large partitions: more than a piece of a resync holds. */
const LARGE_KEYS = 2_500;
/**
 * How long a client's process pauses between two operations, at most, in how many of 16 runs. What a run
 * costs is what its operations cost, and faults strike by the clock: few runs are dense, and these are
 * shorter, so that most of the work goes into runs in which more goes wrong for each operation.
 */
const PAUSES_MS: readonly number[] =
  ([[1, 60], [1, 200], [3, 500], [5, 1_500], [6, 3_000]] as const)
    .flatMap(([runs, ms]) => Array<number>(runs).fill(ms));
/** Storms are shorter in runs whose pauses are shorter than about this. */
const SHORT_PAUSE_MS = 500;
/** Likewise between two transactions of a client, which are dearer, with six keys and more in each. */
const ATOMIC_PAUSES_MS = [800, 2_000, 4_000, 4_000] as const;
/** A client scans, counts and backs up in all but one of this many seeds; mostly seldom, because it is expensive. */
const SCANNER_EVERY = 4;
/** One run of so many has a client that makes, uses and drops databases. */
const DATABASES_EVERY = 3;
/** Rows of a database that was dropped are gone after this long without faults. */
const DROPPED_MS_MAX = 60_000;
const SCANNER_BUSY_EVERY = 8;
const SCANNER_LEISURE = 8;
/** How long one outage lasts, ... */
const OUTAGE_MS = 20_000;
/** ... how often every partition is asked meanwhile, ... */
const PROBE_MS = 500;
/**
 * ... and how long one may go without an answer: until its primary is known to be deaf, until its lease has run out,
 * and until another one has all replicas level.
 */
const OUTAGE_UNSERVED_MS_MAX = (HEARD_INTERVALS_MAX + 1) * HEARTBEAT_INTERVAL_MS +
  FAILURE_TIMEOUT_MS +
  4_000;
/** What is sent meanwhile by all together is at most 550 messages a second, as measured; in circles it is thousands. */
const MESSAGES_PER_SECOND_MAX = 2_000;
/** Until a node knows that it cannot reach another. */
const CLIENTS_LEARN_MS = 8_000;
/** The cluster is secured, and an adversary is in its network, in one of this many seeds. */
const SECURED_EVERY = 5;
/** Simulated time between looks at the rest of the world. */
const SLICE_MS = 1_000;
/** The real event loop gets a turn each time this many of them have passed. */
const SLICES_PER_TURN = 16;

const USUAL_LEASE: LeaseTimes = { leaseMs: LEASE_MS, failureTimeoutMs: FAILURE_TIMEOUT_MS };
/** The longest one is followed by two that are shorter. */
const CHANGING_LEASES = [USUAL_LEASE, {
  leaseMs: 6_000,
  failureTimeoutMs: 8_000,
}, USUAL_LEASE];

/** Of five runs, two have the product's default. In two a single disk may acknowledge: more can be lost there. */
const MIN_IN_SYNC: readonly (number | undefined)[] = [2, undefined, undefined, 1, 1];

/** What is wanted of a run. */
export interface SimulationOptions {
  readonly seed: number;
  /** Keeps the trace. Default false. */
  readonly recording?: boolean;
  /** How long the storm lasts; by the seed if it is not given. */
  readonly stormMs?: number;
  readonly faults?: Faults;
  readonly shape?: Partial<ClusterShape>;
  readonly workload?: WorkloadOptions;
  /** How the clients reach the cluster, one for each. Default: three to six of all kinds. */
  readonly clients?: readonly ClientKind[];
  /** The transactions beside it. */
  readonly atomic?: AtomicOptions;
  /** Lists and accounts over several partitions. */
  readonly lists?: ListOptions;
  /** Whether a client scans meanwhile, and often. Default: often in one seed of eight, at leisure in most. */
  readonly scanner?: boolean;
  /**
   * In the calm each node in turn is stopped cleanly and started again. That alone may cost no
   * request an error; there are no clients then that know but one node. Default false.
   */
  readonly rolling?: boolean;
  /**
   * In the calm the disks of two nodes are full for a while, one after the other: others must take over what it is
   * primary of, and then writes must succeed. Other replicas must be enough for a write. Default false.
   */
  readonly fullDisks?: boolean;
  /**
   * Before the calm, each of `faults/outages.ts` strikes alone, and every partition must be served again soon.
   * Default false.
   */
  readonly outages?: boolean;
  /**
   * Before the calm, a few times all nodes die that have all of a partition, an operator gives it up, and they come
   * back with what was given up. There must be more nodes than replicas. Default false.
   */
  readonly forces?: boolean;
  /**
   * Before the calm, an old copy of the coordinator's document is put back, and an operator has the coordinator go
   * on from it. Default false.
   */
  readonly acceptsOld?: boolean;
  /**
   * Before the calm, the active one of several coordinators loses all nodes while one of these dies. Default false.
   */
  readonly losesNodes?: boolean;
  /** A client that makes, uses and drops databases, and how. Default: in some runs. */
  readonly databases?: boolean | DatabaseHabits;
  /**
   * The only fault of the storm, which strikes when all is well. Every request must succeed whose deadline
   * is longer than what is stated for the fault. There are only clients then that find the cluster by
   * themselves. Default: none.
   */
  readonly alone?: keyof typeof UNSERVED_MS_MAX;
  readonly sabotage?: Sabotage;
}

/** What was wrong. */
export interface SimulationFailure {
  readonly what: string;
  readonly partition: number | undefined;
  readonly stack: string | undefined;
}

/** What a run was like. */
export interface SimulationResult {
  readonly seed: number;
  readonly simulatedMs: number;
  readonly events: number;
  readonly operations: number;
  readonly ok: number;
  /** Stands for all that happened, in its order. */
  readonly hash: number;
  readonly coverage: Coverage;
  readonly history: History;
  readonly transactions: readonly AtomicCall[];
  readonly trace: Trace;
  readonly failure: SimulationFailure | undefined;
}

/** Runs a seed. */
export function simulate(options: SimulationOptions): Promise<SimulationResult> {
  return new Simulation(options).run();
}

/** Databases in a run, and the client that uses them. */
interface DatabasesRun {
  readonly workload: DatabaseWorkload;
  readonly client: WorkloadClient;
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #random: Random;
  readonly #scheduler: Scheduler;
  readonly #world: World;
  readonly #history = new History();
  readonly #invariants: Invariants;
  readonly #nemesis: Nemesis;
  /** In a secured run. */
  readonly #adversary: Adversary | undefined;
  readonly #clients: WorkloadClient[] = [];
  #atomic: AtomicWorkload | undefined;
  #lists: ListWorkload | undefined;
  #scanner: Scanner | undefined;
  readonly #watchers: Watcher[] = [];
  /** In some runs. */
  #databases: DatabasesRun | undefined;
  readonly #large: boolean;
  readonly #pauseMsMax: number;
  #slices = 0;
  /** Partitions whose data an operator gave up, and how long the history was then. */
  readonly #forced = new Map<number, number>();
  /** Of each partition the term in which the storm found it, if there is one fault alone. */
  #terms: readonly number[] = [];

  constructor(options: SimulationOptions) {
    this.#options = options;
    const random = this.#random = new SeededRandom(options.seed * 2 + 1);
    const chosen = options.faults ?? chooseFaults(random);
    const nodes = 3 + randomBelow(random, 3);
    const replicationFactor = randomBelow(random, 4) === 0 ? 2 : 3;
    // A few large partitions in some runs, so that replicas are filled in many pieces.
    this.#large = randomBelow(random, 24) === 0 && chosen.network.latencyMinMs < 5;
    const memory = options.shape?.memory ?? randomBelow(random, 8) === 0;
    const faults = memory ? withoutDisks(chosen) : chosen;
    const shape: ClusterShape = {
      nodes,
      partitions: this.#large ? 1 + randomBelow(random, 2) : 8,
      replicationFactor,
      minInSync: MIN_IN_SYNC[randomBelow(random, MIN_IN_SYNC.length)] ??
        minInSyncDefault(replicationFactor),
      repairDelayMs: 1_000 + randomBelow(random, 5_000),
      expectNodes: randomBelow(random, 2) === 0 ? 1 : nodes,
      fsync: faults.powerLoss === 0 && randomBelow(random, 4) === 0 ? "interval" : "always",
      memory,
      // In half of the runs they are dropped while replicas that may need them are away.
      tombstoneKeepMs: randomBelow(random, 2) === 0
        ? TOMBSTONE_KEEP_MS
        : 2_000 + randomBelow(random, 20_000),
      // In a quarter of the runs the coordinator is started with other settings again and again.
      leases: options.seed % 4 === 1 ? CHANGING_LEASES : [USUAL_LEASE],
      secured: options.seed % SECURED_EVERY === 2,
      // In two thirds of the runs partitions forget client sessions all the time.
      clientSessionsMax: options.seed % 3 === 0 ? undefined : 2 + options.seed % 7,
      // In four fifths of the runs, what was written a moment ago is only in the journal, or nowhere but in the data.
      recentWritesMax: options.seed % 5 === 0 ? undefined : options.seed % 5,
      // In a quarter of the runs what a replica lacks is sent in many pieces.
      resyncRowsMax: options.seed % 4 === 3 ? 2 : undefined,
      ...options.shape,
    };
    this.#pauseMsMax = this.#large ? 30 : PAUSES_MS[randomBelow(random, PAUSES_MS.length)] ?? 200;
    this.#scheduler = new Scheduler(options.seed);
    const { recording = false, sabotage } = options;
    const scheduler = this.#scheduler;
    this.#world = new World(faults, shape, { recording, sabotage, scheduler });
    this.#invariants = new Invariants(this.#world, this.#history);
    this.#nemesis = new Nemesis(this.#world, new SeededRandom(random.uint32()));
    this.#nemesis.forcedTransfers.onForce = (partition) => this.#giveUp(partition);
    const { security } = this.#world;
    this.#adversary = security === undefined
      ? undefined
      : new Adversary(this.#world, security, new SeededRandom(options.seed * 3 + 1));
    this.#world.onProcessEnded = (host) => this.#invariants.processEnded(host);
    this.#world.trace.add("seed", JSON.stringify({ seed: options.seed, shape, faults }));
  }

  async run(): Promise<SimulationResult> {
    const onRejection = (event: PromiseRejectionEvent) => {
      event.preventDefault();
      this.#world.defect ??= asError(event.reason);
    };
    globalThis.addEventListener("unhandledrejection", onRejection);
    let failure: SimulationFailure | undefined;
    try {
      await this.#phases();
    } catch (error) {
      failure = failureOf(error);
      this.#world.trace.add("FAILURE", failure.what);
    } finally {
      await turn();
      globalThis.removeEventListener("unhandledrejection", onRejection);
    }
    const { seed } = this.#options;
    const { coverage, trace, defect } = this.#world;
    if (failure === undefined && defect !== undefined) {
      failure = { what: defect.message, partition: undefined, stack: withCause(defect) };
    }
    return {
      seed,
      simulatedMs: this.#scheduler.nowMs,
      events: this.#scheduler.executed,
      operations: this.#history.events.length / 2,
      ok: this.#history.succeeded,
      hash: this.#scheduler.hash,
      coverage,
      history: this.#history,
      transactions: this.#atomic?.calls ?? [],
      trace,
      failure,
    };
  }

  async #phases(): Promise<void> {
    const world = this.#world;
    const random = this.#random;
    this.#scheduler.afterEvent = (process) => this.#invariants.afterEvent(process);
    world.startCoordinator();
    for (let i = 0; i < world.shape.nodes; i++) world.startNode(world.addHost());
    const workload = this.#makeWorkload();
    // Half of the storms find a cluster that is only just coming into being.
    if (randomFraction(random) < 0.5) await this.#pass(between(random, 1_000, 5_000));
    const { alone } = this.#options;
    if (alone !== undefined) {
      this.#nemesis.mayStrike = () => this.#isAllWell();
      await this.#pass(HEAL_MS_MAX, () => this.#isAllWell());
      this.#terms = this.#termsNow();
    }
    this.#atomic = this.#makeAtomic();
    this.#lists = this.#makeLists();
    this.#databases = this.#makeDatabases();
    workload.start();
    this.#databases?.workload.start();
    this.#atomic.start();
    this.#lists.start();
    this.#scanner?.start();
    for (const watcher of this.#watchers) watcher.start();
    this.#nemesis.begin();
    this.#adversary?.begin();
    const share = Math.min(1, 0.2 + 0.8 * this.#pauseMsMax / SHORT_PAUSE_MS);
    const stormMs = this.#options.stormMs ?? share * between(random, 60_000, 240_000);
    const checkMs = 5_000;
    for (let at = 0; at < stormMs; at += checkMs) {
      await this.#pass(Math.min(checkMs, stormMs - at));
      world.changeUsers();
      world.endCertificate();
      this.#invariants.checkAll();
      this.#judgeDatabases();
    }
    this.#nemesis.end();
    this.#adversary?.end();
    if (alone !== undefined) this.#judgeService(alone);
    if (world.shape.memory) await this.#forceWhatIsLost();
    const healed = await this.#heal();
    this.#invariants.checkAll();
    if (!healed) {
      this.#judge(undefined);
      this.#judgeAtomic();
      this.#judgeLists();
      return;
    }
    if (this.#options.outages === true) await this.#sufferOutages();
    if (this.#options.forces === true) await this.#forceOverDisks();
    if (this.#options.acceptsOld === true) await this.#acceptOldDocument();
    if (this.#options.losesNodes === true) {
      await loseNodes(world, random, {
        pass: (ms) => this.#pass(ms),
        heal: () => this.#mustHeal("a coordinator had lost all nodes"),
      });
    }
    await this.#calm(workload);
    await this.#finish(workload);
  }

  #makeAtomic(): AtomicWorkload {
    const random = new SeededRandom(this.#random.uint32());
    const pauseMsMax = ATOMIC_PAUSES_MS[randomBelow(random, ATOMIC_PAUSES_MS.length)];
    return new AtomicWorkload(
      { random, nowMs: () => this.#scheduler.nowMs },
      this.#clients,
      { ...(pauseMsMax === undefined ? {} : { pauseMsMax }), ...this.#options.atomic },
    );
  }

  #makeLists(): ListWorkload {
    const random = new SeededRandom(this.#random.uint32());
    const pauseMsMax = ATOMIC_PAUSES_MS[randomBelow(random, ATOMIC_PAUSES_MS.length)];
    return new ListWorkload(
      { random, nowMs: () => this.#scheduler.nowMs },
      this.#clients,
      {
        ...(pauseMsMax === undefined ? {} : { pauseMsMax }),
        ...(this.#options.atomic?.groups === 0 ? { lists: 0, accounts: 0 } : {}),
        ...(this.#options.atomic?.pauseMsMax === undefined
          ? {}
          : { pauseMsMax: this.#options.atomic.pauseMsMax }),
        ...this.#options.lists,
      },
    );
  }

  /** Not where what was acknowledged may be lost: an operator gives up data, or goes back to an old document. */
  #makeDatabases(): DatabasesRun | undefined {
    const { seed, alone, forces, acceptsOld } = this.#options;
    const { databases = seed % DATABASES_EVERY === 2 } = this.#options;
    const { shape, faults } = this.#world;
    const isForced = forces === true || faults.rates.forceInTransfer > 0;
    const mayLose = shape.memory || isForced || acceptsOld === true;
    if (databases === false || alone !== undefined || mayLose) return undefined;
    const random = new SeededRandom(seed * 3 + 5);
    const client = this.#world.addClient(this.#clients.length + 1, "library", 1, true);
    let watchers = DATABASE_WATCHERS_FROM;
    const node = () => {
      const running = this.#world.hosts.flatMap(({ runtime }) => runtime ?? []);
      const server = running[randomBelow(random, running.length || 1)]?.server;
      return server === undefined ? undefined : {
        directory: server.databases,
        execute: (request: Message<"transaction">, timeoutMs: number, done: ReplyTo) =>
          server.database.execute(request, timeoutMs, done),
      };
    };
    const watcher = (prefix: string) => {
      const slow = randomBelow(random, 2) === 0;
      const found = this.#world.addWatcher(++watchers, slow, {
        random: new SeededRandom(random.uint32()),
        committed: (partition) => this.#invariants.committed(partition),
        isForced: (partition) => this.#invariants.isForced(partition),
        prefix,
      });
      found.start();
      return found;
    };
    const habits = typeof databases === "object" ? databases : undefined;
    const workload = new DatabaseWorkload({ random, client, node, watcher }, habits);
    return { workload, client };
  }

  #judgeDatabases(): void {
    const { wrong } = this.#databases?.workload ?? {};
    if (wrong !== undefined) throw new Violation(wrong);
  }

  /** The last looks at databases, and at what is left of those that were dropped. */
  async #finishDatabases(): Promise<void> {
    if (this.#databases === undefined) return;
    const { workload } = this.#databases;
    if (this.#forced.size > 0) return workload.stopWatching();
    let looked: string | undefined;
    workload.lookAtAll().then((why) => looked = why);
    if (!await this.#pass(60_000, () => looked !== undefined)) {
      throw new Violation("the last look at databases never ends");
    }
    this.#judgeDatabases();
    if (looked !== "") throw new Violation(`the last look at databases failed: ${looked}`);
    let why: string | undefined;
    const isRight = () => (why = this.#whyUsageWrong(workload.expected())) === undefined;
    if (!await this.#pass(DROPPED_MS_MAX, isRight)) throw new Violation(`databases: ${why}`);
    const isListed = (number: number) =>
      this.#world.map?.databases?.list.some((one) => one.number === number) === true;
    const isTold = () => (why = workload.whyToldWrong(isListed)) === undefined;
    if (!await this.#pass(WATCHERS_MS_MAX, isTold)) throw new Violation(`databases: ${why}`);
    workload.stopWatching();
    let filled: string | undefined;
    workload.fill().then((failed) => filled = failed);
    if (!await this.#pass(120_000, () => filled !== undefined)) {
      throw new Violation("the last writes to databases never end");
    }
    this.#judgeDatabases();
    if (filled !== "") throw new Violation(`the last writes to databases failed: ${filled}`);
  }

  /** Why what the nodes know of databases is not what is in them. */
  #whyUsageWrong(
    expected: ReadonlyMap<number, { readonly least: number; readonly most: number }>,
  ): string | undefined {
    const found = new Map<number, number>();
    for (const { name, runtime } of this.#world.hosts) {
      if (runtime === undefined) continue;
      const { known, databases } = runtime.node.databaseUsage();
      if (!known) return `${name} has not counted its rows`;
      for (const [number, keys, , expiring] of databases) {
        found.set(number, (found.get(number) ?? 0) + keys);
        if (expiring < 0 || expiring > keys) {
          return `${expiring} of ${keys} keys of ${number} expire`;
        }
      }
    }
    for (const [number, { least, most }] of expected) {
      const keys = found.get(number) ?? 0;
      if (keys < least || keys > most) {
        return `${number} has ${keys} keys by the nodes' tallies, and can have ${least} to ${most}`;
      }
    }
    const listed = this.#world.map?.databases?.list ?? [];
    for (const number of found.keys()) {
      if (!listed.some((database) => database.number === number)) {
        return `there are rows of ${number}, which was dropped`;
      }
    }
    return undefined;
  }

  /** The client of one node has nobody to ask while that is stopped. */
  get #lastKind(): ClientKind {
    return this.#options.rolling === true ? "library" : "node";
  }

  #makeWorkload(): Workload {
    const random = this.#random;
    const some = 3 + randomBelow(random, 4);
    const wanted = this.#options.clients;
    const kinds = wanted ?? (["library", "library", "gateway", this.#lastKind] as const);
    const count = wanted?.length ?? some;
    for (let i = 0; i < count; i++) {
      const kind = this.#options.alone !== undefined
        ? "library"
        : kinds[i % kinds.length] ?? "library";
      // Some have no name, as `curl` and Redis clients have none: nobody may repeat their writes.
      const named = this.#options.alone !== undefined || randomBelow(random, 3) > 0;
      if (!named) this.#world.coverage.hit("client: without a name");
      this.#clients.push(this.#world.addClient(i + 1, kind, 1 + randomBelow(random, 3), named));
    }
    const { seed } = this.#options;
    const { scanner = seed % SCANNER_EVERY !== SCANNER_EVERY - 1 } = this.#options;
    if (scanner) {
      const kinds = ["library", "gateway", "library", this.#lastKind] as const;
      const kind = kinds[seed / SCANNER_BUSY_EVERY & 3] ?? "library";
      const busy = this.#options.scanner === true || seed % SCANNER_BUSY_EVERY === 0;
      const deps = {
        random: new SeededRandom(seed * 3 + 2),
        history: this.#history,
        leisure: busy ? 1 : SCANNER_LEISURE,
      };
      const added = this.#world.addScanner(count + 1, kind, deps);
      this.#scanner = added.scanner;
      this.#clients.push(added.client);
    }
    for (const slow of [false, true]) {
      this.#watchers.push(this.#world.addWatcher(count + (slow ? 3 : 2), slow, {
        random: new SeededRandom(seed * 5 + (slow ? 3 : 2)),
        committed: (partition) => this.#invariants.committed(partition),
        isForced: (partition) => this.#invariants.isForced(partition),
      }));
    }
    const clients = this.#clients.slice(0, count);
    const { alone } = this.#options;
    return new Workload(
      {
        random: new SeededRandom(random.uint32()),
        history: this.#history,
        nowMs: () => this.#scheduler.nowMs,
      },
      clients,
      {
        ...(this.#large ? { coldKeys: LARGE_KEYS, hotPercent: 10 } : { coldKeys: 24 }),
        pauseMsMax: this.#pauseMsMax,
        clocksMs: this.#world.clocksMs,
        ...(alone === undefined ? {} : deadlinesBeyond(UNSERVED_MS_MAX[alone])),
        ...this.#options.workload,
      },
    );
  }

  /** Lets time pass. Errors of processes come out of here. */
  async #pass(ms: number, until?: () => boolean): Promise<boolean> {
    const endMs = this.#scheduler.nowMs + ms;
    while (this.#scheduler.nowMs < endMs) {
      if (until?.() === true) return true;
      await this.#scheduler.runUntil(Math.min(endMs, this.#scheduler.nowMs + SLICE_MS));
      // The real world: rejections that nobody handles.
      if (++this.#slices % SLICES_PER_TURN === 0) await turn();
      if (this.#world.defect !== undefined) throw this.#world.defect;
      const wrong = this.#scanner?.violation;
      if (wrong !== undefined) throw new Violation(wrong);
      for (const { violation } of this.#watchers) {
        if (violation !== undefined) throw new Violation(violation);
      }
    }
    return until?.() ?? true;
  }

  /**
   * An operator gives up what was in the memory of processes that are all dead. What the partition's
   * clients saw until then is judged by itself: they begin again with nothing.
   */
  async #forceWhatIsLost(): Promise<void> {
    const lost = () =>
      (this.#world.map?.partitions ?? []).flatMap(({ primary, inSync }, partition) =>
        primary === undefined && inSync.length > 0 &&
          inSync.every((id) => this.#world.hostOf(id) === undefined)
          ? [partition]
          : []
      );
    // Old leases must have run out, and everybody must be there again.
    await this.#pass(FORCE_AFTER_MS);
    for (const partition of lost()) await this.#force(partition);
  }

  /** What was acknowledged of the partition is not promised any more. */
  #giveUp(partition: number): void {
    this.#invariants.onForced(partition);
    if (!this.#forced.has(partition)) this.#forced.set(partition, this.#history.events.length);
    this.#scanner?.onForced((key) => partitionOfKey(key, this.#world) === partition);
  }

  async #force(partition: number): Promise<void> {
    let reply: Reply | undefined;
    const isHalf = this.#nemesis.forcedTransfers.halfFilled().includes(partition);
    this.#giveUp(partition);
    this.#world.force(partition, (is) => reply = is);
    await this.#pass(REQUEST_TIMEOUT_MS * 2, () => reply !== undefined);
    if (reply?.req_type !== "result") {
      throw new Violation(`force is answered with ${JSON.stringify(reply)}`, partition);
    }
    this.#world.coverage.hit("partition: forced");
    if (isHalf) this.#world.coverage.hit("partition: forced while a replica is filled in part");
  }

  /** An operator has a node forgotten although it alone may have what was acknowledged, of whatever partition. */
  async #forgetAllTheSame(id: string | undefined): Promise<void> {
    if (id === undefined) return;
    for (let partition = 0; partition < this.#world.shape.partitions; partition++) {
      this.#giveUp(partition);
    }
    let reply: Reply | undefined;
    this.#world.forgetNode(id, true, (is) => reply = is);
    await this.#pass(REQUEST_TIMEOUT_MS * 2, () => reply !== undefined);
    if (reply?.req_type !== "result") {
      throw new Violation(`forget_node is answered with ${JSON.stringify(reply)}`);
    }
    this.#world.coverage.hit("fault: node forgotten that comes back");
  }

  async #mustHeal(after: string): Promise<void> {
    if (await this.#pass(HEAL_MS_MAX, () => this.#whyUnhealed() === undefined)) return;
    const why = this.#whyUnhealed();
    throw new Violation(`after ${after}, ${why?.text}`, why?.partition);
  }

  /**
   * Those who hold a partition are away, it is given up, and they come back with what was given up. The last time it is
   * given up by their being forgotten.
   */
  async #forceOverDisks(): Promise<void> {
    const world = this.#world;
    for (let turn = 0; turn < FORCED_TURNS; turn++) {
      const partition = randomBelow(this.#random, world.shape.partitions);
      const config = () => world.map?.partitions[partition];
      const holders = (config()?.inSync ?? []).map((id) => world.hostOf(id));
      for (const host of holders) if (host !== undefined) world.killNode(host, true);
      if (!await this.#pass(HEAL_MS_MAX, () => config()?.primary === undefined)) {
        throw new Violation("a partition whose replicas are all dead has a primary", partition);
      }
      await this.#pass(between(this.#random, FORCED_PAUSE_MS, 2 * FORCED_PAUSE_MS));
      const isLast = turn === FORCED_TURNS - 1;
      if (isLast) { for (const host of holders) await this.#forgetAllTheSame(host?.nodeId); }
      else await this.#force(partition);
      await this.#pass(between(this.#random, 0, FORCED_PAUSE_MS));
      for (const host of holders) {
        if (host !== undefined) world.startNode(host);
        await this.#pass(between(this.#random, 0, FORCED_PAUSE_MS));
      }
      await this.#mustHeal(`partition ${partition} was forced`);
    }
  }

  /** The coordinator's document is an old copy, which it must notice, and its operator has no newer one. */
  async #acceptOldDocument(): Promise<void> {
    const world = this.#world;
    const { map } = world;
    if (map === undefined) return;
    const old = world.coordinatorDisk.copy(`${COORDINATOR_HOST}-old`);
    const host = world.members[randomBelow(this.#random, world.members.length)];
    if (host === undefined) return;
    world.killNode(host, true);
    await this.#pass(2 * FAILURE_TIMEOUT_MS + between(this.#random, 0, FORCED_PAUSE_MS));
    world.startNode(host);
    await this.#mustHeal(`${host.name} was away`);
    if (world.map === undefined || world.map.epoch === map.epoch) return;
    world.killCoordinator(true);
    this.#invariants.onDocumentPutBack();
    world.coordinatorDisk.putBack(old);
    world.coverage.hit("fault: old document put back");
    world.startCoordinator();
    const isNoticed = () => world.coordinator?.stats()["stale_document"] !== null;
    if (!await this.#pass(HEAL_MS_MAX, () => world.coordinator !== undefined && isNoticed())) {
      throw new Violation("the coordinator does not notice that its document is an old copy");
    }
    await this.#pass(between(this.#random, 0, FORCED_PAUSE_MS));
    world.killCoordinator(true);
    for (let partition = 0; partition < world.shape.partitions; partition++) {
      this.#giveUp(partition);
    }
    // It may have written other settings to the old document.
    world.startCoordinator(world.coordinatorDisk, world.map.epoch);
    await this.#mustHeal("an old document was accepted");
    // What the first node has seen, and more, is behind the cluster then: no other node tells of anything later.
    const times = world.coverage.count("coordinator: old document accepted");
    if (times !== 1) {
      throw new Violation(`the coordinator went on from its old document ${times} times, not once`);
    }
  }

  /** @returns false if that is not possible, and rightly so */
  async #heal(): Promise<boolean> {
    let why: { text: string; partition?: number } | undefined;
    const healed = await this.#pass(HEAL_MS_MAX, () => {
      why = this.#whyUnhealed();
      return why === undefined;
    });
    if (healed) {
      this.#world.trace.add("simulation", "all is as it should be");
      return true;
    }
    if (this.#isBeyondRepair(why?.partition)) {
      this.#world.trace.add("simulation", "the last replica of a partition is damaged: ends here");
      return false;
    }
    throw new Violation(
      `${HEAL_MS_MAX / 1000} s after the storm ${why?.text ?? "it has not healed"}`,
      why?.partition,
    );
  }

  /**
   * Whether a fault has damaged what became the last replica of a partition, when the others died before
   * the damage was found: its readers are told so, and nothing but an operator's word can mend it.
   */
  #isBeyondRepair(partition: number | undefined): boolean {
    if (partition === undefined) return false;
    const inSync = this.#world.map?.partitions[partition]?.inSync ?? [];
    const prefix = String.fromCharCode(partition >>> 8, partition & 0xff);
    const damaged = (id: string) =>
      this.#world.hostOf(id)?.disk.outstandingDamage().some(({ key }) => key.startsWith(prefix));
    return inSync.length > 0 && inSync.every((id) => damaged(id) === true);
  }

  #whyUnhealed(): { text: string; partition?: number } | undefined {
    const { members, coordinator, map, shape } = this.#world;
    if (coordinator === undefined || map === undefined) return { text: "no coordinator runs" };
    if (!coordinator.isActive) return { text: "no coordinator is active" };
    const why = this.#whyCoordinatorsDiffer(coordinator.coordinators());
    if (why !== undefined) return { text: why };
    for (const host of members) {
      if (host.runtime === undefined) return { text: `${host.name} does not run` };
      if (host.target !== "run") return { text: `${host.name} has not left yet` };
      if (!host.runtime.up) return { text: `${host.name} is not registered` };
      const epoch = host.runtime.node.map()?.epoch;
      if (epoch !== map.epoch) return { text: `${host.name} has map ${epoch} of ${map.epoch}` };
    }
    const old = this.#world.whoJudgesByOldUsers;
    if (old !== undefined) return { text: old };
    const up = map.nodes.filter(({ state }) => state === "up");
    if (up.length !== members.length) {
      return { text: `the map knows ${up.length} nodes that are up; ${members.length} are` };
    }
    const target = place(up, shape.partitions, shape.replicationFactor);
    for (const [partition, config] of map.partitions.entries()) {
      const targeted = target[partition] ?? [];
      const { primary, inSync, learners } = config;
      if (learners.length > 0) return { text: `partition ${partition} has learners`, partition };
      if (inSync.toSorted().join() !== targeted.toSorted().join() || primary !== targeted[0]) {
        const text = `partition ${partition} is held by ${inSync.join(" ")}, ${primary} first; ` +
          `the target is ${targeted.join(" ")}`;
        return { text, partition };
      }
      for (const id of inSync) {
        const replica = this.#world.hostOf(id)?.runtime?.node.partition(partition);
        if (replica?.isSettled !== true) {
          return {
            text: `the replica of partition ${partition} on ${id} is not settled`,
            partition,
          };
        }
      }
    }
    const shares = new Map<string, number>();
    for (const id of map.partitions.flatMap(({ inSync }) => inSync)) {
      shares.set(id, (shares.get(id) ?? 0) + 1);
    }
    const replicas = shape.partitions * Math.min(shape.replicationFactor, members.length);
    const most = Math.ceil(BALANCE_BOUND * replicas / members.length);
    for (const [id, share] of shares) {
      if (share > most) return { text: `${id} holds ${share} replicas, the bound is ${most}` };
    }
    return undefined;
  }

  /** Why the coordinators are not those that are wanted, or not all level with the active one. */
  #whyCoordinatorsDiffer({ revision }: CoordinatorsReport): string | undefined {
    const { coordinatorSet: set, areSeveral, allCoordinatorHosts: hosts } = this.#world;
    if (!areSeveral) return undefined;
    if (set === undefined) return "there is no set of coordinators";
    if (set.wanted !== undefined) return "the coordinators change";
    if (!set.voters.some(({ id }) => id === this.#world.first.id)) return "the first host has none";
    for (const { id } of set.voters) {
      const host = hosts.find((one) => one.id === id);
      if (host?.coordinator === undefined) return `coordinator ${id} does not run`;
      if (host.coordinator.coordinators().revision !== revision) return `${host.name} is behind`;
    }
    return undefined;
  }

  #isAllWell(): boolean {
    const { members, coordinatorProcess } = this.#world;
    return coordinatorProcess?.running === true &&
      this.#world.standbys.every(({ process, retired }) => retired || process?.running === true) &&
      members.every(({ process }) => process?.running === true) &&
      this.#whyUnhealed() === undefined;
  }

  #termsNow(): readonly number[] {
    return this.#world.map?.partitions.map(({ term }) => term) ?? [];
  }

  /** Nobody has decided anything about any partition. */
  #checkUnchanged(when: string, terms: readonly number[]): void {
    const now = this.#termsNow();
    const changed = now.findIndex((term, partition) => term !== terms[partition]);
    if (changed < 0) return;
    throw new Violation(
      `${when}, partition ${changed} was given another primary, or other replicas: its term was ` +
        `${terms[changed]}, and is ${now[changed]}`,
      changed,
    );
  }

  /** All requests had time enough. That the coordinator is away is no reason to change anything. */
  #judgeService(alone: keyof typeof UNSERVED_MS_MAX): void {
    if (alone.startsWith("coordinator")) {
      this.#checkUnchanged(`with nothing but ${alone}`, this.#terms);
    }
    for (const call of this.#history.calls()) {
      const { outcome, error, key } = call;
      if (outcome === "ok" || error === undefined || error === "given up") continue;
      if (error === NOT_IN_PAGE || isTelling(error)) continue;
      const lost = outcome === "info" && call.error === "outcome_unknown";
      if (lost) continue;
      throw new Violation(
        `with nothing but ${alone}, ${call.f} of ${key} at ${
          Math.round(call.time)
        } ms ended with ` +
          `${error}; its deadline was beyond the ${
            Math.round(UNSERVED_MS_MAX[alone])
          } ms in which a ` +
          "key must be served again",
        partitionOfKey(key, this.#world),
      );
    }
  }

  /** Stops each node in turn, cleanly, and starts it again, waiting for all replicas in between. */
  async #roll(): Promise<void> {
    for (const host of this.#world.members) {
      let ended = false;
      this.#world.stopNode(host, () => ended = true);
      if (!await this.#pass(ROLL_MS_MAX, () => ended)) {
        throw new Violation(`${host.name} does not stop`);
      }
      await this.#pass(SLICE_MS);
      this.#world.startNode(host);
      if (!await this.#pass(HEAL_MS_MAX, () => this.#whyUnhealed() === undefined)) {
        throw new Violation(`after a stop of ${host.name}, ${this.#whyUnhealed()?.text}`);
      }
    }
  }

  /** Fills two disks, one after the other, and gives each room again when the others have been seen to do without it. */
  async #fillDisks(): Promise<void> {
    for (const [turn, host] of this.#world.members.slice(0, FULL_DISKS).entries()) {
      // The second node finds nobody to tell, and tells the coordinator when that is there again.
      if (turn === 1) this.#world.killCoordinator(true);
      host.disk.faults.full = true;
      this.#world.trace.add("simulation", `the disk of ${host.name} is full`);
      const isRefused = () => host.runtime?.node.stats().disk_writable === false;
      if (!await this.#pass(REFUSED_MS_MAX, isRefused)) {
        throw new Violation(`${host.name} does not notice that its disk is full`);
      }
      this.#world.startCoordinator();
      await this.#pass(REFUSED_MS_MAX, () => host.runtime?.up === true);
      if (!await this.#pass(FULL_MS_MAX, () => this.#whyBound(host) === undefined)) {
        const why = this.#whyBound(host);
        throw new Violation(
          `${FULL_MS_MAX} ms after ${host.name} told of its full disk ${why?.text}`,
          why?.partition,
        );
      }
      const { length } = this.#history.events;
      await this.#pass(FULL_WATCH_MS);
      this.#checkSucceeded(`while the disk of ${host.name} is full`, length);
      host.disk.faults.full = false;
      this.#world.trace.add("simulation", `the disk of ${host.name} has room`);
      if (!await this.#pass(HEAL_MS_MAX, () => this.#whyUnhealed() === undefined)) {
        const why = this.#whyUnhealed();
        throw new Violation(
          `after the disk of ${host.name} was full, ${why?.text}`,
          why?.partition,
        );
      }
    }
    await this.#pass(SETTLE_MS);
  }

  /** Why the cluster still depends on a node that cannot write. */
  #whyBound(full: NodeHost): { text: string; partition: number } | undefined {
    for (const [partition, { primary }] of (this.#world.map?.partitions ?? []).entries()) {
      if (primary === full.nodeId) return { text: `partition ${partition} is its own`, partition };
      const node = this.#world.hostOf(primary)?.runtime?.node;
      if (node?.partition(partition)?.primary?.phase !== "serving") {
        return { text: `partition ${partition} is not served by another`, partition };
      }
    }
    return undefined;
  }

  /** All that ended since that place in the history, and had begun since, went well. */
  #checkSucceeded(when: string, place: number): void {
    const begun = new Set<number>();
    const gone = this.#world.hosts.some((host) => host.gone);
    for (const { id, type, error, f, key } of this.#history.events.slice(place)) {
      if (type === "invoke") begun.add(id);
      if ((type !== "fail" && type !== "info") || !begun.has(id)) continue;
      if (error === "given up" || error === NOT_IN_PAGE || isTelling(error)) continue;
      // A simple client of a node that has left has nobody to ask.
      if (gone && error === "unavailable") continue;
      throw new Violation(
        `${when}, ${f} of ${key} ended as ${type} (${error})`,
        partitionOfKey(key, this.#world),
      );
    }
  }

  /** One fault at a time, and what it may cost: a while without service for some partitions. */
  async #sufferOutages(): Promise<void> {
    const world = this.#world;
    const { network } = world;
    const random = this.#random;
    const pick = (hosts: readonly NodeHost[]) => hosts[randomBelow(random, hosts.length)];
    for (const outage of OUTAGES) {
      const node = pick(world.members);
      const other = pick(world.members.filter((host) => host !== node));
      if (node === undefined || other === undefined) return;
      const all = [COORDINATOR_HOST, ...world.hosts, ...world.clientProcesses]
        .map((host) => typeof host === "string" ? host : "host" in host ? host.host : host.name)
        .filter((host) => host !== node.name);
      world.trace.add("outage", `${outage.name}: ${node.name}, ${other.name}`);
      const terms = this.#termsNow();
      if (outage.restartsCoordinator === true) world.killCoordinator(true);
      outage.begin(network, node.name, other.name, all);
      world.startCoordinator();
      if (outage.ignoresMaps === true && node.runtime !== undefined) {
        node.runtime.node.applyMap = () => {};
      }
      if (outage.stopsAnother) {
        await this.#pass(between(random, 0, 2_000));
        world.stopNode(other, () => {});
      }
      await this.#watchService(outage);
      network.healAll();
      if (outage.ignoresMaps === true) {
        world.killNode(node, true);
        world.startNode(node);
      }
      if (outage.stopsAnother) {
        await this.#pass(ROLL_MS_MAX, () => other.process === undefined);
        world.startNode(other);
      }
      if (!await this.#pass(HEAL_MS_MAX, () => this.#whyUnhealed() === undefined)) {
        throw new Violation(`after "${outage.name}", ${this.#whyUnhealed()?.text}`);
      }
      if (outage.restartsCoordinator === true) this.#checkUnchanged(`"${outage.name}"`, terms);
    }
  }

  async #watchService(outage: Outage): Promise<void> {
    const world = this.#world;
    const service = new ServiceWatch(world);
    const beganMs = this.#scheduler.nowMs;
    const { writes } = world.network;
    while (this.#scheduler.nowMs < beganMs + OUTAGE_MS) {
      service.ask();
      await this.#pass(PROBE_MS);
      const { partition, unservedMs } = service.worst;
      if (unservedMs > OUTAGE_UNSERVED_MS_MAX) {
        const ms = Math.round(unservedMs);
        throw new Violation(`"${outage.name}": not served for ${ms} ms`, partition);
      }
    }
    const perSecond = (world.network.writes - writes) * 1_000 / OUTAGE_MS;
    if (perSecond > MESSAGES_PER_SECOND_MAX) {
      throw new Violation(
        `"${outage.name}": ${Math.round(perSecond)} messages a second: something goes in circles`,
      );
    }
    if (!outage.sparesClients) return;
    // A client that asks a while after it began finds another way.
    const { events } = this.#history;
    const begun = new Set<number>();
    for (const { id, type, time } of events) {
      if (type === "invoke" && time > beganMs + CLIENTS_LEARN_MS) begun.add(id);
    }
    for (const { id, type, error, f, key } of events) {
      if ((type !== "fail" && type !== "info") || !begun.has(id)) continue;
      if (error === "given up" || error === NOT_IN_PAGE || isTelling(error)) continue;
      throw new Violation(
        `"${outage.name}": ${f} of ${key} ended as ${type} (${error})`,
        partitionOfKey(key, world),
      );
    }
  }

  /** Everything is well: now every request must succeed, in time. */
  async #calm(workload: Workload): Promise<void> {
    // Requests that began before are given the time to end, and dead connections to be found out,
    // which takes a request and a while of silence.
    await this.#pass(SETTLE_MS);
    // A client that asks rarely may not have tried a dead connection yet. The system would find it
    // out, but not within the time of a run.
    this.#world.network.probeStreams();
    await this.#pass(PROBED_MS);
    if (this.#options.fullDisks === true) await this.#fillDisks();
    const { length } = this.#history.events;
    const atomicPlace = this.#atomic?.place ?? 0;
    const listPlace = this.#lists?.place ?? 0;
    const calmMs = this.#scheduler.nowMs;
    if (this.#options.rolling === true) await this.#roll();
    await this.#pass(CALM_MS);
    this.#checkSucceeded("in the calm", length);
    const gone = this.#world.hosts.some((host) => host.gone);
    const failed = this.#atomic?.failedSince(atomicPlace)
      .find(({ code }) => !(gone && code === "unavailable"));
    if (failed !== undefined) {
      throw new Violation(`in the calm:\n${describe(failed)}`, this.#partitionOf(failed.group));
    }
    // Where a partition remembers a few client sessions, all of them may have a write under way.
    const isFull = this.#world.shape.clientSessionsMax !== undefined;
    const failedList = this.#lists?.failedSince(listPlace).find(({ code }) =>
      !(gone && code === "unavailable") && !(isFull && code === "overloaded")
    );
    if (failedList !== undefined) {
      throw new Violation(`in the calm:\n${describeList(failedList)}`);
    }
    const late = this.#scanner?.errors.find(({ time }) => time >= calmMs);
    if (late !== undefined && !gone) throw new Violation(`in the calm, a scan ended: ${late.text}`);
    const ended = { value: false };
    const stopped = [
      workload.stop(),
      this.#atomic?.stop(),
      this.#lists?.stop(),
      this.#scanner?.stop(),
      this.#databases?.workload.stop(),
    ];
    Promise.all(stopped).then(() => ended.value = true);
    if (!await this.#pass(20_000, () => ended.value)) {
      const busy = workload.busy + (this.#atomic?.busy ?? 0) + (this.#lists?.busy ?? 0);
      throw new Violation(`${busy} requests never end`);
    }
    const [slow] = workload.late;
    if (slow !== undefined) {
      throw new Violation(
        `operation ${slow.id} of ${slow.client} took ${Math.round(slow.elapsedMs)} ms with a ` +
          `deadline of ${slow.timeoutMs} ms`,
      );
    }
    const lateAtomic = this.#atomic?.late[0];
    if (lateAtomic !== undefined) {
      throw new Violation(`it took longer than its deadline:\n${describe(lateAtomic)}`);
    }
    const lateList = this.#lists?.late[0];
    if (lateList !== undefined) {
      throw new Violation(`it took longer than its deadline:\n${describeList(lateList)}`);
    }
    // If a host is gone for good with the only replica of a partition, no scan can ever end.
    if (this.#scanner !== undefined && this.#scanner.pages === 0 && !gone) {
      throw new Violation("no page of a scan ever came");
    }
    const ok = this.#history.succeeded;
    const least = OK_PER_SECOND_MIN * this.#scheduler.nowMs / 1000;
    if (ok < least) {
      throw new Violation(`only ${ok} operations succeeded: the run proves nothing`);
    }
  }

  /** What clients asked for, and what came of expiry. */
  #noteCoverage(workload: Workload): void {
    const { coverage, members } = this.#world;
    const done = this.#history.events.filter(({ type }) => type === "ok");
    const scanner = this.#scanner;
    const counts: [Happening, number][] = [
      ["client: increment", done.filter(({ f }) => f === "increment").length],
      ["client: database made", this.#databases?.workload.done.made ?? 0],
      ["client: database made again", this.#databases?.workload.done.madeAgain ?? 0],
      ["client: key moved to another database", this.#databases?.workload.done.passed ?? 0],
      ["client: database dropped", this.#databases?.workload.done.dropped ?? 0],
      ["client: database written", this.#databases?.workload.done.written ?? 0],
      ["client: database read", this.#databases?.workload.done.read ?? 0],
      ["client: write if the version fits", done.filter(({ f }) => f === "cas").length],
      ["client: value that expires", done.filter(({ expiry }) => expiry !== undefined).length],
      [
        "client: weak read",
        done.filter(({ consistency = "strong" }) => consistency !== "strong").length,
      ],
      ["client: short session", workload.sessions],
      ["client: many reads at once", workload.bursts],
      ["client: page of a scan", scanner?.pages ?? 0],
      ["client: count", scanner?.counts ?? 0],
      ["client: backup of a partition", scanner?.backups ?? 0],
      ["watcher: event", sumOf(this.#watchers, ({ events }) => events)],
      ["watcher: reset", sumOf(this.#watchers, ({ resets }) => resets)],
      ["watcher: goes on from a token", sumOf(this.#watchers, ({ resumed }) => resumed)],
    ];
    for (const { runtime } of members) {
      const stats = runtime?.node.stats() ?? {};
      counts.push(
        ["node: expired entries deleted", Number(stats["expired"] ?? 0)],
        ["client session: evicted", Number(stats["client_sessions_evicted"] ?? 0)],
        ["client session: first attempt refused", Number(stats["client_sessions_refused"] ?? 0)],
        ["client session: repeat unknown", Number(stats["client_sessions_unknown"] ?? 0)],
      );
    }
    for (const [what, times] of counts) if (times > 0) coverage.hit(what, times);
  }

  #judge(held: Awaited<ReturnType<Workload["readAll"]>> | undefined): void {
    const upTo = (key: string) => this.#forced.get(partitionOfKey(key, this.#world));
    const leaseMsMax = Math.max(...this.#world.shape.leases.map(({ leaseMs }) => leaseMs));
    const judgement = judgeHistory(this.#history, {
      upTo,
      staleness: staleness(leaseMsMax),
      ...(held === undefined ? {} : { held }),
    });
    const [first] = judgement.failures;
    if (first === undefined) return;
    throw new Violation(`${first.check}: ${first.text}`, partitionOfKey(first.key, this.#world));
  }

  #judgeAtomic(): void {
    // Where data was given up, the log of a group begins again.
    const calls = (this.#atomic?.calls ?? []).filter(({ group }) => !this.#isForced(group));
    const wrong = judgeAtomic(calls, this.#world.coverage);
    if (wrong === undefined) return;
    throw new Violation(`transactions: ${wrong.text}`, this.#partitionOf(wrong.group));
  }

  #judgeLists(): void {
    const lists = this.#lists;
    // Where data was given up, lists begin again.
    const isForced = lists?.keys.some((key) => this.#forced.has(partitionOfKey(key, this.#world)));
    if (lists === undefined || isForced === true) return;
    const wrong = checkLists(lists.calls);
    if (wrong !== undefined) throw new Violation(`lists: ${wrong}`);
    const done = lists.calls.filter(({ outcome }) => outcome === "ok").length;
    if (done > 0) this.#world.coverage.hit("lists: transaction done", done);
  }

  /** Whether a key of the group is in a partition whose data was given up. */
  #isForced(group: number): boolean {
    const { log, from, to, stamps } = groupKeys(group);
    return [log, from, to, ...stamps].some((key) =>
      this.#forced.has(partitionOfKey(key, this.#world))
    );
  }

  #partitionOf(group: number): number {
    return partitionOfKey(groupKeys(group).log, this.#world);
  }

  /** Values expire even now, and the nodes delete them: what differs while they do so is looked at again. */
  async #compareReplicas(): Promise<void> {
    const world = this.#world;
    const endMs = this.#scheduler.nowMs + STILL_MS_MAX;
    for (;;) {
      const before = seqsOf(world);
      let differs: { text: string; partition: number } | "nothing" | undefined;
      compareReplicas(world).then((found) => differs = found ?? "nothing");
      await this.#pass(20_000, () => differs !== undefined);
      if (differs === undefined) throw new Violation("the replicas cannot be compared");
      if (differs === "nothing") return;
      await this.#pass(SLICE_MS);
      if (seqsOf(world) === before || this.#scheduler.nowMs > endMs) {
        throw new Violation(differs.text, differs.partition);
      }
    }
  }

  /** Each key's last state must be known to each watcher: everything has been told by now. */
  #judgeWatchers(held: Awaited<ReturnType<Workload["readAll"]>> | undefined): void {
    const gone = this.#world.hosts.some((host) => host.gone);
    for (const watcher of this.#watchers) {
      watcher.stop();
      if (watcher.levels === 0 && !gone) throw new Violation("a watcher was never level");
      for (const [key, value] of held ?? []) {
        if (value === undefined || value.refused !== undefined) continue;
        const why = watcher.whyDiffers(key, value.value ?? undefined);
        if (why !== undefined) throw new Violation(why, partitionOfKey(key, this.#world));
      }
    }
  }

  /** Nobody asks any more: replicas, history, and what is left open. */
  async #finish(workload: Workload): Promise<void> {
    const world = this.#world;
    this.#noteCoverage(workload);
    for (const watcher of this.#watchers) watcher.stay();
    this.#databases?.workload.stay();
    await this.#pass(WATCHERS_MS_MAX);
    const reader = this.#clients[0];
    let held: Awaited<ReturnType<Workload["readAll"]>> | undefined;
    if (reader !== undefined) workload.readAll(reader).then((found) => held = found);
    if (!await this.#pass(this.#large ? 600_000 : 60_000, () => held !== undefined)) {
      throw new Violation("the last reads never end");
    }
    this.#judge(held);
    this.#judgeWatchers(held);
    let looked: boolean | undefined;
    this.#atomic?.lookAtAll().then((all) => looked = all);
    if (!await this.#pass(30_000, () => looked !== undefined)) {
      throw new Violation("the last looks never end");
    }
    if (looked !== true) throw new Violation("a last look at a group of keys failed");
    this.#judgeAtomic();
    let lookedAtLists: boolean | undefined;
    this.#lists?.lookAtAll().then((all) => lookedAtLists = all);
    if (!await this.#pass(30_000, () => lookedAtLists !== undefined)) {
      throw new Violation("the last look at all lists never ends");
    }
    if (lookedAtLists !== true) throw new Violation("the last look at all lists failed");
    this.#judgeLists();
    await this.#finishDatabases();
    await this.#pass(3_000);
    this.#invariants.checkAll();
    await this.#compareReplicas();
    let queued: string | undefined;
    // What has just expired may be on its way out.
    if (!await this.#pass(STILL_MS_MAX, () => (queued = whatIsQueued(world)) === undefined)) {
      throw new Violation(queued ?? "");
    }
    // Timers of 30 s that nobody cancels are allowed; nothing may be left after that.
    await this.#pass(40_000);
    const open = whatIsOpen(world, "idle");
    if (open !== undefined) throw new Violation(open);
    for (const { kv } of this.#clients) kv.close();
    this.#databases?.client.kv.close();
    let closed = false;
    world.closeAll().then(() => closed = true);
    await this.#pass(OPEN_AFTER_CLOSE_MS);
    if (!closed) throw new Violation("the processes do not end when they are told to");
    const left = whatIsOpen(world, "closed");
    if (left !== undefined) throw new Violation(left);
  }
}

function sumOf<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0);
}

function deadlinesBeyond(ms: number): WorkloadOptions {
  return { timeoutMsMin: Math.ceil(ms), timeoutMsMax: Math.ceil(ms) + 1_000, abortPercent: 0 };
}

function partitionOfKey(key: string, world: World): number {
  return partitionOf(key, world.shape.partitions);
}

function failureOf(error: unknown): SimulationFailure {
  return {
    what: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    partition: error instanceof Violation ? error.partition : undefined,
    stack: error instanceof Error ? withCause(error) : undefined,
  };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new KvError("internal", String(reason));
}

function withCause(error: Error): string {
  const { cause } = error;
  const own = error.stack ?? error.message;
  return cause instanceof Error ? `${own}\ncaused by ${cause.stack ?? cause.message}` : own;
}
