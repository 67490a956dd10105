/**
 * Who are the coordinators changes while everything else goes wrong: an operator adds, removes and replaces them, from
 * one to five; disks are lost, and old copies of folders are put back. One thing is done after the other, and only one
 * disk at a time is lost, while those of the others have what it takes: more than that nobody promises to survive.
 *
 * @module
 */
import { type Random, randomBelow, randomFraction } from "../../../shared/platform/random.ts";
import { spread } from "../sim/scheduler.ts";
import { recordOn } from "../sim/chosen_documents.ts";
import type { SimDisk } from "../sim/sim_disk.ts";
import { COORDINATOR_HOST, type CoordinatorHost, type World } from "../sim/world.ts";
import {
  type CoordinatorSet,
  learnersOf,
  membersOf,
} from "../../../coordinator/register/coordinator_set.ts";
import type { CoordinatorRecord } from "../../../coordinator/state/coordinator_record.ts";

const VOTERS_MAX = 5;
/** So many hosts, of which some have no coordinator at times. */
const HOSTS_MAX = 6;
/** How often it is looked at whether a new one waits, and for how long. */
const LOOK_MS = 200;
const WAIT_MS = 8_000;
/** How long one that was taken out still runs, at most: nobody may listen to it. */
const LINGER_MS = 8_000;

/** Within this time of a step of a change the active one is killed, so that the step may be anywhere on its way. */
const KILL_WITHIN_MS = 60;

/** The steps of a change: new ones are made level, both majorities count, it is done. */
const STAGES = ["levelling", "joint", "done"] as const;
type Stage = (typeof STAGES)[number];

/** What can be wrong with a disk. */
type Loss = "emptied" | "put back";

