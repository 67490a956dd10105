/**
 * Repair and rebalancing: keeps the placement's target assignment, compares it with the table, and takes the steps
 * of `rebalance.ts`, a few at a time per node: replicas of a partition that lacks some first. Primaries
 * move by hand-over: an order to the old one, its answer that it has drained, and only then the
 * change.
 *
 * Work is proportional to what changed: all partitions are compared only when the target assignment changes.
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import {
  HANDOVER_TIMEOUT_MS,
  MOVES_PER_NODE_MAX,
  REPAIR_BACKOFF_MS,
  REPAIR_BACKOFF_MS_MAX,
} from "../../shared/base/limits.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import { backoffMs } from "../../shared/scheduling/backoff.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { byId, type Member, type SessionId } from "../state/member.ts";
import { MoveQueue } from "./move_queue.ts";
import type { PartitionTable } from "../state/partition_table.ts";
import { nextStep, orderReplicas, type Readiness, type Step } from "./rebalance.ts";

/** The placement function, as `placement.ts` has it. */
export type Place = (
  nodes: readonly { readonly id: NodeId; readonly weight: number; readonly zone: string }[],
  partitionCount: number,
  replicationFactor: number,
) => NodeId[][];

/** What the mover works on and with. */
export interface MoverPorts {
  readonly members: ReadonlyMap<NodeId, Member>;
  readonly table: PartitionTable;
  readonly log: Logger;
  readonly place: Place;
  readonly replicationFactor: number;
  /** How many in-sync copies a write needs. */
  readonly minInSync: number;
  /** A node that is down for less than this is still wanted for. */
  readonly repairDelayMs: number;
  /** Whether everybody was told the partition's present configuration. */
  isPublished(partition: number): boolean;
  send(session: SessionId, message: Message): void;
}

interface Handover {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: number;
  readonly forgetAtMs: number;
}

interface Backoff {
  readonly partition: number;
  readonly count: number;
  readonly untilMs: number;
  /** It ended, and the partition was looked at again. */
  over: boolean;
}

const NOBODY: readonly NodeId[] = [];
/** The back-off of a partition's hand-over is kept under this name in place of a node's. */
const LEADER = "leader";

/** Repair and rebalancing of all partitions. */
export class Mover {
  readonly #ports: MoverPorts;
  #target: NodeId[][] = [];
  #targetedFor = new Map<NodeId, number[]>();
  /** What the target assignment was computed from. */
  #targetKey = "";
  #targetStale = true;
  readonly #unplanned = new Set<number>();
  readonly #fills = new MoveQueue();
  readonly #handoverQueue = new MoveQueue();
  readonly #handovers = new Map<number, Handover>();
  readonly #handoversFrom = new Map<NodeId, number>();
  /** Wait for their configuration to be published. */
  readonly #unpublished = new Set<number>();
  readonly #backoffs = new Map<string, Backoff>();
  #nowMs = 0;
  #planning = 0;
  readonly #readiness: Readiness;

