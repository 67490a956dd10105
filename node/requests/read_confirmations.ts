/**
 * Reads without a lease: asks the other replicas whether they still know this node as the primary, one
 * question to each peer for all partitions that have reads waiting.
 *
 * Invariant: a confirmation speaks only for reads that came before its question was sent (rule R2 of
 * docs/replication.md).
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import { CONFIRM_TIMEOUT_MS } from "../../shared/limits/replication.ts";
import type { Message } from "../../shared/wire/messages.ts";

/** A primary whose reads wait to be confirmed. */
export interface ConfirmedPrimary {
  readonly config: PartitionConfig;
  /** The reads that have come are those that the next question speaks for. False if there are none. */
  beginConfirmation(): boolean;
  /** Who must confirm: all replicas that must acknowledge. */
  confirmTargets(): NodeId[];
  /** The question that was begun is answered, or has failed. */
  endConfirmation(confirmed: boolean): void;
}

/** A partition's question of one round. */
interface Asked {
  readonly primary: ConfirmedPrimary;
  readonly term: number;
  readonly needed: Set<NodeId>;
}

interface Round {
  readonly number: number;
  readonly beganMs: number;
  readonly asked: Map<number, Asked>;
}

/** What it calls. */
export interface ConfirmationPorts {
  nowMs(): number;
  /** Runs at the end of this turn. */
  defer(callback: () => void): void;
  primary(partition: number): ConfirmedPrimary | undefined;
  ask(node: NodeId, message: Message<"confirm">): void;
}

/** The rounds of one node. */
export class ReadConfirmations {
  readonly #ports: ConfirmationPorts;
  readonly #wanted = new Set<number>();
  readonly #rounds = new Map<number, Round>();
  /** Partitions that have a question under way. */
  readonly #busy = new Set<number>();
  #nextRound = 1;
  #scheduled = false;

  constructor(ports: ConfirmationPorts) {
    this.#ports = ports;
  }

  /** The partition has reads that wait. */
  want(partition: number): void {
    if (this.#busy.has(partition)) return;
    this.#wanted.add(partition);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#ports.defer(() => {
      this.#scheduled = false;
      this.#begin();
    });
  }

  #begin(): void {
    const round: Round = {
      number: this.#nextRound++,
      beganMs: this.#ports.nowMs(),
      asked: new Map(),
    };
    const questions = new Map<NodeId, [partition: number, term: number][]>();
    const wanted = [...this.#wanted];
    this.#wanted.clear();
    for (const partition of wanted) {
      const primary = this.#ports.primary(partition);
      if (primary === undefined || !primary.beginConfirmation()) continue;
      const needed = new Set(primary.confirmTargets());
      const { term } = primary.config;
      if (needed.size === 0) {
        primary.endConfirmation(true);
        continue;
      }
      this.#busy.add(partition);
      round.asked.set(partition, { primary, term, needed });
      for (const node of needed) {
        const parts = questions.get(node);
        if (parts === undefined) questions.set(node, [[partition, term]]);
        else parts.push([partition, term]);
      }
    }
    if (round.asked.size === 0) return;
    this.#rounds.set(round.number, round);
    for (const [node, parts] of questions) {
      this.#ports.ask(node, { req_type: "confirm", round: round.number, parts });
    }
  }

  /** A peer's answer. */
  onConfirmed(message: Message<"confirmed">, from: NodeId): void {
    const round = this.#rounds.get(message.round);
    if (round === undefined) return;
    const refused = new Set(message.refused);
    for (const [partition, { needed }] of [...round.asked]) {
      if (!needed.delete(from)) continue;
      if (refused.has(partition)) this.#end(round, partition, false);
      else if (needed.size === 0) this.#end(round, partition, true);
    }
  }

  /** Gives up what was not answered; the partitions ask again. */
  tick(nowMs: number): void {
    for (const round of [...this.#rounds.values()]) {
      if (nowMs - round.beganMs < CONFIRM_TIMEOUT_MS) continue;
      for (const partition of [...round.asked.keys()]) this.#end(round, partition, false);
    }
  }

  #end(round: Round, partition: number, confirmed: boolean): void {
    const asked = round.asked.get(partition);
    if (asked === undefined) return;
    round.asked.delete(partition);
    if (round.asked.size === 0) this.#rounds.delete(round.number);
    this.#busy.delete(partition);
    const { primary } = asked;
    const still = this.#ports.primary(partition) === primary;
    if (still) primary.endConfirmation(confirmed);
  }
}
