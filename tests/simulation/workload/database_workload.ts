/**
 * A client that makes and drops databases during a storm, and writes and reads in two of them: one whose keys are spread, one
 * whose keys lie together. Keys pass from one to the other, as with MOVE and COPY of the Redis protocol. Some of its values expire, some databases have a quota, and each database has somebody who
 * watches it. It judges what it sees itself, since nobody else uses these databases.
 *
 * Deterministic: what it does depends on its `Random`, its client's clock and the answers only.
 *
 * @module
 */
import type { KvClient } from "../../../client/mod.ts";
import { type ErrorCode, isErrorCode, KvError } from "../../../shared/base/errors.ts";
import { type DatabaseInfo, keyPrefixOf } from "../../../shared/cluster/databases.ts";
import { DATABASE_WAIT_MS } from "../../../shared/limits/cluster.ts";
import { type Random, randomBelow } from "../../../shared/platform/random.ts";
import type { DatabaseDirectory } from "../../../node/server/database_directory.ts";
import type { Message, Reply } from "../../../shared/wire/messages.ts";
import type { Watcher } from "./watcher.ts";
import type { WorkloadClient } from "./workload.ts";

const KEYS = 8;
/** Of some databases. With so few keys no node has a share, so each write is judged by what all nodes have. */
const QUOTA_KEYS = 6;
/** Of 100 values, this many expire, within this long. */
const EXPIRY_PERCENT = 20;
const TTL_MS_MAX = 4_000;
/** How long after the storm what has expired may still count for a quota. */
const QUOTA_MS_MAX = 30_000;
const QUOTA_RETRY_MS = 500;
const TIMEOUT_MS = 8_000;
/** A node that lives has answered an order by then. */
const ANSWER_MS_MAX = DATABASE_WAIT_MS + 1_000;
/** Errors after which a write may have happened, also later. All others promise that it has not. */
const UNKNOWN: ReadonlySet<ErrorCode> = new Set(["outcome_unknown", "reply_not_kept", "internal"]);

/** What a key may hold: one value if that is certain. */
interface Possible {
  readonly values: Set<string | undefined>;
  /** An old write may still come. */
  readonly unsure: boolean;
}

/** A database that was dropped, or is of an unknown state: only who watched it still knows of it. */
interface Watched {
  readonly number: number;
  readonly watcher: Watcher;
}

/** One of the two. */
class Used {
  readonly together: boolean;
  name: string;
  /** The number that it has; undefined: it is not there. */
  number: number | undefined;
  hasQuota = false;
  watcher: Watcher | undefined;
  readonly keys = new Map<string, Possible>();
  #generation = 0;

  constructor(together: boolean) {
    this.together = together;
    this.name = this.#nextName();
  }

  /** Nobody knows whether one of the old name is there. */
  rename(): void {
    this.name = this.#nextName();
    this.forget();
  }

  forget(): void {
    this.number = undefined;
    this.watcher = undefined;
    this.keys.clear();
  }

  /** A key as it is stored. */
  stored(key: string): string {
    const { number = 0, together } = this;
    return keyPrefixOf({ number, ...(together ? { together } : {}) }) + key;
  }

  #nextName(): string {
    return `${this.together ? "together" : "spread"}${++this.#generation}`;
  }
}

/** How the client uses databases. */
export interface DatabaseHabits {
  readonly pauseMsMax: number;
  /** Of 100 steps, this many drop the database; another one of its name is made soon, half of the time at once. */
  readonly dropPercent: number;
}

const HABITS: DatabaseHabits = { pauseMsMax: 600, dropPercent: 4 };

/** What it needs of a node. */
export interface DatabaseNode {
  readonly directory: DatabaseDirectory;
  /** Carries out a request whose keys are as they are stored. */
  execute(request: Message<"transaction">, timeoutMs: number, done: (reply: Reply) => void): void;
}

/** What it needs. */
export interface DatabaseWorkloadDeps {
  readonly random: Random;
  readonly client: WorkloadClient;
  /** Some node that runs. */
  node(): DatabaseNode | undefined;
  /** Begins to watch all rows that begin so. */
  watcher(prefix: string): Watcher;
}

/** The client. */
export class DatabaseWorkload {
  readonly #deps: DatabaseWorkloadDeps;
  readonly #habits: DatabaseHabits;
  readonly #used = [new Used(false), new Used(true)] as const;
  /** Clients of databases, by name: each has sessions of its own. */
  readonly #clients = new Map<string, KvClient>();
  /** Of databases that were made. */
  readonly #names = new Set<string>();
  #values = 0;
  #numbers = 0;
  #running = false;
  #busy: Promise<void> = Promise.resolve();
  /** What was wrong, the first time. */
  wrong: string | undefined;
  /** How many steps of each kind have succeeded. */
  readonly done = { made: 0, madeAgain: 0, dropped: 0, written: 0, read: 0, refused: 0, passed: 0 };
  /** Of all databases that were made. */
  readonly #watched: Watched[] = [];

