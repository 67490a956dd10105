/**
 * Who may do what, as the process keeps it that is secured: users, roles, tokens and the certificate authority, with a
 * version that grows with each change. Pure: a change is a new document, or an error that says why not.
 *
 * Invariants: names are unique; a user's roles are there; somebody can always log in who may administer; every
 * list has its bound. Passwords are hashes; the authority's key is the one thing here that is secret as it
 * stands.
 *
 * @module
 */
import { KvError, messageOf } from "../base/errors.ts";
import {
  GRANTS_PER_ROLE_MAX,
  ROLES_MAX,
  ROLES_PER_USER_MAX,
  TOKENS_MAX,
  USERS_MAX,
} from "../limits/security.ts";
import { KEY_BYTES_MAX } from "../limits/wire.ts";
import { isUint } from "../cluster/map_shape.ts";
import type { StoredToken } from "./user_token.ts";
import { isPasswordHash } from "./login/password.ts";
import { DATABASE_DEFAULT, EVERY_DATABASE, type Grant, type Right, RIGHTS } from "./rights.ts";

/** Some grants under a name. */
export interface Role {
  readonly name: string;
  readonly grants: readonly Grant[];
}

/** Somebody, or some program, that logs in. */
export interface User {
  readonly name: string;
  /** See `password.ts`; absent: it logs in by token only. */
  readonly passwordHash?: string;
  readonly roles: readonly string[];
}

/** The document. */
export interface SecurityDocument {
  /** Grows by one with each change. */
  readonly version: number;
  /** PEM, as `certificate_authority.ts` makes them. */
  readonly authority: { readonly certificate: string; readonly key: string };
  readonly users: readonly User[];
  readonly roles: readonly Role[];
  readonly tokens: readonly StoredToken[];
}

/** The role of whoever may do everything. */
export const ADMIN_ROLE = "admin";
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const TOKEN_ID = /^[0-9a-f]{12}$/;
const HASH = /^[0-9a-f]{64}$/;

/** Of a new cluster: one user, who may do everything. */
export function newSecurityDocument(
  authority: { readonly certificate: string; readonly key: string },
  admin: { readonly name: string; readonly passwordHash: string },
): SecurityDocument {
  const everything: Grant = { database: EVERY_DATABASE, prefix: "", right: "admin" };
  return checked({
    version: 1,
    authority,
    users: [{ ...admin, roles: [ADMIN_ROLE] }],
    roles: [{ name: ADMIN_ROLE, grants: [everything] }],
    tokens: [],
  });
}

/** The grants of all of a user's roles; undefined if there is no such user. */
export function grantsOf(document: SecurityDocument, name: string): Grant[] | undefined {
  const user = document.users.find((one) => one.name === name);
  return user?.roles.flatMap((role) =>
    document.roles.find(({ name }) => name === role)?.grants ?? []
  );
}

/** @throws {KvError} `exists`, `not_found` for a role, `bad_request` */
export function addUser(document: SecurityDocument, user: User): SecurityDocument {
  if (document.users.some(({ name }) => name === user.name)) {
    throw new KvError("exists", `user add: there is a user ${user.name} already`);
  }
  return changed(document, { users: [...document.users, user] });
}

/** A new password, or new roles. @throws {KvError} `not_found`, `bad_request` */
export function changeUser(
  document: SecurityDocument,
  name: string,
  change: Partial<Omit<User, "name">>,
): SecurityDocument {
  const before = userNamed(document, name);
  const users = document.users.map((user) => user === before ? { ...user, ...change } : user);
  return changed(document, { users });
}

/** Its tokens go with it. @throws {KvError} `not_found`, `bad_request` for the last who may administer */
export function removeUser(document: SecurityDocument, name: string): SecurityDocument {
  const user = userNamed(document, name);
  return changed(document, {
    users: document.users.filter((one) => one !== user),
    tokens: document.tokens.filter((token) => token.user !== name),
  });
}

/** Makes the role, or gives one that is there other grants. @throws {KvError} `bad_request` */
export function setRole(document: SecurityDocument, role: Role): SecurityDocument {
  const others = document.roles.filter(({ name }) => name !== role.name);
  return changed(document, { roles: [...others, role] });
}

/** @throws {KvError} `not_found`, `bad_request` while a user has it */
export function removeRole(document: SecurityDocument, name: string): SecurityDocument {
  if (!document.roles.some((role) => role.name === name)) {
    throw new KvError("not_found", `role remove: there is no role ${quoted(name)}`);
  }
  const user = document.users.find(({ roles }) => roles.includes(name));
  if (user !== undefined) {
    throw new KvError(
      "bad_request",
      `role remove: user ${user.name} has the role ${name}; take it away first`,
    );
  }
  return changed(document, { roles: document.roles.filter((role) => role.name !== name) });
}

/** Tokens that have ended make room. @throws {KvError} `not_found` for a user, `bad_request` */
export function addToken(
  document: SecurityDocument,
  token: StoredToken,
  nowMs: number,
): SecurityDocument {
  userNamed(document, token.user);
  const kept = document.tokens.filter(({ untilMs }) => untilMs > nowMs);
  return changed(document, { tokens: [...kept, token] });
}

