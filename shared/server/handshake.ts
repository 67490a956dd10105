/**
 * Who is at the other end of a connection, and what it may do there: the one place that says so, for nodes and
 * the coordinator. A connection that has said no `hello` is a client's. What a `hello` claims is compared with
 * what this process is. In a secured process a client logs in (`wire_logins.ts`), and a member is who its certificate
 * says, which the transport has verified.
 *
 * Invariants: a connection has one identity, from its first `hello` to its end; rights other than `requests`
 * are given to a connection before anything else came over it, and to a caller that says which node it is. In a
 * secured process the role of a member, and its node, are those of its certificate; who has a certificate is no client.
 *
 * @module
 */
import type { Seat } from "../admission/seat.ts";
import { KvError } from "../base/errors.ts";
import type { NodeId } from "../cluster/cluster_map.ts";
import type { MemberName, MemberRole } from "../platform/member_identity.ts";
import type { Connection } from "../wire/connection.ts";
import { type Message, PROTOCOL_VERSION } from "../wire/messages.ts";

/** What the caller says that it is. */
export type Role = Message<"hello">["role"];

/**
 * What a connection is for, and so which messages are taken over it: `requests`, each of which gets one reply;
 * `replication`, between a primary and its followers; `membership`, a node's session with the coordinator; `agreement`,
 * between coordinators.
 */
export type Rights = "requests" | "replication" | "membership" | "agreement";

const RIGHTS: Readonly<Record<Role, Rights>> = {
  client: "requests",
  // It passes on requests of its own clients.
  node: "requests",
  gateway: "requests",
  coordinator: "agreement",
  peer: "replication",
  member: "membership",
};

/** What the certificate of somebody with a role says, in a secured process; undefined for a role that shows none. */
const CERTIFIED_AS: Readonly<Record<Role, MemberRole | undefined>> = {
  client: undefined,
  node: "node",
  peer: "node",
  member: "node",
  gateway: "coordinator",
  coordinator: "coordinator",
};

/** Who is at the other end. */
export interface Identity {
  readonly role: Role;
  /** Which node it says that it is; undefined if it is none. */
  readonly node: NodeId | undefined;
  readonly rights: Rights;
}

/** What the process is that is greeted. */
export interface Greeted {
  readonly kind: "node" | "coordinator";
  /** A node's own id. */
  readonly nodeId?: NodeId;
  /** Whoever asks for something must prove who it is: a client by its login, a member by its certificate. Default false. */
  readonly secured?: boolean;
  /** The cluster that this process belongs to; undefined before there is one. */
  clusterId(): string | undefined;
  /** Whether a node that says so has one of the places that are kept for peers. */
  hasPlace(node: NodeId): boolean;
}

const NOT_A_COORDINATOR = "this is a node, not a coordinator; name the coordinator's address";
const NOT_A_NODE = "this is a coordinator, which holds no replicas; name a node's address";

/**
 * Judges a `hello`, and gives the connection the identity and the place that it has a right to.
 *
 * @param isFirst whether nothing came over the connection before
 * @throws {KvError} `wrong_version`, `forbidden`, `wrong_cluster`, `unavailable`, `bad_request`: the connection is to
 * be ended
 */
export function greet(
  hello: Message<"hello">,
  greeted: Greeted,
  { connection, seat, isFirst }: { connection: Connection; seat: Seat; isFirst: boolean },
): Identity {
  const refusal = connection.peer === undefined
    ? whyRefused(hello, greeted, { member: connection.member, isFirst })
    : new KvError("bad_request", "hello: said already on this connection");
  if (refusal !== undefined) throw refusal;
  const { role } = hello;
  // JSON null stands for an absent field.
  const node = hello.node ?? undefined;
  // So that no number of clients keeps a peer from its connections.
  if (role === "coordinator") seat.becomePeer("a coordinator");
  else if (role === "gateway" && greeted.kind === "node") seat.becomePeer("a coordinator");
  else if (isNode(role) && node !== undefined && greeted.hasPlace(node)) {
    seat.becomePeer(`node ${node}`);
  }
  const identity: Identity = { role, node, rights: RIGHTS[role] };
  connection.peer = identity;
  return identity;
}

