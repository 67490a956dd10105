/**
 * Members of secured clusters, for tests: an authority, and identities that it has signed.
 *
 * @module
 */
import type { MemberCredentials, MemberRole } from "../../../shared/platform/member_identity.ts";
import {
  CertificateAuthority,
  createAuthority,
  createRequest,
  readMemberCertificate,
} from "../../../shared/security/certificate_authority.ts";
import { HeldMemberIdentity } from "../../../shared/security/member_identity.ts";

/** A cluster's authority, with members. */
export class MemberMaker {
  readonly authority: CertificateAuthority;
  readonly cluster: string;

  private constructor(authority: CertificateAuthority, cluster: string) {
    this.authority = authority;
    this.cluster = cluster;
  }

  static async create(cluster = "c1", nowMs = Date.now()): Promise<MemberMaker> {
    const authority = await CertificateAuthority.open(await createAuthority("kv", nowMs));
    return new MemberMaker(authority, cluster);
  }

  /** @param given what is not as it should be */
  async credentials(
    id: string,
    given: {
      role?: MemberRole;
      cluster?: string;
      signedMs?: number;
      lifetimeMs?: number;
      trusts?: MemberMaker[];
    } = {},
  ): Promise<MemberCredentials> {
    const { request, key } = await createRequest();
    const { role = "node", cluster = this.cluster, trusts = [this] } = given;
    const { signedMs = Date.now(), lifetimeMs } = given;
    const subject = { id, role, cluster };
    return {
      certificate: await this.authority.signMember(request, subject, [], signedMs, lifetimeMs),
      key,
      authorities: trusts.map(({ authority }) => authority.certificate),
      cluster: this.cluster,
    };
  }

  async identity(id: string, role: MemberRole = "node"): Promise<HeldMemberIdentity> {
    return new HeldMemberIdentity(await this.credentials(id, { role }));
  }
}

/** The serial number of somebody's certificate. */
export function serialOf({ certificate }: MemberCredentials): string {
  return readMemberCertificate(certificate).serial;
}
