/**
 * Who may do what, as it is kept by the process that is asked to change it (the coordinator, or a node that is a
 * cluster by itself): users, roles, tokens, the members' certificates and the certificate authority, with a version
 * that grows with each change. Pure: a change is a new document, or an error that says why not.
 *
 * All members judge by a part of it, {@linkcode JudgedDocument}, which has nothing by which somebody could join or sign.
 *
 * Invariants: names are unique; a user's roles are there; somebody can always log in who may administer; every
 * list has its bound. Passwords are hashes; the authority's key is the one thing here that is secret as it
 * stands.
 *
 * @module
 */
import { KvError, messageOf } from "../base/errors.ts";
import { isKeyText, keyLength } from "../base/key_text.ts";
import {
  AUTHORITIES_MAX,
  CERTIFICATES_MAX,
  CERTIFICATES_OPEN_PER_MEMBER_MAX,
  CERTIFICATES_PER_MEMBER_MAX,
  GRANTS_PER_ROLE_MAX,
  JUDGED_CHARACTERS_MAX,
  ROLES_MAX,
  ROLES_PER_USER_MAX,
  TOKENS_MAX,
  USERS_MAX,
} from "../limits/security.ts";
import { isDatabaseName } from "../cluster/databases.ts";
import { KEY_BYTES_MAX } from "../limits/wire.ts";
import { isUint } from "../cluster/map_shape.ts";
import { isMemberId, type MemberRole } from "../platform/member_identity.ts";
import { fingerprintOfPem } from "./authority_fingerprint.ts";
import { isSealKey } from "./map_seal.ts";
import type { StoredJoinToken, StoredToken, TokenEntry } from "./user_token.ts";
import { isPasswordHash } from "./login/password.ts";
import { EVERY_DATABASE, type Grant, isWhole, type Right, RIGHTS } from "./rights.ts";

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

/** A certificate that counts no more although its time has not ended. */
export interface RevokedCertificate {
  /** As in `MemberName`. */
  readonly serial: string;
  /** When it would have ended; nobody has to know of it any more from then on. */
  readonly untilMs: number;
}

/** A member's certificate, as it was signed. */
export interface IssuedCertificate {
  readonly id: string;
  readonly role: MemberRole;
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly madeMs: number;
  readonly untilMs: number;
  /** The fingerprint of the authority that has signed it; absent if that is not known. */
  readonly authority?: string | undefined;
}

/** What a process judges by. Every member of a cluster has it. */
export interface JudgedDocument {
  /** Grows by one with each change. */
  readonly version: number;
  /** The cluster's id. */
  readonly cluster: string;
  /** Certificates (PEM) of the authorities that are trusted; the first one signs. */
  readonly authorities: readonly string[];
  readonly users: readonly User[];
  readonly roles: readonly Role[];
  readonly tokens: readonly StoredToken[];
  readonly revoked: readonly RevokedCertificate[];
}

/** The document. */
export interface SecurityDocument extends JudgedDocument {
  /** The key (PEM) of the first authority, as `certificate_authority.ts` makes it. */
  readonly authorityKey: string;
  /** By which the coordinator seals the maps that it publishes, see `map_seal.ts`. Nobody else ever has it. */
  readonly sealKey: string;
  /** By which who trusts a former authority alone follows from a certificate of the newest one; members show them. */
  readonly bridges: readonly string[];
  readonly joins: readonly StoredJoinToken[];
  readonly certificates: readonly IssuedCertificate[];
}

/** The role of whoever may do everything. */
export const ADMIN_ROLE = "admin";
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const TOKEN_ID = /^[0-9a-f]{12}$/;
const HASH = /^[0-9a-f]{64}$/;
const SERIAL = /^[0-9a-f]{1,64}$/;
/** The cluster of a node that is one by itself, and has no other members. */
const STANDALONE = "standalone";

