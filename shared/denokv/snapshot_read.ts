/**
 * A read of Deno KV as a request of the store, and the answer back. Ranges of one key each, which is what `get` and `getMany`
 * ask for, become reads of keys; any others become one read of ranges. Both are of one moment.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { keyOfBytes } from "../base/key_text.ts";
import { RANGES_ENTRIES_MAX, RANGES_MAX } from "../limits/requests.ts";
import { fromWireEntry } from "../schema/value_codec.ts";
import { fromErrorReply } from "../wire/error_reply.ts";
import type { KeyRequest, Message, Reply } from "../wire/messages.ts";
import type { EntryMessage, RangeMessage } from "./datapath.ts";
import { dataMessage, entryMessage } from "./values.ts";

/** Names the partition in which all keys of a database of Deno KV lie. Nothing is read or written under it. */
export const ANY_KEY = "k";

/** @throws {KvError} `bad_request` for a limit that is none, or for more than is read at once */
export function checkSnapshotRead(ranges: readonly RangeMessage[]): void {
  if (ranges.length > RANGES_MAX) {
    throw new KvError(
      "bad_request",
      `a read may have ${RANGES_MAX} ranges, and has ${ranges.length}`,
    );
  }
  let entries = 0;
  for (const { limit } of ranges) {
    if (limit <= 0) {
      throw new KvError("bad_request", `the limit of a range must be positive, and is ${limit}`);
    }
    entries += limit;
  }
  if (entries > RANGES_ENTRIES_MAX) {
    throw new KvError(
      "bad_request",
      `a read may ask for ${RANGES_ENTRIES_MAX} entries, and asks for ${entries}; choose a smaller batchSize`,
    );
  }
}

/** The request for ranges that have been checked; there is at least one. */
export function snapshotReadRequest(ranges: readonly RangeMessage[]): KeyRequest {
  if (!ranges.every(isOneKey)) {
    return {
      req_type: "read_ranges",
      key: ANY_KEY,
      ranges: ranges.map(({ start, end, limit, reverse }) => ({
        start: keyOfBytes(start),
        end: keyOfBytes(end),
        limit,
        reverse,
      })),
    };
  }
  const requests = ranges.map(({ start }): Message<"get"> => ({
    req_type: "get",
    key: keyOfBytes(start),
  }));
  const [only] = requests;
  if (only !== undefined && requests.length === 1) return only;
  return { req_type: "transaction", key: ANY_KEY, requests };
}

/** Whether there is exactly one key from `start` to `end`: `end` is the next possible one. */
function isOneKey({ start, end }: RangeMessage): boolean {
  if (start.length === 0 || end.length !== start.length + 1 || end.at(-1) !== 0) return false;
  return start.every((byte, i) => byte === end[i]);
}

/** The entries of each range. @throws {KvError} the error that was answered */
export function snapshotReadOutput(
  ranges: readonly RangeMessage[],
  reply: Reply,
): EntryMessage[][] {
  if (reply.req_type === "entries") return entriesByRange(reply);
  const replies = reply.req_type === "result" && Array.isArray(reply.result)
    ? reply.result as readonly Reply[]
    : [reply];
  return ranges.map(({ start }, i) => {
    const one = replies[i];
    if (one?.req_type === "data") return [dataMessage(start, one)];
    if (one?.req_type === "error") {
      if (one.code === "not_found") return [];
      throw fromErrorReply(one);
    }
    throw new KvError("internal", `an unexpected reply: ${one?.req_type}`);
  });
}

function entriesByRange(reply: Message<"entries">): EntryMessage[][] {
  const entries = reply.local_entries ?? reply.entries.map(fromWireEntry);
  let at = 0;
  return (reply.counts ?? []).map((count) => {
    const range = entries.slice(at, at + count).map((entry) => entryMessage(entry));
    at += count;
    return range;
  });
}
