/**
 * Orders of an operator after a disaster: a replica is made primary although it may lack acknowledged
 * writes, or a node that is gone is taken out of every configuration. All checks come first; then everything is
 * done, or nothing.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import { KvError } from "../../shared/base/errors.ts";
import type { ClusterState } from "../state/cluster_state.ts";
import { byId, type Member, nodeText } from "../state/member.ts";
import type { Forced, Outbox } from "../state/ready.ts";
import type { FailoverController } from "./failover_controller.ts";

/** Carries out an operator's orders about partitions. */
export class ForcedPrimaries {
  readonly #state: ClusterState;
  readonly #failover: FailoverController;
  readonly #out: Outbox;

  constructor(state: ClusterState, failover: FailoverController, out: Outbox) {
    this.#state = state;
    this.#failover = failover;
    this.#out = out;
  }

  /**
   * Makes a replica primary.
   *
   * @param partition undefined for every one that is lost
   * @param node undefined for the live node that has told of most when it registered last
   * @throws {KvError} `bad_request` or `unavailable`; then nothing is done
   */
  force(partition: number | undefined, node: NodeId | undefined, nowMs: number): Forced[] {
    if (partition !== undefined && partition >= this.#state.table.size) {
      throw new KvError("bad_request", `force: there is no partition ${partition}`);
    }
    const chosen = node === undefined ? undefined : this.#state.members.get(node);
    if (node !== undefined && chosen?.presence !== "live") {
      throw new KvError("bad_request", `force: required a node that is up, given ${node}`);
    }
    return this.forceAll(
      partition === undefined ? this.#failover.lost : [partition],
      chosen,
      nowMs,
    );
  }

  /**
   * Makes a replica of each primary.
   *
   * @param chosen undefined for the best of each
   * @throws {KvError} as {@linkcode force}
   */
  forceAll(partitions: readonly number[], chosen: Member | undefined, nowMs: number): Forced[] {
    const choices = partitions.map((p) => ({ p, member: chosen ?? this.#bestHolder(p) }));
    for (const { p, member } of choices) this.#check(p, member, nowMs);
    return choices.map(({ p, member }) => this.#force(p, member));
  }

  /** A node that is gone is in no configuration any more. */
  giveUp(member: Member): void {
    const without = (ids: readonly NodeId[]) => ids.filter((id) => id !== member.id);
    const { table } = this.#state;
    for (const partition of [...table.heldBy(member.id)].sort((a, b) => a - b)) {
      const { primary, inSync, learners } = table.get(partition);
      if (primary === member.id) this.#state.barUntil(partition, member.leaseUntilMs);
      this.#state.reconfigure(partition, {
        primary: primary === member.id ? undefined : primary,
        inSync: without(inSync),
        learners: without(learners),
      });
    }
  }

  /** Of nodes that have told the same, those that the configuration names are tried first. */
  #bestHolder(partition: number): Member {
    const { table, members } = this.#state;
    const { inSync, learners } = table.get(partition);
    const named = [...inSync, ...learners].map((id) => members.get(id));
    let best: Member | undefined;
    for (const member of [...named, ...[...members.values()].sort(byId)]) {
      if (member === undefined) continue;
      if (member.presence !== "live" || member.departure === "leaving") continue;
      if (best === undefined || compareHolders(member, best, partition) > 0) best = member;
    }
    if (best === undefined) {
      throw new KvError("unavailable", "force: no node is up that could take the partition");
    }
    return best;
  }

  /** @throws {KvError} if the replica may not be made primary, now or at all */
  #check(partition: number, member: Member, nowMs: number): void {
    const { table, members, settings } = this.#state;
    if (!this.#failover.isLost(partition)) {
      throw new KvError(
        "bad_request",
        `force: partition ${partition} is served, or will be in a moment, without it`,
      );
    }
    // Rule C1.
    if (nowMs < this.#state.barredUntilMs(partition)) {
      throw new KvError("unavailable", "force: an old lease may still last; try again in seconds");
    }
    for (const id of table.get(partition).inSync) {
      const other = members.get(id);
      if (id === member.id || other === undefined || other.presence === "live") continue;
      if (nowMs >= other.heardMs + settings.failureTimeoutMs) continue;
      throw new KvError(
        "unavailable",
        `force: partition ${partition} may still be served by ${nodeText(members, id)}: its ` +
          "heartbeats come, although it cannot register; stop it, or mend its way to the coordinator",
      );
    }
  }

  #force(partition: number, member: Member): Forced {
    const { term = 0, lastSeq = 0 } = member.held.get(partition) ?? {};
    this.#out.error("an operator made a replica primary that may lack acknowledged writes", {
      partition,
      node: member.id,
      term,
      lastSeq,
      instead: this.#state.table.get(partition).inSync.join(" "),
    });
    member.stale.delete(partition);
    member.damaged.delete(partition);
    this.#state.fresh.delete(partition);
    this.#failover.found(partition);
    this.#state.reconfigure(
      partition,
      { primary: member.id, inSync: [member.id], learners: [] },
      { termFloor: term, forced: true },
    );
    return { partition, node: member.id, term, last_seq: lastSeq };
  }
}

/** More than 0 if `a`'s disk is worth more than `b`'s. */
function compareHolders(a: Member, b: Member, partition: number): number {
  const [one, other] = [a.held.get(partition), b.held.get(partition)];
  if (one === undefined || other === undefined) {
    return Number(one !== undefined) - Number(other !== undefined);
  }
  return Number(b.damaged.has(partition)) - Number(a.damaged.has(partition)) ||
    one.term - other.term || one.lastSeq - other.lastSeq;
}
