/**
 * A watch of keys of the whole cluster: it asks the primary of each partition what has been committed beyond the
 * place where the watcher stands there, again and again, and puts the answers into one stream. A partition that its
 * node does not serve any more is asked for at its new primary, from the same place.
 *
 * Invariants: a partition is asked about by one question at a time, and not again before the caller has taken what
 * came; so the watch holds at most one answer of each question. What is told of a partition is told in the order of
 * the answers (rule V1). Whatever cannot be told is said with `reset`, and everything follows anew (rule V8).
 *
 * @module
 */
import type { Clock, Timer } from "../platform/clock.ts";
import type { ClusterMap, NodeId } from "../cluster/cluster_map.ts";
import type { Entry } from "../base/entry.ts";
import { failureOf } from "../base/errors.ts";
import { PartitionSet } from "../cluster/partition_set.ts";
import { partitionOf } from "../cluster/position.ts";
import { RETRY_MS_MAX, RETRY_MS_MIN } from "../limits/requests.ts";
import {
  WATCH_LATE_MS,
  WATCH_LOOK_MS,
  WATCH_QUESTION_PARTITIONS,
  WATCH_WAIT_MS,
} from "../limits/scans.ts";
import { mayRepeat } from "../operations/repeat.ts";
import type { Random } from "../platform/random.ts";
import { backoffMs } from "../scheduling/backoff.ts";
import { fromWireEntry } from "../schema/value_codec.ts";
import {
  changeOf,
  type ChangeType,
  type NoticeType,
  type WatchedEvent,
  type WatchRequest,
} from "../watch/watch_event.ts";
import {
  BEGINNING,
  fromWirePosition,
  isBeginning,
  toWirePosition,
  type WatchPosition,
} from "../watch/watch_position.ts";
import { checkSelection, partitionsOf } from "../watch/watch_selection.ts";
import { decodeToken, encodeToken, tokenScope, type WatchPositions } from "../watch/watch_token.ts";
import { CALLER } from "../wire/caller.ts";
import type { Message, Reply } from "../wire/messages.ts";
import { ON_BEHALF, userOf } from "../wire/on_behalf.ts";
import type { ScanRouter } from "./cluster_call.ts";
import type { Watch } from "./database.ts";

/** What a watch needs. */
export interface ClusterWatchDeps {
  readonly clock: Clock;
  /** Spreads the retries of many watches. */
  readonly random?: Random | undefined;
  readonly router: ScanRouter;
}

/** A question under way. */
interface Question {
  readonly node: NodeId;
  readonly partitions: readonly number[];
}

/** A partition's answer that the caller has not taken. */
interface Answer {
  readonly entries: readonly Entry[];
  readonly positions: ReadonlyMap<number, WatchPosition>;
  readonly partitions: readonly number[];
  /** There is more of what was there when it was asked. */
  readonly more: boolean;
}

/** Where the watch stands in one partition. */
interface Place {
  /** As of what the caller was told; undefined: from now on. */
  position: WatchPosition | undefined;
  /** By whom it is asked about, or whose answer waits to be taken. */
  question: Question | undefined;
  /** What was there in the beginning has been told. */
  level: boolean;
  /** Not asked about before this time, since it was refused. */
  notBeforeMs: number;
  refusals: number;
}

/** See the top of this file. */
export class ClusterWatch implements Watch {
  readonly #deps: ClusterWatchDeps;
  readonly #request: WatchRequest;
  /** Undefined until there is a map. */
  #places: Map<number, Place> | undefined;
  #scope = "";
  #partitionCount = 0;
  #answers: Answer[] = [];
  #notices: NoticeType[] = [];
  #error: Message<"error"> | undefined;
  #waiting: ((events: readonly WatchedEvent[] | Message<"error">) => void) | undefined;
  #levelTold = false;
  /** How often it has begun anew, one time soon after the other; and when it last did. */
  #resets = 0;
  #resetMs = -Infinity;
  #closed = false;
  #scheduled = false;
  #lookTimer: Timer | undefined;
  #retryTimer: Timer | undefined;
  #refreshing = false;
  #lookedEpoch = -1;
  /** When something was last told. */
  #toldMs: number;
  /** Ends all questions at about the same time, so that partitions that moved are asked about together again. */
  readonly #beganMs: number;
  readonly #caller = { closed: false, heavy: false };

  /** Told when it has ended. */
  onEnd: () => void = () => {};

