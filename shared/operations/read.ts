/** `get` and `exists`: look at a key. @module */
import {
  ALL_FRONT_ENDS,
  dataReply,
  noSuchKey,
  READ_FIELDS,
  type ReadOperation,
  resultReply,
} from "./operation.ts";

export const get: ReadOperation<typeof READ_FIELDS> = {
  kind: "read",
  since: 1,
  summary: "The value of a key, with version, timestamp and expiry",
  reply: "data",
  answers: "data; not_found if there is no such key",
  errors: ["not_found"],
  arguments: [],
  frontEnds: ALL_FRONT_ENDS,
  example: { words: ["username"], before: "alice" },
  fields: READ_FIELDS,
  read: (request, entry, wallMs) =>
    entry === undefined ? noSuchKey(request) : dataReply(entry, wallMs),
};

export const exists: ReadOperation<typeof READ_FIELDS> = {
  kind: "read",
  since: 1,
  summary: "Whether a key is there",
  reply: "result",
  answers: "result: true or false",
  errors: [],
  arguments: [],
  frontEnds: ALL_FRONT_ENDS,
  example: { words: ["username"], before: "alice" },
  fields: READ_FIELDS,
  read: (_request, entry) => resultReply(entry !== undefined),
};
