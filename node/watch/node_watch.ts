/**
 * Answers watchers' questions: what has been committed beyond these positions, of these keys? An answer leaves as soon
 * as there is something to tell, or when the time is over. Between two questions nothing is kept for a watcher, so a
 * slow one costs nothing, and falls back on what the partition's log has, or on the newest state of each key.
 *
 * Invariants: a question is answered once; only committed writes are told (rule V3); the questions that wait, the
 * logs, and the readings under way are bounded.
 *
 * @module
 */
import type { Entry } from "../../shared/base/entry.ts";
import { failureOf, isDamage } from "../../shared/base/errors.ts";
import type { Clock } from "../../shared/platform/clock.ts";
import { partitionShare } from "../../shared/limits/storage.ts";
import {
  WATCH_CALLERS_MS,
  WATCH_LOG_BYTES_MAX,
  WATCH_LOG_ENTRIES_MAX,
  WATCH_LOG_IDLE_MS,
  WATCH_POLL_PLACES_MAX,
  WATCH_POLLS_MAX,
  WATCH_READ_MS,
  WATCH_READS_MAX,
  WATCH_READS_WAITING_MAX,
  WATCH_REPLY_BYTES,
  WATCH_REPLY_ENTRIES,
} from "../../shared/limits/scans.ts";
import { errorReply } from "../../shared/operations/operation.ts";
import {
  isBeginning,
  isSamePosition,
  type WatchPosition,
} from "../../shared/watch/watch_position.ts";
import {
  matcherOf,
  type WatchMatcher,
  type WatchSelection,
} from "../../shared/watch/watch_selection.ts";
import type { Message } from "../../shared/wire/messages.ts";
import type { Primary } from "../replication/primary.ts";
import { bytesOf, isFull, type Room } from "./commit_log.ts";
import { PartitionFeed, type Waiter } from "./partition_feed.ts";
import { readPage } from "./partition_reader.ts";

const STOPPING = "watch_node: this node is stopping";

/** What is asked. Positions that are undefined mean "from now on". */
export interface NodeWatchRequest {
  readonly selection: WatchSelection;
  readonly positions: ReadonlyMap<number, WatchPosition | undefined>;
  /** Whether nobody waits for the answer any more. */
  isAbandoned(): boolean;
}

/** What is answered. */
export interface NodeChanges {
  readonly entries: readonly Entry[];
  /** Those that have changed. */
  readonly positions: ReadonlyMap<number, WatchPosition>;
  /** Partitions that this node does not serve. */
  readonly refused: readonly number[];
  /** Rules V5 and V7. */
  readonly reset: boolean;
  /** More was there when this was asked. */
  readonly more: boolean;
}

/** Takes the answer. */
type Done = (answer: NodeChanges | Message<"error">) => void;

/** What it needs of its node. */
export interface NodeWatchPorts {
  readonly clock: Clock;
  partitionCount(): number;
  primary(partition: number): Primary | undefined;
  /** Data was found damaged. */
  onDamaged(partition: number, error: unknown): void;
}

/** An answer in the making. */
class Gathered {
  readonly entries: Entry[] = [];
  readonly refused: number[] = [];
  readonly room: Room = { entries: WATCH_REPLY_ENTRIES, bytes: WATCH_REPLY_BYTES };
  /** Positions that must be told, since something is known only now. */
  news = false;
  reset = false;
  more = false;

  get isEmpty(): boolean {
    return this.entries.length === 0 && this.refused.length === 0 && !this.news && !this.reset;
  }
}

/** A question under way. */
class Poll implements Waiter {
  readonly matches: WatchMatcher;
  readonly request: NodeWatchRequest;
  /** Where the watcher stands when it has the answer, if that is not where it said. */
  readonly changed = new Map<number, WatchPosition>();
  readonly answerByMs: number;
  readonly done: Done;
  ended = false;
  /** It is read for, or waits for its turn to be: it is not looked at meanwhile. */
  busy = false;
  /** While it waits for its turn: what it is told in any case. */
  gathered: Gathered | undefined;
  readonly #onWake: (poll: Poll) => void;

  constructor(
    request: NodeWatchRequest,
    answerByMs: number,
    done: Done,
    onWake: (poll: Poll) => void,
  ) {
    this.request = request;
    this.matches = matcherOf(request.selection);
    this.answerByMs = answerByMs;
    this.done = done;
    this.#onWake = onWake;
  }

