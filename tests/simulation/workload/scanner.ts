/**
 * A client that scans and counts while everything goes wrong, and judges what it is given at once. It
 * writes keys of its own, one write of a key at a time, so that it knows for each page what a key may
 * hold: something between what had been acknowledged when the page was asked for, and what had been
 * begun when it came. A page that leaves out such a key, or gives an older or unwritten value, is a
 * violation; so is one out of order or beyond its bounds. Of the workload's keys it knows which values were
 * ever written; what pages say of some of them goes into the history as reads, which the checkers judge.
 *
 * It also backs up a partition now and then. Such a snapshot is of one moment, that of its seq: it has
 * nothing newer, and of each key of its own what that held then.
 *
 * @module
 */
import type { KvClient } from "../../../client/library/kv_client.ts";
import type { Clock } from "../../../shared/platform/clock.ts";
import type { Database, ScanPage, ScanRequest } from "../../../shared/database/database.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { compareKeys } from "../../../shared/base/key_order.ts";
import { keyRange } from "../../../shared/base/key_range.ts";
import type { KeyRouter } from "../../../client/calls/call.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import { fromWireEntry } from "../../../shared/schema/value_codec.ts";
import type { Message, Reply } from "../../../shared/wire/messages.ts";
import { type Random, randomBelow } from "../../../shared/platform/random.ts";
import type { History } from "../checkers/history.ts";
import { nameOf, valueBytes, valueName } from "./workload_values.ts";

const PREFIX = "scan";
const KEYS = 16;
const WORKLOAD_KEY = /^(hot|cold|loose|new)\d+$/;
/** For this many of the workload's keys, what a page says counts as a read of the history. */
const LOOKED_AT_MAX = 6;
/** Its values have numbers that the workload's do not reach. */
const VALUE_FIRST = 1_000_000;
const TIMEOUT_MS = 6_000;
/** A page that fails this often ends its scan. */
const ATTEMPTS_MAX = 6;
/**
 * Up to this long it waits between two writes, scans, pages and counts. Pages are the dearest thing that
 * a run asks for, since each partition is asked for each of them; faults strike by the clock.
 */
const WRITE_PAUSE_MS = 400;
const SCAN_PAUSE_MS = 1_000;
const PAGE_PAUSE_MS = 300;
const COUNT_PAUSE_MS = 4_000;
const BACKUP_PAUSE_MS = 8_000;
const BACKUP_LEISURE_MAX = 3;

/** How a read of the history ends about which a page says nothing. */
export const NOT_IN_PAGE = "not in the page";

/** A key of its own: all that it was to hold, in order. */
class OwnKey {
  readonly name: string;
  /** Undefined: nothing. */
  readonly values: (string | undefined)[] = [undefined];
  /** As far as they are known. */
  readonly versions: (number | undefined)[] = [0];
  /** Index of the newest that is known to hold, or to have held. */
  acked = 0;
  /** A write of it may happen at any time, or never: it is not written any more. */
  retired = false;

  constructor(name: string) {
    this.name = name;
  }
}

/** What a page, or a count, may rest on. */
interface Known {
  readonly key: OwnKey;
  readonly acked: number;
}

/** What it is given. */
export interface ScannerDeps {
  readonly kv: KvClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly database: Pick<Database, "scan" | "count">;
  readonly history: History;
  readonly nowMs: () => number;
  /** Whom it asks for backups: its own, which it closes. Absent: it makes none. */
  readonly router?: Pick<KeyRouter, "map" | "refresh" | "request" | "close"> | undefined;
  /** How much longer than usual it waits between two of anything. Default 1. */
  readonly leisure?: number | undefined;
}

/** A read of the history that a page is to answer. */
interface Look {
  readonly key: string;
  readonly id: number;
}

/** Scans and counts. */
export class Scanner {
  /** What was wrong. */
  violation: string | undefined;
  /** Pages and counts that came, and those that ended with an error, with their times. */
  pages = 0;
  counts = 0;
  backups = 0;
  readonly errors: { time: number; text: string }[] = [];
  readonly #deps: ScannerDeps;
  readonly #keys: OwnKey[] = [];
  readonly #written = new Map<string, Set<string>>();
  /** Keys whose values may expire: a page leaves them out by the date of one process. */
  readonly #expiring = new Set<string>();
  readonly #processes: number[] = [];
  #events = 0;
  #named = 0;
  #values = VALUE_FIRST;
  #running = false;
  #loops: Promise<unknown>[] = [];
  /** Ends the pauses that are under way. */
  readonly #asleep = new Set<() => void>();

