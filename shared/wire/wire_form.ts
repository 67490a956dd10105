/**
 * Requests and replies as they leave a process. Inside one, a value is bytes (`bytes`,
 * `previous_bytes`, those of `local_entries`), so that a front end which speaks in bytes needs no detour over
 * text; on the wire it is text or base64. Nothing else of a message is changed, and one without bytes is given back as it is.
 *
 * @module
 */
import type { Entry } from "../base/entry.ts";
import { encodeValue, toWireEntry } from "../schema/value_codec.ts";

/** What may stand in a message beside its other fields. */
interface Carrier {
  readonly req_type?: string;
  readonly bytes?: Uint8Array | undefined;
  readonly previous_bytes?: Uint8Array | undefined;
  readonly local_entries?: readonly Entry[] | undefined;
  readonly requests?: unknown;
  readonly result?: unknown;
}

/** A message with its values as the wire has them. */
export function wireForm<M extends object>(message: M): M {
  const { bytes, previous_bytes: previous, local_entries: entries, requests, result } =
    message as Carrier;
  if (bytes !== undefined) return withValue(message as Carrier, bytes) as M;
  if (previous !== undefined) return withPrevious(message as Carrier, previous) as M;
  if (entries !== undefined) return withEntries(message as Carrier, entries) as M;
  if (Array.isArray(requests)) return { ...message, requests: requests.map(formOfAny) };
  if (Array.isArray(result)) return { ...message, result: result.map(formOfAny) };
  return message;
}

function withEntries({ local_entries: _, ...rest }: Carrier, entries: readonly Entry[]): object {
  return { ...rest, entries: entries.map(toWireEntry) };
}

/** A member of a group of requests or replies. */
function formOfAny(member: unknown): unknown {
  return typeof member === "object" && member !== null ? wireForm(member) : member;
}

function withValue({ bytes: _, ...rest }: Carrier, value: Uint8Array): object {
  const encoded = encodeValue(value);
  // A reply's name for it is `message`, and it stands there even where the value is in base64.
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
