/**
 * The shared state of the coordinator's state machine, as a test of one of its parts wants it: live members with
 * sessions, and the configurations that the test gives.
 *
 * @module
 */
import { ClusterState } from "../../../coordinator/state/cluster_state.ts";
import { type Member, newMember } from "../../../coordinator/state/member.ts";
import { Outbox } from "../../../coordinator/state/ready.ts";
import { newCluster, type StoredCluster } from "../../../coordinator/state/stored_cluster.ts";
import { FailoverController } from "../../../coordinator/partitions/failover_controller.ts";
import { Mover } from "../../../coordinator/partitions/mover.ts";
import { TargetAssignment } from "../../../coordinator/partitions/target_assignment.ts";
import type {
  ClusterSettings,
  NodeInfo,
  PartitionConfig,
} from "../../../shared/cluster/cluster_map.ts";
import { SETTINGS } from "./membership_world.ts";

/** The coordinator starts at this moment. */
export const START_MS = 1_000_000;
/** All leases from before the start have ended, and nobody is given grace any more. */
export const LATER_MS = START_MS + 10_000;

export interface StateOptions {
  /** Ids of nodes. Default: `a`, `b` and `c`. */
  readonly nodes?: readonly string[];
  /** Default: one partition of term 1, all nodes in sync, the first one primary. */
  readonly partitions?: readonly PartitionConfig[];
  readonly settings?: Partial<ClusterSettings>;
  readonly epoch?: number;
}

/** A node's line in the map. */
export function infoFor(id: string): NodeInfo {
  return {
    id,
    host: `host-${id}`,
    port: 8081,
    httpPort: 0,
    zone: id,
    weight: 1,
    incarnation: 1,
    state: "up",
  };
}

/** State, outbox and members. */
export function coordinatorState(options: StateOptions = {}) {
  const { nodes = ["a", "b", "c"], settings, epoch = 5 } = options;
  const partitions = options.partitions ??
    [{ term: 1, primary: nodes[0], inSync: nodes, learners: [] }];
  const empty = newCluster({ ...SETTINGS, ...settings, partitionCount: partitions.length });
  const stored: StoredCluster = {
    ...empty,
    map: { ...empty.map, epoch, nodes: nodes.map(infoFor), partitions },
  };
  const out = new Outbox();
  const state = new ClusterState(out, stored, { generation: "g1" }, START_MS);
  [...state.members.values()].forEach((member, i) => revive(state, member, i + 1));
  return { state, out, member: (id: string) => memberOf(state, id) };
}

function memberOf(state: ClusterState, id: string): Member {
  const member = state.members.get(id);
  if (member === undefined) throw new Error(`there is no node ${id}`);
  return member;
}

/** It is live, heard of until {@linkcode LATER_MS}, and has a session. */
function revive(state: ClusterState, member: Member, session: number): void {
  member.presence = "live";
  member.instance = `i-${member.id}`;
  member.session = session;
  member.lastSeenMs = LATER_MS;
  member.heardMs = LATER_MS;
  member.leaseUntilMs = LATER_MS;
  state.sessions.set(session, member.id);
}

/** A new member, live. */
export function addMember(state: ClusterState, id: string): Member {
  const member = newMember(infoFor(id), "unknown", LATER_MS);
  state.add(member);
  revive(state, member, state.members.size);
  return member;
}

/** As {@linkcode coordinatorState}, with the parts that decide about partitions. */
export function partitionParts(options: StateOptions = {}) {
  const base = coordinatorState(options);
  const { state, out } = base;
  const target = new TargetAssignment(
    state,
    (nodes, count, factor) =>
      Array.from({ length: count }, () => nodes.slice(0, factor).map(({ id }) => id)),
    5_000,
  );
  const failover = new FailoverController(state, target, out);
  const mover = new Mover(state, target, out);
  /** Judges everything that is to be judged. */
  const judgeAll = (nowMs: number) => {
    do {
      const news = state.takeNews();
      failover.note(news);
      mover.note(news);
    } while (failover.judgeNext(nowMs) || state.hasNews);
  };
  return { ...base, target, failover, mover, judgeAll };
}
