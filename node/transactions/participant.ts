/**
 * What a partition's primary does as a participant of transactions over several partitions: it judges its part and
 * holds its keys, makes the changes or drops them at the end, lets other requests wait meanwhile, and asks the leader
 * if it hears nothing. Rules X2, X3, X6, X7 and X10 of docs/transactions.md.
 *
 * Invariants: while an intent stands, no request is judged by its keys; an intent's changes are made only if the
 * leader's partition says that it has decided so, and names this very intent.
 *
 * @module
 */
import { isTombstone, versionOf } from "../../shared/base/entry.ts";
import { failureOf } from "../../shared/base/errors.ts";
import {
  FINISH_MS,
  INTENT_QUIET_MS,
  INTENT_WANTED_MS,
  PART_WRITTEN_BYTES_MAX,
  STATUS_QUESTIONS_MAX,
  STATUS_REPEAT_MS,
} from "../../shared/limits/requests.ts";
import type { Random } from "../../shared/platform/random.ts";
import type { PartHead } from "../../shared/operations/part_messages.ts";
import { DELETION, errorReply, liveEntry, resultReply } from "../../shared/operations/operation.ts";
import type {
  KeyRequest,
  Message,
  PartRequest,
  Reply,
  ReplyTo,
} from "../../shared/wire/messages.ts";
import type { Change } from "../requests/request_dedup.ts";
import { evaluateSteps } from "../requests/request_evaluation.ts";
import type { RequestExecutor } from "../requests/request_executor.ts";
import type { WriteProposer } from "../requests/write_proposer.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import { changesOf, type Intent, intentChange, intentKey, intentOf } from "./intent_rows.ts";
import type { IntentTable } from "./intent_table.ts";
import type { KeyQueue } from "./key_queue.ts";
import type { TransactionCounts } from "./transaction_counts.ts";
import { type FailureLog, PartnerFailures } from "./partner_failures.ts";

/** What transactions need of the node. */
export interface TransactionPorts {
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** The date, for timestamps and expiry. */
  wallMs(): number;
  /** Of the cluster. */
  partitionCount(): number;
  /** Sends a request to the primary of its key, wherever that is. `done` is called once, by the deadline or soon after. */
  route(request: PartRequest, timeoutMs: number, done: ReplyTo): void;
  /** A name that no other attempt of a transaction has. */
  nextAttempt(): string;
  readonly transactionCounts: TransactionCounts;
  /** Runs `then` after this time, or, with 0, at the end of this turn; the partition may have another primary by then. */
  later(ms: number, then: () => void): void;
  readonly random: Random;
  readonly retries: FailureLog;
}

/** What transactions need of the primary. */
export interface TransactionOwner {
  readonly ports: TransactionPorts;
  readonly store: PartitionStore;
  readonly valueBytesMax: number;
  readonly isServing: boolean;
  readonly executor: RequestExecutor;
  readonly proposer: WriteProposer;
  readonly intents: IntentTable;
  readonly keyQueue: KeyQueue;
  /** Answers a request that failed because this node's own data cannot be read or written. */
  fail(error: unknown, request: KeyRequest, reply: ReplyTo): void;
}

/** What is known of an intent beside its entry. */
interface Watch {
  readonly sinceMs: number;
  /** When the leader was last asked; before all others if it never was. */
  askedMs: number;
}

/** The reply that a part's message gets. */
export function partReply(head: PartHead, replies: readonly Reply[] = []): Reply {
  return resultReply([head, ...replies]);
}

/** See the top of this file. */
export class Participant {
  readonly #owner: TransactionOwner;
  readonly #watches = new Map<string, Watch>();
  /** Attempts whose part waits for its keys; they are dropped if the attempt ends meanwhile. */
  readonly #queued = new Set<string>();
  readonly #failures: PartnerFailures;
  #asking = 0;
  #stopped = false;

