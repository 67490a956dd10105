/**
 * The nodes of a cluster as a scan sees them: each answers for the partitions of which it is primary at that moment,
 * from one map of all keys. As the test says, they are slow, forget to answer, or know little of a page, and
 * partitions move between them. For tests of `shared/database/cluster_database.ts`.
 *
 * @module
 */
import type { ScanRouter } from "../../../shared/database/cluster_call.ts";
import type { ClusterMap, NodeId } from "../../../shared/cluster/cluster_map.ts";
import type { Entry } from "../../../shared/base/entry.ts";
import { compareKeys } from "../../../shared/base/key_order.ts";
import { keyRange } from "../../../shared/base/key_range.ts";
import type { KeyRequest, Message, Reply } from "../../../shared/wire/messages.ts";
import { PartitionSet } from "../../../shared/cluster/partition_set.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import { type Random, randomBelow } from "../../../shared/platform/random.ts";
import { toWireEntry } from "../../../shared/schema/value_codec.ts";
import type { ManualClock } from "../doubles/manual_clock.ts";
import { entryOf } from "../data/partition_model.ts";

type Asked = Message<"scan_node" | "count_node">;

/** Many nodes, one map of keys. */
export class FakeNodes implements ScanRouter {
  readonly entries = new Map<string, Entry>();
  /** What was asked, of whom. */
  readonly asked: { node: NodeId; message: Asked }[] = [];
  /** If it returns a reply, that is the answer; `null`: there is none until the deadline. */
  fault: (node: NodeId, message: Asked) => Reply | null | undefined = () => undefined;
  /** Called before each request is carried out. */
  onAsked: () => void = () => {};
  /** A node's answer has at most this many keys of each partition, and says where it stopped. */
  rowsMax = Infinity;
  refreshes = 0;
  /** The caller knows this map; a refresh brings the newest. */
  stale: ClusterMap | undefined;
  readonly #clock: ManualClock;
  readonly #random: Random;
  readonly #nodes: readonly NodeId[];
  #map: ClusterMap;

  constructor(clock: ManualClock, random: Random, nodes: number, partitions: number) {
    this.#clock = clock;
    this.#random = random;
    this.#nodes = Array.from({ length: nodes }, (_, i) => `n${i}`);
    this.#map = {
      epoch: 1,
      settings: {
        clusterId: "c",
        clusterName: "test",
        partitionCount: partitions,
        replicationFactor: 1,
        minInSync: 1,
        leaseMs: 1_500,
        heartbeatIntervalMs: 500,
        failureTimeoutMs: 2_500,
      },
      nodes: [],
      partitions: Array.from({ length: partitions }, (_, p) => configOf(this.#nodes[p % nodes])),
    };
  }

  map(): ClusterMap {
    return this.stale ?? this.#map;
  }

  refresh(): Promise<ClusterMap> {
    this.refreshes++;
    this.stale = undefined;
    return Promise.resolve(this.#map);
  }

  put(key: string, value = `value of ${key}`): void {
    this.entries.set(key, entryOf(key, this.entries.size + 1, value));
  }

  /** A partition goes to another node, or to nobody. A client hears of it with its next refresh. */
  move(partition: number, node: number | undefined): void {
    this.stale ??= this.#map;
    const partitions = this.#map.partitions.slice();
    partitions[partition] = configOf(node === undefined ? undefined : this.#nodes[node]);
    this.#map = { ...this.#map, epoch: this.#map.epoch + 1, partitions };
  }

  request(
    node: NodeId,
    message: object,
    timeoutMs: number,
    done: (reply: Reply) => void,
  ): void {
    const request = message as Asked;
    this.asked.push({ node, message: request });
    this.#clock.setTimer(randomBelow(this.#random, 5), () => {
      this.onAsked();
      const fault = this.fault(node, request);
      if (fault === null) {
        const text = "the request was sent, and no reply came";
        const lost: Reply = { req_type: "error", code: "outcome_unknown", message: text };
        this.#clock.setTimer(timeoutMs, () => done(lost));
        return;
      }
      // Over the wire.
      const reply = JSON.parse(JSON.stringify(fault ?? this.#answer(node, request)));
      this.#clock.setTimer(randomBelow(this.#random, 5), () => done(reply));
    });
  }

  /** Deletes, for tests of the client library. */
  execute(request: KeyRequest, _timeoutMs: number, done: (reply: Reply) => void): () => void {
    this.executing++;
    this.executingMost = Math.max(this.executingMost, this.executing);
    this.#clock.setTimer(1, () => {
      this.executing--;
      const there = this.entries.delete(request.key);
      done(
        there
          ? { req_type: "ack", message: "success", version: 1 }
          : { req_type: "error", code: "not_found", message: "delete: no such key" },
      );
    });
    return () => {};
  }

  executing = 0;
  executingMost = 0;

  close(): void {}

  #answer(node: NodeId, request: Asked): Reply {
    const { partitionCount } = this.#map.settings;
    const asked = request.partitions === undefined
      ? PartitionSet.all(partitionCount)
      : PartitionSet.fromText(request.partitions, partitionCount);
    const mine = [...asked].filter((p) => this.#map.partitions[p]?.primary === node);
    return request.req_type === "scan_node"
      ? this.#scan(request, mine)
      : this.#count(request, mine);
  }

  #keys(partition: number, request: Asked, reverse: boolean): string[] {
    const { start, end, empty } = keyRange(request);
    const after = request.req_type === "scan_node" ? request.after : undefined;
    const { partitionCount } = this.#map.settings;
    const keys = [...this.entries.keys()].filter((key) =>
      !empty && partitionOf(key, partitionCount) === partition &&
      compareKeys(key, start ?? "") >= 0 && (end === undefined || compareKeys(key, end) < 0) &&
      (after === undefined || (reverse ? compareKeys(key, after) < 0 : compareKeys(key, after) > 0))
    ).sort(compareKeys);
    return reverse ? keys.reverse() : keys;
  }

