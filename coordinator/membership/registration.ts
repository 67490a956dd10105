/**
 * Registrations: whether a node may register (the form of what it says, the cluster it belongs to, whether it is
 * the newest process of its data folder, and near enough to what is known), and what is known of it from then on. A later process of a node ends
 * the roles of the earlier one: what that was primary of has no primary until its lease has run out, and
 * its in-sync roles are stale. So no published map ever names a process as primary that was not itself given the role.
 *
 * @module
 */
import type { ClusterSettings } from "../../shared/cluster/cluster_map.ts";
import { KvError } from "../../shared/base/errors.ts";
import { NAME_CHARACTERS_MAX, NODES_MAX, WEIGHT_MAX } from "../../shared/limits/cluster.ts";
import {
  EPOCH_JUMP_MAX,
  INCARNATION_JUMP_MAX,
  TERM_JUMP_MAX,
} from "../../shared/limits/membership.ts";
import { isTerm, isUint } from "../../shared/cluster/map_shape.ts";
import type { Message } from "../../shared/wire/messages.ts";
import type { ClusterState } from "../state/cluster_state.ts";
import {
  type HeldReplica,
  infoOf,
  type Member,
  newMember,
  type SessionId,
} from "../state/member.ts";
import type { Outbox } from "../state/ready.ts";

const NODE_ID = /^[0-9a-f]{16}$/;

/** Why the node may not register over the session; undefined if it may. */
export function checkRegistration(
  state: ClusterState,
  session: SessionId,
  message: Message<"register">,
): KvError | undefined {
  const { settings, members, sessions } = state;
  const known = members.get(message.node);
  const refusal = checkItself(message, settings, known) ?? whyLeaping(message, state);
  if (refusal !== undefined) return refusal;
  const other = sessions.get(session);
  if (other !== undefined && other !== message.node) {
    return new KvError("bad_request", `register: this connection is that of node ${other}`);
  }
  if (known === undefined && members.size >= NODES_MAX) {
    return new KvError(
      "overloaded",
      `register: a cluster has at most ${NODES_MAX} nodes, and this one has as many`,
    );
  }
  return undefined;
}

function checkItself(
  message: Message<"register">,
  settings: ClusterSettings,
  known: Member | undefined,
): KvError | undefined {
  const malformed = whyMalformed(message, settings);
  if (malformed !== undefined) return new KvError("bad_request", `register: ${malformed}`);
  const { cluster_id: clusterId, incarnation, instance } = message;
  // JSON null stands for an absent field.
  if (typeof clusterId === "string" && clusterId !== settings.clusterId) {
    return new KvError(
      "wrong_cluster",
      `register: the node's data belongs to cluster ${clusterId}, this is cluster ` +
        `${settings.clusterId} (${settings.clusterName}); name its coordinator, or another folder`,
    );
  }
  const { cluster_name: name } = message;
  if (typeof clusterId !== "string" && typeof name === "string" && name !== settings.clusterName) {
    return new KvError(
      "wrong_cluster",
      `register: the node is to join a cluster named ${JSON.stringify(name)}, and this one is ` +
        `named ${JSON.stringify(settings.clusterName)}; name its coordinator, or start that`,
    );
  }
  if (known === undefined) return undefined;
  const newest = known.info.incarnation;
  const taken = incarnation === newest && known.instance !== undefined &&
    known.instance !== instance;
  if (incarnation >= newest && !taken) return undefined;
  return new KvError(
    "stale_incarnation",
    `register: node ${known.id} has already registered as run ${newest}, this is run ` +
      `${incarnation}: another process of the same data folder, or of a copy of it, is or was here`,
    { detail: { incarnation: newest } },
  );
}

/** What a node says must be near to what is known here: further ahead is no honest node. Rule C12. */
function whyLeaping(
  message: Message<"register">,
  { members, published, table }: ClusterState,
): KvError | undefined {
  const { node, incarnation, seen_epoch: epoch, held } = message;
  const termLeap = Math.max(0, ...held.map(([p, term]) => term - table.get(p).term));
  const leaps = [
    ["incarnation", incarnation - (members.get(node)?.info.incarnation ?? 0), INCARNATION_JUMP_MAX],
    // JSON null stands for an absent field.
    ["seen_epoch", (epoch ?? 0) - published.epoch, EPOCH_JUMP_MAX],
    ["held", termLeap, TERM_JUMP_MAX],
  ] as const;
  for (const [what, leap, max] of leaps) {
    if (leap <= max) continue;
    return new KvError(
      "bad_request",
      `register: "${what}" is ${leap} ahead of what is known here, and can be ${max} at most; ` +
        "the node's folder is damaged, or somebody else speaks for it",
    );
  }
  return undefined;
}

