/** `delete`: deletes a key. @module */
import {
  ALL_FRONT_ENDS,
  CONDITION_FIELDS,
  DELETION,
  noSuchKey,
  previousOf,
  versionRefusal,
  WRITE_FIELDS,
  type WriteOperation,
} from "./operation.ts";

const FIELDS = { ...WRITE_FIELDS, ...CONDITION_FIELDS };

export const remove: WriteOperation<typeof FIELDS> = {
  kind: "write",
  since: 1,
  summary: "Delete a key",
  reply: "ack",
  answers: "ack with the version of the deletion; not_found if there is no such key",
  errors: ["not_found", "version_mismatch"],
  arguments: [],
  frontEnds: ALL_FRONT_ENDS,
  aliases: ["del"],
  example: { words: ["username"], before: "alice" },
  fields: FIELDS,
  needsCurrent: () => true,
  evaluate(request, current) {
    if (current === undefined) {
      return { answer: versionRefusal(request, current) ?? noSuchKey(request) };
    }
    const refused = versionRefusal(request, current);
    if (refused !== undefined) return { answer: refused };
    if (request.previous !== true) return { write: DELETION };
    const before = previousOf(current);
    return {
      write: DELETION,
      reply: (version) => ({ req_type: "ack", message: "success", version, ...before }),
    };
  },
};
