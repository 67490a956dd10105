/**
 * How many keys of the whole cluster there are between two bounds. Each node counts the partitions that
 * it is primary of, a piece at a time; no keys travel.
 *
 * Invariant: a key that exists throughout is counted once. A partition that was counted to its end is not
 * asked again; any other is counted on after its last key, at whichever node it is then.
 *
 * @module
 */
import { ClusterCall, type ClusterCallDeps } from "./cluster_call.ts";
import type { NodeId } from "../cluster/cluster_map.ts";
import type { CountRequest } from "./database.ts";
import { keyRange } from "../base/key_range.ts";
import { isUint } from "../cluster/map_shape.ts";
import type { Message } from "../wire/messages.ts";
import { ON_BEHALF, userOf } from "../wire/on_behalf.ts";
import { PartitionSet } from "../cluster/partition_set.ts";

/** What a node answers. */
interface Piece {
  readonly count: number;
  readonly partitions: string;
  readonly at?: number | undefined;
  readonly after?: string | undefined;
}

/** A count on its way. */
export class ClusterCount extends ClusterCall<number> {
  readonly #request: CountRequest;
  readonly #defer: (then: () => void) => void;
  /** How far the partitions are counted that are not complete. */
  readonly #behind = new Map<number, string>();
  #count = 0;

  constructor(
    deps: ClusterCallDeps,
    request: CountRequest,
    timeoutMs: number,
    done: (result: number | Message<"error">) => void,
  ) {
    super(deps, "count", request, timeoutMs, done);
    this.#request = request;
    this.#defer = (then) => deps.clock.defer(then);
  }

  override start(): void {
    if (keyRange(this.#request).empty) this.#defer(() => this.finish(0));
    else super.start();
  }

  protected override askFor(node: NodeId, partitions: PartitionSet): void {
    const { prefix, start, end } = this.#request;
    let at: number | undefined;
    // One of the partitions that were begun; the others follow later.
    for (const partition of this.#behind.keys()) if (partitions.has(partition)) at = partition;
    const after = at === undefined ? undefined : this.#behind.get(at);
    const asked = new PartitionSet(partitions.partitionCount);
    for (const p of partitions) if (p === at || !this.#behind.has(p)) asked.add(p);
    const message = {
      req_type: "count_node",
      partitions: asked.toText(),
      prefix,
      start,
      end,
      at,
      after,
      [ON_BEHALF]: userOf(this.#request),
    };
    this.ask(node, message, (reply) => {
      const piece = reply.req_type === "result" ? pieceOf(reply.result) : undefined;
      if (piece === undefined) return false;
      const covered = PartitionSet.fromText(piece.partitions, partitions.partitionCount);
      this.#count += piece.count;
      for (const partition of covered) {
        if (!asked.has(partition)) continue;
        this.missing?.delete(partition);
        this.#behind.delete(partition);
      }
      const begun = piece.at !== undefined && piece.after !== undefined && asked.has(piece.at);
      if (begun) this.#behind.set(piece.at, piece.after);
      if (begun || covered.size > 0) {
        this.again = true;
        this.extend();
      }
      return true;
    });
  }

  protected override settle(): void {
    this.finish(this.#count);
  }
}

function pieceOf(result: unknown): Piece | undefined {
  if (typeof result !== "object" || result === null) return undefined;
  const { count, partitions, at, after } = result as Record<string, unknown>;
  if (!isUint(count) || typeof partitions !== "string") return undefined;
  if (at === undefined) return { count, partitions };
  if (!isUint(at) || typeof after !== "string") return undefined;
  return { count, partitions, at, after };
}
