/**
 * A whole database in memory, behind the interface of the front ends: it carries out every operation of the table at
 * once, on one map of entries. Front ends are tested with it; a test may replace replies.
 *
 * @module
 */
import type { ClusterMap } from "../../../shared/cluster/cluster_map.ts";
import { keyRange } from "../../../shared/base/key_range.ts";
import type { Database, ScanPage, ScanRequest, Watch } from "../../../shared/database/database.ts";
import { type Entry, isTombstone } from "../../../shared/base/entry.ts";
import { toErrorReply } from "../../../shared/wire/error_reply.ts";
import { toKvError } from "../../../shared/base/errors.ts";
import { VALUE_BYTES_MAX } from "../../../shared/limits/wire.ts";
import type { KeyRequest, Message, Reply } from "../../../shared/wire/messages.ts";
import {
  liveEntry,
  type Operation,
  type Write,
  writeReply,
} from "../../../shared/operations/operation.ts";
import { OPERATIONS } from "../../../shared/operations/table.ts";
import { ScriptedWatches } from "./scripted_watches.ts";
import { checkKeyRequest } from "../../../shared/validation/request_checks.ts";

const encoder = new TextEncoder();

/** Keys as UTF-8 orders them. */
function compareKeys(a: string, b: string): number {
  const [x, y] = [encoder.encode(a), encoder.encode(b)];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return x.length - y.length;
}

/** The database. */
export class MemoryDatabase implements Database {
  readonly entries = new Map<string, Entry>();
  /** What was asked for, in order. */
  readonly requests: KeyRequest[] = [];
  /** If it returns a reply, that is the answer instead of the database's. */
  intercept: (request: KeyRequest) => Reply | undefined = () => undefined;
  readonly watches = new ScriptedWatches();
  clusterMap: ClusterMap | undefined;
  wallMs = 1_800_000_000_000;
  #lastSeq = 0;

  map(): ClusterMap | undefined {
    return this.clusterMap;
  }

  /** Writes a value, as somebody else would. */
  set(key: string, value: string | Uint8Array, expiresAtMs = 0): Entry {
    const bytes = typeof value === "string" ? encoder.encode(value) : value;
    const entry = this.#entry(key, { flags: 0, value: bytes, expiresAtMs });
    this.entries.set(key, entry);
    this.watches.tellChange(entry);
    return entry;
  }

  execute(request: KeyRequest, _timeoutMs: number, done: (reply: Reply) => void): void {
    checkKeyRequest(request);
    this.requests.push(request);
    const reply = this.intercept(request) ?? this.#answer(request);
    queueMicrotask(() => done(reply));
  }

  scan(
    request: ScanRequest,
    _timeoutMs: number,
    done: (result: ScanPage | Message<"error">) => void,
  ): () => void {
    const { after, limit, reverse = false, values = false } = request;
    const ordered = reverse ? this.#matching(request).toReversed() : this.#matching(request);
    const rest = ordered.filter(({ key }) =>
      after === undefined || (reverse ? compareKeys(key, after) < 0 : compareKeys(key, after) > 0)
    );
    const page = rest.slice(0, limit);
    const next = rest.length > limit ? page.at(-1)?.key : undefined;
    const entries = values ? page : page.map((entry) => ({ ...entry, value: new Uint8Array(0) }));
    queueMicrotask(() => done({ entries, next }));
    return () => {};
  }

  count(
    request: Omit<ScanRequest, "limit" | "values" | "reverse" | "after">,
    _timeoutMs: number,
    done: (result: number | Message<"error">) => void,
  ): () => void {
    const count = this.#matching(request).length;
    queueMicrotask(() => done(count));
    return () => {};
  }

  watch(): Watch {
    return this.watches.watch();
  }

  #matching(request: Omit<ScanRequest, "limit">): Entry[] {
    const { start, end } = keyRange(request);
    return [...this.entries.values()]
      .filter((entry) => liveEntry(entry, this.wallMs) !== undefined)
      .filter(({ key }) => start === undefined || compareKeys(key, start) >= 0)
      .filter(({ key }) => end === undefined || compareKeys(key, end) < 0)
      .toSorted((a, b) => compareKeys(a.key, b.key));
  }

  #answer(request: KeyRequest): Reply {
    const operation = OPERATIONS[request.req_type] as unknown as Operation;
    const current = liveEntry(this.entries.get(request.key), this.wallMs);
    try {
      if (operation.kind === "read") return operation.read(request, current, this.wallMs);
      const context = { wallMs: this.wallMs, valueBytesMax: VALUE_BYTES_MAX };
      const known = operation.needsCurrent(request) ? current : undefined;
      const outcome = operation.evaluate(request, known, context);
      if (!("write" in outcome)) return outcome.answer;
      const entry = this.#entry(request.key, outcome.write);
      if (isTombstone(entry)) this.entries.delete(request.key);
      else this.entries.set(request.key, entry);
      return outcome.reply?.(entry.seq) ?? writeReply(entry.seq);
    } catch (error) {
      return toErrorReply(toKvError(error));
    }
  }

  #entry(key: string, write: Write): Entry {
    const { contentType, ...others } = write;
    const entry = { key, term: 1, seq: ++this.#lastSeq, timestampMs: this.wallMs, ...others };
    return contentType === undefined ? entry : { ...entry, contentType };
  }
}