/** The operator of the coordinators, and what happens to their disks. */
export class CoordinatorSets {
  readonly #world: World;
  readonly #random: Random;
  /** New ones that wait for the operator's word. */
  #coming: CoordinatorHost[] = [];
  /** A copy of a folder, made while its process ran. */
  #copy: { readonly host: CoordinatorHost; readonly disk: SimDisk } | undefined;
  #copies = 0;
  #calm = false;
  /** The step of the next change at which the active one is killed. */
  #killAt: Stage | undefined;
  #stage: Stage = "done";

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
    world.documents.onSet = (set) => this.#onSet(set);
  }

  /** The next thing happens, unless one is under way. */
  strike(): void {
    const set = this.#world.coordinatorSet;
    if (this.#calm || set === undefined || this.#coming.length > 0) return;
    this.#takeOut(set);
    // From the joint set on a change goes through; before that, the next order comes on top of it.
    if (set.joint) return;
    const { length } = set.wanted ?? set.voters;
    const kind = randomBelow(this.#random, 10);
    if (kind < 2) return this.#lose("emptied", set);
    if (kind < 4) return this.#lose("put back", set);
    const add = kind < 8 ? Math.min(1 + randomBelow(this.#random, 2), VOTERS_MAX - length) : 0;
    const remove = kind >= 6 ? 1 + randomBelow(this.#random, 2) : 0;
    this.#change(set, add, Math.min(remove, length + add - 1, length));
  }

  /** The storm is over: in the end the first host has a coordinator, and all that are wanted run. */
  mend(): void {
    this.#calm = true;
    for (const host of this.#coming) this.#retire(host);
    this.#coming = [];
    this.#mendSoon();
  }

  #mendSoon(): void {
    const world = this.#world;
    world.scheduler.after(LOOK_MS, undefined, () => {
      const set = world.coordinatorSet;
      if (set !== undefined) {
        this.#takeOut(set);
        if (set.wanted !== undefined) this.#callOff(set);
        else if (!this.#isIn(set, world.first)) this.#bringBackFirst();
      }
      // To the end of the run: an order of the storm may still be on its way.
      this.#mendSoon();
    });
  }

  /** One that an order of the storm has added, and whose disk was given to another one meanwhile, never comes. */
  #callOff(set: CoordinatorSet): void {
    const hosts = this.#world.allCoordinatorHosts;
    const gone = learnersOf(set).filter(({ id }) => !hosts.some((host) => host.id === id));
    if (gone.length === 0) return;
    const isGone = ({ id }: { id: string }) => gone.some((one) => one.id === id);
    // If nobody else is to be there, those that are leaving stay.
    const add = set.wanted?.every(isGone) === true ? set.voters.map(({ id }) => id) : [];
    this.#order({
      ...(add.length === 0 ? {} : { add }),
      remove: gone.map(({ id }) => id),
    }, () => {});
  }

  /** Clients and operators ask at the first host. */
  #bringBackFirst(): void {
    const { first } = this.#world;
    if (first.retired) this.#come(first);
    if (!this.#isWaiting(first)) return;
    this.#order({ add: [first.id] }, () => {});
  }

  /** A document with this set is chosen. */
  #onSet(set: CoordinatorSet): void {
    const stage: Stage = set.joint ? "joint" : set.wanted === undefined ? "done" : "levelling";
    const isNew = stage !== this.#stage;
    this.#stage = stage;
    if (this.#calm || !isNew || stage !== this.#killAt) return;
    this.#killAt = undefined;
    const world = this.#world;
    world.scheduler.after(randomBelow(this.#random, KILL_WITHIN_MS), undefined, () => {
      const host = world.allCoordinatorHosts.find(({ coordinator }) => coordinator?.isActive);
      if (this.#calm || host === undefined) return;
      world.coverage.hit(`fault: coordinator killed while a change is ${stage}`);
      this.#kill(host);
      world.scheduler.after(world.outageMs(), undefined, () => {
        if (!host.retired) this.#start(host);
      });
    });
  }

  #change(set: CoordinatorSet, add: number, remove: number): void {
    const world = this.#world;
    if (add <= 0 && remove <= 0) return;
    this.#killAt = STAGES[randomBelow(this.#random, 2 * STAGES.length)];
    const idle = world.allCoordinatorHosts.filter((host) => host.retired && !this.#isIn(set, host));
    for (let i = 0; i < add; i++) {
      const host = idle[i];
      if (host === undefined && world.allCoordinatorHosts.length >= HOSTS_MAX) break;
      this.#coming.push(this.#come(host));
    }
    const leaving = this.#shuffled(set.wanted ?? set.voters).slice(0, remove).map(({ id }) => id);
    this.#say(
      `wants coordinators: ${this.#coming.map(({ id, name }) => `+${id} on ${name}`).join(" ")} ` +
        leaving.map((id) => `-${id}`).join(" "),
    );
    this.#orderWhenWaiting(leaving, WAIT_MS);
  }

  #orderWhenWaiting(remove: readonly string[], leftMs: number): void {
    const coming = this.#coming;
    if (!coming.every((host) => this.#isWaiting(host)) && leftMs > 0) {
      this.#world.scheduler.after(LOOK_MS, undefined, () => {
        if (!this.#calm) this.#orderWhenWaiting(remove, leftMs - LOOK_MS);
      });
      return;
    }
    const add = coming.filter((host) => this.#isWaiting(host)).map(({ id }) => id);
    this.#order({ ...(add.length === 0 ? {} : { add }), remove }, () => {
      if (!this.#calm) this.#coming = [];
    });
  }

  #order(
    change: { readonly add?: readonly string[]; readonly remove?: readonly string[] },
    then: () => void,
  ): void {
    const running = this.#world.coordinators;
    const at = this.#calm ? undefined : running[randomBelow(this.#random, running.length || 1)];
    const active = running.find(({ coordinator }) => coordinator.isActive);
    const { name } = at ?? active ?? { name: COORDINATOR_HOST };
    this.#world.orderCoordinators(change, name, then);
  }

  /** A coordinator that nobody knows yet, on a host without one. */
  #come(host: CoordinatorHost | undefined): CoordinatorHost {
    if (host !== undefined) this.#kill(host);
    const coming = this.#world.addCoordinator(host);
    this.#start(coming);
    return coming;
  }

  #isWaiting({ id }: CoordinatorHost): boolean {
    const lines = this.#world.coordinator?.coordinators().coordinators ?? [];
    return lines.some((line) => line.id === id && line.role === "waiting");
  }

  #isIn(set: CoordinatorSet, { id }: CoordinatorHost): boolean {
    return membersOf(set).some((member) => member.id === id);
  }

  /** Those that are not wanted any more go, some after they have gone on for a while, or come back on their folder. */
  #takeOut(set: CoordinatorSet): void {
    for (const host of this.#world.allCoordinatorHosts) {
      if (this.#isIn(set, host)) {
        // An order that was taken to have failed was carried out all the same.
        if (host.retired) {
          host.retired = false;
          this.#start(host);
        }
        continue;
      }
      if (host.retired || this.#coming.includes(host)) continue;
      const isNew = recordOn(host.disk)?.accepted === undefined;
      if (this.#calm && host === this.#world.first && isNew) continue;
      const { id } = host;
      if (this.#calm || randomFraction(this.#random) < 0.3) this.#retire(host);
      else {
        if (randomFraction(this.#random) < 0.5) this.#kill(host);
        this.#start(host);
        host.retired = true;
        this.#world.scheduler.after(spread(this.#random, 500, LINGER_MS), undefined, () => {
          if (host.id === id && host.retired) this.#retire(host);
        });
      }
    }
  }

  #retire(host: CoordinatorHost): void {
    host.retired = true;
    this.#kill(host);
  }

  #lose(how: Loss, set: CoordinatorSet): void {
    const world = this.#world;
    const hosts = world.allCoordinatorHosts.filter((host) => this.#isIn(set, host));
    const copied = how === "put back" ? this.#copy : undefined;
    const host = copied?.host ?? hosts[randomBelow(this.#random, hosts.length)];
    if (host === undefined || !hosts.includes(host)) {
      this.#copy = undefined;
      return;
    }
    if (how === "put back" && copied === undefined) {
      this.#copy = { host, disk: host.disk.copy(`${host.name}-copy${++this.#copies}`) };
      return;
    }
    if (!this.#mayLose(host, set)) return;
    if (copied === undefined) {
      this.#say(`empties the disk of ${host.name}`);
      world.coverage.hit("fault: coordinator's disk emptied");
      this.#kill(host);
      world.documents.noteLost(host.disk);
      host.disk.wipe();
    } else {
      if (!this.#isKnownToBeOld(host, copied.disk, set)) return;
      this.#say(`puts an old copy of the folder of ${host.name} back`);
      world.coverage.hit("fault: coordinator's old folder put back");
      this.#copy = undefined;
      this.#kill(host);
      world.documents.noteLost(host.disk);
      host.disk.putBack(copied.disk);
    }
    this.#start(host);
  }

  /** The others are a majority, whose folders are there, and who take part: one of them has the newest document. */
  #mayLose(lost: CoordinatorHost, { voters, wanted }: CoordinatorSet): boolean {
    if (voters.length < 3 || wanted !== undefined) return false;
    return voters.every(({ id, folder }) => {
      const host = this.#world.allCoordinatorHosts.find((one) => one.id === id);
      if (host === undefined || recordOn(host.disk)?.folder !== folder) return false;
      const role = host.coordinator?.coordinators().role;
      return host === lost || role === "active" || role === "standby";
    });
  }

  /**
   * Whether every other disk knows that the folder has written more since. A copy from when there was one coordinator
   * knows of no others that could say so: nodes do (rule C9).
   */
  #isKnownToBeOld(host: CoordinatorHost, disk: SimDisk, { voters }: CoordinatorSet): boolean {
    const old = recordOn(disk);
    const now = recordOn(host.disk);
    const known = old?.accepted?.document.set;
    if (old === undefined || known === undefined || old.folder !== now?.folder) return false;
    if (membersOf(known).length < 2) return false;
    return voters.filter(({ id }) => id !== host.id).every(({ id }) => {
      const other = this.#world.allCoordinatorHosts.find((one) => one.id === id);
      const record = other === undefined ? undefined : recordOn(other.disk);
      return record !== undefined && knowsLater(record, old);
    });
  }

  #kill(host: CoordinatorHost): void {
    if (host === this.#world.first) this.#world.killCoordinator(true);
    else this.#world.killStandby(host, true);
  }

  #start(host: CoordinatorHost): void {
    if (host === this.#world.first) this.#world.startFirst();
    else this.#world.startStandby(host);
  }

  #shuffled<T>(list: readonly T[]): T[] {
    return list.map((item) => ({ item, at: randomFraction(this.#random) }))
      .sort((a, b) => a.at - b.at).map(({ item }) => item);
  }

  #say(what: string): void {
    this.#world.trace.add("operator", what);
  }
}

/** Whether the next start of the copy is one that this coordinator takes for old. Rule G11. */
function knowsLater({ starts }: CoordinatorRecord, old: CoordinatorRecord): boolean {
  return starts.some(({ folder, start, writes }) =>
    folder === old.folder && (start > old.start || writes > old.writes + 1)
  );
}
