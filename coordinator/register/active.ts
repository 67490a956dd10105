/**
 * What the active coordinator does with its generation: it writes the newest document again, then makes one change
 * after the other, has its right confirmed, and brings those who are behind up to the newest document.
 *
 *   rewriting --> held <--> changing        any of them --> stood down, which is for good
 *
 * Invariants: a document is proposed only when the one before it is chosen; a majority of the set of the proposed
 * document decides (joint: both); what is not chosen is told to nobody as chosen. Rules G4, G5, G8, G9, G10.
 *
 * @module
 */
import {
  COORDINATOR_CONFIRM_MS,
  COORDINATOR_HOLD_MS,
  COORDINATOR_LAG_MAX,
  COORDINATOR_RESEND_MS,
} from "../../shared/limits/membership.ts";
import type { AskPorts, Won } from "./candidacy.ts";
import {
  type CoordinatorMember,
  type CoordinatorSet,
  isQuorum,
  isVoter,
  membersOf,
  nextSet,
} from "./coordinator_set.ts";
import {
  compareGenerations,
  compareStamps,
  formatStamp,
  type Generation,
  type Stamp,
} from "./generation.ts";
import type { Answer, DocumentChange, RegisterDocument, Sender } from "./messages.ts";
import type { Differences, Stamped } from "./register.ts";
import type { RegisterOutbox } from "./register_ready.ts";
import { type Moment, Right } from "./right.ts";

/** The document that was proposed last, chosen or not. */
interface Proposal<D> {
  readonly proposed: Stamped<RegisterDocument<D>>;
  /** What it follows from. */
  readonly base: Stamped<RegisterDocument<D>>;
  readonly round: number;
  readonly acceptedBy: Set<string>;
  /** The difference from the base, made when it is first needed. */
  change: DocumentChange<D> | undefined;
  /** Whose change it is; undefined for those of the set, and for what is written again. */
  readonly token: number | undefined;
}

/** A change that waits for one of the set. */
interface Waiting<D> {
  readonly token: number;
  readonly body: D;
}

/** How far another coordinator is, as far as is known. */
interface Follower {
  at: Stamp | undefined;
  askedMs: number;
  /** When it has answered last, since the set was last told to change. */
  heardMs: number;
  whole: boolean;
}

/** One generation's time of being active. */
export class Active<D> {
  readonly generation: Generation;
  readonly #ports: AskPorts<D>;
  readonly #out: RegisterOutbox<D>;
  readonly #differences: Differences<D>;
  readonly #right = new Right();
  readonly #followers = new Map<string, Follower>();
  #latest: Proposal<D>;
  #chosen: Stamped<RegisterDocument<D>> | undefined;
  #isHeld = false;
  /** The first document of this generation that has the body which is chosen. */
  #bodySince: Stamp;
  #waiting: Waiting<D> | undefined;
  #confirmMs = -Infinity;

  /** Writes the newest document again. */
  constructor(
    ports: AskPorts<D>,
    out: RegisterOutbox<D>,
    differences: Differences<D>,
    { generation, newest, has }: Won<D>,
    now: Moment,
  ) {
    this.generation = generation;
    this.#ports = ports;
    this.#out = out;
    this.#differences = differences;
    for (const [folder, at] of has) this.#followers.set(folder, newFollower(at));
    const { stamp: { revision }, document } = newest;
    this.#bodySince = { generation, revision };
    this.#latest = this.#propose(document, newest, revision, undefined, now);
  }

  /**
   * Whether it is active: a majority has what was written again, and it had the right when it knew. Without the second,
   * a process that stood still in the meantime would begin with what others have replaced since.
   */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  get chosen(): Stamped<RegisterDocument<D>> | undefined {
    return this.#chosen;
  }

  hasRight(now: Moment): boolean {
    return this.#isHeld && this.#right.isValid(now);
  }

