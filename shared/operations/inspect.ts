/** `inspect`: what is known about a key besides its value. @module */
import {
  ALL_FRONT_ENDS,
  noSuchKey,
  READ_FIELDS,
  type ReadOperation,
  resultReply,
} from "./operation.ts";

export const inspect: ReadOperation<typeof READ_FIELDS> = {
  kind: "read",
  since: 1,
  summary: "Length, version, timestamp, expiry and media type of a key, without its value",
  reply: "result",
  answers:
    "result: an object with length (bytes), version, timestamp, expires_at and ttl_ms if the key " +
    "expires, and content_type if it has one; not_found if there is no such key",
  errors: ["not_found"],
  arguments: [],
  frontEnds: ALL_FRONT_ENDS,
  example: { words: ["session:7"], before: "alice", expires: true },
  fields: READ_FIELDS,
  read(request, entry, wallMs) {
    if (entry === undefined) return noSuchKey(request);
    const { value, seq, timestampMs, expiresAtMs, contentType } = entry;
    const expiry = expiresAtMs === 0
      ? {}
      : { expires_at: expiresAtMs, ttl_ms: Math.max(0, expiresAtMs - wallMs) };
    return resultReply({
      length: value.length,
      version: seq,
      timestamp: timestampMs,
      ...expiry,
      ...(contentType === undefined ? {} : { content_type: contentType }),
    });
  },
};