  constructor(ports: MoverPorts) {
    this.#ports = ports;
    const member = (id: NodeId) => ports.members.get(id);
    const serves = (node: Member | undefined): node is Member =>
      node !== undefined && node.presence === "live" && !node.stale.has(this.#planning) &&
      !node.damaged.has(this.#planning);
    this.#readiness = {
      isServing: (id) => serves(member(id)),
      mayLearn: (id) => {
        const node = member(id);
        return node !== undefined && node.presence === "live" && node.session !== undefined &&
          node.departure === "none" && node.writable && this.#isOver(this.#planning, id);
      },
      mayLead: (id) => {
        const node = member(id);
        return serves(node) && node.session !== undefined && node.departure === "none" &&
          node.writable &&
          this.#isOver(this.#planning, LEADER);
      },
      mustHandOver: (id) => {
        const node = member(id);
        return node?.departure === "stopping" ||
          (node?.writable === false && this.#canWriteWithout(id));
      },
    };
  }

  /** Whether the partition would take writes if this replica were not there. Rule C7. */
  #canWriteWithout(id: NodeId): boolean {
    const { members, table, minInSync } = this.#ports;
    const others = table.get(this.#planning).inSync.filter((other) =>
      other !== id && members.get(other)?.writable === true
    );
    return others.length >= Math.max(1, minInSync);
  }

  /** Who should hold the partition, the primary first. */
  targetOf(partition: number): readonly NodeId[] {
    return this.#target[partition] ?? NOBODY;
  }

  /** Hand-overs that were ordered and not answered. */
  get handoverCount(): number {
    return this.#handovers.size;
  }

  /** The nodes or their weights may have changed. */
  invalidateTarget(): void {
    this.#targetStale = true;
  }

  /** Something changed about a node: looks at what it holds or should hold. */
  touchNode(id: NodeId): void {
    for (const partition of this.#ports.table.heldBy(id)) this.#unplanned.add(partition);
    for (const partition of this.#targetedFor.get(id) ?? []) this.#unplanned.add(partition);
  }

  /** Looks at a partition anew. */
  touch(partition: number): void {
    this.#unplanned.add(partition);
  }

  onReconfigured(partition: number, before: PartitionConfig, after: PartitionConfig): void {
    this.#unplanned.add(partition);
    if (before.term !== after.term) this.#forgetHandover(partition);
  }

  /** A map was published: orders that waited for it may go. */
  onPublished(): void {
    for (const partition of this.#unpublished) this.#unplanned.add(partition);
    this.#unpublished.clear();
  }

  /** A replica did not follow: it is filled again later, each time after a longer pause. */
  backOff(partition: number, id: NodeId, nowMs: number): void {
    const key = `${partition}/${id}`;
    const before = this.#backoffs.get(key);
    const count = before === undefined ? 0 : before.count + 1;
    const untilMs = nowMs + backoffMs(REPAIR_BACKOFF_MS, REPAIR_BACKOFF_MS_MAX, count);
    this.#backoffs.set(key, { partition, count, untilMs, over: false });
  }

  /** Whom an old primary that has drained hands over to, if that is still in order. */
  handoverTarget(partition: number, term: number, from: NodeId): NodeId | undefined {
    const order = this.#handovers.get(partition);
    if (order === undefined || order.term !== term || order.from !== from) return undefined;
    this.#planning = partition;
    // Others may have said meanwhile that they cannot write either.
    const isFull = this.#ports.members.get(from)?.writable === false;
    if (isFull && !this.#readiness.mustHandOver(from)) return undefined;
    return this.#readiness.mayLead(order.to) ? order.to : undefined;
  }

  /** What has become due by time alone. */
  tick(nowMs: number): void {
    for (const [partition, order] of this.#handovers) {
      if (nowMs < order.forgetAtMs) continue;
      this.#ports.log.warn("a hand-over was not answered", { partition, node: order.from });
      this.#forgetHandover(partition);
      this.backOff(partition, LEADER, nowMs);
      this.#unplanned.add(partition);
    }
    for (const [key, backoff] of this.#backoffs) {
      if (nowMs < backoff.untilMs) continue;
      if (!backoff.over) this.#unplanned.add(backoff.partition);
      backoff.over = true;
      if (nowMs > backoff.untilMs + 2 * REPAIR_BACKOFF_MS_MAX) this.#backoffs.delete(key);
    }
    for (const { presence, downSinceMs } of this.#ports.members.values()) {
      if (presence === "down" && nowMs >= downSinceMs + this.#ports.repairDelayMs) {
        this.#targetStale = true;
      }
    }
    if (this.#targetStale) this.computeTarget(nowMs);
  }

  /** Computes the target assignment from the nodes that count now. */
  computeTarget(nowMs: number): void {
    this.#targetStale = false;
    const { members, table, place, replicationFactor, repairDelayMs } = this.#ports;
    const nodes = [...members.values()].filter((member) =>
      member.departure !== "leaving" &&
      (member.presence !== "down" || nowMs < member.downSinceMs + repairDelayMs)
    ).sort(byId).map(({ id, info }) => ({ id, weight: info.weight, zone: info.zone }));
    const key = JSON.stringify(nodes);
    // Without any node no target is better than the last one.
    if (key === this.#targetKey || nodes.length === 0) return;
    this.#targetKey = key;
    this.#target = place(nodes, table.size, replicationFactor);
    this.#targetedFor = new Map();
    this.#fills.clear();
    this.#handoverQueue.clear();
    this.#target.forEach((ids, partition) => {
      for (const id of ids) {
        const partitions = this.#targetedFor.get(id);
        if (partitions === undefined) this.#targetedFor.set(id, [partition]);
        else partitions.push(partition);
      }
      this.#unplanned.add(partition);
    });
  }

  /** Takes the steps that are due now. */
  work(nowMs: number): void {
    this.#nowMs = nowMs;
    // Steps that change a configuration add to the set while it is gone through.
    for (const partition of this.#unplanned) {
      this.#unplanned.delete(partition);
      this.#plan(partition);
    }
    this.#startFills();
    this.#startHandovers();
  }

  #plan(partition: number): void {
    const { table } = this.#ports;
    const config = table.get(partition);
    const step = this.#stepOf(partition, config);
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
        table.reconfigure(partition, { ...config, learners });
        return;
      }
      case "drop_surplus": {
        const inSync = config.inSync.filter((id) => !step.nodes.includes(id));
        const ordered = orderReplicas(inSync, this.targetOf(partition), config.primary);
        table.reconfigure(partition, { ...config, inSync: ordered });
        return;
      }
    }
  }

  #stepOf(partition: number, config: PartitionConfig): Step {
    if (this.#handovers.has(partition)) return { kind: "none" };
    this.#planning = partition;
    return nextStep(config, this.targetOf(partition), this.#readiness);
  }

  #startFills(): void {
    const { table } = this.#ports;
    for (const id of this.#fills.nodes()) {
      while (table.learnedBy(id).size < MOVES_PER_NODE_MAX) {
        const partition = this.#fills.take(id);
        if (partition === undefined) break;
        const config = table.get(partition);
        const step = this.#stepOf(partition, config);
        if (step.kind !== "fill" || !step.nodes.includes(id)) continue;
        table.reconfigure(partition, { ...config, learners: [...config.learners, id] });
      }
    }
    // What was just changed has been looked at: further copies of it wait in the queue.
  }

  #startHandovers(): void {
    const { table, members } = this.#ports;
    for (const from of this.#handoverQueue.nodes()) {
      while ((this.#handoversFrom.get(from) ?? 0) < MOVES_PER_NODE_MAX) {
        const partition = this.#handoverQueue.take(from);
        if (partition === undefined) break;
        const config = table.get(partition);
        const step = this.#stepOf(partition, config);
        if (step.kind !== "hand_over" || config.primary !== from) continue;
        const session = members.get(from)?.session;
        if (!this.#ports.isPublished(partition)) this.#unpublished.add(partition);
        else if (session !== undefined) this.#order(partition, from, step.to, config.term, session);
      }
    }
  }

  #order(partition: number, from: NodeId, to: NodeId, term: number, session: SessionId): void {
    const forgetAtMs = this.#nowMs + HANDOVER_TIMEOUT_MS + REPAIR_BACKOFF_MS;
    this.#handovers.set(partition, { from, to, term, forgetAtMs });
    this.#handoversFrom.set(from, (this.#handoversFrom.get(from) ?? 0) + 1);
    this.#ports.send(session, { req_type: "handover", p: partition, term, to });
  }

  #forgetHandover(partition: number): void {
    const order = this.#handovers.get(partition);
    if (order === undefined) return;
    this.#handovers.delete(partition);
    const left = (this.#handoversFrom.get(order.from) ?? 1) - 1;
    if (left > 0) this.#handoversFrom.set(order.from, left);
    else this.#handoversFrom.delete(order.from);
  }

  #isOver(partition: number, id: NodeId): boolean {
    const backoff = this.#backoffs.get(`${partition}/${id}`);
    return backoff === undefined || this.#nowMs >= backoff.untilMs;
  }
}
