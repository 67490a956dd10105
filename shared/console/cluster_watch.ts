/**
 * Watches a cluster for its consoles. Nobody looks: nothing is done. Somebody does: all processes are asked for their
 * metrics, at most once in a period, and everybody who looks gets the same text.
 *
 * Invariant: a hundred consoles cost the cluster what one does, and this process a hundred answers of one text.
 *
 * @module
 */
import { VERSION } from "../base/version.ts";
import type { ClusterMap } from "../cluster/cluster_map.ts";
import type { HealthReport } from "../http/protocol/health_report.ts";
import { CONSOLE_ASK_TIMEOUT_MS, CONSOLE_GAP_MS_MAX, CONSOLE_PERIOD_MS } from "../limits/http.ts";
import type { Told } from "../metrics/figures.ts";
import { type MetricDocument, readMetricDocument } from "../metrics/metric_document.ts";
import type { Clock } from "../platform/clock.ts";
import type { Address } from "../platform/transport.ts";
import type { ReplyTo } from "../wire/messages.ts";
import { consoleSnapshot, type Pair } from "./snapshot.ts";

/** What is watched, and from where. */
export interface WatchedCluster {
  readonly secured: boolean;
  map(): ClusterMap | undefined;
  health(): HealthReport;
  /** What this process says of itself. */
  own(): MetricDocument;
  /** This process, if it is a node; undefined for a coordinator. */
  readonly self: string | undefined;
  /** The name of this coordinator among them; undefined for a node. */
  coordinator(): string | undefined;
  /** Asks a node. */
  ask(node: string, message: object, timeoutMs: number, done: ReplyTo): void;
  /** Asks a coordinator; undefined for a node that is a cluster by itself. */
  readonly askCoordinator:
    | ((address: Address, message: object, timeoutMs: number, done: ReplyTo) => void)
    | undefined;
}

/** Makes snapshots. One for a process. */
export class ClusterWatch {
  readonly #clock: Clock;
  readonly #cluster: WatchedCluster;
  /** By node, and by coordinator. */
  #told = new Map<string, Told>();
  #coordinatorsTold = new Map<string, Told>();
  #text = "";
  #atMs = -Infinity;
  #round: Promise<void> | undefined;

  constructor(clock: Clock, cluster: WatchedCluster) {
    this.#clock = clock;
    this.#cluster = cluster;
  }

  /** The newest snapshot, as JSON: not older than a period. */
  async snapshot(): Promise<string> {
    if (this.#clock.monotonicMs() - this.#atMs >= CONSOLE_PERIOD_MS) {
      await (this.#round ??= this.#look().finally(() => this.#round = undefined));
    }
    return this.#text;
  }

  async #look(): Promise<void> {
    const { self, secured } = this.#cluster;
    const [nodes, coordinators] = await Promise.all([this.#askNodes(), this.#askCoordinators()]);
    const pairs = pairsOf(nodes, this.#told);
    const coordinatorPairs = coordinators && pairsOf(coordinators, this.#coordinatorsTold);
    this.#told = nodes;
    this.#coordinatorsTold = coordinators ?? new Map();
    this.#text = JSON.stringify(consoleSnapshot({
      wallMs: this.#clock.wallMs(),
      periodMs: CONSOLE_PERIOD_MS,
      map: this.#cluster.map(),
      secured,
      version: VERSION,
      health: this.#cluster.health(),
      seenBy: self ?? "coordinator",
      coordinators: coordinatorPairs,
      nodes: pairs,
    }));
    this.#atMs = this.#clock.monotonicMs();
  }

  async #askNodes(): Promise<Map<string, Told>> {
    const { self } = this.#cluster;
    const told = new Map<string, Told>();
    if (self !== undefined) told.set(self, this.#tell(this.#cluster.own()));
    const others = (this.#cluster.map()?.nodes ?? [])
      .filter(({ id, state }) => id !== self && state !== "down");
    await Promise.all(others.map(async ({ id }) => {
      const document = await asked((message, timeoutMs, done) =>
        this.#cluster.ask(id, message, timeoutMs, done)
      );
      if (document !== undefined) told.set(id, this.#tell(document));
    }));
    return told;
  }

  async #askCoordinators(): Promise<Map<string, Told> | undefined> {
    const { askCoordinator } = this.#cluster;
    if (askCoordinator === undefined) return undefined;
    const own = this.#cluster.coordinator();
    const told = new Map<string, Told>();
    if (own !== undefined) told.set(own, this.#tell(this.#cluster.own()));
    const others = (this.#cluster.map()?.coordinators ?? []).filter(({ id }) => id !== own);
    await Promise.all(others.map(async ({ id, host, port }) => {
      const document = await asked((message, timeoutMs, done) =>
        askCoordinator({ host, port }, message, timeoutMs, done)
      );
      if (document !== undefined) told.set(id, this.#tell(document));
    }));
    return told;
  }

  #tell(document: MetricDocument): Told {
    return { document, atMs: this.#clock.monotonicMs() };
  }
}

/** Undefined if it does not answer in time. */
function asked(
  ask: (message: object, timeoutMs: number, done: ReplyTo) => void,
): Promise<MetricDocument | undefined> {
  return new Promise((resolve) => {
    ask({ req_type: "metrics" }, CONSOLE_ASK_TIMEOUT_MS, (reply) => {
      resolve(reply.req_type === "result" ? readMetricDocument(reply.result) : undefined);
    });
  });
}

function pairsOf(
  told: ReadonlyMap<string, Told>,
  before: ReadonlyMap<string, Told>,
): Map<string, Pair> {
  return new Map(
    [...told].map(([id, now]) => [id, { now, before: recent(before.get(id), now) }]),
  );
}

/** What was said long ago, when somebody looked last, tells nothing of how things are now. */
function recent(before: Told | undefined, now: Told): Told | undefined {
  return before !== undefined && now.atMs - before.atMs <= CONSOLE_GAP_MS_MAX ? before : undefined;
}
