/**
 * All that a partition's primary does for transactions over several partitions, put together: it leads, takes part, and
 * lets other requests wait for keys that are held. It has no rule of its own.
 *
 * @module
 */
import type {
  KeyRequest,
  Message,
  Reply,
  ReplyTo,
  RoutedRequest,
} from "../../shared/wire/messages.ts";
import { errorReply } from "../../shared/operations/operation.ts";
import { crossesPartitions, transactionKeys } from "../../shared/validation/transaction_checks.ts";
import type { Timed, Waiting } from "../requests/waiting_requests.ts";
import type { WriteQueue } from "../requests/write_queue.ts";
import type { KeyQueue } from "./key_queue.ts";
import type { LedOwner } from "./led_transaction.ts";
import { Participant } from "./participant.ts";
import { TransactionLeader } from "./transaction_leader.ts";

/** What it needs of the primary. */
export interface TransactionsOwner extends LedOwner {
  execute(request: RoutedRequest, reply: ReplyTo): void;
}

/** The transactions of one partition. */
export class PartitionTransactions {
  readonly #owner: TransactionsOwner;
  readonly #queue: KeyQueue;
  readonly #participant: Participant;
  readonly #leader: TransactionLeader;

  /** @param onReleased told when something may go on that has waited */
  constructor(owner: TransactionsOwner, writes: WriteQueue, onReleased: () => void) {
    this.#owner = owner;
    const { intents, keyQueue } = owner;
    this.#queue = keyQueue;
    keyQueue.onReleased = onReleased;
    // In the middle of a write nothing else may run.
    intents.onFree = (keys) => owner.ports.later(0, () => keyQueue.wake(keys));
    this.#participant = new Participant(owner);
    this.#leader = new TransactionLeader(owner, writes);
  }

  /** Requests that wait for keys. */
  get waitingCount(): number {
    return this.#queue.size;
  }

  /** Transactions that are led and not decided. */
  get ledCount(): number {
    return this.#leader.size;
  }

  /** Entries of the partition that no user sees. */
  get rows(): number {
    return this.#owner.intents.rows;
  }

  isHeld(key: string): boolean {
    return this.#owner.intents.isHeld(key);
  }

  /**
   * Takes what is about transactions over several partitions, and requests for keys that are held. Rule X3.
   *
   * @returns false if the request is to be carried out as ever
   */
  take(request: RoutedRequest, reply: ReplyTo): request is Exclude<RoutedRequest, KeyRequest> {
    switch (request.req_type) {
      case "prepare_part":
        this.#participant.prepare(request, reply);
        return true;
      case "read_part":
        this.#participant.read(request, reply);
        return true;
      case "finish_part":
        this.#participant.finish(request, reply);
        return true;
      case "transaction_status":
        this.#leader.status(request, reply);
        return true;
      case "transaction":
        return this.#takeTransaction(request, reply);
      default:
        return !this.#isQuiet && this.#waits([request.key], request, reply);
    }
  }

  #takeTransaction(request: Message<"transaction">, reply: ReplyTo): boolean {
    const isWide: boolean = crossesPartitions(request, this.#owner.ports.partitionCount());
    if (isWide) {
      if (request.as_one === true) {
        reply(errorReply(
          "bad_request",
          'transaction: "as_one" needs all keys in one partition: give them the same {tag}',
        ));
        return true;
      }
      this.#leader.lead(request, reply);
      return true;
    }
    if (this.#isQuiet) return false;
    const keys = [...transactionKeys(request)];
    // Rule W10. Which key it will be is not known before it is judged, but how it begins.
    const stamped = request.as_one === true ? request.requests.filter(isStamped) : [];
    if (stamped.length > 0) {
      const mayBe = (held: string) => stamped.some(({ key }) => held.startsWith(key));
      keys.push(...this.#owner.intents.heldKeys(mayBe));
    }
    return this.#waits(keys, request, reply);
  }

  /** No key is held, and nobody waits for one: as nearly always. */
  get #isQuiet(): boolean {
    return this.#queue.size === 0 && this.#owner.intents.intentCount === 0;
  }

  #waits(keys: readonly string[], request: KeyRequest, reply: ReplyTo): boolean {
    if (!this.#queue.isBusy(keys)) return false;
    this.#queue.add(keys, request, reply, (left) => this.#owner.execute(left, reply));
    return true;
  }

  /** Lets a read wait that was about to be carried out, if its key is held meanwhile. */
  waitsForHeld(request: KeyRequest, reply: ReplyTo): boolean {
    if (!this.isHeld(request.key)) return false;
    this.#queue.add(
      [request.key],
      request,
      reply,
      (left) => this.#owner.execute(left, reply),
    );
    return true;
  }

  /**
   * Runs `then`, with the time that the request has left, when the intents of now have ended that hold keys which are
   * wanted, by default all. Rule X3.
   */
  whenFree<R extends Timed>(
    request: R,
    reply: ReplyTo,
    then: (request: R) => void,
    isWanted?: (key: string) => boolean,
  ): void {
    const keys = this.#owner.intents.heldKeys(isWanted);
    if (keys.length === 0) then(request);
    else this.#queue.add(keys, request, reply, then);
  }

  /** The next request that may go on. */
  takeReleased(): Waiting | undefined {
    return this.#queue.size === 0 ? undefined : this.#queue.takeReleased();
  }

  /** Writes were committed. */
  onCommitted(): void {
    this.#leader.onCommitted();
  }

  /** Looks at deadlines, and at what has not ended. Called every 100 ms or so. */
  tick(nowMs: number): void {
    this.#queue.expire(nowMs);
    this.#participant.tick(nowMs);
    this.#leader.tick(nowMs);
  }

  /** The partition has another primary. */
  stop(notPrimary: Reply): void {
    this.#participant.stop();
    this.#leader.stop(notPrimary);
    this.#queue.failAll(notPrimary);
    this.#owner.intents.onFree = () => {};
  }
}

/** Whether a request's key is going to end with the version. */
function isStamped(step: object): boolean {
  return "stamped" in step && step.stamped === true;
}
