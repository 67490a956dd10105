/**
 * The cluster as one database, over a router. Operations go to the node that has the key; scans and
 * counts go to all nodes, and their answers are merged. Nodes, the gateway and the client library have one.
 *
 * @module
 */
import type { ClusterCallDeps } from "./cluster_call.ts";
import { ClusterCount } from "./cluster_count.ts";
import type { ClusterMap } from "../cluster/cluster_map.ts";
import { ClusterScan } from "./cluster_scan.ts";
import { KvError } from "../base/errors.ts";
import { partitionsOf } from "../watch/watch_selection.ts";
import { WATCH_PLACES_MAX, WATCHES_MAX } from "../limits/scans.ts";
import { ClusterWatch } from "./cluster_watch.ts";
import type { CountRequest, Database, ScanPage, ScanRequest, Watch } from "./database.ts";
import { WorkScheduler } from "../scheduling/work_scheduler.ts";
import type { WatchRequest } from "../watch/watch_event.ts";
import type { KeyRequest, Message, Reply } from "../wire/messages.ts";

/** What a database needs. */
export interface ClusterDatabaseDeps extends Omit<ClusterCallDeps, "work"> {
  /** Gives answers their turns; each process has one. Default: one of its own. */
  readonly work?: WorkScheduler | undefined;
  /** Carries out an operation on one key; see {@linkcode Database.execute}. */
  execute(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): void;
}

/** The database. */
export class ClusterDatabase implements Database {
  readonly #deps: ClusterDatabaseDeps & ClusterCallDeps;
  readonly #calls = new Set<ClusterScan | ClusterCount>();
  readonly #watches = new Set<ClusterWatch>();
  /** The partitions of all watches. */
  #places = 0;
  #closed = false;

  constructor(deps: ClusterDatabaseDeps) {
    this.#deps = { ...deps, work: deps.work ?? new WorkScheduler(deps.clock) };
  }

  map(): ClusterMap | undefined {
    return this.#deps.router.map();
  }

  execute(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): void {
    this.#deps.execute(request, timeoutMs, done);
  }

  scan(
    request: ScanRequest,
    timeoutMs: number,
    done: (result: ScanPage | Message<"error">) => void,
  ): () => void {
    const scan = new ClusterScan(this.#deps, request, timeoutMs, done);
    return this.#begin(scan);
  }

  count(
    request: CountRequest,
    timeoutMs: number,
    done: (result: number | Message<"error">) => void,
  ): () => void {
    const count = new ClusterCount(this.#deps, request, timeoutMs, done);
    return this.#begin(count);
  }

  /** How many watches there are. */
  get watchCount(): number {
    return this.#watches.size;
  }

  watch(request: WatchRequest): Watch {
    if (this.#watches.size >= WATCHES_MAX || this.#places >= WATCH_PLACES_MAX) {
      throw new KvError(
        "overloaded",
        `watch: this process has ${this.#watches.size} watches, and no room for more; try another node, ` +
          "or name several prefixes, or keys alone, in one",
      );
    }
    const watch = new ClusterWatch(this.#deps, request);
    // Before there is a map, nobody knows how many partitions there are.
    const places = partitionsOf(request, this.map()?.settings.partitionCount ?? 1).size;
    this.#places += places;
    this.#watches.add(watch);
    watch.onEnd = () => {
      this.#watches.delete(watch);
      this.#places -= places;
    };
    if (this.#closed) watch.fail(CLOSED);
    return watch;
  }

  /** Scans, counts and watches under way end with `unavailable`, and so do all that follow. */
  close(): void {
    this.#closed = true;
    for (const call of [...this.#calls]) call.fail(CLOSED);
    this.closeWatches();
  }

  /** Watches under way end with `unavailable`. */
  closeWatches(): void {
    for (const watch of this.#watches) watch.fail(CLOSED);
  }

  #begin(call: ClusterScan | ClusterCount): () => void {
    if (this.#closed) {
      this.#deps.clock.defer(() => call.fail(CLOSED));
    } else {
      this.#calls.add(call);
      call.onEnd = () => this.#calls.delete(call);
      call.start();
    }
    return () => call.cancel();
  }
}

const CLOSED: Message<"error"> = {
  req_type: "error",
  code: "unavailable",
  message: "the database is closed",
};