/** Whether a role is that of a node of the cluster. */
function isNode(role: Role): boolean {
  return role === "node" || role === "peer" || role === "member";
}

function whyUncertified(
  { role, node }: Message<"hello">,
  { kind, secured }: Greeted,
  member: MemberName | undefined,
): KvError | undefined {
  if (secured !== true) return undefined;
  const wanted = CERTIFIED_AS[role];
  if (wanted === undefined && member === undefined) return undefined;
  if (wanted === undefined) {
    return new KvError("forbidden", `hello: clients are not served on this port of the ${kind}`);
  }
  if (member === undefined) {
    return new KvError(
      "forbidden",
      `hello: this ${kind} is secured, and a ${role} shows a member's certificate on the port for members`,
    );
  }
  const isItself = member.role === wanted && (wanted === "coordinator" || node === member.id);
  if (isItself) return undefined;
  const said = typeof node === "string" ? `${role} ${node}` : role;
  return new KvError(
    "forbidden",
    `hello: the caller says that it is ${said}, its certificate is that of ${member.role} ${member.id}`,
  );
}

function whyRefused(
  hello: Message<"hello">,
  greeted: Greeted,
  { member, isFirst }: { member: MemberName | undefined; isFirst: boolean },
): KvError | undefined {
  const { kind, nodeId, clusterId } = greeted;
  const { protocol, role, to } = hello;
  const rights = RIGHTS[role];
  if (protocol !== PROTOCOL_VERSION) {
    return new KvError(
      "wrong_version",
      `hello: this ${kind} speaks protocol version ${PROTOCOL_VERSION}, the caller ${protocol}; ` +
        `upgrade the older of the two`,
    );
  }
  const uncertified = whyUncertified(hello, greeted, member);
  if (uncertified !== undefined) return uncertified;
  if ((rights === "membership" || rights === "agreement") && kind === "node") {
    return new KvError("bad_request", `hello: ${NOT_A_COORDINATOR}`);
  }
  if (rights === "replication" && kind === "coordinator") {
    return new KvError("bad_request", `hello: ${NOT_A_NODE}`);
  }
  const ours = clusterId();
  const theirs = hello.cluster_id ?? undefined;
  if (ours !== undefined && theirs !== undefined && ours !== theirs) {
    return new KvError(
      "wrong_cluster",
      kind === "node"
        ? `hello: this node belongs to cluster ${ours}, the caller to ${theirs}`
        : `hello: this coordinator leads cluster ${ours}, the caller belongs to ${theirs}; ` +
          `name its coordinator, or use another data folder`,
    );
  }
  // What this node answers and acknowledges would be taken for the word of the node that is looked for.
  if (kind === "node" && typeof to === "string" && to !== nodeId) {
    return new KvError(
      "unavailable",
      `hello: this is node ${nodeId}, the caller looks for ${to}; it is elsewhere or gone`,
    );
  }
  if (rights !== "requests" && !isFirst) {
    return new KvError("bad_request", `hello: a ${role} says it before anything else`);
  }
  if (!isNode(role)) return undefined;
  if (kind === "node" && theirs === undefined) {
    return new KvError("bad_request", 'hello: a node names its cluster, in "cluster_id"');
  }
  // Data of a cluster must not reach a folder that is not noted down to belong to it.
  if (kind === "node" && ours === undefined) {
    return new KvError("unavailable", "hello: this node has not joined its cluster yet");
  }
  if (hello.node === undefined || hello.node === null) {
    return new KvError("bad_request", 'hello: a node must say which one it is, in "node"');
  }
  return undefined;
}
