/**
 * What a scan and a count of the whole cluster have in common. Each partition is asked for at the node
 * that is its primary according to the map. Partitions that no answer covers are asked for again, at
 * their new primaries, until the deadline. The questions and the use of the answers are not known here.
 *
 * Invariants: `done` is called once, by the deadline; a partition is asked of one node at a time.
 *
 * @module
 */
import { type KeyBounds, type KeyRange, keyRange } from "../base/key_range.ts";
import { isWithinTogether } from "../cluster/databases.ts";
import { partitionOf } from "../cluster/position.ts";
import type { WorkScheduler } from "../scheduling/work_scheduler.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { type ClusterMap, type NodeId, whyNoPrimary } from "../cluster/cluster_map.ts";
import { errorReply } from "../operations/operation.ts";
import { KvError } from "../base/errors.ts";
import { mayRepeat } from "../operations/repeat.ts";
import { RETRY_MS_MAX, RETRY_MS_MIN } from "../limits/requests.ts";
import { SCAN_ATTEMPT_MS } from "../limits/scans.ts";
import type { Message, Reply } from "../wire/messages.ts";
import { PartitionSet } from "../cluster/partition_set.ts";
import type { Random } from "../platform/random.ts";
import { backoffMs } from "../scheduling/backoff.ts";

/** The means to reach the nodes: a router. */
export interface ScanRouter {
  map(): ClusterMap | undefined;
  refresh(): Promise<ClusterMap>;
  request(
    node: NodeId,
    message: object,
    timeoutMs: number,
    done: (reply: Reply) => void,
  ): void;
}

/** What a call needs. */
export interface ClusterCallDeps {
  readonly clock: Clock;
  /** Spreads the retries of many calls. */
  readonly random?: Random | undefined;
  readonly router: ScanRouter;
  /** Runs the work on each answer in turns: an answer may have thousands of keys. */
  readonly work: WorkScheduler;
}

/** Where the keys of a range can be: of a database whose keys lie together in one partition, otherwise anywhere. */
function partitionsOf(range: KeyRange, partitionCount: number): PartitionSet {
  if (!isWithinTogether(range)) return PartitionSet.all(partitionCount);
  const one = new PartitionSet(partitionCount);
  one.add(partitionOf(range.start ?? "", partitionCount));
  return one;
}

/** A call of the whole cluster. */
export abstract class ClusterCall<T> {
  /** Partitions that no answer covers yet; undefined until there is a map. */
  protected missing: PartitionSet | undefined;
  readonly #deps: ClusterCallDeps;
  readonly #what: string;
  readonly #range: KeyRange;
  #total = 0;
  readonly #timeoutMs: number;
  readonly #done: (result: T | Message<"error">) => void;
  readonly #startMs: number;
  #deadlineMs: number;
  #deadline: Timer | undefined;
  #pause: Timer | undefined;
  #asked = 0;
  #attempts = 0;
  #finished = false;
  #last: Message<"error"> | undefined;

  constructor(
    deps: ClusterCallDeps,
    what: string,
    bounds: KeyBounds,
    timeoutMs: number,
    done: (result: T | Message<"error">) => void,
  ) {
    this.#deps = deps;
    this.#what = what;
    this.#range = keyRange(bounds);
    this.#timeoutMs = timeoutMs;
    this.#done = done;
    this.#startMs = deps.clock.monotonicMs();
    this.#deadlineMs = this.#startMs + timeoutMs;
  }

  /** How many partitions the call is about. */
  protected get total(): number {
    return this.#total;
  }

  /** Asks the nodes. */
  start(): void {
    this.#setDeadline();
    this.#askMissing();
  }

  /** Gives the call up: `done` is not called any more. */
  cancel(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#deadline?.cancel();
    this.#pause?.cancel();
    this.onEnd();
  }

  /** The call has ended, with or without success. */
  onEnd: () => void = () => {};

  /** Ends it with an error. */
  fail(error: Message<"error">): void {
    this.finish(error);
  }

  /** Asks a node about partitions that no answer covers. */
  protected abstract askFor(node: NodeId, partitions: PartitionSet): void;

  /** Everything that was asked is answered, or the time is over; and nothing is missing. */
  protected abstract settle(late: boolean): void;

  /** There was progress, and partitions are missing: the nodes are asked again at once. */
  protected again = false;

  /** There was progress: the time begins again. */
  protected extend(): void {
    this.#deadlineMs = this.#deps.clock.monotonicMs() + this.#timeoutMs;
  }

