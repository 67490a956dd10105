/**
 * Keeps the document of users, roles and tokens. An order becomes a change of the document that counts; it counts
 * itself, and is answered, when it is on disk. Changes are made one at a time, so that one that cannot be written is in
 * no other: its order is answered with the reason, and the next one begins from what is on disk.
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
import { LoginThrottle } from "./login/login_throttle.ts";
import type { PasswordHasher } from "./login/password.ts";
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
   * Writes the document. Resolves when it is on disk.
   *
   * @throws {KvError} `storage_failed`; `stale_document` if nothing may be changed
   */
  write(document: SecurityDocument): Promise<void>;
}

/** Whose order it is. */
export interface OrderedBy {
  readonly principal: Principal;
  readonly remote: Address;
}

/** An order whose change can be made. */
interface DueOrder {
  readonly order: SecurityOrder;
  readonly change: OrderedChange;
  readonly by: OrderedBy;
  readonly reply: (reply: Reply) => void;
}

/** The keeper. One for a secured process. */
export class SecurityKeeper {
  /** Judges by what is on disk. */
  readonly access: AccessControl;
  readonly #deps: SecurityKeeperDeps;
  readonly #admin: SecurityAdmin;
  /** Behind the one that is being written. As many as there are requests under way, which is bounded elsewhere. */
  readonly #due: DueOrder[] = [];
  #writing = false;

  constructor(deps: SecurityKeeperDeps, document: SecurityDocument) {
    this.#deps = deps;
    this.#admin = new SecurityAdmin(deps);
    this.access = new AccessControl({ ...deps, throttle: new LoginThrottle() }, document);
  }

  /** Carries an order out; whether it may be given was judged before. */
  order(order: SecurityOrder, by: OrderedBy, reply: (reply: Reply) => void): void {
    this.#admin.prepare(order).then(
      (change) => {
        this.#due.push({ order, change, by, reply });
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

  #make(due: DueOrder): void {
    const { order, change, by, reply } = due;
    // While a password was hashed or another change was written, whoever gave the order may have lost the right to.
    const refusal = this.access.whyRefused(order, by.principal, by.remote);
    if (refusal !== undefined) throw refusal;
    const before = this.access.document;
    const { document, result } = change(before);
    if (document === before) reply({ req_type: "result", result });
    else this.#write(due, document, result);
  }

  #write({ order, by, reply }: DueOrder, document: SecurityDocument, result: unknown): void {
    this.#writing = true;
    const done = (answer: Reply) => {
      this.#writing = false;
      reply(answer);
      this.#makeNext();
    };
    this.#deps.write(document).then(
      () => {
        this.access.adopt(document);
        this.#deps.audit.note(
          { event: "changed", what: order.req_type, name: nameIn(order) },
          { user: by.principal.name, from: formatAddress(by.remote) },
        );
        done({ req_type: "result", result });
      },
      (error) => {
        const { code, message } = failureOf(error);
        const text = `${order.req_type}: this change does not count: ${message}`;
        done(toErrorReply(new KvError(code, text, { cause: error })));
      },
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
