/**
 * Which nodes are alive, and which may have a lease: the rules about time.
 *
 * - A node is *live* from the first heartbeat after its registration that shows that it hears, until
 *   there was no such heartbeat for the failure timeout. It hears if it repeats what it was told lately over
 *   its session, by which all orders go, and goes by the map that it was sent before. So a node that cannot
 *   be told a map is not live, whatever else still comes from it. Only such a heartbeat is
 *   acknowledged with a lease. So no lease outlives `leaseUntilMs` of its member, whichever process of
 *   the node holds it.
 * - An acknowledgement carries the epoch of the published map, or, for a node that has just lost a
 *   primary's role, that of the map which will say so. A node with an older map has no lease. So from
 *   the moment of a decision on, the node that it concerns gets no lease under the old map.
 *   After a start with other settings it carries at least the epoch of the first map that has them: a
 *   lease lasts as long as the node's map says, and is counted here by the settings of now.
 * - Nothing is decided about a node in the first failure timeout after the coordinator's start, or
 *   after it was itself stopped for a while, alone or with its machine: it cannot know who was silent. Nor
 *   before the first node has registered after a start: the coordinator's folder may have been moved, and
 *   all nodes serve. If there are several coordinators, those that have not registered by then have
 *   NODE_SEARCH_MS more: they may have asked one first that does not answer.
 *
 * @module
 */
import {
  CLOCK_DRIFT_MAX,
  COORDINATOR_DEAF_PART,
  HEARD_INTERVALS_MAX,
  NODE_SEARCH_MS,
} from "../../shared/limits/membership.ts";
import type { Message } from "../../shared/wire/messages.ts";
import type { ClusterState } from "../state/cluster_state.ts";
import type { Member } from "../state/member.ts";
import type { Outbox } from "../state/ready.ts";

/** What is said to an operator, in the log, by health and in answer to an order. */
export const NOBODY_REGISTERED =
  "no node has registered with this coordinator since it started: the nodes are down, or they serve " +
  "and look for their coordinator at another address (--coordinator, cs_config.txt)";

/** Judges nodes by what is heard of them. */
export class Liveness {
  readonly #state: ClusterState;
  readonly #out: Outbox;
  #lastTickMs: number;
  /** When a coordinator of a cluster that has nodes began to wait for the first of them. */
  #awaitsFirstSinceMs: number | undefined;
  #nobodyRegistered = false;

  constructor(state: ClusterState, out: Outbox, nowMs: number) {
    this.#state = state;
    this.#out = out;
    this.#lastTickMs = nowMs;
    if (state.members.size > 0) this.#awaitsFirstSinceMs = nowMs;
  }

  /** No node of the cluster has registered since the coordinator's start. */
  get awaitsFirst(): boolean {
    return this.#awaitsFirstSinceMs !== undefined;
  }

  /** As {@linkcode awaitsFirst}, for a failure timeout by now. */
  get nobodyRegistered(): boolean {
    return this.#nobodyRegistered;
  }

  /** A node registers. Of several coordinators, the others may still look for the one that is active. Rule C10. */
  noteRegistration(nowMs: number): void {
    if (this.#awaitsFirstSinceMs !== undefined && this.#state.hasSeveralCoordinators) {
      for (const member of this.#state.members.values()) {
        const isSearching = member.presence === "unknown" && member.session === undefined;
        if (isSearching) member.lastSeenMs = nowMs + NODE_SEARCH_MS;
      }
    }
    this.#awaitsFirstSinceMs = undefined;
    this.#nobodyRegistered = false;
  }

  /** The member that a heartbeat is from; undefined if its process is not the one that was known last. */
  senderOf(message: Message<"heartbeat">): Member | undefined {
    const member = this.#state.members.get(message.node);
    const known = member?.instance === message.instance &&
      member.info.incarnation === message.incarnation;
    return known ? member : undefined;
  }

  /** A heartbeat of a member. @returns false if it is to register again */
  hear(member: Member, message: Message<"heartbeat">, nowMs: number): boolean {
    member.heardMs = nowMs;
    const isRegistered = member.presence === "live" ||
      (member.presence === "unknown" && member.session !== undefined);
    if (!isRegistered) return false;
    member.adoptedEpoch = Math.max(member.adoptedEpoch, message.epoch);
    if (typeof message.batch === "number") member.batch = Math.max(member.batch, message.batch);
    member.deafness = this.#whyDeaf(member, message, nowMs);
    if (member.deafness !== undefined) return true;
    member.lastSeenMs = nowMs;
    member.leaseUntilMs = nowMs + this.#state.settings.leaseMs * (1 + CLOCK_DRIFT_MAX);
    member.unserved = message.unserved;
    if (member.presence !== "live") this.#markLive(member);
    return true;
  }

  /**
   * The answer to a heartbeat, once everything that it brings about is decided.
   *
   * @param hasRight whether this coordinator may give leases: without, it may have been replaced
   */
  acknowledge(
    member: Member,
    { node, instance, sent }: Message<"heartbeat">,
    hasRight: boolean,
    nowMs: number,
  ): Message<"heartbeat_ack"> {
    const { published, settingsEpoch } = this.#state;
    const hears = member.deafness === undefined;
    return {
      req_type: "heartbeat_ack",
      node,
      instance,
      sent,
      // Rule L1.
      epoch: Math.max(published.epoch, member.ackEpochMin, settingsEpoch),
      at: nowMs,
      lease: hears && hasRight,
    };
  }

