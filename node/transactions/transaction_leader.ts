/**
 * The transactions over several partitions that a partition leads, at its primary: whose turn it is, what has become of
 * an attempt, and the end of those that have happened. Rules X1, X6, X7, X9 and X11 of docs/transactions.md.
 *
 * Invariants: an attempt that is not listed here, and has no decision in the store, never happens; a decision stays
 * until all of its participants have said that they are done.
 *
 * @module
 */
import { isTombstone } from "../../shared/base/entry.ts";
import { failureOf } from "../../shared/base/errors.ts";
import {
  DECISIONS_DELETED_MAX,
  FINISH_MS,
  FOLLOW_MS,
  LED_TRANSACTIONS_MAX,
  STATUS_REPEAT_MS,
} from "../../shared/limits/requests.ts";
import { partitionOf } from "../../shared/cluster/position.ts";
import { DELETION, errorReply, writeReply } from "../../shared/operations/operation.ts";
import type { PartHead } from "../../shared/operations/part_messages.ts";
import { onlyReads } from "../../shared/operations/repeat.ts";
import { whyTooLarge } from "../../shared/validation/transaction_checks.ts";
import type { Message, Reply, ReplyTo } from "../../shared/wire/messages.ts";
import type { WriteQueue } from "../requests/write_queue.ts";
import { type Decision, decisionKey, decisionOf } from "./intent_rows.ts";
import { KeyOrder } from "./key_order.ts";
import { type LedListener, type LedOwner, LedTransaction } from "./led_transaction.ts";
import { headOf, partReply } from "./participant.ts";
import { PartnerFailures } from "./partner_failures.ts";

/** A decision whose participants are being told. */
interface Finishing {
  /** The participants that have not said that they are done. */
  readonly left: Set<string>;
  /** Of these, the ones that are being told now. */
  readonly told: Set<string>;
  tellMs: number;
  led: LedTransaction | undefined;
  readonly sinceMs: number;
}

/** See the top of this file. */
export class TransactionLeader implements LedListener {
  readonly #owner: LedOwner;
  readonly #writes: Pick<WriteQueue, "newest">;
  readonly #led = new Set<LedTransaction>();
  readonly #pending = new Set<string>();
  readonly #order = new KeyOrder<LedTransaction>();
  /** Decisions that stand, until their deletion is proposed. */
  readonly #finishing = new Map<string, Finishing>();
  /** Of these, those that are perhaps not committed. */
  readonly #untold = new Set<string>();
  readonly #failures: PartnerFailures;
  #stopped = false;

