/**
 * Whether each partition is served: asks the node that the coordinator's map names as its primary for a write,
 * again and again, and knows since when none has come back. It asks the node itself, and no client's
 * network: what is found is the cluster's own.
 *
 * @module
 */
import { partitionOf } from "../../../shared/cluster/position.ts";
import type { World } from "../sim/world.ts";

/** How long one write is waited for. */
const WRITE_MS = 2_000;

/** Looks after the partitions of a world. */
export class ServiceWatch {
  readonly #world: World;
  /** A key of each partition. */
  readonly #keys: string[];
  /** When its last write that was acknowledged began. */
  readonly #servedMs: number[];

  constructor(world: World) {
    this.#world = world;
    const count = world.map?.partitions.length ?? 0;
    this.#keys = Array.from({ length: count }, (_, partition) => keyOf(partition, count));
    this.#servedMs = this.#keys.map(() => world.nowMs);
  }

  /** Asks each partition once. */
  ask(): void {
    const { map, scheduler, nowMs } = this.#world;
    this.#keys.forEach((key, partition) => {
      const host = this.#world.hostOf(map?.partitions[partition]?.primary);
      const runtime = host?.runtime;
      if (runtime === undefined) return;
      scheduler.after(0, host?.process, () => {
        const put = { req_type: "put", key, value: "", timeout_ms: WRITE_MS } as const;
        runtime.node.execute(put, (reply) => {
          if (reply.req_type !== "ack") return;
          this.#servedMs[partition] = Math.max(this.#servedMs[partition] ?? 0, nowMs);
        });
      });
    });
  }

  /** The partition that has been without an answer for longest. */
  get worst(): { readonly partition: number; readonly unservedMs: number } {
    const first = Math.min(...this.#servedMs);
    return {
      partition: this.#servedMs.indexOf(first),
      unservedMs: this.#world.nowMs - first,
    };
  }
}

function keyOf(partition: number, count: number): string {
  for (let i = 0;; i++) if (partitionOf(`asked ${i}`, count) === partition) return `asked ${i}`;
}