  /** @throws {KvError} `bad_request` */
  constructor(deps: ClusterWatchDeps, request: WatchRequest) {
    checkSelection("watch", request);
    this.#deps = deps;
    this.#request = request;
    this.#toldMs = this.#beganMs = deps.clock.monotonicMs();
    const map = deps.router.map();
    // A token that is none is refused before anything else.
    if (map !== undefined) this.#begin(map);
    this.#setLook();
    deps.clock.defer(() => this.#ask());
  }

  next(done: (events: readonly WatchedEvent[] | Message<"error">) => void): void {
    this.#waiting = done;
    this.#schedule();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#caller.closed = true;
    this.#waiting = undefined;
    this.#lookTimer?.cancel();
    this.#retryTimer?.cancel();
    this.onEnd();
  }

  /** Ends it with an error, which the caller is told. */
  fail(error: Message<"error">): void {
    this.#error ??= error;
    this.#schedule();
  }

  /** Where the watch stands, as of what the caller was told. */
  #positions(): Map<number, WatchPosition | undefined> {
    const positions = new Map<number, WatchPosition | undefined>();
    for (const [partition, { position }] of this.#places ?? []) positions.set(partition, position);
    return positions;
  }

  /** @throws {KvError} `bad_request` if the token is none */
  #begin(map: ClusterMap): void {
    const { token, snapshot } = this.#request;
    const { clusterId, partitionCount } = map.settings;
    this.#scope = tokenScope(clusterId, this.#request);
    this.#partitionCount = partitionCount;
    const told = token === undefined ? undefined : decodeToken(token, this.#scope, partitionCount);
    const places = this.#places = new Map<number, Place>();
    for (const partition of partitionsOf(this.#request, partitionCount)) {
      const position = token === undefined
        ? snapshot ? BEGINNING : undefined
        : told?.get(partition);
      places.set(partition, newPlace(position));
    }
    // Rule V8. The token is another cluster's or database's, or of a watch of other keys; or not everything that was there had been told,
    // and of what had been, some may be deleted by now.
    const isUnfinished = (partition: number) => {
      const position = told?.get(partition);
      return position !== undefined && isBeginning(position);
    };
    const goesOn = token === undefined ||
      [...places.keys()].every((partition) =>
        told?.has(partition) === true && !isUnfinished(partition)
      );
    if (!goesOn) this.#reset();
  }

  /** Everything is to be told anew. Rule V8. */
  #reset(): void {
    // A node that has nothing else to say is not asked all the time.
    const { clock, random } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#resetMs > WATCH_WAIT_MS) this.#resets = 0;
    this.#resetMs = nowMs;
    const pauseMs = this.#resets++ === 0
      ? 0
      : backoffMs(RETRY_MS_MIN, RETRY_MS_MAX, this.#resets - 2, random);
    const notBeforeMs = nowMs + pauseMs;
    for (const partition of this.#places?.keys() ?? []) {
      this.#places?.set(partition, { ...newPlace(BEGINNING), notBeforeMs });
    }
    this.#answers = [];
    this.#notices = ["reset"];
    this.#levelTold = false;
    this.#schedule();
  }

  /** Asks about every partition that nobody is asked about. */
  #ask(): void {
    if (this.#closed || this.#error !== undefined) return;
    const { router, clock } = this.#deps;
    const map = router.map();
    if (map === undefined) {
      this.#refresh();
      return;
    }
    if (this.#places === undefined) {
      try {
        this.#begin(map);
      } catch (error) {
        const { code, message } = failureOf(error);
        this.fail({ req_type: "error", code, message });
        return;
      }
    }
    const nowMs = clock.monotonicMs();
    const byNode = new Map<NodeId, number[]>();
    let lacking = false;
    for (const [partition, place] of this.#places ?? []) {
      if (place.question !== undefined) continue;
      const primary = map.partitions[partition]?.primary;
      if (primary === undefined || place.notBeforeMs > nowMs) lacking = true;
      else {
        const partitions = byNode.get(primary);
        if (partitions === undefined) byNode.set(primary, [partition]);
        else partitions.push(partition);
      }
    }
    if (lacking) this.#refresh();
    for (const [node, partitions] of byNode) {
      for (let at = 0; at < partitions.length; at += WATCH_QUESTION_PARTITIONS) {
        const some = partitions.slice(at, at + WATCH_QUESTION_PARTITIONS);
        this.#askNode({ node, partitions: some }, nowMs);
      }
    }
  }

  #askNode(question: Question, nowMs: number): void {
    const places = this.#places;
    const positions = question.partitions.map((partition) => {
      const place = places?.get(partition);
      if (place !== undefined) place.question = question;
      return toWirePosition(partition, place?.position);
    });
    const { keys, prefixes, bare } = this.#request;
    const waitMs = WATCH_WAIT_MS - (nowMs - this.#beganMs) % WATCH_WAIT_MS;
    const timeoutMs = Math.ceil(waitMs) + WATCH_LATE_MS;
    const message = {
      req_type: "watch_node",
      keys,
      prefixes,
      positions,
      bare,
      wait_ms: Math.ceil(waitMs),
      timeout_ms: timeoutMs,
      [ON_BEHALF]: userOf(this.#request),
      [CALLER]: this.#caller,
    };
    this.#deps.router.request(
      question.node,
      message,
      timeoutMs,
      (reply) => this.#onReply(question, reply),
    );
  }

  #onReply(question: Question, reply: Reply): void {
    if (this.#closed || this.#error !== undefined) return;
    // Some may be asked of another node by now, or anew after a reset: what this one says of them counts no more.
    const asked = question.partitions.filter((partition) =>
      this.#places?.get(partition)?.question === question
    );
    if (asked.length === 0) return;
    if (reply.req_type === "error") {
      if (mayRepeat("harmless", reply.code)) this.#refused(asked);
      else this.fail({ ...reply, id: undefined });
      return;
    }
    const answer = answerOf(reply, asked, this.#partitionCount);
    if (answer === undefined) this.#refused(asked);
    else if (answer.reset) this.#reset();
    else {
      if (answer.refused.length > 0) this.#refused(answer.refused);
      this.#answers.push(answer);
    }
    this.#schedule();
    if (this.#answers.length === 0) this.#ask();
  }

  /** Nothing was learnt of these partitions: they are asked about again, with a newer map. */
  #refused(partitions: readonly number[]): void {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const partition of partitions) {
      const place = this.#places?.get(partition);
      if (place === undefined) continue;
      place.question = undefined;
      const pauseMs = backoffMs(RETRY_MS_MIN, RETRY_MS_MAX, place.refusals, this.#deps.random);
      place.notBeforeMs = nowMs + pauseMs;
      place.refusals++;
    }
    this.#refresh();
  }

  #refresh(): void {
    if (this.#refreshing || this.#closed) return;
    this.#refreshing = true;
    const again = () => {
      this.#refreshing = false;
      if (this.#closed) return;
      // Of all that were refused so far; one timer is enough.
      this.#retryTimer?.cancel();
      this.#retryTimer = this.#deps.clock.setTimer(this.#retryMs(), () => this.#ask());
    };
    this.#deps.router.refresh().then(again, (error: unknown) => {
      failureOf(error);
      again();
    });
  }

  /** Until the first of the partitions that were refused may be asked about again. */
  #retryMs(): number {
    const nowMs = this.#deps.clock.monotonicMs();
    let retryMs = RETRY_MS_MAX;
    for (const { question, notBeforeMs } of this.#places?.values() ?? []) {
      const leftMs = notBeforeMs - nowMs;
      if (question === undefined && leftMs > 0) retryMs = Math.min(retryMs, leftMs);
    }
    return Math.max(RETRY_MS_MIN, Math.ceil(retryMs));
  }

  /** A silent node may have been replaced: then another one is asked. */
  #setLook(): void {
    this.#lookTimer = this.#deps.clock.setTimer(WATCH_LOOK_MS, () => {
      if (this.#closed) return;
      this.#setLook();
      this.#look();
    });
  }

  #look(): void {
    const map = this.#deps.router.map();
    if (map !== undefined && map.epoch !== this.#lookedEpoch) {
      this.#lookedEpoch = map.epoch;
      const answered = new Set(this.#answers.flatMap(({ partitions }) => partitions));
      for (const [partition, place] of this.#places ?? []) {
        const primary = map.partitions[partition]?.primary;
        const isOther = primary !== undefined && primary !== place.question?.node;
        if (isOther && !answered.has(partition)) place.question = undefined;
      }
      this.#ask();
    }
    // Nothing but the time itself brings `progress` about.
    if (this.#deps.clock.monotonicMs() - this.#toldMs >= WATCH_WAIT_MS) this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#deps.clock.defer(() => {
      this.#scheduled = false;
      this.#give();
    });
  }

  /** Gives the caller what there is. */
  #give(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#closed) return;
    if (this.#error !== undefined) {
      const error = this.#error;
      this.close();
      waiting(error);
      return;
    }
    const events = this.#take();
    if (events.length === 0) {
      this.#ask();
      return;
    }
    this.#waiting = undefined;
    this.#toldMs = this.#deps.clock.monotonicMs();
    waiting(events);
    this.#ask();
  }

  #take(): WatchedEvent[] {
    const silentMs = this.#deps.clock.monotonicMs() - this.#toldMs;
    const isNews = this.#notices.length > 0 || this.#answers.length > 0 ||
      (this.#levelTold ? silentMs >= WATCH_WAIT_MS : this.#isLevel());
    if (!isNews) return [];
    const batch = new Batch(this.#scope, this.#partitionCount, this.#positions());
    for (const type of this.#notices.splice(0)) batch.add(type);
    for (const answer of this.#answers.splice(0)) this.#takeAnswer(answer, batch);
    if (!this.#levelTold && this.#isLevel()) {
      this.#levelTold = true;
      batch.add("level");
    }
    if (batch.events.length === 0 && this.#levelTold && silentMs >= WATCH_WAIT_MS) {
      batch.add("progress");
    }
    return batch.events;
  }

  #takeAnswer({ entries, positions, partitions, more }: Answer, batch: Batch): void {
    for (const entry of entries) {
      const partition = partitionOf(entry.key, this.#partitionCount);
      const place = this.#places?.get(partition);
      const after = positions.get(partition);
      // Perhaps another node has been asked about it meanwhile.
      if (place === undefined || after === undefined) continue;
      // Pages of a partition that is being read are in the order of keys: only their end is a place. Rule V4.
      const { position } = place;
      const isPlace = position !== undefined && position.reading === undefined &&
        after.reading === undefined && entry.seq <= after.seq && entry.seq > position.seq;
      if (isPlace) {
        place.position = { ...position, seq: entry.seq, upto: Math.max(entry.seq, after.upto) };
        batch.stand(partition, place.position);
      }
      batch.add(changeOf(entry), entry);
    }
    for (const [partition, position] of positions) {
      const place = this.#places?.get(partition);
      if (place === undefined) continue;
      place.position = position;
      batch.stand(partition, position);
    }
    for (const partition of partitions) {
      const place = this.#places?.get(partition);
      if (place === undefined) continue;
      place.question = undefined;
      place.refusals = 0;
      const { position } = place;
      if (!more && position !== undefined && position.reading === undefined) place.level = true;
    }
    batch.stands();
  }

  #isLevel(): boolean {
    for (const { level } of this.#places?.values() ?? []) if (!level) return false;
    return this.#places !== undefined;
  }
}

/** The events that the caller is given at once, each with the token of the place right behind it. */
class Batch {
  readonly events: WatchedEvent[] = [];
  readonly #scope: string;
  readonly #partitionCount: number;
  /** Where the watch stood before, and where it stands behind the first `#applied` of the steps. */
  readonly #before: WatchPositions;
  /** Made when somebody wants a token. */
  #positions: Map<number, WatchPosition | undefined> | undefined;
  #applied = 0;
  readonly #steps: (readonly [partition: number, position: WatchPosition])[] = [];

  constructor(scope: string, partitionCount: number, before: WatchPositions) {
    this.#scope = scope;
    this.#partitionCount = partitionCount;
    this.#before = before;
  }

  /** The watch stands there in a partition, behind the next event. */
  stand(partition: number, position: WatchPosition): void {
    this.#steps.push([partition, position]);
  }

  /** It stands where it was last said, behind the last event. */
  stands(): void {
    const last = this.events.pop();
    if (last !== undefined) this.#push(last.type, last.entry);
  }

  add(type: ChangeType | NoticeType, entry?: Entry): void {
    this.#push(type, entry);
  }

  #push(type: ChangeType | NoticeType, entry: Entry | undefined): void {
    const steps = this.#steps.length;
    const token = () => this.#tokenBehind(steps);
    this.events.push(entry === undefined ? { type, token } : { type, entry, token });
  }

  /** Tokens are mostly asked for in order, if at all. */
  #tokenBehind(steps: number): string {
    if (steps < this.#applied) this.#positions = undefined;
    if (this.#positions === undefined) this.#applied = 0;
    const positions = this.#positions ??= new Map(this.#before);
    for (; this.#applied < steps; this.#applied++) {
      const step = this.#steps[this.#applied];
      if (step !== undefined) positions.set(step[0], step[1]);
    }
    return encodeToken(this.#scope, this.#partitionCount, positions);
  }
}

function newPlace(position: WatchPosition | undefined): Place {
  return { position, question: undefined, level: false, notBeforeMs: 0, refusals: 0 };
}

/** What a node has said of the partitions that it was asked about; undefined if it is not valid. */
function answerOf(
  reply: Reply,
  asked: readonly number[],
  partitionCount: number,
): Answer & { readonly refused: readonly number[]; readonly reset: boolean } | undefined {
  if (reply.req_type !== "changes") return undefined;
  try {
    const wanted = new Set(asked);
    const said = reply.refused === undefined
      ? []
      : [...PartitionSet.fromText(reply.refused, partitionCount)];
    const refused = said.filter((partition) => wanted.has(partition));
    for (const partition of refused) wanted.delete(partition);
    const positions = new Map<number, WatchPosition>();
    for (const wire of reply.positions) {
      const position = fromWirePosition(wire);
      if (position !== undefined && wanted.has(wire[0])) positions.set(wire[0], position);
    }
    const entries = reply.local_entries ?? reply.entries.map(fromWireEntry);
    return {
      entries,
      positions,
      partitions: [...wanted],
      refused,
      reset: reply.reset === true,
      more: reply.more === true,
    };
  } catch (error) {
    failureOf(error);
    return undefined;
  }
}
