/**
 * The orders of an administrator about users, roles, tokens and certificates, and what a machine asks that becomes a
 * member, as rows of the table of messages (`wire/messages.ts`). Each is answered by `result`; if it changes something,
 * when that is on disk.
 *
 * @module
 */
import { isObject } from "../cluster/map_shape.ts";
import { texts } from "./cluster_fields.ts";
import { field, flag, oneOf, optional, positiveDuration, text } from "./fields.ts";
import { message, type MessageSpec } from "./reply_messages.ts";

/** A right on the keys of a database that begin with a prefix; see shared/security/rights.ts. */
export interface WireGrant {
  readonly database: string;
  readonly prefix: string;
  readonly right: "read" | "write" | "admin" | "monitor";
}

const GRANT_TEXTS = ["database", "prefix", "right"];
const grants = field<readonly WireGrant[]>(
  "an array of {database, prefix, right}",
  (value) =>
    Array.isArray(value) &&
    value.every((grant: unknown) =>
      isObject(grant) && GRANT_TEXTS.every((name) => typeof grant[name] === "string")
    ),
);

/** The rows. Add at the end; never remove. */
export const SECURITY_MESSAGES = {
  /** Without a password it logs in by token only. */
  user_add: message(1, "request", {
    user: text,
    password: optional(text),
    roles: optional(texts),
  }),
  /** A new password, other roles, or both; what is absent stays as it is. */
  user_change: message(1, "request", {
    user: text,
    password: optional(text),
    roles: optional(texts),
  }),
  user_remove: message(1, "request", { user: text }),
  user_list: message(1, "request", {}),
  /** Makes a role, or gives one that exists these grants in place of its own. */
  role_set: message(1, "request", { role: text, grants }),
  role_remove: message(1, "request", { role: text }),
  role_list: message(1, "request", {}),
  /** Whoever has it logs in as the user, or, with `join`, makes a machine a member. */
  token_create: message(1, "request", {
    user: optional(text),
    ttl_ms: optional(positiveDuration),
    join: optional(oneOf("node", "coordinator")),
  }),
  token_list: message(1, "request", {}),
  /** `token` is its id, as `token_list` shows it. */
  token_revoke: message(1, "request", { token: text }),
} as const satisfies Record<string, MessageSpec>;

/** About members' certificates. Add at the end; never remove. */
export const CERTIFICATE_MESSAGES = {
  cert_list: message(1, "request", {}),
  /** `certificate` is a serial, or a member's id for all that it has. */
  cert_revoke: message(1, "request", { certificate: text }),
  /** A new authority signs from now on; with `finish`, those before it are not trusted any more. */
  cert_rotate: message(1, "request", { finish: optional(flag), force: optional(flag) }),
} as const satisfies Record<string, MessageSpec>;

/** What a machine asks that becomes a member. Add at the end; never remove. */
export const JOIN_MESSAGES = {
  /** The authorities' certificates, which are no secret. Answer: `{cluster, authorities}`. */
  get_authorities: message(1, "request", {}),
  /** Answer: `{cluster, certificate, authorities, document}`, the last as `security` has it. */
  join: message(1, "request", {
    /** The secret part of a token; sent only to a server that the authority of the token's hash has signed. */
    secret: text,
    /** Its id. */
    node: text,
    /** PKCS #10, PEM: proves that the sender has the key. Nothing else is taken from it. */
    certificate_request: text,
    /** Names and addresses at which clients reach it. */
    hosts: texts,
    /** It holds its data in memory, so its certificate is good for a day at most. */
    memory: optional(flag),
    /** As what it joins; absent: as a node. The token must be one for that. */
    role: optional(oneOf("node", "coordinator")),
  }),
} as const satisfies Record<string, MessageSpec>;
