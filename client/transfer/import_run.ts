/**
 * Writes the records of a file into a cluster: many at a time, bounded in number and bytes; each is tried
 * again while nodes die and come back. A record is written with the same value each time, so a write with an
 * unknown outcome may be repeated too. It parses nothing; `import_format.ts` does.
 *
 * Invariant: records of one key are written one after the other in the order of the file, so the last one
 * stays.
 *
 * @module
 */
import type { Clock } from "../../shared/platform/clock.ts";
import { type ErrorCode, KvError, toKvError } from "../../shared/base/errors.ts";
import {
  IMPORT_BACKOFF_MS,
  IMPORT_BACKOFF_MS_MAX,
  IMPORT_BYTES_IN_FLIGHT_MAX,
  IMPORT_GIVE_UP_MS,
  IMPORT_IN_FLIGHT_MAX,
  IMPORT_KEYS_COUNTED_MAX,
  IMPORT_LISTED_MAX,
} from "../../shared/limits/client.ts";
import { mayRepeat } from "../../shared/operations/repeat.ts";
import type { Random } from "../../shared/platform/random.ts";
import { inParallel } from "../../shared/scheduling/in_parallel.ts";
import { repeatedly } from "../calls/repeatedly.ts";
import type { ImportItem } from "./import_format.ts";
import { KeyFingerprints } from "./key_fingerprints.ts";

/** What accepts the records. */
export interface ImportTarget {
  put(
    key: string,
    value: Uint8Array,
    options: { signal?: AbortSignal; contentType?: string; expiresAtMs?: number },
  ): Promise<unknown>;
}

/** Options of an import. */
export interface ImportOptions {
  /** Records under way at once. Default 256. */
  inFlightMax?: number | undefined;
  /** Their bytes; a single larger record is written alone. Default 32 MiB. */
  bytesInFlightMax?: number | undefined;
  /** How long one record is tried. Default 60,000. */
  giveUpAfterMs?: number | undefined;
  /** Ends the import; {@linkcode runImport} then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Called after each record. */
  onProgress?: ((summary: Readonly<ImportSummary>) => void) | undefined;
}

/** A record that was not written, and why. */
export interface RejectedRecord {
  /** The line on which it begins, from 1. */
  line: number;
  key?: string;
  /** The error's code if the cluster refused it. */
  code?: ErrorCode;
  reason: string;
}

/** The result for a file. */
export interface ImportSummary {
  /** Records read, rejected ones not included. */
  records: number;
  /** Distinct keys among them (of the first 16,777,216 keys). */
  keys: number;
  /** Records whose key had appeared before in the file: they replaced the earlier one. */
  repeatedKeys: number;
  /** The first 1,000 of these. */
  repeated: { line: number; key: string }[];
  /** Records that the cluster has acknowledged. */
  written: number;
  /** Lines that are not records, and records that could not be written. */
  rejected: number;
  /** The first 1,000 of these. */
  rejectedRecords: RejectedRecord[];
  /** Attempts beyond the first. */
  retries: number;
  /** Why the rest of the file was not tried. */
  stopped?: string;
  elapsedMs: number;
  recordsPerSecond: number;
}

/** Reads all items and writes them. */
export async function runImport(
  items: AsyncIterable<ImportItem>,
  target: ImportTarget,
  deps: { clock: Clock; random: Random },
  options: ImportOptions = {},
): Promise<ImportSummary> {
  return await new Import(target, deps, options).run(items);
}

type ImportRecord = Extract<ImportItem, { key: string }>;

