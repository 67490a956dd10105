/**
 * The operations on one key as the library offers them: for each, its request and how the answer is read.
 * `KvClient` sends them one by one, `Atomic` several together. Keys and values are checked here, before
 * anything is sent.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import { isKeyText, keyLength } from "../../shared/base/key_text.ts";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "../../shared/limits/wire.ts";
import type { Fields } from "../../shared/schema/fields.ts";
import type { Message, PlainRequest, Reply } from "../../shared/wire/messages.ts";
import { quote } from "../../shared/operations/operation.ts";
import { OPERATIONS } from "../../shared/operations/table.ts";
import { valueOfReply } from "../../shared/schema/value_codec.ts";
import {
  type DeleteOptions,
  type ExpireOptions,
  type KvClientOptions,
  type KvEntry,
  replyError,
  type StoreOptions,
} from "./call.ts";

const utf8 = new TextEncoder();

/** A request, and how to read its answer. */
export interface KeyCall<T> {
  readonly request: PlainRequest;
  /** @throws {KvError} if the answer is an error */
  read(reply: Reply): T;
}

/** Makes calls, with one client's limits. */
export class KeyCalls {
  readonly #keyBytesMax: number;
  readonly #valueBytesMax: number;

  constructor(options: Pick<KvClientOptions, "keyBytesMax" | "valueBytesMax"> = {}) {
    this.#keyBytesMax = options.keyBytesMax ?? KEY_BYTES_MAX;
    this.#valueBytesMax = options.valueBytesMax ?? VALUE_BYTES_MAX;
  }

  /** @throws {KvError} `bad_request`, `key_too_large`, `value_too_large` */
  store(
    type: "put" | "update" | "create",
    key: string,
    value: string | Uint8Array,
    options: StoreOptions,
  ): KeyCall<number> {
    this.checkKey(type, key);
    return {
      request: {
        req_type: type,
        key,
        bytes: this.#bytes(type, key, value),
        ...fieldsOf(type, options),
      },
      read: (reply) => expectReply(reply, "ack", type).version ?? 0,
    };
  }

  delete(key: string, options: DeleteOptions): KeyCall<boolean> {
    this.checkKey("delete", key);
    return {
      request: { req_type: "delete", key, ...fieldsOf("delete", options) },
      read: (reply) => {
        if (isNotFound(reply)) return false;
        expectReply(reply, "ack", "delete");
        return true;
      },
    };
  }

  increment(key: string, by: number | bigint): KeyCall<bigint> {
    this.checkKey("increment", key);
    return {
      request: { req_type: "increment", key, by: String(by) },
      read: (reply) => BigInt(String(resultOf(reply, "increment"))),
    };
  }

  incrementFloat(key: string, by: number): KeyCall<number> {
    this.checkKey("incrementFloat", key);
    return {
      request: { req_type: "increment_float", key, by: String(by) },
      read: (reply) => Number(resultOf(reply, "incrementFloat")),
    };
  }

