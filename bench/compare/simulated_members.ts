/**
 * The coordinator's state machine with any number of members, in this process: they register, send heartbeats
 * and adopt every map, and hold nothing. This measures what the coordinator does; it does not check whether
 * it does it right.
 *
 * @module
 */
import { ClusterController } from "../../coordinator/controller/cluster_controller.ts";
import { place } from "../../coordinator/placement/placement.ts";
import type { Input } from "../../coordinator/controller/input.ts";
import type { Ready } from "../../coordinator/state/ready.ts";
import { newCluster, type StoredCluster } from "../../coordinator/state/stored_cluster.ts";
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import {
  FAILURE_TIMEOUT_MS,
  HEARTBEAT_INTERVAL_MS,
  LEASE_MS,
  REPAIR_DELAY_MS,
} from "../../shared/limits/membership.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { randomId, SeededRandom } from "../../shared/platform/random.ts";
import { ownCpuMs } from "./process_stats.ts";

const REPLICATION_FACTOR = 3;
const TICK_MS = 50;

/** A coordinator and its members. */
export class SimulatedMembers {
  readonly #controller: ClusterController;
  readonly ids: readonly string[];
  nowMs = 1_000_000;
  #writing: StoredCluster | undefined;
  /** The delta that was sent last. */
  delta: Message<"map_delta"> | undefined;

  /** All members register, and the first map is laid out. */
  constructor(nodes: number, partitions: number) {
    const random = new SeededRandom(nodes);
    this.ids = Array.from({ length: nodes }, () => randomId(random));
    this.#controller = new ClusterController({
      place,
      stored: newCluster({
        clusterId: "compare",
        clusterName: "compare",
        partitionCount: partitions,
        replicationFactor: REPLICATION_FACTOR,
        minInSync: 1,
        leaseMs: LEASE_MS,
        heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
        failureTimeoutMs: FAILURE_TIMEOUT_MS,
      }),
      changed: true,
      repairDelayMs: REPAIR_DELAY_MS,
      expectNodes: nodes,
      generation: "1",
      acceptEpoch: undefined,
    }, this.nowMs);
    this.#step({ type: "start", heartbeatPort: 0 });
    this.ids.forEach((node, session) => {
      const message: Message<"register"> = {
        req_type: "register",
        node,
        instance: node,
        incarnation: 1,
        host: `10.${session >> 16 & 255}.${session >> 8 & 255}.${session & 255}`,
        port: 8081,
        http_port: 9081,
        zone: node,
        weight: 1,
        held: [],
      };
      const { refusal } = this.#step({ type: "register", session, message });
      if (refusal !== undefined) throw refusal;
    });
    this.#persist();
    this.advance(FAILURE_TIMEOUT_MS * 2);
  }

  get map(): ClusterMap {
    return this.#controller.published;
  }

  /** What comes of a node's heartbeat. */
  beat(message: Message<"heartbeat">): Ready {
    return this.#step({ type: "heartbeat", session: undefined, message, hasRight: true });
  }

  heartbeatOf(node: string): Message<"heartbeat"> {
    return {
      req_type: "heartbeat",
      node,
      instance: node,
      incarnation: 1,
      sent: this.nowMs,
      epoch: this.map.epoch,
      map: this.map.epoch,
      heard: this.nowMs,
      unserved: 0,
    };
  }

  /** Time passes; all but `silent` are heard from. @returns the longest tick's processor time, ms */
  advance(ms: number, silent?: string): number {
    const endMs = this.nowMs + ms;
    let longestMs = 0;
    for (let beatMs = this.nowMs; this.nowMs < endMs;) {
      this.nowMs += TICK_MS;
      if (this.nowMs >= beatMs) {
        beatMs += HEARTBEAT_INTERVAL_MS;
        for (const node of this.ids) {
          if (node !== silent) {
            this.beat(this.heartbeatOf(node));
          }
        }
      }
      const begin = ownCpuMs();
      this.#step({ type: "tick" });
      longestMs = Math.max(longestMs, ownCpuMs() - begin);
      this.#persist();
    }
    return longestMs;
  }

  #step(input: Input): Ready {
    const ready = this.#controller.step(input, this.nowMs);
    this.#writing = ready.document ?? this.#writing;
    for (const { message } of ready.messages) {
      if (message.req_type === "map_delta") this.delta = message;
    }
    return ready;
  }

  #persist(): void {
    for (let written = this.#take(); written !== undefined; written = this.#take()) {
      this.#step({ type: "persisted", epoch: written.map.epoch });
    }
  }

  #take(): StoredCluster | undefined {
    const writing = this.#writing;
    this.#writing = undefined;
    return writing;
  }
}