class Import {
  readonly #target: ImportTarget;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #options: ImportOptions;
  readonly #giveUpAfterMs: number;
  readonly #inFlightMax: number;
  readonly #bytesInFlightMax: number;
  readonly #seen = new KeyFingerprints(IMPORT_KEYS_COUNTED_MAX);
  /** For each key with records under way: the end of the last of them. */
  readonly #tails = new Map<string, Promise<void>>();
  readonly #summary: ImportSummary = {
    records: 0,
    keys: 0,
    repeatedKeys: 0,
    repeated: [],
    written: 0,
    rejected: 0,
    rejectedRecords: [],
    retries: 0,
    elapsedMs: 0,
    recordsPerSecond: 0,
  };
  #lastSuccessMs: number;

  constructor(
    target: ImportTarget,
    deps: { clock: Clock; random: Random },
    options: ImportOptions,
  ) {
    this.#target = target;
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#options = options;
    this.#giveUpAfterMs = options.giveUpAfterMs ?? IMPORT_GIVE_UP_MS;
    this.#inFlightMax = options.inFlightMax ?? IMPORT_IN_FLIGHT_MAX;
    this.#bytesInFlightMax = options.bytesInFlightMax ?? IMPORT_BYTES_IN_FLIGHT_MAX;
    this.#lastSuccessMs = deps.clock.monotonicMs();
  }

  async run(items: AsyncIterable<ImportItem>): Promise<ImportSummary> {
    const begin = this.#clock.monotonicMs();
    const summary = this.#summary;
    const limits = {
      atOnce: this.#inFlightMax,
      bytesAtOnce: this.#bytesInFlightMax,
      bytesOf: ({ key, value }: ImportRecord) => key.length + value.length,
    };
    await inParallel(this.#records(items), limits, (record) => this.#writeInOrder(record));
    this.#options.signal?.throwIfAborted();
    summary.rejectedRecords.sort((a, b) => a.line - b.line);
    summary.elapsedMs = Math.round(this.#clock.monotonicMs() - begin);
    summary.recordsPerSecond = summary.elapsedMs > 0
      ? Math.round(summary.written / summary.elapsedMs * 1_000)
      : 0;
    return summary;
  }

  /** The records among the items, until it is known that the rest is not worth trying. */
  async *#records(items: AsyncIterable<ImportItem>): AsyncGenerator<ImportRecord, void, void> {
    for await (const item of items) {
      this.#options.signal?.throwIfAborted();
      if (item.reason !== undefined) {
        this.#reject({ line: item.line, reason: item.reason });
        continue;
      }
      this.#count(item.key, item.line);
      yield item;
      if (this.#summary.stopped !== undefined) return;
    }
  }

  #count(key: string, line: number): void {
    const summary = this.#summary;
    summary.records++;
    const counted = !this.#seen.full;
    if (this.#seen.add(key)) summary.keys++;
    else if (counted) {
      summary.repeatedKeys++;
      if (summary.repeated.length < IMPORT_LISTED_MAX) summary.repeated.push({ line, key });
    }
  }

  /** Writes a record when the earlier records of its key are done. */
  async #writeInOrder(record: ImportRecord): Promise<void> {
    const { key } = record;
    const before = this.#tails.get(key);
    const tail = before === undefined
      ? this.#write(record)
      : before.then(() => this.#write(record));
    this.#tails.set(key, tail);
    await tail;
    if (this.#tails.get(key) === tail) this.#tails.delete(key);
    this.#options.onProgress?.(this.#summary);
  }

  /** Never throws: failures are in the summary. */
  async #write({ key, value, line, contentType, expiresAtMs }: ImportRecord): Promise<void> {
    const clock = this.#clock;
    const endMs = clock.monotonicMs() + this.#giveUpAfterMs;
    const { signal } = this.#options;
    const options = {
      ...(signal === undefined ? {} : { signal }),
      ...(contentType === undefined ? {} : { contentType }),
      ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
    };
    try {
      await repeatedly({
        clock,
        random: this.#random,
        repeat: "bulk",
        pauseMsMin: IMPORT_BACKOFF_MS,
        pauseMsMax: IMPORT_BACKOFF_MS_MAX,
        untilMs: () => endMs,
        signal,
        onRetry: () => this.#summary.retries++,
      }, async () => await this.#target.put(key, value, options));
      this.#summary.written++;
      this.#lastSuccessMs = clock.monotonicMs();
    } catch (thrown) {
      if (!signal?.aborted) this.#giveUp(key, line, toKvError(thrown), clock.monotonicMs());
    }
  }

  #giveUp(key: string, line: number, error: KvError, now: number): void {
    this.#reject({ line, key, code: error.code, reason: error.message });
    if (mayRepeat("bulk", error.code) && now - this.#lastSuccessMs >= this.#giveUpAfterMs) {
      // Nothing works any more: each piece of the rest would take as long.
      this.#summary.stopped ??= `no record could be written for ${this.#giveUpAfterMs} ms ` +
        `(${error.code}: ${error.message})`;
    }
  }

  #reject(record: RejectedRecord): void {
    this.#summary.rejected++;
    if (this.#summary.rejectedRecords.length < IMPORT_LISTED_MAX) {
      this.#summary.rejectedRecords.push(record);
    }
  }
}
