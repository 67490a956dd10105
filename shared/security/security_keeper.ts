/**
 * Keeps the document of users, roles and tokens. An order becomes a change of the document that counts; it counts
 * itself, and is answered, when it is on disk. Changes are made one at a time, so that one that cannot be written is in
 * no other: its order is answered with the reason, and the next one begins from what is on disk.
 *
 * Versions do not go back. If somebody else has a later version than is on this disk, an older copy of the document was put
 * back: that is said, until the next change is made, which gets a version above all that were seen, so that it counts
 * everywhere.
 *
 * Invariants: versions grow with each change, in the order in which changes were made; nobody is judged
 * by a document that is not on disk; each order is answered once.
 *
 * @module
 */
import { failureOf, KvError } from "../base/errors.ts";
import { SECURITY_VERSION_JUMP_MAX } from "../limits/security.ts";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { type Address, formatAddress } from "../platform/transport.ts";
import { AccessControl, type Principal } from "./access_control.ts";
import type { AuditedCaller, AuditEvent, AuditLog } from "./audit_log.ts";
import { LoginThrottle } from "./login/login_throttle.ts";
import type { PasswordHasher } from "./login/password.ts";
import { type OrderedChange, SecurityAdmin } from "./security_admin.ts";
import type { SecurityDocument } from "./security_document.ts";
import { toErrorReply } from "../wire/error_reply.ts";
import type { Message, Reply, Request, SecurityOrder } from "../wire/messages.ts";

/** What it is given. */
export interface SecurityKeeperDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly hasher: PasswordHasher;
  readonly audit: AuditLog;
  /**
   * Writes the document. Resolves when it is on disk.
   *
   * @throws {KvError} `storage_failed`; `stale_document` if nothing may be changed; `outcome_unknown`
   */
  write(document: SecurityDocument): Promise<void>;
  /** Judges by what is on disk, for longer than this keeper is there. Default: one of its own. */
  readonly access?: AccessControl | undefined;
}

/** Whose order it is. */
export interface OrderedBy {
  readonly principal: Principal;
  readonly remote: Address;
}

/** A change, and who makes it. */
export interface Change {
  /** The type of the request that asks for it. */
  readonly what: string;
  /** Asked when the change is to be made. */
  whyRefused(): KvError | undefined;
  readonly audited: AuditEvent;
  readonly caller: AuditedCaller;
}

/** A change that can be made. */
interface DueChange {
  readonly change: OrderedChange;
  readonly about: Change;
  readonly reply: (reply: Reply) => void;
}

/** The keeper. One for a process that is asked to change the document. */
export class SecurityKeeper {
  /** Judges by what is on disk. */
  readonly access: AccessControl;
  readonly #deps: SecurityKeeperDeps;
  readonly #admin: SecurityAdmin;
  /** Behind the one that is being written. As many as there are requests under way, which is bounded elsewhere. */
  readonly #due: DueChange[] = [];
  #writing = false;
  #document: SecurityDocument;
  /** The latest version that a member has shown. */
  #seen = { version: 0, by: "" };

  constructor(deps: SecurityKeeperDeps, document: SecurityDocument) {
    this.#deps = deps;
    this.#document = document;
    this.#admin = new SecurityAdmin(deps);
    this.access = deps.access ??
      new AccessControl({ ...deps, throttle: new LoginThrottle() }, document);
  }

  /** The document that counts. */
  get document(): SecurityDocument {
    return this.#document;
  }

  /**
   * A member goes by a document of this version.
   *
   * @returns what to tell an operator, if it is later than the one that is kept, and that was not known
   */
  noteVersion(version: number, by: string): string | undefined {
    if (version <= Math.max(this.#document.version, this.#seen.version)) return undefined;
    if (version > this.#document.version + SECURITY_VERSION_JUMP_MAX) return undefined;
    this.#seen = { version, by };
    return this.newerSeen;
  }

  /** Whether, and by whom, a later version of the document was seen than the one that counts here. */
  get newerSeen(): string | undefined {
    const { version, by } = this.#seen;
    const ours = this.#document.version;
    if (version <= ours) return undefined;
    return `node ${by} has users and roles of version ${version}, and this coordinator those of version ${ours}: an older ` +
      "copy of users and roles was put back; nodes go by the newer ones until something is changed here. Revoke and change " +
      "again what was revoked and changed since";
  }

  /** Carries an order out; whether it may be given was judged before. */
  order(order: SecurityOrder, by: OrderedBy, reply: (reply: Reply) => void): void {
    this.carryOut(this.#admin.prepare(order), this.changeBy(order, nameIn(order), by), reply);
  }

  /** An administrator's change, for {@linkcode carryOut}: it is made if its user may still order it then. */
  changeBy(order: Request, name: string, { principal, remote }: OrderedBy): Change {
    return {
      what: order.req_type,
      whyRefused: () => this.access.whyRefused(order, principal, remote),
      audited: { event: "changed", what: order.req_type, name },
      caller: { user: principal.name, from: formatAddress(remote) },
    };
  }

  /** Makes a change, once it is known what it is. Answered when it is on disk. */
  carryOut(
    prepared: Promise<OrderedChange>,
    about: Change,
    reply: (reply: Reply) => void,
  ): void {
    prepared.then(
      (change) => {
        this.#due.push({ change, about, reply });
        this.#makeNext();
      },
      (error) => reply(toErrorReply(failureOf(error))),
    );
  }

  #makeNext(): void {
    while (!this.#writing) {
      const due = this.#due.shift();
      if (due === undefined) return;
      try {
        this.#make(due);
      } catch (error) {
        due.reply(toErrorReply(failureOf(error)));
      }
    }
  }

  #make(due: DueChange): void {
    const { change, about, reply } = due;
    // While a password was hashed or another change was written, whoever gave the order may have lost the right to.
    const refusal = about.whyRefused();
    if (refusal !== undefined) throw refusal;
    const before = this.#document;
    const { document, result } = change(before);
    if (document === before) reply({ req_type: "result", result });
    else {
      const version = Math.max(document.version, this.#seen.version + 1);
      this.#write(due, { ...document, version }, result);
    }
  }

  #write({ about, reply }: DueChange, document: SecurityDocument, result: unknown): void {
    this.#writing = true;
    const done = (answer: Reply) => {
      this.#writing = false;
      reply(answer);
      this.#makeNext();
    };
    this.#deps.write(document).then(
      () => {
        this.#document = document;
        this.access.adopt(document);
        this.#deps.audit.note(about.audited, about.caller);
        done({ req_type: "result", result });
      },
      (error) => {
        const { code, message } = failureOf(error);
        const isKnown = code !== "outcome_unknown";
        const text = `${about.what}: ${isKnown ? "this change does not count: " : ""}${message}`;
        done(toErrorReply(new KvError(code, text, { cause: error })));
      },
    );
  }
}

/** What is answered to an order if there are no users. */
export function notSecured({ req_type }: Message): KvError {
  return new KvError("bad_request", `${req_type}: this process is not secured, it has no users`);
}

/** What an order is about. */
function nameIn(order: SecurityOrder): string {
  if ("token" in order) return order.token;
  if ("role" in order) return order.role;
  return "user" in order ? order.user ?? "" : "";
}
