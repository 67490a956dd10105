/**
 * Who is at the other end of a connection, and what it may do right now. A front end gives it what a client
 * shows (a password, a token) and gets a {@linkcode Principal}, which it asks before each request.
 *
 * Invariants: a principal's rights are those of the newest document that this process has, so that a change
 * counts for connections that are open; who was removed, whose password was changed or whose token was revoked
 * or has ended is nobody from then on; a failed login tells neither whether there is such a user nor what was
 * wrong.
 *
 * @module
 */
import { type DatabaseList, isWholeDatabase } from "../cluster/databases.ts";
import { KvError } from "../base/errors.ts";
import type { Secret } from "../base/secret.ts";
import type { Clock } from "../platform/clock.ts";
import { type Address, formatAddress } from "../platform/transport.ts";
import type { Message, Request } from "../wire/messages.ts";
import type { AuditLog } from "./audit_log.ts";
import { fingerprintOfPem } from "./authority_fingerprint.ts";
import { whyForbidden } from "./demands.ts";
import { knownToken, parseToken, type Token, tokenName, unknownToken } from "./user_token.ts";
import type { LoginThrottle } from "./login/login_throttle.ts";
import { LoginTurns } from "./login/login_turns.ts";
import type { PasswordHasher } from "./login/password.ts";
import { Rights } from "./rights.ts";
import { grantsOf, type JudgedDocument } from "./security_document.ts";

/** What a client shows. */
export type Credentials =
  | { readonly user: string; readonly password: Secret }
  | { readonly token: Secret };

/** Where it is shown. */
export interface LoginPlace {
  readonly remote: Address;
  readonly frontEnd: "wire" | "resp" | "http";
}

/** Somebody who has logged in. */
export interface Principal {
  /** The user's name. */
  readonly name: string;
  /** What it may do now; undefined once its login is worth nothing. */
  rights(): Rights | undefined;
}

/** By what somebody has logged in: the login ends when that does. */
interface LoginProof {
  /** Whether a document still has it. Asked once of each document. */
  isGood(document: JudgedDocument): boolean;
  /** It ends by the clock, without a new document. Default: never. */
  readonly untilMs?: number;
}

/** A login, and what it was made by. Asked before each request, so it looks into a document only once. */
class Login implements Principal {
  readonly name: string;
  readonly #access: AccessControl;
  readonly #clock: Pick<Clock, "wallMs">;
  readonly #proof: LoginProof;
  readonly #untilMs: number | undefined;
  #judgedBy: JudgedDocument | undefined;
  #rights: Rights | undefined;

  constructor(
    access: AccessControl,
    clock: Pick<Clock, "wallMs">,
    name: string,
    proof: LoginProof,
  ) {
    this.#access = access;
    this.#clock = clock;
    this.name = name;
    this.#proof = proof;
    this.#untilMs = proof.untilMs;
  }

