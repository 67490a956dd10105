/**
 * One coordinator, as a part of the register: messages and time go in, a {@linkcode RegisterReady} comes out. It does
 * no I/O, sets no timer and calls nobody; what waits for time is looked at by the input `tick`.
 *
 *   starting --> admitted: standby <--> candidate --> active --> standby
 *      any of them --> stranger: a blank folder with a new id, which may become a learner
 *      any of them --> removed, which is for good
 *
 * Its own acceptor is asked like those of the others, and answers when its disk has what it says: so there is one path
 * for all. The rules are in docs/coordinators.md.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import {
  COORDINATOR_BACKOFF_MS,
  COORDINATOR_JITTER_MS,
  COORDINATOR_RESEND_MS,
} from "../../shared/limits/membership.ts";
import { type Random, randomFraction, randomId } from "../../shared/platform/random.ts";
import { type Address, isSameAddress } from "../../shared/platform/transport.ts";
import { Acceptor } from "./acceptor.ts";
import { Active } from "./active.ts";
import { type AskPorts, Candidacy, type Progress } from "./candidacy.ts";
import {
  type CoordinatorMember,
  isAlone,
  isMember,
  isQuorum,
  isVoter,
  membersOf,
  wantVoters,
} from "./coordinator_set.ts";
import { compareGenerations, compareStamps, formatStamp, type Stamp } from "./generation.ts";
import { type KnownStart, KnownStarts } from "./known_starts.ts";
import type {
  Answer,
  Envelope,
  Question,
  RegisterDocument,
  Sender,
  StampedSet,
} from "./messages.ts";
import type { Differences, RegisterRole, Stamped } from "./register.ts";
import { RecordWriter } from "./record_writer.ts";
import { RegisterOutbox, type RegisterReady } from "./register_ready.ts";
import { blankRecord, RECORD_FORMAT, type RegisterRecord } from "./register_record.ts";
import type { Moment } from "./right.ts";

/** What a step is given. */
export type RegisterInput<D> =
  | { readonly type: "message"; readonly envelope: Envelope<D> }
  | { readonly type: "tick" }
  /** The record of an earlier step is on disk. */
  | { readonly type: "persisted" }
  | { readonly type: "persist_failed"; readonly error: KvError }
  /** Only the active one may ask; it is told the outcome by the token. */
  | {
    readonly type: "compare_and_set";
    readonly token: number;
    readonly expected: Stamp;
    readonly body: D;
  }
  /** Other coordinators are wanted. Only the active one may ask, and the chosen documents tell how it goes. */
  | { readonly type: "want"; readonly voters: readonly CoordinatorMember[] }
  /** The active one gives its right back, and does not try again by itself for a while. */
  | { readonly type: "release"; readonly pauseMs: number };

/** What a member is given when it starts. */
export interface RegisterMemberOptions<D> {
  readonly record: RegisterRecord<D>;
  readonly address: Address;
  readonly random: Random;
  readonly differences: Differences<D>;
  /** Where others are, for a folder that is in no set yet. */
  readonly peers?: readonly Address[] | undefined;
}

/** The state machine. */
export class RegisterMember<D> {
  readonly #out = new RegisterOutbox<D>();
  readonly #random: Random;
  readonly #differences: Differences<D>;
  readonly #address: Address;
  readonly #ports: AskPorts<D>;
  readonly run: string;
  readonly #id: string;
  #folder: string;
  readonly #start: number;
  /** Those that the operator has named, and whom a folder without a document asks by now. */
  readonly #namedPeers: readonly Address[];
  #peers: readonly Address[];
  #acceptor: Acceptor<D>;
  #starts: KnownStarts;
  #removedBy: Stamp | undefined;
  #candidacy: Candidacy<D> | undefined;
  #active: Active<D> | undefined;
  /** Who believes that this start is the latest of its folder. */
  #welcomedBy = new Set<string>();
  /** The newest set that they have told of, if it is newer than that of the document here. */
  #toldSet: StampedSet | undefined;
  #admitted = false;
  #helloMs = -Infinity;
  #tryAtMs = -Infinity;
  /** It gave no promise when it was looked at last. */
  #barred = false;
  #rounds = 0;
  #chosen: Stamped<RegisterDocument<D>> | undefined;
  #holder: CoordinatorMember | undefined;
  /** Messages to itself that this step has still to take. */
  #toSelf: Envelope<D>[] = [];
  readonly #disk: RecordWriter<D>;

