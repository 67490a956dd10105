/**
 * Values of one type under one prefix of keys, stored as JSON, and checked by a schema if there is one. Any validator of
 * the Standard Schema specification will do (https://standardschema.dev): zod, valibot, ArkType and others.
 *
 * Invariant: with a schema, nothing is written or returned that it does not accept.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { quotedKey } from "../../shared/base/key_text.ts";
import type {
  DeleteOptions,
  KvEntry,
  ReadOptions,
  StoreOptions,
  WriteOptions,
} from "../calls/call.ts";
import type { KeySelection, ScanOptions } from "./ordered_scan.ts";

/** What a schema says about a value. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** What is wrong with a value, and where. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A schema of the Standard Schema specification, version 1. */
export interface StandardSchema<Input, Output> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** What a collection needs of a client. */
export interface CollectionStore {
  getEntry(key: string, options?: ReadOptions): Promise<KvEntry | undefined>;
  put(key: string, value: string, options?: StoreOptions): Promise<number>;
  create(key: string, value: string, options?: StoreOptions): Promise<number>;
  update(key: string, value: string, options?: StoreOptions): Promise<number>;
  delete(key: string, options?: DeleteOptions): Promise<boolean>;
  scan(options?: ScanOptions): AsyncGenerator<KvEntry, void, void>;
  count(options?: KeySelection): Promise<number>;
}

/** A value of a collection. */
export interface CollectionEntry<Output> {
  /** The key without the collection's prefix. */
  id: string;
  value: Output;
  /** As {@linkcode KvEntry} has it. */
  version: number;
}

/** Which values of a collection a loop returns. `start` and `end` are ids. */
export type CollectionSelection = Omit<ScanOptions, "prefix" | "values">;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Values of one type. Made by `KvClient.collection`. */
export class Collection<Output, Input = Output> {
  readonly #store: CollectionStore;
  readonly #prefix: string;
  readonly #schema: StandardSchema<Input, Output> | undefined;

  /** Use `KvClient.collection`. */
  constructor(
    store: CollectionStore,
    prefix: string,
    schema: StandardSchema<Input, Output> | undefined,
  ) {
    this.#store = store;
    this.#prefix = prefix;
    this.#schema = schema;
  }

  /**
   * The value of an id, or undefined if there is none.
   *
   * @throws {KvError} `bad_request` if what is stored is not JSON, or not what the schema accepts
   *
   * @example
   * ```ts
   * const users = kv.collection<{ name: string }>("user:");
   * await users.put("7", { name: "Zoë" });
   * console.log((await users.get("7"))?.name); // Zoë
   * ```
   */
  async get(id: string, options: ReadOptions = {}): Promise<Output | undefined> {
    return (await this.getEntry(id, options))?.value;
  }

  /**
   * As {@linkcode get}, with the version.
   *
   * @example
   * ```ts
   * const users = kv.collection<{ name: string }>("user:");
   * const version = await users.put("7", { name: "Zoë" });
   * console.log((await users.getEntry("7"))?.version === version); // true
   * ```
   */
  async getEntry(
    id: string,
    options: ReadOptions = {},
  ): Promise<CollectionEntry<Output> | undefined> {
    const entry = await this.#store.getEntry(this.#prefix + id, options);
    return entry === undefined ? undefined : await this.#read(entry);
  }

  /**
   * Creates or replaces a value.
   *
   * @returns its version
   * @throws {KvError} `bad_request` if the schema does not accept it, with its `issues` in `detail`; otherwise as
   * `KvClient.put`
   *
   * @example
   * ```ts
   * const users = kv.collection<{ name: string }>("user:");
   * await users.put("8", { name: "Ann" }, { ttlMs: 60_000 });
   * ```
   */
  async put(id: string, value: Input, options: StoreOptions = {}): Promise<number> {
    return await this.#store.put(this.#prefix + id, await this.#textOf(id, value), options);
  }