  /**
   * Sends a request to a node; when all that were sent are answered, the call goes on. `onReply` returns
   * whether the reply was valid. An error is remembered here, and `onError` is told.
   */
  protected ask(
    node: NodeId,
    message: object,
    onReply: (reply: Reply) => boolean,
    onError: () => void = () => {},
  ): void {
    const leftMs = Math.max(1, this.#deadlineMs - this.#deps.clock.monotonicMs());
    const timeoutMs = Math.ceil(Math.min(leftMs, SCAN_ATTEMPT_MS));
    this.#asked++;
    const take = (reply: Reply): boolean => {
      if (this.#finished) return false;
      const error = this.#take(node, reply, onReply);
      if (error !== undefined) {
        this.#onError(error);
        onError();
      }
      this.#asked--;
      this.#goOn();
      return false;
    };
    const { router, work } = this.#deps;
    router.request(
      node,
      { ...message, timeout_ms: timeoutMs },
      timeoutMs,
      (reply) => work.add(() => take(reply)),
    );
  }

  /** @returns the error in a reply, or an error that says that it is not a valid reply */
  #take(
    node: NodeId,
    reply: Reply,
    onReply: (reply: Reply) => boolean,
  ): Message<"error"> | undefined {
    if (reply.req_type === "error") return reply;
    try {
      if (onReply(reply)) return undefined;
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
    }
    return errorReply("unavailable", `node ${node} sent a reply that is not valid`);
  }

  /** The call has a result. */
  protected finish(result: T | Message<"error">): void {
    if (this.#finished) return;
    this.cancel();
    this.#done(result);
  }

  #askMissing(): void {
    if (this.#finished) return;
    const { router } = this.#deps;
    const map = router.map();
    if (map === undefined) {
      this.#refresh();
      return;
    }
    this.missing ??= partitionsOf(this.#range, map.settings.partitionCount);
    const { missing } = this;
    this.#total ||= missing.size;
    const byNode = new Map<NodeId, PartitionSet>();
    for (const partition of missing) {
      const primary = map.partitions[partition]?.primary;
      if (primary === undefined) {
        this.#last = errorReply("unavailable", whyNoPrimary(map, partition));
        continue;
      }
      let partitions = byNode.get(primary);
      if (partitions === undefined) {
        partitions = new PartitionSet(missing.partitionCount);
        byNode.set(primary, partitions);
      }
      partitions.add(partition);
    }
    this.#attempts++;
    // Holds one extra count while sending, so that a synchronous reply cannot end the round early.
    this.#asked++;
    for (const [node, partitions] of byNode) this.askFor(node, partitions);
    this.#asked--;
    this.#goOn();
  }

  #goOn(): void {
    if (this.#asked > 0 || this.#finished) return;
    if (this.missing?.size === 0) {
      this.settle(false);
    } else if (this.again) {
      this.again = false;
      this.#attempts = 0;
      // Not called directly: answers that come at once would nest without end.
      this.#deps.clock.defer(() => this.#askMissing());
    } else {
      this.#refresh();
    }
  }

  #onError(reply: Message<"error">): void {
    if (mayRepeat("harmless", reply.code)) this.#last = reply;
    else this.finish({ ...reply, id: undefined });
  }

  /** Gets the newest map, then tries again. */
  #refresh(): void {
    if (this.#finished) return;
    const again = () => {
      if (this.#finished) return;
      const { clock, random } = this.#deps;
      const pauseMs = backoffMs(RETRY_MS_MIN, RETRY_MS_MAX, this.#attempts, random);
      this.#pause = clock.setTimer(pauseMs, () => this.#askMissing());
    };
    this.#deps.router.refresh().then(again, (error: unknown) => {
      if (this.#deps.router.map() === undefined && error instanceof Error) {
        this.#last = errorReply("unavailable", error.message);
      }
      again();
    });
  }

  #setDeadline(): void {
    const leftMs = this.#deadlineMs - this.#deps.clock.monotonicMs();
    this.#deadline = this.#deps.clock.setTimer(Math.max(0, leftMs), () => {
      if (this.#deadlineMs > this.#deps.clock.monotonicMs()) this.#setDeadline();
      else if (this.missing?.size === 0) this.settle(true);
      else this.finish(this.#overdue());
    });
  }

  #overdue(): Message<"error"> {
    const afterMs = Math.round(this.#deps.clock.monotonicMs() - this.#startMs);
    const { missing } = this;
    const lack = missing === undefined
      ? "no cluster map"
      : `no answer for ${missing.size} of ${missing.partitionCount} partitions`;
    const last = this.#last;
    const message = `${this.#what}: gave up after ${afterMs} ms: ${lack}` +
      (last === undefined ? "" : `; last: ${last.message}`);
    const unknown = last === undefined || last.code === "outcome_unknown";
    const code = unknown ? "timeout" : last.code === "not_primary" ? "unavailable" : last.code;
    return { req_type: "error", code, message };
  }
}
