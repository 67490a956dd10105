/**
 * The approximate memory of a request and a reply while they are under way: exact enough to bound it, and cheap enough
 * to be computed for each of them.
 *
 * @module
 */
import { REQUEST_OVERHEAD_BYTES } from "../limits/admission.ts";
import { WATCH_POSITION_BYTES } from "../limits/scans.ts";
import { wireEntryBytes } from "../schema/value_codec.ts";
import type { Reply } from "../wire/messages.ts";

/** The approximate bytes of the value in a reply. */
export function lengthOf(reply: Reply): number {
  switch (reply.req_type) {
    case "data":
      return reply.bytes?.length ?? (reply.message?.length ?? 0) + (reply.value64?.length ?? 0);
    case "ack":
      return reply.previous_bytes?.length ??
        (reply.previous?.length ?? 0) + (reply.previous64?.length ?? 0);
    case "entries": {
      let bytes = 0;
      for (const { key, value } of reply.local_entries ?? []) bytes += key.length + value.length;
      for (const entry of reply.entries) bytes += wireEntryBytes(entry);
      return bytes;
    }
    default:
      return 0;
  }
}

/** The approximate memory that a request holds until it is answered. */
export function sizeOf(request: object): number {
  let size = REQUEST_OVERHEAD_BYTES;
  // The elements of a batch have not been looked at yet.
  const { key, value, value64, bytes, requests, positions } = request as {
    [field: string]: unknown;
  };
  if (typeof key === "string") size += key.length;
  if (typeof value === "string") size += value.length;
  if (typeof value64 === "string") size += value64.length;
  if (bytes instanceof Uint8Array) size += bytes.length;
  if (Array.isArray(positions)) size += positions.length * WATCH_POSITION_BYTES;
  if (Array.isArray(requests)) {
    for (const inner of requests) {
      size += typeof inner === "object" && inner !== null ? sizeOf(inner) : REQUEST_OVERHEAD_BYTES;
    }
  }
  return size;
}
