/**
 * The wire's `scan`, `count` and `delete_matching`, answered by a database: the same at a node and at the coordinator.
 *
 * @module
 */
import type { Clock } from "../platform/clock.ts";
import type { Database } from "../database/database.ts";
import { toErrorReply } from "../wire/error_reply.ts";
import { failureOf, KvError } from "../base/errors.ts";
import { DELETES_IN_FLIGHT_MAX, REQUEST_TIMEOUT_MS, SCAN_KEYS_DEFAULT } from "../base/limits.ts";
import type { Message, Reply } from "../wire/messages.ts";
import { checkKeyBounds } from "../validation/request_checks.ts";
import { toWireEntry } from "../schema/value_codec.ts";

/** @throws {KvError} `bad_request` */
export function serveScan(
  database: Pick<Database, "scan">,
  request: Message<"scan">,
  reply: (reply: Reply) => void,
): void {
  checkKeyBounds(request);
  const { limit = SCAN_KEYS_DEFAULT, timeout_ms: timeoutMs = REQUEST_TIMEOUT_MS } = request;
  database.scan({ ...request, limit }, timeoutMs, (page) => {
    if ("req_type" in page) {
      reply(page);
      return;
    }
    const entries = page.entries.map(toWireEntry);
    reply(
      page.next === undefined
        ? { req_type: "entries", entries }
        : { req_type: "entries", entries, next: page.next },
    );
  });
}

/** @throws {KvError} `bad_request` */
export function serveCount(
  database: Pick<Database, "count">,
  request: Message<"count">,
  reply: (reply: Reply) => void,
): void {
  checkKeyBounds(request);
  const { timeout_ms: timeoutMs = REQUEST_TIMEOUT_MS } = request;
  database.count(request, timeoutMs, (count) => {
    reply(typeof count === "number" ? { req_type: "result", result: count } : count);
  });
}

/**
 * Deletes page by page, each key by itself. Ends early, saying where to go on, when the time is half gone:
 * a page that its deadline cut short would end as an error.
 *
 * @throws {KvError} `bad_request`
 */
export function serveDeleteMatching(
  clock: Clock,
  database: Pick<Database, "scan" | "execute">,
  request: Message<"delete_matching">,
  reply: (reply: Reply) => void,
): void {
  checkKeyBounds(request);
  const { prefix, start, end, timeout_ms: timeoutMs = REQUEST_TIMEOUT_MS } = request;
  if (prefix === undefined && start === undefined && end === undefined) {
    throw new KvError(
      "bad_request",
      `delete_matching: say which keys, by "prefix", "start" or "end"; all of them: "prefix":""`,
    );
  }
  const untilMs = clock.monotonicMs() + timeoutMs;
  const leftMs = () => Math.max(1, Math.ceil(untilMs - clock.monotonicMs()));
  let deleted = 0;
  const refuse = (error: Message<"error">, after: string | undefined) =>
    reply({ ...error, detail: { ...error.detail ?? {}, deleted, after } });
  const deleteOne = (key: string, done: (reply: Reply) => void): void => {
    try {
      database.execute({ req_type: "delete", key }, leftMs(), done);
    } catch (error) {
      // A key that the request checks of this process refuse may be in the cluster all the same.
      done(toErrorReply(failureOf(error)));
    }
  };
  const deletePage = (after: string | undefined): void => {
    const page = { prefix, start, end, after, limit: DELETES_IN_FLIGHT_MAX };
    database.scan(page, leftMs(), (found) => {
      if ("req_type" in found) {
        refuse(found, after);
        return;
      }
      // One more than there are, so that the page does not end before all have begun.
      let open = found.entries.length + 1;
      let failed: Message<"error"> | undefined;
      const ended = () => {
        if (--open > 0) return;
        if (failed !== undefined) refuse(failed, after);
        else if (found.next === undefined) reply({ req_type: "result", result: { deleted } });
        else if (leftMs() < timeoutMs / 2) {
          reply({ req_type: "result", result: { deleted, next: found.next } });
        } else deletePage(found.next);
      };
      for (const { key } of found.entries) {
        deleteOne(key, (answer) => {
          if (answer.req_type !== "error") deleted++;
          // Somebody else may have been faster.
          else if (answer.code !== "not_found") failed ??= answer;
          ended();
        });
      }
      ended();
    });
  };
  deletePage(request.after);
}
