/**
 * One transaction over several partitions, at its leader, from the request to its answer:
 *
 *     waits ── its keys' turn ──> preparing ── all prepared ──> deciding ── written ──> decided
 *     reading ── nothing differs ──> ended      reading ── too often in vain ──> waits
 *     preparing, deciding ── a conflict, an error that may pass ──> paused ──> preparing
 *     any but decided ── refused, deadline, step down ──> ended
 *
 * Rules X1, X4, X5, X9 and X10 of docs/transactions.md.
 *
 * Invariants: nothing is decided before all participants are prepared in the same attempt; its client is answered
 * once; an attempt that is given up is never decided.
 *
 * @module
 */
import {
  ATTEMPT_PAUSE_MS_MAX,
  ATTEMPT_PAUSE_MS_MIN,
  FINISH_MS,
  LEADER_WAIT_MS,
  ORDERED_FROM_ATTEMPT,
  PREPARE_MS,
  READ_COMPARISONS_MAX,
  TRANSACTION_REPLY_BYTES_MAX,
} from "../../shared/limits/requests.ts";
import { errorReply, resultReply } from "../../shared/operations/operation.ts";
import { isRepeated, mayRepeat, onlyReads } from "../../shared/operations/repeat.ts";
import { randomFraction } from "../../shared/platform/random.ts";
import { backoffMs } from "../../shared/scheduling/backoff.ts";
import { partsOf, type TransactionPart } from "../../shared/validation/transaction_checks.ts";
import { isAbandoned } from "../../shared/wire/caller.ts";
import type { Message, Reply, ReplyTo } from "../../shared/wire/messages.ts";
import { wireBytes } from "../../shared/wire/wire_bytes.ts";
import { type Change, clientSessionKey, settled } from "../requests/request_dedup.ts";
import { evaluateSteps } from "../requests/request_evaluation.ts";
import { deadlineOf, withTimeLeft } from "../requests/waiting_requests.ts";
import { decisionChange } from "./intent_rows.ts";
import { headOf, repliesOf, type TransactionOwner } from "./participant.ts";

/** What it needs of the partition that leads. */
export interface LedOwner extends TransactionOwner {
  readonly partition: number;
  execute(request: Message<"transaction">, reply: ReplyTo): void;
}

/** What it tells whoever keeps all of them. */
export interface LedListener {
  /** An attempt begins, and is over. Rule X1. */
  onAttempt(attempt: string, led: LedTransaction): void;
  onAttemptOver(attempt: string): void;
  /** It wants its keys, and is to be begun when it is its turn. */
  onWaits(led: LedTransaction): void;
  /** The decision is written; `attempt` is undefined if no participant has anything to do. */
  onDecided(led: LedTransaction, attempt: string | undefined): void;
  /** It is over, or its client was told. */
  onEnded(led: LedTransaction): void;
}

/** What is known of a participant in an attempt. */
interface Asked {
  readonly part: TransactionPart;
  /** `none`: it holds nothing. */
  state: "idle" | "asked" | "prepared" | "none";
  seq: number;
  writes: boolean;
  replies: readonly Reply[];
}

type State =
  | "new"
  | "reading"
  | "waits"
  | "preparing"
  | "deciding"
  | "paused"
  | "decided"
  | "ended";

/** See the top of this file. */
export class LedTransaction {
  /** All keys that it names. */
  readonly keys: readonly string[];
  readonly deadlineMs: number;
  readonly #owner: LedOwner;
  readonly #listener: LedListener;
  readonly #request: Message<"transaction">;
  readonly #reply: ReplyTo;
  readonly #own: TransactionPart;
  readonly #ownKeys: readonly string[];
  /** The participants, from the highest partition to the lowest. */
  readonly #others: readonly TransactionPart[];
  #state: State = "new";
  #attempt = "";
  #attempts = 0;
  #asked: Asked[] = [];
  /** Of the participants' replies in this round. */
  #replyBytes = 0;
  #comparisons = 0;
  #stamps = "";
  #last: Message<"error"> | undefined;

  constructor(
    owner: LedOwner,
    listener: LedListener,
    request: Message<"transaction">,
    reply: ReplyTo,
  ) {
    this.#owner = owner;
    this.#listener = listener;
    this.#request = request;
    this.#reply = reply;
    this.deadlineMs = deadlineOf(request, owner.ports.nowMs());
    const parts = partsOf(request, owner.ports.partitionCount());
    this.#own = parts.get(owner.partition) ?? {
      key: request.key,
      requests: [],
      places: [],
      checks: [],
    };
    parts.delete(owner.partition);
    this.#others = [...parts].sort(([a], [b]) => b - a).map(([, part]) => part);
    this.#ownKeys = keysOf(this.#own);
    this.keys = [...this.#ownKeys, ...this.#others.flatMap(keysOf)];
  }

