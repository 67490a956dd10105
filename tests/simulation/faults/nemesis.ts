/**
 * What makes things go wrong during the storm, each kind at random moments with its own rate, and
 * ends all of it when the calm begins. It never does what no system could survive: damage one replica
 * of data that no other process holds.
 *
 * @module
 */
import { FAILURE_TIMEOUT_MS, LEASE_MS } from "../../../shared/limits/membership.ts";
import { READ_FAILURE_MS_MAX } from "../../../shared/limits/replication.ts";
import { type Random, randomBelow, randomFraction } from "../../../shared/platform/random.ts";
import type { NodeId } from "../../../shared/cluster/cluster_map.ts";
import { CoordinatorSets } from "./coordinator_sets.ts";
import type { FaultName } from "./faults.ts";
import { ForcedTransfers } from "./forced_transfers.ts";
import { type ResumeOrder, type SimProcess, spread } from "../sim/scheduler.ts";
import type { SimDisk } from "../sim/sim_disk.ts";
import { NODE_DOCUMENT } from "../sim/sim_folder.ts";
import type { Channel } from "../sim/sim_network.ts";
import { COORDINATOR_HOST, type CoordinatorHost, type NodeHost, type World } from "../sim/world.ts";

const NODES_MAX = 6;
/**
 * A host's clocks are touched no sooner than this long after the last time, which is longer than any lease: no lease
 * survives a machine that sleeps and whose date is set back by as much.
 */
const CLOCK_REST_MS = 20_000;
/** A process that has as much to do as here, some hundred steps a second, is then always behind. */
const STEP_MS_MAX = 4;
/** A replica is seldom being filled for long, so one is looked for this often, at this interval. */
const LEARNER_TRIES = 500;
const LEARNER_TRY_MS = 20;
/** The share that happens of those deaths that would take the only replica of something, kept in memory. */
const RECKLESS = 0.25;
const RESUME_ORDERS: readonly ResumeOrder[] = [
  "as it came",
  "timers first",
  "timers last",
  "socket by socket",
];

