/**
 * Signs the certificates of a cluster's members, and keeps the list of them in the document of users and roles: for
 * machines that join by a token, and for members that renew theirs. Coordinators sign their own, since they have the
 * authority's key; the active one notes them in the list, its own and those that the others tell it of.
 *
 * Invariants: a node's certificate is in the list, on disk, before anybody gets it; it names a node only if a token to join
 * was shown, or the same node's valid certificate; nobody joins as a node that has a valid certificate; once an
 * authority was rotated, only the new one signs.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import {
  CERTIFICATE_HOSTS_MAX,
  CERTIFICATE_LIFETIME_MS,
  MEMORY_CERTIFICATE_LIFETIME_MS,
} from "../../limits/security.ts";
import { Secret } from "../../base/secret.ts";
import type { Clock } from "../../platform/clock.ts";
import {
  isMemberId,
  type MemberCredentials,
  type MemberName,
  type MemberSubject,
} from "../../platform/member_identity.ts";
import { type Address, formatAddress } from "../../platform/transport.ts";
import type { CertificateOrder, Message, Reply } from "../../wire/messages.ts";
import type { AuditLog } from "../audit_log.ts";
import { fingerprintOfPem } from "../authority_fingerprint.ts";
import {
  CertificateAuthority,
  createAuthority,
  createRequest,
  readMemberCertificate,
} from "../certificate_authority.ts";
import { LoginThrottle } from "../login/login_throttle.ts";
import type { OrderedChange } from "../security_admin.ts";
import {
  addCertificate,
  dropFormerAuthorities,
  type IssuedCertificate,
  judgedPart,
  revokeCertificates,
  roomForCertificate,
  rotateAuthority,
  type SecurityDocument,
  validCertificates,
} from "../security_document.ts";
import type { OrderedBy, SecurityKeeper } from "../security_keeper.ts";
import { knownToken, unknownToken } from "../user_token.ts";
import { isSignedBy } from "./certificate_renewal.ts";
import { pemFile } from "./pem_file.ts";

/** What it is given. */
export interface MemberAuthorityDeps {
  readonly clock: Pick<Clock, "monotonicMs" | "wallMs">;
  readonly keeper: SecurityKeeper;
  readonly audit: AuditLog;
  /** How long a certificate is good. Default {@linkcode CERTIFICATE_LIFETIME_MS}. */
  readonly lifetimeMs?: number | undefined;
}

/** Whoever fails to join is slowed down as whoever fails to log in as this user, which no user can be named. */
const JOINING = "(join)";

/** The members' side of the document. One for a coordinator. */
export class MemberAuthority {
  readonly #deps: MemberAuthorityDeps;
  readonly #throttle = new LoginThrottle();
  /** Serial numbers of certificates that are being noted. */
  readonly #noting = new Set<string>();
  /** The authority that signs, once it was needed. */
  #opened: { readonly certificate: string; readonly authority: CertificateAuthority } | undefined;

  constructor(deps: MemberAuthorityDeps) {
    this.#deps = deps;
  }

  /** What `get_authorities` is answered. */
  get authorities(): { cluster: string; authorities: readonly string[] } {
    const { cluster, authorities } = this.#deps.keeper.access.document;
    return { cluster, authorities };
  }

