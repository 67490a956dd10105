/**
 * Some coordinators with a register, on true time that only this file knows: clocks that run at different rates, a
 * network that loses, delays and doubles, disks that lose what was not synced. It looks after every event whether what
 * docs/coordinators.md promises is true.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { CLOCK_DRIFT_MAX, COORDINATOR_TICK_MS } from "../../../shared/limits/membership.ts";
import { randomBelow, randomFraction, SeededRandom } from "../../../shared/platform/random.ts";
import type { CoordinatorMember } from "../../../coordinator/register/coordinator_set.ts";
import {
  compareGenerations,
  compareStamps,
  formatStamp,
  type Generation,
  type Stamp,
} from "../../../coordinator/register/generation.ts";
import type { Envelope, RegisterDocument } from "../../../coordinator/register/messages.ts";
import type { Differences, Stamped } from "../../../coordinator/register/register.ts";
import {
  type RegisterInput,
  RegisterMember,
} from "../../../coordinator/register/register_member.ts";
import type { RegisterReady } from "../../../coordinator/register/register_ready.ts";
import {
  blankRecord,
  firstRecord,
  parseRecord,
  type RegisterRecord,
} from "../../../coordinator/register/register_record.ts";
import type { Moment } from "../../../coordinator/register/right.ts";

/** What the coordinators keep here: the changes that led to it, so that nothing can be lost unseen. */
export type Body = readonly string[];

type Document = Stamped<RegisterDocument<Body>>;

/** Sends what was appended. */
const APPENDED: Differences<Body> = {
  between: (base, next) =>
    base.every((one, i) => next[i] === one) ? next.slice(base.length) : undefined,
  apply: (base, difference) => [...base, ...difference as Body],
};

/** What a promise of the page was broken by. */
export class Broken extends Error {
  override readonly name = "Broken";
}

/** A process, its machine, and its disk. */
export interface Slot {
  readonly id: string;
  readonly port: number;
  /** True milliseconds to its own. */
  readonly rate: number;
  /** What a power cut leaves. */
  disk: RegisterRecord<Body>;
  /** Every record that was on the disk. */
  readonly history: RegisterRecord<Body>[];
  member: RegisterMember<Body> | undefined;
  /** Grows with each start, so that what belongs to an earlier process is dropped. */
  life: number;
  bootMs: number;
  offsetMs: number;
  /** True time for which its monotonic clock stood still, since the boot. */
  suspendedMs: number;
  frozen: "no" | "stopped" | "suspended";
  frozenSinceMs: number;
  missed: (() => void)[];
  diskMode: "fast" | "slow" | "full";
  /** What it has said, to find a step back. */
  promised: Generation | undefined;
  waitingForDisk: RegisterRecord<Body> | undefined;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  run(): void;
}

/** Where and how badly messages fare. */
export interface Network {
  loss: number;
  late: number;
  doubled: number;
}

/** The world. */
export class RegisterWorld {
  readonly random: SeededRandom;
  readonly slots: Slot[] = [];
  /** Directions that nothing passes, as `from>to`. */
  readonly cuts = new Set<string>();
  readonly network: Network = { loss: 0, late: 0, doubled: 0 };
  nowMs = 0;
  /** Chosen changes, acknowledged to whoever asked for them. */
  readonly acknowledged: string[] = [];
  /** Every chosen document by its revision. */
  readonly chosen = new Map<number, string>();
  newestChosen: Document | undefined;
  /** Who held it, one after the other. */
  readonly activities: { readonly id: string; readonly atMs: number }[] = [];
  readonly counts = new Map<string, number>();
  #events: Event[] = [];
  #order = 0;
  #changes = 0;
  readonly #asked = new Map<number, { readonly text: string; readonly slot: Slot }>();
  #token = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  /** A world in which so many coordinators are voters, and one of them is active. */
  static begun(seed: number, voters: number): { world: RegisterWorld; slots: Slot[] } {
    const world = new RegisterWorld(seed);
    const slots = Array.from({ length: voters }, (_, i) => world.add(i === 0));
    world.runUntil(() => {
      if (world.voters().length < voters) world.want(slots);
      return world.voters().length === voters && world.active() !== undefined;
    }, 20_000);
    return { world, slots };
  }

