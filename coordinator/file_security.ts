/**
 * The security of a coordinator on its disk: its audit log, what clients need, and its own certificate
 * (`FOLDER.security`). Users, roles, tokens and the authority are in the document that the coordinators keep together;
 * so each coordinator has the authority's key, signs its own certificate with it, and renews it in time.
 *
 * @module
 */
import { messageOf } from "../shared/base/errors.ts";
import { securityFolderOf } from "../shared/platform/deno/folder_security.ts";
import { AccessControl } from "../shared/security/access_control.ts";
import {
  type MemberCertificate,
  readMemberCertificate,
} from "../shared/security/certificate_authority.ts";
import { LoginThrottle } from "../shared/security/login/login_throttle.ts";
import { HeldMemberIdentity } from "../shared/security/member_identity.ts";
import {
  CertificateRenewal,
  isSignedBy,
  renewalDueMs,
} from "../shared/security/members/certificate_renewal.ts";
import { type KeptMember, MemberFolder } from "../shared/security/members/file_member.ts";
import {
  openSecurityFolder,
  type SecurityDeps,
  type SecurityDocumentStore,
} from "../shared/security/members/file_security.ts";
import { MemberAuthority, signOwn } from "../shared/security/members/member_authority.ts";
import type { SecurityDocument } from "../shared/security/security_document.ts";
import { SecurityKeeper } from "../shared/security/security_keeper.ts";
import type { SecurityOffice } from "./active_coordinator.ts";
import type { CoordinatorSecurity } from "./coordinator.ts";

/** What a secured coordinator is started with. */
export interface OpenedCoordinatorSecurity extends CoordinatorSecurity {
  /** What it shows to members and to clients. */
  readonly identity: HeldMemberIdentity;
  /** The authorities' certificates, as a file for clients. */
  readonly authorityFile: string;
  /** The SHA-256 of the one that signs, hexadecimal. */
  readonly fingerprint: string;
  /** Where the first credentials are; undefined if there were users before. */
  readonly credentialsFile: string | undefined;
  /** Looks no more at whether its certificate is to be renewed. */
  stop(): void;
}

/** What it is told. */
export interface CoordinatorSecurityOptions extends SecurityDocumentStore {
  /** Its name among the coordinators. */
  readonly id: string;
  /** Names and addresses at which it is reached. */
  readonly hosts: readonly string[];
  /** How long certificates are good. */
  readonly lifetimeMs: number;
}

/** @throws {KvError} as `openSecurityFolder` */
export async function openCoordinatorSecurity(
  data: string,
  options: CoordinatorSecurityOptions,
  deps: SecurityDeps,
): Promise<OpenedCoordinatorSecurity> {
  const { clock, log } = deps;
  const { id, hosts, lifetimeMs } = options;
  const opened = await openSecurityFolder(data, options, deps);
  const { hasher, audit, document: found } = opened;
  const access = new AccessControl(
    { ...deps, hasher, audit, throttle: new LoginThrottle() },
    found,
  );
  access.onChange(({ authorities }) => opened.writeAuthorities(authorities));
  /** The newest that is known here, with the authority's key. */
  let document: SecurityDocument = found;
  let office: SecurityOffice | undefined;

  const folder = new MemberFolder(securityFolderOf(data));
  const isGood = ({ credentials, certificate, hosts: ofIt }: KeptMember) =>
    credentials.cluster === document.cluster && clock.wallMs() < renewalDueMs(certificate) &&
    certificate.subject.id === id && certificate.subject.role === "coordinator" &&
    isSignedBy(credentials.certificate, document.authorities[0] ?? "") &&
    !document.revoked.some(({ serial }) => serial === certificate.serial) &&
    JSON.stringify(ofIt) === JSON.stringify(hosts);
  const sign = async () => {
    const credentials = await signOwn(document, id, hosts, clock.wallMs(), lifetimeMs);
    await folder.keepMember(credentials, { hosts, joinedBy: undefined });
    return credentials;
  };
  const kept = await folder.readMember();
  const first = kept !== undefined && isGood(kept)
    ? { ...kept.credentials, authorities: document.authorities }
    : await sign();
  const revokedNow = () => document.revoked.map(({ serial }) => serial);
  const identity = new HeldMemberIdentity(first, revokedNow());
  let certificate: MemberCertificate = readMemberCertificate(first.certificate);
  let renewing = false;
  const renewal = new CertificateRenewal(clock, {
    certificate: () => certificate,
    isCurrent: () => isSignedBy(identity.current().certificate, document.authorities[0] ?? ""),
    renew: () => {
      if (renewing) return;
      renewing = true;
      sign().then(
        (credentials) => {
          certificate = readMemberCertificate(credentials.certificate);
          log.info("the coordinator has a new certificate", { serial: certificate.serial });
          identity.renew(credentials);
          office?.members.noteOwn(credentials.certificate);
        },
        (error) =>
          log.error("the coordinator's certificate cannot be renewed", { error: messageOf(error) }),
      )
        .finally(() => renewing = false);
    },
  });
  return {
    ...opened,
    access,
    identity,
    adopt: (next) => {
      if (next.version <= document.version) return;
      document = next;
      access.adopt(next);
      const { authorities } = next;
      const current = identity.current();
      const isSame = JSON.stringify(current.authorities) === JSON.stringify(authorities);
      if (!isSame) identity.renew({ ...current, authorities });
      identity.setRevoked(revokedNow());
      renewal.look();
    },
    openOffice: (next, write) => {
      const keeper = new SecurityKeeper({ ...deps, hasher, audit, access, write }, next);
      const members = new MemberAuthority({ clock, keeper, audit, lifetimeMs });
      office = { keeper, members };
      members.noteOwn(identity.current().certificate);
      return office;
    },
    stop: () => renewal.stop(),
  };
}
