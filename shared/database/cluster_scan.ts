/**
 * A page of the keys of the whole cluster, in order: the nodes' pages of the partitions of which they are
 * primary, merged, up to where all of them are complete. If the first answers do not make a whole page,
 * the nodes that hold up the others are asked for more, a few times.
 *
 * Invariant: between the page's beginning and its `next`, every partition's primary has answered. So a
 * key that exists throughout is in the page, whatever moved meanwhile.
 *
 * @module
 */
import { ClusterCall, type ClusterCallDeps } from "./cluster_call.ts";
import type { NodeId } from "../cluster/cluster_map.ts";
import type { ScanPage, ScanRequest } from "./database.ts";
import type { Entry } from "../base/entry.ts";
import { failureOf } from "../base/errors.ts";
import { keyRange } from "../base/key_range.ts";
import { SCAN_BYTES_MAX, SCAN_PAGE_KEYS, SCAN_ROUNDS_MAX } from "../limits/scans.ts";
import type { Message, Reply } from "../wire/messages.ts";
import { ON_BEHALF, userOf } from "../wire/on_behalf.ts";
import { errorReply } from "../operations/operation.ts";
import {
  countReady,
  isPageFull,
  mergePage,
  type PageLimits,
  type Run,
  scanOrder,
  shareOf,
} from "./ordered_merge.ts";
import { PartitionSet } from "../cluster/partition_set.ts";
import { checkLimit } from "../validation/request_checks.ts";
import { fromWireEntry } from "../schema/value_codec.ts";

/** What one node has answered about some partitions. */
interface NodeRun extends Run<Entry> {
  readonly node: NodeId;
  readonly partitions: PartitionSet;
  items: readonly Entry[];
  readTo: string | undefined;
  ended: boolean;
}

/** A scan on its way. */
export class ClusterScan extends ClusterCall<ScanPage> {
  readonly #request: ScanRequest;
  readonly #clockDefer: (then: () => void) => void;
  readonly #reverse: boolean;
  readonly #runs: NodeRun[] = [];
  #rounds = 0;
  /** A node did not go on after it had stopped: the page ends there. */
  #stuck = false;

  constructor(
    deps: ClusterCallDeps,
    request: ScanRequest,
    timeoutMs: number,
    done: (result: ScanPage | Message<"error">) => void,
  ) {
    super(deps, "scan", request, timeoutMs, done);
    this.#request = request;
    this.#reverse = request.reverse === true;
    this.#clockDefer = (then) => deps.clock.defer(then);
  }

  override start(): void {
    try {
      checkLimit(this.#request.limit, "scan");
    } catch (error) {
      const { code, message } = failureOf(error);
      this.#clockDefer(() => this.finish(errorReply(code, message)));
      return;
    }
    if (keyRange(this.#request).empty) {
      this.#clockDefer(() => this.finish({ entries: [], next: undefined }));
      return;
    }
    super.start();
  }

  get #limit(): number {
    return Math.min(this.#request.limit, SCAN_PAGE_KEYS);
  }

  protected override askFor(node: NodeId, partitions: PartitionSet): void {
    const { after } = this.#request;
    const limit = this.#limit;
    const share = shareOf(limit, partitions.size / this.total);
    this.#ask(node, partitions, after, share, (entries, next, covered) => {
      if (covered.size === 0) return;
      for (const partition of covered) this.missing?.delete(partition);
      this.#runs.push({
        node,
        partitions: covered,
        items: entries,
        readTo: next,
        ended: next === undefined,
      });
    });
  }

  protected override settle(late: boolean): void {
    const limit = this.#limit;
    const limits: PageLimits<Entry> = {
      reverse: this.#reverse,
      itemsMax: limit,
      bytesMax: SCAN_BYTES_MAX,
      bytesOf: ({ key, value }) => key.length + value.length,
    };
    const behind = this.#runs.filter(({ ended }) => !ended);
    const mayAsk = !late && !this.#stuck && this.#rounds < SCAN_ROUNDS_MAX;
    if (behind.length > 0 && mayAsk && !isPageFull(this.#runs, limits)) {
      this.#rounds++;
      this.#askForMore(behind, limit - countReady(this.#runs, this.#reverse));
      return;
    }
    const page = mergePage(this.#runs, limits, (a, b) => b.seq > a.seq ? b : a);
    this.finish({ entries: page?.items ?? [], next: page?.next });
  }

  /** Asks the node that is furthest behind, and all that will probably be behind once it has answered. */
  #askForMore(behind: NodeRun[], missing: number): void {
    const order = scanOrder(this.#reverse);
    behind.sort((a, b) => order(a.readTo ?? "", b.readTo ?? ""));
    // Each round adds one more, because otherwise a few slow nodes would be asked one after the other.
    for (const run of behind.slice(0, this.#rounds)) {
      this.#ask(run.node, run.partitions, run.readTo, missing, (entries, next, covered) => {
        // Some of its partitions are at other nodes by now: the next page will find them.
        if (covered.size < run.partitions.size) {
          this.#stuck = true;
          return;
        }
        run.items = [...run.items, ...entries];
        run.readTo = next;
        run.ended = next === undefined;
      }, () => this.#stuck = true);
    }
  }

  #ask(
    node: NodeId,
    partitions: PartitionSet,
    after: string | undefined,
    limit: number,
    onPage: (entries: readonly Entry[], next: string | undefined, covered: PartitionSet) => void,
    onError?: () => void,
  ): void {
    const { prefix, start, end, reverse, values } = this.#request;
    const message = {
      req_type: "scan_node",
      partitions: partitions.toText(),
      prefix,
      start,
      end,
      after,
      limit,
      reverse,
      values,
      [ON_BEHALF]: userOf(this.#request),
    };
    this.ask(node, message, (reply) => {
      const page = pageOf(reply, partitions);
      if (page !== undefined) onPage(page.entries, page.next, page.covered);
      return page !== undefined;
    }, onError);
  }
}

/** A node's answer; undefined if it is not valid. Partitions that it was not asked about do not count. */
function pageOf(
  reply: Reply,
  asked: PartitionSet,
): { entries: readonly Entry[]; next: string | undefined; covered: PartitionSet } | undefined {
  if (reply.req_type !== "entries" || reply.partitions === undefined) return undefined;
  const said = PartitionSet.fromText(reply.partitions, asked.partitionCount);
  const covered = new PartitionSet(asked.partitionCount);
  for (const partition of said) if (asked.has(partition)) covered.add(partition);
  const entries = reply.local_entries ?? reply.entries.map(fromWireEntry);
  return { entries, next: reply.next, covered };
}