  /** Where each member is, for people. */
  positions(): Map<string, Stamp | undefined> {
    return new Map([...this.#followers].map(([folder, { at }]) => [folder, at]));
  }

  /** @returns whether the change is on its way; if not, something else was chosen since, or another is under way */
  compareAndSet(token: number, expected: Stamp, body: D, now: Moment): boolean {
    if (!this.#isHeld || this.#waiting !== undefined) return false;
    if (this.#isProposing && this.#latest.token !== undefined) return false;
    const isNewest = compareStamps(expected, this.#bodySince) >= 0 &&
      compareStamps(expected, this.#latest.proposed.stamp) <= 0;
    if (!isNewest) return false;
    this.#waiting = { token, body };
    this.#goOn(now);
    return true;
  }

  /** Writes another set; it is known to be a next step of the chosen one. @returns false while a change is under way */
  changeSet(change: (set: CoordinatorSet) => CoordinatorSet, now: Moment): boolean {
    const chosen = this.#chosen;
    if (chosen === undefined || !this.#isHeld || this.#isProposing) return false;
    const { set, body } = chosen.document;
    const next = change(set);
    // Who has answered before may be gone by now: only those that answer from here on are there. Rule G10.
    for (const follower of this.#followers.values()) follower.heardMs = -Infinity;
    this.#proposeNext({ set: next, body }, undefined, now);
    return true;
  }

  accepted(from: Sender, { round, stamp }: Extract<Answer<D>, { type: "accepted" }>, now: Moment) {
    const { proposed, acceptedBy } = this.#latest;
    if (compareGenerations(stamp.generation, this.generation) !== 0) return;
    const follower = this.#follower(from.folder);
    follower.whole = false;
    follower.heardMs = now.monotonicMs;
    if (compareStamps(stamp, follower.at) > 0) follower.at = stamp;
    if (compareStamps(stamp, proposed.stamp) !== 0) return;
    acceptedBy.add(from.folder);
    this.#confirm(round, from.folder);
    if (this.#isProposing && isQuorum(proposed.document.set, acceptedBy)) this.#choose(now);
    else if (!this.#isProposing) this.#goOn(now);
  }

  confirmed(from: Sender, { round }: Extract<Answer<D>, { type: "confirmed" }>, now: Moment): void {
    this.#follower(from.folder).heardMs = now.monotonicMs;
    this.#confirm(round, from.folder);
    this.#beginIfRight(now);
    // A change of the set may have waited for it.
    this.#goOn(now);
  }

  needWhole(from: Sender, now: Moment): void {
    const follower = this.#follower(from.folder);
    if (follower.whole) return;
    follower.whole = true;
    const { set } = this.#latest.proposed.document;
    for (const member of membersOf(set)) {
      if (member.folder === from.folder) this.#offer(member, now);
    }
  }

  tick(now: Moment): void {
    const { proposed: { stamp, document } } = this.#latest;
    const members = membersOf(document.set);
    for (const member of members) {
      const { at, askedMs } = this.#follower(member.folder);
      if (compareStamps(at, stamp) === 0) continue;
      if (now.monotonicMs >= askedMs + COORDINATOR_RESEND_MS) this.#offer(member, now);
    }
    if (now.monotonicMs < this.#confirmMs + COORDINATOR_CONFIRM_MS) return;
    this.#confirmMs = now.monotonicMs;
    const round = this.#ports.nextRound();
    this.#right.begin(round, now);
    const { generation } = this;
    const chosen = this.#chosen?.stamp;
    const starts = this.#ports.knownStarts();
    for (const member of members) {
      this.#ports.ask(member, { type: "confirm", round, generation, chosen, starts });
    }
  }

  /** Ends it. @param release whether the others need not wait for the end of its right */
  standDown(reason: string, release: boolean): void {
    const { token, proposed: { document } } = this.#latest;
    if (this.#isProposing && token !== undefined) this.#out.outcome(token, { type: "lost" });
    if (this.#waiting !== undefined) this.#out.outcome(this.#waiting.token, { type: "changed" });
    if (this.#isHeld) this.#out.lost(reason);
    if (!release) return;
    for (const member of membersOf(document.set)) {
      this.#ports.ask(member, { type: "release", generation: this.generation });
    }
  }

  get #isProposing(): boolean {
    return this.#chosen !== this.#latest.proposed;
  }

  #confirm(round: number, folder: string): void {
    const { set } = this.#latest.proposed.document;
    this.#right.confirm(round, folder, (folders) => isQuorum(set, folders));
  }

  #choose(now: Moment): void {
    const { proposed, base, token } = this.#latest;
    this.#chosen = proposed;
    if (proposed.document.body !== base.document.body) this.#bodySince = proposed.stamp;
    this.#out.chosen(proposed);
    if (token !== undefined) this.#out.outcome(token, { type: "chosen", stamp: proposed.stamp });
    this.#out.debug("a document was chosen", { stamp: formatStamp(proposed.stamp) });
    this.#beginIfRight(now);
    this.#goOn(now);
  }

  #beginIfRight(now: Moment): void {
    const chosen = this.#chosen;
    if (this.#isHeld || chosen === undefined || !this.#right.isValid(now)) return;
    this.#isHeld = true;
    this.#out.held(chosen);
    this.#goOn(now);
  }

  /** The next change, if one waits and none is under way: first that of the set, which unlocks others. */
  #goOn(now: Moment): void {
    const chosen = this.#chosen;
    if (chosen === undefined || !this.#isHeld || this.#isProposing) return;
    const { set, body } = chosen.document;
    if (!isVoter(set, this.#ports.self.folder)) return;
    const next = nextSet(
      set,
      (folder) => this.#isLevel(folder, chosen.stamp),
      (folder) => now.monotonicMs < this.#follower(folder).heardMs + COORDINATOR_HOLD_MS,
    );
    const waiting = this.#waiting;
    if (next !== undefined) return this.#proposeNext({ set: next, body }, undefined, now);
    if (waiting === undefined) return;
    this.#waiting = undefined;
    this.#proposeNext({ set, body: waiting.body }, waiting.token, now);
  }

  /** Whether it follows closely enough to be waited for. While one change comes after the other, nobody has the last. */
  #isLevel(folder: string, { revision }: Stamp): boolean {
    const at = this.#followers.get(folder)?.at;
    return at !== undefined && compareGenerations(at.generation, this.generation) === 0 &&
      at.revision + COORDINATOR_LAG_MAX >= revision;
  }

  #proposeNext(document: RegisterDocument<D>, token: number | undefined, now: Moment): void {
    const base = this.#latest.proposed;
    this.#latest = this.#propose(document, base, base.stamp.revision + 1, token, now);
  }

  #propose(
    document: RegisterDocument<D>,
    base: Stamped<RegisterDocument<D>>,
    revision: number,
    token: number | undefined,
    now: Moment,
  ): Proposal<D> {
    const round = this.#ports.nextRound();
    const proposed = { stamp: { generation: this.generation, revision }, document };
    const latest = {
      proposed,
      base,
      round,
      acceptedBy: new Set<string>(),
      change: undefined,
      token,
    };
    this.#latest = latest;
    // Who accepts it holds promises back from then on, as who confirms does. Rule G8.
    this.#right.begin(round, now);
    for (const member of membersOf(document.set)) this.#offer(member, now);
    return latest;
  }

  /** Sends the latest document: as a difference if the other one is known to have what it follows from. */
  #offer(member: CoordinatorMember, now: Moment): void {
    const { proposed: { stamp, document }, base, round } = this.#latest;
    const follower = this.#follower(member.folder);
    follower.askedMs = now.monotonicMs;
    const hasBase = !follower.whole && compareStamps(follower.at, base.stamp) === 0;
    const change = hasBase ? this.#difference() : { whole: document };
    this.#ports.ask(member, { type: "accept", round, stamp, change });
  }

  #difference(): DocumentChange<D> {
    const latest = this.#latest;
    const { proposed: { document }, base } = latest;
    const { set, body } = document;
    const from = base.document.body;
    if (latest.change !== undefined) return latest.change;
    if (body === from) return latest.change = { base: base.stamp, set, difference: undefined };
    const difference = this.#differences.between(from, body);
    return latest.change = difference === undefined
      ? { whole: document }
      : { base: base.stamp, set, difference };
  }

  #follower(folder: string): Follower {
    const known = this.#followers.get(folder);
    if (known !== undefined) return known;
    const follower = newFollower(undefined);
    this.#followers.set(folder, follower);
    return follower;
  }
}

function newFollower(at: Stamp | undefined): Follower {
  return { at, askedMs: -Infinity, heardMs: -Infinity, whole: false };
}
