/**
 * Quotas of databases: a write that would make a database larger than its quota is refused at the primary, before
 * anything else is done with it. Nothing is ever deleted because of a quota.
 *
 * What a database has is the sum over all nodes. Each node knows its own part exactly, and asks the others for theirs. With
 * their answers it may use its share of the room that is left, for QUOTA_FRESH_MS; then it asks again. If the share is too
 * small for a write it asks before each one. So a quota can be exceeded only by what others write meanwhile, which is at
 * most QUOTA_SHARE of it.
 *
 * @module
 */
import { type Entry, isLive } from "../../shared/base/entry.ts";
import {
  type DatabaseInfo,
  type DatabaseList,
  databaseNumberOf,
  databaseOfNumber,
  type DatabaseUsage,
} from "../../shared/cluster/databases.ts";
import { QUOTA_FRESH_MS, QUOTA_SHARE } from "../../shared/limits/cluster.ts";
import { errorReply } from "../../shared/operations/operation.ts";
import { OPERATIONS } from "../../shared/operations/table.ts";
import type { ValueFields } from "../../shared/schema/value_codec.ts";
import type { KeyRequest, Message, PlainRequest } from "../../shared/wire/messages.ts";

/** A row's bytes besides key and value, at least. */
const ROW_BYTES = 36;

/** What a request adds to its database. */
export interface Growth {
  readonly keys: number;
  readonly bytes: number;
}

/** What it needs. */
export interface QuotaPorts {
  nowMs(): number;
  /** What a database has in the partitions that this node is primary of. */
  own(number: number): Growth;
  /** How many nodes there are. */
  nodes(): number;
  /** Asks all other nodes; those that do not answer are left out. `done` may be called before this returns. */
  askOthers(done: (usages: readonly DatabaseUsage[]) => void): void;
}

/** The quotas as one node sees them. */
export class DatabaseQuotas {
  readonly #ports: QuotaPorts;
  #others = new Map<number, Growth>();
  #atMs = -Infinity;
  /** What this node had when it first judged a database by the answers. */
  #ownThen = new Map<number, Growth>();
  /** Who waits for the answers of the others; undefined: nobody was asked. */
  #waiting: (() => void)[] | undefined;

  constructor(ports: QuotaPorts) {
    this.#ports = ports;
  }

  /** `done` is told why a write is refused, or undefined, perhaps before this returns. */
  admit(
    database: DatabaseInfo,
    growth: Growth,
    what: string,
    done: (refusal: Message<"error"> | undefined) => void,
  ): void {
    if (growth.keys <= 0 && growth.bytes <= 0) return done(undefined);
    const isFresh = this.#ports.nowMs() - this.#atMs < QUOTA_FRESH_MS;
    if (isFresh && this.#isWithinShare(database, growth)) return done(undefined);
    this.#ask(() => done(this.#why(database, growth, what)));
  }

  /** Whether a write fits into this node's share of the room that there was when the others were asked. */
  #isWithinShare(
    { number, maxKeys = Infinity, maxBytes = Infinity }: DatabaseInfo,
    growth: Growth,
  ): boolean {
    const own = this.#ports.own(number);
    const then = this.#ownThen.get(number) ?? own;
    this.#ownThen.set(number, then);
    const others = this.#others.get(number) ?? { keys: 0, bytes: 0 };
    const share = QUOTA_SHARE / this.#ports.nodes();
    const fits = (what: "keys" | "bytes", max: number) =>
      own[what] + growth[what] - then[what] <= share * (max - then[what] - others[what]);
    return fits("keys", maxKeys) && fits("bytes", maxBytes);
  }

  #why(
    { name, number, maxKeys = Infinity, maxBytes = Infinity }: DatabaseInfo,
    growth: Growth,
    what: string,
  ): Message<"error"> | undefined {
    const own = this.#ports.own(number);
    const others = this.#others.get(number);
    const keys = own.keys + (others?.keys ?? 0);
    const bytes = own.bytes + (others?.bytes ?? 0);
    const refuse = (unit: string, has: number, max: number) =>
      errorReply(
        "quota_exceeded",
        `${what}: the database ${name} may have ${max} ${unit}, and has ${has}; delete some, or make another database`,
        { database: name, keys, bytes },
      ) as Message<"error">;
    if (growth.keys > 0 && keys + growth.keys > maxKeys) {
      return refuse("keys", keys, maxKeys);
    }
    if (growth.bytes > 0 && bytes + growth.bytes > maxBytes) {
      return refuse("bytes", bytes, maxBytes);
    }
    return undefined;
  }

  #ask(then: () => void): void {
    if (this.#waiting !== undefined) {
      this.#waiting.push(then);
      return;
    }
    this.#waiting = [then];
    this.#ports.askOthers((usages) => {
      this.#others = sumOf(usages);
      this.#ownThen.clear();
      this.#atMs = this.#ports.nowMs();
      const waiting = this.#waiting ?? [];
      this.#waiting = undefined;
      for (const one of waiting) one();
    });
  }
}

