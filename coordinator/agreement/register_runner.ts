/**
 * A coordinator's part in the register at work: timers, disk and messages round the state machine of
 * `../register/register_member.ts`. It decides nothing. It is a {@linkcode Register} for whoever keeps a document in it.
 *
 * Invariants: what a step asks for is done in its order, and before that of the next step; a message leaves
 * when the record that it tells of is on disk, since the state machine keeps it back until then; one record is written
 * at a time; after {@linkcode RegisterRunner.close} nobody is called any more.
 *
 * @module
 */
import { failureOf, KvError } from "../../shared/base/errors.ts";
import { COORDINATOR_TICK_MS } from "../../shared/limits/membership.ts";
import { type Clock, setPeriodic, type Timer } from "../../shared/platform/clock.ts";
import type { DocumentStore } from "../../shared/platform/document_store.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { Random } from "../../shared/platform/random.ts";
import { type Address, isSameAddress } from "../../shared/platform/transport.ts";
import {
  type CoordinatorMember,
  type CoordinatorSet,
  isMember,
  majorityOf,
} from "../register/coordinator_set.ts";
import { compareStamps, type Stamp } from "../register/generation.ts";
import type { Envelope, Outgoing } from "../register/messages.ts";
import type {
  Differences,
  ManagedRegister,
  Outcome,
  RegisterEvents,
  RegisterState,
  Stamped,
} from "../register/register.ts";
import { type RegisterInput, RegisterMember } from "../register/register_member.ts";
import { RegisterMetrics } from "../../shared/metrics/register_metrics.ts";
import type { RegisterReady } from "../register/register_ready.ts";
import type { RegisterRecord } from "../register/register_record.ts";
import type { Moment } from "../register/right.ts";

/** What a runner needs. */
export interface RegisterRunnerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Where the record is kept. */
  readonly store: DocumentStore;
}

/** What it is started with. */
export interface RegisterRunnerOptions<D> {
  readonly record: RegisterRecord<D>;
  /** Where the others reach it. */
  readonly address: Address;
  readonly differences: Differences<D>;
  /** Where others are, for a folder that is in no set yet. */
  readonly peers?: readonly Address[] | undefined;
  /** Sends to another coordinator; what cannot be sent now is dropped. */
  send(message: Outgoing<D>): void;
}

/** Those who wait are forgotten if they do not ask again within this time. */
const JOINING_MS = 5_000;
/** More than a cluster can take in. */
const JOINING_MAX = 16;

/** The runner. */
export class RegisterRunner<D> implements ManagedRegister<D> {
  readonly metrics = new RegisterMetrics();
  readonly #deps: RegisterRunnerDeps;
  readonly #options: RegisterRunnerOptions<D>;
  readonly #events: RegisterEvents<D>;
  readonly #member: RegisterMember<D>;
  readonly #outcomes = new Map<number, (outcome: Outcome) => void>();
  readonly #heardMs = new Map<string, number>();
  /** Where members say that they are. */
  readonly #addresses = new Map<string, Address>();
  readonly #joining = new Map<string, { member: CoordinatorMember; askedMs: number }>();
  readonly #due: RegisterReady<D>[] = [];
  #performing = false;
  #tokens = 0;
  #ticks: Timer | undefined;
  #writing: Promise<void> = Promise.resolve();
  #holder: CoordinatorMember | undefined;
  #chosen: Stamped<D> | undefined;
  #activeSinceMs: number | undefined;
  #activities = 0;
  #lastEnd: string | undefined;
  #diskFailure: string | undefined;
  #onBegun: (() => void) | undefined;
  #closed = false;

  constructor(
    deps: RegisterRunnerDeps,
    options: RegisterRunnerOptions<D>,
    events: RegisterEvents<D>,
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#events = events;
    this.#member = new RegisterMember<D>({ ...deps, ...options }, this.#now());
  }