  constructor(owner: LedOwner, writes: Pick<WriteQueue, "newest">) {
    this.#owner = owner;
    this.#writes = writes;
    this.#failures = new PartnerFailures(
      owner,
      (partition) => `tell partition ${partition} that a transaction has happened`,
    );
  }

  /** Transactions that are not decided. */
  get size(): number {
    return this.#led.size;
  }

  /** Carries out a transaction with keys of several partitions. */
  lead(request: Message<"transaction">, replyTo: ReplyTo): void {
    const { executor, proposer, ports } = this.#owner;
    const reply = ports.transactionCounts.counting(replyTo);
    const refused = whyTooLarge(request) ??
      (onlyReads(request) ? undefined : proposer.whyNoWrite("transaction"));
    if (refused !== undefined) {
      reply(refused);
      return;
    }
    if (this.#led.size >= LED_TRANSACTIONS_MAX) {
      reply(errorReply(
        "overloaded",
        `transaction: this partition leads ${LED_TRANSACTIONS_MAX} transactions already`,
      ));
      return;
    }
    try {
      if (executor.answerBySession(request, reply)) return;
    } catch (error) {
      this.#owner.fail(error, request, reply);
      return;
    }
    const led = new LedTransaction(this.#owner, this, request, reply);
    this.#led.add(led);
    led.start();
  }

  /** What has become of an attempt. Rule X7. */
  status(request: Message<"transaction_status">, reply: ReplyTo): void {
    const { attempt, part } = request;
    if (this.#pending.has(attempt)) {
      reply(partReply({ state: "pending" }));
      return;
    }
    const { executor, ports } = this.#owner;
    let decision: Decision | undefined;
    try {
      decision = this.#decisionOn(attempt);
    } catch (error) {
      const { code, message } = failureOf(error);
      reply(errorReply(code, `transaction_status: ${message}`));
      return;
    }
    const count = ports.partitionCount();
    const asking = partitionOf(part, count);
    const seq = decision?.parts.find(([key]) => partitionOf(key, count) === asking)?.[1];
    const head: PartHead = seq === undefined ? { state: "aborted" } : { state: "committed", seq };
    executor.answerAsOf([decisionKey(attempt)], request, partReply(head), reply);
  }

  /** @throws {KvError} if there is one that cannot be read: nobody knows then what it says. Rule X11. */
  #decisionOn(attempt: string): Decision | undefined {
    const { intents, store } = this.#owner;
    const key = decisionKey(attempt);
    const known = intents.decisions.get(attempt);
    if (known !== undefined || !intents.mayLack(key)) return known;
    const entry = store.get(key);
    return entry === undefined || isTombstone(entry) ? undefined : decisionOf(entry);
  }

  // What led transactions tell.

  onAttempt(attempt: string): void {
    this.#pending.add(attempt);
  }

  onAttemptOver(attempt: string): void {
    this.#pending.delete(attempt);
  }

  onWaits(led: LedTransaction): void {
    if (this.#order.join(led)) led.begin();
  }

  onDecided(led: LedTransaction, attempt: string | undefined): void {
    this.#led.delete(led);
    const decision = attempt === undefined ? undefined : this.#owner.intents.decisions.get(attempt);
    // Those who want the same keys wait for the participants' changes.
    if (decision === undefined) this.#leave(led);
    else this.#listFinishing(decision, led);
  }

  onEnded(led: LedTransaction): void {
    this.#led.delete(led);
    this.#leave(led);
  }

  #leave(led: LedTransaction): void {
    for (const next of this.#order.leave(led)) {
      // Not in the same turn: what it ends may be in the middle of something.
      this.#owner.ports.later(0, () => next.begin());
    }
  }

  // The end of those that have happened. Rule X6.

  #listFinishing(decision: Decision, led?: LedTransaction): Finishing {
    const { nowMs } = this.#owner.ports;
    const finishing: Finishing = {
      left: new Set(decision.parts.map(([key]) => key)),
      told: new Set(),
      tellMs: 0,
      led,
      sinceMs: nowMs(),
    };
    this.#finishing.set(decision.attempt, finishing);
    this.#untold.add(decision.attempt);
    return finishing;
  }

  /** Something was committed: participants of decisions that are committed now are told. */
  onCommitted(): void {
    if (this.#untold.size === 0) return;
    for (const attempt of this.#untold) {
      const finishing = this.#finishing.get(attempt);
      if (finishing !== undefined) this.#tell(attempt, finishing);
    }
  }

  #tell(attempt: string, finishing: Finishing): void {
    const { ports, intents } = this.#owner;
    const decision = intents.decisions.get(attempt);
    if (decision === undefined || this.#stopped) {
      this.#forget(attempt);
      return;
    }
    if (this.#writes.newest(decisionKey(attempt)) !== undefined) return;
    finishing.tellMs = ports.nowMs();
    this.#untold.delete(attempt);
    for (const [key, seq] of decision.parts) {
      if (!finishing.left.has(key) || finishing.told.has(key)) continue;
      finishing.told.add(key);
      const order = { req_type: "finish_part", key, attempt, commit: seq } as const;
      ports.route(order, FINISH_MS, (reply) => {
        finishing.told.delete(key);
        if (!this.#stopped) this.#failures.note(key, reply);
        if (headOf(reply)?.state === "done") finishing.left.delete(key);
        // Its decision is deleted by the next tick.
        if (finishing.left.size === 0 && !this.#stopped) this.#letFollow(finishing);
      });
    }
  }

  /**
   * Deletes decisions of which all participants are done. Nobody waits for that, so those of a tick are one group: one by
   * one they would cost as much as the other groups of a transaction.
   */
  #delete(attempts: readonly string[]): void {
    const { proposer, ports } = this.#owner;
    const [first] = attempts;
    if (first === undefined || proposer.whyFull("transaction") !== undefined) return;
    const changes = attempts.map((attempt) => ({ key: decisionKey(attempt), write: DELETION }));
    const order = { req_type: "delete", key: decisionKey(first) } as const;
    if (!proposer.propose(order, changes, ports.wallMs(), writeReply(0), () => {})) return;
    for (const attempt of attempts) this.#finishing.delete(attempt);
  }

  #letFollow(finishing: Finishing): void {
    const { led } = finishing;
    finishing.led = undefined;
    if (led !== undefined) this.#leave(led);
  }

  #forget(attempt: string): void {
    const finishing = this.#finishing.get(attempt);
    this.#finishing.delete(attempt);
    this.#untold.delete(attempt);
    if (finishing !== undefined) this.#letFollow(finishing);
  }

  /** Looks at deadlines, and at participants that have not answered. */
  tick(nowMs: number): void {
    if (this.#led.size > 0) { for (const led of [...this.#led]) led.tick(nowMs); }
    if (!this.#owner.isServing) return;
    const { decisions } = this.#owner.intents;
    if (this.#finishing.size === 0) {
      this.#failures.end();
      if (decisions.size === 0) return;
    }
    if (decisions.size > this.#finishing.size) {
      for (const decision of decisions.values()) {
        // Rule X11: of a former primary.
        if (!this.#finishing.has(decision.attempt)) this.#listFinishing(decision);
      }
    }
    const done: string[] = [];
    for (const [attempt, finishing] of this.#finishing) {
      if (nowMs - finishing.sinceMs > FOLLOW_MS) this.#letFollow(finishing);
      if (finishing.left.size === 0) {
        if (done.length < DECISIONS_DELETED_MAX) done.push(attempt);
      } else if (finishing.told.size === 0 && nowMs - finishing.tellMs >= STATUS_REPEAT_MS) {
        this.#tell(attempt, finishing);
      }
    }
    this.#delete(done);
  }

  /** The partition has another primary. */
  stop(notPrimary: Reply): void {
    this.#stopped = true;
    for (const led of [...this.#led]) led.stop(notPrimary);
    this.#finishing.clear();
    this.#untold.clear();
    this.#failures.end();
  }
}