  constructor(deps: ScannerDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#running = true;
    this.#loops = [
      this.#loop(() => this.#write(), WRITE_PAUSE_MS),
      this.#loop(() => this.#scan(), SCAN_PAUSE_MS),
      this.#loop(() => this.#count(), COUNT_PAUSE_MS),
      ...(this.#deps.router === undefined
        ? []
        : [this.#loop(() => this.#backUp(), BACKUP_PAUSE_MS, BACKUP_LEISURE_MAX)]),
    ];
  }

  /** Resolves when what is under way has ended. */
  async stop(): Promise<void> {
    this.#running = false;
    for (const wake of this.#asleep) wake();
    await Promise.all(this.#loops);
    this.#deps.router?.close();
  }

  async #loop(step: () => Promise<void>, pauseMs: number, leisureMax = Infinity): Promise<void> {
    while (this.#running) {
      const { random, leisure = 1 } = this.#deps;
      await this.#pause(randomBelow(random, pauseMs * Math.min(leisure, leisureMax)));
      if (this.#running) await step();
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel();
        this.#asleep.delete(wake);
        resolve();
      };
      const timer = this.#deps.clock.setTimer(ms, wake);
      this.#asleep.add(wake);
    });
  }

  /**
   * Data is given up: what was acknowledged of these keys is not promised any more, neither to pages
   * that are under way.
   */
  onForced(isOf: (key: string) => boolean): void {
    for (const key of this.#keys) if (isOf(key.name)) key.retired = true;
  }

  // Writes.

  async #write(): Promise<void> {
    const { kv, random } = this.#deps;
    const key = this.#chooseKey();
    const isDelete = key.values.length > 1 && randomBelow(random, 6) === 0;
    const value = isDelete ? undefined : valueName(this.#values++);
    const index = key.values.push(value) - 1;
    key.versions[index] = undefined;
    const options = { timeoutMs: TIMEOUT_MS };
    try {
      if (value === undefined) await kv.delete(key.name, options);
      else key.versions[index] = await kv.put(key.name, valueBytes(value), options);
      key.acked = index;
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      if (error.code === "outcome_unknown" || error.code === "internal") {
        key.retired = true;
        return;
      }
      // It is known not to have happened.
      key.values[index] = key.values[index - 1];
      key.versions[index] = key.versions[index - 1];
      key.acked = index;
    }
  }

  #chooseKey(): OwnKey {
    const { random } = this.#deps;
    const usable = this.#keys.filter(({ retired }) => !retired);
    const chosen = usable[randomBelow(random, KEYS)];
    if (chosen !== undefined) return chosen;
    const key = new OwnKey(`${PREFIX}${randomBelow(random, 1_000)}-${this.#named++}`);
    this.#keys.push(key);
    return key;
  }

  #known(): Known[] {
    return this.#keys.map((key) => ({ key, acked: key.acked }));
  }

  // Scans.

  async #scan(): Promise<void> {
    const { random } = this.#deps;
    const one = <T>(...choices: T[]): T | undefined => choices[randomBelow(random, choices.length)];
    const request: ScanRequest = {
      limit: 1 + randomBelow(random, 14),
      reverse: randomBelow(random, 2) === 0,
      values: randomBelow(random, 3) > 0,
      prefix: one(undefined, undefined, PREFIX, "", "c", "hot"),
      start: one(undefined, undefined, undefined, "cold2", `${PREFIX}3`),
      end: one(undefined, undefined, undefined, "cold9", `${PREFIX}8`),
    };
    let after: string | undefined;
    let failures = 0;
    for (let pages = 0; pages < 200 && this.violation === undefined; pages++) {
      const known = this.#known();
      const asked = { ...request, after };
      const looks = this.#beginLooks(asked);
      const page = await this.#ask<ScanPage>((done) =>
        this.#deps.database.scan(asked, TIMEOUT_MS, done)
      );
      this.#endLooks(looks, asked, page);
      if (page === undefined) {
        if (!this.#running || ++failures >= ATTEMPTS_MAX) return;
        await this.#pause(500);
        continue;
      }
      this.pages++;
      this.violation ??= this.#judge(asked, page, known);
      if (page.next === undefined || !this.#running) return;
      after = page.next;
      await this.#pause(randomBelow(random, PAGE_PAUSE_MS));
    }
  }

