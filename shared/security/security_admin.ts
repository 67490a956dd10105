/**
 * Orders of an administrator about users, roles and tokens, as changes of the document. What takes time (the
 * hash of a password) comes first; the change itself is made at once, of the newest document, so that no two
 * orders undo each other.
 *
 * Invariants: nothing that is answered tells a password, a hash of one or a token's secret, but for a new
 * token's text, which is told once, to whoever ordered it.
 *
 * @module
 */
import type { MemberRole } from "../platform/member_identity.ts";
import { KvError } from "../base/errors.ts";
import { JOIN_TOKEN_LIFETIME_MS, USER_TOKEN_LIFETIME_MS } from "../limits/security.ts";
import { Secret } from "../base/secret.ts";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import type { Message, SecurityOrder } from "../wire/messages.ts";
import { fingerprintOfPem } from "./authority_fingerprint.ts";
import { createToken, type StoredJoinToken, type StoredToken } from "./user_token.ts";
import type { PasswordHasher } from "./login/password.ts";
import {
  addJoinToken,
  addToken,
  addUser,
  changeUser,
  removeRole,
  removeUser,
  revokeToken,
  type SecurityDocument,
  setRole,
  type User,
} from "./security_document.ts";

/** What an order comes to: the document after it (the same one if nothing changes), and the answer. */
export interface OrderOutcome {
  readonly document: SecurityDocument;
  readonly result: unknown;
}

/** A change that can be made at once. @throws {KvError} why it cannot */
export type OrderedChange = (document: SecurityDocument) => OrderOutcome;

/** Makes changes of orders. */
export class SecurityAdmin {
  readonly #deps: { clock: Pick<Clock, "wallMs">; random: Random; hasher: PasswordHasher };

  constructor(deps: { clock: Pick<Clock, "wallMs">; random: Random; hasher: PasswordHasher }) {
    this.#deps = deps;
  }

  /** @throws {KvError} `bad_request`, `overloaded` while too many passwords are being hashed */
  async prepare(order: SecurityOrder): Promise<OrderedChange> {
    switch (order.req_type) {
      case "user_add": {
        const user = { name: order.user, roles: [], ...await this.#userFields(order) };
        return (document) => done(addUser(document, user), { user: user.name });
      }
      case "user_change": {
        const change = await this.#userFields(order);
        if (Object.keys(change).length === 0) {
          throw new KvError("bad_request", "user_change: give a password, roles, or both");
        }
        return (document) => done(changeUser(document, order.user, change), { user: order.user });
      }
      case "user_remove":
        return (document) => done(removeUser(document, order.user), { user: order.user });
      case "user_list":
        return (document) => done(document, document.users.map(shownUser));
      case "role_set": {
        const grants = order.grants.map(({ database, prefix, right }) => ({
          database,
          prefix,
          right,
        }));
        return (document) =>
          done(setRole(document, { name: order.role, grants }), { role: order.role });
      }
      case "role_remove":
        return (document) => done(removeRole(document, order.role), { role: order.role });
      case "role_list":
        return (document) => done(document, document.roles);
      case "token_create":
        return this.#tokenCreate(order);
      case "token_list":
        return (document) =>
          done(document, [...document.tokens, ...document.joins].map(shownToken));
      case "token_revoke":
        return (document) => done(revokeToken(document, order.token), { token: order.token });
    }
  }

  /** JSON null stands for an absent field. */
  async #userFields(
    { password, roles }: Message<"user_add" | "user_change">,
  ): Promise<Partial<Omit<User, "name">>> {
    const { hasher, random } = this.#deps;
    const given = typeof password === "string" ? new Secret(password) : undefined;
    return {
      ...(Array.isArray(roles) ? { roles: [...new Set<string>(roles)] } : {}),
      ...(given === undefined ? {} : { passwordHash: await hasher.hash(given, random) }),
    };
  }

  #tokenCreate({ user, join, ttl_ms }: Message<"token_create">): OrderedChange {
    // JSON null stands for an absent field.
    if ((typeof user === "string") === (typeof join === "string")) {
      throw new KvError(
        "bad_request",
        "token_create: say whom the token logs in (user), or that a node or a coordinator joins by it (join)",
      );
    }
    const { clock, random } = this.#deps;
    const maxMs = typeof user === "string" ? USER_TOKEN_LIFETIME_MS : JOIN_TOKEN_LIFETIME_MS;
    const lifetimeMs = ttl_ms ?? maxMs;
    if (lifetimeMs > maxMs) {
      throw new KvError("bad_request", `token_create: "ttl_ms" may be ${maxMs}, not more`);
    }
    return (document) => {
      const nowMs = clock.wallMs();
      const fingerprint = fingerprintOfPem(document.authorities[0] ?? "");
      if (typeof user === "string") {
        const { text, stored } = createToken(random, fingerprint, { user }, nowMs, lifetimeMs);
        const shown = { ...shownToken(stored), text: text.reveal() };
        return done(addToken(document, stored, nowMs), shown);
      }
      const role: MemberRole = join === "coordinator" ? "coordinator" : "node";
      const { text, stored } = createToken(random, fingerprint, { role }, nowMs, lifetimeMs);
      const shown = { ...shownToken(stored), text: text.reveal() };
      return done(addJoinToken(document, stored, nowMs), shown);
    };
  }
}

function done(document: SecurityDocument, result: unknown): OrderOutcome {
  return { document, result };
}

function shownUser({ name, passwordHash, roles }: User): Record<string, unknown> {
  return { user: name, password: passwordHash !== undefined, roles };
}

function shownToken(token: StoredToken | StoredJoinToken): Record<string, unknown> {
  const { id, madeMs, untilMs } = token;
  const isFor = "user" in token ? { user: token.user } : { join: token.role };
  return { token: id, ...isFor, made: madeMs, until: untilMs };
}
