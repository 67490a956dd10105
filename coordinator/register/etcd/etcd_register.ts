/**
 * The register in an etcd that the operator runs already. Coordinators then need no disk of their own, and there
 * may be any number of them.
 *
 * What is in etcd, under a prefix:
 *
 * - `hold`: who is active, with a lease of `ETCD_HOLD_SECONDS`. Its create revision is the generation's number.
 * - `head`: the stamp of the newest document, and how many pieces it has.
 * - `document/GENERATION-REVISION/N`: the pieces, the document as compressed JSON.
 * - `coordinators/ID`: each coordinator that runs, with a lease of its own.
 *
 * Why it is safe: every write compares, in the same transaction, that `hold` is still the one that this process made
 * and that `head` is the one that it knows, so nobody who has lost the hold changes anything, and documents follow
 * one another. The right counts from the *sending* of the last question that etcd has answered, for the lease's time
 * by the slower clock, and etcd deletes `hold` only when the lease has ended by its own clock. So it ends before another one
 * can begin, if clocks drift by no more than `CLOCK_DRIFT_MAX`. What etcd promises (linearizable transactions, leases that
 * do not end early) is taken for granted.
 *
 * A transaction whose answer was lost is sent again until it is known how it ended: its comparisons hold only once.
 *
 * @module
 */
import { failureOf, KvError } from "../../../shared/base/errors.ts";
import {
  CLOCK_DRIFT_MAX,
  COORDINATOR_JITTER_MS,
  ETCD_HOLD_SECONDS,
  ETCD_KEEP_MS,
  ETCD_LOOK_MS,
  ETCD_MEMBERS_MAX,
  ETCD_PRESENCE_SECONDS,
} from "../../../shared/limits/membership.ts";
import type { Clock } from "../../../shared/platform/clock.ts";
import { sleep } from "../../../shared/platform/clock.ts";
import type { Logger } from "../../../shared/platform/logger.ts";
import { type Random, randomBelow, randomId } from "../../../shared/platform/random.ts";
import { type CoordinatorMember, type CoordinatorSet, setOf } from "../coordinator_set.ts";
import { compareStamps, type Generation, type Stamp } from "../generation.ts";
import type {
  ManagedRegister,
  Outcome,
  RegisterEvents,
  RegisterState,
  Stamped,
} from "../register.ts";
import { RegisterMetrics } from "../../../shared/metrics/register_metrics.ts";
import type { Moment } from "../right.ts";
import { folderOf, type Head, jsonOf, piecesOf, readDocument } from "./etcd_document.ts";
import {
  createdAt,
  deleteRange,
  type EtcdGateway,
  type EtcdOutcome,
  type EtcdValue,
  get,
  getAll,
  grantLease,
  keepLease,
  modifiedAt,
  put,
  revokeLease,
  transaction,
} from "./etcd_gateway.ts";

/** What it needs. */
export interface EtcdRegisterDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly gateway: EtcdGateway;
}

/** What it is started with. */
export interface EtcdRegisterOptions<D> {
  /** What its keys begin with, without a slash at the end. */
  readonly prefix: string;
  readonly member: CoordinatorMember;
  /** The newest document, as `readOrBegin` found it. */
  readonly found: Stamped<D>;
  /** @throws {KvError} `corrupt` if it is no document */
  parse(document: unknown): D;
}

/** The hold, while this process has it. */
interface Held {
  readonly generation: Generation;
  readonly lease: string;
  /** The revision of the last write to `head` that is known; 0 if there is none. */
  headModified: number;
  /** When the last question was sent that etcd has answered, and for how long the lease lasts from then on. */
  confirmed: Moment;
  lastsMs: number;
}

/** What `hold` says. */
interface Hold {
  readonly member: CoordinatorMember;
  /** Which attempt made it. */
  readonly attempt: string;
}