function sumOf(usages: readonly DatabaseUsage[]): Map<number, Growth> {
  const sums = new Map<number, Growth>();
  for (const { databases } of usages) {
    for (const [number, keys, bytes] of databases) {
      const sum = sums.get(number) ?? { keys: 0, bytes: 0 };
      sums.set(number, { keys: sum.keys + keys, bytes: sum.bytes + bytes });
    }
  }
  return sums;
}

/** The databases with a quota that a request has keys of. A transaction may have keys of several: what leaves one counts in
 * another. */
export function limitedBy(
  request: KeyRequest,
  databases: DatabaseList | undefined,
): readonly DatabaseInfo[] {
  if (databases === undefined || request.req_type === "read_ranges") return [];
  const limited = new Set<DatabaseInfo>();
  for (const { key } of stepsOf(request)) {
    const database = databaseOfNumber(databases, databaseNumberOf(key) ?? 0);
    if (database?.maxKeys !== undefined || database?.maxBytes !== undefined) limited.add(database);
  }
  return [...limited];
}

function stepsOf(request: Exclude<KeyRequest, { req_type: "read_ranges" }>) {
  return request.req_type === "transaction"
    ? request.requests as readonly PlainRequest[]
    : [request];
}

/**
 * What a request adds to a database, at most.
 *
 * @param number of the database
 * @param find the newest entry of a key; undefined if there is none, or it is not here
 */
export function growthOf(
  request: KeyRequest,
  number: number,
  find: (key: string) => Entry | undefined,
  wallMs: number,
): Growth {
  if (request.req_type === "read_ranges") return NO_GROWTH;
  let keys = 0;
  let bytes = 0;
  for (const step of stepsOf(request)) {
    if (databaseNumberOf(step.key) !== number) continue;
    const growth = growthOfOne(step, find, wallMs);
    keys += growth.keys;
    bytes += growth.bytes;
  }
  return { keys, bytes };
}

const NO_GROWTH: Growth = { keys: 0, bytes: 0 };
/** What changes no value, or removes the key. */
const NEVER_GROW: ReadonlySet<string> = new Set(["delete", "expire", "persist", "get_and_expire"]);

function growthOfOne(
  request: PlainRequest,
  find: (key: string) => Entry | undefined,
  wallMs: number,
): Growth {
  const { req_type: type, key } = request;
  if (OPERATIONS[type].kind === "read" || NEVER_GROW.has(type)) {
    // A deletion makes room for what comes after it.
    const found = type === "delete" ? find(key) : undefined;
    if (found === undefined || !isLive(found, wallMs)) return NO_GROWTH;
    return { keys: -1, bytes: -(key.length + ROW_BYTES + found.value.length) };
  }
  const found = find(key);
  const before = found !== undefined && isLive(found, wallMs) ? found.value.length : undefined;
  const after = lengthAfter(request, before ?? 0);
  return before === undefined
    ? { keys: 1, bytes: key.length + ROW_BYTES + after }
    : { keys: 0, bytes: after - before };
}

/** The length of the value that there will be. */
function lengthAfter(request: PlainRequest, before: number): number {
  const length = valueLength(request as ValueFields);
  switch (request.req_type) {
    case "append_value":
      return before + length;
    case "set_range":
      return Math.max(before, request.offset + length);
    case "set_bit":
      return Math.max(before, Math.floor(request.offset / 8) + 1);
    case "combine":
      // The sum of two big numbers may need one more byte for its digits, and one for its length.
      return Math.max(before, length) + 2;
    case "increment":
    case "increment_float":
      return Math.max(before, 1);
    default:
      return length;
  }
}

function valueLength({ bytes, value, value64 }: ValueFields): number {
  return bytes?.length ?? value?.length ?? Math.floor((value64?.length ?? 0) * 3 / 4);
}
