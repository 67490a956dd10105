/**
 * Values and entries as the JSON wire carries them. A value is bytes. On the wire it is text if it is
 * valid UTF-8, so that people can read it, and base64 otherwise. A long text full of characters that
 * JSON escapes is sent as base64 too, because it would outgrow the frame.
 *
 * Invariant: decoding returns exactly the bytes that were encoded; nothing is ever replaced. The encoded
 * form has at most a third more bytes than the value, or 384 KiB.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Entry } from "../base/entry.ts";
import { NO_VALUE } from "../base/entry.ts";
import { KvError } from "../base/errors.ts";
import { base64OfKey, isKeyText, keyOfBytes } from "../base/key_text.ts";
import { lenientText, REPLACEMENT } from "../base/utf8_text.ts";
import { isMediaType, isObject, isTerm, isUint } from "../cluster/map_shape.ts";
import type { Reply, WireEntry, WireKey } from "./reply_messages.ts";

// A byte order mark at the beginning of a value is part of the value.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Up to this size the decoder's fixed cost dominates. */
const SHORT_BYTES = 1_024;
/** Up to this size a text is sent as text, however many escapes (of up to six characters) it needs. */
const TEXT_ALWAYS_BYTES = 65_536;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
/** Control characters with an escape of two characters: backspace, tab, newline, form feed, return. */
const SHORT_ESCAPES = (1 << 8) | (1 << 9) | (1 << 10) | (1 << 12) | (1 << 13);

/** A value as the fields of a message. */
export function encodeValue(value: Uint8Array): { value: string } | { value64: string } {
  const text = asText(value);
  return text === undefined ? { value64: toBase64(value) } : { value: text };
}

/** A value as the fields of a request: one of them, or none. */
export interface ValueFields {
  readonly value?: string | undefined;
  readonly value64?: string | undefined;
  /** Within a process. */
  readonly bytes?: Uint8Array | undefined;
}

/**
 * The value of a message, or undefined if it has none.
 *
 * @throws {KvError} `bad_request`
 */
export function decodeValue(fields: ValueFields): Uint8Array | undefined {
  const { value, value64, bytes } = fields;
  if (bytes !== undefined) return bytes;
  if (value === undefined) return value64 === undefined ? undefined : fromBase64(value64);
  if (value64 !== undefined) {
    throw new KvError("bad_request", `a message carries "value" or "value64", not both`);
  }
  return textBytes(value);
}

/** The value of a reply, whichever process sent it. @throws {KvError} `bad_request` */
export function valueOfReply(reply: Reply<"data">): Uint8Array {
  return reply.bytes ?? valueOfTexts(reply.message, reply.value64);
}

/** The value before a write, if the reply has it. @throws {KvError} `bad_request` */
export function previousOfReply(reply: Reply): Uint8Array | undefined {
  if (reply.req_type === "ack") {
    if (reply.previous_bytes !== undefined) return reply.previous_bytes;
    const { previous, previous64 } = reply;
    if (previous === undefined && previous64 === undefined) return undefined;
    return valueOfTexts(previous, previous64);
  }
  if (reply.req_type !== "error" || !isObject(reply.detail)) return undefined;
  const { previous, previous64 } = reply.detail;
  if (typeof previous64 === "string") return fromBase64(previous64);
  return typeof previous === "string" ? textBytes(previous) : undefined;
}

function valueOfTexts(text: string | undefined, base64: string | undefined): Uint8Array {
  return base64 === undefined ? textBytes(text ?? "") : fromBase64(base64);
}

/** An entry as an array of the wire. */
export function toWireEntry(entry: Entry): WireEntry {
  const { seq, term, flags, timestampMs, expiresAtMs, value } = entry;
  const key = toWireKey(entry.key);
  const text = asText(value);
  const { contentType = "", version } = entry;
  if (contentType !== "" || version !== undefined) {
    const base64 = text === undefined ? toBase64(value) : null;
    if (version !== undefined) {
      const rest = [text ?? "", base64, contentType, version] as const;
      return [key, seq, term, flags, timestampMs, expiresAtMs, ...rest];
    }
    return [key, seq, term, flags, timestampMs, expiresAtMs, text ?? "", base64, contentType];
  }
  return text === undefined
    ? [key, seq, term, flags, timestampMs, expiresAtMs, "", toBase64(value)]
    : [key, seq, term, flags, timestampMs, expiresAtMs, text];
}

/**
 * An entry from an array of the wire.
 *
 * @throws {KvError} `bad_request`
 */
