/**
 * The security of a coordinator on its disk: its audit log, what clients need, and its own certificate
 * (`FOLDER.security`). Users, roles, tokens and the authority are in the document that the coordinators keep together;
 * so each coordinator has the authority's key, signs its own certificate with it, and renews it in time.
 *
 * @module
 */
import { KvError, messageOf } from "../shared/base/errors.ts";
import { randomId } from "../shared/platform/random.ts";
import type { Address } from "../shared/platform/transport.ts";
import { joinCluster } from "../shared/security/members/deno_join.ts";
import { tokenFrom } from "../shared/security/members/file_join_token.ts";
import { tokenName } from "../shared/security/user_token.ts";
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
import { MemberAuthority, signerOf, signOwn } from "../shared/security/members/member_authority.ts";
import {
  type JudgedDocument,
  type SecurityDocument,
} from "../shared/security/security_document.ts";
import { SecurityKeeper } from "../shared/security/security_keeper.ts";
import type { SecurityOffice } from "./active_coordinator.ts";
import type { CoordinatorSecurity } from "./coordinator_options.ts";

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
export interface CoordinatorSecurityOptions extends SecurityDocumentStore<JudgedDocument> {
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
  /** The newest that is known here, with the authority's key; without it only until this coordinator is one. */
  let document: SecurityDocument | JudgedDocument = found;
  let office: SecurityOffice | undefined;

  const folder = new MemberFolder(securityFolderOf(data));
  const isGood = ({ credentials, certificate, hosts: ofIt }: KeptMember) =>
    credentials.cluster === document.cluster && clock.wallMs() < renewalDueMs(certificate) &&
    certificate.subject.id === id && certificate.subject.role === "coordinator" &&
    isSignedBy(credentials.certificate, document.authorities[0] ?? "") &&
    !document.revoked.some(({ serial }) => serial === certificate.serial) &&
    JSON.stringify(ofIt) === JSON.stringify(hosts);
  const sign = async () => {
    if (!("authorityKey" in document)) {
      throw new KvError(
        "bad_config",
        "this coordinator's certificate has ended, or is for other names, and it has not been added yet: give " +
          "--join-token a new token (kv-client token create --join coordinator)",
      );
    }
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
      const isNews = next.version > document.version;
      if (!isNews && "authorityKey" in document) return;
      document = next;
      if (!isNews) return;
      access.adopt(next);
      const { authorities } = next;
      const current = identity.current();
      if (JSON.stringify(current.authorities) !== JSON.stringify(authorities)) {
        opened.writeAuthorities(authorities);
        identity.renew({ ...current, authorities });
      }
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
    unlisted: () => {
      const { serial, fromMs, untilMs } = certificate;
      const isListed = !("certificates" in document) ||
        document.certificates.some((one) => one.serial === serial);
      const authority = signerOf(identity.current().certificate, document.authorities);
      return isListed ? undefined : { serial, madeMs: fromMs, untilMs, authority };
    },
    stop: () => renewal.stop(),
  };
}

/** A new coordinator of a secured cluster. */
export interface JoinSecuredOptions {
  /** Its name; undefined for a random one. */
  readonly id: string | undefined;
  /** Where the cluster's coordinators are. */
  readonly addresses: readonly Address[];
  /** A token, or the file that it is in. */
  readonly token: string | undefined;
  readonly hosts: readonly string[];
}

/**
 * Joins by a token, unless it has done so already. What it gets lets it talk with the other coordinators; it is none
 * until an operator adds it.
 *
 * @throws {KvError} `bad_config` without a token; why it cannot join
 */
export async function joinSecured(
  data: string,
  { id: wanted, addresses, token: given, hosts }: JoinSecuredOptions,
  { random, log }: SecurityDeps,
): Promise<{ readonly id: string; readonly document: JudgedDocument }> {
  const folder = new MemberFolder(securityFolderOf(data));
  const kept = await folder.readMember();
  const judged = await folder.readJudged();
  const { id: before, role } = kept?.certificate.subject ?? {};
  if (before !== undefined && role === "coordinator" && judged !== undefined) {
    return { id: before, document: judged };
  }
  if (given === undefined) {
    throw new KvError(
      "bad_config",
      "--join with --secure needs --join-token; an administrator makes one: kv-client token create --join coordinator",
    );
  }
  const token = await tokenFrom(given, "--join-token");
  const id = wanted ?? `c-${randomId(random).slice(0, 8)}`;
  const joining = { node: id, role: "coordinator", cluster: undefined, hosts } as const;
  const { credentials, document } = await joinCluster(addresses, token, joining);
  await folder.keepJudged(document);
  await folder.keepMember(credentials, { hosts, joinedBy: tokenName(token.secret) });
  log.info("joined a secured cluster", { cluster: credentials.cluster, coordinator: id });
  return { id, document };
}