  /**
   * Why a heartbeat does not show that its node hears what it is told; undefined if it does. It does if it
   * repeats what was said over the node's session a short while ago, and goes by the map that the node
   * was sent before. A node that is late with a map has as long for it, but becomes live with it only.
   * Rule L3.
   */
  #whyDeaf(
    member: Member,
    { heard, map }: Message<"heartbeat">,
    nowMs: number,
  ): string | undefined {
    if (member.session === undefined) return "it has no connection to the TCP port";
    const { settings, published } = this.#state;
    const boundMs = HEARD_INTERVALS_MAX * settings.heartbeatIntervalMs;
    // JSON null stands for an absent field. What lies ahead was said by an earlier coordinator.
    if (typeof heard !== "number" || heard > nowMs || nowMs - heard > boundMs) {
      return "nothing gets through its TCP connection";
    }
    if (map < member.owedEpoch) {
      const hasTime = nowMs - member.owedMs <= boundMs || member.owedEpoch > published.epoch;
      if (member.presence === "live" && hasTime) return undefined;
      return `it has map ${map}, and does not take over map ${member.owedEpoch}`;
    }
    member.owedEpoch = published.epoch;
    member.owedMs = nowMs;
    return undefined;
  }

  #markLive(member: Member): void {
    member.presence = "live";
    this.#state.setInfo(member, member.info);
    this.#state.touch(member);
  }

  /** A node is down: it was missed, or it has gone. */
  markDown(member: Member, nowMs: number, reason: string): void {
    this.#out.warn("a node is down", { node: member.id, reason });
    member.presence = "down";
    member.downSinceMs = nowMs;
    this.#state.setInfo(member, member.info);
    this.#state.touch(member);
  }

  /** The map names the node as primary of partitions, and it has adopted the map: its disk tells so from now on. */
  noteAdopted(member: Member, epoch: number): void {
    const { fresh, table, publisher } = this.#state;
    if (fresh.size === 0) return;
    for (const partition of table.heldBy(member.id)) {
      if (table.get(partition).primary !== member.id) continue;
      if (epoch < (fresh.get(partition) ?? 0)) continue;
      if (fresh.delete(partition)) publisher.decide();
    }
  }

  /** The coordinator, or its whole machine, may have done nothing for this long. */
  stoodStill(ms: number, nowMs: number): void {
    const { failureTimeoutMs } = this.#state.settings;
    if (ms <= failureTimeoutMs / 2) return;
    this.#out.warn("the coordinator itself stood still; nobody is judged for a while", {
      ms: Math.round(ms),
    });
    this.#state.graceUntilMs = nowMs + failureTimeoutMs;
  }

  /** Time has passed. @returns false if nobody is to be judged, since nobody has registered yet */
  tick(nowMs: number): boolean {
    this.stoodStill(nowMs - this.#lastTickMs, nowMs);
    this.#lastTickMs = nowMs;
    if (this.#awaitsFirstSinceMs !== undefined) {
      this.#awaitFirst(this.#awaitsFirstSinceMs, nowMs);
      return false;
    }
    const { members, settings, graceUntilMs } = this.#state;
    if (nowMs < graceUntilMs) return true;
    if (this.#isDeaf(nowMs)) this.#out.answer({ deaf: true });
    for (const member of members.values()) {
      if (member.presence === "down") continue;
      if (nowMs - member.lastSeenMs < settings.failureTimeoutMs) continue;
      this.markDown(member, nowMs, this.#whyMissed(member, nowMs));
    }
    return true;
  }

  /** Whether none of the nodes that are live was heard of for a while. Rule G15 of docs/coordinators.md. */
  #isDeaf(nowMs: number): boolean {
    let lastMs: number | undefined;
    for (const { presence, lastSeenMs } of this.#state.members.values()) {
      if (presence === "live") lastMs = Math.max(lastMs ?? lastSeenMs, lastSeenMs);
    }
    const boundMs = COORDINATOR_DEAF_PART * this.#state.settings.failureTimeoutMs;
    return lastMs !== undefined && nowMs - lastMs >= boundMs;
  }

  /**
   * While no node has registered, none is judged: the nodes may be down, or serve and look for their coordinator
   * elsewhere. No other node could take over from them anyway. Rule C10.
   */
  #awaitFirst(sinceMs: number, nowMs: number): void {
    const { settings, members } = this.#state;
    this.#state.graceUntilMs = nowMs + settings.failureTimeoutMs;
    if (this.#nobodyRegistered || nowMs < sinceMs + settings.failureTimeoutMs) return;
    this.#nobodyRegistered = true;
    this.#out.warn(NOBODY_REGISTERED, { nodes: members.size });
  }

  #whyMissed(member: Member, nowMs: number): string {
    const { failureTimeoutMs } = this.#state.settings;
    if (nowMs - member.heardMs >= failureTimeoutMs) {
      return `not heard of for ${failureTimeoutMs} ms`;
    }
    return `its heartbeats come, but it cannot be told anything: ${member.deafness ?? "?"}`;
  }
}
