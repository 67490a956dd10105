/**
 * When a node may go: it asked to, it was replaced, or an operator gives it up. And how it goes.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import { KvError } from "../../shared/base/errors.ts";
import { FORGET_DOWN_MS } from "../../shared/limits/membership.ts";
import { formatAddress } from "../../shared/platform/transport.ts";
import type { ClusterState } from "../state/cluster_state.ts";
import { type Member, nodeText, type SessionId } from "../state/member.ts";
import type { Outbox } from "../state/ready.ts";

type Members = ReadonlyMap<NodeId, Member>;

/** Lets nodes go. */
export class Departures {
  readonly #state: ClusterState;
  readonly #out: Outbox;
  readonly #repairDelayMs: number;
  /** Sessions of processes that were told `left`; what they still send is not answered. */
  readonly #dismissed = new Set<SessionId>();

  /** @param repairDelayMs a node in memory that is down for this long will not come back under its id */
  constructor(state: ClusterState, out: Outbox, repairDelayMs: number) {
    this.#state = state;
    this.#out = out;
    this.#repairDelayMs = repairDelayMs;
  }

  /** Whether its process was told that it may go. */
  isDismissed(session: SessionId): boolean {
    return this.#dismissed.has(session);
  }

  /** The session has ended, or its process has registered again. */
  forgetSession(session: SessionId): void {
    this.#dismissed.delete(session);
  }

  /** A node wants to go, for good or until its process is started again. */
  begin(member: Member, stopping: boolean): void {
    this.#out.info(stopping ? "a node is stopping" : "a node is leaving", { node: member.id });
    member.departure = stopping ? "stopping" : "leaving";
    member.released = false;
    this.#state.setInfo(member, member.info);
    if (!stopping && stayersAreDown(this.#state.members)) {
      this.#out.warn("a node that leaves has to wait: all that could take its replicas are down", {
        node: member.id,
      });
    }
    this.#state.touch(member);
  }

  /** Lets those go that hold nothing that matters. */
  letGo(): void {
    const { members, table, sessions, publisher } = this.#state;
    for (const member of members.values()) {
      const { session, released } = member;
      if (released || session === undefined || !mayGo(member, this.#state)) continue;
      if (member.departure === "leaving" && table.heldBy(member.id).size === 0) {
        this.#out.info("a node has left", { node: member.id });
        this.#state.remove(member);
        sessions.delete(session);
      } else {
        member.released = true;
      }
      publisher.sendAfterwards(session, { req_type: "left" });
      this.#dismissed.add(session);
    }
  }

  /** Takes nodes off the list that are down, hold nothing and will hardly come back under this id. Rule C11. */
  forgetNodes(nowMs: number): void {
    const { members, table } = this.#state;
    for (const member of members.values()) {
      if (member.presence !== "down" || table.heldBy(member.id).size > 0) continue;
      const replaced = isReplaced(member, members);
      const keepMs = replaced || member.departure === "leaving"
        ? 0
        : member.memory
        ? this.#repairDelayMs
        : FORGET_DOWN_MS;
      if (nowMs < Math.max(member.downSinceMs, member.lastSeenMs) + keepMs) continue;
      this.#out.info("a node is taken off the list", {
        node: member.id,
        reason: replaced
          ? `another node has come at its address, ${formatAddress(member.info)}`
          : "it is down, and holds nothing that is needed",
      });
      this.#state.remove(member);
    }
  }
}

/**
 * An operator says that a node will not come back. Rule C11.
 *
 * @returns the node, and the partitions whose acknowledged writes only it has in full
 * @throws {KvError} `bad_request` if it is up, or is needed and `force` is not given; `unavailable` if it
 *   cannot be told yet whether it is down
 */
