/**
 * Keeps the document of users, roles and tokens. An order becomes a change of the newest document; it counts,
 * and is answered, when it is on disk.
 *
 * Invariants: versions grow by one with each change, in the order in which changes were made; nobody is judged
 * by a document that is not on disk; each order is answered once.
 *
 * @module
 */
import { failureOf, KvError } from "../base/errors.ts";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { type Address, formatAddress } from "../platform/transport.ts";
import { AccessControl, type Principal } from "./access_control.ts";
import type { AuditLog } from "./audit_log.ts";
import { LoginThrottle } from "./login_throttle.ts";
import type { PasswordHasher } from "./password.ts";
import { type OrderedChange, SecurityAdmin } from "./security_admin.ts";
import type { SecurityDocument } from "./security_document.ts";
import { toErrorReply } from "../wire/error_reply.ts";
import type { Reply, SecurityOrder } from "../wire/messages.ts";

/** What it is given. */
export interface SecurityKeeperDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly hasher: PasswordHasher;
  readonly audit: AuditLog;
  /**
   * Has the document written; {@linkcode SecurityKeeper.persisted} follows, later.
   *
   * @throws {KvError} `stale_document` if nothing may be changed
   */
  write(document: SecurityDocument): void;
}

/** Whose order it is. */
export interface OrderedBy {
  readonly principal: Principal;
  readonly remote: Address;
}

/** The keeper. One for a secured process. */
export class SecurityKeeper {
  /** Judges by what is on disk. */
  readonly access: AccessControl;
  readonly #deps: SecurityKeeperDeps;
  readonly #admin: SecurityAdmin;
  /** With all changes that were made, on disk or on their way. */
  #newest: SecurityDocument;
  #waiting: { readonly version: number; answer(): void }[] = [];

  constructor(deps: SecurityKeeperDeps, document: SecurityDocument) {
    this.#deps = deps;
    this.#admin = new SecurityAdmin(deps);
    this.#newest = document;
    this.access = new AccessControl({ ...deps, throttle: new LoginThrottle() }, document);
  }

  /** Carries an order out; whether it may be given was judged before. */
  order(order: SecurityOrder, by: OrderedBy, reply: (reply: Reply) => void): void {
    this.#admin.prepare(order).then(
      (change) => this.#make(order, change, by, reply),
      (error) => reply(toErrorReply(failureOf(error))),
    );
  }

  /** The document is on disk. */
  persisted(document: SecurityDocument): void {
    this.access.adopt(document);
    const due = this.#waiting.filter(({ version }) => version <= document.version);
    this.#waiting = this.#waiting.filter(({ version }) => version > document.version);
    for (const { answer } of due) answer();
  }

  #make(
    order: SecurityOrder,
    change: OrderedChange,
    by: OrderedBy,
    reply: (reply: Reply) => void,
  ): void {
    // While a password was hashed, whoever gave the order may have lost the right to.
    const refusal = this.access.whyRefused(order, by.principal, by.remote);
    if (refusal !== undefined) {
      reply(toErrorReply(refusal));
      return;
    }
    try {
      const { document, result } = change(this.#newest);
      const answer = () => reply({ req_type: "result", result });
      if (document === this.#newest) answer();
      else this.#write(order, document, by, answer);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      reply(toErrorReply(error));
    }
  }

  #write(
    order: SecurityOrder,
    document: SecurityDocument,
    by: OrderedBy,
    answer: () => void,
  ): void {
    this.#deps.write(document);
    this.#newest = document;
    this.#waiting.push({ version: document.version, answer });
    this.#deps.audit.note(
      { event: "changed", what: order.req_type, name: nameIn(order) },
      { user: by.principal.name, from: formatAddress(by.remote) },
    );
  }
}

/** What is answered to an order if there are no users. */
export function notSecured({ req_type }: SecurityOrder): KvError {
  return new KvError("bad_request", `${req_type}: this process is not secured, it has no users`);
}

/** What an order is about. */
function nameIn(order: SecurityOrder): string {
  if ("token" in order) return order.token;
  if ("role" in order) return order.role;
  return "user" in order ? order.user : "";
}