function whyMalformed(
  message: Message<"register">,
  settings: ClusterSettings,
): string | undefined {
  const { node, instance, host, port, http_port: httpPort, zone, weight, held } = message;
  const { peer_port: peerPort } = message;
  if (!NODE_ID.test(node)) return '"node" must be 16 hexadecimal digits';
  for (const [name, value] of Object.entries({ instance, host, zone })) {
    if (value === "" || value.length > NAME_CHARACTERS_MAX) {
      return `"${name}" must have 1 to ${NAME_CHARACTERS_MAX} characters`;
    }
  }
  if (port < 1 || port > 65_535) return '"port" must be from 1 to 65535';
  // JSON null stands for an absent field.
  if (typeof peerPort === "number" && (peerPort < 1 || peerPort > 65_535)) {
    return '"peer_port" must be from 1 to 65535';
  }
  if (httpPort > 65_535) return '"http_port" must be from 0 to 65535';
  if (!(weight > 0 && weight <= WEIGHT_MAX)) {
    return `"weight" must be more than 0 and at most ${WEIGHT_MAX}`;
  }
  for (const replica of held as readonly unknown[]) {
    if (!isHeldReplica(replica, settings.partitionCount)) {
      return `"held" must list [partition, term, last seq, damaged], given ${
        JSON.stringify(replica)?.slice(0, 80)
      }`;
    }
  }
  return undefined;
}

function isHeldReplica(replica: unknown, partitionCount: number): boolean {
  if (!Array.isArray(replica)) return false;
  const [partition, term, lastSeq, damaged] = replica;
  return isUint(partition) && partition < partitionCount && isTerm(term) && isUint(lastSeq) &&
    (damaged === 0 || damaged === 1);
}

/** Takes a registration that may be: its session counts from now on, and what it says is believed. */
export function takeRegistration(
  state: ClusterState,
  out: Outbox,
  session: SessionId,
  message: Message<"register">,
  nowMs: number,
): Member {
  const known = state.members.get(message.node);
  const member = known ?? newMember(infoOf(message), "unknown", nowMs);
  const restarted = known !== undefined && message.incarnation > known.info.incarnation;
  if (known === undefined) state.add(member);
  else if (restarted) endRoles(state, member, nowMs);
  attach(state, member, session);
  out.info(restarted ? "a node has restarted" : "a node has registered", {
    node: member.id,
    address: `${message.host}:${message.port}`,
    incarnation: message.incarnation,
    held: message.held.length,
  });
  const isNewProcess = member.instance !== message.instance;
  if (isNewProcess) member.adoptedEpoch = 0;
  member.instance = message.instance;
  member.memory = message.memory === true;
  // If its disk takes none, it says so next.
  member.writable = true;
  if (isNewProcess || member.presence === "down") member.presence = "unknown";
  member.released = false;
  member.lastSeenMs = nowMs;
  takeHeld(state, member, message);
  if (restarted) checkFolder(state, out, member, message);
  state.setInfo(member, infoOf(message));
  if (isNewProcess) state.listNodesAnew();
  state.touch(member);
  return member;
}

function attach(state: ClusterState, member: Member, session: SessionId): void {
  const old = member.session;
  if (old !== undefined && old !== session) state.dropSession(old);
  state.publisher.unsubscribe(session);
  state.sessions.set(session, member.id);
  member.session = session;
}

/** A later process has come: the earlier one's roles do not count any more. Rule C5. */
function endRoles(state: ClusterState, member: Member, nowMs: number): void {
  const { id } = member;
  const { table } = state;
  for (const partition of [...table.heldBy(id)].sort((a, b) => a - b)) {
    const config = table.get(partition);
    if (config.inSync.includes(id)) member.stale.add(partition);
    const wasPrimary = config.primary === id;
    if (wasPrimary) state.barUntil(partition, member.leaseUntilMs);
    state.reconfigure(partition, {
      primary: wasPrimary ? undefined : config.primary,
      inSync: config.inSync,
      learners: config.learners.filter((learner) => learner !== id),
    });
  }
  member.damaged.clear();
  member.registeredMs = nowMs;
  member.departure = "none";
}

function takeHeld({ table }: ClusterState, member: Member, message: Message<"register">): void {
  const held = new Map<number, HeldReplica>();
  for (const [partition, term, lastSeq, damaged] of message.held) {
    held.set(partition, { term, lastSeq });
    if (damaged === 1 && table.get(partition).inSync.includes(member.id)) {
      member.damaged.add(partition);
    }
  }
  member.held = held;
}

/**
 * A later process whose database is behind what an earlier one had synced stands on an old copy of the folder,
 * or on a disk that has lost what it had written. What it holds may lack acknowledged writes: it counts as damaged.
 * Rule C8.
 */
function checkFolder(
  { table }: ClusterState,
  out: Outbox,
  member: Member,
  { batch }: Message<"register">,
): void {
  if (typeof batch !== "number") return;
  if (batch < member.batch) {
    out.error(
      "a node's data is older than what it had written: an old copy of its folder was put back, or its " +
        "disk has lost writes; its replicas do not count, and are filled anew",
      { node: member.id, batch, known: member.batch },
    );
    for (const partition of table.heldBy(member.id)) {
      if (table.get(partition).inSync.includes(member.id)) member.damaged.add(partition);
    }
  }
  member.batch = batch;
}
