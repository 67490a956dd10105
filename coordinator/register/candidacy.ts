/**
 * The way of one coordinator to become active:
 *
 *   inquire --> promise --> (`active.ts`: the document is written again)
 *
 * First it asks whether a majority has lost the active one, which changes nothing anywhere (rule G6). Then it asks
 * for promises of a higher generation, and takes the newest document among a majority's answers (rule G4). Whose
 * majority that is follows from that newest document, so a document that names other coordinators makes it ask those,
 * too (rule G9).
 *
 * @module
 */
import { COORDINATOR_ATTEMPT_MS, COORDINATOR_RESEND_MS } from "../../shared/limits/membership.ts";
import { type CoordinatorMember, isQuorum, isVoter, membersOf } from "./coordinator_set.ts";
import { compareGenerations, compareStamps, type Generation, type Stamp } from "./generation.ts";
import type { KnownStart } from "./known_starts.ts";
import type { Answer, Question, RegisterDocument, Sender } from "./messages.ts";
import type { Stamped } from "./register.ts";

/** What a candidate and the active one need of their coordinator. */
export interface AskPorts<D> {
  readonly self: CoordinatorMember;
  /** The random id of this start. */
  readonly run: string;
  ask(member: CoordinatorMember, question: Question<D>): void;
  /** A number that no earlier round of this process has. */
  nextRound(): number;
  /** What is known of the members' folders. */
  knownStarts(): readonly KnownStart[];
}

/** What a candidate has got. */
export interface Won<D> {
  readonly generation: Generation;
  readonly newest: Stamped<RegisterDocument<D>>;
  /** The document on the disk of each who has promised. */
  readonly has: ReadonlyMap<string, Stamp | undefined>;
}

/** How an attempt stands. */
export type Progress<D> =
  | { readonly type: "going_on" }
  | { readonly type: "failed"; readonly reason: string }
  | { readonly type: "won"; readonly won: Won<D> };

const GOING_ON = { type: "going_on" } as const;

/** One attempt. */
export class Candidacy<D> {
  readonly #ports: AskPorts<D>;
  readonly #round: number;
  readonly #untilMs: number;
  #newest: Stamped<RegisterDocument<D>>;
  #highest: Generation | undefined;
  #phase: "inquire" | "promise" = "inquire";
  /** Who has said yes in this phase. */
  #yes = new Set<string>();
  readonly #has = new Map<string, Stamp | undefined>();
  #generation: Generation | undefined;
  #askedMs: number;

  /** Asks at once. @param newest the document that this coordinator has */
  constructor(
    ports: AskPorts<D>,
    newest: Stamped<RegisterDocument<D>>,
    highest: Generation | undefined,
    nowMs: number,
  ) {
    this.#ports = ports;
    this.#newest = newest;
    this.#highest = highest;
    this.#round = ports.nextRound();
    this.#untilMs = nowMs + COORDINATOR_ATTEMPT_MS;
    this.#askedMs = nowMs;
    this.#askAll();
  }

  inquired(from: Sender, answer: Extract<Answer<D>, { type: "inquired" }>, nowMs: number): void {
    if (this.#phase !== "inquire" || answer.round !== this.#round) return;
    if (compareGenerations(answer.highest, this.#highest) > 0) this.#highest = answer.highest;
    if (!answer.lost) return;
    this.#yes.add(from.folder);
    if (isQuorum(this.#newest.document.set, this.#yes)) this.#askForPromises(nowMs);
  }

  promised(from: Sender, answer: Extract<Answer<D>, { type: "promised" }>): Progress<D> {
    const generation = this.#generation;
    if (generation === undefined || compareGenerations(answer.generation, generation) !== 0) {
      return GOING_ON;
    }
    this.#yes.add(from.folder);
    this.#has.set(from.folder, from.at);
    const { newest } = answer;
    if (newest !== undefined && compareStamps(newest.stamp, this.#newest.stamp) > 0) {
      this.#newest = newest;
      if (!isVoter(newest.document.set, this.#ports.self.folder)) {
        return { type: "failed", reason: "it is no voter in the newest document" };
      }
      // Those who have answered do so again, which changes nothing; the new ones have not been asked.
      this.#askAll();
    }
    if (!isQuorum(this.#newest.document.set, this.#yes)) return GOING_ON;
    return { type: "won", won: { generation, newest: this.#newest, has: this.#has } };
  }

  /** Rule G14. */
  refused({ round, highest }: Extract<Answer<D>, { type: "refused" }>): Progress<D> {
    if (round !== this.#round) return GOING_ON;
    return { type: "failed", reason: `generation ${highest.number} of ${highest.coordinator}` };
  }

  tick(nowMs: number): Progress<D> {
    if (nowMs >= this.#untilMs) return { type: "failed", reason: "a majority did not answer" };
    if (nowMs >= this.#askedMs + COORDINATOR_RESEND_MS) {
      this.#askedMs = nowMs;
      this.#askAll();
    }
    return GOING_ON;
  }

  #askForPromises(nowMs: number): void {
    const { self, run } = this.#ports;
    const number = (this.#highest?.number ?? 0) + 1;
    this.#generation = { number, coordinator: self.id, run };
    this.#phase = "promise";
    this.#yes = new Set();
    this.#askedMs = nowMs;
    this.#askAll();
  }

  /** Asks all who have not said yes. */
  #askAll(): void {
    const round = this.#round;
    const generation = this.#generation;
    const question: Question<D> = generation === undefined
      ? { type: "inquire", round }
      : { type: "promise", round, generation, has: this.#newest.stamp };
    const { set } = this.#newest.document;
    for (const member of membersOf(set)) {
      if (!isVoter(set, member.folder) || this.#yes.has(member.folder)) continue;
      this.#ports.ask(member, question);
    }
  }
}