  /** Undefined if it failed. */
  async #ask<T>(begin: (done: (result: T | Message<"error">) => void) => void) {
    const result = await new Promise<T | Message<"error">>((resolve) => begin(resolve));
    if (!isError(result)) return result;
    this.errors.push({ time: this.#deps.nowMs(), text: `${result.code}: ${result.message}` });
    return undefined;
  }

  #judge(request: ScanRequest, page: ScanPage, known: readonly Known[]): string | undefined {
    const { after, values = false } = request;
    const { next, entries } = page;
    const order = orderOf(request);
    const where = `a page of ${JSON.stringify(request)} up to ${next}`;
    const within = (key: string) => isWithin(key, request, next);
    if (entries.length > request.limit) return `${where} has ${entries.length} keys`;
    if (next !== undefined && after !== undefined && order(next, after) <= 0) {
      return `${where} does not get on`;
    }
    this.#readHistory();
    const found = new Map<string, string>();
    let last: string | undefined;
    for (const { key, value } of entries) {
      if (!within(key)) return `${where} has the key ${key}, which is not in it`;
      if (last !== undefined && order(key, last) <= 0) return `${where} has ${key} behind ${last}`;
      last = key;
      const name = values ? nameOf(value) : "";
      if (!values && value.length > 0) return `${where} has a value of ${key}`;
      if (values && !this.#wasWritten(key, name)) {
        return `${where} has ${name} as value of ${key}, which was never written`;
      }
      found.set(key, name);
    }
    for (const { key, acked } of known) {
      if (key.retired || !within(key.name)) continue;
      const allowed = key.values.slice(acked);
      const name = found.get(key.name);
      const fits = values || name === undefined
        ? allowed.includes(name)
        : allowed.some((value) => value !== undefined);
      if (!fits) return `${where} has ${name} of ${key.name}, which may hold ${allowed.join(" ")}`;
    }
    return undefined;
  }