  constructor(owner: TransactionOwner) {
    this.#owner = owner;
    this.#failures = new PartnerFailures(
      owner,
      (partition) => `ask partition ${partition} what has become of a transaction`,
    );
  }

  stop(): void {
    this.#stopped = true;
    this.#failures.end();
  }

  /** The checks and requests for the keys of this partition. Rule X2. */
  prepare(request: Message<"prepare_part">, reply: ReplyTo): void {
    const { intents, keyQueue, proposer } = this.#owner;
    const { attempt } = request;
    const part = asTransaction(request);
    const standing = intents.intents.get(attempt);
    if (standing !== undefined) {
      this.#prepareAgain(request, standing, reply);
      return;
    }
    const keys = keysOf(request);
    if (keyQueue.isBusy(keys)) {
      // Rule X9.
      if (request.wait === true) {
        this.#queued.add(attempt);
        const ended: ReplyTo = (why) => {
          this.#queued.delete(attempt);
          reply(why);
        };
        keyQueue.add(keys, request, ended, (left) => this.#prepareQueued(left, reply));
      } else reply(partReply({ state: "conflict" }));
      return;
    }
    const refused = proposer.whyNoWrite("transaction");
    if (refused !== undefined) {
      reply(refused);
      return;
    }
    const { store, ports, executor } = this.#owner;
    const wallMs = ports.wallMs();
    const seq = store.state.lastSeq + 1;
    const steps = this.#judge(part, wallMs, seq, reply);
    if (steps === undefined) return;
    const { expired } = steps;
    if (steps.kind === "refused") {
      const answer = partReply({ state: "refused" }, [steps.answer]);
      executor.answerReading(part, { expired, wallMs, keys: steps.keys }, answer, reply);
      return;
    }
    const { replies, writes } = steps;
    // What is prepared must be possible to make.
    if (!proposer.fits([...writes].map(([key, write]) => ({ key, write })))) {
      const text = "transaction: its writes do not fit into one message; nothing was done";
      reply(partReply({ state: "refused" }, [errorReply("transaction_too_large", text)]));
      return;
    }
    // The intent comes first: its seq is the version of what is written.
    const changes: Change[] = [intentChange(attempt, request.leader, keys, writes), ...expired];
    const head: PartHead = { state: "prepared", seq, writes: writes.size > 0 };
    proposer.propose(part, changes, wallMs, partReply(head, replies), reply);
  }

  /** Its keys are free. */
  #prepareQueued(request: Message<"prepare_part">, reply: ReplyTo): void {
    const { attempt } = request;
    const isWanted = this.#queued.delete(attempt) || this.#owner.intents.intents.has(attempt);
    if (isWanted) this.prepare(request, reply);
    else reply(partReply({ state: "conflict" }));
  }

  #judge(
    part: Message<"transaction">,
    wallMs: number,
    version: number,
    reply: ReplyTo,
  ): ReturnType<typeof evaluateSteps> | undefined {
    const { store, valueBytesMax } = this.#owner;
    try {
      const options = { version, bytesMax: PART_WRITTEN_BYTES_MAX };
      return evaluateSteps(part, store, { wallMs, valueBytesMax }, options);
    } catch (error) {
      this.#owner.fail(error, part, reply);
      return undefined;
    }
  }

  /** Its keys have not changed since, so the part comes to the same. */
  #prepareAgain(request: Message<"prepare_part">, intent: Intent, reply: ReplyTo): void {
    const { executor, proposer } = this.#owner;
    const steps = this.#judge(asTransaction(request), intent.wallMs, intent.seq, reply);
    if (steps === undefined) return;
    if (steps.kind === "refused") {
      reply(partReply({ state: "refused" }, [steps.answer]));
      return;
    }
    const head: PartHead = {
      state: "prepared",
      seq: intent.seq,
      writes: steps.writes.size > 0,
    };
    const answer = partReply(head, steps.replies);
    // As the first attempt is told if replicas leave the set before it commits.
    const tell = (is: Reply) => reply(proposer.whyNotSure() ?? is);
    executor.answerAsOf([intentKey(intent.attempt)], request, answer, tell, reply);
  }

  /** A part that only reads. Rule X10. */
  read(request: Message<"read_part">, reply: ReplyTo): void {
    const { keyQueue, ports, store, executor } = this.#owner;
    const keys = keysOf(request);
    if (keyQueue.isBusy(keys)) {
      keyQueue.add(keys, request, reply, (left) => this.read(left, reply));
      return;
    }
    const part = asTransaction(request);
    const wallMs = ports.wallMs();
    const steps = this.#judge(part, wallMs, store.state.lastSeq + 1, reply);
    if (steps === undefined) return;
    const { expired } = steps;
    if (steps.kind === "refused") {
      const answer = partReply({ state: "refused" }, [steps.answer]);
      executor.answerReading(part, { expired, wallMs, keys }, answer, reply);
      return;
    }
    const stamps: string[] = [];
    try {
      for (const key of keys) stamps.push(this.#stamp(key, wallMs));
    } catch (error) {
      this.#owner.fail(error, part, reply);
      return;
    }
    const answer = partReply({ state: "read", stamps }, steps.replies);
    executor.answerReading(part, { expired, wallMs, keys }, answer, reply);
  }

  /** Of two equal stamps of a key, the key was the same in between. */
  #stamp(key: string, wallMs: number): string {
    const { store } = this.#owner;
    const entry = store.get(key);
    if (entry === undefined) return `none ${store.state.watermark}`;
    if (isTombstone(entry)) return `deleted ${entry.seq}`;
    // It is deleted now; the next reading finds the tombstone.
    if (liveEntry(entry, wallMs) === undefined) return `expired ${entry.seq}`;
    return `${versionOf(entry)}`;
  }

  /** The end of an attempt. Rule X6. */
  finish(request: Message<"finish_part">, reply: ReplyTo): void {
    const { executor } = this.#owner;
    const { attempt, commit } = request;
    let intent: Intent | undefined;
    try {
      intent = this.#intentOf(attempt);
    } catch (error) {
      const { code, message } = failureOf(error);
      reply(errorReply(code, `finish_part: ${message}`));
      return;
    }
    const done = partReply({ state: "done" });
    if (intent === undefined) {
      this.#queued.delete(attempt);
      // It may have ended just now, and not be committed.
      executor.answerAsOf([intentKey(attempt)], request, done, reply);
    } else this.#end(intent, commit === intent.seq, request, done, reply);
  }

  /** @throws {KvError} if there is one that cannot be read. Rule X11. */
  #intentOf(attempt: string): Intent | undefined {
    const { intents, store } = this.#owner;
    const key = intentKey(attempt);
    const known = intents.intents.get(attempt);
    if (known !== undefined || !intents.mayLack(key)) return known;
    const entry = store.get(key);
    return entry === undefined || isTombstone(entry) ? undefined : intentOf(entry);
  }

  #end(
    intent: Intent,
    commits: boolean,
    request: Message<"finish_part">,
    done: Reply,
    reply: ReplyTo,
  ): void {
    const { store, proposer } = this.#owner;
    const key = intentKey(intent.attempt);
    const part = asTransaction(request);
    // Too few replicas in sync do not prevent it: it was on enough disks with the intent.
    const full = proposer.whyFull("transaction");
    if (full !== undefined) {
      reply(full);
      return;
    }
    const changes: Change[] = [];
    try {
      const entry = commits ? store.get(key) : undefined;
      if (entry !== undefined && !isTombstone(entry)) changes.push(...changesOf(entry));
    } catch (error) {
      this.#owner.fail(error, part, reply);
      return;
    }
    changes.push({ key, write: DELETION });
    proposer.propose(part, changes, intent.wallMs, done, reply);
  }

  /** Asks about intents that nobody has ended. Rule X7. */
  tick(nowMs: number): void {
    const { intents } = this.#owner;
    if (this.#watches.size > 0) {
      for (const attempt of this.#watches.keys()) {
        if (!intents.intents.has(attempt)) this.#watches.delete(attempt);
      }
    }
    if (intents.intents.size === 0) return this.#failures.end();
    if (!this.#owner.isServing) return;
    const due: { readonly intent: Intent; readonly watch: Watch }[] = [];
    for (const intent of intents.intents.values()) {
      const watch = this.#watchOf(intent, nowMs);
      if (nowMs - watch.askedMs < STATUS_REPEAT_MS) continue;
      const wanted = this.#owner.keyQueue.isWanted(intent.keys);
      const quietMs = nowMs - watch.sinceMs;
      if (quietMs >= (wanted ? INTENT_WANTED_MS : INTENT_QUIET_MS)) due.push({ intent, watch });
    }
    // Intents of a leader that does not answer do not keep those of others from being asked about.
    due.sort((a, b) => a.watch.askedMs - b.watch.askedMs);
    for (const { intent, watch } of due) {
      if (this.#asking >= STATUS_QUESTIONS_MAX) return;
      watch.askedMs = nowMs;
      this.#ask(intent);
    }
  }

  #watchOf({ attempt }: Intent, nowMs: number): Watch {
    let watch = this.#watches.get(attempt);
    if (watch === undefined) {
      watch = { sinceMs: nowMs, askedMs: -STATUS_REPEAT_MS };
      this.#watches.set(attempt, watch);
    }
    return watch;
  }

  #ask(intent: Intent): void {
    const { attempt, leader, keys: [part = leader] } = intent;
    this.#asking++;
    const question = { req_type: "transaction_status", key: leader, attempt, part } as const;
    this.#owner.ports.route(question, FINISH_MS, (reply) => {
      this.#asking--;
      const head = headOf(reply);
      if (!this.#stopped) this.#failures.note(leader, reply);
      if (this.#stopped || this.#owner.intents.intents.get(attempt) !== intent) return;
      if (head?.state !== "committed" && head?.state !== "aborted") return;
      if (!this.#owner.isServing) return;
      const commits = head.state === "committed" && head.seq === intent.seq;
      const request = { req_type: "finish_part", key: part, attempt } as const;
      this.#end(intent, commits, request, partReply({ state: "done" }), () => {});
    });
  }
}

/** The head of the answer to a part's message; undefined if it is an error, or what no node answers. */
export function headOf(reply: Reply): PartHead | undefined {
  if (reply.req_type !== "result" || !Array.isArray(reply.result)) return undefined;
  const [head] = reply.result as unknown[];
  return typeof head === "object" && head !== null && "state" in head
    ? head as PartHead
    : undefined;
}

/** The replies to a part's requests. */
export function repliesOf(reply: Reply): readonly Reply[] {
  return reply.req_type === "result" && Array.isArray(reply.result)
    ? (reply.result as readonly unknown[]).slice(1) as readonly Reply[]
    : [];
}

function keysOf({ requests, checks = [] }: Pick<Message<"transaction">, "requests" | "checks">) {
  return [...new Set([...checks.map(([key]) => key), ...requests.map(({ key }) => key)])];
}

/** As what is written for it is known by: the transaction that it is a part of. */
function asTransaction(
  { key, timeout_ms, ...rest }: Message<"prepare_part" | "read_part" | "finish_part">,
): Message<"transaction"> {
  const requests = "requests" in rest ? rest.requests : [];
  const checks = "checks" in rest ? rest.checks : undefined;
  return { req_type: "transaction", key, requests, checks, timeout_ms };
}
