/**
 * Several operations as one: all of them happen, or none, and no reader sees a part. Made by
 * `KvClient.atomic()`, which also provides the way to send it.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { isObject, isUint } from "../../shared/cluster/map_shape.ts";
import type { Message, PlainRequest, Reply } from "../../shared/wire/messages.ts";
import type {
  DeleteOptions,
  ExpireOptions,
  KvEntry,
  StoreOptions,
  WriteOptions,
} from "../calls/call.ts";
import { expectReply, type KeyCall, type KeyCalls } from "../calls/key_calls.ts";

/** How one operation of several ended. */
export type AtomicResult<T> =
  | { ok: true; value: T }
  /** It changed nothing: `exists`, `not_an_integer`, … The others happened all the same. */
  | { ok: false; error: KvError };

/** How an {@linkcode Atomic} ended. */
export type AtomicOutcome<R extends readonly unknown[]> =
  | {
    ok: true;
    /**
     * The version of its last write, if all keys are in one partition; if not, a number that grows with each
     * transaction of these keys. Undefined if it wrote nothing. The version of each key is in `results`.
     */
    version: number | undefined;
    /** The result of each operation, in order; checks have none. */
    results: R;
  }
  | {
    ok: false;
    /** The first key whose check failed; nothing was done. */
    key: string;
    /** The version that this key has; 0 if it does not exist. */
    version: number;
  };

/** The options of a single operation are left out: `commit` takes those of the whole. */
type Of<O> = Omit<O, keyof WriteOptions>;

/** Sends a transaction. */
export type SendTransaction = (
  request: Message<"transaction">,
  options: WriteOptions,
) => Promise<Reply>;

/**
 * Operations that are collected to be carried out as one, whatever their keys. Keys with the same `{tag}`, as in
 * `account:{7}:from` and `account:{7}:to`, are in one partition, which makes it cheaper.
 *
 * Each operation sees what the earlier ones did. Each type in `R` is the result of one of them.
 *
 * @example
 * ```ts ignore
 * const from = await kv.getEntry("account:{7}:from");
 * const outcome = await kv.atomic()
 *   .check("account:{7}:from", from?.version)
 *   .increment("account:{7}:from", -5)
 *   .increment("account:{7}:to", 5)
 *   .commit();
 * if (!outcome.ok) console.log(`${outcome.key} has changed meanwhile`);
 * else if (outcome.results[1].ok) console.log(outcome.results[1].value); // a bigint
 * ```
 */
export class Atomic<R extends readonly unknown[] = []> {
  readonly #calls: KeyCalls;
  readonly #send: SendTransaction;
  readonly #steps: KeyCall<unknown>[] = [];
  readonly #checks: [key: string, version: number][] = [];
  #committed = false;

  constructor(calls: KeyCalls, send: SendTransaction) {
    this.#calls = calls;
    this.#send = send;
  }

  /**
   * Only if the key has this version.
   *
   * @param version 0 or undefined: only if it does not exist
   * @throws {KvError} `bad_request`, `key_too_large`
   */
  check(key: string, version: number | undefined): this {
    this.#calls.checkKey("check", key);
    if (version !== undefined && !isUint(version)) {
      throw new KvError("bad_request", `check: a version is a whole number, given ${version}`);
    }
    this.#checks.push([key, version ?? 0]);
    return this;
  }

  /** As `KvClient.put`: its result is the key's new version. @throws {KvError} for an invalid key or value */
  put(
    key: string,
    value: string | Uint8Array,
    options: Of<StoreOptions> = {},
  ): Atomic<[...R, AtomicResult<number>]> {
    return this.#add(this.#calls.store("put", key, value, options));
  }

  /** As `KvClient.create`. */
  create(
    key: string,
    value: string | Uint8Array,
    options: Of<StoreOptions> = {},
  ): Atomic<[...R, AtomicResult<number>]> {
    return this.#add(this.#calls.store("create", key, value, options));
  }

  /** As `KvClient.update`. */
  update(
    key: string,
    value: string | Uint8Array,
    options: Of<StoreOptions> = {},
  ): Atomic<[...R, AtomicResult<number>]> {
    return this.#add(this.#calls.store("update", key, value, options));
  }