  /** The partitions that are asked about. */
  get partitions(): Iterable<number> {
    return this.request.positions.keys();
  }

  position(partition: number): WatchPosition | undefined {
    return this.changed.get(partition) ?? this.request.positions.get(partition);
  }

  passed(partition: number, seq: number): void {
    const position = this.position(partition);
    if (position === undefined || position.seq >= seq) return;
    this.changed.set(partition, { lineage: position.lineage, seq, upto: seq });
  }

  wake(): void {
    this.#onWake(this);
  }
}

/** The watchers' questions at one node. */
export class NodeWatch {
  readonly #ports: NodeWatchPorts;
  readonly #feeds = new Map<number, PartitionFeed>();
  readonly #polls = new Set<Poll>();
  /** To be looked at when this turn ends. */
  readonly #woken = new Set<Poll>();
  readonly #advanced = new Set<PartitionFeed>();
  #scheduled = false;
  #closed = false;
  /** When it last looked whose callers are gone. */
  #callersMs = -Infinity;
  #reading = 0;
  /** The partitions of all questions. */
  #places = 0;
  /** Questions that wait to be read for, and how that begins. */
  readonly #readQueue = new Map<Poll, () => void>();
  /** With which partition the next answer begins, so that none is always the last. */
  #first = 0;
  #readings = 0;
  #resets = 0;
  #events = 0;

  constructor(ports: NodeWatchPorts) {
    this.#ports = ports;
  }

