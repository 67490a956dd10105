/**
 * A node as a member of a secured cluster: by what it judges its clients, what it shows to others, and when it asks for
 * its next certificate. It hears of changes over its session with the coordinator, and has all of it kept.
 *
 * A change counts from the moment when it is heard of, before it is on the disk: a node that ends in between hears of
 * it again before it serves, since it gets its lease over the session that tells it.
 *
 * Invariants: a document of another cluster, and one that is not newer, change nothing; the certificate that is shown
 * belongs to the key that is shown; a certificate that came is used only if it names this node.
 *
 * @module
 */
import { failureOf, KvError } from "../../shared/base/errors.ts";
import type { Secret } from "../../shared/base/secret.ts";
import { CERTIFICATES_PER_MEMBER_MAX, RENEWAL_ANSWER_MS } from "../../shared/limits/security.ts";
import type { Clock } from "../../shared/platform/clock.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { MemberCredentials } from "../../shared/platform/member_identity.ts";
import type { AccessControl } from "../../shared/security/access_control.ts";
import {
  createRequest,
  type MemberCertificate,
  readMemberCertificate,
} from "../../shared/security/certificate_authority.ts";
import { HeldMemberIdentity } from "../../shared/security/member_identity.ts";
import {
  CertificateRenewal,
  isSignedBy,
} from "../../shared/security/members/certificate_renewal.ts";
import type { KeptMember } from "../../shared/security/members/file_member.ts";
import { type SeenMap, seenOf } from "../../shared/security/map_seal.ts";
import {
  type JudgedDocument,
  parseJudgedDocument,
} from "../../shared/security/security_document.ts";
import type { Message } from "../../shared/wire/messages.ts";

/** What it is given. */
export interface MemberSecurityDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** By the document that was kept. */
  readonly access: AccessControl;
  /** It is gone with its process, so its certificates are good for a short time only. */
  readonly memory?: boolean;
  keepMember(credentials: MemberCredentials): Promise<void>;
  keepJudged(document: JudgedDocument): Promise<void>;
  /** The newest map that was kept. */
  readonly seen: SeenMap | undefined;
  /** Calls do not overlap. */
  keepSeen(seen: SeenMap): Promise<void>;
}

/** One node's membership. */
export class MemberSecurity {
  readonly access: AccessControl;
  readonly identity: HeldMemberIdentity;
  readonly #deps: MemberSecurityDeps;
  readonly #hosts: readonly string[];
  #certificate: MemberCertificate;
  #renewal: CertificateRenewal | undefined;
  /** The keys of requests that were not answered, by the request's id, oldest first. An answer may be late. */
  readonly #requested = new Map<string, Secret>();
  #requests = 0;
  #requestedMs = -Infinity;
  /** The certificate has other names and addresses than the node has by now. */
  #isMoved: boolean;
  #seen: SeenMap | undefined;
  #seenFailed = false;
  /** The serial number of the certificate whose end was logged. */
  #endLogged: string | undefined;

  /** @param hosts names and addresses at which clients reach the node */
  constructor(
    deps: MemberSecurityDeps,
    { credentials, hosts: before }: Pick<KeptMember, "credentials" | "hosts">,
    hosts: readonly string[],
  ) {
    this.#deps = deps;
    this.#hosts = hosts;
    this.#isMoved = JSON.stringify(before) !== JSON.stringify(hosts);
    this.access = deps.access;
    this.#seen = deps.seen;
    const { authorities, revoked } = deps.access.document;
    this.#certificate = readMemberCertificate(credentials.certificate);
    const serials = revoked.map(({ serial }) => serial);
    this.identity = new HeldMemberIdentity({ ...credentials, authorities }, serials);
  }

  /** The node that the certificate names. */
  get node(): string {
    return this.#certificate.subject.id;
  }

  get cluster(): string {
    return this.#certificate.subject.cluster;
  }

  /** The newest map of which it can show that it was published, after a restart as well. */
  get seen(): SeenMap | undefined {
    return this.#seen;
  }

