/**
 * A cluster as a client sees it: a snapshot such as the console has, from the metrics of all processes, which are asked
 * directly.
 *
 * @module
 */
import { VERSION } from "../../../shared/base/version.ts";
import {
  type ConsoleSnapshot,
  consoleSnapshot,
  coordinatorsOf,
  type Pair,
} from "../../../shared/console/snapshot.ts";
import type { Told } from "../../../shared/metrics/figures.ts";
import type { CallOptions } from "../../calls/call.ts";
import { coordinatorOf } from "../../library/processes.ts";
import type { KvClient } from "../../library/kv_client.ts";
import type { Clock } from "../../../shared/platform/clock.ts";

/** Looks at a cluster, again and again. */
export class ClusterView {
  readonly #client: KvClient;
  readonly #clock: Clock;
  #told = new Map<string, Told>();
  #atMs: number;

  constructor(client: KvClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
    this.#atMs = clock.monotonicMs();
  }

  /** What each process has said at the last look; those that did not answer are not in it. */
  get told(): ReadonlyMap<string, Told> {
    return this.#told;
  }

  /** Rates are those since the last look. @throws {KvError} if no process can be asked */
  async look(options: CallOptions): Promise<ConsoleSnapshot> {
    const beganMs = this.#clock.monotonicMs();
    const processes = await this.#client.metrics(options);
    const map = await this.#client.clusterMap();
    const before = this.#told;
    const atMs = this.#clock.monotonicMs();
    const pairs = new Map<string, Pair>();
    const coordinators = new Map<string, Pair>();
    let isAsked = false;
    const told = new Map<string, Told>();
    for (const { id, metrics } of processes) {
      const coordinator = coordinatorOf(id);
      isAsked ||= coordinator !== undefined;
      if (metrics === undefined) continue;
      const now = { document: metrics, atMs };
      told.set(id, now);
      const pair = { now, before: before.get(id) };
      if (coordinator === undefined) pairs.set(id, pair);
      else coordinators.set(coordinator || (map.coordinators?.[0]?.id ?? ""), pair);
    }
    this.#told = told;
    const periodMs = beganMs - this.#atMs;
    this.#atMs = beganMs;
    const source = { map, coordinators: isAsked ? coordinators : undefined };
    const view = coordinatorsOf(source);
    // The active one knows of the whole cluster.
    const status = (view?.list.find(({ role }) => role === "active") ?? view?.list[0])?.figures
      ?.health;
    return consoleSnapshot({
      ...source,
      wallMs: this.#clock.wallMs(),
      periodMs,
      secured: false,
      version: VERSION,
      health: {
        status: status === "ok" || status === "degraded" ? status : "unavailable",
        reasons: [],
      },
      seenBy: "client",
      nodes: pairs,
    });
  }
}