  /** As `KvClient.delete`: its result is whether the key existed. */
  delete(key: string, options: Of<DeleteOptions> = {}): Atomic<[...R, AtomicResult<boolean>]> {
    return this.#add(this.#calls.delete(key, options));
  }

  /** As `KvClient.increment`: its result is the new number. */
  increment(key: string, by: number | bigint = 1): Atomic<[...R, AtomicResult<bigint>]> {
    return this.#add(this.#calls.increment(key, by));
  }

  /** As `KvClient.incrementFloat`. */
  incrementFloat(key: string, by: number): Atomic<[...R, AtomicResult<number>]> {
    return this.#add(this.#calls.incrementFloat(key, by));
  }

  /** As `KvClient.append`: its result is the new length. */
  append(key: string, value: string | Uint8Array): Atomic<[...R, AtomicResult<number>]> {
    return this.#add(this.#calls.append(key, value));
  }

  /** As `KvClient.expire`: its result is whether it was set. */
  expire(key: string, options: Of<ExpireOptions>): Atomic<[...R, AtomicResult<boolean>]> {
    return this.#add(this.#calls.expire(key, options));
  }

  /** As `KvClient.persist`. */
  persist(key: string): Atomic<[...R, AtomicResult<boolean>]> {
    return this.#add(this.#calls.persist(key));
  }

  /** As `KvClient.getEntry`: its result is the entry as the earlier operations have left it. */
  get(key: string): Atomic<[...R, AtomicResult<KvEntry | undefined>]> {
    return this.#add(this.#calls.get(key));
  }

  /** As `KvClient.exists`. */
  exists(key: string): Atomic<[...R, AtomicResult<boolean>]> {
    return this.#add(this.#calls.exists(key));
  }

  /**
   * Carries out all of it; may be called once. After a lost answer it is repeated by itself, and still happens
   * only once.
   *
   * @throws {KvError} `transaction_too_large`; `timeout` if its keys were not free in time, and nothing was done;
   * `outcome_unknown` if it may have happened (as a whole) or not; otherwise as `KvClient.put`
   */
  async commit(options: WriteOptions = {}): Promise<AtomicOutcome<R>> {
    if (this.#committed) {
      throw new KvError("bad_request", "commit: this has been committed; make a new atomic()");
    }
    this.#committed = true;
    const requests: PlainRequest[] = this.#steps.map(({ request }) => request);
    const key = requests[0]?.key ?? this.#checks[0]?.[0];
    if (key === undefined) {
      return { ok: true, version: undefined, results: [] as readonly unknown[] as R };
    }
    const checks = this.#checks.length === 0 ? {} : { checks: this.#checks };
    const reply = await this.#send({ req_type: "transaction", key, requests, ...checks }, options);
    const failed = failedCheck(reply);
    if (failed !== undefined) return failed;
    const { result, version } = expectReply(reply, "result", "commit");
    if (!Array.isArray(result) || result.length !== requests.length) {
      throw new KvError("internal", "commit: the answer does not fit what was asked");
    }
    const results = this.#steps.map((step, i) => readResult(step, result[i] as Reply));
    return { ok: true, version, results: results as readonly unknown[] as R };
  }

  #add<T>(call: KeyCall<T>): Atomic<[...R, AtomicResult<T>]> {
    this.#steps.push(call);
    // The same object, with a type that has one operation more.
    return this as unknown as Atomic<[...R, AtomicResult<T>]>;
  }
}

function readResult<T>(call: KeyCall<T>, reply: Reply): AtomicResult<T> {
  try {
    return { ok: true, value: call.read(reply) };
  } catch (error) {
    if (error instanceof KvError) return { ok: false, error };
    throw error;
  }
}

function failedCheck(reply: Reply): { ok: false; key: string; version: number } | undefined {
  if (reply.req_type !== "error" || reply.code !== "version_mismatch") return undefined;
  const { detail } = reply;
  if (!isObject(detail) || typeof detail.key !== "string" || !isUint(detail.version)) {
    return undefined;
  }
  return { ok: false, key: detail.key, version: detail.version };
}