  rights(): Rights | undefined {
    const { document } = this.#access;
    if (this.#judgedBy !== document) this.#judge(document);
    if (this.#untilMs !== undefined && this.#clock.wallMs() >= this.#untilMs) return undefined;
    return this.#rights;
  }

  #judge(document: JudgedDocument): void {
    this.#judgedBy = document;
    const grants = this.#proof.isGood(document) ? grantsOf(document, this.name) : undefined;
    this.#rights = grants === undefined
      ? undefined
      : new Rights(grants, undefined, () => this.#access.databases());
  }
}

/** What it is given. */
export interface AccessDeps {
  readonly clock: Pick<Clock, "monotonicMs" | "wallMs">;
  readonly hasher: PasswordHasher;
  readonly throttle: LoginThrottle;
  readonly audit: AuditLog;
}

/** Knows who may do what. One for a process. */
export class AccessControl {
  readonly #deps: AccessDeps;
  readonly #turns: LoginTurns;
  readonly #listeners: ((document: JudgedDocument) => void)[] = [];
  /** Those of {@linkcode userNamed}; only users of the newest document, whose number is bounded. */
  readonly #byName = new Map<string, Login>();
  #document: JudgedDocument;

  constructor(deps: AccessDeps, document: JudgedDocument) {
    this.#deps = deps;
    this.#turns = new LoginTurns(deps.throttle, deps.clock);
    this.#document = document;
  }

  /** The databases, as far as the process knows them; its owner sets it. */
  databases: () => DatabaseList | undefined = () => undefined;

  get document(): JudgedDocument {
    return this.#document;
  }

  /** Why nobody can see later what happens now: the audit log is not written. */
  get auditFailure(): string | undefined {
    return this.#deps.audit.failure;
  }

  /** Told after each change; any number may ask. */
  onChange(then: (document: JudgedDocument) => void): void {
    this.#listeners.push(then);
  }

  /** A document that is not newer is passed over: it is a late or recorded one. */
  adopt(document: JudgedDocument): void {
    if (document.version <= this.#document.version) return;
    this.#document = document;
    this.#byName.clear();
    for (const then of this.#listeners) then(document);
  }

  /**
   * @throws {KvError} `unauthorized` if it is not right; `overloaded` if too many logins are under way, or this
   *   address has failed too often and must wait
   */
  async login(credentials: Credentials, place: LoginPlace): Promise<Principal> {
    const { audit } = this.#deps;
    const isPassword = "user" in credentials;
    const caller = {
      user: isPassword ? credentials.user : "(token)",
      from: formatAddress(place.remote),
    };
    try {
      const login = isPassword
        ? await this.#byPassword(credentials, place.remote)
        : this.#byToken(credentials.token, place.remote);
      audit.note({ event: "login", front_end: place.frontEnd }, { ...caller, user: login.name });
      return login;
    } catch (error) {
      if (error instanceof KvError && error.code === "unauthorized") {
        audit.note({ event: "login_failed", front_end: place.frontEnd }, caller);
      }
      throw error;
    }
  }

  /**
   * A user by name, as another member of the cluster says that a request is for it.
   *
   * @throws {KvError} `unavailable` if there is no such user here: another member may have heard of it first
   */
  userNamed(name: string): Principal {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const isGood = (document: JudgedDocument) => document.users.some((user) => user.name === name);
    if (isGood(this.#document)) {
      const login = new Login(this, this.#deps.clock, name, { isGood });
      this.#byName.set(name, login);
      return login;
    }
    throw new KvError(
      "unavailable",
      "the user that this request is for is not known here, or not yet",
    );
  }

  /**
   * Why a request is refused, or undefined.
   *
   * @param principal undefined for who has not logged in
   */
  whyRefused(
    request: Request,
    principal: Principal | undefined,
    remote: Address,
  ): KvError | undefined {
    const refusal = whyForbidden(request, principal?.rights());
    if (refusal?.code === "forbidden") this.noteRefusal(request.req_type, principal, remote);
    else if (refusal === undefined && isGraveOrder(request)) {
      const what = request.req_type === "announce" ? request.what : request.req_type;
      this.#deps.audit.note(
        { event: "ordered", what },
        { user: principal?.name, from: formatAddress(remote) },
      );
    }
    return refusal;
  }

  /** Notes that a front end has refused a command or endpoint, before it became a request. */
  noteRefusal(what: string, principal: Principal | undefined, remote: Address): void {
    this.#deps.audit.note(
      { event: "refused", what, code: "forbidden" },
      { user: principal?.name, from: formatAddress(remote) },
    );
  }

  #byPassword(
    { user: name, password }: { readonly user: string; readonly password: Secret },
    { host }: Address,
  ): Promise<Principal> {
    const hashOf = (document: JudgedDocument) =>
      document.users.find((user) => user.name === name)?.passwordHash;
    return this.#turns.check(host, name, async () => {
      const hash = hashOf(this.#document);
      const isRight = await this.#deps.hasher.verify(password, hash);
      // It may have been changed meanwhile.
      if (!isRight || hashOf(this.#document) !== hash) {
        throw new KvError("unauthorized", "login: user or password is wrong");
      }
      return new Login(this, this.#deps.clock, name, {
        isGood: (document) => hashOf(document) === hash,
      });
    });
  }

  #byToken(text: Secret, { host }: Address): Principal {
    const { clock, throttle } = this.#deps;
    const token = parseToken(text.reveal());
    // Each token by itself: one that has ended, and is shown again and again, makes no other one wait.
    const shown = `token ${tokenName(token.secret)}`;
    this.#turns.throwIfMustWait(host, shown);
    try {
      const login = this.#loginOf(token);
      throttle.succeeded(host, shown);
      return login;
    } catch (error) {
      throttle.failed(host, shown, clock.monotonicMs());
      throw error;
    }
  }

  /** @throws {KvError} `unauthorized` */
  #loginOf(token: Token): Principal {
    const { clock } = this.#deps;
    const { authorities, tokens } = this.#document;
    // Its secret alone says whose it is: the authority may be another one than when it was made.
    const found = knownToken(tokens, token.secret, clock.wallMs());
    if (found === undefined) {
      const isOurs = authorities.some((one) => fingerprintOfPem(one) === token.fingerprint);
      if (isOurs) throw unknownToken();
      throw new KvError("unauthorized", "login: this token is another cluster's");
    }
    const { id, untilMs } = found;
    return new Login(this, clock, found.user, {
      isGood: (document) => document.tokens.some((one) => one.id === id),
      untilMs,
    });
  }
}

/** Whether it may lose what others rely on, so that it stands in the audit log. The rest of one that goes on does not. */
function isGraveOrder(request: Request): boolean {
  const { req_type: type } = request;
  if (["force", "forget_node", "announce", "database_drop"].includes(type)) return true;
  if (request.req_type !== "delete_matching") return false;
  const { prefix, start, end, after } = request;
  // JSON null stands for an absent field.
  if (
    (after ?? undefined) !== undefined || (start ?? "") !== "" || (end ?? undefined) !== undefined
  ) {
    return false;
  }
  return (prefix ?? "") === "" || isWholeDatabase(prefix ?? "");
}

/** The request that stands for a deletion of all keys, if a front end has a command of its own for it. */
export const DELETE_ALL: Message<"delete_matching"> = { req_type: "delete_matching", prefix: "" };