  /**
   * Begins. Resolves when it holds the register, or when that is not to be waited for: its disk takes nothing,
   * or others have a say.
   */
  start(): Promise<void> {
    const begun = new Promise<void>((resolve) => this.#onBegun = resolve);
    this.#ticks = setPeriodic(this.#deps.clock, COORDINATOR_TICK_MS, () => this.#tick());
    this.#step({ type: "tick" });
    return begun;
  }

  /** A message of another coordinator. */
  receive(envelope: Envelope<D>): void {
    const { from } = envelope;
    this.#step({ type: "message", envelope });
    const set = this.set;
    if (set === undefined || !isMember(set, from.folder)) return;
    this.#heardMs.set(from.folder, this.#deps.clock.monotonicMs());
    this.#addresses.set(from.folder, from.address);
  }

  read(): Stamped<D> | undefined {
    return this.#chosen;
  }

  hasRight(): boolean {
    return this.#member.hasRight(this.#now());
  }

  compareAndSet(expected: Stamp, next: D, done: (outcome: Outcome) => void): void {
    const token = ++this.#tokens;
    const { clock } = this.#deps;
    const beganMs = clock.monotonicMs();
    let isInside = true;
    this.#outcomes.set(token, (outcome) => {
      this.metrics.noteChange(outcome.type, clock.monotonicMs() - beganMs);
      // Never from inside of this call.
      if (isInside) void Promise.resolve().then(() => done(outcome));
      else done(outcome);
    });
    this.#step({ type: "compare_and_set", token, expected, body: next });
    isInside = false;
  }

  /** Other coordinators are wanted. @throws {KvError} `bad_request`, `unavailable` */
  want(voters: readonly CoordinatorMember[]): void {
    this.#step({ type: "want", voters });
  }

  release(pauseMs = 0): void {
    this.#step({ type: "release", pauseMs });
  }

  /** Whether others have a say in who is active, or may have. */
  get hasOthers(): boolean {
    return this.#member.hasOthers;
  }

  /** Whether the newest document that is here is chosen. */
  get isSettled(): boolean {
    const { chosen, accepted } = this.#member;
    return compareStamps(chosen?.stamp, accepted?.stamp) === 0;
  }

  /** The set of the newest document that is known to be chosen. */
  get set(): CoordinatorSet | undefined {
    return this.#member.chosen?.document.set ?? this.#member.accepted?.document.set;
  }

  get state(): RegisterState {
    const member = this.#member;
    const nowMs = this.#deps.clock.monotonicMs();
    for (const [id, { askedMs }] of this.#joining) {
      if (nowMs > askedMs + JOINING_MS) this.#joining.delete(id);
    }
    return {
      member: member.member,
      role: member.role,
      set: this.set,
      needed: this.set === undefined ? 1 : majorityOf(this.set),
      holder: this.#holder,
      chosen: member.chosen?.stamp,
      positions: member.positions(),
      heardMs: this.#heardMs,
      activeSinceMs: this.#activeSinceMs,
      activities: this.#activities,
      lastEnd: this.#lastEnd,
      diskFailure: this.#diskFailure,
      joining: [...this.#joining.values()].map(({ member }) => member),
    };
  }

  /** Ends it, after a write that is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#ticks?.cancel();
    this.#onBegun?.();
    await this.#writing;
  }

  #now(): Moment {
    const { clock } = this.#deps;
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  }

  #tick(): void {
    this.#step({ type: "tick" });
    this.#followMoved();
  }

  /** The state machine takes an input, and all that it asks for is done, in its order. */
  #step(input: RegisterInput<D>): void {
    if (this.#closed) return;
    this.#due.push(this.#member.step(input, this.#now()));
    // What is done may lead to another step, whose turn comes when this one is over.
    if (this.#performing) return;
    this.#performing = true;
    for (let next = this.#due.shift(); next !== undefined; next = this.#due.shift()) {
      this.#perform(next);
    }
    this.#performing = false;
  }

  #perform(ready: RegisterReady<D>): void {
    const { log, clock } = this.#deps;
    const { lost, record, held, chosen } = ready;
    if (lost !== undefined) {
      this.#activeSinceMs = undefined;
      this.#lastEnd = lost;
      this.#events.onLost(lost);
    }
    for (const { level, event, fields } of ready.log) log[level](event, fields);
    if (record !== undefined) this.#persist(record);
    for (const message of ready.messages) this.#options.send(message);
    if (held !== undefined) {
      this.#activeSinceMs = clock.wallMs();
      this.#activities++;
      log.info("this coordinator is active", {
        generation: held.stamp.generation.number,
        coordinators: held.document.set.voters.map(({ id }) => id),
      });
      this.#events.onHeld({ stamp: held.stamp, document: held.document.body });
    }
    if (chosen !== undefined) {
      this.#forgetOthers(chosen.document.set);
      this.#chosen = { stamp: chosen.stamp, document: chosen.document.body };
      this.#events.onChosen(this.#chosen);
    }
    for (const [token, outcome] of ready.outcomes) {
      this.#outcomes.get(token)?.(outcome);
      this.#outcomes.delete(token);
    }
    for (const { member } of ready.joining) this.#noteJoining(member);
    const { holder } = this.#member;
    if (holder?.folder !== this.#holder?.folder || holder?.address !== this.#holder?.address) {
      this.#holder = holder;
      this.#events.onHolder(holder);
    }
    if (held !== undefined) this.#begun();
  }

  #persist(record: RegisterRecord<D>): void {
    const { store, clock } = this.#deps;
    const beganMs = clock.monotonicMs();
    this.#writing = store.write(record).then(
      () => {
        this.metrics.noteWrite(clock.monotonicMs() - beganMs);
        this.#diskFailure = undefined;
        this.#step({ type: "persisted" });
        // At its start, it goes on at once.
        if (this.#onBegun !== undefined) this.#tick();
        if (this.#member.hasOthers) this.#begun();
      },
      (cause) => {
        const error = failureOf(cause);
        this.#diskFailure = error.message;
        this.#step({ type: "persist_failed", error: new KvError(error.code, error.message) });
        this.#begun();
      },
    );
  }

  #begun(): void {
    this.#onBegun?.();
    this.#onBegun = undefined;
  }

  #noteJoining(member: CoordinatorMember): void {
    const isKnown = this.#joining.has(member.folder);
    // Whoever waited at this address before is gone.
    for (const [folder, { member: { address } }] of this.#joining) {
      if (folder !== member.folder && isSameAddress(address, member.address)) {
        this.#joining.delete(folder);
      }
    }
    if (!isKnown && this.#joining.size >= JOINING_MAX) return;
    if (!isKnown) {
      this.#deps.log.info("a coordinator waits to be added (kv-client coordinators add)", {
        coordinator: member.id,
        host: member.address.host,
        port: member.address.port,
      });
    }
    this.#joining.set(member.folder, { member, askedMs: this.#deps.clock.monotonicMs() });
  }

  /** Who is in no set any more. */
  #forgetOthers(set: CoordinatorSet): void {
    for (const known of [this.#heardMs, this.#addresses]) {
      for (const folder of known.keys()) if (!isMember(set, folder)) known.delete(folder);
    }
    for (const folder of this.#joining.keys()) {
      if (isMember(set, folder)) this.#joining.delete(folder);
    }
  }

  /** A coordinator has another address than the set says: the active one writes that down. */
  #followMoved(): void {
    const member = this.#member;
    if (member.role !== "active") return;
    const set = member.chosen?.document.set;
    if (set === undefined || set.wanted !== undefined) return;
    this.#addresses.set(member.member.folder, member.member.address);
    const voters = set.voters.map((voter) => {
      const address = this.#addresses.get(voter.folder) ?? voter.address;
      const isSame = isSameAddress(address, voter.address);
      return isSame ? voter : { ...voter, address };
    });
    if (voters.every((voter, i) => voter === set.voters[i])) return;
    try {
      this.want(voters);
    } catch (error) {
      // Another change is under way: the next tick looks again.
      if (!(error instanceof KvError)) throw error;
    }
  }
}
