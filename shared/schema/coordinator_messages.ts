/**
 * The messages between coordinators, and an operator's orders about them, as rows of the table of messages
 * (`wire/messages.ts`). What `agree` contains is checked in `coordinator/agreement/envelope.ts`.
 *
 * @module
 */
import { texts } from "./cluster_fields.ts";
import { flag, object, optional, text } from "./fields.ts";
import { message, type MessageSpec } from "./reply_messages.ts";

/** The rows. Add at the end; never remove. */
export const COORDINATOR_MESSAGES = {
  /** One message of the agreement; see docs/coordinators.md. Any of them may be lost. */
  agree: message(1, "agreement", {
    /** Who sends it: `{id, folder, address, start, run, writes, at?}`. */
    from: object<object>(),
    /** The folder that it is for; absent for whoever is at the address. */
    to: optional(text),
    /** Of an answer: the run that has asked. */
    to_run: optional(text),
    body: object<object>(),
    /** Of a secured coordinator: its own certificate, `{serial, made_ms, until_ms, authority?}`, while `cert list` lacks it. */
    certificate: optional(object<object>()),
  }),
  /** A piece of the text of an `agree` that is longer than AGREEMENT_PART_CHARACTERS, in order. */
  agree_part: message(1, "agreement", { text, last: optional(flag) }),
  /** Who the coordinators are, and how they stand. Answered by `result`. */
  coordinators: message(1, "request", {}),
  /**
   * An operator's order: other coordinators, by name. `add` without names: all that wait. Answered by `result`, as
   * `coordinators` is, when the change is done.
   */
  coordinators_change: message(1, "request", { add: optional(texts), remove: optional(texts) }),
} as const satisfies Record<string, MessageSpec>;