export function checkForget(
  state: ClusterState,
  id: NodeId,
  force: boolean,
  nowMs: number,
): { member: Member; alone: number[] } {
  const member = state.members.get(id);
  if (member === undefined) {
    throw new KvError(
      "bad_request",
      `forget_node: no node ${id} is in the cluster; list-nodes tells which are`,
    );
  }
  const name = nodeText(state.members, id);
  checkIsGone(state, member, name, nowMs);
  const alone = heldAlone(member, state);
  if (alone.length > 0 && !force) {
    throw new KvError(
      "bad_request",
      `forget_node: only node ${name} is known to hold every acknowledged write of ` +
        `${alone.length} of its partitions (such as partition ${
          alone[0]
        }); start it again on its ` +
        "folder, or give up what others lack with --force",
    );
  }
  return { member, alone };
}

/** @throws {KvError} if a node is up, or may be */
function checkIsGone(
  { settings, graceUntilMs }: ClusterState,
  { presence, heardMs, lastSeenMs }: Member,
  name: string,
  nowMs: number,
): void {
  const { failureTimeoutMs } = settings;
  if (presence === "live") {
    throw new KvError(
      "bad_request",
      `forget_node: node ${name} is up; only one that is down can be forgotten (SIGUSR1 to a node ` +
        "makes it leave for good)",
    );
  }
  const knownMs = Math.max(graceUntilMs, lastSeenMs + failureTimeoutMs);
  if (presence === "unknown" || nowMs < knownMs) {
    throw new KvError(
      "unavailable",
      `forget_node: it is not known yet whether node ${name} is gone; try again in a few seconds`,
    );
  }
  if (nowMs < heardMs + failureTimeoutMs) {
    throw new KvError(
      "unavailable",
      `forget_node: the heartbeats of node ${name} come, although it does not count as up; stop it, ` +
        "or mend its way to the coordinator",
    );
  }
}

/**
 * Whether it holds nothing that others still need from it. A node that stops must not lead what another replica
 * could take over now. A node that leaves must hold nothing, unless there is no node that could take it.
 */
function mayGo(member: Member, state: ClusterState): boolean {
  switch (member.departure) {
    case "none":
      return false;
    case "stopping":
      return !leads(member, state);
    case "leaving":
      return state.table.heldBy(member.id).size === 0 || !hasStayers(state.members);
  }
}

/** Whether all nodes that could take what is left behind are down, so that a node that leaves has to wait. */
function stayersAreDown(members: Members): boolean {
  const isThere = ({ presence, departure }: Member) => presence !== "down" && departure === "none";
  return hasStayers(members) && ![...members.values()].some(isThere);
}

/** Whether another node has come in its place: one with the same address is live. */
function isReplaced({ id, info }: Member, members: Members): boolean {
  for (const other of members.values()) {
    if (other.id === id || other.presence !== "live") continue;
    if (other.info.host === info.host && other.info.port === info.port) return true;
  }
  return false;
}

/** Partitions of which no other replica is known to hold every acknowledged write, in order. */
function heldAlone(member: Member, { members, table }: ClusterState): number[] {
  const alone: number[] = [];
  for (const partition of table.heldBy(member.id)) {
    const { inSync } = table.get(partition);
    const holds = (id: NodeId) => {
      const other = members.get(id);
      if (other === undefined || id === member.id || other.damaged.has(partition)) return false;
      // A later process of it may have found nothing of the partition on its disk.
      return !other.stale.has(partition) || other.held.has(partition);
    };
    if (inSync.includes(member.id) && !inSync.some(holds)) alone.push(partition);
  }
  return alone.sort((a, b) => a - b);
}

/** Whether it is primary of anything that another replica could take. */
function leads(member: Member, { members, table }: ClusterState): boolean {
  for (const partition of table.heldBy(member.id)) {
    const { primary, inSync } = table.get(partition);
    if (primary !== member.id) continue;
    const others = inSync.filter((id) => id !== member.id).map((id) => members.get(id));
    const takes = (other: Member | undefined) =>
      other?.presence === "live" && other.departure === "none" && other.writable &&
      !other.stale.has(partition) &&
      !other.damaged.has(partition);
    if (others.some(takes)) return true;
  }
  return false;
}

/** Whether there is a node that takes what others leave behind, now or when it is back. */
function hasStayers(members: Members): boolean {
  for (const { departure } of members.values()) {
    if (departure !== "leaving") return true;
  }
  return false;
}
