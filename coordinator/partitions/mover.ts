/**
 * Repair and rebalancing: compares the target assignment with the table, and takes the steps of `rebalance.ts`, a
 * few at a time for each node: replicas of a partition that lacks some first. Primaries move by hand-over: an
 * order to the old one, its answer that it has drained, and only then the change.
 *
 * Work is proportional to what changed: all partitions are compared only when the target assignment changes.
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import { MOVES_PER_NODE_MAX } from "../../shared/limits/membership.ts";
import type { ClusterState, News } from "../state/cluster_state.ts";
import type { Member, SessionId } from "../state/member.ts";
import type { Replicas } from "../state/partition_table.ts";
import type { Outbox } from "../state/ready.ts";
import { Backoffs } from "./backoffs.ts";
import { Handovers } from "./handovers.ts";
import { MoveQueue } from "./move_queue.ts";
import { nextStep, orderReplicas, type Readiness, type Step } from "./rebalance.ts";
import type { TargetAssignment } from "./target_assignment.ts";

/** The back-off of a partition's hand-over is kept under this name in place of a node's. */
const LEADER = "leader";

/** Repair and rebalancing of all partitions. */
export class Mover {
  readonly target: TargetAssignment;
  readonly #state: ClusterState;
  readonly #out: Outbox;
  /** Partitions that are to be compared with their target. */
  readonly #unplanned = new Set<number>();
  readonly #fills = new MoveQueue();
  readonly #handoverQueue = new MoveQueue();
  readonly #handovers = new Handovers();
  readonly #backoffs = new Backoffs();
  /** Partitions whose order waits until everybody knows their configuration. */
  readonly #unpublished = new Set<number>();

  constructor(state: ClusterState, target: TargetAssignment, out: Outbox) {
    this.#state = state;
    this.target = target;
    this.#out = out;
  }

  /** Hand-overs that were ordered and not answered. */
  get handoverCount(): number {
    return this.#handovers.size;
  }

