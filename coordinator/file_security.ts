/**
 * The security of a coordinator, as it is on its disk: users and the authority (`FOLDER.security`), and its own
 * certificate there, which it signs itself, keeps, and renews in time.
 *
 * @module
 */
import { messageOf } from "../shared/base/errors.ts";
import { securityFolderOf } from "../shared/platform/deno/folder_security.ts";
import { randomId } from "../shared/platform/random.ts";
import {
  type MemberCertificate,
  readMemberCertificate,
} from "../shared/security/certificate_authority.ts";
import { HeldMemberIdentity } from "../shared/security/member_identity.ts";
import {
  CertificateRenewal,
  isSignedBy,
  renewalDueMs,
} from "../shared/security/members/certificate_renewal.ts";
import { type KeptMember, MemberFolder } from "../shared/security/members/file_member.ts";
import {
  type OpenedSecurity,
  openSecurity,
  type SecurityDeps,
} from "../shared/security/members/file_security.ts";
import { MemberAuthority } from "../shared/security/members/member_authority.ts";

/** What a secured coordinator is started with. */
export interface OpenedCoordinatorSecurity extends OpenedSecurity {
  readonly members: MemberAuthority;
  /** What it shows to members and to clients. */
  readonly identity: HeldMemberIdentity;
  /** Looks no more at whether its certificate is to be renewed. */
  stop(): void;
}

/** What it is told. */
export interface CoordinatorSecurityOptions {
  /** The id that the cluster's map has; undefined for a new cluster. */
  readonly cluster: string | undefined;
  /** Names and addresses at which it is reached. */
  readonly hosts: readonly string[];
  /** How long certificates are good. */
  readonly lifetimeMs: number;
}

/** @throws {KvError} as `openSecurity` */
export async function openCoordinatorSecurity(
  data: string,
  { cluster: known, hosts, lifetimeMs }: CoordinatorSecurityOptions,
  deps: SecurityDeps,
): Promise<OpenedCoordinatorSecurity> {
  const { clock, log } = deps;
  const opened = await openSecurity(data, deps, { known, fresh: randomId(deps.random) });
  const { keeper, audit } = opened;
  const { cluster } = keeper.document;
  const members = new MemberAuthority({ clock, keeper, audit, lifetimeMs });
  const folder = new MemberFolder(securityFolderOf(data));
  const isGood = ({ credentials, certificate, hosts: ofIt }: KeptMember) =>
    credentials.cluster === cluster && clock.wallMs() < renewalDueMs(certificate) &&
    isSignedBy(credentials.certificate, keeper.document.authorities[0] ?? "") &&
    !keeper.document.revoked.some(({ serial }) => serial === certificate.serial) &&
    JSON.stringify(ofIt) === JSON.stringify(hosts);
  const issue = async (id: string) => {
    const credentials = await members.issueOwn(id, hosts);
    await folder.keepMember(credentials, { hosts, joinedBy: undefined });
    return credentials;
  };
  const kept = await folder.readMember();
  const id = kept?.certificate.subject.id ?? randomId(deps.random);
  const first = kept !== undefined && isGood(kept)
    ? { ...kept.credentials, authorities: keeper.document.authorities }
    : await issue(id);
  const revokedNow = () => keeper.document.revoked.map(({ serial }) => serial);
  const identity = new HeldMemberIdentity(first, revokedNow());
  let certificate: MemberCertificate = readMemberCertificate(first.certificate);
  let renewing = false;
  const renewal = new CertificateRenewal(clock, {
    certificate: () => certificate,
    isCurrent: () =>
      isSignedBy(identity.current().certificate, keeper.document.authorities[0] ?? ""),
    renew: () => {
      if (renewing) return;
      renewing = true;
      issue(id).then(
        (credentials) => {
          certificate = readMemberCertificate(credentials.certificate);
          log.info("the coordinator has a new certificate", { serial: certificate.serial });
          identity.renew(credentials);
        },
        (error) =>
          log.error("the coordinator's certificate cannot be renewed", { error: messageOf(error) }),
      )
        .finally(() => renewing = false);
    },
  });
  keeper.access.onChange(({ authorities }) => {
    const current = identity.current();
    const isSame = JSON.stringify(current.authorities) === JSON.stringify(authorities);
    if (!isSame) identity.renew({ ...current, authorities });
    identity.setRevoked(revokedNow());
    renewal.look();
  });
  return { ...opened, members, identity, stop: () => renewal.stop() };
}