  /**
   * Creates a value that is not there.
   *
   * @throws {KvError} `exists`; otherwise as {@linkcode put}
   *
   * @example
   * ```ts
   * const users = kv.collection<{ name: string }>("user:");
   * await users.delete("9");
   * await users.create("9", { name: "Bob" });
   * ```
   */
  async create(id: string, value: Input, options: StoreOptions = {}): Promise<number> {
    return await this.#store.create(this.#prefix + id, await this.#textOf(id, value), options);
  }

  /**
   * Replaces a value that is there.
   *
   * @throws {KvError} `not_found`; otherwise as {@linkcode put}
   *
   * @example
   * ```ts
   * const users = kv.collection<{ name: string }>("user:");
   * const version = await users.put("10", { name: "Cleo" });
   * await users.update("10", { name: "Cleopatra" }, { ifVersion: version });
   * ```
   */
  async update(id: string, value: Input, options: StoreOptions = {}): Promise<number> {
    return await this.#store.update(this.#prefix + id, await this.#textOf(id, value), options);
  }

  /**
   * Deletes a value. @returns whether there was one
   *
   * @example
   * ```ts
   * const users = kv.collection<{ name: string }>("user:");
   * console.log(await users.delete("nobody")); // false
   * ```
   */
  async delete(id: string, options: DeleteOptions & WriteOptions = {}): Promise<boolean> {
    return await this.#store.delete(this.#prefix + id, options);
  }

  /**
   * The values in the order of their ids, as `KvClient.scan` returns entries.
   *
   * @throws {KvError} `bad_request` at the first value that the schema does not accept
   *
   * @example
   * ```ts
   * const colours = kv.collection<{ hex: string }>("colour:");
   * await colours.put("red", { hex: "#f00" });
   * for await (const { id, value } of colours.entries()) console.log(id, value.hex); // red #f00
   * ```
   */
  async *entries(
    selection: CollectionSelection = {},
  ): AsyncGenerator<CollectionEntry<Output>, void, void> {
    for await (const entry of this.#store.scan(this.#selected(selection))) {
      yield await this.#read(entry);
    }
  }

  /**
   * How many values there are.
   *
   * @example
   * ```ts
   * const planets = kv.collection<{ radiusKm: number }>("planet:");
   * await planets.put("earth", { radiusKm: 6_371 });
   * console.log(await planets.count()); // 1
   * ```
   */
  async count(): Promise<number> {
    return await this.#store.count({ prefix: this.#prefix });
  }

  #selected({ start, end, ...rest }: CollectionSelection): ScanOptions {
    const within = (id: string | undefined) => id === undefined ? undefined : this.#prefix + id;
    return { ...rest, prefix: this.#prefix, start: within(start), end: within(end) };
  }

  async #read(entry: KvEntry): Promise<CollectionEntry<Output>> {
    const { key, version } = entry;
    let value: unknown;
    try {
      value = JSON.parse(strictUtf8.decode(entry.value));
    } catch (cause) {
      throw new KvError("bad_request", `the value of ${quotedKey(key)} is not JSON`, {
        cause,
      });
    }
    const output = await this.#checked(`the value of ${quotedKey(key)}`, value);
    return { id: key.slice(this.#prefix.length), value: output, version };
  }

  /** What is stored is what was given, and not what the schema makes of it: it is made of it again at each read. */
  async #textOf(id: string, value: Input): Promise<string> {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new TypeError("the value cannot be written as JSON");
    // What a reader will get, such as a text in the place of a Date.
    await this.#checked(`the value for ${JSON.stringify(this.#prefix + id)}`, JSON.parse(text));
    return text;
  }

  async #checked(what: string, value: unknown): Promise<Output> {
    if (this.#schema === undefined) return value as Output;
    const result = await this.#schema["~standard"].validate(value);
    if (result.issues === undefined) return result.value;
    const issues = result.issues.map(({ message, path = [] }) => ({
      path: path.map((part) => String(typeof part === "object" ? part.key : part)),
      message,
    }));
    const [first = { path: [], message: "?" }] = issues;
    const where = first.path.length === 0 ? "" : `${first.path.join(".")}: `;
    const text = `${what} is not what the schema accepts: ${where}${first.message}`;
    throw new KvError("bad_request", text, { detail: { issues } });
  }
}