  /** Compares again: partitions that have changed, and those that a touched node holds or should hold. */
  note({ changes, nodes }: News): void {
    for (const { partition, before, after } of changes) {
      this.#unplanned.add(partition);
      if (before.term !== after.term) this.#handovers.forget(partition);
    }
    for (const id of nodes) {
      for (const partition of this.#state.table.heldBy(id)) this.#unplanned.add(partition);
      for (const partition of this.target.partitionsOf(id)) this.#unplanned.add(partition);
    }
  }

  /** A map was published: orders that waited for it may go. */
  onPublished(): void {
    for (const partition of this.#unpublished) this.#unplanned.add(partition);
    this.#unpublished.clear();
  }

  /** A replica did not follow: it is filled again later, each time after a longer pause. */
  backOff(partition: number, id: NodeId, nowMs: number): void {
    this.#backoffs.add(partition, id, nowMs);
  }

  /** To whom an old primary that has drained hands over, if that is still in order. */
  handoverTarget(
    partition: number,
    term: number,
    from: NodeId,
    nowMs: number,
  ): NodeId | undefined {
    const order = this.#handovers.get(partition);
    if (order === undefined || order.term !== term || order.from !== from) return undefined;
    const ready = this.#readinessOf(partition, nowMs);
    // Others may have said meanwhile that they cannot write either.
    const isFull = this.#state.members.get(from)?.writable === false;
    if (isFull && !ready.mustHandOver(from)) return undefined;
    return ready.mayLead(order.to) ? order.to : undefined;
  }

  /** What has become due by time alone. */
  tick(nowMs: number): void {
    for (const [partition, { from }] of this.#handovers.takeOverdue(nowMs)) {
      this.#out.warn("a hand-over was not answered", { partition, node: from });
      this.backOff(partition, LEADER, nowMs);
      this.#unplanned.add(partition);
    }
    for (const partition of this.#backoffs.takeEnded(nowMs)) this.#unplanned.add(partition);
    this.updateTarget(nowMs);
  }

  /** Computes the target assignment from the nodes that count now; if it is another one, all is compared with it. */
  updateTarget(nowMs: number): void {
    if (!this.target.update(nowMs)) return;
    this.#fills.clear();
    this.#handoverQueue.clear();
    for (let partition = 0; partition < this.#state.table.size; partition++) {
      this.#unplanned.add(partition);
    }
  }

  /** Takes the steps that are due now. */
  work(nowMs: number): void {
    // Steps that change a configuration add to the set while it is gone through.
    for (const partition of this.#unplanned) {
      this.#unplanned.delete(partition);
      this.#plan(partition, nowMs);
    }
    this.#startFills(nowMs);
    this.#startHandovers(nowMs);
  }

  #plan(partition: number, nowMs: number): void {
    const config = this.#state.table.get(partition);
    const step = this.#stepOf(partition, config, nowMs);
    switch (step.kind) {
      case "none":
        return;
      case "fill":
        for (const id of step.nodes) this.#fills.add(id, partition, step.urgent);
        return;
      case "hand_over":
        if (config.primary !== undefined) this.#handoverQueue.add(config.primary, partition, false);
        return;
      case "drop_learners": {
        const learners = config.learners.filter((id) => !step.nodes.includes(id));
        this.#reconfigure(partition, { ...config, learners });
        return;
      }
      case "drop_surplus": {
        const inSync = config.inSync.filter((id) => !step.nodes.includes(id));
        const ordered = orderReplicas(inSync, this.target.of(partition), config.primary);
        this.#reconfigure(partition, { ...config, inSync: ordered });
        return;
      }
    }
  }

  /** The partition's next step is looked for at once. */
  #reconfigure(partition: number, replicas: Replicas): void {
    if (this.#state.reconfigure(partition, replicas)) this.#unplanned.add(partition);
  }

  #stepOf(partition: number, config: PartitionConfig, nowMs: number): Step {
    if (this.#handovers.get(partition) !== undefined) return { kind: "none" };
    return nextStep(config, this.target.of(partition), this.#readinessOf(partition, nowMs));
  }

  #startFills(nowMs: number): void {
    const { table } = this.#state;
    for (const id of this.#fills.nodes()) {
      while (table.learnedBy(id).size < MOVES_PER_NODE_MAX) {
        const partition = this.#fills.take(id);
        if (partition === undefined) break;
        const config = table.get(partition);
        const step = this.#stepOf(partition, config, nowMs);
        if (step.kind !== "fill" || !step.nodes.includes(id)) continue;
        this.#reconfigure(partition, { ...config, learners: [...config.learners, id] });
      }
    }
  }

  #startHandovers(nowMs: number): void {
    const { table, members, published } = this.#state;
    for (const from of this.#handoverQueue.nodes()) {
      while (this.#handovers.hasRoom(from)) {
        const partition = this.#handoverQueue.take(from);
        if (partition === undefined) break;
        const config = table.get(partition);
        const step = this.#stepOf(partition, config, nowMs);
        if (step.kind !== "hand_over" || config.primary !== from) continue;
        const session = members.get(from)?.session;
        // The order is for a configuration that its primary knows.
        if (published.partitions[partition] !== config) this.#unpublished.add(partition);
        else if (session !== undefined) {
          this.#order(session, partition, config.term, from, step.to, nowMs);
        }
      }
    }
  }

  #order(
    session: SessionId,
    p: number,
    term: number,
    from: NodeId,
    to: NodeId,
    nowMs: number,
  ): void {
    this.#handovers.add(p, { from, to, term }, nowMs);
    this.#out.send([session], { req_type: "handover", p, term, to });
  }

  /** What may be done with the replicas of a partition now. */
  #readinessOf(partition: number, nowMs: number): Readiness {
    const { members } = this.#state;
    const serves = (node: Member | undefined): node is Member =>
      node !== undefined && node.presence === "live" && !node.stale.has(partition) &&
      !node.damaged.has(partition);
    const canTakeOver = (node: Member) =>
      node.session !== undefined && node.departure === "none" && node.writable;
    return {
      isServing: (id) => serves(members.get(id)),
      mayLearn: (id) => {
        const node = members.get(id);
        return node?.presence === "live" && canTakeOver(node) &&
          this.#backoffs.isOver(partition, id, nowMs);
      },
      mayLead: (id) => {
        const node = members.get(id);
        return serves(node) && canTakeOver(node) &&
          this.#backoffs.isOver(partition, LEADER, nowMs);
      },
      mustHandOver: (id) => {
        const node = members.get(id);
        return node?.departure === "stopping" ||
          (node?.writable === false && this.#canWriteWithout(partition, id));
      },
    };
  }

  /** Whether the partition would take writes if this replica were not there. Rule C7. */
  #canWriteWithout(partition: number, id: NodeId): boolean {
    const { members, table, settings } = this.#state;
    const others = table.get(partition).inSync.filter((other) =>
      other !== id && members.get(other)?.writable === true
    );
    return others.length >= Math.max(1, settings.minInSync);
  }
}