/** The source of misfortune. */
export class Nemesis {
  readonly #world: World;
  readonly #random: Random;
  /** Whether the next thing may go wrong now; what may not is left out. */
  mayStrike: () => boolean = () => true;
  #storm = false;
  /** When a host's clocks were last touched: its monotonic clock was stopped, or its date set. */
  readonly #clockTouched = new Map<string, number>();
  /** A copy that somebody has made of a node's folder, and the incarnation that it tells of. */
  #copy:
    | { readonly host: NodeHost; readonly disk: SimDisk; readonly incarnation: number }
    | undefined;
  #copies = 0;
  /** A copy that somebody has made of the coordinator's document, and its epoch. */
  #document: { readonly disk: SimDisk; readonly epoch: number } | undefined;
  /** A coordinator runs on such a copy. */
  #onOldDocument = false;
  /** A copy of a folder, made while its process ran, and how far its database had come. */
  #putBackReplica:
    | { readonly process: SimProcess; readonly disk: SimDisk; batch: number }
    | undefined;
  /** A process on such a copy. */
  #twin: { readonly host: NodeHost; readonly end: () => void } | undefined;
  /** Of several coordinators. */
  readonly #sets: CoordinatorSets;
  /** An operator gives partitions up that are being filled. */
  readonly forcedTransfers: ForcedTransfers;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#sets = new CoordinatorSets(world, random);
    this.forcedTransfers = new ForcedTransfers(world, random, {
      later: (ms, action) => this.#later(ms, action),
      startLater: (host) => this.#startLater(host),
    });
  }

  /** The storm begins. */
  begin(): void {
    this.#storm = true;
    const actions: Record<FaultName, () => void> = {
      cut: () => this.#cut(),
      reset: () => this.#reset(),
      slowLink: () => this.#slowLink(),
      kill: () => this.#kill(),
      pause: () => this.#pauseNode(),
      slowProcess: () => this.#slowProcess(),
      stop: () => this.#stop(),
      join: () => this.#join(),
      leave: () => this.#leave(),
      coordinatorKill: () => this.#killCoordinator(),
      coordinatorStop: () => this.#stopCoordinator(),
      coordinatorPause: () => this.#pauseCoordinator(),
      coordinatorSuspend: () => this.#suspendCoordinator(),
      allAtOnce: () => this.#allAtOnce(),
      wallJump: () => this.#wallJump(),
      diskFull: () => this.#diskFull(),
      diskSlow: () => this.#diskSlow(),
      readErrors: () => this.#readErrors(),
      filesMissing: () => this.#filesMissing(),
      bitFlip: () => this.#bitFlip(),
      rot: () => this.#rot(),
      oldFolder: () => this.#oldFolder(),
      oldDocument: () => this.#oldDocument(),
      folderPutBack: () => this.#folderPutBack(),
      channelCut: () => this.#cutChannel(),
      halfOpen: () => this.#halfOpen(),
      pairCut: () => this.#cutPair(),
      suspend: () => this.#suspend(),
      claim: () => this.#claim(),
      isolate: () => this.#isolate(),
      orphan: () => this.#orphan(),
      forget: () => this.#forget(),
      replace: () => this.#replace(),
      learnerDamage: () => this.#damageLearner(),
      coordinatorSet: () => this.#sets.strike(),
      forceInTransfer: () => this.forcedTransfers.strike(),
    };
    for (const name of Object.keys(actions) as FaultName[]) {
      const rate = this.#world.faults.rates[name];
      if (rate > 0) this.#strikeAgain(60_000 / rate, actions[name]);
    }
  }

  /** The calm begins: what is broken is mended, what is dead starts again. */
  end(): void {
    this.#storm = false;
    const world = this.#world;
    world.trace.add("nemesis", "the storm ends");
    this.#twin?.end();
    world.network.options = {
      ...world.network.options,
      spikeRate: 0,
      datagramLoss: 0,
      datagramDoubling: 0,
      refusals: 0,
    };
    world.network.healAll();
    const standbyDisks = world.standbys.map(({ disk }) => disk);
    for (
      const disk of [world.coordinatorDisk, ...standbyDisks, ...world.hosts.map(({ disk }) => disk)]
    ) {
      disk.faults.full = false;
      disk.faults.slowMs = 0;
      disk.faults.readErrors = 0;
      disk.faults.filesMissing = false;
    }
    const processes = [
      world.coordinatorProcess,
      ...world.standbys.map(({ process }) => process),
      ...world.members.map(({ process }) => process),
    ];
    for (const process of processes) if (process !== undefined) process.stepMs = 0;
    world.coordinatorProcess?.resume("as it came");
    for (const { process } of world.standbys) process?.resume("as it came");
    if (this.#onOldDocument) world.killCoordinator(true);
    world.startCoordinator();
    if (world.faults.rates.coordinatorSet > 0) this.#sets.mend();
    for (const host of world.members) {
      host.process?.resume("as it came");
      if (host.process === undefined) world.startNode(host);
    }
  }

  #strikeAgain(meanMs: number, action: () => void): void {
    const waitMs = -Math.log(1 - randomFraction(this.#random)) * meanMs;
    this.#world.scheduler.after(waitMs, undefined, () => {
      if (!this.#storm) return;
      if (this.mayStrike()) action();
      this.#strikeAgain(meanMs, action);
    });
  }

  /** Ends something later, unless the storm's end has done so. */
  #later(delayMs: number, action: () => void): void {
    this.#world.scheduler.after(delayMs, undefined, () => {
      if (this.#storm) action();
    });
  }

  #chance(of: number): boolean {
    return randomFraction(this.#random) < of;
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[randomBelow(this.#random, list.length)];
  }

  #runningNode(): NodeHost | undefined {
    return this.#pick(this.#world.members.filter(({ process }) => process?.running === true));
  }

  #places(): string[] {
    const { members, clientProcesses } = this.#world;
    const nodes = members.map(({ name }) => name);
    const { coordinatorHosts } = this.#world;
    return [...nodes, ...nodes, ...coordinatorHosts, ...clientProcesses.map(({ host }) => host)];
  }

  #say(what: string): void {
    this.#world.trace.add("nemesis", what);
  }

  #cut(): void {
    const { network, coverage, faults } = this.#world;
    const places = this.#places();
    const distinct = [...new Set(places)];
    const kind = randomBelow(this.#random, 100);
    let near = [this.#pick(places) ?? ""];
    let far = [this.#pick(places) ?? ""];
    if (kind < 40) {
      // One host from all others.
      far = distinct;
    } else if (kind < 70) {
      // Two sides, each with clients of its own: who is cut off does not notice by its clients.
      near = distinct.filter(() => this.#chance(0.5));
      far = distinct.filter((place) => !near.includes(place));
    }
    const mode = this.#chance(faults.forgetful) ? "forget" : "hold";
    const oneWay = this.#chance(faults.oneWay);
    const inward = this.#chance(0.5);
    coverage.hit(oneWay ? "fault: cut one way" : "fault: cut both ways");
    if (mode === "forget") coverage.hit("fault: cut that forgets streams");
    const pairs = near.flatMap((a) =>
      far.filter((b) => b !== a).flatMap((b): [string, string][] =>
        oneWay ? [inward ? [b, a] : [a, b]] : [[a, b], [b, a]]
      )
    );
    this.#say(
      `cuts ${pairs.map(([from, to]) => `${from}>${to}`).join(" ")}${
        mode === "forget" ? ", streams are forgotten" : ""
      }`,
    );
    for (const [from, to] of pairs) network.cut(from, to, mode);
    this.#later(this.#world.outageMs(), () => {
      this.#say(`heals ${pairs.map(([from, to]) => `${from}>${to}`).join(" ")}`);
      for (const [from, to] of pairs) network.heal(from, to);
    });
  }

  /** TCP or UDP alone, mostly between a node and the coordinator, often in one direction. */
  #cutChannel(): void {
    const { network, coverage, faults } = this.#world;
    const near = this.#pick(this.#world.members)?.name ?? "";
    const channel: Channel = this.#chance(0.7) ? "tcp" : "udp";
    const far = channel === "udp" || this.#chance(0.7)
      ? COORDINATOR_HOST
      : this.#pick(this.#places()) ?? "";
    if (near === far) return;
    const mode = this.#chance(faults.forgetful) ? "forget" : "hold";
    const links: [string, string][] = [[near, far], [far, near]];
    const direction = randomBelow(this.#random, 3);
    const pairs = direction === 2 ? links : links.slice(direction, direction + 1);
    const text = pairs.map(([from, to]) => `${from}>${to}`).join(" ");
    coverage.hit(channel === "tcp" ? "fault: TCP alone cut" : "fault: UDP alone cut");
    this.#say(`cuts ${channel} ${text}${mode === "forget" ? ", streams are forgotten" : ""}`);
    for (const [from, to] of pairs) network.cut(from, to, mode, [channel]);
    this.#later(this.#world.outageMs(), () => {
      this.#say(`heals ${channel} ${text}`);
      for (const [from, to] of pairs) network.heal(from, to, [channel]);
    });
  }

  /** A node's session is dead, and nobody has said so. */
  #halfOpen(): void {
    const host = this.#runningNode();
    if (host === undefined) return;
    if (this.#world.network.forgetStreams(host.name, COORDINATOR_HOST) === 0) return;
    this.#world.coverage.hit("fault: session half open");
    this.#say(`the streams between ${host.name} and the coordinator are forgotten`);
  }

  /** Two nodes do not see each other; the rest is whole. */
  #cutPair(): void {
    const { network, coverage, members, faults } = this.#world;
    const a = this.#pick(members)?.name ?? "";
    const b = this.#pick(members)?.name ?? "";
    if (a === b) return;
    coverage.hit("fault: pair of nodes cut");
    const mode = this.#chance(faults.forgetful) ? "forget" : "hold";
    this.#say(`cuts the pair ${a} ${b}${mode === "forget" ? ", streams are forgotten" : ""}`);
    network.cut(a, b, mode);
    network.cut(b, a, mode);
    this.#later(this.#world.outageMs(), () => {
      this.#say(`heals the pair ${a} ${b}`);
      network.heal(a, b);
      network.heal(b, a);
    });
  }

  /**
   * A node is cut off from all other servers for longer than it takes to replace it. Clients reach it all the while,
   * and are served by it for as long as its lease lasts.
   */
  #isolate(): void {
    const node = this.#pick(this.#world.members)?.name ?? "";
    const others = this.#world.members.map(({ name }) => name).filter((name) => name !== node);
    this.#world.coverage.hit("fault: node isolated from all servers");
    this.#cutOff(node, [...others, ...this.#world.coordinatorHosts]);
  }

  /** A node is cut off from the coordinator alone, for as long: its replicas still confirm its reads until they are told of another. */
  #orphan(): void {
    this.#world.coverage.hit("fault: node cut off from the coordinator alone");
    this.#cutOff(this.#pick(this.#world.members)?.name ?? "", this.#world.coordinatorHosts);
  }

  #cutOff(node: string, places: readonly string[]): void {
    const { network, faults } = this.#world;
    const mode = this.#chance(faults.forgetful) ? "forget" : "hold";
    this.#say(
      `cuts ${node} off from ${places.join(" ")}${
        mode === "forget" ? ", streams are forgotten" : ""
      }`,
    );
    for (const place of places) {
      network.cut(node, place, mode);
      network.cut(place, node, mode);
    }
    this.#later(FAILURE_TIMEOUT_MS + this.#world.outageMs(), () => {
      this.#say(`lets ${node} reach ${places.join(" ")}`);
      for (const place of places) {
        network.heal(node, place);
        network.heal(place, node);
      }
    });
  }

  /** A node's machine sleeps. Its date tells it so: it must not have been set back around then. */
  #suspend(): void {
    const host = this.#runningNode();
    const process = host?.process;
    if (host === undefined || process === undefined || !this.#mayTouchClock(host.name)) return;
    const ms = this.#sleep(process, host.name);
    this.#clockTouched.set(host.name, this.#world.nowMs + ms);
    if (ms > LEASE_MS * 1.1) {
      this.#world.coverage.hit("fault: machine suspended beyond the lease");
    }
  }

  /** The coordinator's machine sleeps; its sockets stay, and what is sent to it waits there. */
  #suspendCoordinator(): void {
    const process = this.#coordinatorProcess();
    if (process?.running !== true) return;
    this.#world.coverage.hit("fault: coordinator's machine suspended");
    this.#sleep(process, COORDINATOR_HOST);
  }

  #sleep(process: SimProcess, what: string): number {
    const ms = spread(this.#random, 200, 12_000);
    this.#say(`suspends the machine of ${what} for ${Math.round(ms)} ms`);
    process.suspend();
    const order = this.#pick(RESUME_ORDERS) ?? "as it came";
    this.#later(ms, () => {
      this.#say(`the machine of ${what} wakes up, ${order}`);
      process.resume(order);
    });
    return ms;
  }

  #mayTouchClock(host: string): boolean {
    return this.#world.nowMs > (this.#clockTouched.get(host) ?? -Infinity) + CLOCK_REST_MS;
  }

  /** Somebody who is no node of the cluster says that it is the primary. */
  #claim(): void {
    const host = this.#runningNode();
    if (host === undefined) return;
    this.#world.coverage.hit("fault: a stranger claims partitions");
    this.#say(`a stranger tells ${host.name} that it is the primary`);
    this.#world.claimPartitions(host, this.#random);
  }

  #reset(): void {
    const { network, coverage } = this.#world;
    const places = this.#places();
    const [a, b] = [this.#pick(places) ?? "", this.#pick(places) ?? ""];
    if (a === b || network.reset(a, b) === 0) return;
    coverage.hit("fault: streams reset");
    this.#say(`resets the streams ${a} ${b}`);
  }

  #slowLink(): void {
    const { network, coverage } = this.#world;
    const places = this.#places();
    const [a, b] = [this.#pick(places) ?? "", this.#pick(places) ?? ""];
    if (a === b) return;
    coverage.hit("fault: slow link");
    const bytesPerMs = spread(this.#random, 0.3, 100);
    this.#say(`slows ${a}>${b} down to ${bytesPerMs.toFixed(2)} kB/s`);
    network.slow(a, b, bytesPerMs);
    this.#later(this.#world.outageMs(), () => network.slow(a, b, 0));
  }

  #kill(): void {
    const host = this.#pick(this.#world.members.filter(({ process }) => process !== undefined));
    if (host !== undefined) this.#killNode(host);
  }

  #killNode(host: NodeHost): void {
    const world = this.#world;
    if (world.shape.memory && !this.#othersHoldAll(host)) {
      if (!this.#chance(RECKLESS)) return;
      world.coverage.hit("fault: the last replica in memory killed");
    }
    const power = !this.#chance(world.faults.powerLoss);
    world.coverage.hit(power ? "fault: node killed" : "fault: node without power");
    world.killNode(host, power);
    this.#startLater(host);
  }

  #startLater(host: NodeHost): void {
    this.#later(this.#world.outageMs(), () => {
      if (host.gone) return;
      this.#damageJournal(host);
      this.#world.startNode(host);
    });
  }

  /**
   * A bit of a dead node's journal flips, if others hold the same: at the last moment, since until then these may fail
   * and leave the partitions to it alone.
   */
  #damageJournal(host: NodeHost): void {
    const world = this.#world;
    if (host.process !== undefined || world.shape.memory) return;
    if (!this.#chance(world.faults.vanishing) || !this.#othersHoldAll(host)) return;
    const lost = host.disk.damageJournal();
    if (lost === undefined) return;
    world.coverage.hit("fault: journal damaged");
    this.#say(`a bit of the journal of ${host.name} flips, and ${lost} rows are lost`);
  }

  #pause(process: SimProcess, what: string): void {
    const ms = spread(this.#random, 100, 12_000);
    this.#say(`pauses ${what} for ${Math.round(ms)} ms`);
    process.pause();
    const order = this.#pick(RESUME_ORDERS) ?? "as it came";
    this.#later(ms, () => {
      this.#say(`lets ${what} go on, ${order}`);
      process.resume(order);
    });
    if (ms > LEASE_MS * 1.1 && what !== COORDINATOR_HOST) {
      this.#world.coverage.hit("fault: node paused beyond the lease");
    }
  }

  #pauseNode(): void {
    const host = this.#runningNode();
    if (host?.process !== undefined) this.#pause(host.process, host.name);
  }

  /** What a process computes takes its time for a while, as on a machine that has too much to do. */
  #slowProcess(): void {
    const isNode = this.#chance(0.8);
    const process = isNode ? this.#runningNode()?.process : this.#world.coordinatorProcess;
    if (process === undefined) return;
    this.#world.coverage.hit("fault: process slow");
    process.stepMs = spread(this.#random, 0.02, STEP_MS_MAX);
    this.#say(`each step of ${process.name} takes ${process.stepMs.toFixed(2)} ms`);
    this.#later(this.#world.outageMs(), () => {
      process.stepMs = 0;
    });
  }

  #pauseCoordinator(): void {
    const process = this.#coordinatorProcess();
    if (process?.running !== true) return;
    this.#world.coverage.hit("fault: coordinator paused");
    this.#pause(process, COORDINATOR_HOST);
  }

  #stop(): void {
    const host = this.#runningNode();
    if (host?.runtime === undefined || host.target !== "run") return;
    if (this.#world.shape.memory && !this.#othersHoldAll(host)) return;
    this.#world.coverage.hit("fault: node stopped in order");
    this.#world.stopNode(host, () => {
      if (this.#storm) this.#startLater(host);
      else this.#world.startNode(host);
    });
  }

  #join(): void {
    const world = this.#world;
    if (world.members.length >= NODES_MAX) return;
    world.coverage.hit("fault: node joins");
    const host = world.addHost();
    this.#say(`${host.name} joins`);
    world.startNode(host);
  }

  #leave(): void {
    const world = this.#world;
    if (world.members.filter(({ target }) => target !== "leave").length <= 3) return;
    const host = this.#runningNode();
    if (host?.runtime === undefined || host.target !== "run") return;
    world.coverage.hit("fault: node leaves");
    this.#dropCopies(host);
    world.leaveNode(host);
  }

  /** A node that has left is forgotten, and may come back as a new one. */
  #dropCopies(host: NodeHost): void {
    if (this.#copy?.host === host) this.#copy = undefined;
    if (this.#twin?.host === host) this.#twin.end();
  }

  /** One of the others, if there are several and chance, which likes the active one, says so. */
  #standby(): CoordinatorHost | undefined {
    const standbys = this.#world.standbys.filter(({ retired }) => !retired);
    if (standbys.length === 0) return undefined;
    const active = standbys.find(({ coordinator }) => coordinator?.isActive === true);
    if (this.#world.firstCoordinator?.isActive === true && this.#chance(0.5)) return undefined;
    if (active !== undefined && this.#chance(0.5)) return active;
    return this.#chance(1 / (standbys.length + 1)) ? undefined : this.#pick(standbys);
  }

  #coordinatorProcess(): SimProcess | undefined {
    const standby = this.#standby();
    return standby === undefined ? this.#world.coordinatorProcess : standby.process;
  }

  #killCoordinator(): void {
    const world = this.#world;
    const standby = this.#standby();
    if (standby !== undefined) {
      world.coverage.hit("fault: coordinator killed");
      world.killStandby(standby, !this.#chance(world.faults.powerLoss));
      this.#startCoordinatorLater(standby);
      return;
    }
    if (world.coordinatorProcess === undefined || this.#onOldDocument) return;
    world.coverage.hit("fault: coordinator killed");
    world.killCoordinator(!this.#chance(world.faults.powerLoss));
    this.#startCoordinatorLater(world.first);
  }

  /** Unless it is not wanted any more, or was started meanwhile. */
  #startCoordinatorLater(host: CoordinatorHost): void {
    const world = this.#world;
    this.#later(world.outageMs(), () => {
      if (host.retired) return;
      if (host === world.first) world.startCoordinator();
      else world.startStandby(host);
    });
  }

  #stopCoordinator(): void {
    const world = this.#world;
    const standby = this.#standby();
    if (standby !== undefined) {
      if (standby.process?.running !== true) return;
      world.stopStandby(standby, () => {
        world.coverage.hit("fault: coordinator stopped in order");
        if (this.#storm) this.#startCoordinatorLater(standby);
        else if (!standby.retired) world.startStandby(standby);
      });
      return;
    }
    if (world.coordinatorProcess?.running !== true || this.#onOldDocument) return;
    world.stopCoordinator(() => {
      world.coverage.hit("fault: coordinator stopped in order");
      if (this.#storm) this.#startCoordinatorLater(world.first);
      else world.startCoordinator();
    });
  }

  /** A node dies for long enough that the coordinator notices; then `then`, if others hold all that it holds. */
  #afterDeath(then: (host: NodeHost, id: NodeId) => void): void {
    const world = this.#world;
    const host = this.#runningNode();
    const id = host?.nodeId;
    if (host === undefined || id === undefined || host.target !== "run") return;
    if (!this.#othersHoldAll(host)) return;
    world.killNode(host, true);
    this.#later(2 * FAILURE_TIMEOUT_MS + world.outageMs(), () => {
      if (host.gone || host.process !== undefined) return;
      if (this.#othersHoldAll(host)) then(host, id);
      else world.startNode(host);
    });
  }

  /** An operator has a dead node forgotten, which comes back with its disk all the same. */
  #forget(): void {
    const world = this.#world;
    this.#afterDeath((host, id) => {
      this.#say(`has ${host.name}, node ${id}, forgotten`);
      this.#dropCopies(host);
      world.forgetNode(id, false, ({ req_type: is }) => {
        if (is === "result") world.coverage.hit("fault: node forgotten that comes back");
      });
      this.#startLater(host);
    });
  }

  /** A machine is replaced: another node with an empty disk comes at the address of one that is gone. */
  #replace(): void {
    const world = this.#world;
    this.#afterDeath((host, id) => {
      this.#say(`puts a new node in the place of ${host.name}, node ${id}`);
      world.coverage.hit("fault: node replaced at its address");
      this.#dropCopies(host);
      world.replaceNode(host);
    });
  }

  /** One bit of what a replica holds that is being filled, the next one that is. */
  #damageLearner(tries = LEARNER_TRIES): void {
    const world = this.#world;
    const filled = (world.map?.partitions ?? []).flatMap(({ learners }, partition) =>
      learners.map((id) => ({ host: world.hostOf(id), partition }))
    );
    const { host, partition = 0 } = this.#pick(filled) ?? {};
    const prefix = String.fromCharCode(partition >>> 8, partition & 0xff);
    const key = this.#pick(host?.disk.keysInTable(prefix) ?? []);
    if (host === undefined || key === undefined || !this.#othersHoldAll(host)) {
      if (tries > 0) this.#later(LEARNER_TRY_MS, () => this.#damageLearner(tries - 1));
      return;
    }
    world.coverage.hit("fault: learner damaged");
    this.#say(`flips a bit of the learner ${host.name}, partition ${partition}`);
    host.disk.flipBit(key);
  }

  #allAtOnce(): void {
    const world = this.#world;
    world.coverage.hit("fault: all processes at once");
    this.#say("ends all processes at once");
    if (this.#chance(0.7)) this.#killCoordinator();
    for (const host of world.members) if (host.process !== undefined) this.#killNode(host);
  }

  #wallJump(): void {
    const host = this.#runningNode();
    if (host?.process === undefined || !this.#mayTouchClock(host.name)) return;
    this.#clockTouched.set(host.name, this.#world.nowMs);
    this.#world.coverage.hit("fault: wall clock jumps");
    const ms = spread(this.#random, 10, 7_200_000) * (this.#chance(0.5) ? -1 : 1);
    this.#say(`the date of ${host.name} jumps by ${Math.round(ms)} ms`);
    host.process.clock.wallOffsetMs += ms;
  }

  #disk() {
    const disks = this.#world.members.map(({ disk }) => disk);
    const standbys = this.#world.standbys.map(({ disk }) => disk);
    return this.#chance(0.15)
      ? this.#pick([this.#world.coordinatorDisk, ...standbys])
      : this.#pick(disks);
  }

  #diskFull(): void {
    const disk = this.#disk();
    if (disk === undefined) return;
    this.#world.coverage.hit("fault: disk full");
    this.#say(`the disk of ${disk.name} is full`);
    disk.faults.full = true;
    // A process that starts on a full disk does not get far.
    const host = this.#world.members.find((host) => host.disk === disk);
    if (host?.process !== undefined && this.#chance(0.3)) this.#killNode(host);
    this.#later(this.#world.outageMs(), () => {
      this.#say(`the disk of ${disk.name} has room`);
      disk.faults.full = false;
    });
  }

  #diskSlow(): void {
    const disk = this.#disk();
    if (disk === undefined) return;
    this.#world.coverage.hit("fault: disk slow");
    disk.faults.slowMs = spread(this.#random, 20, 4_000);
    this.#say(`the disk of ${disk.name} is slow, up to ${Math.round(disk.faults.slowMs)} ms`);
    this.#later(this.#world.outageMs(), () => {
      disk.faults.slowMs = 0;
    });
  }

  #readErrors(): void {
    const disk = this.#pick(this.#world.members.map(({ disk }) => disk));
    if (disk === undefined) return;
    // Some disks fail now and then, some altogether, for as long as it takes to be given up.
    disk.faults.readErrors = this.#chance(0.2) ? 1 : spread(this.#random, 0.001, 0.2);
    this.#say(`the disk of ${disk.name} fails to read, ${disk.faults.readErrors.toFixed(4)}`);
    const outageMs = this.#world.outageMs();
    if (outageMs >= READ_FAILURE_MS_MAX) disk.mayBeDamaged = disk.everVanished = true;
    this.#later(outageMs, () => {
      disk.faults.readErrors = 0;
    });
  }

  /** Files of a node's database are deleted while it runs, and put back later. */
  #filesMissing(): void {
    const host = this.#runningNode();
    if (host === undefined) return;
    this.#world.coverage.hit("fault: files missing");
    this.#say(`files of the database of ${host.name} are missing`);
    host.disk.faults.filesMissing = true;
    this.#later(this.#world.outageMs(), () => {
      host.disk.faults.filesMissing = false;
    });
  }

  /** Copies a node's folder, or starts a process on a copy that is older than the node's last start. */
  #oldFolder(): void {
    const copy = this.#copy;
    if (copy === undefined) {
      const host = this.#pick(this.#world.members);
      if (host === undefined) return;
      const incarnation = incarnationOn(host.disk);
      if (incarnation === undefined) return;
      const disk = host.disk.copy(`${host.name}-copy${++this.#copies}`);
      this.#copy = { host, disk, incarnation };
      return;
    }
    // A later start must have got as far as the coordinator, or the copy is as good as the original.
    const { host, disk, incarnation } = copy;
    if (host.runtime?.up !== true || incarnationOn(host.disk) === incarnation) return;
    this.#copy = undefined;
    this.#world.coverage.hit("fault: old copy of a folder started");
    this.#twin?.end();
    this.#twin = { host, end: this.#world.startOnOldFolder(disk) };
  }

  /** Copies the coordinator's document, or starts the coordinator a few times on a copy that is older than what all have seen. */
  #oldDocument(): void {
    const world = this.#world;
    const copy = this.#document;
    if (this.#onOldDocument || world.map === undefined) return;
    if (copy === undefined) {
      const disk = world.coordinatorDisk.copy(`${COORDINATOR_HOST}-copy${++this.#copies}`);
      this.#document = { disk, epoch: world.map.epoch };
      return;
    }
    const hasSeenLater = ({ runtime }: NodeHost) =>
      runtime?.up === true && (runtime.node.map()?.epoch ?? 0) > copy.epoch;
    if (world.coordinatorProcess?.running !== true || !world.members.every(hasSeenLater)) return;
    this.#document = undefined;
    this.#onOldDocument = true;
    world.coverage.hit("fault: old document put back");
    this.#say(`puts an old document back, of epoch ${copy.epoch}`);
    world.killCoordinator(true);
    this.#runOnOldDocument(copy.disk, 1 + randomBelow(this.#random, 5));
  }

  #runOnOldDocument(disk: SimDisk, times: number): void {
    const world = this.#world;
    if (times === 0) {
      this.#onOldDocument = false;
      this.#say("puts the newest document back");
      world.startCoordinator();
      return;
    }
    world.startCoordinator(disk);
    this.#later(spread(this.#random, 1_000, 6_000), () => {
      world.killCoordinator(true);
      this.#runOnOldDocument(disk, times - 1);
    });
  }

  /** Copies a node's folder while it runs; later all nodes die, and it starts on the copy before the others do. */
  #folderPutBack(): void {
    const world = this.#world;
    const copy = this.#putBackReplica;
    const host = copy === undefined
      ? this.#runningNode()
      : world.members.find(({ process }) => process === copy.process);
    const { process, runtime } = host ?? {};
    if (host === undefined || process === undefined || runtime?.up !== true) {
      this.#putBackReplica = undefined;
      return;
    }
    if (copy === undefined) {
      const disk = host.disk.copy(`${host.name}-copy${++this.#copies}`);
      this.#putBackReplica = { process, disk, batch: runtime.node.syncedBatch };
      return;
    }
    if (runtime.node.syncedBatch === copy.batch) return;
    this.#putBackReplica = undefined;
    // By then the coordinator has been told of it, if the node has a lease.
    this.#later(LEASE_MS * 1.5, () => {
      if (host.process !== process || !runtime.node.hasLease || !this.#othersHoldAll(host)) return;
      world.coverage.hit("fault: old copy of a folder put back");
      this.#say(`ends all nodes, and puts an old copy of the folder of ${host.name} back`);
      for (const other of world.members) world.killNode(other, true);
      host.disk.putBack(copy.disk);
      world.startNode(host);
      for (const other of world.members) {
        if (other === host) continue;
        this.#later(spread(this.#random, 5_000, 15_000), () => world.startNode(other));
      }
    });
  }

  /** Flips one bit of what a node's disk holds, if others hold the same. */
  #bitFlip(): void {
    const world = this.#world;
    const host = this.#pick(world.members);
    if (host === undefined || !this.#othersHoldAll(host)) return;
    const partition = randomBelow(this.#random, world.shape.partitions);
    const keys = host.disk.keysInTable(
      String.fromCharCode(partition >>> 8, partition & 0xff),
    );
    const key = this.#pick(keys);
    if (key === undefined) return;
    world.coverage.hit("fault: bit flipped");
    this.#say(`flips a bit of ${host.name}, partition ${partition}, ${JSON.stringify(key)}`);
    host.disk.flipBit(key);
  }

  /** Makes a block of a node's database unreadable, if others hold the same. */
  #rot(): void {
    const world = this.#world;
    const host = this.#pick(world.members);
    if (host === undefined || !this.#othersHoldAll(host)) return;
    const partition = randomBelow(this.#random, world.shape.partitions);
    const keys = host.disk.keysInTable(
      String.fromCharCode(partition >>> 8, partition & 0xff),
    );
    if (keys.length === 0) return;
    const from = randomBelow(this.#random, keys.length);
    const block = keys.slice(from, from + 1 + randomBelow(this.#random, 4));
    world.coverage.hit("fault: block rotten");
    this.#say(`a block of ${host.name} rots, partition ${partition}, ${block.length} rows`);
    host.disk.rotBlock(block);
  }

  /**
   * Whether each partition that the host is to hold has another in-sync copy, on a node that runs
   * and whose disk is whole. Only one disk at a time may be damaged.
   */
  #othersHoldAll(host: NodeHost): boolean {
    const world = this.#world;
    const { persisted } = world;
    if (persisted === undefined) return false;
    for (const other of world.members) {
      if (other !== host && other.disk.outstandingDamage().length > 0) return false;
    }
    // A role of an earlier process may be taken away, and given to this host alone.
    const stale = new Map(persisted.members.map((member) => [member.id, member.stale]));
    return persisted.map.partitions.every(({ inSync }, partition) =>
      host.nodeId === undefined || !inSync.includes(host.nodeId) ||
      inSync.some((id) =>
        id !== host.nodeId && world.hostOf(id)?.runtime !== undefined &&
        stale.get(id)?.includes(partition) === false
      )
    );
  }
}

function incarnationOn(disk: SimDisk): number | undefined {
  const text = disk.documents.get(NODE_DOCUMENT);
  return text === undefined ? undefined : JSON.parse(text).incarnation;
}
