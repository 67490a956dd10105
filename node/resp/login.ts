/**
 * As whom a connection of the Redis front end has logged in, and what it may do: before a command runs, before each
 * request that comes of it, and before each scan. In a process that is not secured, everybody is `default` and may do
 * everything.
 *
 * @module
 */
import { failureOf, type KvError } from "../../shared/base/errors.ts";
import { keyRange } from "../../shared/base/key_range.ts";
import { Secret } from "../../shared/base/secret.ts";
import type { Database } from "../../shared/database/database.ts";
import { GuardedDatabase } from "../../shared/database/guarded_database.ts";
import { forUser } from "../../shared/database/for_user.ts";
import type { Address } from "../../shared/platform/transport.ts";
import {
  type AccessControl,
  type Credentials,
  DELETE_ALL,
  type Principal,
} from "../../shared/security/access_control.ts";
import { COMMAND_NEEDS } from "../../shared/security/needs.ts";
import type { KeyRequest } from "../../shared/wire/messages.ts";
import type { CommandLogin, CommandSpec } from "./command/command.ts";
import { kvErrorText } from "./command/error_text.ts";

/** Redis' name for whoever logs in with a password alone, and for everybody if nobody has to. */
const DEFAULT_USER = "default";
const NO_AUTH = "NOAUTH Authentication required.";
const WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD_SET =
  "ERR AUTH <password> called without any password configured for the default user. " +
  "Are you sure your configuration is correct?";
/** How a token begins: it may be given in the place of a password. */
const TOKEN_PREFIX = "kv1.";

/** The login of one connection. */
export class RespLogin implements CommandLogin {
  /** The cluster, as far as this connection may use it. */
  readonly database: Database;
  readonly #access: AccessControl | undefined;
  readonly #remote: Address;
  #principal: Principal | undefined;

  constructor(access: AccessControl | undefined, database: Database, remote: Address) {
    this.#access = access;
    this.#remote = remote;
    const principalOf = () => this.#principal;
    this.database = access === undefined ? database : new GuardedDatabase(database, {
      get user() {
        return principalOf()?.name;
      },
      whyRefused: (request) => access.whyRefused(request, this.#principal, remote),
    });
  }

  /** Whether commands of those who have logged in may run. */
  get isKnown(): boolean {
    return this.#access === undefined || this.#principal?.rights() !== undefined;
  }

  get user(): string {
    return this.#principal?.name ?? DEFAULT_USER;
  }

  mayUse(right: "read" | "write", name: string): boolean {
    if (this.#access === undefined) return true;
    return this.#principal?.rights()?.allowsKey(right, name) ?? false;
  }

  mayUseRange(right: "read" | "write", prefix: string): boolean {
    if (this.#access === undefined) return true;
    return this.#principal?.rights()?.allowsRange(right, keyRange({ prefix })) ?? false;
  }

  whyNotMade(name: string): KvError | undefined {
    const request = { req_type: "database_create", database: name } as const;
    return this.#access?.whyRefused(request, this.#principal, this.#remote);
  }

  /** Why a command may not run, or undefined. What it asks of keys is judged where it asks. */
  whyRefused({ name }: CommandSpec): string | undefined {
    if (this.#access === undefined) return undefined;
    const need = COMMAND_NEEDS[name];
    if (need === "anybody") return undefined;
    const rights = this.#principal?.rights();
    if (rights === undefined) return NO_AUTH;
    const isJudgedLater = need === "login" || need === "requests" ||
      typeof need === "object";
    if (isJudgedLater || rights.isAdmin) return undefined;
    if (need === "monitor" && rights.mayMonitor) return undefined;
    this.#access.noteRefusal(name, this.#principal, this.#remote);
    return `NOPERM this user has no permissions to run the '${name}' command`;
  }

  whyNotFlushed(prefix: string): KvError | undefined {
    const request = { ...DELETE_ALL, prefix };
    return this.#access?.whyRefused(request, this.#principal, this.#remote);
  }

  /** Why a request may not be carried out, or undefined. */
  judge(request: KeyRequest): KvError | undefined {
    return this.#access?.whyRefused(request, this.#principal, this.#remote);
  }

  /** The request as this user's, see {@linkcode forUser}. @throws {KvError} `bad_request` */
  ofUser<R extends KeyRequest>(request: R): R {
    return this.#principal === undefined ? request : forUser(request, this.#principal.name);
  }

  logIn(
    user: string | undefined,
    password: string,
    done: (error: string | undefined) => void,
  ): void {
    if (this.#access === undefined) {
      if (user === undefined) done(NO_PASSWORD_SET);
      // There is one user, `default`, without a password.
      else done(user === DEFAULT_USER ? undefined : WRONG_PASSWORD);
      return;
    }
    const secret = new Secret(password);
    const credentials: Credentials = password.startsWith(TOKEN_PREFIX)
      ? { token: secret }
      : { user: user ?? DEFAULT_USER, password: secret };
    this.#access.login(credentials, { remote: this.#remote, frontEnd: "resp" }).then(
      (principal) => {
        this.#principal = principal;
        done(undefined);
      },
      (error) => {
        const { code } = failureOf(error);
        const isWrong = code === "unauthorized" || code === "bad_request";
        done(isWrong ? WRONG_PASSWORD : kvErrorText(failureOf(error)));
      },
    );
  }

  logOut(): void {
    this.#principal = undefined;
  }
}
