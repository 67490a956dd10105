/**
 * The messages between the nodes that carry out a transaction of several partitions, as rows of the table of
 * messages (`wire/messages.ts`). They are requests, routed by `key` like any other, and only nodes may send them. See
 * docs/transactions.md.
 *
 * @module
 */
import { array, flag, optional, text, uint } from "../schema/fields.ts";
import { message, type MessageSpec } from "../schema/reply_messages.ts";
import { type TransactionStep, versionChecks } from "./transaction.ts";

/** `key` is in the partition that is meant. */
const ROUTED = {
  key: text,
  timeout_ms: optional(uint),
  forwarded: optional(flag),
  relay: optional(flag),
  traceparent: optional(text),
};
/** Which attempt of a transaction: a name that no other has. */
const ATTEMPT = { attempt: text };
/** A partition's part of a transaction. */
const PART = { requests: array<TransactionStep>(), checks: optional(versionChecks) };

/** The rows. Each is answered by `result`: an array of a head, and for a part the replies to its requests. */
export const PART_MESSAGES = {
  /** Judge a part, and hold its keys until the end of the attempt. Rule X2. */
  prepare_part: message(1, "request", {
    ...ROUTED,
    ...ATTEMPT,
    ...PART,
    /** A key of the partition whose primary leads. */
    leader: text,
    /** Wait until the keys are free. Rule X9. */
    wait: optional(flag),
  }),
  /** Judge a part that only reads. Rule X10. */
  read_part: message(1, "request", { ...ROUTED, ...PART }),
  /** The end of an attempt: make its changes, if the intent is the one with this seq; drop it if not. Rule X6. */
  finish_part: message(1, "request", { ...ROUTED, ...ATTEMPT, commit: optional(uint) }),
  /** Asked of the leader's partition: what has become of an attempt? `part` is a key of the asking one. Rule X7. */
  transaction_status: message(1, "request", { ...ROUTED, ...ATTEMPT, part: text }),
} as const satisfies Record<string, MessageSpec>;

/** The name of such a message. */
export type PartMessageName = keyof typeof PART_MESSAGES;

/** What a part's answer begins with. */
export type PartHead =
  /** The keys are held. `seq` is the intent's; `writes`: it changes something. */
  | { readonly state: "prepared"; readonly seq: number; readonly writes: boolean }
  /** A key is held by another transaction. */
  | { readonly state: "conflict" }
  /** A check failed, or the part cannot be carried out: the reply says why. */
  | { readonly state: "refused" }
  /** What was read, and a stamp for each key: of two equal ones the key was the same in between. */
  | { readonly state: "read"; readonly stamps: readonly string[] }
  | { readonly state: "done" }
  /** What has become of an attempt; `seq` is that of the intent whose changes are to be made. */
  | { readonly state: "pending" }
  | { readonly state: "aborted" }
  | { readonly state: "committed"; readonly seq: number };
