/**
 * Seeded storms over coordinators whose register is in etcd: links that lose and delay requests and answers, clocks at the
 * limit of their drift, coordinators that stop and come back, and suspended machines.
 */
import { assert, assertEquals } from "@std/assert";
import { readOrBegin } from "../../../../../coordinator/register/etcd/etcd_document.ts";
import { EtcdRegister } from "../../../../../coordinator/register/etcd/etcd_register.ts";
import { compareStamps, type Stamp } from "../../../../../coordinator/register/generation.ts";
import type { Outcome, Stamped } from "../../../../../coordinator/register/register.ts";
import { CLOCK_DRIFT_MAX } from "../../../../../shared/limits/membership.ts";
import type { Clock, Timer } from "../../../../../shared/platform/clock.ts";
import { randomBelow, SeededRandom } from "../../../../../shared/platform/random.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";
import { NO_LOG } from "../../../../support/doubles/no_log.ts";
import { type LinkFaults, SimulatedEtcd } from "../../../../support/doubles/simulated_etcd.ts";

/** The document: what was appended to it. */
type Appended = readonly string[];

/** A clock that runs at a rate of its own, and stands still while its machine is suspended; the date does not. */
class OwnClock implements Clock {
  readonly #true: ManualClock;
  readonly #rate: number;
  #lostMs = 0;
  #stoppedMs: number | undefined;

  constructor(trueClock: ManualClock, rate: number) {
    this.#true = trueClock;
    this.#rate = rate;
  }

  monotonicMs(): number {
    return ((this.#stoppedMs ?? this.#true.monotonicMs()) - this.#lostMs) * this.#rate;
  }

  wallMs(): number {
    return Math.floor(1e12 + this.#true.monotonicMs() * this.#rate);
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.#true.setTimer(delayMs / this.#rate, callback);
  }

  defer(callback: () => void): void {
    this.#true.defer(callback);
  }

  afterSockets(callback: () => void): void {
    this.#true.afterSockets(callback);
  }

  /** The machine is suspended for this long. */
  suspend(ms: number): void {
    if (this.#stoppedMs !== undefined) return;
    const from = this.#stoppedMs = this.#true.monotonicMs();
    this.#true.setTimer(ms, () => {
      this.#stoppedMs = undefined;
      this.#lostMs += this.#true.monotonicMs() - from;
    });
  }
}

const NOTHING: Stamp = { generation: { number: 0, coordinator: "", run: "" }, revision: 0 };

interface Side {
  readonly folder: string;
  readonly register: EtcdRegister<Appended>;
  readonly clock: OwnClock;
  readonly faults: LinkFaults;
  holding: boolean;
}

class EtcdStorm {
  readonly clock = new ManualClock();
  readonly random: SeededRandom;
  readonly etcd: SimulatedEtcd;
  readonly sides: (Side | undefined)[] = [];
  readonly ended: Promise<void>[] = [];
  readonly chosen = new Map<string, Appended>();
  /** What was said to be chosen, and what was said not to be. */
  readonly kept = new Set<string>();
  readonly refused = new Set<string>();
  /** The document that each is started with: it may be an old one by then. */
  found: Stamped<Appended> = { stamp: NOTHING, document: [] };
  newest: Stamp | undefined;
  head: Stamp | undefined;
  holds = 0;
  isCalm = false;
  #count = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.etcd = new SimulatedEtcd(this.clock, this.random);
  }

  below(bound: number): number {
    return randomBelow(this.random, bound);
  }

  start(i: number): void {
    const rate = 1 + (this.below(3) - 1) * CLOCK_DRIFT_MAX / 2;
    const clock = new OwnClock(this.clock, rate);
    const faults = { lost: 0, unanswered: 0, delayMs: 5 };
    const id = `c${i}`;
    const folder = `${id}-${this.#count++}`;
    const side: Side = {
      folder,
      clock,
      faults,
      holding: false,
      register: new EtcdRegister<Appended>({
        clock,
        random: this.random,
        log: NO_LOG,
        gateway: this.etcd.link(faults, clock),
      }, {
        prefix: "kv/test",
        member: { id, folder, address: { host: "h", port: i } },
        found: this.found,
        parse: (value) => value as Appended,
      }, {
        onHeld: ({ stamp, document }) => {
          assertEquals(side.holding, false);
          side.holding = true;
          this.holds++;
          this.check(stamp, document);
          for (const text of this.kept) assert(document.includes(text), `${text} is gone`);
        },
        onLost: () => side.holding = false,
        onChosen: ({ stamp, document }) => this.check(stamp, document),
        onHolder() {},
      }),
    };
    this.sides[i] = side;
    this.ended.push(side.register.start());
  }

  /** One stamp names one document, and each document follows from all that were chosen before. */
  check(stamp: Stamp, document: Appended): void {
    const name = JSON.stringify(stamp);
    assertEquals(this.chosen.get(name) ?? document, document);
    this.chosen.set(name, document);
    for (const text of this.refused) assert(!document.includes(text), `${text} was refused`);
    if (compareStamps(stamp, this.newest) > 0) this.newest = stamp;
  }

  append(side: Side, done: (outcome: Outcome) => void = () => {}): void {
    const newest = side.register.read();
    const text = `change ${this.#count++}`;
    side.register.compareAndSet(newest.stamp, [...newest.document, text], (outcome) => {
      if (outcome.type === "chosen") this.kept.add(text);
      if (outcome.type === "changed") this.refused.add(text);
      done(outcome);
    });
  }

  stop(i: number): void {
    const side = this.sides[i];
    if (side === undefined) return;
    this.ended.push(side.register.close());
    this.sides[i] = undefined;
  }

  /** Who has the right holds the register at etcd, so nobody else can have it. */
  checkRights(): void {
    const { member } = Object(this.etcd.peek("kv/test/hold"));
    for (const side of this.sides) {
      if (!side?.register.hasRight()) continue;
      const at = this.clock.monotonicMs();
      assertEquals(member?.folder, side.folder, `the right without the hold at ${at} ms`);
    }
  }

  /** The document at etcd never goes back. */
  checkHead(): void {
    const head = this.etcd.peek("kv/test/head");
    if (head === undefined) return;
    const { stamp } = head as { stamp: Stamp };
    assert(compareStamps(stamp, this.head) >= 0, "the document went back");
    this.head = stamp;
  }

  async pass(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 20) {
      await this.clock.run(20);
      for (const side of this.sides) {
        if (side && !this.isCalm && this.below(8) === 0) this.append(side);
      }
      this.checkRights();
      this.checkHead();
    }
  }
}