  /** A machine with a blank folder; the first one has the new cluster. */
  add(isFirst: boolean): Slot {
    const number = this.slots.length + 1;
    const id = `c${number}`;
    const port = 8_000 + number;
    const spread = Math.sqrt(1 + CLOCK_DRIFT_MAX);
    const rate = spread ** (2 * randomFraction(this.random) - 1);
    const folder = `f${number}`;
    const address = { host: "h", port };
    const disk = isFirst
      ? firstRecord<Body>({ id, folder, address }, [])
      : blankRecord<Body>(id, folder);
    const slot: Slot = {
      id,
      port,
      rate,
      disk,
      history: [],
      member: undefined,
      life: 0,
      bootMs: 0,
      offsetMs: 0,
      suspendedMs: 0,
      frozen: "no",
      frozenSinceMs: 0,
      missed: [],
      diskMode: "fast",
      promised: undefined,
      waitingForDisk: undefined,
    };
    this.slots.push(slot);
    this.start(slot);
    return slot;
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  start(slot: Slot): void {
    if (slot.member !== undefined) return;
    slot.life++;
    slot.bootMs = this.nowMs;
    slot.offsetMs = randomBelow(this.random, 1_000_000);
    slot.suspendedMs = 0;
    const peers = this.slots.filter((other) => other !== slot).map(({ port }) => ({
      host: "h",
      port,
    }));
    const record = parseRecord<Body>(wire(slot.disk), (body) => body as Body);
    const address = { host: "h", port: slot.port };
    slot.member = new RegisterMember<Body>(
      { record, address, random: this.random, differences: APPENDED, peers },
      this.momentOf(slot),
    );
    this.#step(slot, { type: "tick" });
    this.#tickLater(slot, slot.life);
  }

  /** As `kill -9`; with `powerCut`, what is on its way to the disk may be lost. */
  kill(slot: Slot): void {
    if (slot.member === undefined) return;
    slot.member = undefined;
    slot.life++;
    slot.frozen = "no";
    slot.missed = [];
    const writing = slot.waitingForDisk;
    slot.waitingForDisk = undefined;
    if (writing !== undefined && randomBelow(this.random, 2) === 0) this.#onDisk(slot, writing);
  }

  /** The disk is what it was at some earlier time. The process must not run. */
  putBack(slot: Slot, record: RegisterRecord<Body>): void {
    slot.disk = record;
    slot.promised = undefined;
  }

  /** Another, blank folder. */
  blank(slot: Slot): void {
    const folder = `f${slot.id}-${++this.#changes}`;
    slot.disk = blankRecord<Body>(slot.id, folder);
    slot.promised = undefined;
  }

  freeze(slot: Slot, how: "stopped" | "suspended"): void {
    if (slot.frozen !== "no" || slot.member === undefined) return;
    slot.frozen = how;
    slot.frozenSinceMs = this.nowMs;
  }

  thaw(slot: Slot): void {
    if (slot.frozen === "no") return;
    if (slot.frozen === "suspended") slot.suspendedMs += this.nowMs - slot.frozenSinceMs;
    slot.frozen = "no";
    const missed = slot.missed;
    slot.missed = [];
    for (const run of missed) run();
  }

  after(delayMs: number, run: () => void): void {
    const event = { atMs: this.nowMs + delayMs, order: ++this.#order, run };
    // A binary search for its place: the list is short.
    let [low, high] = [0, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#events[middle];
      if (other !== undefined && other.atMs > event.atMs) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
  }

  /** Lets true time pass. */
  runFor(durationMs: number): void {
    const untilMs = this.nowMs + durationMs;
    for (let next = this.#events.at(-1); next !== undefined && next.atMs <= untilMs;) {
      this.#events.pop();
      this.nowMs = next.atMs;
      next.run();
      this.#checkRight();
      next = this.#events.at(-1);
    }
    this.nowMs = untilMs;
    this.#checkRight();
  }

  /** Lets time pass until it is true. @returns how long that took; undefined if it did not come true */
  runUntil(isTrue: () => boolean, withinMs: number): number | undefined {
    const fromMs = this.nowMs;
    while (!isTrue()) {
      if (this.nowMs >= fromMs + withinMs) return undefined;
      this.runFor(10);
    }
    return this.nowMs - fromMs;
  }

  momentOf(slot: Slot): Moment {
    const standsStill = slot.frozen === "suspended" ? this.nowMs - slot.frozenSinceMs : 0;
    const ranMs = this.nowMs - slot.bootMs - slot.suspendedMs - standsStill;
    return { monotonicMs: slot.offsetMs + ranMs * slot.rate, wallMs: 1e12 + this.nowMs };
  }

  /** Who may give leases at this moment of true time, as a process that runs on would find. */
  holders(): Slot[] {
    return this.slots.filter((slot) => slot.member?.hasRight(this.momentOf(slot)) === true);
  }

  active(): Slot | undefined {
    return this.holders()[0];
  }

  /** Asks whoever is active for a change. */
  change(): void {
    const slot = this.active();
    const chosen = slot?.member?.chosen;
    if (slot === undefined || slot.frozen !== "no" || chosen === undefined) return;
    const text = `x${++this.#changes}`;
    const token = ++this.#token;
    this.#asked.set(token, { text, slot });
    const body = [...chosen.document.body, text];
    this.#step(slot, { type: "compare_and_set", token, expected: chosen.stamp, body });
  }

  /** Asks for other coordinators; for one that does not run, as a voter that it was. @returns whether that was taken up */
  want(slots: readonly Slot[]): boolean {
    const active = this.active();
    const before = this.voters();
    const voters = slots.flatMap(({ id, member }) =>
      member?.member ?? before.find((voter) => voter.id === id) ?? []
    );
    if (active === undefined || active.frozen !== "no" || voters.length < slots.length) {
      return false;
    }
    try {
      this.#step(active, { type: "want", voters });
      return true;
    } catch (error) {
      if (error instanceof KvError) return false;
      throw error;
    }
  }

  release(): void {
    const active = this.active();
    if (active?.frozen === "no") this.#step(active, { type: "release", pauseMs: 2_000 });
  }

  /** The voters of the newest chosen document. */
  voters(): readonly CoordinatorMember[] {
    return this.newestChosen?.document.set.voters ?? [];
  }

  #tickLater(slot: Slot, life: number): void {
    this.after(COORDINATOR_TICK_MS / slot.rate, () =>
      this.#when(slot, life, () => {
        this.#step(slot, { type: "tick" });
        this.#tickLater(slot, life);
      }));
  }