  constructor(deps: DatabaseWorkloadDeps, habits: DatabaseHabits = HABITS) {
    this.#deps = deps;
    this.#habits = habits;
  }

  start(): void {
    this.#running = true;
    this.#pause();
  }

  /** No new steps; resolves when the one under way has ended. */
  stop(): Promise<void> {
    this.#running = false;
    return this.#busy;
  }

  /** How many keys the databases have at least and at most, by their numbers. */
  expected(): Map<number, { least: number; most: number }> {
    const found = new Map<number, { least: number; most: number }>();
    for (const { number, keys } of this.#used) {
      if (number !== undefined) found.set(number, boundsOf(keys));
    }
    return found;
  }

  /** Its watchers go away no more. */
  stay(): void {
    for (const { watcher } of this.#watched) watcher.stay();
  }

  stopWatching(): void {
    for (const { watcher } of this.#watched) watcher.stop();
  }

  /** Of watchers: what was told of the rows of a database that is there no more, and what was wrong. */
  whyToldWrong(isListed: (number: number) => boolean): string | undefined {
    for (const { number, watcher } of this.#watched) {
      if (watcher.violation !== undefined) return watcher.violation;
      const key = isListed(number) ? undefined : watcher.firstKey;
      if (key !== undefined) return `nobody was told that ${key} of a dropped database is gone`;
    }
    return undefined;
  }

  /** Fills databases that have a quota up to it. What has expired gives its place back. */
  async fill(): Promise<string> {
    const { clock } = this.#deps.client;
    for (const used of this.#used) {
      if (used.number === undefined || !used.hasQuota) continue;
      const kv = this.#clientOf(used);
      const untilMs = clock.monotonicMs() + QUOTA_MS_MAX;
      try {
        for (let i = 0; i < KEYS; i++) {
          const key = `k${i}`;
          if (await kv.get(key, { timeoutMs: TIMEOUT_MS }) !== undefined) continue;
          for (;;) {
            const count = await kv.count({ timeoutMs: TIMEOUT_MS });
            const code = await kv.put(key, "v0", { timeoutMs: TIMEOUT_MS }).then(
              () => undefined,
              (error) => {
                if (!(error instanceof KvError)) throw error;
                return error.code;
              },
            );
            if (code === undefined) {
              if (count >= QUOTA_KEYS) this.#fail(`${used.name} has more keys than its quota`);
              break;
            }
            if (code === "quota_exceeded" && count >= QUOTA_KEYS) {
              this.done.refused++;
              await this.#moveInto(used);
              break;
            }
            if (clock.monotonicMs() >= untilMs) return `${used.name}: ${count} keys, ${code}`;
            await new Promise<void>((resolve) => {
              clock.setTimer(QUOTA_RETRY_MS, resolve);
            });
          }
        }
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        return `${used.name}: ${error.code}: ${error.message}`;
      }
    }
    return "";
  }

  /** A last look at every key. @returns why that failed, or "" */
  async lookAtAll(): Promise<string> {
    for (const used of this.#used) {
      if (used.number === undefined) continue;
      try {
        for (const key of used.keys.keys()) {
          const value = await this.#read(used, key);
          const why = used.watcher?.whyDiffers(used.stored(key), value);
          if (why !== undefined) this.#fail(why);
          // What has expired by the only clock that counts now does not come back.
          const { unsure } = possibleOf(used, key);
          if (!unsure && value === undefined) {
            used.keys.set(key, { values: new Set([undefined]), unsure });
          }
        }
        await this.#list(used);
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        return `${used.name}: ${error.code}: ${error.message}`;
      }
    }
    return "";
  }

  #pause(): void {
    const { client, random } = this.#deps;
    client.clock.setTimer(randomBelow(random, this.#habits.pauseMsMax), () => {
      if (!this.#running) return;
      this.#busy = this.#next().then(() => {
        if (this.#running) this.#pause();
      });
    });
  }

  async #next(): Promise<void> {
    const { random } = this.#deps;
    const used = this.#used[randomBelow(random, 2)] ?? this.#used[0];
    if (used.number === undefined) return await this.#make(used);
    if (randomBelow(random, 100) < this.#habits.dropPercent) return await this.#drop(used);
    const key = `k${randomBelow(random, KEYS)}`;
    try {
      const what = randomBelow(random, 10);
      if (what < 4) await this.#write(used, key);
      else if (what < 5) await this.#writeTwo(used, key);
      else if (what < 6) await this.#pass(used, key, randomBelow(random, 2) === 0);
      else if (what < 8) await this.#read(used, key);
      else await this.#list(used);
    } catch (error) {
      // In a storm anything may fail. One whose nodes have an old map may be told that there is no such database.
      if (!(error instanceof KvError)) throw error;
    }
  }

  async #make(used: Used): Promise<void> {
    const { name, together } = used;
    const hasQuota = randomBelow(this.#deps.random, 2) === 0;
    const order = {
      name,
      ...(together ? { together } : {}),
      ...(hasQuota ? { maxKeys: QUOTA_KEYS } : {}),
    };
    const outcome = await this.#ordered((directory, done) => directory.create(order, done));
    if (outcome === undefined || outcome instanceof KvError) return used.rename();
    if (outcome.number <= this.#numbers) {
      this.#fail(`the number ${outcome.number} of ${name} was given before`);
    }
    this.#numbers = Math.max(this.#numbers, outcome.number);
    used.number = outcome.number;
    used.hasQuota = hasQuota;
    used.watcher = this.#deps.watcher(used.stored(""));
    this.#watched.push({ number: outcome.number, watcher: used.watcher });
    this.done.made++;
    if (this.#names.has(name)) this.done.madeAgain++;
    this.#names.add(name);
  }

  async #drop(used: Used): Promise<void> {
    const outcome = await this.#ordered((directory, done) => directory.drop(used.name, done));
    if (outcome === undefined || outcome instanceof KvError) return used.rename();
    used.forget();
    this.done.dropped++;
    // A name is free when its database is dropped.
    if (randomBelow(this.#deps.random, 2) === 0) await this.#make(used);
  }

  /** What comes of an order by way of some node; undefined if nobody can tell, since the node has died. */
  #ordered(
    order: (
      directory: DatabaseDirectory,
      done: (outcome: DatabaseInfo | KvError | undefined) => void,
    ) => void,
  ): Promise<DatabaseInfo | KvError | undefined> {
    const { client } = this.#deps;
    const directory = this.#deps.node()?.directory;
    return new Promise((resolve) => {
      if (directory === undefined) return resolve(undefined);
      const timer = client.clock.setTimer(ANSWER_MS_MAX, () => resolve(undefined));
      order(directory, (outcome) => {
        timer.cancel();
        resolve(outcome);
      });
    });
  }

  #clientOf({ name }: Used): KvClient {
    let client = this.#clients.get(name);
    if (client === undefined) {
      client = this.#deps.client.kv.database(name);
      this.#clients.set(name, client);
    }
    return client;
  }

  async #write(used: Used, key: string): Promise<void> {
    const value = randomBelow(this.#deps.random, 4) === 0 ? undefined : `v${++this.#values}`;
    const kv = this.#clientOf(used);
    const { random } = this.#deps;
    const expires = value !== undefined && randomBelow(random, 100) < EXPIRY_PERCENT;
    const ttl = expires ? { ttlMs: 1 + randomBelow(random, TTL_MS_MAX) } : {};
    await this.#written(used, [[key, value]], async () => {
      if (value === undefined) await kv.delete(key, { timeoutMs: TIMEOUT_MS });
      else await kv.put(key, value, { timeoutMs: TIMEOUT_MS, ...ttl });
    }, expires);
  }

  async #writeTwo(used: Used, key: string): Promise<void> {
    const other = `k${randomBelow(this.#deps.random, KEYS)}`;
    const value = `v${++this.#values}`;
    const atomic = this.#clientOf(used).atomic().put(key, value).put(other, value);
    await this.#written(used, [[key, value], [other, value]], async () => {
      await atomic.commit({ timeoutMs: TIMEOUT_MS });
    });
  }

  async #written(
    used: Used,
    writes: readonly (readonly [key: string, value: string | undefined])[],
    write: () => Promise<void>,
    expires = false,
  ): Promise<void> {
    let isKnown = true;
    try {
      await write();
      this.done.written++;
    } catch (error) {
      if (!(error instanceof KvError) || !UNKNOWN.has(error.code)) throw error;
      isKnown = false;
    }
    const gone = expires ? [undefined] : [];
    for (const [key, value] of writes) note(used, key, [value, ...gone], isKnown);
  }

  /**
   * A key of one database becomes one of the other, if that has none of this name: one transaction.
   *
   * @returns why nothing was done, `unknown` if nobody knows, or undefined
   */
  async #pass(from: Used, key: string, keep: boolean): Promise<ErrorCode | "unknown" | undefined> {
    const to = this.#used.find((other) => other !== from);
    const [source, target] = [from.stored(key), to?.stored(key) ?? ""];
    if (to === undefined || to.number === undefined) return "no_database";
    const found = await this.#clientOf(from).getEntry(key, { timeoutMs: TIMEOUT_MS });
    if (found === undefined) return "not_found";
    const value = new TextDecoder().decode(found.value);
    const put = { req_type: "put", key: target, value } as const;
    const reply = await this.#executed({
      req_type: "transaction",
      key: source,
      checks: [[source, found.version], [target, 0]],
      requests: keep ? [put] : [{ req_type: "delete", key: source }, put],
      timeout_ms: TIMEOUT_MS,
    });
    if (reply?.req_type === "error") {
      const { code } = reply;
      if (!isErrorCode(code)) throw new Error(`${code} is no code`);
      if (!UNKNOWN.has(code)) return code;
    }
    const isKnown = reply !== undefined && reply.req_type !== "error";
    note(to, key, [value], isKnown);
    if (!keep) note(from, key, [undefined], isKnown);
    if (!isKnown) return "unknown";
    this.done.passed++;
    return undefined;
  }

  /** The answer to a request by way of some node; undefined if the node has died. */
  #executed(request: Message<"transaction">): Promise<Reply | undefined> {
    const node = this.#deps.node();
    return new Promise((resolve) => {
      if (node === undefined) {
        return resolve({ req_type: "error", code: "unavailable", message: "no node runs" });
      }
      const { clock } = this.#deps.client;
      const timer = clock.setTimer(TIMEOUT_MS + ANSWER_MS_MAX, () => resolve(undefined));
      node.execute(request, TIMEOUT_MS, (reply) => {
        timer.cancel();
        resolve(reply);
      });
    });
  }

  /** A key that moves into a full database is refused, as any other new key is. */
  async #moveInto(full: Used): Promise<void> {
    const other = this.#used.find((used) => used !== full);
    if (other === undefined || other.number === undefined) return;
    for (let i = 0; i < KEYS; i++) {
      const key = `k${i}`;
      const [here, there] = await Promise.all(
        [full, other].map((used) => this.#clientOf(used).get(key, { timeoutMs: TIMEOUT_MS })),
      );
      if (here !== undefined || there === undefined) continue;
      const why = await this.#pass(other, key, false);
      if (why === undefined) this.#fail(`a key was moved into ${full.name}, which is full`);
      return;
    }
  }

  async #read(used: Used, key: string): Promise<string | undefined> {
    const value = await this.#clientOf(used).getText(key, { timeoutMs: TIMEOUT_MS });
    this.done.read++;
    const { values } = possibleOf(used, key);
    if (!values.has(value)) {
      this.#fail(`${used.name}: ${key} is ${value}, and can be ${[...values].join(" or ")}`);
    }
    return value;
  }

  /** Reads all keys, and counts them. */
  async #list(used: Used): Promise<void> {
    const kv = this.#clientOf(used);
    const { least, most } = boundsOf(used.keys);
    const count = await kv.count({ timeoutMs: TIMEOUT_MS });
    if (count < least || count > most) {
      this.#fail(`${used.name} has ${count} keys, and can have ${least} to ${most}`);
    }
    const found = new Set<string>();
    for await (const key of kv.keys({ timeoutMs: TIMEOUT_MS })) found.add(key);
    this.done.read++;
    for (const [key, { values }] of used.keys) {
      const isThere = found.delete(key);
      if (isThere ? [...values].some((value) => value !== undefined) : values.has(undefined)) {
        continue;
      }
      this.#fail(`${used.name}: a scan ${isThere ? "shows" : "lacks"} ${key}`);
    }
    if (found.size > 0) this.#fail(`${used.name}: a scan shows ${[...found].join()}`);
  }

  #fail(what: string): void {
    this.wrong ??= `databases: ${what}`;
  }
}

/** What is known after a write. @param values what the key may hold if it has happened */
function note(
  used: Used,
  key: string,
  values: readonly (string | undefined)[],
  isKnown: boolean,
): void {
  const before = possibleOf(used, key);
  used.keys.set(
    key,
    isKnown && !before.unsure
      ? { values: new Set(values), unsure: false }
      : { values: new Set([...before.values, ...values]), unsure: true },
  );
}

function possibleOf({ keys }: Used, key: string): Possible {
  return keys.get(key) ?? { values: new Set([undefined]), unsure: false };
}

function boundsOf(keys: ReadonlyMap<string, Possible>): { least: number; most: number } {
  let least = 0;
  let most = 0;
  for (const { values } of keys.values()) {
    if (!values.has(undefined)) least++;
    if (values.size > 1 || !values.has(undefined)) most++;
  }
  return { least, most };
}
