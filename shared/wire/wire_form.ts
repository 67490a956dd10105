/**
 * Requests and replies as they leave a process. Inside one, a value is bytes (`bytes`,
 * `previous_bytes`, those of `local_entries`), so that a front end which speaks in bytes needs no detour over
 * text; on the wire it is text or base64. So is the key at which a page ends. Nothing else of a message is changed,
 * and one without these is given back as it is.
 *
 * @module
 */
import type { Entry } from "../base/entry.ts";
import { keyField } from "../base/key_text.ts";
import { encodeValue, toWireEntry } from "../schema/value_codec.ts";

/** What may stand in a message beside its other fields. */
interface Carrier {
  readonly req_type?: string;
  readonly bytes?: Uint8Array | undefined;
  readonly previous_bytes?: Uint8Array | undefined;
  readonly local_entries?: readonly Entry[] | undefined;
  /** Of a page: a key. */
  readonly next?: unknown;
  readonly requests?: unknown;
  readonly result?: unknown;
}

/** A message with its values as the wire has them. */
export function wireForm<M extends object>(message: M): M {
  const { bytes, previous_bytes: previous, local_entries: entries, next, requests, result } =
    message as Carrier;
  if (bytes !== undefined) return withValue(message as Carrier, bytes) as M;
  if (previous !== undefined) return withPrevious(message as Carrier, previous) as M;
  if (entries !== undefined) return withEntries(message as Carrier, entries) as M;
  if (typeof next === "string" && !next.isWellFormed()) return withNext(message as Carrier) as M;
  if (Array.isArray(requests)) return { ...message, requests: requests.map(formOfAny) };
  if (Array.isArray(result)) return { ...message, result: result.map(formOfAny) };
  return message;
}

function withEntries({ local_entries: _, ...rest }: Carrier, entries: readonly Entry[]): object {
  return { ...withNext(rest), entries: entries.map(toWireEntry) };
}

/** A page that ends at a key which is not text. */
function withNext({ next, ...rest }: Carrier): object {
  return { ...rest, ...(typeof next === "string" ? keyField("next", next) : {}) };
}

/** A member of a group of requests or replies. */
function formOfAny(member: unknown): unknown {
  return typeof member === "object" && member !== null ? wireForm(member) : member;
}

function withValue({ bytes: _, ...rest }: Carrier, value: Uint8Array): object {
  const encoded = encodeValue(value);
  // A reply's name for it is `message`, and it stands there even if the value is in base64.
  if (rest.req_type !== "data") return { ...rest, ...encoded };
  const { req_type, ...others } = rest;
  return "value" in encoded
    ? { req_type, message: encoded.value, ...others }
    : { req_type, message: "", value64: encoded.value64, ...others };
}

function withPrevious({ previous_bytes: _, ...rest }: Carrier, value: Uint8Array): object {
  const encoded = encodeValue(value);
  return "value" in encoded
    ? { ...rest, previous: encoded.value }
    : { ...rest, previous64: encoded.value64 };
}