  /** Runs it, unless the process is another one by then; if it stands still, when it goes on. */
  #when(slot: Slot, life: number, run: () => void): void {
    if (slot.life !== life) return;
    if (slot.frozen !== "no") slot.missed.push(() => this.#when(slot, life, run));
    else run();
  }

  #step(slot: Slot, input: RegisterInput<Body>): void {
    const { member } = slot;
    if (member === undefined) return;
    const ready = member.step(input, this.momentOf(slot));
    this.#carryOut(slot, ready);
  }

  #carryOut(slot: Slot, ready: RegisterReady<Body>): void {
    for (const { level } of ready.log) if (level === "error") this.count("errors");
    if (ready.record !== undefined) this.#write(slot, ready.record);
    for (const { address, envelope } of ready.messages) this.#send(slot, address.port, envelope);
    if (ready.held !== undefined) {
      this.activities.push({ id: slot.id, atMs: this.nowMs });
      this.#checkHeld(ready.held);
    }
    if (ready.chosen !== undefined) this.#checkChosen(ready.chosen);
    for (const [token, outcome] of ready.outcomes) {
      const asked = this.#asked.get(token);
      this.#asked.delete(token);
      this.count(`outcome ${outcome.type}`);
      if (asked !== undefined && outcome.type === "chosen") this.acknowledged.push(asked.text);
    }
  }

  #write(slot: Slot, record: RegisterRecord<Body>): void {
    const { life } = slot;
    slot.waitingForDisk = record;
    const slowMs = slot.diskMode === "slow" ? 500 + randomBelow(this.random, 1_500) : 0;
    this.after(1 + randomBelow(this.random, 8) + slowMs, () => {
      if (slot.life !== life) return;
      slot.waitingForDisk = undefined;
      if (slot.diskMode === "full") {
        const error = new KvError("storage_failed", "full");
        return this.#when(slot, life, () => this.#step(slot, { type: "persist_failed", error }));
      }
      this.#onDisk(slot, record);
      this.#when(slot, life, () => this.#step(slot, { type: "persisted" }));
    });
  }

  #onDisk(slot: Slot, record: RegisterRecord<Body>): void {
    const isSameFolder = slot.disk.folder === record.folder;
    if (isSameFolder) {
      const before = slot.disk.accepted?.stamp;
      if (compareGenerations(record.promised, slot.disk.promised) < 0) {
        throw new Broken(`${slot.id}: a promise went back`);
      }
      if (compareStamps(record.accepted?.stamp, before) < 0) {
        throw new Broken(`${slot.id}: an accepted document went back`);
      }
    }
    slot.disk = record;
    slot.history.push(record);
    if (slot.history.length > 200) slot.history.shift();
  }

  #send(from: Slot, port: number, envelope: Envelope<Body>): void {
    const to = this.slots.find((slot) => slot.port === port);
    if (to === undefined) return;
    const { loss, late, doubled } = this.network;
    if (this.cuts.has(`${from.id}>${to.id}`) || randomFraction(this.random) < loss) return;
    const { body } = envelope;
    if (body.type === "promised" && compareGenerations(from.disk.promised, body.generation) < 0) {
      throw new Broken(`${from.id} told of a promise before it was on disk`);
    }
    const text = JSON.stringify(envelope);
    const times = randomFraction(this.random) < doubled ? 2 : 1;
    for (let i = 0; i < times; i++) {
      const isLate = randomFraction(this.random) < late;
      const delayMs = 1 + randomBelow(this.random, isLate ? 4_000 : 15);
      this.after(delayMs, () => {
        // Messages outlive the process that they were sent to, as in a socket that is not read.
        this.#when(
          to,
          to.life,
          () => this.#step(to, { type: "message", envelope: JSON.parse(text) as Envelope<Body> }),
        );
      });
    }
  }

  // What must be true.

  /** At most one holds the right. */
  #checkRight(): void {
    const holders = this.holders();
    if (holders.length > 1) {
      throw new Broken(`two hold the right at ${this.nowMs}: ${holders.map(({ id }) => id)}`);
    }
  }

  /** Of one revision, one document is chosen; a later one has all changes of an earlier one. */
  #checkChosen(document: Document): void {
    const { stamp: { revision }, document: { body, set } } = document;
    const text = JSON.stringify([body, set]);
    const before = this.chosen.get(revision);
    if (before !== undefined && before !== text) {
      throw new Broken(`two documents of revision ${revision}: ${before} and ${text}`);
    }
    this.chosen.set(revision, text);
    this.#checkOnMajority(document.stamp, document);
    const newest = this.newestChosen;
    if (newest === undefined || compareStamps(document.stamp, newest.stamp) > 0) {
      if (newest !== undefined && revision < newest.stamp.revision) {
        throw new Broken(
          `chosen ${formatStamp(document.stamp)} after ${formatStamp(newest.stamp)}`,
        );
      }
      this.newestChosen = document;
    }
  }

  /** When it is told, the disks of a majority have had it. */
  #checkOnMajority(stamp: Stamp, { document: { set } }: Document): void {
    const have = (members: readonly CoordinatorMember[]) =>
      members.filter(({ folder }) =>
            this.slots.some((slot) =>
              [...slot.history, slot.disk].some((record) =>
                record.folder === folder && compareStamps(record.accepted?.stamp, stamp) >= 0
              )
            )
          ).length * 2 > members.length;
    if (!have(set.voters) || (set.joint && !have(set.wanted ?? []))) {
      throw new Broken(`${formatStamp(stamp)} was told before a majority had it on disk`);
    }
  }

  /** Who becomes active has every change that was acknowledged. */
  #checkHeld({ stamp, document: { body } }: Document): void {
    const has = new Set(body);
    const missing = this.acknowledged.filter((text) => !has.has(text));
    if (missing.length > 0) {
      throw new Broken(`${formatStamp(stamp)} lacks ${missing}, which were acknowledged`);
    }
    const newest = this.newestChosen;
    if (newest !== undefined && stamp.revision < newest.stamp.revision) {
      throw new Broken(
        `${formatStamp(stamp)} is held after ${formatStamp(newest.stamp)} was chosen`,
      );
    }
  }
}

function wire(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