  /**
   * Notes down that a map was seen. Rule C9: the node goes by it afterwards. If that fails, its disk takes nothing, so
   * that it cannot hold a later term either.
   */
  noteSeen(map: SeenMap, done: () => void): void {
    const seen = seenOf(map);
    this.#deps.keepSeen(seen).then(() => {
      this.#seen = seen;
      this.#seenFailed = false;
      done();
    }, (error) => {
      const { message } = failureOf(error);
      if (!this.#seenFailed) this.#deps.log.error("a map cannot be noted", { error: message });
      this.#seenFailed = true;
      done();
    });
  }

  /** Begins to look at whether the certificate is to be renewed. @param send over the session; false if there is none */
  start(send: (message: Message<"renew_certificate">) => boolean): void {
    this.#renewal = new CertificateRenewal(this.#deps.clock, {
      certificate: () => this.#certificate,
      isCurrent: () =>
        !this.#isMoved &&
        isSignedBy(
          this.identity.current().certificate,
          this.access.document.authorities[0] ?? "",
        ),
      renew: () => this.#request(send),
    });
  }

  stop(): void {
    this.#renewal?.stop();
  }

  /** The coordinator says by what to judge. */
  onSecurity({ document }: Message<"security">): void {
    const { log } = this.#deps;
    let judged: JudgedDocument;
    try {
      judged = parseJudgedDocument(document);
      if (judged.cluster !== this.cluster) {
        throw new KvError("wrong_cluster", `it is cluster ${judged.cluster}'s`);
      }
    } catch (error) {
      log.error("a document of users and roles is not used", { error: failureOf(error).message });
      return;
    }
    const { version } = this.access.document;
    if (judged.version <= version) {
      if (judged.version < version) {
        log.warn("the coordinator has older users and roles than this node; they are not used", {
          version: judged.version,
          ours: version,
        });
      }
      return;
    }
    this.access.adopt(judged);
    const current = this.identity.current();
    const { authorities, revoked } = judged;
    if (JSON.stringify(current.authorities) !== JSON.stringify(authorities)) {
      this.identity.renew({ ...current, authorities });
    }
    this.identity.setRevoked(revoked.map(({ serial }) => serial));
    this.#deps.keepJudged(judged).catch((error) =>
      log.error("users and roles cannot be kept", { error: failureOf(error).message })
    );
    this.#renewal?.look();
  }

  /** The next certificate came. */
  onCertificate({ id, certificate }: Message<"certificate">): void {
    const { log } = this.#deps;
    const key = id === undefined ? undefined : this.#requested.get(String(id));
    // What came once is not taken twice: the others' certificates are of no use any more.
    if (key === undefined) return;
    this.#requested.clear();
    this.#requestedMs = -Infinity;
    try {
      const read = readMemberCertificate(certificate);
      const { subject } = read;
      if (subject.id !== this.node || subject.role !== "node" || subject.cluster !== this.cluster) {
        throw new KvError("unauthorized", "it names somebody else");
      }
      const credentials = { ...this.identity.current(), certificate, key };
      this.#certificate = read;
      this.#isMoved = false;
      this.identity.renew(credentials);
      log.info("this node has a new certificate", { serial: read.serial });
      this.#deps.keepMember(credentials).catch((error) =>
        log.error("the new certificate cannot be kept", { error: failureOf(error).message })
      );
    } catch (error) {
      log.error("a certificate that came is not used", { error: failureOf(error).message });
    }
  }

  /**
   * With a new key each time. What was asked before, and is not answered yet, counts when it is: if all answers are late,
   * each that is not taken is a certificate in vain, of which a member may have few.
   */
  #request(send: (message: Message<"renew_certificate">) => boolean): void {
    this.#logEnd();
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs < this.#requestedMs + RENEWAL_ANSWER_MS) return;
    this.#requestedMs = nowMs;
    createRequest().then(
      ({ request, key }) => {
        const id = `renew-${++this.#requests}`;
        this.#requested.set(id, key);
        const [oldest] = this.#requested.keys();
        const isFull = this.#requested.size > CERTIFICATES_PER_MEMBER_MAX;
        if (isFull && oldest !== undefined) this.#requested.delete(oldest);
        send({
          req_type: "renew_certificate",
          id,
          certificate_request: request,
          hosts: this.#hosts,
          ...(this.#deps.memory === true ? { memory: true } : {}),
        });
      },
      (error) =>
        this.#deps.log.error("no certificate can be asked for", {
          error: failureOf(error).message,
        }),
    );
  }

  /** Nobody lets in a node whose certificate has ended, so it cannot get the next one. */
  #logEnd(): void {
    const { serial, untilMs } = this.#certificate;
    if (this.#endLogged === serial || this.#deps.clock.wallMs() < untilMs) return;
    this.#endLogged = serial;
    this.#deps.log.error("the certificate of this node has ended, and no member lets it in", {
      serial,
      until: new Date(untilMs).toISOString(),
      advice: "start it again with --join and a new token: kv-client token create --join node",
    });
  }
}