/** The register. */
export class EtcdRegister<D> implements ManagedRegister<D> {
  readonly metrics = new RegisterMetrics();
  readonly #deps: EtcdRegisterDeps;
  readonly #options: EtcdRegisterOptions<D>;
  readonly #events: RegisterEvents<D>;
  /** Of this process: no two have the same. */
  readonly #run: string;
  #held: Held | undefined;
  #chosen: Stamped<D>;
  #holder: CoordinatorMember | undefined;
  #members: readonly CoordinatorMember[] = [];
  /** When this process became active, by the date. */
  #activeSinceMs: number | undefined;
  #activities = 0;
  #lastEnd: string | undefined;
  #presence: { readonly lease: string; renewMs: number } | undefined;
  /** An attempt to hold whose answer has not come. */
  #attempt: string | undefined;
  #changing = false;
  /** No attempt before this moment of the monotonic clock, since the hold was given back. */
  #pausedUntilMs = 0;
  #failure: string | undefined;
  #closed = false;
  #running: Promise<void> = Promise.resolve();

  constructor(
    deps: EtcdRegisterDeps,
    options: EtcdRegisterOptions<D>,
    events: RegisterEvents<D>,
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#events = events;
    this.#run = randomId(deps.random);
    this.#chosen = options.found;
  }

  /** Resolves when it has looked once, with or without success. */
  async start(): Promise<void> {
    this.#events.onChosen(this.#chosen);
    await this.#turn();
    this.#running = this.#go();
  }

  read(): Stamped<D> {
    return this.#chosen;
  }

