/**
 * The other replicas of a partition, as its primary sees them: a stream to each, which of them writes wait for, which
 * has earned a place in the in-sync set, and which is reported as lagging. It orders no writes and commits none;
 * `primary.ts` does. It takes messages and time, and calls the owner's ports.
 *
 * Invariants: there is a stream for each other node of the configuration, and no more; a replica in sync must
 * acknowledge; a learner that was once level must acknowledge until the configuration says what it is.
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import { LEARNER_TIMEOUT_MS, REPLICA_ACK_TIMEOUT_MS } from "../../shared/limits/replication.ts";
import { FollowerStream, type StreamOwner } from "./follower_stream.ts";
import type { LiveWrites } from "../requests/live_writes.ts";

/** All replicas but the primary's own. */
export class FollowerSet {
  readonly #owner: StreamOwner;
  #streams: FollowerStream[] = [];

  constructor(owner: StreamOwner) {
    this.#owner = owner;
  }

  get streams(): readonly FollowerStream[] {
    return this.#streams;
  }

  get isEmpty(): boolean {
    return this.#streams.length === 0;
  }

  /** The stream to a node. */
  stream(node: NodeId): FollowerStream | undefined {
    return this.#streams.find((stream) => stream.node === node);
  }

  /** The replicas that writes wait for. */
  mustAck(): NodeId[] {
    return this.#streams.filter((stream) => stream.mustAck).map((stream) => stream.node);
  }

  /**
   * How much of what is on this node's disk, up to `durableSeq`, all replicas that must acknowledge have too; undefined
   * while one of them is not level. Rule W4.
   */
  ackedUpto(durableSeq: number): number | undefined {
    let upto = durableSeq;
    for (const stream of this.#streams) {
      if (!stream.mustAck) continue;
      if (stream.state !== "level") return undefined;
      if (stream.ackedSeq < upto) upto = stream.ackedSeq;
    }
    return upto;
  }

  /** Sends writes that belong together to all replicas. */
  append(lastSeq: number, writes: LiveWrites, commitSeq: number): void {
    for (const stream of this.#streams) stream.append(lastSeq, writes, commitSeq);
  }

  /** The owner's configuration has changed. */
  onConfig(before: PartitionConfig): void {
    const { config } = this.#owner;
    const known = this.#streams;
    this.update();
    if (config.term > before.term) {
      for (const stream of this.#streams) {
        if (!known.includes(stream)) continue;
        // Rule T3.
        // It was taken out of the set and given the replica to fill in one step. What it was sent before does not count,
        // because it may have been taken out because its data is damaged.
        const demoted = before.inSync.includes(stream.node) && !config.inSync.includes(stream.node);
        if (demoted) stream.start();
        else stream.onNewTerm();
      }
    }
    for (const stream of this.#streams) this.promoteIfLevel(stream);
  }

  /** Follows the owner's configuration: which nodes are in it, and which of them must acknowledge. */
  update(): void {
    const { inSync, learners } = this.#owner.config;
    const next: FollowerStream[] = [];
    for (const node of [...inSync, ...learners]) {
      if (node === this.#owner.ports.self) continue;
      const stream = this.stream(node) ?? new FollowerStream(this.#owner, node);
      if (inSync.includes(node)) stream.standing = { kind: "in_sync" };
      else if (stream.standing.kind === "in_sync") {
        // It is a learner now, and must earn its place again.
        stream.standing = { kind: "learner" };
      }
      next.push(stream);
    }
    const before = this.#streams;
    this.#streams = next;
    for (const stream of before) if (!next.includes(stream)) stream.end();
    for (const stream of next) if (!before.includes(stream)) stream.start();
  }

  /** This node is not primary any more. */
  stop(): void {
    for (const stream of this.#streams) stream.end();
    this.#streams = [];
  }

  /**
   * A learner is level: writes wait for it from here on. What was committed before may still be on its way to it; once that
   * is on its disk too, the coordinator is told. Rule R3.
   */
  promoteIfLevel(stream: FollowerStream): void {
    if (stream.state !== "level") return;
    if (stream.standing.kind === "learner") {
      stream.standing = { kind: "promoting", reportedTerm: undefined };
    }
    const { standing } = stream;
    const { config: { term }, store, partition, ports } = this.#owner;
    if (standing.kind !== "promoting" || standing.reportedTerm === term) return;
    if (stream.ackedSeq < store.state.commitSeq) return;
    standing.reportedTerm = term;
    ports.report({ req_type: "caught_up", p: partition, term, node: stream.node });
  }

  reportLagging(stream: FollowerStream, reason: string): void {
    const { config: { term }, partition, ports } = this.#owner;
    ports.report({ req_type: "lagging", p: partition, term, node: stream.node, reason });
  }

  /** Reports silent replicas. Rule C6. */
  tick(nowMs: number): void {
    const { commitSeq } = this.#owner.store.state;
    for (const stream of this.#streams) {
      stream.tellCommit(commitSeq);
      if (stream.state === "down" && stream.isDue(nowMs)) stream.start();
      const silentMs = nowMs - stream.progressMs;
      if (!stream.behind || silentMs <= REPLICA_ACK_TIMEOUT_MS) continue;
      // A learner holds up no writes, but takes one of the few places for transfers to its node.
      if (stream.mustAck || silentMs > LEARNER_TIMEOUT_MS) this.reportLagging(stream, stream.state);
      if (stream.state === "querying" && nowMs - stream.startedMs > 3 * REPLICA_ACK_TIMEOUT_MS) {
        stream.start();
      }
    }
  }

  /** This process did not run for a while: the replicas are not to blame for that time. */
  forgive(lostMs: number): void {
    for (const stream of this.#streams) {
      stream.progressMs += lostMs;
      stream.startedMs += lostMs;
    }
  }

  /**
   * Asks level replicas whether they hold the same. The question is in the stream, behind the writes that it is about, so it
   * reaches a replica that holds exactly these, however many are under way.
   */
  compareDigests(): void {
    const { config: { term }, store, partition, ports } = this.#owner;
    const { lastSeq, count, digest } = store.state;
    for (const { node, stream, state } of this.#streams) {
      if (state !== "level") continue;
      ports.downstream.send(node, {
        req_type: "digest",
        p: partition,
        term,
        stream,
        seq: lastSeq,
        count,
        digest,
      });
    }
  }
}