  /** Numbers for metrics. */
  stats(): {
    readonly polls: number;
    readonly events: number;
    readonly readings: number;
    readonly resets: number;
    readonly logBytes: number;
  } {
    let logBytes = 0;
    for (const { log } of this.#feeds.values()) logBytes += log?.bytes ?? 0;
    return {
      polls: this.#polls.size,
      events: this.#events,
      readings: this.#readings,
      resets: this.#resets,
      logBytes,
    };
  }

  /** Answers a question, after `waitMs` at the latest. */
  poll(request: NodeWatchRequest, waitMs: number, done: Done): void {
    if (this.#polls.size >= WATCH_POLLS_MAX || this.#places >= WATCH_POLL_PLACES_MAX) {
      done(errorReply("overloaded", `watch_node: ${this.#polls.size} watchers wait on this node`));
      return;
    }
    if (this.#closed) {
      done(errorReply("unavailable", STOPPING));
      return;
    }
    const answerByMs = this.#ports.clock.monotonicMs() + waitMs;
    const poll = new Poll(request, answerByMs, done, (woken) => this.#wake(woken));
    this.#polls.add(poll);
    this.#places += request.positions.size;
    this.#look(poll);
  }

  /** This node is not the primary of a partition any more. */
  onPrimaryLost(partition: number): void {
    this.#drop(partition);
  }

  /** Time passes. */
  tick(nowMs: number): void {
    for (const [partition, feed] of this.#feeds) {
      const isIdle = feed.waiters.size === 0 && nowMs - feed.askedMs > WATCH_LOG_IDLE_MS;
      if (isIdle || !feed.isOf(this.#ports.primary(partition))) this.#drop(partition);
      else if (feed.log === undefined && feed.begin()) {
        for (const waiter of feed.waiters.keys()) waiter.wake();
      } else if (feed.primary.phase === "stopped") this.#drop(partition);
    }
    const looksAtCallers = nowMs - this.#callersMs >= WATCH_CALLERS_MS;
    if (looksAtCallers) this.#callersMs = nowMs;
    for (const poll of this.#polls) {
      // One that still waits to be read for is answered, too: soon nobody waits for the answer, and others do behind it.
      const isOver = poll.answerByMs <= nowMs && (!poll.busy || poll.gathered !== undefined);
      if (!isOver && !(looksAtCallers && poll.request.isAbandoned())) continue;
      const { gathered = new Gathered() } = poll;
      if (this.#isBehind(poll)) gathered.more = true;
      this.#finish(poll, gathered);
    }
  }

  /** Whether it has not been told all that is there: of a primary that does not serve yet, or that was to be read. Rule V9. */
  #isBehind(poll: Poll): boolean {
    for (const partition of poll.partitions) {
      if (this.#feeds.get(partition)?.waiters.get(poll) !== true) return true;
    }
    return false;
  }

  /** Nothing more will be known here: every question is answered now. */
  close(): void {
    this.#closed = true;
    for (const partition of [...this.#feeds.keys()]) this.#drop(partition);
    for (const poll of [...this.#polls]) {
      this.#end(poll);
      poll.done(errorReply("unavailable", STOPPING));
    }
  }

  #drop(partition: number): void {
    const feed = this.#feeds.get(partition);
    if (feed === undefined) return;
    this.#feeds.delete(partition);
    this.#advanced.delete(feed);
    feed.end();
  }

  /** The feed of a partition of which this node is primary. */
  #feedOf(partition: number): PartitionFeed | undefined {
    const primary = this.#ports.primary(partition);
    const known = this.#feeds.get(partition);
    const nowMs = this.#ports.clock.monotonicMs();
    if (primary === undefined || primary.phase === "stopped") return undefined;
    if (known?.isOf(primary)) {
      known.askedMs = nowMs;
      return known;
    }
    this.#drop(partition);
    const bytesMax = partitionShare(WATCH_LOG_BYTES_MAX, this.#ports.partitionCount());
    const bounds = { entriesMax: WATCH_LOG_ENTRIES_MAX, bytesMax };
    const feed = new PartitionFeed(primary, nowMs, bounds, (advanced) => {
      this.#advanced.add(advanced);
      this.#schedule();
    });
    this.#feeds.set(partition, feed);
    return feed;
  }

  #wake(poll: Poll): void {
    if (poll.busy || poll.ended) return;
    this.#woken.add(poll);
    this.#schedule();
  }

  /** Answers of one turn tell everything that was committed in it. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#ports.clock.defer(() => {
      this.#scheduled = false;
      for (const poll of this.#woken) {
        this.#woken.delete(poll);
        if (!poll.ended) this.#look(poll);
      }
      for (const feed of this.#advanced) feed.log?.trim();
      this.#advanced.clear();
    });
  }

  /** Answers a question, or lets it wait. */
  #look(poll: Poll): void {
    const gathered = new Gathered();
    const toRead: number[] = [];
    const partitions = [...poll.partitions];
    this.#passResting(poll);
    this.#first++;
    for (let i = 0; i < partitions.length; i++) {
      const partition = partitions[(i + this.#first) % partitions.length];
      if (partition !== undefined && this.#gather(poll, partition, gathered)) {
        toRead.push(partition);
      }
    }
    const isEnough = isFull(gathered.room);
    if (isEnough && toRead.length > 0) gathered.more = true;
    if (gathered.reset || toRead.length === 0 || isEnough) {
      if (!gathered.isEmpty) this.#finish(poll, gathered);
      return;
    }
    this.#startReading(poll, toRead, gathered);
  }

  /** Where nothing for it has come, it stands where the log ends: that is noted when somebody wants to know. */
  #passResting(poll: Poll): void {
    for (const partition of poll.partitions) {
      const feed = this.#feeds.get(partition);
      if (feed?.waiters.get(poll) === true) poll.passed(partition, feed.told);
    }
  }

  /** Takes what a partition's log has for a question, or lets the question wait there. @returns whether it must be read */
  #gather(poll: Poll, partition: number, gathered: Gathered): boolean {
    const feed = this.#feedOf(partition);
    if (feed === undefined) {
      gathered.refused.push(partition);
      return false;
    }
    feed.waiters.set(poll, false);
    const { log, lineage } = feed;
    if (log === undefined) {
      gathered.more = true;
      return false;
    }
    const position = poll.position(partition);
    if (position === undefined) {
      poll.changed.set(partition, { lineage, seq: log.last, upto: log.last });
      feed.waiters.set(poll, true);
      gathered.news = true;
      return false;
    }
    if (isBeginning(position)) return true;
    // Rule V5.
    if (position.lineage !== lineage || position.upto > log.last) {
      gathered.reset = true;
      return false;
    }
    if (position.reading !== undefined || !log.covers(position.seq)) return true;
    if (isFull(gathered.room)) {
      gathered.more = true;
      return false;
    }
    const { seq, upto } = position;
    const told = log.since(seq, poll.matches, gathered.room, upto > seq);
    for (const entry of told.entries) gathered.entries.push(entry);
    if (told.seq < log.last) gathered.more = true;
    else feed.waiters.set(poll, true);
    if (told.seq !== seq) {
      poll.changed.set(partition, { lineage, seq: told.seq, upto: Math.max(told.seq, upto) });
    }
    return false;
  }

  #startReading(poll: Poll, partitions: readonly number[], gathered: Gathered): void {
    if (this.#readQueue.size >= WATCH_READS_WAITING_MAX) {
      this.#end(poll);
      poll.done(errorReply("overloaded", "watch_node: too many watchers are being read for"));
      return;
    }
    poll.busy = true;
    poll.gathered = gathered;
    this.#readQueue.set(poll, () => {
      poll.gathered = undefined;
      this.#reading++;
      this.#readings++;
      const ended = () => {
        this.#reading--;
        poll.busy = false;
        this.#finish(poll, gathered);
        this.#readNext();
      };
      this.#read(poll, partitions, gathered).then(ended, (error: unknown) => {
        ended();
        failureOf(error);
      });
    });
    this.#readNext();
  }

