/**
 * The wire's `scan` and `count`, answered by a database: the same at a node and at the coordinator.
 *
 * @module
 */
import type { Database } from "./database.ts";
import { REQUEST_TIMEOUT_MS, SCAN_KEYS_DEFAULT } from "./limits.ts";
import type { Message, Reply } from "./messages.ts";
import { checkKeyBounds } from "./request_checks.ts";
import { toWireEntry } from "./value_codec.ts";

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
