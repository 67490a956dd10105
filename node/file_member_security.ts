/**
 * A node of a secured cluster on its disk: it joins by a token if it has not yet, and is a member from then on by what
 * it keeps in `FOLDER.security`.
 *
 * @module
 */
import { KvError } from "../shared/base/errors.ts";
import { markSecured, securityFolderOf } from "../shared/platform/deno/folder_security.ts";
import type { Address } from "../shared/platform/transport.ts";
import { randomId } from "../shared/platform/random.ts";
import { AuditLog } from "../shared/security/audit_log.ts";
import { AccessControl } from "../shared/security/access_control.ts";
import { LoginThrottle } from "../shared/security/login/login_throttle.ts";
import { PasswordHasher } from "../shared/security/login/password.ts";
import { joinCluster } from "../shared/security/members/deno_join.ts";
import { tokenFrom } from "../shared/security/members/file_join_token.ts";
import { type KeptMember, MemberFolder } from "../shared/security/members/file_member.ts";
import { auditLogIn, type SecurityDeps } from "../shared/security/members/file_security.ts";
import type { JudgedDocument } from "../shared/security/security_document.ts";
import { readMemberCertificate } from "../shared/security/certificate_authority.ts";
import { type Token, tokenName } from "../shared/security/user_token.ts";
import { MemberSecurity } from "./membership/member_security.ts";

/** Which node a data folder is. */
export interface FolderIdentity {
  readonly nodeId: string;
  readonly clusterId: string | undefined;
}

/** What a node is told that may join. */
export interface JoinOptions {
  /** A token, or the file that it is in; undefined if the node is not asked to join. */
  readonly join: string | undefined;
  /** Names and addresses at which clients reach the node. */
  readonly hosts: readonly string[];
  /** Reads who the folder is; makes it if it is new. */
  identity(): Promise<FolderIdentity>;
  /** Where the coordinators are. */
  locate(): Promise<readonly Address[]>;
}

/**
 * @returns undefined if the node is no member of a secured cluster, and is not asked to become one
 * @throws {KvError} `bad_config`, `corrupt`, `storage_failed`; why it cannot join
 */
export async function openMemberSecurity(
  data: string,
  options: JoinOptions,
  deps: SecurityDeps,
): Promise<MemberSecurity | undefined> {
  const path = securityFolderOf(data);
  const folder = new MemberFolder(path);
  let member = await folder.readMember();
  let judged = await folder.readJudged();
  const token = options.join === undefined ? undefined : await tokenFrom(options.join);
  if (token !== undefined) {
    const joined = await joinIfNew(token, { member, judged }, options, deps);
    if (joined !== undefined) {
      ({ member, judged } = joined);
      await folder.keepJudged(judged);
      await folder.keepMember(member.credentials, member);
      await markSecured(data);
      const { cluster } = member.credentials;
      deps.log.info("joined a secured cluster", { cluster, node: member.certificate.subject.id });
    }
  }
  if (member === undefined || judged === undefined) return undefined;
  const { untilMs } = member.certificate;
  if (deps.clock.wallMs() >= untilMs) {
    throw new KvError(
      "bad_config",
      `the certificate of this node has ended (${
        new Date(untilMs).toISOString()
      }): it was away for too long. ` +
        "Join again, with --join and a new token: kv-client token create --join node",
    );
  }
  const { hosts } = options;
  const { joinedBy } = member;
  const access = new AccessControl({
    clock: deps.clock,
    hasher: new PasswordHasher(),
    throttle: new LoginThrottle(),
    audit: auditLogIn(path, deps),
  }, judged);
  return new MemberSecurity(
    {
      clock: deps.clock,
      log: deps.log,
      access,
      keepMember: (credentials) => folder.keepMember(credentials, { hosts, joinedBy }),
      keepJudged: (document) => folder.keepJudged(document),
      seen: await folder.readSeen(),
      keepSeen: (seen) => folder.keepSeen(seen),
    },
    member,
    hosts,
  );
}

/**
 * A member that keeps nothing on a disk. What belongs into an audit log is in the process's log.
 *
 * @throws {KvError} why it cannot join
 */
export async function memberInMemory(
  { join, hosts, locate }: Pick<JoinOptions, "hosts" | "locate"> & { readonly join: string },
  { clock, random, log }: SecurityDeps,
): Promise<MemberSecurity> {
  const token = await tokenFrom(join);
  const node = randomId(random);
  const joining = { node, cluster: undefined, hosts, memory: true };
  const { credentials, document } = await joinCluster(await locate(), token, joining);
  log.info("joined a secured cluster", { cluster: credentials.cluster, node });
  const access = new AccessControl({
    clock,
    hasher: new PasswordHasher(),
    throttle: new LoginThrottle(),
    audit: new AuditLog(clock, (line) => log.info("audit", { line: line.trimEnd() })),
  }, document);
  const nothing = () => Promise.resolve();
  return new MemberSecurity(
    {
      clock,
      log,
      access,
      memory: true,
      keepMember: nothing,
      keepJudged: nothing,
      seen: undefined,
      keepSeen: nothing,
    },
    { credentials, hosts },
    hosts,
  );
}

/** What to do if the folder is of another node than the certificate. @throws {KvError} `bad_config` */
export function checkMemberIs(member: MemberSecurity, nodeId: string): void {
  if (member.node === nodeId) return;
  throw new KvError(
    "bad_config",
    `the certificate is that of node ${member.node}, and the data folder is node ${nodeId}, which is new: join again, ` +
      "with --join and a new token: kv-client token create --join node",
  );
}

async function joinIfNew(
  token: Token,
  { member, judged }: {
    member: KeptMember | undefined;
    judged: JudgedDocument | undefined;
  },
  { hosts, identity, locate }: JoinOptions,
  { clock }: SecurityDeps,
): Promise<{ member: KeptMember; judged: JudgedDocument } | undefined> {
  const joinedBy = tokenName(token.secret);
  const { nodeId: node, clusterId: cluster } = await identity();
  const isMember = member !== undefined && judged !== undefined && member.joinedBy === joinedBy &&
    member.certificate.subject.id === node && clock.wallMs() < member.certificate.untilMs;
  // The token may stay in a service's unit: it is used once.
  if (isMember) return undefined;
  const { credentials, document } = await joinCluster(await locate(), token, {
    node,
    cluster,
    hosts,
  });
  const certificate = readMemberCertificate(credentials.certificate);
  return { member: { credentials, certificate, hosts, joinedBy }, judged: document };
}
