/**
 * What nodes report of a partition, and what comes of it. A report counts only with the partition's present
 * term, and from the node that may make it, which is its primary, or, of damage, the replica itself.
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import type { Message } from "../../shared/wire/messages.ts";
import type { ClusterState } from "../state/cluster_state.ts";
import type { Member } from "../state/member.ts";
import type { Outbox } from "../state/ready.ts";
import type { FailoverController } from "./failover_controller.ts";
import type { Mover } from "./mover.ts";
import { orderReplicas } from "./rebalance.ts";

/** Reports of replicas that do not follow are logged once in this long. */
const LAG_LOG_MS = 1_000;

/** A node's word about a partition. */
export type Report = Message<"caught_up" | "lagging" | "damaged" | "drained" | "resumed">;

/** Takes reports. */
export class Reports {
  readonly #state: ClusterState;
  readonly #failover: FailoverController;
  readonly #mover: Mover;
  readonly #out: Outbox;
  #lagLoggedMs = -Infinity;

  constructor(state: ClusterState, failover: FailoverController, mover: Mover, out: Outbox) {
    this.#state = state;
    this.#failover = failover;
    this.#mover = mover;
    this.#out = out;
  }

  /** A member's word, over its present session. Old or foreign news is ignored. */
  take(member: Member, message: Report, nowMs: number): void {
    const { p } = message;
    const { table } = this.#state;
    if (p >= table.size) return;
    const config = table.get(p);
    // Rule C3.
    if (message.term !== config.term) return;
    if (message.req_type === "damaged") this.#onDamaged(member, p, config, nowMs);
    else if (config.primary === member.id && !member.stale.has(p)) {
      this.#onPrimaryReport(member, message, config, nowMs);
    }
  }

  #onDamaged(member: Member, p: number, config: PartitionConfig, nowMs: number): void {
    const learns = config.learners.includes(member.id);
    if (!learns && !config.inSync.includes(member.id)) return;
    // A last replica says so again and again, until an operator has decided.
    if (!member.damaged.has(p)) {
      this.#out.error("a replica is damaged", { partition: p, node: member.id });
    }
    if (learns) {
      this.#dropLearner(p, config, member.id, nowMs);
      return;
    }
    member.damaged.add(p);
    this.#failover.touch(p);
  }

  #onPrimaryReport(
    primary: Member,
    message: Exclude<Report, Message<"damaged">>,
    config: PartitionConfig,
    nowMs: number,
  ): void {
    const { p } = message;
    switch (message.req_type) {
      case "caught_up":
        if (config.learners.includes(message.node)) this.#onCaughtUp(p, config, message.node);
        return;
      case "lagging":
        this.#onLagging(primary, message, config, nowMs);
        return;
      case "drained":
        this.#onDrained(primary, p, config, nowMs);
        return;
      case "resumed":
        this.#state.reconfigure(p, config, { newTerm: true });
        return;
    }
  }

  #onCaughtUp(p: number, config: PartitionConfig, id: NodeId): void {
    // A node that is down is about to be dropped. (A node that has just restarted is no learner any more.)
    if (this.#state.members.get(id)?.presence === "down") return;
    this.#state.counts.movesDone++;
    const replicas = [...config.inSync, id];
    this.#state.reconfigure(p, {
      primary: config.primary,
      inSync: orderReplicas(replicas, this.#mover.target.of(p), config.primary),
      learners: config.learners.filter((learner) => learner !== id),
    });
  }

  #onLagging(
    primary: Member,
    message: Message<"lagging">,
    config: PartitionConfig,
    nowMs: number,
  ): void {
    const { p, node } = message;
    if (node === primary.id) return;
    if (config.learners.includes(node)) {
      this.#logLagging(primary, message, nowMs);
      this.#dropLearner(p, config, node, nowMs);
    } else if (config.inSync.includes(node)) {
      this.#logLagging(primary, message, nowMs);
      this.#failover.noteLagging(p, node);
      this.#mover.backOff(p, node, nowMs);
    }
  }

  /** The primary takes no more writes, and all that it took are everywhere. Rule C7. */
  #onDrained(primary: Member, p: number, config: PartitionConfig, nowMs: number): void {
    const to = this.#mover.handoverTarget(p, config.term, primary.id, nowMs);
    if (to === undefined) return;
    const { members, counts } = this.#state;
    counts.handoversDone++;
    // If its disk is full, other replicas with a full disk go too: the next primary would wait for them before it
    // serves, for what they cannot write.
    const stay = primary.writable
      ? config.inSync
      : config.inSync.filter((id) => members.get(id)?.writable !== false);
    const inSync = orderReplicas(stay, this.#mover.target.of(p), to);
    this.#state.reconfigure(p, { ...config, primary: to, inSync });
  }

  #dropLearner(p: number, config: PartitionConfig, id: NodeId, nowMs: number): void {
    this.#mover.backOff(p, id, nowMs);
    const learners = config.learners.filter((learner) => learner !== id);
    this.#state.reconfigure(p, { ...config, learners });
  }

  /** One line for all the partitions that two nodes share. */
  #logLagging(primary: Member, { p, node, reason }: Message<"lagging">, nowMs: number): void {
    const fields = { partition: p, node, primary: primary.id, reason };
    this.#out.debug("a replica does not follow", fields);
    if (nowMs < this.#lagLoggedMs + LAG_LOG_MS) return;
    this.#lagLoggedMs = nowMs;
    this.#out.warn("replicas do not follow their primaries; for example", fields);
  }
}