  append(key: string, value: string | Uint8Array): KeyCall<number> {
    this.checkKey("append", key);
    return {
      request: { req_type: "append_value", key, bytes: this.#bytes("append", key, value) },
      read: (reply) => Number(resultOf(reply, "append")),
    };
  }

  expire(key: string, options: ExpireOptions): KeyCall<boolean> {
    this.checkKey("expire", key);
    return {
      request: { req_type: "expire", key, ...fieldsOf("expire", options) },
      read: (reply) => resultOf(reply, "expire") === true,
    };
  }

  persist(key: string): KeyCall<boolean> {
    this.checkKey("persist", key);
    return {
      request: { req_type: "persist", key },
      read: (reply) => resultOf(reply, "persist") === true,
    };
  }

  get(key: string): KeyCall<KvEntry | undefined> {
    this.checkKey("get", key);
    return {
      request: { req_type: "get", key },
      read: (reply) => entryOf(key, reply),
    };
  }

  exists(key: string): KeyCall<boolean> {
    this.checkKey("exists", key);
    return {
      request: { req_type: "exists", key },
      read: (reply) => resultOf(reply, "exists") === true,
    };
  }

  /** `what` begins the error's text. @throws {KvError} `bad_request`, `key_too_large` */
  checkKey(what: string, key: string): void {
    if (typeof key !== "string" || key === "" || !isKeyText(key)) {
      const given = typeof key === "string" ? quote(key) : typeof key;
      throw new KvError(
        "bad_request",
        `${what}: a key must be a non-empty, well-formed string, given ${given}`,
      );
    }
    const bytesMax = this.#keyBytesMax;
    // At most three bytes per UTF-16 unit: only long keys need counting.
    if (key.length * 3 > bytesMax && keyLength(key) > bytesMax) {
      throw new KvError(
        "key_too_large",
        `${what}: the key ${quote(key)} is longer than ${bytesMax} bytes`,
      );
    }
  }

  #bytes(what: string, key: string, value: string | Uint8Array): Uint8Array {
    if (typeof value === "string" && !value.isWellFormed()) {
      throw new KvError(
        "bad_request",
        `${what}: the value of ${quote(key)} has half of a surrogate pair, which is not Unicode ` +
          "text; give bytes instead",
      );
    }
    const bytes = typeof value === "string" ? utf8.encode(value) : value;
    // Some callers have no compiler that would say so.
    if (!(bytes instanceof Uint8Array)) {
      throw new KvError(
        "bad_request",
        `${what}: the value of ${quote(key)} must be a string or a Uint8Array, given ` +
          nameOfType(value),
      );
    }
    const bytesMax = this.#valueBytesMax;
    if (bytes.length > bytesMax) {
      throw new KvError(
        "value_too_large",
        `${what}: the value of ${quote(key)} has ${bytes.length} bytes; at most ${bytesMax} are ` +
          "allowed",
      );
    }
    return bytes;
  }
}

/** A reply of the type that was expected. @throws {KvError} what the reply says, or `internal` */
export function expectReply<T extends Reply["req_type"]>(
  reply: Reply,
  type: T,
  what: string,
): Extract<Reply, { req_type: T }> {
  if (reply.req_type !== type) throw replyError(reply, what);
  return reply as Extract<Reply, { req_type: T }>;
}

function resultOf(reply: Reply, what: string): unknown {
  return expectReply(reply, "result", what).result;
}

function isNotFound(reply: Reply): boolean {
  return reply.req_type === "error" && reply.code === "not_found";
}

function entryOf(key: string, reply: Reply): KvEntry | undefined {
  if (isNotFound(reply)) return undefined;
  return entryOfReply(key, expectReply(reply, "data", "get"));
}

/** The entry in a `data` reply. */
export function entryOfReply(key: string, reply: Message<"data">): KvEntry {
  const { version = 0, timestamp = 0, expires_at: expiresAt = 0, content_type: type } = reply;
  const { ttl_ms: ttlMs } = reply;
  return {
    key,
    value: valueOfReply(reply),
    version,
    timestampMs: timestamp,
    expiresAtMs: expiresAt === 0 ? undefined : expiresAt,
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(type === undefined ? {} : { contentType: type }),
  };
}

/** Which of a call's options go into its request, and their names there. */
const OPTION_FIELDS = [
  ["ttlMs", "ttl_ms"],
  ["expiresAtMs", "expires_at"],
  ["keepTtl", "keep_ttl"],
  ["ifVersion", "if_version"],
  ["contentType", "content_type"],
  ["when", "when"],
] as const;

type OptionFields = {
  ttl_ms?: number;
  expires_at?: number;
  keep_ttl?: boolean;
  if_version?: number;
  content_type?: string;
  when?: "nx" | "xx" | "gt" | "lt";
};

/**
 * The given options, as fields. Invalid values are refused here, because JSON cannot represent a NaN: on its
 * way it would turn into "not given", and a condition would be lost.
 *
 * @throws {KvError} `bad_request`
 */
function fieldsOf(type: "put" | "update" | "create" | "delete" | "expire", options: object) {
  const fields: Fields = OPERATIONS[type].fields;
  const found: Record<string, unknown> = {};
  for (const [option, name] of OPTION_FIELDS) {
    const value = (options as Record<string, unknown>)[option];
    const field = fields[name];
    if (value === undefined || field === undefined) continue;
    if (!field.is(value)) {
      throw new KvError(
        "bad_request",
        `${type}: ${option} must be ${field.requires}, given ${
          typeof value === "string" ? quote(value) : String(value)
        }`,
      );
    }
    found[name] = value;
  }
  return found as OptionFields;
}

function nameOfType(value: unknown): string {
  return value === null ? "null" : typeof value;
}