  /** Begins to read for those that have waited for longest, as far as there is room. */
  #readNext(): void {
    for (const [poll, begin] of this.#readQueue) {
      if (this.#reading >= WATCH_READS_MAX) return;
      this.#readQueue.delete(poll);
      begin();
    }
  }

  async #read(poll: Poll, partitions: readonly number[], gathered: Gathered): Promise<void> {
    const { clock } = this.#ports;
    const endMs = clock.monotonicMs() + WATCH_READ_MS;
    for (const partition of partitions) {
      if (poll.ended || isFull(gathered.room) || clock.monotonicMs() > endMs) {
        gathered.more = true;
        return;
      }
      const feed = this.#feedOf(partition);
      const position = poll.position(partition);
      if (feed === undefined || position === undefined) {
        gathered.refused.push(partition);
        continue;
      }
      // Rule V5. The partition may have been forced while this waited.
      if (!isBeginning(position) && position.lineage !== feed.lineage) {
        gathered.reset = true;
        return;
      }
      try {
        const page = await readPage(feed, position, poll.matches, {
          wallMs: () => clock.wallMs(),
          whenCommitted: (seq) => this.#whenCommitted(feed, seq, endMs),
        });
        const stands = feed.isOf(this.#ports.primary(partition));
        if (page === "reset") gathered.reset = true;
        else if (page === "refused" || !stands) gathered.refused.push(partition);
        else {
          poll.changed.set(partition, page.position);
          for (const entry of page.entries) {
            gathered.entries.push(entry);
            gathered.room.entries--;
            gathered.room.bytes -= bytesOf(entry);
          }
        }
      } catch (error) {
        gathered.refused.push(partition);
        if (isDamage(error)) this.#ports.onDamaged(partition, error);
        else failureOf(error);
      }
      if (gathered.reset) return;
    }
  }

  /** Waits no longer than until `endMs`, whenever it begins to: a reading that never ended would keep its place for ever. */
  #whenCommitted(feed: PartitionFeed, seq: number, endMs: number): Promise<boolean> {
    const { clock } = this.#ports;
    return new Promise((resolve) => {
      let giveUp = () => {};
      const late = clock.setTimer(Math.max(1, endMs - clock.monotonicMs()), () => giveUp());
      giveUp = feed.whenCommitted(seq, (committed) => {
        late.cancel();
        resolve(committed);
      });
    });
  }

  #finish(poll: Poll, gathered: Gathered): void {
    if (poll.ended) return;
    this.#passResting(poll);
    this.#end(poll);
    const positions = new Map<number, WatchPosition>();
    for (const [partition, position] of poll.changed) {
      const before = poll.request.positions.get(partition);
      if (before === undefined || !isSamePosition(before, position)) {
        positions.set(partition, position);
      }
    }
    const { entries, refused, reset, more } = gathered;
    this.#events += entries.length;
    if (reset) this.#resets++;
    poll.done({ entries: reset ? [] : entries, positions, refused, reset, more });
  }

  #end(poll: Poll): void {
    poll.ended = true;
    for (const partition of poll.partitions) this.#feeds.get(partition)?.waiters.delete(poll);
    if (this.#polls.delete(poll)) this.#places -= poll.request.positions.size;
    this.#woken.delete(poll);
    this.#readQueue.delete(poll);
  }
}
