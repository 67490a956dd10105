/**
 * How a machine becomes a member by a token: it learns whom to believe, and only then tells the token's secret.
 *
 *     coordinator, unverified   get_authorities: certificates; one of them must have the hash in the token
 *     coordinator, verified by  join: the secret, and a request that proves that this machine has a key
 *       that certificate
 *
 * Invariants: the secret goes to nobody but a coordinator whose certificate the token's authority has signed; nothing
 * that was said before TLS had verified is believed but for its hash; the key never leaves this machine.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import {
  type MemberCredentials,
  type MemberRole,
  memberServerName,
} from "../../platform/member_identity.ts";
import { type Address, formatAddress } from "../../platform/transport.ts";
import type { Message } from "../../wire/messages.ts";
import { fingerprintOfPem } from "../authority_fingerprint.ts";
import { createRequest, readMemberCertificate } from "../certificate_authority.ts";
import { type JudgedDocument, parseJudgedDocument } from "../security_document.ts";
import type { Token } from "../user_token.ts";
import { askOverTls, NotVerified } from "./deno_ask.ts";
import type { Granted } from "./member_authority.ts";

/** Who joins. */
export interface Joining {
  readonly node: string;
  /** As what. Default: as a node. */
  readonly role?: MemberRole | undefined;
  /** The cluster that its data belongs to; undefined for none yet. */
  readonly cluster: string | undefined;
  /** Names and addresses at which clients reach it. */
  readonly hosts: readonly string[];
  /** It is gone with its process. Default false. */
  readonly memory?: boolean;
}

/** What a machine is that has joined. */
export interface Joined {
  readonly credentials: MemberCredentials;
  readonly document: JudgedDocument;
}

/**
 * Joins the cluster whose coordinators are at these addresses; the next one is asked if nobody answers at one.
 *
 * @throws {KvError} `unavailable` if nobody answers; `unauthorized` if whoever answers is not of the token's cluster,
 *   or does not know the token; `wrong_cluster` if the data is another one's; `exists` if the node has a certificate already; what else the coordinator says
 */
export async function joinCluster(
  coordinators: readonly Address[],
  token: Token,
  joining: Joining,
): Promise<Joined> {
  const why: string[] = [];
  for (const coordinator of coordinators) {
    try {
      return await joinAt(coordinator, token, joining);
    } catch (error) {
      if (!(error instanceof KvError) || error.code !== "unavailable") throw error;
      why.push(error.message);
    }
  }
  throw new KvError("unavailable", why.join("; "));
}

async function joinAt(
  coordinator: Address,
  token: Token,
  { node, role = "node", cluster: ours, hosts, memory = false }: Joining,
): Promise<Joined> {
  const { authority, cluster: theirs } = await fetchAuthority(coordinator, token.fingerprint);
  if (ours !== undefined && ours !== theirs) {
    throw new KvError(
      "wrong_cluster",
      `join: the data folder belongs to cluster ${ours}, the token to another one (${theirs}); name another folder`,
    );
  }
  const { request, key } = await createRequest();
  const message: Message<"join"> = {
    req_type: "join",
    secret: token.secret.reveal(),
    node,
    certificate_request: request,
    hosts,
    role,
    ...(memory ? { memory } : {}),
  };
  const answer = await askOverTls("join", coordinator, message, {
    ca: [authority],
    servername: memberServerName({ role: "coordinator" }),
    rejectUnauthorized: true,
  }).catch((error) => {
    if (!(error instanceof NotVerified)) throw error;
    throw new KvError(
      "unauthorized",
      `join: ${
        formatAddress(coordinator)
      } shows the authority of the token, and cannot prove that it is a ` +
        `coordinator of that cluster (${error.message}): somebody may be in between. The token's secret was not told`,
    );
  });
  const { cluster, certificate, authorities, document } = answer as Granted;
  const { subject } = readMemberCertificate(certificate);
  if (subject.id !== node || subject.role !== role || subject.cluster !== cluster) {
    throw new KvError("unauthorized", "join: the certificate that came names somebody else");
  }
  return {
    credentials: { certificate, key, authorities, cluster },
    document: parseJudgedDocument(document),
  };
}

/** The certificate that has the hash of the token. @throws {KvError} */
async function fetchAuthority(
  coordinator: Address,
  fingerprint: string,
): Promise<{ authority: string; cluster: unknown }> {
  const where = formatAddress(coordinator);
  const answer = await askOverTls("join", coordinator, { req_type: "get_authorities" }, {
    // Nothing is believed of what comes but for its hash.
    rejectUnauthorized: false,
  }).catch((error) => {
    if (!(error instanceof NotVerified)) throw error;
    throw new KvError(
      "unavailable",
      `join: ${where} does not speak TLS (${error.message}); start the coordinator with --secure, or name its address`,
    );
  });
  const { cluster, authorities } = answer as { cluster?: unknown; authorities?: unknown };
  const found = Array.isArray(authorities)
    ? authorities.find((one) => typeof one === "string" && fingerprintOfPem(one) === fingerprint)
    : undefined;
  if (typeof found === "string") return { authority: found, cluster };
  throw new KvError(
    "unauthorized",
    `join: whoever answers at ${where} is not of the token's cluster: none of its authorities has the hash in the ` +
      "token. The address or the token is another cluster's, or somebody is in between. The token's secret was not told",
  );
}