  /**
   * A machine becomes a member, by the secret of a token.
   *
   * @throws {KvError} `overloaded` if this address has failed too often, `unauthorized`, `bad_request`, `exists` if
   *   the node has a valid certificate
   */
  join(message: Message<"join">, remote: Address, reply: (reply: Reply) => void): void {
    const { clock, keeper, audit } = this.#deps;
    const { node: id, hosts, certificate_request: request } = message;
    // JSON null stands for an absent field.
    const role = message.role ?? "node";
    const waitMs = this.#throttle.waitMs(remote.host, JOINING, clock.monotonicMs());
    if (waitMs > 0) {
      throw new KvError(
        "overloaded",
        `join: too many failed attempts; try again in ${Math.ceil(waitMs / 1_000)} s`,
      );
    }
    const secret = new Secret(message.secret);
    const caller = { user: JOINING, from: formatAddress(remote) };
    const checkToken = (document: SecurityDocument) => {
      const token = knownToken(document.joins, secret, clock.wallMs());
      if (token?.role === role) return;
      const why = token === undefined
        ? unknownToken().message
        : `this token is for a ${token.role}, not for a ${role}`;
      throw new KvError(
        "unauthorized",
        `join: ${why}; an administrator makes one: kv-client token create --join ${role}`,
      );
    };
    try {
      checkToken(keeper.document);
    } catch (error) {
      this.#throttle.failed(remote.host, JOINING, clock.monotonicMs());
      audit.note({ event: "login_failed", front_end: "wire" }, caller);
      throw error;
    }
    checkSubject(id, hosts);
    const isNew = (document: SecurityDocument) => {
      if (validCertificates(document, id, clock.wallMs()).length === 0) return;
      throw new KvError(
        "exists",
        `join: ${role} ${id} has a valid certificate already; ${
          role === "node"
            ? "if its key is lost, or is somebody else's, an administrator revokes it first: " +
              `kv-client cert revoke ${id}`
            : "if its folders are lost, start it with another --id, and have it take the place of this one: " +
              `kv-client coordinators replace ${id} NEW`
        }`,
      );
    };
    isNew(keeper.document);
    const lifetimeMs = this.#lifetimeOf(message);
    const prepared = this.#prepare({ request, id, role, hosts, lifetimeMs }, (document) => {
      checkToken(document);
      isNew(document);
      return document;
    });
    keeper.carryOut(prepared, {
      what: "join",
      whyRefused: () => undefined,
      audited: { event: "certificate", id, role },
      caller,
    }, reply);
  }

  /**
   * A member's next certificate.
   *
   * @param caller `member` by the certificate with which its connection was opened, and verified
   * @throws {KvError} `bad_request`
   */
  renew(
    message: Message<"renew_certificate">,
    { member, remote }: { member: MemberName; remote: Address },
    done: (certificate: string | Message<"error">) => void,
  ): void {
    const { clock, keeper } = this.#deps;
    const { id, role, serial } = member;
    const { certificate_request: request, hosts } = message;
    checkSubject(id, hosts);
    const lifetimeMs = this.#lifetimeOf(message);
    const prepared = this.#prepare({ request, id, role, hosts, lifetimeMs }, (document) => {
      const valid = validCertificates(document, id, clock.wallMs());
      // That of the connection may have ended meanwhile; whoever has none that counts has to join again.
      if (valid.length === 0 || document.revoked.some((one) => one.serial === serial)) {
        throw new KvError(
          "unauthorized",
          `renew_certificate: ${id} has no certificate that counts; it has to join again`,
        );
      }
      return roomForCertificate(document, member, clock.wallMs());
    });
    keeper.carryOut(prepared, {
      what: "renew_certificate",
      whyRefused: () => undefined,
      audited: { event: "certificate", id, role },
      caller: { user: id, from: formatAddress(remote) },
    }, (reply) => {
      if (reply.req_type === "error") done(reply);
      else if (reply.req_type === "result") done((reply.result as Granted).certificate);
    });
  }

  /** As {@linkcode note}, of the active coordinator's own. */
  noteOwn(certificate: string): void {
    const { subject: { id, role }, serial, fromMs, untilMs } = readMemberCertificate(certificate);
    const authority = signerOf(certificate, this.#deps.keeper.document.authorities);
    this.note({ id, role, serial, madeMs: fromMs, untilMs, authority });
  }

  /** Notes a certificate that a coordinator has signed for itself, if it is not in the list. */
  note(certificate: IssuedCertificate): void {
    const { keeper } = this.#deps;
    const { id, role, serial } = certificate;
    const isNoted = ({ certificates }: SecurityDocument) =>
      certificates.some((one) => one.serial === serial);
    if (this.#noting.has(serial) || isNoted(keeper.document)) return;
    this.#noting.add(serial);
    const note: OrderedChange = (before) => ({
      document: isNoted(before)
        ? before
        : addCertificate(before, certificate, this.#deps.clock.wallMs()),
      result: {},
    });
    keeper.carryOut(Promise.resolve(note), {
      what: "a certificate",
      whyRefused: () => undefined,
      audited: { event: "certificate", id, role },
      caller: { user: undefined, from: "" },
    }, () => this.#noting.delete(serial));
  }

  /** An administrator's order about certificates; whether it may be given was judged before. */
  order(order: CertificateOrder, by: OrderedBy, reply: (reply: Reply) => void): void {
    const { keeper } = this.#deps;
    const name = order.req_type === "cert_revoke" ? order.certificate : "";
    keeper.carryOut(this.#ordered(order), keeper.changeBy(order, name, by), reply);
  }

  /**
   * A node is forgotten: no certificate of it counts any more. Whether that may be ordered was judged before.
   *
   * @param done is told which were revoked, or why that could not be written
   */
  forget(id: string, { principal, remote }: OrderedBy, done: (reply: Reply) => void): void {
    const { clock, keeper } = this.#deps;
    const change: OrderedChange = (before) => {
      const nowMs = clock.wallMs();
      const isKnown = validCertificates(before, id, nowMs).length > 0;
      if (!isKnown) return { document: before, result: { revoked: [] } };
      const { document, revoked } = revokeCertificates(before, id, nowMs);
      return { document, result: { revoked: revoked.map(({ serial }) => serial) } };
    };
    keeper.carryOut(Promise.resolve(change), {
      what: "forget_node: the node is forgotten, and its certificates still count; use cert revoke",
      whyRefused: () => undefined,
      audited: { event: "changed", what: "cert_revoke", name: id },
      caller: { user: principal.name, from: formatAddress(remote) },
    }, done);
  }

  async #ordered(order: CertificateOrder): Promise<OrderedChange> {
    const { clock, keeper } = this.#deps;
    switch (order.req_type) {
      case "cert_list":
        return (document) => ({ document, result: shown(document) });
      case "cert_revoke":
        return (before) => {
          const { document, revoked } = revokeCertificates(
            before,
            order.certificate,
            clock.wallMs(),
          );
          if (revoked.some(({ role }) => role === "coordinator")) {
            throw new KvError(
              "bad_request",
              "cert revoke: a coordinator's certificate is not revoked, since each coordinator has the authority's " +
                "key; take it out (kv-client coordinators remove), and if its folder was stolen have a new authority: " +
                "kv-client cert rotate",
            );
          }
          return {
            document,
            result: { revoked: revoked.map(({ id, serial }) => ({ id, serial })) },
          };
        };
      case "cert_rotate": {
        if (order.finish === true) {
          return (document) => {
            const force = order.force === true;
            const next = dropFormerAuthorities(document, clock.wallMs(), force);
            return { document: next, result: { authorities: next.authorities.length } };
          };
        }
        const { authority: former, certificate: signer } = await this.#signer(keeper.document);
        const { certificate, key } = await createAuthority("kv", clock.wallMs());
        const bridge = await former.bridgeTo(certificate, clock.wallMs());
        return (before) => {
          checkSigner(before, signer);
          const next = { certificate, key: key.reveal() };
          const document = rotateAuthority(before, next, bridge);
          return { document, result: { authorities: document.authorities.length } };
        };
      }
    }
  }

  /** A node in memory leaves its certificates behind at each start, so they end soon. */
  #lifetimeOf({ memory }: { readonly memory?: boolean | undefined }): number {
    const { lifetimeMs = CERTIFICATE_LIFETIME_MS } = this.#deps;
    return memory === true ? Math.min(lifetimeMs, MEMORY_CERTIFICATE_LIFETIME_MS) : lifetimeMs;
  }

  /** Signs, and makes the change that notes it. @param check of the newest document, when it is noted */
  async #prepare(
    { request, id, role, hosts, lifetimeMs }: {
      request: string;
      id: string;
      role: MemberSubject["role"];
      hosts: readonly string[];
      lifetimeMs: number;
    },
    /** Makes the document ready for it. @throws {KvError} if it must not be signed */
    check: (document: SecurityDocument) => SecurityDocument,
  ): Promise<OrderedChange> {
    const { clock, keeper } = this.#deps;
    const { cluster } = keeper.document;
    const { authority, certificate: signer } = await this.#signer(keeper.document);
    const madeMs = clock.wallMs();
    const subject = { id, role, cluster };
    const certificate = await authority.signMember(request, subject, hosts, madeMs, lifetimeMs);
    const { serial, untilMs } = readMemberCertificate(certificate);
    return (before) => {
      const ready = check(before);
      checkSigner(ready, signer);
      const by = fingerprintOfPem(signer);
      const issued: IssuedCertificate = { id, role, serial, madeMs, untilMs, authority: by };
      const document = addCertificate(ready, issued, madeMs);
      const { authorities, bridges } = document;
      const granted: Granted = {
        cluster,
        certificate: pemFile([certificate, ...bridges]),
        authorities,
        document: judgedPart(document),
      };
      return { document, result: granted };
    };
  }

  async #signer(document: SecurityDocument) {
    const { authorities: [certificate = ""], authorityKey } = document;
    if (this.#opened?.certificate === certificate) return this.#opened;
    const key = new Secret(authorityKey);
    const authority = await CertificateAuthority.open({ certificate, key });
    return this.#opened = { certificate, authority };
  }
}

/**
 * A coordinator's own certificate, with a new key. Each coordinator has the authority's key, and needs nobody for it.
 *
 * @throws {KvError}
 */
export async function signOwn(
  { cluster, authorities, authorityKey, bridges }: SecurityDocument,
  id: string,
  hosts: readonly string[],
  nowMs: number,
  lifetimeMs: number = CERTIFICATE_LIFETIME_MS,
): Promise<MemberCredentials> {
  const [signer = ""] = authorities;
  const authority = await CertificateAuthority.open({
    certificate: signer,
    key: new Secret(authorityKey),
  });
  const { request, key } = await createRequest();
  const subject = { id, role: "coordinator", cluster } as const;
  const certificate = await authority.signMember(request, subject, hosts, nowMs, lifetimeMs);
  return { certificate: pemFile([certificate, ...bridges]), key, authorities, cluster };
}

/** The fingerprint of the authority that has signed a certificate; undefined if it is none of these. */
export function signerOf(certificate: string, authorities: readonly string[]): string | undefined {
  const signer = authorities.find((one) => isSignedBy(certificate, one));
  return signer === undefined ? undefined : fingerprintOfPem(signer);
}

/** @throws {KvError} `unavailable` if another authority signs by now */
function checkSigner(document: SecurityDocument, signer: string): void {
  if (document.authorities[0] === signer) return;
  throw new KvError("unavailable", "the authority was rotated meanwhile; try again");
}

/** What a machine is answered that joins. */
export interface Granted {
  readonly cluster: string;
  /** With the bridges behind it, as it is shown. */
  readonly certificate: string;
  readonly authorities: readonly string[];
  /** A {@linkcode JudgedDocument}. */
  readonly document: object;
}

/** @throws {KvError} `bad_request`; each host is looked at when it is signed */
function checkSubject(id: string, hosts: readonly string[]): void {
  if (!isMemberId(id)) {
    throw new KvError("bad_request", "join: that is no id of a node");
  }
  if (hosts.length > CERTIFICATE_HOSTS_MAX) {
    throw new KvError(
      "bad_request",
      `join: a certificate has ${CERTIFICATE_HOSTS_MAX} names and addresses, not more`,
    );
  }
}

function shown({ certificates, revoked }: SecurityDocument): unknown {
  const serials = new Set(revoked.map(({ serial }) => serial));
  return certificates.map(({ id, role, serial, madeMs, untilMs }) => ({
    id,
    role,
    serial,
    made: madeMs,
    until: untilMs,
    revoked: serials.has(serial),
  }));
}
