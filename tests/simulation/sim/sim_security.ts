/**
 * Who is who in a secured run: users with tokens (a password would take a real processor's time), and certificates of
 * members. The rules are the production code's; only what stands for cryptography is simulated (`sim_members.ts`), but
 * for the seals of heartbeats, which are real.
 *
 * @module
 */
import { EVERY_DATABASE } from "../../../shared/security/rights.ts";
import type { MemberRole } from "../../../shared/platform/member_identity.ts";
import { type Random, randomId, randomSecret } from "../../../shared/platform/random.ts";
import { fingerprintOfPem } from "../../../shared/security/authority_fingerprint.ts";
import { HeldMemberIdentity } from "../../../shared/security/member_identity.ts";
import {
  addCertificate,
  addToken,
  addUser,
  newSecurityDocument,
  revokeCertificates,
  type SecurityDocument,
  setRole,
} from "../../../shared/security/security_document.ts";
import { createToken } from "../../../shared/security/user_token.ts";
import { HASH } from "../../support/data/security_samples.ts";
import { simCredentials } from "./sim_members.ts";

/** The users. `app` may read and write every key, `eve` may log in, and nothing more. */
const USERS = ["root", "app", "eve"] as const;

/** One of them. */
export type SimUser = (typeof USERS)[number];

const AUTHORITY = "the authority of the run";
/** Longer than any run. */
const LIFETIME_MS = 100 * 24 * 60 * 60 * 1000;

/** A member, and what it shows. */
export interface SimMember {
  readonly id: string;
  readonly identity: HeldMemberIdentity;
}

/** The security of one run. */
export class SimSecurity {
  readonly clusterId: string;
  /** What the coordinator's disk has at first. */
  readonly document: SecurityDocument;
  /** A node that has a certificate and is in no map: it never registers. */
  readonly insider: SimMember;
  /** One whose certificate was revoked. */
  readonly removed: SimMember;
  readonly #tokens = new Map<SimUser, string>();
  #serials = 0;

  /** @param nowMs of the processes' wall clocks, about */
  constructor(random: Random, nowMs: number) {
    this.clusterId = randomId(random);
    const authority = { certificate: AUTHORITY, key: "", sealKey: randomSecret(random).reveal() };
    let document = newSecurityDocument(
      authority,
      { name: "root", passwordHash: HASH },
      this.clusterId,
    );
    const grants = (["read", "write"] as const).map((right) => ({
      database: EVERY_DATABASE,
      prefix: "",
      right,
    }));
    document = setRole(document, { name: "app", grants });
    document = addUser(document, { name: "app", roles: ["app"] });
    document = addUser(document, { name: "eve", roles: [] });
    for (const user of USERS) {
      const fingerprint = fingerprintOfPem(AUTHORITY);
      const { text, stored } = createToken(random, fingerprint, { user }, nowMs, LIFETIME_MS);
      document = addToken(document, stored, nowMs);
      this.#tokens.set(user, text.reveal());
    }
    const [insider, removed] = [randomId(random), randomId(random)];
    this.insider = { id: insider, identity: this.identityOf(insider, "node") };
    this.removed = { id: removed, identity: this.identityOf(removed, "node") };
    document = withCertificate(document, this.removed.identity, nowMs);
    this.document = revokeCertificates(document, removed, nowMs).document;
  }

  tokenOf(user: SimUser): string {
    return this.#tokens.get(user) ?? "";
  }

  /** What a new member shows. */
  identityOf(id: string, role: MemberRole): HeldMemberIdentity {
    const serial = (++this.#serials).toString(16);
    const { clusterId: cluster } = this;
    return new HeldMemberIdentity(simCredentials(AUTHORITY, { id, role, cluster, serial }));
  }
}

/** A document that has the certificate of a member on its list, so that it can be revoked. */
function withCertificate(
  document: SecurityDocument,
  identity: HeldMemberIdentity,
  nowMs: number,
): SecurityDocument {
  const { id, role, serial } = JSON.parse(identity.current().certificate);
  const certificate = { id, role, serial, madeMs: nowMs, untilMs: nowMs + LIFETIME_MS };
  return addCertificate(document, certificate, nowMs);
}
