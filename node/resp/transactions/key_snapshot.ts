/**
 * Some keys as of one moment, with the changes that a command makes to them. Reads and writes
 * go to a layer above the snapshot, and become one transaction that takes effect only if no key has changed
 * meanwhile. Pure: it sends no request.
 *
 * @module
 */
import { type Entry, isLive, isTombstone, NO_VALUE } from "../../../shared/base/entry.ts";
import { TRANSACTION_BYTES_MAX } from "../../../shared/limits/requests.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { toErrorReply } from "../../../shared/wire/error_reply.ts";
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import { writeReply } from "../../../shared/operations/operation.ts";
import { operationOf } from "../../../shared/arguments/request_words.ts";
import type { OperationName } from "../../../shared/operations/table.ts";
import { valueOfReply } from "../../../shared/schema/value_codec.ts";
import type { RequestView } from "../command/command.ts";

/** The keys, and their changes. */
export class KeySnapshot implements RequestView {
  readonly wallMs: number;
  readonly #valueBytesMax: number;
  readonly #found = new Map<string, Entry | undefined>();
  #changed = new Map<string, Entry | undefined>();
  /** Of the values that are to be written. */
  #bytes = 0;
  /** Replies about writes that are not carried out yet, and what they become when the version is known. */
  readonly #provisional: {
    readonly key: string;
    readonly reply: Reply;
    readonly remake: (version: number) => Reply;
  }[] = [];

  /**
   * @param replies to a `get` of each key, in order
   * @param wallMs the date at that moment, by the clock of their primary
   */
  constructor(
    keys: readonly string[],
    replies: readonly Reply[],
    wallMs: number,
    valueBytesMax: number,
  ) {
    this.wallMs = wallMs;
    this.#valueBytesMax = valueBytesMax;
    keys.forEach((key, i) => {
      const reply = replies[i];
      this.#found.set(key, reply?.req_type === "data" ? entryOf(key, reply) : undefined);
    });
  }

  /** The key's version in the snapshot; 0 if it was not there. */
  versionOf(key: string): number {
    return this.#found.get(key)?.seq ?? 0;
  }

  get(key: string): Entry | undefined {
    const entry = this.#changed.has(key) ? this.#changed.get(key) : this.#found.get(key);
    return entry !== undefined && isLive(entry, this.wallMs) ? entry : undefined;
  }

  /** @throws {KvError} `transaction_too_large` if all that is to be written could not be written together */
  set(key: string, value: Uint8Array, expiresAtMs: number, contentType?: string): void {
    const more = value.length - (this.#changed.get(key)?.value.length ?? 0);
    if (this.#bytes + more > TRANSACTION_BYTES_MAX) {
      throw new KvError(
        "transaction_too_large",
        `what is written together may have ${TRANSACTION_BYTES_MAX} bytes of values`,
      );
    }
    this.#bytes += more;
    this.#changed.set(key, {
      key,
      value,
      expiresAtMs,
      contentType,
      seq: this.versionOf(key) + 1,
      term: 1,
      flags: 0,
      timestampMs: this.wallMs,
    });
  }

  delete(key: string): void {
    this.#bytes -= this.#changed.get(key)?.value.length ?? 0;
    this.#changed.set(key, undefined);
  }

  apply(request: KeyRequest, isKept: boolean): Reply {
    const operation = operationOf(request.req_type as OperationName);
    const current = this.get(request.key);
    if (operation.kind === "read") {
      const reply = operation.read(request, current, this.wallMs);
      if (isKept && current !== undefined && this.#changed.has(request.key)) {
        this.#noteProvisional(
          request.key,
          reply,
          (seq) => operation.read(request, { ...current, seq }, this.wallMs),
        );
      }
      return reply;
    }
    if (operation.kind !== "write") {
      throw new KvError("internal", `${request.req_type} inside a transaction`);
    }
    try {
      const outcome = operation.evaluate(request, current, {
        wallMs: this.wallMs,
        valueBytesMax: this.#valueBytesMax,
      });
      if ("answer" in outcome) return outcome.answer;
      const { flags, value, expiresAtMs, contentType } = outcome.write;
      if (isTombstone({ flags } as Entry)) this.delete(request.key);
      else this.set(request.key, value, expiresAtMs, contentType);
      const remake = (version: number) => outcome.reply?.(version) ?? writeReply(version);
      const reply = remake(this.versionOf(request.key) + 1);
      if (isKept) this.#noteProvisional(request.key, reply, remake);
      return reply;
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      return toErrorReply(error);
    }
  }

  savepoint(): () => void {
    const changed = new Map(this.#changed);
    const bytes = this.#bytes;
    const { length } = this.#provisional;
    return () => {
      this.#changed = changed;
      this.#bytes = bytes;
      this.#provisional.length = length;
    };
  }

  /** The writes that make the changes. */
  writes(): KeyRequest[] {
    const requests: KeyRequest[] = [];
    for (const [key, entry] of this.#changed) {
      if (entry === undefined || !isLive(entry, this.wallMs)) {
        if (this.#found.get(key) !== undefined) requests.push({ req_type: "delete", key });
        continue;
      }
      const { value: bytes, expiresAtMs, contentType } = entry;
      requests.push({
        req_type: "put",
        key,
        bytes,
        ...(expiresAtMs === 0 ? {} : { expires_at: expiresAtMs }),
        ...(contentType === undefined ? {} : { content_type: contentType }),
      });
    }
    return requests;
  }

  /** The writes have been carried out: fills their versions into the replies. */
  written(replies: readonly Reply[]): void {
    const versions = new Map<string, number>();
    this.writes().forEach(({ key }, i) => {
      const reply = replies[i];
      if (reply?.req_type === "ack" && reply.version !== undefined) {
        versions.set(key, reply.version);
      }
    });
    for (const { key, reply, remake } of this.#provisional) {
      const version = versions.get(key);
      if (version !== undefined) Object.assign(reply, remake(version));
    }
  }

  #noteProvisional(key: string, reply: Reply, remake: (version: number) => Reply): void {
    this.#provisional.push({ key, reply, remake });
  }

  /** The versions that must still hold. */
  checks(): [key: string, version: number][] {
    return [...this.#found.keys()].map((key) => [key, this.versionOf(key)]);
  }
}

function entryOf(key: string, reply: Extract<Reply, { req_type: "data" }>): Entry {
  return {
    key,
    seq: reply.version ?? 1,
    term: 1,
    flags: 0,
    timestampMs: reply.timestamp ?? 0,
    expiresAtMs: reply.expires_at ?? 0,
    value: valueOfReply(reply) ?? NO_VALUE,
    contentType: reply.content_type,
  };
}
