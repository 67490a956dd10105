/**
 * A scenario starts servers, measures some rows or figures with them, and ends. This file defines what it
 * gets.
 *
 * @module
 */
import type { Effort, Row } from "./comparison.ts";
import type { LoadGenerator } from "./load/load_generator.ts";
import type { Versions } from "./machine.ts";
import type { KvLaunch } from "./systems/kv_system.ts";
import type { Running } from "./systems/system.ts";

/** A figure of ours that is not compared with another store's. */
export interface ExtraFigure {
  readonly name: string;
  readonly title: string;
  readonly value: number;
  readonly unit: string;
  /** The bound that it should not exceed; absent if it is only reported. */
  readonly bound?: number;
}

/** What a scenario works with. */
export interface ScenarioContext {
  readonly effort: Effort;
  /** Everything as small as possible: to see that it runs. */
  readonly quick: boolean;
  /** How many keys a node holds in scenarios with many keys. */
  readonly manyKeys: number;
  readonly launch: KvLaunch;
  /** A folder of its own. */
  readonly folder: string;
  readonly versions: Versions;
  /** What is added here is ended with the scenario. */
  readonly running: Running;
  /** One more process that generates load; ended with the scenario. */
  startGenerator(): LoadGenerator;
  measure(row: Row): Promise<void>;
  figure(figure: ExtraFigure): void;
  /** Something that the reader of the figures should know. */
  note(text: string): void;
}

/** One of them. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Belongs to the comparison, or is measured beside it. */
  readonly group: "comparison" | "extra";
  run(context: ScenarioContext): Promise<void>;
}

/** How to get what is not installed, as Debian names it. */
export const HOW_TO_GET = {
  redis: "redis-server is not installed; get it with: apt-get install redis-server",
  redisBenchmark: "redis-benchmark is not installed; get it with: apt-get install redis-tools",
  etcd: "etcd is not installed; get it with: apt-get install etcd-server",
  nats: "nats-server is not installed; get it with: apt-get install nats-server",
} as const;