  constructor(options: RegisterMemberOptions<D>, now: Moment) {
    const { record, address, random, differences, peers = [] } = options;
    const { id, folder, start, starts, removedBy, accepted } = record;
    this.#random = random;
    this.#differences = differences;
    this.#address = address;
    this.#namedPeers = this.#peers = peers;
    this.run = randomId(random);
    this.#id = id;
    this.#folder = folder;
    this.#start = start + 1;
    this.#disk = new RecordWriter(record);
    this.#starts = new KnownStarts(starts);
    this.#removedBy = removedBy;
    // A set of one that it has written itself: no other process can have had a right by its word. Rule G7.
    const wasAlone = accepted !== undefined && isAlone(accepted.document.set, folder) &&
      accepted.stamp.generation.coordinator === id;
    const afterStart = accepted !== undefined && !wasAlone;
    this.#acceptor = new Acceptor(record, differences, now.monotonicMs, afterStart);
    const self = () => this.member;
    this.#ports = {
      get self() {
        return self();
      },
      run: this.run,
      ask: (member, question) => this.#send(member.address, member.folder, undefined, question),
      nextRound: () => ++this.#rounds,
      knownStarts: () => this.#starts.list(),
    };
  }

  /** This coordinator, as the set has it or will have it. */
  get member(): CoordinatorMember {
    return { id: this.#id, folder: this.#folder, address: this.#address };
  }

  get role(): RegisterRole {
    if (this.#removedBy !== undefined) return "removed";
    if (this.#active?.isHeld) return "active";
    if (this.#acceptor.accepted === undefined) return "stranger";
    if (!this.#disk.isStarted || !this.#admitted) return "starting";
    return this.#active === undefined && this.#candidacy === undefined ? "standby" : "candidate";
  }

  /** The newest document that is known to be chosen. */
  get chosen(): Stamped<RegisterDocument<D>> | undefined {
    return this.#active?.chosen ?? this.#chosen;
  }

  /** The newest document that is here, chosen or not. */
  get accepted(): Stamped<RegisterDocument<D>> | undefined {
    return this.#acceptor.accepted;
  }

  /** Whether others have a say in whether it becomes active, or may have. */
  get hasOthers(): boolean {
    const set = this.#acceptor.accepted?.document.set;
    return set === undefined || !isAlone(set, this.#folder);
  }

  /** Who was heard of last as the active one. */
  get holder(): CoordinatorMember | undefined {
    return this.#holder;
  }

  /** Where each member is; empty unless this is the active one. */
  positions(): Map<string, Stamp | undefined> {
    return this.#active?.positions() ?? new Map();
  }

  /** Whether it may give leases at this moment. Rule G8. */
  hasRight(now: Moment): boolean {
    return this.#active?.hasRight(now) ?? false;
  }

  /**
   * Takes an input.
   *
   * @throws {KvError} `bad_request` or `unavailable` for a `want` that cannot be carried out
   */
  step(input: RegisterInput<D>, now: Moment): RegisterReady<D> {
    this.#take(input, now);
    for (let next = this.#toSelf.shift(); next !== undefined; next = this.#toSelf.shift()) {
      this.#dispatch(next, now);
    }
    this.#flush(now.monotonicMs);
    return this.#out.take();
  }

  #take(input: RegisterInput<D>, now: Moment): void {
    switch (input.type) {
      case "message":
        return this.#receive(input.envelope, now);
      case "tick":
        return this.#tick(now);
      case "persisted":
        return this.#disk.written(this.#folder);
      case "persist_failed":
        return this.#persistFailed(input.error, now.monotonicMs);
      case "compare_and_set": {
        const { token, expected, body } = input;
        const isOnItsWay = this.#active?.compareAndSet(token, expected, body, now) ?? false;
        if (!isOnItsWay) this.#out.outcome(token, { type: "changed" });
        return;
      }
      case "want":
        return this.#want(input.voters, now);
      case "release":
        this.#standDown("it was told to", now.monotonicMs, true);
        this.#tryAtMs = now.monotonicMs + input.pauseMs;
        return;
    }
  }

  // Messages.

  #receive(envelope: Envelope<D>, now: Moment): void {
    const { from, to, toRun, body } = envelope;
    if (!this.#disk.isStarted) return;
    // One that was removed still says which starts it knows: others may need a majority of the old set to begin.
    if (this.#removedBy !== undefined && body.type !== "hello" && !this.#isTakenBack(body)) return;
    // Only a hello may come to whoever is at an address.
    if (to === undefined ? body.type !== "hello" : to !== this.#folder) {
      return this.#greetWhoMeansAnother(envelope);
    }
    if (toRun !== undefined && toRun !== this.run) return;
    const newest = this.#acceptor.accepted;
    if (newest !== undefined) {
      if (isMember(newest.document.set, from.folder)) {
        if (!this.#checkStart(from)) return;
      } else if (body.type !== "not_member" && compareStamps(from.at, newest.stamp) <= 0) {
        return this.#refuseStranger(envelope, newest, now);
      }
    }
    this.#dispatch(envelope, now);
  }

  /** Who speaks to an earlier folder at this address can give a blank one its seat, or knows who can. Rule G12. */
  #greetWhoMeansAnother({ from, to }: Envelope<D>): void {
    const isBlank = this.#acceptor.accepted === undefined;
    if (to === undefined || !isBlank || from.folder === this.#folder) return;
    this.#send(from.address, undefined, undefined, { type: "hello" });
  }

  /** Rule G11. @returns whether the sender's start is the latest of its folder */
  #checkStart(from: Sender): boolean {
    const verdict = this.#starts.judge(from);
    if (verdict.type === "old") {
      this.#answer(from, { type: "old_copy", known: verdict.known });
      return false;
    }
    // That a known process has written more goes to disk with the next record: it may be lost until then.
    if (verdict.type === "news") this.#disk.changed();
    this.#starts.note(from);
    return true;
  }

  /** Rule G12. */
  #refuseStranger(
    { from, toRun, body }: Envelope<D>,
    { stamp, document: { set } }: Stamped<RegisterDocument<D>>,
    now: Moment,
  ): void {
    if (toRun !== undefined) return;
    if (body.type === "hello" && from.at === undefined && this.#active?.isHeld === true) {
      return this.#offerSeat(from, now);
    }
    this.#answer(from, { type: "not_member", stamp, set });
  }

  /** A blank folder under the name of a voter takes that one's seat; everybody else needs an operator's word. */
  #offerSeat({ id, folder, address }: Sender, now: Moment): void {
    const member = { id, folder, address };
    const active = this.#active;
    const set = active?.chosen?.document.set;
    if (active === undefined || set === undefined) return;
    const isVoterId = set.voters.some((voter) => voter.id === id) && id !== this.#id;
    if (!isVoterId) return this.#out.joining(member);
    // Also while a change is under way that can still be called off: it may wait for this one.
    const wanted = set.wanted ?? set.voters;
    if (set.joint || !wanted.some((voter) => voter.id === id)) return;
    const voters = wanted.map((voter) => voter.id === id ? member : voter);
    if (active.changeSet((before) => wantVoters(before, voters), now)) {
      this.#out.warn("a coordinator came with another folder, and is made equal to the others", {
        coordinator: id,
        folder,
      });
    }
  }

  #dispatch({ from, body }: Envelope<D>, now: Moment): void {
    const nowMs = now.monotonicMs;
    switch (body.type) {
      case "hello":
        return this.#answer(from, { type: "welcome", newer: this.#setNewerThan(from.at) });
      case "welcome":
        this.#welcomedBy.add(from.folder);
        this.#noteSet(body.newer);
        return this.#admit(nowMs);
      case "old_copy":
        return this.#becomeStranger(body.known, nowMs);
      case "not_member":
        return this.#notMember(body, nowMs);
      case "inquire":
      case "promise":
      case "accept":
      case "confirm":
      case "release":
        if (this.#admitted) this.#onQuestion(from, body, nowMs);
        else this.#greetUnknown(from);
        return;
      case "inquired":
        return this.#candidacy?.inquired(from, body, nowMs);
      case "promised":
        return this.#progress(this.#candidacy?.promised(from, body), now);
      case "accepted":
        this.#active?.accepted(from, body, now);
        return this.#leaveIfRemoved(nowMs);
      case "need_whole":
        return this.#active?.needWhole(from, now);
      case "confirmed":
        return this.#active?.confirmed(from, body, now);
      case "refused":
        return this.#refused(body, now);
      case "held":
        // The question is asked again, as long as the attempt lasts.
        return;
    }
  }

  #onQuestion(
    from: Sender,
    question: Exclude<Question<D>, { type: "hello" }>,
    nowMs: number,
  ): void {
    const acceptor = this.#acceptor;
    const { accepted, promised } = acceptor;
    const answer = this.#ask(from, question, nowMs);
    if (acceptor.accepted !== accepted || acceptor.promised !== promised) this.#disk.changed();
    if (answer?.type === "confirmed" || answer?.type === "accepted") this.#holder = from;
    if (answer !== undefined) this.#answer(from, answer);
    if (question.type === "confirm" && answer?.type === "confirmed") {
      this.#noteStarts(question.starts);
      this.#noteChosen(question.chosen);
    }
    if (acceptor.accepted !== accepted) this.#onNewDocument();
  }

  #ask(
    from: Sender,
    question: Exclude<Question<D>, { type: "hello" }>,
    nowMs: number,
  ): Answer<D> | undefined {
    const acceptor = this.#acceptor;
    switch (question.type) {
      case "inquire":
        return acceptor.inquire(question, from.run, nowMs);
      case "promise":
        return acceptor.promise(question, nowMs);
      case "accept":
        return acceptor.accept(question, nowMs);
      case "confirm":
        return acceptor.confirm(question, nowMs);
      case "release":
        acceptor.hold.release(question.generation);
        return undefined;
    }
  }

  #onNewDocument(): void {
    const { set } = this.#acceptor.accepted?.document ?? {};
    if (set !== undefined) this.#starts.keep((folder) => isMember(set, folder));
  }

  #noteStarts(starts: readonly KnownStart[]): void {
    const set = this.#acceptor.accepted?.document.set;
    for (const known of starts) {
      if (set === undefined || !isMember(set, known.folder)) continue;
      if (known.folder !== this.#folder && this.#starts.judge(known).type !== "old") {
        this.#starts.note(known);
      }
    }
  }

  /** A standby learns that a majority has what it has. */
  #noteChosen(chosen: Stamp | undefined): void {
    const { accepted } = this.#acceptor;
    if (accepted === undefined || chosen === undefined) return;
    if (compareStamps(accepted.stamp, chosen) !== 0 || this.#chosen === accepted) return;
    this.#chosen = accepted;
    if (this.#active === undefined) this.#out.chosen(accepted);
  }

  #refused({ round, highest }: Extract<Answer<D>, { type: "refused" }>, now: Moment): void {
    if (this.#candidacy !== undefined) {
      return this.#progress(this.#candidacy.refused({ type: "refused", round, highest }), now);
    }
    const active = this.#active;
    if (active === undefined || compareGenerations(highest, active.generation) <= 0) return;
    const reason = `generation ${highest.number} of ${highest.coordinator} is promised`;
    this.#standDown(reason, now.monotonicMs, false);
  }

  // Identity.

  /** Rule G11. */
  #admit(nowMs: number): void {
    if (this.#admitted) return;
    const set = this.#acceptor.accepted?.document.set;
    if (set === undefined) {
      this.#admitted = true;
      return;
    }
    const others = membersOf(set).filter(({ folder }) => folder !== this.#folder);
    const known = new Set([...this.#welcomedBy, this.#folder]);
    const all = others.every(({ folder }) => known.has(folder));
    // Those of the set here may be gone for good, if the set has changed since this document.
    const told = this.#toldSet?.set;
    const isMajority = isQuorum(set, known) || (told !== undefined && isQuorum(told, known));
    if (!all && (!isMajority || this.#acceptor.hold.bars(nowMs))) return;
    this.#admitted = true;
    if (others.length > 0) this.#tryLater(nowMs, COORDINATOR_JITTER_MS);
  }

  /** The set of the document here, if that is newer. */
  #setNewerThan(at: Stamp | undefined): StampedSet | undefined {
    const { stamp, document } = this.#acceptor.accepted ?? {};
    if (stamp === undefined || document === undefined) return undefined;
    return compareStamps(stamp, at) > 0 ? { stamp, set: document.set } : undefined;
  }

  #noteSet(newer: StampedSet | undefined): void {
    const newest = this.#toldSet?.stamp ?? this.#acceptor.accepted?.stamp;
    if (newer !== undefined && compareStamps(newer.stamp, newest) > 0) this.#toldSet = newer;
  }

  /** Who asks something may be in a newer set only, which nobody has told of yet. The others are asked by the tick. */
  #greetUnknown({ address, folder }: Sender): void {
    const isKnown = this.#membersToGreet().some((member) => member.folder === folder);
    if (!isKnown) this.#send(address, folder, undefined, { type: "hello" });
  }

  /** All in the set of the document here, and in a newer one that it was told of. */
  #membersToGreet(): CoordinatorMember[] {
    const set = this.#acceptor.accepted?.document.set;
    return [set, this.#toldSet?.set].flatMap((one) => one === undefined ? [] : membersOf(one));
  }

  /** What this folder has promised is not what it says on its disk: it begins anew, as a learner. Rule G11. */
  #becomeStranger({ start, writes }: KnownStart, nowMs: number): void {
    this.#out.error("this folder is an old copy: the coordinator begins anew as a learner", {
      folder: this.#folder,
      start: this.#start,
      known_start: start,
      writes: this.#disk.writes,
      known_writes: writes,
      document: formatStamp(this.#acceptor.accepted?.stamp),
    });
    this.#beginAnew(nowMs);
  }

  #beginAnew(nowMs: number): void {
    const set = this.#acceptor.accepted?.document.set;
    this.#standDown("its folder does not count any more", nowMs, false);
    const known = set === undefined ? [] : membersOf(set).map(({ address }) => address);
    this.#peers = union(this.#namedPeers, known);
    this.#folder = randomId(this.#random);
    this.#acceptor = new Acceptor(
      blankRecord<D>(this.#id, this.#folder),
      this.#differences,
      nowMs,
      false,
    );
    this.#starts = new KnownStarts([]);
    this.#chosen = undefined;
    this.#welcomedBy = new Set();
    this.#toldSet = undefined;
    this.#toSelf = [];
    this.#disk.beginAnew();
    this.#admitted = true;
  }

  /** Rule G12. */
  #notMember({ stamp, set }: Extract<Answer<D>, { type: "not_member" }>, nowMs: number): void {
    const accepted = this.#acceptor.accepted;
    if (accepted === undefined) {
      // A blank folder goes on asking for its seat, also those whom it did not know.
      this.#peers = union(this.#namedPeers, membersOf(set).map(({ address }) => address));
      return;
    }
    if (compareStamps(stamp, accepted.stamp) <= 0) return;
    if (isMember(set, this.#folder)) return;
    if (!isVoter(accepted.document.set, this.#folder)) return this.#beginAnew(nowMs);
    this.#standDown("it was removed from the coordinators", nowMs, false);
    this.#removedBy = stamp;
    this.#disk.changed();
    this.#out.error("this coordinator was removed: it takes no part any more", {
      document: formatStamp(stamp),
      coordinators: set.voters.map(({ id }) => id),
    });
  }

  #leaveIfRemoved(nowMs: number): void {
    const set = this.#active?.chosen?.document.set;
    if (set === undefined || isVoter(set, this.#folder)) return;
    this.#standDown("it is no coordinator any more", nowMs, true);
  }

  /** A newer document names it again, so an operator wants it back. It has forgotten nothing meanwhile. */
  #isTakenBack(body: Question<D> | Answer<D>): boolean {
    if (body.type !== "accept" || compareStamps(body.stamp, this.#removedBy) <= 0) return false;
    const { change } = body;
    const set = "whole" in change ? change.whole.set : change.set;
    if (!isMember(set, this.#folder)) return false;
    this.#removedBy = undefined;
    this.#disk.changed();
    this.#out.info("this coordinator was removed, and is wanted again", {
      document: formatStamp(body.stamp),
    });
    return true;
  }

  // Roles.

  #tick(now: Moment): void {
    const nowMs = now.monotonicMs;
    if (!this.#disk.isStarted || this.#removedBy !== undefined) return;
    this.#admit(nowMs);
    this.#sayHello(nowMs);
    if (!this.#admitted) return;
    this.#active?.tick(now);
    if (this.#candidacy !== undefined) {
      if (this.#acceptor.hold.bars(nowMs)) {
        return this.#giveUp("another one is active", nowMs);
      }
      return this.#progress(this.#candidacy.tick(nowMs), now);
    }
    if (this.#active === undefined) this.#tryIfLost(nowMs);
  }

  /** It is to be made equal to the others, and no active one comes: what it has may never have been chosen. */
  #isForgotten(nowMs: number): boolean {
    const { accepted, hold } = this.#acceptor;
    return accepted !== undefined && !isVoter(accepted.document.set, this.#folder) &&
      !hold.bars(nowMs);
  }

  #sayHello(nowMs: number): void {
    const set = this.#acceptor.accepted?.document.set;
    const isSeated = set !== undefined;
    const isForgotten = this.#admitted && this.#isForgotten(nowMs);
    if (isSeated && this.#admitted && !isForgotten) return;
    if (nowMs < this.#helloMs + COORDINATOR_RESEND_MS) return;
    this.#helloMs = nowMs;
    if (!isSeated) {
      for (const address of this.#peers) {
        this.#send(address, undefined, undefined, { type: "hello" });
      }
      return;
    }
    for (const { address, folder } of this.#membersToGreet()) {
      if (folder === this.#folder || (this.#welcomedBy.has(folder) && !isForgotten)) continue;
      // To whoever is there: the others may have other folders by now than this one knows of.
      this.#send(address, undefined, undefined, { type: "hello" });
    }
  }

  /** Rule G6. */
  #tryIfLost(nowMs: number): void {
    const { accepted, hold } = this.#acceptor;
    if (accepted === undefined || !isVoter(accepted.document.set, this.#folder)) return;
    if (hold.bars(nowMs)) {
      this.#barred = true;
      return;
    }
    if (this.#barred) {
      this.#barred = false;
      this.#tryLater(nowMs, COORDINATOR_JITTER_MS);
    }
    if (nowMs < this.#tryAtMs) return;
    this.#candidacy = new Candidacy(this.#ports, accepted, this.#acceptor.highest, nowMs);
  }

  #progress(progress: Progress<D> | undefined, now: Moment): void {
    if (progress === undefined || progress.type === "going_on") return;
    if (progress.type === "failed") return this.#giveUp(progress.reason, now.monotonicMs);
    this.#candidacy = undefined;
    this.#active = new Active(this.#ports, this.#out, this.#differences, progress.won, now);
  }

  #giveUp(reason: string, nowMs: number): void {
    this.#candidacy = undefined;
    this.#tryLater(nowMs, COORDINATOR_BACKOFF_MS);
    this.#out.debug("an attempt to become active has ended", { reason });
  }

  /** Rule G14. */
  #standDown(reason: string, nowMs: number, release: boolean): void {
    this.#candidacy = undefined;
    const active = this.#active;
    if (active === undefined) return;
    this.#active = undefined;
    this.#chosen = active.chosen ?? this.#chosen;
    active.standDown(reason, release);
    this.#tryLater(nowMs, COORDINATOR_BACKOFF_MS);
    this.#out.warn("this coordinator is not active any more", { reason });
  }

  #tryLater(nowMs: number, withinMs: number): void {
    const delayMs = randomFraction(this.#random) * withinMs;
    this.#tryAtMs = Math.max(this.#tryAtMs, nowMs + delayMs);
  }

  #want(voters: readonly CoordinatorMember[], now: Moment): void {
    const active = this.#active;
    const set = active?.chosen?.document.set;
    if (active === undefined || set === undefined) {
      throw new KvError("unavailable", "coordinators: this one is not active; ask the active one");
    }
    // Before anything is changed, so that what cannot be is refused.
    const next = wantVoters(set, voters);
    if (!active.changeSet(() => next, now)) {
      throw new KvError("unavailable", "coordinators: another change is under way; try again");
    }
  }

  // Messages and the disk.

  /** A promise is answered once everything that it knows now is on its disk. Rule G3. */
  #answer(to: Sender, answer: Answer<D>): void {
    const send = () => this.#send(to.address, to.folder, to.run, answer);
    if (isPromise(answer) || !this.#disk.isStarted) this.#disk.afterWrite(send);
    else send();
  }

  #send(
    address: Address,
    to: string | undefined,
    toRun: string | undefined,
    body: Question<D> | Answer<D>,
  ): void {
    const { run } = this;
    const { writes, at } = this.#disk;
    const from: Sender = { ...this.member, start: this.#start, run, writes, at };
    const envelope = { from, to, toRun, body };
    if (to === this.#folder) this.#toSelf.push(envelope);
    else this.#out.send(address, envelope);
  }

  #flush(nowMs: number): void {
    const record = this.#disk.begin(nowMs, (writes) => this.#record(writes));
    if (record !== undefined) this.#out.persist(record);
  }

  #record(writes: number): RegisterRecord<D> {
    const { promised, accepted } = this.#acceptor;
    return {
      format: RECORD_FORMAT,
      id: this.#id,
      folder: this.#folder,
      start: this.#start,
      writes,
      promised,
      accepted,
      starts: this.#starts.list(),
      removedBy: this.#removedBy,
    };
  }

  #persistFailed(error: KvError, nowMs: number): void {
    if (!this.#disk.failed(nowMs)) return;
    this.#out.error("the coordinator's record cannot be written: it promises nothing", {
      error: error.message,
    });
  }
}

function union(a: readonly Address[], b: readonly Address[]): Address[] {
  return [...a, ...b.filter((one) => !a.some((known) => isSameAddress(known, one)))];
}

/** Whether it tells of something that must not be forgotten. */
function isPromise({ type }: Answer<unknown>): boolean {
  return type === "promised" || type === "accepted" || type === "welcome";
}
