/**
 * A job queue of one group of workers: each job is done by one of them, and by another one if that one dies.
 *
 *     deno run --allow-net --allow-env=KV_* --allow-read examples/job_queue.ts work one &
 *     deno run --allow-net --allow-env=KV_* --allow-read examples/job_queue.ts add "send a letter"
 *
 * A job is a key, and who does it has created another one that expires, the claim. All keys of a queue have the same
 * `{tag}`, so they are in one partition, and each step is one transaction there. A job may be done twice, as in every
 * queue; what it changes in this store can be made part of its end, and then counts once. See docs/recipes.md.
 *
 * @module
 */
import { type Atomic, connect, type KvClient, KvError } from "kv-client";

/** A job, as its worker gets it. */
export interface Job {
  readonly id: string;
  readonly text: string;
  /** How often it has been begun, this time included. */
  readonly attempts: number;
}

/** Puts what the job has to change in this store into the transaction that ends it. */
export type Effect = (end: Atomic) => unknown;

/** Does a job. The signal says that another worker may have it by now. If it throws, the job is tried again later. */
export type Handler = (job: Job, lost: AbortSignal) => Promise<Effect | void> | Effect | void;

/** How a queue goes about its jobs. */
export interface QueueOptions {
  /** For so long after its last sign of life a worker keeps its job. */
  readonly leaseMs?: number;
  /** A job that was begun so often is put aside. */
  readonly attemptsMax?: number;
  /** A job that has failed waits for this time, times its attempts. */
  readonly retryMs?: number;
}

/** A job and the claim of its worker. */
interface Claimed {
  readonly job: Job;
  token: number;
}

const decoder = new TextDecoder();

/** The queue of a name. */
export class JobQueue {
  readonly #kv: KvClient;
  readonly #prefix: string;
  readonly #leaseMs: number;
  readonly #attemptsMax: number;
  readonly #retryMs: number;
  /** No other process has this name. */
  readonly #owner = crypto.randomUUID();

  constructor(kv: KvClient, name: string, options: QueueOptions = {}) {
    this.#kv = kv;
    this.#prefix = `queue:{${name}}:`;
    this.#leaseMs = options.leaseMs ?? 3_000;
    this.#attemptsMax = options.attemptsMax ?? 5;
    this.#retryMs = options.retryMs ?? 1_000;
  }

  /** Adds a job. With an id of your own it is added once, also if you add it again because an answer was lost. */
  async add(text: string, id = newId()): Promise<string> {
    try {
      await this.#kv.create(this.#key("job", id), JSON.stringify({ text, attempts: 0 }));
    } catch (error) {
      if (!(error instanceof KvError) || error.code !== "exists") throw error;
    }
    return id;
  }

  /** Jobs that are not done, those that are being done among them. */
  waiting(): Promise<number> {
    return this.#kv.count({ prefix: this.#key("job", "") });
  }

  /** Those that were put aside. */
  async *failed(): AsyncGenerator<Job> {
    const prefix = this.#key("dead", "");
    for await (const { key, value } of this.#kv.scan({ prefix })) {
      yield { id: key.slice(prefix.length), ...JSON.parse(decoder.decode(value)) };
    }
  }

  /** Does jobs, one after the other, until the signal. */
  async work(handle: Handler, signal: AbortSignal): Promise<void> {
    const changes = new Changes(this.#kv, this.#prefix, signal);
    while (!signal.aborted) {
      const seen = changes.count;
      try {
        const claimed = await this.#take();
        if (claimed === undefined) await changes.beyond(seen);
        else await this.#do(claimed, handle);
      } catch (error) {
        // Nobody answers, or an answer was lost: what is claimed comes back when its claim has expired.
        if (!(error instanceof KvError)) throw error;
        await changes.beyond(seen);
      }
    }
  }

  #key(kind: "job" | "claim" | "dead", id: string): string {
    return `${this.#prefix}${kind}:${id}`;
  }

