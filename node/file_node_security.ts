/**
 * How a node is secured: as a cluster by itself, with users of its own, or as a member of a secured cluster.
 *
 * Imported only by a node that is secured: what it needs takes a third of the time of a start.
 *
 * @module
 */
import { DataFolder } from "./storage/leveldb/data_folder.ts";
import {
  checkMemberIs,
  type FolderIdentity,
  memberInMemory,
  openMemberSecurity,
} from "./file_member_security.ts";
import { joinHint } from "../shared/security/members/file_join_token.ts";
import type { MemberSecurity } from "./membership/member_security.ts";
import type { Source } from "../shared/program/given_value.ts";
import type { Random } from "../shared/platform/random.ts";
import type { ServerCertificate } from "../shared/platform/server_certificate.ts";
import type { Address } from "../shared/platform/transport.ts";
import { renewedServerCertificate } from "../shared/security/members/certificate_renewal.ts";
import {
  makeServerCertificate,
  openSecurity,
  type SecurityDeps,
} from "../shared/security/members/file_security.ts";
import type { SecurityKeeper } from "../shared/security/security_keeper.ts";

/** How a node is secured. */
export interface NodeSecurity {
  /** What clients' ports show. */
  readonly tls: ServerCertificate;
  /** Users, of a node that is a cluster by itself. */
  readonly keeper?: SecurityKeeper;
  /** Of a node of a secured cluster. */
  readonly member?: MemberSecurity;
  /** @throws {KvError} `bad_config` if the certificate is another node's than the one with this id */
  readonly checkIs?: (nodeId: string) => void;
}

/** What of a node's start its security needs. */
export interface NodeSecurityOptions {
  readonly data: string;
  /** Whether a node that is a cluster by itself is to be secured. */
  readonly secure: boolean;
  /** A token, or the file that it is in. */
  readonly join: string | undefined;
  readonly joinSource: Source;
  /** Names and addresses at which clients reach the node. */
  readonly hosts: readonly string[];
  /** Where the coordinators are; undefined if the node is a cluster by itself. */
  readonly locate: (() => Promise<readonly Address[]>) | undefined;
}

/**
 * @returns undefined if the node is not to be secured
 * @throws {KvError} as {@linkcode openMemberSecurity}
 */
export async function openNodeSecurity(
  { data, secure, join, joinSource, hosts, locate }: NodeSecurityOptions,
  deps: SecurityDeps,
): Promise<NodeSecurity | undefined> {
  if (secure) return await secureAlone(data, hosts, deps);
  if (locate === undefined) return undefined;
  const hint = join === undefined ? undefined : joinHint(join, joinSource);
  if (hint !== undefined) deps.log.warn(hint);
  const identity = () => identityOf(data, deps.random);
  const member = await openMemberSecurity(data, { join, hosts, identity, locate }, deps);
  if (member === undefined) return undefined;
  return { member, tls: member.identity, checkIs: (nodeId) => checkMemberIs(member, nodeId) };
}

/**
 * A node in memory is a new one at each start: it joins by its token each time, and its certificate is gone with the
 * process.
 *
 * @throws {KvError} why it cannot join
 */
export async function joinInMemory(
  { join, joinSource, hosts, locate }: {
    readonly join: string;
    readonly joinSource: Source;
    readonly hosts: readonly string[];
    readonly locate: () => Promise<readonly Address[]>;
  },
  deps: SecurityDeps,
): Promise<NodeSecurity> {
  const hint = joinHint(join, joinSource);
  if (hint !== undefined) deps.log.warn(hint);
  const member = await memberInMemory({ join, hosts, locate }, deps);
  return { member, tls: member.identity };
}

/** A node that is a cluster by itself. */
async function secureAlone(
  data: string,
  hosts: readonly string[],
  deps: SecurityDeps,
): Promise<NodeSecurity> {
  const { log, clock } = deps;
  const security = await openSecurity(data, deps);
  const { keeper, fingerprint, authorityFile, credentialsFile } = security;
  log.info("secured: clients need the authority's certificate", { authorityFile, fingerprint });
  if (credentialsFile !== undefined) {
    log.info("the first administrator's credentials are in a file, for kv-client --credentials", {
      credentialsFile,
    });
  }
  const tls = await renewedServerCertificate(clock, log, {
    make: () => makeServerCertificate(keeper.document, hosts, clock.wallMs()),
    authority: () => keeper.document.authorities[0] ?? "",
  });
  return { keeper, tls };
}

/** Who a data folder is; it is made if it is new. */
async function identityOf(data: string, random: Random): Promise<FolderIdentity> {
  const folder = await DataFolder.open(data, { random });
  const { nodeId, clusterId } = folder;
  await folder.close();
  return { nodeId, clusterId };
}