/** @throws {KvError} `not_found` */
export function revokeToken(document: SecurityDocument, id: string): SecurityDocument {
  const tokens = document.tokens.filter((token) => token.id !== id);
  if (tokens.length === document.tokens.length) {
    throw new KvError("not_found", `token revoke: there is no token ${quoted(id)}; see token list`);
  }
  return changed(document, { tokens });
}

/** The document as it was read from a disk. @throws {KvError} `corrupt` */
export function parseSecurityDocument(value: unknown): SecurityDocument {
  try {
    const document = value as SecurityDocument;
    if (!isUint(document.version) || typeof document.authority.certificate !== "string") {
      throw new Error("its version or authority is missing");
    }
    const { key } = document.authority;
    if (typeof key !== "string") throw new Error("the authority's key");
    return checked(document);
  } catch (error) {
    throw new KvError(
      "corrupt",
      `the document of users and roles is damaged (${messageOf(error)}); put back a copy of it`,
    );
  }
}

function changed(
  document: SecurityDocument,
  change: Partial<SecurityDocument>,
): SecurityDocument {
  return checked({ ...document, ...change, version: document.version + 1 });
}

/** @throws {KvError} `bad_request` or `not_found`, for a document that must not be */
function checked(document: SecurityDocument): SecurityDocument {
  const { users, roles, tokens } = document;
  checkCount("users", users.length, USERS_MAX);
  checkCount("roles", roles.length, ROLES_MAX);
  checkCount("tokens", tokens.length, TOKENS_MAX);
  roles.forEach(checkRole);
  for (const user of users) checkUser(user, roles);
  tokens.forEach(checkToken);
  checkUnique("user", users.map(({ name }) => name));
  checkUnique("role", roles.map(({ name }) => name));
  const isAdmin = ({ name, passwordHash }: User) =>
    passwordHash !== undefined &&
    grantsOf(document, name)?.some(({ right }) => right === "admin") === true;
  if (!users.some(isAdmin)) {
    throw new KvError(
      "bad_request",
      "somebody with a password must keep the right to administer; give it to another user first",
    );
  }
  return document;
}

function checkUser(user: User, roles: readonly Role[]): void {
  checkName("user", user.name);
  if (user.passwordHash !== undefined && !isPasswordHash(user.passwordHash)) {
    throw new KvError("bad_request", `the password of user ${user.name} is no hash`);
  }
  checkCount("roles of a user", user.roles.length, ROLES_PER_USER_MAX);
  for (const name of user.roles) {
    if (!roles.some((role) => role.name === name)) {
      throw new KvError("not_found", `user ${user.name}: there is no role ${quoted(name)}`);
    }
  }
}

function checkRole({ name, grants }: Role): void {
  checkName("role", name);
  checkCount("grants of a role", grants.length, GRANTS_PER_ROLE_MAX);
  for (const { database, prefix, right } of grants) {
    if (database !== DATABASE_DEFAULT && database !== EVERY_DATABASE) {
      throw new KvError(
        "bad_request",
        `role ${name}: there is no database ${quoted(database)}; it is "${DATABASE_DEFAULT}", ` +
          `or "${EVERY_DATABASE}" for all`,
      );
    }
    if (!isRight(right)) {
      throw new KvError("bad_request", `role ${name}: a right is one of ${RIGHTS.join(", ")}`);
    }
    if (typeof prefix !== "string" || prefix.length > KEY_BYTES_MAX) {
      throw new KvError("bad_request", `role ${name}: a prefix is the beginning of a key`);
    }
    if (right === "admin" && prefix !== "") {
      throw new KvError(
        "bad_request",
        `role ${name}: admin is for the whole database, and takes no prefix`,
      );
    }
  }
}

function checkToken({ id, hash, user, madeMs, untilMs }: StoredToken): void {
  const isWhole = TOKEN_ID.test(id) && HASH.test(hash) && isUint(madeMs) && isUint(untilMs);
  if (!isWhole || !NAME.test(user)) throw new KvError("bad_request", "a token is malformed");
}

function isRight(text: string): text is Right {
  return (RIGHTS as readonly string[]).includes(text);
}

function userNamed(document: SecurityDocument, name: string): User {
  const user = document.users.find((one) => one.name === name);
  if (user === undefined) throw new KvError("not_found", `there is no user ${quoted(name)}`);
  return user;
}

function checkName(what: string, name: string): void {
  if (typeof name === "string" && NAME.test(name)) return;
  throw new KvError(
    "bad_request",
    `a ${what}'s name has 1 to 63 letters, digits, ".", "_" or "-", and begins with a letter or digit`,
  );
}

function checkCount(what: string, count: number, max: number): void {
  if (count > max) throw new KvError("bad_request", `there may be ${max} ${what}, not more`);
}

function checkUnique(what: string, names: readonly string[]): void {
  if (new Set(names).size !== names.length) {
    throw new KvError("bad_request", `two of the ${what}s have one name`);
  }
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? text.slice(0, 80) + "…" : text);
}
