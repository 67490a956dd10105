/**
 * As whom connections of the JSON wire have logged in, in a secured cluster. A client logs in by its `hello`; what
 * it sends before the answer counts as nobody's.
 *
 * @module
 */
import { failureOf, KvError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import type { AccessControl, Principal } from "../security/access_control.ts";
import type { SecurityKeeper } from "../security/security_keeper.ts";
import type { Connection } from "../wire/connection.ts";
import { toErrorReply } from "../wire/error_reply.ts";
import type { Message, Reply, SecurityOrder } from "../wire/messages.ts";

/** Knows who is who. One for a process. */
export class WireLogins {
  readonly #access: AccessControl;
  readonly #principals = new WeakMap<Connection, Principal>();

  constructor(access: AccessControl) {
    this.#access = access;
  }

  /**
   * What a `hello` says beyond its protocol: who asks, if it tells.
   *
   * @throws {KvError} `forbidden` for whoever says to be a member: it has shown no certificate
   */
  logIn(hello: Message<"hello">, connection: Connection, reply: (reply: Reply) => void): void {
    if (hello.role !== "client") {
      throw new KvError("forbidden", "hello: this port is for clients; members show a certificate");
    }
    // Whoever fails to become somebody else is not whom it was before either.
    this.#principals.delete(connection);
    const done = () => reply({ req_type: "ack", message: "hello" });
    // JSON null stands for an absent field.
    const secret = typeof hello.secret === "string" ? new Secret(hello.secret) : undefined;
    const user = typeof hello.user === "string" ? hello.user : undefined;
    if (secret === undefined) {
      done();
      return;
    }
    const credentials = user === undefined ? { token: secret } : { user, password: secret };
    this.#access.login(credentials, { remote: connection.remote, frontEnd: "wire" }).then(
      (principal) => {
        this.#principals.set(connection, principal);
        done();
      },
      (error) => reply(toErrorReply(failureOf(error))),
    );
  }

  /** @throws {KvError} `unauthorized`, `forbidden` */
  check(message: Message, connection: Connection): void {
    const principal = this.#principals.get(connection);
    const refusal = this.#access.whyRefused(message, principal, connection.remote);
    if (refusal !== undefined) throw refusal;
  }

  /** An administrator's order, which {@linkcode check} has let through. */
  order(
    { id, ...order }: SecurityOrder,
    connection: Connection,
    keeper: SecurityKeeper,
  ): void {
    const principal = this.#principals.get(connection);
    if (principal === undefined) {
      throw new KvError("unauthorized", `${order.req_type}: log in first`);
    }
    const by = { principal, remote: connection.remote };
    keeper.order(order as SecurityOrder, by, (reply) => connection.send({ ...reply, id }));
  }
}