  hasRight(): boolean {
    if (this.#held === undefined) return false;
    const { confirmed, lastsMs } = this.#held;
    const rightMs = lastsMs / (1 + CLOCK_DRIFT_MAX);
    const { monotonicMs, wallMs } = this.#now();
    return monotonicMs < confirmed.monotonicMs + rightMs && wallMs < confirmed.wallMs + rightMs;
  }

  compareAndSet(expected: Stamp, next: D, done: (outcome: Outcome) => void): void {
    const held = this.#held;
    const { clock } = this.#deps;
    const beganMs = clock.monotonicMs();
    const end = (outcome: Outcome) => {
      this.metrics.noteChange(outcome.type, clock.monotonicMs() - beganMs);
      done(outcome);
    };
    const isCurrent = compareStamps(this.#chosen.stamp, expected) === 0;
    if (held === undefined || this.#changing || !isCurrent) {
      clock.defer(() => end({ type: "changed" }));
      return;
    }
    this.#changing = true;
    const stamp = { generation: held.generation, revision: expected.revision + 1 };
    void this.#change(held, { stamp, document: next }).then((outcome) => {
      this.#changing = false;
      if (!this.#closed) end(outcome);
    });
  }

  release(pauseMs = 0): void {
    this.#pausedUntilMs = this.#deps.clock.monotonicMs() + pauseMs;
    const lease = this.#held?.lease;
    if (lease === undefined) return;
    this.#lose("it gave the register back");
    this.#end(lease);
  }

  want(): void {
    throw new KvError(
      "bad_request",
      "the register is in etcd: coordinators that are started with it are there, and those that are stopped are gone",
    );
  }

  /** Any coordinator that is started with this register may hold it. */
  readonly hasOthers = true;
  readonly isSettled = true;

  /** Those that run. */
  get set(): CoordinatorSet {
    const { member } = this.#options;
    const others = this.#members.filter(({ folder }) => folder !== member.folder);
    return setOf(...[member, ...others].sort((a, b) => a.id < b.id ? -1 : 1));
  }

  get state(): RegisterState {
    const nowMs = this.#deps.clock.monotonicMs();
    return {
      member: this.#options.member,
      role: this.#held === undefined ? "standby" : "active",
      set: this.set,
      needed: 1,
      holder: this.#holder,
      chosen: this.#chosen.stamp,
      // Whoever looks has the newest document.
      positions: new Map(this.#members.map(({ folder }) => [folder, this.#chosen.stamp])),
      heardMs: new Map(this.#members.map(({ folder }) => [folder, nowMs])),
      activeSinceMs: this.#activeSinceMs,
      activities: this.#activities,
      lastEnd: this.#lastEnd,
      diskFailure: this.#failure,
      joining: [],
    };
  }

  /** Ends it, and gives back what it holds. */
  async close(): Promise<void> {
    this.release(Infinity);
    this.#closed = true;
    await this.#running;
    if (this.#presence !== undefined) this.#end(this.#presence.lease);
  }

  async #go(): Promise<void> {
    while (!this.#closed) {
      await sleep(this.#deps.clock, this.#held === undefined ? ETCD_LOOK_MS : ETCD_KEEP_MS);
      if (!this.#closed) await this.#turn();
    }
  }

  /** Looks at what is there, or keeps the hold. */
  async #turn(): Promise<void> {
    try {
      await (this.#held === undefined ? this.#look() : this.#keep(this.#held));
      if (this.#failure !== undefined) this.#deps.log.info("etcd answers again");
      this.#failure = undefined;
    } catch (error) {
      const { message } = failureOf(error);
      if (this.#failure === undefined) {
        this.#deps.log.warn("etcd does not answer: nothing changes in the cluster until it does", {
          reason: message,
        });
      }
      this.#failure = message;
    }
  }

  /** Who holds it, and what is the newest document? If nobody holds it, this one tries. */
  async #look(): Promise<void> {
    const { gateway } = this.#deps;
    const { found } = await transaction(gateway, [], [
      get(this.#key("hold")),
      get(this.#key("head")),
      getAll(this.#key("coordinators/"), ETCD_MEMBERS_MAX),
    ]);
    const [[hold] = [], [head] = [], members = []] = found;
    await this.#beThere(members);
    if (hold === undefined) {
      await this.#follow(head);
      await this.#tryToHold();
      return;
    }
    const { member, attempt } = jsonOf<Hold>(hold, "hold");
    if (attempt === this.#attempt) {
      await this.#adopt(hold.created, head);
      return;
    }
    this.#noteHolder(member);
    await this.#follow(head);
  }

  async #tryToHold(): Promise<void> {
    const { gateway, clock, random } = this.#deps;
    this.#noteHolder(undefined);
    if (clock.monotonicMs() < this.#pausedUntilMs) return;
    // So that two seldom try at once; who tries in vain has lost nothing.
    await sleep(clock, randomBelow(random, COORDINATOR_JITTER_MS));
    if (this.#closed || clock.monotonicMs() < this.#pausedUntilMs) return;
    const sent = this.#now();
    const { lease, lastsMs } = await grantLease(gateway, ETCD_HOLD_SECONDS);
    const attempt = this.#attempt = randomId(random);
    const hold: Hold = { member: this.#options.member, attempt };
    const key = this.#key("hold");
    const { succeeded, revision, found } = await transaction(
      gateway,
      [createdAt(key, 0)],
      [put(key, JSON.stringify(hold), lease), get(this.#key("head"))],
    );
    if (!succeeded) {
      this.#attempt = undefined;
      this.#end(lease);
      return;
    }
    await this.#begin({ lease, created: revision, confirmed: sent, lastsMs }, found[1]?.[0]);
  }

  /** The answer to an attempt was lost, and the attempt has succeeded. */
  async #adopt(created: number, head: EtcdValue | undefined): Promise<void> {
    const { gateway } = this.#deps;
    // The lease that the key goes with was told to the attempt alone; a new one takes its place.
    const sent = this.#now();
    const { lease, lastsMs } = await grantLease(gateway, ETCD_HOLD_SECONDS);
    const key = this.#key("hold");
    const attempt = this.#attempt ?? "";
    const hold: Hold = { member: this.#options.member, attempt };
    const { succeeded } = await transaction(
      gateway,
      [createdAt(key, created)],
      [put(key, JSON.stringify(hold), lease)],
    );
    if (!succeeded) {
      this.#end(lease);
      return;
    }
    await this.#begin({ lease, created, confirmed: sent, lastsMs }, head);
  }

  /** The hold is this process's. It begins with the newest document, which it reads or makes. */
  async #begin(
    { lease, created, confirmed, lastsMs }: {
      lease: string;
      created: number;
      confirmed: Moment;
      lastsMs: number;
    },
    head: EtcdValue | undefined,
  ): Promise<void> {
    const { log } = this.#deps;
    const { member } = this.#options;
    const generation = { number: created, coordinator: member.id, run: this.#run };
    const held: Held = { generation, lease, headModified: head?.modified ?? 0, confirmed, lastsMs };
    try {
      await this.#follow(head);
      const newest = head && jsonOf<Head>(head, "head").stamp;
      if (compareStamps(this.#chosen.stamp, newest) < 0) {
        throw new KvError("corrupt", "etcd has no document of the stamp that its head names");
      }
    } catch (error) {
      // It cannot be active without its document.
      this.#attempt = undefined;
      this.#end(lease);
      throw error;
    }
    this.#attempt = undefined;
    if (this.#closed) {
      this.#end(lease);
      return;
    }
    this.#held = held;
    this.#activeSinceMs = this.#deps.clock.wallMs();
    this.#activities++;
    this.#noteHolder(member);
    log.info("this coordinator is active", { generation: created });
    this.#events.onHeld(this.#chosen);
  }

  /** Keeps the hold: its lease lasts, and the key is still this process's. */
  async #keep(held: Held): Promise<void> {
    const { gateway } = this.#deps;
    const sent = this.#now();
    const [lastsMs, { found }] = await Promise.all([
      keepLease(gateway, held.lease),
      transaction(gateway, [], [
        get(this.#key("hold")),
        getAll(this.#key("coordinators/"), ETCD_MEMBERS_MAX),
      ]),
    ]);
    if (this.#held !== held) return;
    const [[hold] = [], members = []] = found;
    if (lastsMs === 0 || hold?.created !== held.generation.number) {
      this.#lose("its lease at etcd has ended");
      return;
    }
    held.confirmed = sent;
    held.lastsMs = lastsMs;
    await this.#beThere(members);
  }

  /** Writes a document; what it returns is certain. */
  async #change(held: Held, next: Stamped<D>): Promise<Outcome> {
    const pieces = piecesOf(next.document);
    const folder = folderOf(this.#options.prefix, next.stamp);
    const isMine = createdAt(this.#key("hold"), held.generation.number);
    const writes = pieces.map((piece, i) => put(`${folder}${i}`, piece));
    const last = writes.pop();
    for (const write of writes) {
      const { succeeded } = await this.#untilAnswered(held, [isMine], [write]) ?? {};
      if (succeeded !== true) return this.#lostOver(held);
    }
    const head: Head = { stamp: next.stamp, pieces: pieces.length };
    const documents = this.#key("document/");
    const outcome = await this.#untilAnswered(
      held,
      [isMine, modifiedAt(this.#key("head"), held.headModified)],
      [
        ...(last === undefined ? [] : [last]),
        put(this.#key("head"), JSON.stringify(head)),
        // All other documents: those before this one's folder, and those behind it.
        deleteRange(documents, folder),
        deleteRange(`${folder.slice(0, -1)}0`, `${documents.slice(0, -1)}0`),
      ],
      [get(this.#key("hold")), get(this.#key("head"))],
    );
    if (outcome === undefined) return this.#lostOver(held);
    if (outcome.succeeded) held.headModified = outcome.revision;
    else {
      // It may be that it has succeeded before, and its answer was lost.
      const [[hold] = [], [found] = []] = outcome.found;
      const isOurs = found !== undefined &&
        compareStamps(jsonOf<Head>(found, "head").stamp, next.stamp) === 0;
      if (!isOurs || hold?.created !== held.generation.number) return this.#lostOver(held);
      held.headModified = found.modified;
    }
    this.#chosen = next;
    this.#events.onChosen(next);
    return { type: "chosen", stamp: next.stamp };
  }

  /** Sends a transaction until it is answered; undefined if the hold was lost meanwhile. */
  async #untilAnswered(
    held: Held,
    ...[compare, success, failure]: [
      Parameters<typeof transaction>[1],
      Parameters<typeof transaction>[2],
      Parameters<typeof transaction>[3]?,
    ]
  ): Promise<EtcdOutcome | undefined> {
    while (this.#held === held) {
      try {
        return await transaction(this.#deps.gateway, compare, success, failure);
      } catch (error) {
        const { code, message } = failureOf(error);
        if (code !== "unavailable") {
          this.#deps.log.error("etcd refuses a change", { reason: message });
          this.#failure = message;
        }
        await sleep(this.#deps.clock, ETCD_KEEP_MS);
      }
    }
    return undefined;
  }

  /** A change did not come through, because the hold is somebody else's. */
  #lostOver(held: Held): Outcome {
    if (this.#held === held) {
      this.#lose("somebody else has written into the register at etcd");
      this.#end(held.lease);
    }
    return { type: "lost" };
  }

  #lose(reason: string): void {
    this.#held = undefined;
    this.#activeSinceMs = undefined;
    this.#lastEnd = reason;
    this.#noteHolder(undefined);
    this.#events.onLost(reason);
  }

  /** Reads a newer document, if there is one. */
  async #follow(value: EtcdValue | undefined): Promise<void> {
    if (value === undefined) return;
    const { stamp, pieces } = jsonOf<Head>(value, "head");
    if (compareStamps(this.#chosen.stamp, stamp) >= 0) return;
    const { gateway } = this.#deps;
    const { prefix, parse } = this.#options;
    const document = await readDocument(gateway, prefix, { stamp, pieces });
    // The next look finds the one that has taken its place.
    if (document === undefined) return;
    if (compareStamps(this.#chosen.stamp, stamp) >= 0) return;
    this.#chosen = { stamp, document: parse(document) };
    this.#events.onChosen(this.#chosen);
  }

  /** Says that this coordinator runs, and notes which others do. */
  async #beThere(values: readonly EtcdValue[]): Promise<void> {
    const { gateway, clock } = this.#deps;
    const { member } = this.#options;
    const before = JSON.stringify(this.#members);
    this.#members = values.map((value) => jsonOf<CoordinatorMember>(value, "coordinators"));
    if (JSON.stringify(this.#members) !== before) this.#events.onMembers?.();
    const nowMs = clock.monotonicMs();
    const isListed = this.#members.some(({ folder }) => folder === member.folder);
    if (this.#presence !== undefined && isListed && nowMs < this.#presence.renewMs) return;
    const renewMs = nowMs + ETCD_PRESENCE_SECONDS * 1000 / 3;
    if (
      this.#presence !== undefined && isListed && await keepLease(gateway, this.#presence.lease) > 0
    ) {
      this.#presence.renewMs = renewMs;
      return;
    }
    const { lease } = await grantLease(gateway, ETCD_PRESENCE_SECONDS);
    const key = this.#key(`coordinators/${member.id}`);
    await transaction(gateway, [], [put(key, JSON.stringify(member), lease)]);
    this.#presence = { lease, renewMs };
  }

  /** Ends a lease. If that does not come through, the lease ends by itself. */
  #end(lease: string): void {
    revokeLease(this.#deps.gateway, lease).catch((error) =>
      this.#deps.log.debug("a lease at etcd ends by itself", { reason: failureOf(error).message })
    );
  }

  #noteHolder(holder: CoordinatorMember | undefined): void {
    if (holder?.folder === this.#holder?.folder) return;
    this.#holder = holder;
    this.#events.onHolder(holder);
  }

  #key(name: string): string {
    return `${this.#options.prefix}/${name}`;
  }

  #now(): Moment {
    const { clock } = this.#deps;
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  }
}