  /** Whether its client has been told, or is told when the decision is committed. */
  get isOver(): boolean {
    return this.#state === "decided" || this.#state === "ended";
  }

  start(): void {
    if (onlyReads(this.#request)) this.#readAll();
    else this.#wait();
  }

  #leftMs(): number {
    return Math.max(1, Math.ceil(this.deadlineMs - this.#owner.ports.nowMs()));
  }

  #wait(): void {
    this.#state = "waits";
    this.#listener.onWaits(this);
  }

  // Reading. Rule X10.

  #readAll(): void {
    this.#state = "reading";
    const round = this.#newRound([this.#own, ...this.#others].filter((part) => hasAny(part)));
    let left = round.length;
    const stamps: string[] = [];
    for (const [i, asked] of round.entries()) {
      if (this.#asked !== round) return;
      const { key, requests, checks } = asked.part;
      const { traceparent } = this.#request;
      const question = { req_type: "read_part", key, requests, checks, traceparent } as const;
      this.#owner.ports.route(question, this.#leftMs(), (reply) => {
        if (this.#asked !== round || this.#state !== "reading") return;
        const head = headOf(reply);
        if (head?.state !== "read") {
          this.#onReadFailed(head?.state === "refused" ? repliesOf(reply)[0] : undefined, reply);
          return;
        }
        const tooLong = this.#keep(asked, reply);
        if (tooLong !== undefined) {
          this.#end(tooLong);
          return;
        }
        stamps[i] = head.stamps.join();
        left--;
        if (left === 0) this.#compare(stamps.join("\n"), round);
      });
    }
  }

  #onReadFailed(refusal: Reply | undefined, reply: Reply): void {
    if (refusal !== undefined) this.#end(refusal);
    else this.#onFailed(reply, () => this.#readAll());
  }

  #compare(stamps: string, round: readonly Asked[]): void {
    const same = stamps === this.#stamps;
    if (same) {
      this.#end(this.#result(round.map(({ part, replies }) => ({ part, replies })), undefined));
      return;
    }
    if (this.#stamps !== "") {
      this.#comparisons++;
      this.#owner.ports.transactionCounts.conflicts++;
    }
    this.#stamps = stamps;
    if (this.#comparisons < READ_COMPARISONS_MAX) this.#readAll();
    else {
      this.#attempts = ORDERED_FROM_ATTEMPT - 1;
      this.#wait();
    }
  }

  // Attempts.

