/**
 * Whose the requests of the JSON wire are, in a secured process. A client logs in by its `hello`; what it sends before
 * the answer counts as nobody's. A member of the cluster passes on requests of its own clients, and says of each for
 * whom it is: that is believed, and the request is judged again here, key by key, by this process's own document.
 *
 * Invariant: a request that was admitted says whose it is in a way that its sender cannot have said by itself
 * (`wire/on_behalf.ts`); of a member nothing is taken but what members pass on, and questions for the map and for
 * figures.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import { OPERATIONS } from "../operations/table.ts";
import type { AccessControl, Principal } from "../security/access_control.ts";
import { type Called, CALLER } from "../wire/caller.ts";
import type { Connection } from "../wire/connection.ts";
import type { MemberName } from "../platform/member_identity.ts";
import { isForActive, isPartRequest, type Message, type Request } from "../wire/messages.ts";
import { ON_BEHALF, type OnBehalf, takeSaidUser, userOf } from "../wire/on_behalf.ts";

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

  /** Whose a request is that was admitted: of who has logged in, or of whom a member has said it is for. */
  principalFor(request: Request, connection: Connection): Principal | undefined {
    const user = connection.member === undefined ? undefined : userOf(request);
    return user === undefined ? this.principalOf(connection) : this.#access.userNamed(user);
  }

  /** Why a request that goes on is refused by now; undefined if it is not. */
  whyRefused(request: Request, connection: Connection): KvError | undefined {
    return this.#access.whyRefused(
      request,
      this.principalFor(request, connection),
      connection.remote,
    );
  }

  /**
   * Judges a request, and notes whose it is.
   *
   * @param said for whom it is, in its sender's words
   * @throws {KvError} `unauthorized`, `forbidden`; `unavailable` if it is for a user that is not known here yet
   */
  admit(request: Request & OnBehalf, connection: Connection, said: string | undefined): void {
    const { member, remote } = connection;
    if (member !== undefined) {
      if (isPassedOn(request, member) !== (said !== undefined)) throw notForMembers(request);
      if (said === undefined) return;
    } else if (said !== undefined) throw notAMember(request);
    const principal = said === undefined
      ? this.#principals.get(connection)
      : this.#access.userNamed(said);
    const refusal = this.#access.whyRefused(request, principal, remote);
    if (refusal !== undefined) throw refusal;
    if (principal === undefined) return;
    const { name } = principal;
    // Once for a connection: a field more in each request would cost as much as judging it. Who logs in again as
    // somebody else says so in each request, since what is under way is the first one's.
    const { [CALLER]: caller } = request as Called;
    const isCallers = said === undefined && caller !== undefined && (caller.user ??= name) === name;
    if (!isCallers) request[ON_BEHALF] = name;
  }
}

/**
 * Judges a request as it came over the wire, and notes whose it is.
 *
 * @param logins of a secured process
 * @throws {KvError} why it is refused
 */
export function admitRequest(
  request: Request,
  connection: Connection,
  logins: WireLogins | undefined,
): void {
  const said = takeSaidUser(request);
  if (logins !== undefined) logins.admit(request, connection, said);
  else if (said !== undefined) throw notAMember(request);
}

/** What a member passes on for a user. All else that it asks, it asks for itself. */
function isPassedOn(request: Request, member: MemberName): boolean {
  const { req_type: type } = request;
  // A node asks for itself which keys change, and judges by itself which of its clients it tells.
  if (type === "watch_node" && request.bare === true && member.role === "node") return false;
  if (
    Object.hasOwn(OPERATIONS, type) || type === "scan_node" || type === "count_node" ||
    type === "watch_node"
  ) {
    return true;
  }
  if (["get_map", "ping", "stats", "metrics", "pubsub", "database_usage"].includes(type)) {
    return false;
  }
  if (member.role === "coordinator" && isForActive(request)) return type !== "join";
  if (isPartRequest(request)) return false;
  throw notForMembers({ req_type: type });
}

function notForMembers({ req_type: type }: { readonly req_type: string }): KvError {
  return new KvError(
    "forbidden",
    `${type}: a member asks for the map, for metrics or of subscribers, or passes on a user's request and says whose it is, in "as"`,
  );
}

function notAMember({ req_type: type }: Request): KvError {
  return new KvError(
    "forbidden",
    `${type}: "as" is for members of a secured cluster, who show a certificate; a client is who it has logged in as`,
  );
}
