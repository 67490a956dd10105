/**
 * Several operations as one: all of them happen, or none, and no reader sees a part. Made by
 * `KvClient.atomic()`, which also provides the way to send it.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { keyOfField } from "../../shared/schema/value_codec.ts";
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
   *
   * @example
   * ```ts
   * await kv.put("a:{1}", "x");
   * const entry = await kv.getEntry("a:{1}");
   * const outcome = await kv.atomic().check("a:{1}", entry?.version).put("a:{1}", "y").commit();
   * console.log(outcome.ok); // true
   * ```
   */
  check(key: string, version: number | undefined): this {
    this.#calls.checkKey("check", key);
    if (version !== undefined && !isUint(version)) {
      throw new KvError("bad_request", `check: a version is a whole number, given ${version}`);
    }
    this.#checks.push([key, version ?? 0]);
    return this;
  }

  /**
   * As `KvClient.put`: its result is the key's new version. @throws {KvError} for an invalid key or value
   *
   * @example
   * ```ts
   * await kv.atomic().put("a:{1}", "x").put("b:{1}", "y", { ttlMs: 60_000 }).commit();
   * ```
   */
  put(
    key: string,
    value: string | Uint8Array,
    options: Of<StoreOptions> = {},
  ): Atomic<[...R, AtomicResult<number>]> {
    return this.#add(this.#calls.store("put", key, value, options));
  }

  /**
   * As `KvClient.create`.
   *
   * @example
   * ```ts
   * await kv.delete("a:{1}");
   * await kv.atomic().create("a:{1}", "x").commit();
   * ```
   */
  create(
    key: string,
    value: string | Uint8Array,
    options: Of<StoreOptions> = {},
  ): Atomic<[...R, AtomicResult<number>]> {
    return this.#add(this.#calls.store("create", key, value, options));
  }

  /**
   * As `KvClient.update`.
   *
   * @example
   * ```ts
   * await kv.put("a:{1}", "x");
   * await kv.atomic().update("a:{1}", "y").commit();
   * ```
   */
  update(
    key: string,
    value: string | Uint8Array,
    options: Of<StoreOptions> = {},
  ): Atomic<[...R, AtomicResult<number>]> {
    return this.#add(this.#calls.store("update", key, value, options));
  }

  /**
   * As `KvClient.delete`: its result is whether the key existed.
   *
   * @example
   * ```ts
   * const outcome = await kv.atomic().put("a:{1}", "x").delete("a:{1}").commit();
   * console.log(outcome.ok && outcome.results[1]); // { ok: true, value: true }
   * ```
   */
  delete(key: string, options: Of<DeleteOptions> = {}): Atomic<[...R, AtomicResult<boolean>]> {
    return this.#add(this.#calls.delete(key, options));
  }

  /**
   * As `KvClient.increment`: its result is the new number.
   *
   * @example
   * ```ts
   * await kv.putMany([["a:{1}", "10"], ["b:{1}", "0"]]);
   * const outcome = await kv.atomic().increment("a:{1}", -5).increment("b:{1}", 5).commit();
   * console.log(outcome.ok && outcome.results[0]); // { ok: true, value: 5n }
   * ```
   */
  increment(key: string, by: number | bigint = 1): Atomic<[...R, AtomicResult<bigint>]> {
    return this.#add(this.#calls.increment(key, by));
  }

  /**
   * As `KvClient.incrementFloat`.
   *
   * @example
   * ```ts
   * await kv.put("a:{1}", "0.5");
   * await kv.atomic().incrementFloat("a:{1}", 0.25).commit();
   * ```
   */
  incrementFloat(key: string, by: number): Atomic<[...R, AtomicResult<number>]> {
    return this.#add(this.#calls.incrementFloat(key, by));
  }

  /**
   * As `KvClient.append`: its result is the new length.
   *
   * @example
   * ```ts
   * await kv.atomic().put("a:{1}", "x").append("a:{1}", "y").commit();
   * console.log(await kv.getText("a:{1}")); // xy
   * ```
   */
  append(key: string, value: string | Uint8Array): Atomic<[...R, AtomicResult<number>]> {
    return this.#add(this.#calls.append(key, value));
  }

  /**
   * As `KvClient.expire`: its result is whether it was set.
   *
   * @example
   * ```ts
   * await kv.atomic().put("a:{1}", "x").expire("a:{1}", { ttlMs: 60_000 }).commit();
   * ```
   */
  expire(key: string, options: Of<ExpireOptions>): Atomic<[...R, AtomicResult<boolean>]> {
    return this.#add(this.#calls.expire(key, options));
  }

  /**
   * As `KvClient.persist`.
   *
   * @example
   * ```ts
   * await kv.atomic().put("a:{1}", "x", { ttlMs: 60_000 }).persist("a:{1}").commit();
   * ```
   */
  persist(key: string): Atomic<[...R, AtomicResult<boolean>]> {
    return this.#add(this.#calls.persist(key));
  }

  /**
   * As `KvClient.getEntry`: its result is the entry as the earlier operations have left it.
   *
   * @example
   * ```ts
   * const outcome = await kv.atomic().put("a:{1}", "x").get("a:{1}").commit();
   * const read = outcome.ok ? outcome.results[1] : undefined;
   * console.log(read?.ok && read.value?.value); // Uint8Array(1) [ 120 ]
   * ```
   */
  get(key: string): Atomic<[...R, AtomicResult<KvEntry | undefined>]> {
    return this.#add(this.#calls.get(key));
  }

  /**
   * As `KvClient.exists`.
   *
   * @example
   * ```ts
   * const outcome = await kv.atomic().exists("nothing:{1}").commit();
   * console.log(outcome.ok && outcome.results[0]); // { ok: true, value: false }
   * ```
   */
  exists(key: string): Atomic<[...R, AtomicResult<boolean>]> {
    return this.#add(this.#calls.exists(key));
  }

  /**
   * Carries out all of it; may be called once. After a lost answer it is repeated by itself, and still happens
   * only once.
   *
   * @throws {KvError} `transaction_too_large`; `timeout` if its keys were not free in time, and nothing was done;
   * `outcome_unknown` if it may have happened (as a whole) or not; otherwise as `KvClient.put`
   *
   * @example
   * ```ts
   * const outcome = await kv.atomic().check("nothing:{1}", 7).put("a:{1}", "x").commit();
   * console.log(outcome.ok); // false
   * ```
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
  if (!isObject(detail) || !isUint(detail.version)) return undefined;
  const key = keyOfField("key", detail);
  return key === undefined ? undefined : { ok: false, key, version: detail.version };
}