  /** It is its turn. */
  begin(): void {
    if (this.isOver) return;
    this.#state = "preparing";
    this.#attempts++;
    const attempt = this.#attempt = this.#owner.ports.nextAttempt();
    const round = this.#newRound(this.#others);
    this.#listener.onAttempt(attempt, this);
    if (this.#isOrdered) this.#prepareNext(round);
    else {
      for (const asked of round) {
        // A participant on this node may have answered at once, and ended the attempt.
        if (this.#asked !== round) return;
        this.#prepare(asked, round);
      }
    }
  }

  /** Rule X9. */
  get #isOrdered(): boolean {
    return this.#attempts >= ORDERED_FROM_ATTEMPT;
  }

  #newRound(parts: readonly TransactionPart[]): Asked[] {
    this.#replyBytes = 0;
    return this.#asked = parts.map((part) => ({
      part,
      state: "idle",
      seq: 0,
      writes: false,
      replies: [],
    }));
  }

  /**
   * Keeps what a participant has answered, unless all answers together are too long: few keys may have long values.
   *
   * @returns the refusal
   */
  #keep(asked: Asked, reply: Reply): Message<"error"> | undefined {
    this.#replyBytes += wireBytes(reply);
    if (this.#replyBytes > TRANSACTION_REPLY_BYTES_MAX) return replyTooLong();
    asked.replies = repliesOf(reply);
    return undefined;
  }

  #prepareNext(round: Asked[]): void {
    const next = round.find(({ state }) => state === "idle");
    if (next !== undefined) this.#prepare(next, round);
  }

  #prepare(asked: Asked, round: Asked[]): void {
    const { key, requests, checks } = asked.part;
    asked.state = "asked";
    const attempt = this.#attempt;
    const wait = this.#isOrdered ? { wait: true } : {};
    const order = { req_type: "prepare_part", key, attempt, requests, checks, ...wait } as const;
    const { key: leader, traceparent } = this.#request;
    const message = { ...order, leader, traceparent };
    this.#owner.ports.route(message, Math.min(PREPARE_MS, this.#leftMs()), (reply) => {
      if (this.#asked !== round || this.#state !== "preparing") return;
      const head = headOf(reply);
      if (head?.state === "prepared") {
        asked.state = "prepared";
        asked.seq = head.seq;
        asked.writes = head.writes;
        const tooLong = this.#keep(asked, reply);
        if (tooLong !== undefined) this.#refuse(tooLong);
        else if (round.every(({ state }) => state === "prepared")) this.#decide();
        else if (this.#isOrdered) this.#prepareNext(round);
        return;
      }
      if (head?.state === "conflict" || head?.state === "refused") asked.state = "none";
      const refusal = head?.state === "refused" ? repliesOf(reply)[0] : undefined;
      if (head?.state === "conflict") this.#onConflict();
      else if (refusal !== undefined) this.#refuse(refusal);
      else this.#onFailed(reply, () => this.begin());
    });
  }

  #onFailed(reply: Reply, again: () => void): void {
    const error = reply.req_type === "error"
      ? reply
      : errorReply("internal", "transaction: a participant's answer is none");
    this.#last = error;
    if (mayRepeat("harmless", error.code)) this.#pause(again);
    else {
      this.#giveUp();
      this.#end(error);
    }
  }

  /** Others hold its keys. */
  #onConflict(): void {
    this.#owner.ports.transactionCounts.conflicts++;
    this.#pause();
  }

  /** This attempt is over; another one follows. Rule X9. */
  #pause(again: () => void = () => this.begin()): void {
    this.#giveUp();
    this.#state = "paused";
    const { ports } = this.#owner;
    const pauseMs = backoffMs(
      ATTEMPT_PAUSE_MS_MIN,
      ATTEMPT_PAUSE_MS_MAX,
      this.#attempts,
      ports.random,
    );
    ports.later(pauseMs, () => {
      if (this.#state === "paused") again();
    });
  }

  /** The attempt will not happen: whoever may hold keys for it is told so, once. If that is lost, it asks (rule X7). */
  #giveUp(): void {
    const attempt = this.#attempt;
    const asked = this.#asked;
    this.#asked = [];
    if (attempt === "") return;
    this.#attempt = "";
    this.#listener.onAttemptOver(attempt);
    for (const { part, state } of asked) {
      if (state === "asked" || state === "prepared") this.#drop(part, attempt);
    }
  }

  #drop({ key }: TransactionPart, attempt: string): void {
    const order = { req_type: "finish_part", key, attempt } as const;
    this.#owner.ports.route(order, FINISH_MS, () => {});
  }

  // The commit point. Rule X4.

  #decide(): void {
    const { executor, proposer, keyQueue, store, ports, isServing, valueBytesMax } = this.#owner;
    const request = this.#request;
    this.#state = "deciding";
    if (!isServing) {
      this.#giveUp();
      this.#state = "ended";
      this.#listener.onEnded(this);
      this.#owner.execute(withTimeLeft(request, this.deadlineMs, ports.nowMs()), this.#reply);
      return;
    }
    if (keyQueue.isBusy(this.#ownKeys)) {
      this.#waitForOwnKeys();
      return;
    }
    const wallMs = ports.wallMs();
    let steps;
    try {
      if (executor.answerBySession(request, this.#reply)) {
        this.#giveUp();
        this.#end(undefined);
        return;
      }
      const refused = onlyReads(request) ? undefined : proposer.whyNoWrite("transaction");
      if (refused !== undefined) {
        this.#giveUp();
        this.#end(refused);
        return;
      }
      steps = evaluateSteps(this.#own, store, { wallMs, valueBytesMax });
    } catch (error) {
      this.#giveUp();
      this.#end(undefined);
      this.#owner.fail(error, request, this.#reply);
      return;
    }
    const { expired, keys } = steps;
    const seen = { expired, wallMs, keys };
    if (steps.kind === "refused") {
      this.#refuse(steps.answer, seen);
      return;
    }
    const asked = this.#asked;
    const all = [{ part: this.#own, replies: steps.replies }, ...asked];
    const told = this.#result(all, undefined);
    if (wireBytes(told) > TRANSACTION_REPLY_BYTES_MAX) {
      this.#refuse(replyTooLong(), seen);
      return;
    }
    const writers = asked.filter(({ writes }) => writes);
    if (writers.length === 0 && steps.version === undefined) {
      this.#answerUnchanged(told, seen);
      return;
    }
    const attempt = this.#attempt;
    const changes: Change[] = [...steps.changes];
    if (writers.length > 0) {
      changes.push(decisionChange(attempt, writers.map(({ part, seq }) => [part.key, seq])));
    }
    const answer = this.#result(all, store.state.lastSeq + changes.length);
    const session = clientSessionKey(request);
    const full = session === undefined
      ? undefined
      : proposer.remember(session, request, answer, changes);
    if (full !== undefined) {
      this.#giveUp();
      this.#end(full);
      return;
    }
    // One disk cannot acknowledge what several partitions do.
    const { acks: _, ...whole } = withTimeLeft(request, this.deadlineMs, ports.nowMs());
    const written = proposer.propose(whole, changes, wallMs, settled(request, answer), this.#reply);
    if (!written) {
      this.#giveUp();
      this.#end(undefined);
      return;
    }
    this.#state = "decided";
    this.#asked = [];
    this.#listener.onAttemptOver(attempt);
    for (const { part, writes } of asked) if (!writes) this.#drop(part, attempt);
    this.#listener.onDecided(this, writers.length > 0 ? attempt : undefined);
  }

  /** Rule X4: the participants' keys are held meanwhile, so it does not wait for long. */
  #waitForOwnKeys(): void {
    const attempt = this.#attempt;
    // Two that wait for each other do not give up at the same time.
    const waitMs = Math.ceil(LEADER_WAIT_MS * (0.5 + randomFraction(this.#owner.ports.random) / 2));
    const timeout_ms = Math.min(waitMs, this.#leftMs());
    const isOver = () => this.#attempt !== attempt || this.#state !== "deciding";
    this.#owner.keyQueue.add(this.#ownKeys, { timeout_ms }, () => {
      if (!isOver()) this.#onConflict();
    }, () => {
      if (!isOver()) this.#decide();
    });
  }

  // Its end.

  /** Nobody changes anything: the answer is that of a read. Rule X5. */
  #answerUnchanged(
    answer: Reply,
    seen: { expired: readonly Change[]; wallMs: number; keys: readonly string[] },
  ): void {
    this.#giveUp();
    this.#end(undefined);
    if (this.#remember(answer)) return;
    this.#owner.executor.answerReading(this.#request, seen, answer, this.#reply);
  }

  /** @param seen if its own part was refused; a participant's refusal has been given the right to be told there */
  #refuse(
    refusal: Reply,
    seen?: { expired: readonly Change[]; wallMs: number; keys: readonly string[] },
  ): void {
    const { executor } = this.#owner;
    const request = this.#request;
    this.#giveUp();
    this.#end(undefined);
    try {
      if (executor.answerBySession(request, this.#reply)) return;
    } catch (error) {
      this.#owner.fail(error, request, this.#reply);
      return;
    }
    if (this.#remember(refusal)) return;
    if (seen === undefined) this.#reply(refusal);
    else executor.answerReading(request, seen, refusal, this.#reply);
  }

  /** An earlier attempt of the request must find this answer. Rule X5. @returns false if nobody repeats it */
  #remember(answer: Reply): boolean {
    const { proposer, ports, isServing } = this.#owner;
    const request = this.#request;
    const session = clientSessionKey(request);
    if (session === undefined || !isRepeated(request) || onlyReads(request)) return false;
    if (!isServing || proposer.whyNoWrite("transaction") !== undefined) return false;
    const changes: Change[] = [];
    const full = proposer.remember(session, request, answer, changes);
    if (full !== undefined) this.#reply(full);
    else {
      const told = settled(request, answer);
      proposer.propose(request, changes, ports.wallMs(), told, this.#reply);
    }
    return true;
  }

  #result(
    all: readonly { readonly part: TransactionPart; readonly replies: readonly Reply[] }[],
    version: number | undefined,
  ): Reply {
    const replies: Reply[] = [];
    for (const { part, replies: theirs } of all) {
      for (const [i, place] of part.places.entries()) {
        replies[place] = theirs[i] ?? errorReply("internal", "transaction: a reply is missing");
      }
    }
    return { ...resultReply(replies, version), date: this.#owner.ports.wallMs() } as Reply;
  }

  /** @param reply undefined if the client is answered otherwise */
  #end(reply: Reply | undefined): void {
    this.#state = "ended";
    this.#listener.onEnded(this);
    if (reply !== undefined) this.#reply(reply);
  }

  /** Looks at its deadline. */
  tick(nowMs: number): void {
    if (this.isOver) return;
    const abandoned = isAbandoned(this.#request);
    if (this.deadlineMs > nowMs && !abandoned) return;
    this.#giveUp();
    const why = this.#last === undefined ? "" : `; last: ${this.#last.message}`;
    const text = `transaction: the deadline passed before its keys were free in all partitions`;
    this.#end(errorReply("timeout", `${text}; nothing was done${why}`));
  }

  /** The partition has another primary: it has not happened, and will not. Rule X1. */
  stop(notPrimary: Reply): void {
    if (this.isOver) return;
    this.#giveUp();
    this.#end(notPrimary);
  }
}

function replyTooLong(): Message<"error"> {
  return errorReply(
    "transaction_too_large",
    `transaction: it would answer with ${TRANSACTION_REPLY_BYTES_MAX} bytes or more; nothing was done`,
  );
}

function keysOf({ requests, checks }: TransactionPart): string[] {
  return [...new Set([...checks.map(([key]) => key), ...requests.map(({ key }) => key)])];
}

function hasAny({ requests, checks }: TransactionPart): boolean {
  return requests.length > 0 || checks.length > 0;
}