/** Of a new cluster: one user, who may do everything. */
export function newSecurityDocument(
  authority: { readonly certificate: string; readonly key: string; readonly sealKey: string },
  admin: { readonly name: string; readonly passwordHash: string },
  cluster: string = STANDALONE,
): SecurityDocument {
  const everything: Grant = { database: EVERY_DATABASE, prefix: "", right: "admin" };
  return checked({
    version: 1,
    cluster,
    authorities: [authority.certificate],
    authorityKey: authority.key,
    sealKey: authority.sealKey,
    users: [{ ...admin, roles: [ADMIN_ROLE] }],
    roles: [{ name: ADMIN_ROLE, grants: [everything] }],
    tokens: [],
    bridges: [],
    joins: [],
    certificates: [],
    revoked: [],
  });
}

/** What the other members are told: nothing of it lets somebody join or sign. */
export function judgedPart(document: JudgedDocument): JudgedDocument {
  const { version, cluster, authorities, users, roles, tokens, revoked } = document;
  return { version, cluster, authorities, users, roles, tokens, revoked };
}

/** Whether members judge differently by one document than by the other. */
export function judgesAlike(a: JudgedDocument, b: JudgedDocument): boolean {
  // A change makes new lists of what it changes, and of nothing else.
  return a.cluster === b.cluster && a.authorities === b.authorities && a.users === b.users &&
    a.roles === b.roles && a.tokens === b.tokens && a.revoked === b.revoked;
}

