/**
 * Values of Deno KV as this store has them: the encoding is the value's media type. A value that somebody has written in
 * another way is bytes to Deno KV.
 *
 * @module
 */
import type { Entry } from "../base/entry.ts";
import { versionOf } from "../base/entry.ts";
import { KvError } from "../base/errors.ts";
import { bytesOfKey } from "../base/key_text.ts";
import { U64_TYPE, V8_TYPE } from "../operations/combine.ts";
import { versionstampOf } from "../schema/versionstamp.ts";
import { valueOfReply } from "../schema/value_codec.ts";
import type { Message } from "../wire/messages.ts";
import { ENCODING, type EntryMessage } from "./datapath.ts";

const U64_BYTES = 8;

/** The media type of an encoding; undefined for bytes. @throws {KvError} `bad_request` */
export function typeOfEncoding(encoding: number, data: Uint8Array): string | undefined {
  switch (encoding) {
    case ENCODING.V8:
      return V8_TYPE;
    case ENCODING.LE64:
      if (data.length === U64_BYTES) return U64_TYPE;
      throw new KvError(
        "bad_request",
        `a KvU64 has ${U64_BYTES} bytes, and this one has ${data.length}`,
      );
    case ENCODING.BYTES:
      return undefined;
    default:
      throw new KvError("bad_request", `there is no encoding ${encoding} of values`);
  }
}

function encodingOf(contentType: string | undefined, value: Uint8Array): number {
  if (contentType === V8_TYPE) return ENCODING.V8;
  return contentType === U64_TYPE && value.length === U64_BYTES ? ENCODING.LE64 : ENCODING.BYTES;
}

/** An entry as Deno KV has it. */
export function entryMessage(entry: Entry): EntryMessage {
  const { key, value, contentType } = entry;
  return {
    key: bytesOfKey(key),
    value,
    encoding: encodingOf(contentType, value),
    versionstamp: versionstampOf(versionOf(entry)),
  };
}

/** The answer to a `get` as Deno KV has it. @throws {KvError} `bad_request` */
export function dataMessage(key: Uint8Array, reply: Message<"data">): EntryMessage {
  const value = valueOfReply(reply);
  return {
    key,
    value,
    encoding: encodingOf(reply.content_type, value),
    versionstamp: versionstampOf(reply.version ?? 0),
  };
}