  /** Claims the oldest job that nobody does. */
  async #take(): Promise<Claimed | undefined> {
    const claims = this.#key("claim", "");
    const claimed = new Set<string>();
    for await (const key of this.#kv.keys({ prefix: claims })) {
      claimed.add(key.slice(claims.length));
    }
    const jobs = this.#key("job", "");
    for await (const { key, value, version } of this.#kv.scan({ prefix: jobs })) {
      const id = key.slice(jobs.length);
      if (claimed.has(id)) continue;
      const job = { id, ...JSON.parse(decoder.decode(value)) } as Job;
      const taken = await this.#claim({ ...job, attempts: job.attempts + 1 }, version);
      if (taken !== undefined) return taken;
    }
    return undefined;
  }

  async #claim(job: Job, version: number): Promise<Claimed | undefined> {
    const { id, text, attempts } = job;
    const [key, claim] = [this.#key("job", id), this.#key("claim", id)];
    // If another one is faster, one of these has changed.
    const atomic = this.#kv.atomic().check(key, version).check(claim, 0);
    if (attempts > this.#attemptsMax) {
      const dead = JSON.stringify({ text, attempts: attempts - 1 });
      await atomic.delete(key).put(this.#key("dead", id), dead).commit();
      return undefined;
    }
    const outcome = await atomic
      .put(key, JSON.stringify({ text, attempts }))
      .create(claim, this.#owner, { ttlMs: this.#leaseMs })
      .commit();
    const created = outcome.ok ? outcome.results[1] : undefined;
    return created?.ok === true ? { job, token: created.value } : undefined;
  }

  async #do(claimed: Claimed, handle: Handler): Promise<void> {
    const { job } = claimed;
    const lost = new AbortController();
    const over = new AbortController();
    const renewing = this.#renew(claimed, lost, over.signal);
    let effect: Effect | void = undefined;
    let hasFailed = false;
    try {
      effect = await handle(job, lost.signal);
    } catch {
      hasFailed = true;
    }
    over.abort();
    await renewing;
    if (lost.signal.aborted) return;
    const claim = this.#key("claim", job.id);
    if (hasFailed) {
      // Until this has expired, nobody takes the job.
      const options = { ttlMs: this.#retryMs * job.attempts, ifVersion: claimed.token };
      await this.#kv.put(claim, "", options);
      return;
    }
    // If the claim is another's by now, nothing of this happens.
    const end = this.#kv.atomic().check(claim, claimed.token);
    if (effect) effect(end);
    await end.delete(this.#key("job", job.id)).delete(claim).commit();
  }

  /** Keeps the claim while the job is being done. */
  async #renew(claimed: Claimed, lost: AbortController, over: AbortSignal): Promise<void> {
    const claim = this.#key("claim", claimed.job.id);
    let sureUntilMs = performance.now() + this.#leaseMs;
    for (;;) {
      await pause(this.#leaseMs / 3, over);
      if (over.aborted) return;
      const askedMs = performance.now();
      try {
        const options = { ttlMs: this.#leaseMs, ifVersion: claimed.token };
        claimed.token = await this.#kv.put(claim, this.#owner, options);
        sureUntilMs = askedMs + this.#leaseMs;
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        const found = await this.#kv.getEntry(claim).catch(() => undefined);
        // The answer was lost, and not the claim.
        if (found !== undefined && decoder.decode(found.value) === this.#owner) {
          claimed.token = found.version;
        } else if (error.code === "version_mismatch" || performance.now() >= sureUntilMs) {
          return lost.abort();
        }
      }
    }
  }
}

/** Says when something has changed in a queue, and every few seconds anyway. */
class Changes {
  count = 0;
  #next = Promise.withResolvers<void>();
  /** Why the watch has ended. */
  #failure: unknown;

  constructor(kv: KvClient, prefix: string, signal: AbortSignal) {
    signal.addEventListener("abort", () => this.#note());
    this.#follow(kv, prefix, signal).catch((error) => {
      this.#failure = error;
      this.#note();
    });
  }

  /** Waits until there was a change after so many. @throws what has ended the watch */
  async beyond(count: number): Promise<void> {
    while (this.count <= count) await this.#next.promise;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #follow(kv: KvClient, prefix: string, signal: AbortSignal): Promise<void> {
    for await (const _ of kv.watch({ prefix, signal })) this.#note();
  }

  #note(): void {
    this.count++;
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }
}

/** Later ones are greater, as far as clocks agree. */
function newId(): string {
  return `${String(Date.now()).padStart(15, "0")}-${crypto.randomUUID()}`;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

if (import.meta.main) {
  const [order = "work", text = "one", name = "letters"] = Deno.args;
  await using kv = await connect();
  const queue = new JobQueue(kv, name);
  if (order === "add") {
    await queue.add(text);
    console.log(`added; ${await queue.waiting()} wait or are being done`);
  } else {
    const stop = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => stop.abort());
    }
    console.log(`${text} works`);
    await queue.work(async (job, lost) => {
      console.log(`${text} does: ${job.text}`);
      // A job "wait 5000" takes so many milliseconds.
      await pause(Number(/^wait (\d+)$/.exec(job.text)?.[1] ?? 0), lost);
      return (end) => end.increment(`done:{${name}}`);
    }, stop.signal);
  }
}