  #scan(request: Message<"scan_node">, mine: readonly number[]): Reply {
    const { limit = 1_000, reverse = false, values = false } = request;
    const order = reverse ? (a: string, b: string) => compareKeys(b, a) : compareKeys;
    const covered = new PartitionSet(this.#map.settings.partitionCount);
    const found: string[] = [];
    let bound: string | undefined;
    for (const partition of mine) {
      covered.add(partition);
      const keys = this.#keys(partition, request, reverse);
      found.push(...keys);
      const last = keys.length > this.rowsMax ? keys[this.rowsMax - 1] : undefined;
      if (last !== undefined && (bound === undefined || order(last, bound) < 0)) bound = last;
    }
    found.sort(order);
    const upto = bound;
    let page = upto === undefined ? found : found.filter((key) => order(key, upto) <= 0);
    if (page.length > limit) {
      page = page.slice(0, limit);
      bound = page.at(-1);
    }
    const entries = page.flatMap((key) => {
      const entry = this.entries.get(key);
      if (entry === undefined) return [];
      return [toWireEntry(values ? entry : { ...entry, value: new Uint8Array(0) })];
    });
    const partitions = covered.toText();
    return {
      req_type: "entries",
      entries,
      partitions,
      ...(bound === undefined ? {} : { next: bound }),
    };
  }

  #count(request: Message<"count_node">, mine: readonly number[]): Reply {
    const covered = new PartitionSet(this.#map.settings.partitionCount);
    let left = this.rowsMax;
    let count = 0;
    const { at } = request;
    const order = mine.toSorted((a, b) => Number(b === at) - Number(a === at));
    for (const partition of order) {
      const after = partition === at ? request.after : undefined;
      const keys = this.#keys(partition, request, false)
        .filter((key) => after === undefined || compareKeys(key, after) > 0);
      if (keys.length > left) {
        const partitions = covered.toText();
        const stop = left === 0 ? {} : { at: partition, after: keys[left - 1] };
        return { req_type: "result", result: { count: count + left, partitions, ...stop } };
      }
      left -= keys.length;
      count += keys.length;
      covered.add(partition);
    }
    return { req_type: "result", result: { count, partitions: covered.toText() } };
  }
}

function configOf(primary: NodeId | undefined) {
  return { term: 1, primary, inSync: primary === undefined ? [] : [primary], learners: [] };
}
