/**
 * The messages of watches, as rows of the table of messages (`wire/messages.ts`): docs/watch.md.
 *
 * @module
 */
import { field, flag, keyText, oneOf, optional, text, uint } from "./fields.ts";
import { message, type MessageSpec } from "./reply_messages.ts";
import { keyTexts, positions } from "./watch_fields.ts";

/** Which keys are watched: these, and those that begin with one of these. */
const selection = { keys: optional(keyTexts), prefixes: optional(keyTexts) };

/** The rows. Add at the end; never remove. */
export const WATCH_MESSAGES = {
  /**
   * What has been committed beyond these positions, of the partitions of which the node is primary. Answered by
   * `changes` as soon as there is something, or after `wait_ms`.
   */
  watch_node: message(1, "request", {
    ...selection,
    positions,
    /** Without the values. */
    bare: optional(flag),
    wait_ms: optional(uint),
    timeout_ms: optional(uint),
    /** As in `scan_node`. */
    of: optional(text),
  }),
  /**
   * Watches keys: `event` messages follow, with the request's id as `watch`, until `unwatch` or the end of the
   * connection. Answered by `ack`.
   */
  watch: message(1, "request", {
    ...selection,
    /** Of which database; default: `default`. */
    database: optional(text),
    /** Begin with the entries that are there. */
    snapshot: optional(flag),
    /** Begin where another watch of the same keys was. */
    token: optional(text),
  }),
  /** Ends the watch whose request had this id. Answered by `ack`. */
  unwatch: message(1, "request", { watch: field<number | string>("an id", isId) }),
  event: message(1, "push", {
    watch: field<number | string>("an id", isId),
    type: oneOf("put", "delete", "expired", "level", "progress", "reset", "error"),
    key: optional(keyText),
    value: optional(text),
    value64: optional(text),
    version: optional(uint),
    timestamp: optional(uint),
    expires_at: optional(uint),
    content_type: optional(text),
    /** From where another watch goes on behind this event. */
    token: optional(text),
    /** Of `error`, with which the watch ends. */
    code: optional(text),
    message: optional(text),
  }),
} as const satisfies Record<string, MessageSpec>;

function isId(value: unknown): boolean {
  return typeof value === "string" || typeof value === "number";
}
