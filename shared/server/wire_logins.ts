/**
 * As whom connections of the JSON wire have logged in, in a secured process. A client logs in by its `hello`; what
 * it sends before the answer counts as nobody's.
 *
 * @module
 */
import { Secret } from "../base/secret.ts";
import type { AccessControl, Principal } from "../security/access_control.ts";
import type { Connection } from "../wire/connection.ts";
import type { Message, Request } from "../wire/messages.ts";

/** Knows who is who. One for a process. */
export class WireLogins {
  readonly #access: AccessControl;
  readonly #principals = new WeakMap<Connection, Principal>();

  constructor(access: AccessControl) {
    this.#access = access;
  }

  /**
   * Finds out who says `hello`, if it tells.
   *
   * @throws {KvError} `unauthorized`, `overloaded`, `bad_request` for a token that is none
   */
  async logIn({ user, secret }: Message<"hello">, connection: Connection): Promise<void> {
    // JSON null stands for an absent field.
    if (typeof secret !== "string") return;
    const shown = new Secret(secret);
    const credentials = typeof user === "string" ? { user, password: shown } : { token: shown };
    const place = { remote: connection.remote, frontEnd: "wire" } as const;
    this.#principals.set(connection, await this.#access.login(credentials, place));
  }

  /** Who has logged in; undefined if nobody has. What it may do now is its {@linkcode Principal.rights}. */
  principalOf(connection: Connection): Principal | undefined {
    return this.#principals.get(connection);
  }

  /** @throws {KvError} `unauthorized`, `forbidden` */
  check(request: Request, connection: Connection): void {
    const principal = this.#principals.get(connection);
    const refusal = this.#access.whyRefused(request, principal, connection.remote);
    if (refusal !== undefined) throw refusal;
  }
}