/** The grants of all of a user's roles; undefined if there is no such user. */
export function grantsOf(document: JudgedDocument, name: string): Grant[] | undefined {
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

/** Tokens that have ended make room. @throws {KvError} `bad_request` */
export function addJoinToken(
  document: SecurityDocument,
  token: StoredJoinToken,
  nowMs: number,
): SecurityDocument {
  const kept = document.joins.filter(({ untilMs }) => untilMs > nowMs);
  return changed(document, { joins: [...kept, token] });
}

/** Of a user, or of joining. @throws {KvError} `not_found` */
export function revokeToken(document: SecurityDocument, id: string): SecurityDocument {
  const isOther = (token: TokenEntry) => token.id !== id;
  const [tokens, joins] = [document.tokens.filter(isOther), document.joins.filter(isOther)];
  if (tokens.length + joins.length === document.tokens.length + document.joins.length) {
    throw new KvError("not_found", `token revoke: there is no token ${quoted(id)}; see token list`);
  }
  return changed(document, { tokens, joins });
}

/** A member's certificate was signed. What has ended makes room. @throws {KvError} `bad_request` */
export function addCertificate(
  document: SecurityDocument,
  certificate: IssuedCertificate,
  nowMs: number,
): SecurityDocument {
  const isOpen = ({ untilMs }: { readonly untilMs: number }) => untilMs > nowMs;
  const { revoked } = document;
  return changed(document, {
    certificates: [...document.certificates.filter(isOpen), certificate],
    revoked: revoked.every(isOpen) ? revoked : revoked.filter(isOpen),
  });
}

/** The certificates of a member that count now. */
export function validCertificates(
  { certificates, revoked }: SecurityDocument,
  id: string,
  nowMs: number,
): IssuedCertificate[] {
  return certificates.filter((one) =>
    one.id === id && one.untilMs > nowMs && !revoked.some(({ serial }) => serial === one.serial)
  );
}

/**
 * Revokes a certificate by its serial, or all of a member.
 *
 * @throws {KvError} `not_found` if there is none that counts
 */
export function revokeCertificates(
  document: SecurityDocument,
  idOrSerial: string,
  nowMs: number,
): { document: SecurityDocument; revoked: IssuedCertificate[] } {
  const bySerial = document.certificates.find(({ serial }) => serial === idOrSerial);
  const found = validCertificates(document, bySerial?.id ?? idOrSerial, nowMs)
    .filter(({ serial }) => bySerial === undefined || serial === bySerial.serial);
  if (found.length === 0) {
    throw new KvError(
      "not_found",
      `cert revoke: there is no valid certificate of ${quoted(idOrSerial)}; see cert list`,
    );
  }
  const now = found.map(({ serial, untilMs }) => ({ serial, untilMs }));
  return {
    document: changed(document, { revoked: [...document.revoked, ...now] }),
    revoked: found,
  };
}

/**
 * Makes room for a member's next certificate: one that has many loses the oldest.
 *
 * @param by the member, with the certificate by which it asks, which it keeps
 * @throws {KvError} `bad_request` if it has had too many lately
 */
export function roomForCertificate(
  document: SecurityDocument,
  by: { readonly id: string; readonly serial: string },
  nowMs: number,
): SecurityDocument {
  const open = document.certificates.filter(({ id, untilMs }) => id === by.id && untilMs > nowMs);
  if (open.length >= CERTIFICATES_OPEN_PER_MEMBER_MAX) {
    throw new KvError(
      "bad_request",
      `renew_certificate: ${by.id} has had ${open.length} certificates that have not ended; it keeps the one that it has. ` +
        "Do its addresses change all the time? A shorter --certificate-lifetime-ms lets it have more",
    );
  }
  const valid = validCertificates(document, by.id, nowMs);
  const oldest = valid.find(({ serial }) => serial !== by.serial);
  if (valid.length < CERTIFICATES_PER_MEMBER_MAX || oldest === undefined) return document;
  return revokeCertificates(document, oldest.serial, nowMs).document;
}

/**
 * From now on another authority signs; those before it are still trusted.
 *
 * @param bridge to it, signed by the one that has signed until now
 * @throws {KvError} `bad_request`
 */
export function rotateAuthority(
  document: SecurityDocument,
  authority: { readonly certificate: string; readonly key: string },
  bridge: string,
): SecurityDocument {
  return changed(document, {
    authorities: [authority.certificate, ...document.authorities],
    authorityKey: authority.key,
    bridges: [bridge, ...document.bridges],
  });
}

/**
 * Only the authority that signs is trusted from now on.
 *
 * @param force also if members have no certificate of it, who are shut out by that
 * @throws {KvError} `bad_request`
 */
export function dropFormerAuthorities(
  document: SecurityDocument,
  nowMs: number,
  force: boolean,
): SecurityDocument {
  const missing = force ? [] : withoutNewest(document, nowMs);
  if (missing.length > 0) {
    throw new KvError(
      "bad_request",
      `cert rotate --finish: ${
        missing.join(", ")
      } would be shut out: no valid certificate of the new authority is ` +
        "listed; start it, so that it gets one within a minute, or forget it; --force finishes all the same",
    );
  }
  return changed(document, { authorities: document.authorities.slice(0, 1), bridges: [] });
}

/** Members whose certificates that count are all of former authorities. */
function withoutNewest(document: SecurityDocument, nowMs: number): string[] {
  const { authorities: [newest = "", ...former], certificates } = document;
  if (former.length === 0) return [];
  const fingerprint = fingerprintOfPem(newest);
  const isNewest = ({ authority }: IssuedCertificate) => authority === fingerprint;
  return [...new Set(certificates.map(({ id }) => id))].filter((id) => {
    const valid = validCertificates(document, id, nowMs);
    return valid.length > 0 && !valid.some(isNewest);
  });
}

/** What another member has sent, or what was kept of it. @throws {KvError} `corrupt` */
export function parseJudgedDocument(value: unknown): JudgedDocument {
  try {
    return judgedPart(checkedJudged(value as JudgedDocument));
  } catch (error) {
    throw new KvError(
      "corrupt",
      `the document of users and roles is damaged (${messageOf(error)})`,
    );
  }
}

/** The document as it was read from a disk. @throws {KvError} `corrupt` */
export function parseSecurityDocument(value: unknown): SecurityDocument {
  try {
    const document = value as SecurityDocument;
    if (typeof document.authorityKey !== "string") {
      throw new Error("the authority's key is missing");
    }
    if (!isSealKey(document.sealKey)) {
      throw new Error("the key by which maps are sealed is missing");
    }
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
  const next = checked({ ...document, ...change, version: document.version + 1 });
  // Members are sent it in one frame.
  if (JSON.stringify(judgedPart(next)).length > JUDGED_CHARACTERS_MAX) {
    throw new KvError(
      "bad_request",
      `users, roles and tokens together may have ${JUDGED_CHARACTERS_MAX} characters; remove some first`,
    );
  }
  return next;
}

/** @throws {KvError} `bad_request` or `not_found`, for a document that must not be */
function checked(document: SecurityDocument): SecurityDocument {
  const { joins, certificates, bridges } = document;
  checkCount("bridges", bridges.length, AUTHORITIES_MAX);
  checkCount("tokens to join", joins.length, TOKENS_MAX);
  checkCount("certificates", certificates.length, CERTIFICATES_MAX);
  joins.forEach(checkTokenEntry);
  certificates.forEach(checkCertificate);
  return checkedJudged(document);
}

/** As {@linkcode checked}, what all members know of it. */
function checkedJudged<D extends JudgedDocument>(document: D): D {
  const { version, cluster, authorities, users, roles, tokens, revoked } = document;
  if (!isUint(version) || !isMemberId(cluster)) {
    throw new KvError("bad_request", "its version or cluster is missing");
  }
  if (authorities.length === 0 || authorities.some((one) => typeof one !== "string")) {
    throw new KvError("bad_request", "its authority is missing");
  }
  checkCount("authorities", authorities.length, AUTHORITIES_MAX);
  checkCount("users", users.length, USERS_MAX);
  checkCount("roles", roles.length, ROLES_MAX);
  checkCount("tokens", tokens.length, TOKENS_MAX);
  checkCount("revoked certificates", revoked.length, CERTIFICATES_MAX);
  roles.forEach(checkRole);
  for (const user of users) checkUser(user, roles);
  tokens.forEach(checkToken);
  for (const { serial, untilMs } of revoked) checkSerial(serial, untilMs);
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
    // One need not be there yet.
    if (!isDatabaseName(database) && database !== EVERY_DATABASE) {
      throw new KvError(
        "bad_request",
        `role ${name}: ${quoted(database)} is no database's name, nor "${EVERY_DATABASE}" for all`,
      );
    }
    if (!isRight(right)) {
      throw new KvError("bad_request", `role ${name}: a right is one of ${RIGHTS.join(", ")}`);
    }
    if (typeof prefix !== "string" || !isKeyText(prefix) || keyLength(prefix) > KEY_BYTES_MAX) {
      throw new KvError("bad_request", `role ${name}: a prefix is the beginning of a key`);
    }
    if (isWhole(right) && prefix !== "") {
      throw new KvError(
        "bad_request",
        `role ${name}: ${right} is for the whole database, and takes no prefix`,
      );
    }
  }
}

function checkToken(token: StoredToken): void {
  checkTokenEntry(token);
  if (!NAME.test(token.user)) throw new KvError("bad_request", "a token is malformed");
}

function checkTokenEntry({ id, hash, madeMs, untilMs }: TokenEntry): void {
  const isSound = TOKEN_ID.test(id) && HASH.test(hash) && isUint(madeMs) && isUint(untilMs);
  if (!isSound) throw new KvError("bad_request", "a token is malformed");
}

function checkCertificate({ id, serial, untilMs, authority }: IssuedCertificate): void {
  const isSound = isMemberId(id) && (authority === undefined || HASH.test(authority));
  if (!isSound) throw new KvError("bad_request", "a certificate is malformed");
  checkSerial(serial, untilMs);
}

function checkSerial(serial: string, untilMs: number): void {
  if (SERIAL.test(serial) && isUint(untilMs)) return;
  throw new KvError("bad_request", "a certificate's serial is malformed");
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
