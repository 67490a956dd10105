/**
 * A cluster in memory for tests of the front ends: the real operations on a map, one after the other. It answers at
 * once or, if `later` is set, when `release` is called. It knows partitions, so it refuses a transaction whose keys
 * are not in one.
 *
 * @module
 */
import { isNamedKey } from "../../../shared/cluster/databases.ts";
import type { ClusterMap } from "../../../shared/cluster/cluster_map.ts";
import type {
  CountRequest,
  Database,
  ScanPage,
  ScanRequest,
  Watch,
} from "../../../shared/database/database.ts";
import { type Entry, isLive } from "../../../shared/base/entry.ts";
import { toErrorReply } from "../../../shared/wire/error_reply.ts";
import { KvError } from "../../../shared/base/errors.ts";
import type { KeyRequest, Message, Reply } from "../../../shared/wire/messages.ts";
import { errorReply, liveEntry, writeReply } from "../../../shared/operations/operation.ts";
import { operationOf } from "../../../shared/arguments/request_words.ts";
import { checkKeyRequest, type RequestLimits } from "../../../shared/validation/request_checks.ts";
import type { Clock } from "../../../shared/platform/clock.ts";
import { ScriptedWatches } from "./scripted_watches.ts";
import { compareKeys } from "../../../shared/base/key_order.ts";
import { keyRange } from "../../../shared/base/key_range.ts";

/** A `transaction`, as far as it matters here. */
interface TransactionRequest {
  readonly req_type: "transaction";
  readonly requests: readonly KeyRequest[];
  readonly checks?: readonly (readonly [string, number])[];
}

/** The cluster. */
export class ScriptedDatabase implements Database {
  /** Everything that was asked, in order. */
  readonly requests: KeyRequest[] = [];
  /** How far the clock of the node that has the keys is ahead. */
  aheadMs = 0;
  readonly watches = new ScriptedWatches();
  readonly entries = new Map<string, Entry>();
  /** Answers wait for `release`. */
  later = false;
  /** Answers for the next requests, instead of the real ones. */
  readonly failures: Message<"error">[] = [];
  /** Called before a request is carried out. */
  before: (request: KeyRequest) => void = () => {};
  readonly #clock: Clock;
  #map: ClusterMap;
  readonly #limits: RequestLimits | undefined;
  #seq = 0;
  #waiting: (() => void)[] = [];

  constructor(clock: Clock, map: ClusterMap, limits?: RequestLimits) {
    this.#clock = clock;
    this.#map = map;
    this.#limits = limits;
  }

  map(): ClusterMap {
    return this.#map;
  }

  /** There is a new map. */
  setMap(map: ClusterMap): void {
    this.#map = map;
  }

  /** Gives the answers that wait. */
  release(): void {
    for (const give of this.#waiting.splice(0)) give();
  }

  execute(request: KeyRequest, _timeoutMs: number, done: (reply: Reply) => void): void {
    if ((request as { req_type: string }).req_type !== "transaction") {
      checkKeyRequest(request, this.#limits);
    }
    this.requests.push(request);
    this.before(request);
    const reply = this.failures.shift() ?? this.#carryOut(request);
    if (this.later) this.#waiting.push(() => done(reply));
    else done(reply);
  }

  scan(
    request: ScanRequest,
    _timeoutMs: number,
    done: (result: ScanPage | Message<"error">) => void,
  ): () => void {
    const { after, limit, reverse = false, values = false } = request;
    const keys = this.#keys(request);
    if (reverse) keys.reverse();
    const behind = keys.filter((key) => {
      const order = after === undefined ? 1 : compareKeys(key, after);
      return reverse && after !== undefined ? order < 0 : order > 0;
    });
    const page = behind.slice(0, limit);
    const entries = page.flatMap((key) => {
      const entry = this.entries.get(key);
      return entry === undefined ? [] : [values ? entry : { ...entry, value: new Uint8Array(0) }];
    });
    done({ entries, next: behind.length > page.length ? page.at(-1) : undefined });
    return () => {};
  }

  count(
    request: CountRequest,
    _timeoutMs: number,
    done: (result: number | Message<"error">) => void,
  ): () => void {
    done(this.#keys(request).length);
    return () => {};
  }

  watch(): Watch {
    return this.watches.watch();
  }

  #keys(request: CountRequest): string[] {
    const { start, end } = keyRange(request);
    const now = this.#clock.wallMs();
    const isOfDefault = !isNamedKey(start ?? "");
    return [...this.entries.values()]
      .filter((entry) => isLive(entry, now))
      .map(({ key }) => key)
      .filter((key) => isNamedKey(key) !== isOfDefault)
      .filter((key) => start === undefined || compareKeys(key, start) >= 0)
      .filter((key) => end === undefined || compareKeys(key, end) < 0)
      .sort(compareKeys);
  }

  #carryOut(request: KeyRequest): Reply {
    const transaction = request as unknown as TransactionRequest;
    if (transaction.req_type !== "transaction") return this.#one(request);
    const { requests, checks = [] } = transaction;
    for (const [key, version] of checks) {
      const found = this.#live(key)?.seq ?? 0;
      if (found !== version) return errorReply("version_mismatch", key, { key, version: found });
    }
    const result = requests.map((one) => this.#one(one));
    return { req_type: "result", result, date: this.#wallMs };
  }

  get #wallMs(): number {
    return this.#clock.wallMs() + this.aheadMs;
  }

  #one(request: KeyRequest): Reply {
    const operation = operationOf(request.req_type);
    const current = this.#live(request.key);
    if (operation.kind === "read") return operation.read(request, current, this.#wallMs);
    if (operation.kind !== "write") throw new Error(`${request.req_type} is no operation`);
    const wallMs = this.#wallMs;
    try {
      const outcome = operation.evaluate(request, current, {
        wallMs,
        valueBytesMax: this.#limits?.valueBytesMax ?? 8 * 1024 * 1024,
      });
      if ("answer" in outcome) return outcome.answer;
      const { key } = request;
      const seq = ++this.#seq;
      const entry = { key, seq, term: 1, timestampMs: wallMs, ...outcome.write };
      this.entries.set(key, entry);
      this.watches.tellChange(entry);
      return outcome.reply?.(seq) ?? writeReply(seq);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      return toErrorReply(error);
    }
  }

  #live(key: string): Entry | undefined {
    return liveEntry(this.entries.get(key), this.#wallMs);
  }
}
