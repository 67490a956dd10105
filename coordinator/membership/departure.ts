/**
 * When a node may go: one that asked to, one that was replaced, one that an operator gives up. Pure functions of
 * what is known of the members; carrying it out is the membership's part.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import type { Member } from "../state/member.ts";
import type { PartitionTable } from "../state/partition_table.ts";

type Members = ReadonlyMap<NodeId, Member>;

/**
 * Whether it holds nothing that others still need from it. One that stops must not lead what another replica
 * could take over now; one that leaves must hold nothing, unless nobody is there to take it.
 */
export function mayGo(member: Member, members: Members, table: PartitionTable): boolean {
  switch (member.departure) {
    case "none":
      return false;
    case "stopping":
      return !leads(member, members, table);
    case "leaving":
      return table.heldBy(member.id).size === 0 || !hasStayers(members);
  }
}

/** Whether all those are down that could take what is left behind, so that whoever leaves has to wait. */
export function stayersAreDown(members: Members): boolean {
  const isThere = ({ presence, departure }: Member) => presence !== "down" && departure === "none";
  return hasStayers(members) && ![...members.values()].some(isThere);
}

/** Whether another node has come in its place: one with the same address is live. */
export function isReplaced({ id, info }: Member, members: Members): boolean {
  for (const other of members.values()) {
    if (other.id === id || other.presence !== "live") continue;
    if (other.info.host === info.host && other.info.port === info.port) return true;
  }
  return false;
}

/** Partitions of which no other replica is known to hold every acknowledged write, in order. */
export function heldAlone(member: Member, members: Members, table: PartitionTable): number[] {
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
function leads(member: Member, members: Members, table: PartitionTable): boolean {
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