  /** Some of the workload's keys that the page may be about. */
  #beginLooks(request: ScanRequest): Look[] {
    if (request.values !== true) return [];
    const { random, history, nowMs } = this.#deps;
    this.#readHistory();
    const keys = [...this.#written.keys()].filter((key) =>
      WORKLOAD_KEY.test(key) && isWithin(key, request, undefined)
    );
    const time = nowMs();
    return Array.from({ length: Math.min(keys.length, LOOKED_AT_MAX) }, (_, i) => {
      const [key = ""] = keys.splice(randomBelow(random, keys.length), 1);
      const process = this.#processes[i] ??= history.newProcess();
      return { key, id: history.invoke({ process, f: "read", key, value: null, time }) };
    });
  }

  #endLooks(looks: readonly Look[], request: ScanRequest, page: ScanPage | undefined): void {
    const { history, nowMs } = this.#deps;
    const time = nowMs();
    this.#readHistory();
    for (const { key, id } of looks) {
      const entry = page?.entries.find((one) => one.key === key);
      const says = page !== undefined && isWithin(key, request, page.next) &&
        !this.#expiring.has(key);
      if (entry !== undefined) {
        history.ok(id, { time, value: nameOf(entry.value), version: entry.seq });
      } else if (says) history.ok(id, { time, value: null });
      else history.fail(id, time, NOT_IN_PAGE);
    }
  }

  // Backups.

  async #backUp(): Promise<void> {
    const { random, router } = this.#deps;
    if (router === undefined) return;
    const map = router.map() ?? await router.refresh().catch(() => undefined);
    if (map === undefined) return;
    const partition = randomBelow(random, map.partitions.length);
    const primary = map.partitions[partition]?.primary;
    if (primary === undefined) return;
    const known = this.#known();
    const found = new Map<string, string>();
    let snapshot: string | undefined;
    let moment: { seq: number; term: number } | undefined;
    do {
      const request = { req_type: "backup_partition", partition, timeout_ms: TIMEOUT_MS, snapshot };
      const reply = await new Promise<Reply>((resolve) =>
        router.request(primary, request, TIMEOUT_MS, resolve)
      );
      // It has moved, or its node is gone: that it cannot be asked for now is no error.
      if (reply.req_type !== "entries") return;
      const { seq = 0, term = 0 } = reply;
      moment ??= { seq, term };
      if (moment.seq !== seq || moment.term !== term) {
        this.violation ??= `a backup of partition ${partition} is of ${moment.seq} and of ${seq}`;
      }
      for (const entry of reply.entries.map(fromWireEntry)) {
        if (entry.seq > seq) {
          this.violation ??=
            `a backup of partition ${partition} as of ${seq} has ${entry.key} of ${entry.seq}`;
        }
        found.set(entry.key, nameOf(entry.value));
      }
      snapshot = reply.next ?? undefined;
    } while (snapshot !== undefined);
    this.backups++;
    for (const { key, acked } of known) {
      if (key.retired || partitionOf(key.name, map.partitions.length) !== partition) continue;
      const allowed = heldAt(key, moment.seq, acked);
      const name = found.get(key.name);
      if (allowed.includes(name)) continue;
      this.violation ??= `a backup of partition ${partition} as of ${moment.seq} has ${name} of ` +
        `${key.name}, which held ${allowed.join(" ")}`;
    }
  }

  async #count(): Promise<void> {
    const known = this.#known();
    const count = await this.#ask<number>((done) =>
      this.#deps.database.count({ prefix: PREFIX }, TIMEOUT_MS, done)
    );
    if (count === undefined) return;
    this.counts++;
    let least = 0;
    let most = 0;
    for (const key of this.#keys) {
      const acked = known.find((one) => one.key === key)?.acked ?? 0;
      const allowed = key.values.slice(key.retired ? 0 : acked);
      if (!key.retired && allowed.every((value) => value !== undefined)) least++;
      if (allowed.some((value) => value !== undefined)) most++;
    }
    if (count >= least && count <= most) return;
    this.violation ??= `a count gave ${count}; there were ${least} to ${most}`;
  }

  #wasWritten(key: string, name: string): boolean {
    const own = this.#keys.find((one) => one.name === key);
    if (own !== undefined) return own.values.includes(name);
    // Others write as well, whose keys have other names: those are not known here.
    return !WORKLOAD_KEY.test(key) || (this.#written.get(key)?.has(name) ?? false);
  }

  #readHistory(): void {
    const { events } = this.#deps.history;
    for (; this.#events < events.length; this.#events++) {
      const event = events[this.#events];
      if (event?.type !== "invoke" || event.value === null) continue;
      if (event.expiry !== undefined) this.#expiring.add(event.key);
      let values = this.#written.get(event.key);
      if (values === undefined) this.#written.set(event.key, values = new Set());
      values.add(event.value);
    }
  }
}

function orderOf({ reverse = false }: ScanRequest): (a: string, b: string) => number {
  return reverse ? (a, b) => compareKeys(b, a) : compareKeys;
}

/** Whether a page up to `next` is about the key. */
function isWithin(key: string, request: ScanRequest, next: string | undefined): boolean {
  const { after } = request;
  const range = keyRange(request);
  const order = orderOf(request);
  return !range.empty && (after === undefined || order(key, after) > 0) &&
    (next === undefined || order(key, next) <= 0) &&
    compareKeys(key, range.start ?? "") >= 0 &&
    (range.end === undefined || compareKeys(key, range.end) < 0);
}

/** What a key may have held as of a seq that is known not to be before `acked`. */
function heldAt({ values, versions }: OwnKey, seq: number, acked: number): (string | undefined)[] {
  const least = versions.findLastIndex((version) => version !== undefined && version <= seq);
  const beyond = versions.findIndex((version) => version !== undefined && version > seq);
  return values.slice(Math.max(least, acked), beyond < 0 ? undefined : beyond);
}

function isError(result: unknown): result is Message<"error"> {
  return typeof result === "object" && result !== null && "req_type" in result;
}
