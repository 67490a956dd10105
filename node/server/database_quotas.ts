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

/** The keys that a request writes, or would. */
export function writtenKeys(request: KeyRequest): Set<string> {
  if (request.req_type === "read_ranges") return new Set();
  const writes = stepsOf(request).filter(({ req_type }) => OPERATIONS[req_type].kind !== "read");
  return new Set(writes.map(({ key }) => key));
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
 * @param lengthOf the length of the value that a key has now; undefined if there is none, or it is not known
 */
export function growthOf(
  request: KeyRequest,
  number: number,
  lengthOf: (key: string) => number | undefined,
): Growth {
  let keys = 0;
  let bytes = 0;
  if (request.req_type === "read_ranges") return { keys, bytes };
  /** What the steps so far come to. */
  const lengths = new Map<string, number | undefined>();
  for (const step of stepsOf(request)) {
    const { key } = step;
    if (databaseNumberOf(key) !== number || changesNoLength(step)) continue;
    const before = lengths.has(key) ? lengths.get(key) : lengthOf(key);
    const after = step.req_type === "delete" ? undefined : lengthAfter(step, before ?? 0);
    lengths.set(key, after);
    for (const [length, sign] of [[before, -1], [after, 1]] as const) {
      if (length === undefined) continue;
      keys += sign;
      bytes += sign * (key.length + ROW_BYTES + length);
    }
  }
  return { keys, bytes };
}
/** What changes no value. A deletion does: it makes room for what comes after it. */
const SAME_LENGTH: ReadonlySet<string> = new Set(["expire", "persist", "get_and_expire"]);

function changesNoLength({ req_type: type }: PlainRequest): boolean {
  return OPERATIONS[type].kind === "read" || SAME_LENGTH.has(type);
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