export function fromWireEntry(wire: WireEntry): Entry {
  if (!Array.isArray(wire)) throw badEntry("it is not an array");
  const [wireKey, seq, term, flags, timestampMs, expiresAtMs, text, base64, contentType, version] =
    wire;
  const key = fromWireKey(wireKey);
  if (key === "") throw badEntry("key");
  if (!isUint(seq) || seq === 0) throw badEntry("seq");
  if (!isTerm(term)) throw badEntry("term");
  if (!isUint(flags) || flags > 255) throw badEntry("flags");
  if (!isUint(timestampMs)) throw badEntry("timestamp");
  if (!isUint(expiresAtMs)) throw badEntry("expiry");
  if (typeof text !== "string") throw badEntry("value");
  const isText = base64 === undefined || (base64 === null && contentType !== undefined);
  if (!isText && (typeof base64 !== "string" || text !== "")) throw badEntry("base64");
  const value = isText ? textBytes(text) : fromBase64(base64 ?? "");
  const entry = { key, seq, term, flags, timestampMs, expiresAtMs, value };
  if (contentType === undefined) return entry;
  const isTyped = contentType !== "" || version === undefined;
  if (isTyped && !isMediaType(contentType)) throw badEntry("content type");
  if (version !== undefined && (!isUint(version) || version === 0)) throw badEntry("version");
  return {
    ...entry,
    ...(isTyped ? { contentType } : {}),
    ...(version === undefined ? {} : { version }),
  };
}

/** About how many bytes an entry of the wire takes. */
export function wireEntryBytes([key, , , , , , text, base64]: WireEntry): number {
  return (typeof key === "string" ? key : key.key64).length + text.length + (base64?.length ?? 0);
}

/** A key as a member of an array of the wire. */
export function toWireKey(key: string): WireKey {
  return key.isWellFormed() ? key : { key64: base64OfKey(key) };
}

/** The key of a member of an array. @throws {KvError} `bad_request` */
export function fromWireKey(wire: unknown): string {
  if (typeof wire === "string") {
    if (isKeyText(wire)) return wire;
  } else if (isObject(wire) && typeof wire.key64 === "string") {
    return keyOfBase64(wire.key64, "key64");
  }
  throw new KvError("bad_request", 'a key must be text or {"key64": base64}');
}

/** The key in a document that `keyField` made, such as the detail of an error; undefined if there is none. */
export function keyOfField(name: string, document: object): string | undefined {
  const { [name]: key, [`${name}64`]: key64 } = document as { [field: string]: unknown };
  if (typeof key === "string") return key;
  return typeof key64 === "string" ? keyOfBase64(key64, `${name}64`) : undefined;
}

/** The key that a field such as `key64` has. @throws {KvError} `bad_request` */
export function keyOfBase64(text: string, name: string): string {
  return keyOfBytes(fromBase64(text, name));
}

function badEntry(what: string): KvError {
  return new KvError(
    "bad_request",
    "an entry must be [key, seq, term, flags, timestamp, expiry, text, base64?, " +
      `content type?, version?]; wrong: ${what}`,
  );
}

/** The value as text, or undefined if base64 should be used. */
function asText(value: Uint8Array): string | undefined {
  if (value.length <= SHORT_BYTES) {
    const text = lenientText(value);
    if (!text.includes(REPLACEMENT)) return text;
    // Bytes that are not text: an exception for each value of a binary format would cost more than the rest.
    if (!hasReplacement(value)) return undefined;
  }
  if (value.length > TEXT_ALWAYS_BYTES && isShorterAsBase64(value)) return undefined;
  try {
    return decoder.decode(value);
  } catch {
    return undefined;
  }
}

/** Whether the bytes are themselves the UTF-8 form of {@linkcode REPLACEMENT}. */
function hasReplacement(value: Uint8Array): boolean {
  for (let at = value.indexOf(0xef); at >= 0; at = value.indexOf(0xef, at + 1)) {
    if (value[at + 1] === 0xbf && value[at + 2] === 0xbd) return true;
  }
  return false;
}

/** JSON's escapes make a text longer; base64 adds a third. */
function isShorterAsBase64(value: Uint8Array): boolean {
  let room = Math.ceil(value.length / 3) * 4 - value.length;
  for (let i = 0; i < value.length && room >= 0; i++) {
    const byte = value[i] ?? 0;
    if (byte < SPACE) room -= ((SHORT_ESCAPES >> byte) & 1) === 1 ? 1 : 5;
    else if (byte === QUOTE || byte === BACKSLASH) room--;
  }
  return room < 0;
}

function textBytes(text: string): Uint8Array {
  if (text === "") return NO_VALUE;
  // Half of a surrogate pair has no UTF-8 form: the encoder would silently write another character.
  if (!text.isWellFormed()) {
    throw new KvError(
      "bad_request",
      `"value" has half of a surrogate pair, which is not Unicode text; use "value64" for bytes`,
    );
  }
  return encoder.encode(text);
}

function toBase64(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
}

/** Only standard base64 with padding; the platform's decoder would ignore mistakes. */
function fromBase64(text: string, name = "value64"): Uint8Array {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const digits = padding === 0 ? text : text.slice(0, text.length - padding);
  if (text.length % 4 !== 0 || /[^A-Za-z0-9+/]/.test(digits)) {
    throw new KvError("bad_request", `"${name}" must be standard base64 with padding`);
  }
  const bytes = Buffer.from(text, "base64");
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
