/**
 * Clients that write and read in a loop while a test does things to the cluster, and check that what
 * was acknowledged is there: each key has one writer, which counts up; a read must find at least what
 * was acknowledged before it began, and nothing that nobody had written when it ended.
 *
 * Invariant: a key whose write has an unknown outcome is never written again, for such a write may
 * take effect at any later time.
 *
 * @module
 */
import { KvError } from "../../../client/mod.ts";
import type { KvClient } from "../../../client/mod.ts";

/** Longer than any failover on a loaded machine: no test waits for it to pass. */
const CALL_TIMEOUT_MS = 60_000;
const WRITERS = 6;
const READERS = 3;
const KEYS_PER_WRITER = 8;
/** Between two calls of a loop, so that most of the processors' time is left to what is being tested. */
const PAUSE_MS = 10;

interface Key {
  readonly name: string;
  acked: number;
  attempted: number;
  /** An unknown outcome: it may hold `acked` or `attempted`. */
  unknown: boolean;
  slowestMs: number;
}

/** The results. */
export interface WorkloadReport {
  readonly writes: number;
  readonly reads: number;
  /** Writes with an unknown outcome, which are allowed if a process dies. */
  readonly unknown: number;
  /** Every other error. */
  readonly errors: readonly string[];
  /** Reads that found a value that they must not find. */
  readonly violations: readonly string[];
}

/** A running workload. End it with {@linkcode stop} or {@linkcode abort}. */
export class Workload implements AsyncDisposable {
  readonly #client: KvClient;
  readonly #prefix: string;
  readonly #keys: Key[] = [];
  /** The keys that are written now, by writer and place. */
  readonly #current: Key[][] = [];
  readonly #aborting = new AbortController();
  readonly #running: Promise<unknown>;
  readonly #errors: string[] = [];
  readonly #violations: string[] = [];
  #stopping = false;
  #writes = 0;
  #reads = 0;
  #unknown = 0;

  private constructor(client: KvClient, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
    const writers = Array.from({ length: WRITERS }, (_, i) => {
      this.#current.push(Array.from({ length: KEYS_PER_WRITER }, () => this.#newKey()));
      return this.#write(i);
    });
    const readers = Array.from({ length: READERS }, (_, i) => this.#read(i));
    this.#running = Promise.all([...writers, ...readers]);
  }

  /** @param prefix of its keys, different for each workload of a cluster */
  static start(client: KvClient, prefix: string): Workload {
    return new Workload(client, prefix);
  }

  /** Acknowledged writes up to now. */
  get writes(): number {
    return this.#writes;
  }

  /** Lets what is under way end. */
  async stop(): Promise<WorkloadReport> {
    this.#stopping = true;
    await this.#running;
    return {
      writes: this.#writes,
      reads: this.#reads,
      unknown: this.#unknown,
      errors: this.#errors,
      violations: this.#violations,
    };
  }

  /** Ends at once; writes under way have an unknown outcome. */
  async abort(): Promise<WorkloadReport> {
    this.#aborting.abort();
    return await this.stop();
  }

  /** The longest that a call for one of these keys took. */
  slowestMs(select: (key: string) => boolean = () => true): number {
    return Math.max(0, ...this.#keys.filter(({ name }) => select(name)).map((k) => k.slowestMs));
  }

  /** Forgets how long calls took. */
  resetSlowest(): void {
    for (const key of this.#keys) key.slowestMs = 0;
  }

  /** Once stopped: which keys do not hold what they must. */
  async verify(client: KvClient = this.#client): Promise<string[]> {
    const wrong: string[] = [];
    await Promise.all(this.#keys.map(async ({ name, acked, attempted, unknown }) => {
      const found = await read(client, name);
      if (found === acked || (unknown && found === attempted)) return;
      wrong.push(`${name} holds ${found}, acknowledged ${acked}, attempted ${attempted}`);
    }));
    return wrong;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.abort();
  }

  #newKey(): Key {
    const name = `${this.#prefix}-${this.#keys.length}`;
    const key = { name, acked: 0, attempted: 0, unknown: false, slowestMs: 0 };
    this.#keys.push(key);
    return key;
  }

  async #write(writer: number): Promise<void> {
    const keys = this.#current[writer] ?? [];
    for (let n = 1; !this.#stopping; n++) {
      const place = n % keys.length;
      const key = keys[place];
      if (key === undefined) return;
      const begin = performance.now();
      key.attempted = n;
      try {
        await this.#client.put(key.name, String(n), this.#options());
        key.acked = n;
        this.#writes++;
      } catch (error) {
        // Only a write that certainly did not happen could be forgotten; none of these should be.
        key.unknown = true;
        keys[place] = this.#newKey();
        if (this.#aborting.signal.aborted) return;
        if (error instanceof KvError && error.code === "outcome_unknown") this.#unknown++;
        else this.#errors.push(`put ${key.name}: ${describe(error)}`);
      }
      key.slowestMs = Math.max(key.slowestMs, performance.now() - begin);
      await pause();
    }
  }

  async #read(reader: number): Promise<void> {
    for (let n = reader; !this.#stopping; n += READERS) {
      const keys = this.#current[n % WRITERS] ?? [];
      const key = keys[Math.floor(n / WRITERS) % keys.length];
      if (key === undefined) return;
      const begin = performance.now();
      const least = key.acked;
      try {
        const found = await read(this.#client, key.name, this.#aborting.signal);
        this.#reads++;
        if (found < least || found > key.attempted) {
          this.#violations.push(
            `${key.name} was ${found}, after ${least} was acknowledged, before ${key.attempted}`,
          );
        }
      } catch (error) {
        if (this.#aborting.signal.aborted) return;
        this.#errors.push(`get ${key.name}: ${describe(error)}`);
      }
      key.slowestMs = Math.max(key.slowestMs, performance.now() - begin);
      await pause();
    }
  }

  #options() {
    return { timeoutMs: CALL_TIMEOUT_MS, signal: this.#aborting.signal };
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

/** The count that a key holds; 0 if it does not exist. */
async function read(client: KvClient, name: string, signal?: AbortSignal): Promise<number> {
  const options = { timeoutMs: CALL_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) };
  const text = await client.getText(name, options);
  return text === undefined ? 0 : Number(text);
}

function describe(error: unknown): string {
  return error instanceof KvError ? `${error.code}: ${error.message}` : String(error);
}
