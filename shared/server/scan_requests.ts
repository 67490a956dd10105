/**
 * The wire's `scan`, `count` and `delete_matching`, answered by a database; node and coordinator share it.
 *
 * @module
 */
import { deleteMatching, type DeletionDeps } from "../database/delete_matching.ts";
import type { Database } from "../database/database.ts";
import { KvError } from "../base/errors.ts";
import { keyField } from "../base/key_text.ts";
import { REQUEST_TIMEOUT_MS } from "../limits/requests.ts";
import { SCAN_KEYS_DEFAULT } from "../limits/scans.ts";
import type { Message, Reply } from "../wire/messages.ts";
import { ON_BEHALF, userOf } from "../wire/on_behalf.ts";
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
 * Deletes page by page, each key by itself, until half of the time has passed. An error says in its
 * detail how many keys are deleted, and where to go on.
 *
 * @throws {KvError} `bad_request`
 */
export function serveDeleteMatching(
  deps: DeletionDeps,
  request: Message<"delete_matching">,
  reply: (reply: Reply) => void,
): void {
  checkKeyBounds(request);
  const { prefix, start, end, after, timeout_ms: timeoutMs = REQUEST_TIMEOUT_MS } = request;
  if (prefix === undefined && start === undefined && end === undefined) {
    throw new KvError(
      "bad_request",
      `delete_matching: give "prefix", "start" or "end"; for all keys, "prefix":""`,
    );
  }
  const user = { [ON_BEHALF]: userOf(request) };
  const order = { prefix, start, end, after, timeoutMs, until: "half", ...user } as const;
  deleteMatching(deps, order, ({ deleted, after, error }) => {
    if (error !== undefined) {
      const at = after === undefined ? {} : keyField("after", after);
      reply({ ...error, detail: { ...error.detail ?? {}, deleted, ...at } });
    } else {
      const result = after === undefined ? { deleted } : { deleted, ...keyField("next", after) };
      reply({ req_type: "result", result });
    }
  });
}