async function storm(seed: number): Promise<EtcdStorm> {
  const world = new EtcdStorm(seed);
  const count = 2 + world.below(2);
  const faults = { lost: 0, unanswered: 0, delayMs: 0 };
  const begun = readOrBegin<Appended>(world.etcd.link(faults, world.clock), {
    prefix: "kv/test",
    first: () => [],
    parse: (value) => value as Appended,
  }).then((found) => world.found = found);
  await world.pass(10);
  await begun;
  for (let i = 0; i < count; i++) world.start(i);
  for (let round = 0; round < 30; round++) {
    const i = world.below(count);
    const side = world.sides[i];
    switch (world.below(6)) {
      case 0:
        world.stop(i);
        break;
      case 1:
        if (side) {
          Object.assign(side.faults, {
            lost: world.below(3) * 40,
            unanswered: world.below(4) * 30,
            delayMs: world.below(5) * 300,
          });
        }
        break;
      case 2:
        if (side) Object.assign(side.faults, { lost: 0, unanswered: 0, delayMs: 5 });
        break;
      case 3:
        side?.register.release(world.below(1_000));
        break;
      case 4:
        side?.clock.suspend(world.below(3_000));
        break;
    }
    if (world.sides[i] === undefined && world.below(2) === 0) world.start(i);
    await world.pass(world.below(2_500));
  }
  // Everything is mended: a change comes through again.
  for (let i = 0; i < count; i++) {
    if (world.sides[i] === undefined) world.start(i);
    Object.assign(world.sides[i]?.faults ?? {}, { lost: 0, unanswered: 0, delayMs: 5 });
  }
  world.isCalm = true;
  await world.pass(12_000);
  const holder = world.sides.find((side) => side?.holding);
  assert(
    holder !== undefined && holder.register.hasRight(),
    "nobody has the register after the storm",
  );
  let ended: Outcome | undefined;
  world.append(holder, (outcome) => ended = outcome);
  await world.pass(2_000);
  assertEquals(ended?.type, "chosen");
  const { document = [] } = holder.register.read() ?? {};
  for (const text of world.kept) assert(document.includes(text), `${text} is gone`);
  for (const side of world.sides) {
    assertEquals(compareStamps(side?.register.read()?.stamp, world.newest), 0);
    assertEquals(side?.register.set.voters.length, count);
  }
  // One document is kept, not all of them.
  assertEquals(world.etcd.count("kv/test/document/"), 1);
  for (let i = 0; i < count; i++) world.stop(i);
  await world.pass(3_000);
  await Promise.all(world.ended);
  return world;
}

Deno.test("etcd register: at most one has the right, and no change is lost, in 40 seeded storms", async () => {
  let holds = 0;
  let changes = 0;
  for (let seed = 1; seed <= 40; seed++) {
    try {
      const world = await storm(seed);
      holds += world.holds;
      changes += world.kept.size;
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }
  // The storms are storms: the hold goes round, and changes come through.
  assert(holds > 100, `${holds} holds`);
  assert(changes > 100, `${changes} changes`);
});
