/** All scenarios, in the order in which they run. @module */
import type { Scenario } from "./scenario.ts";
import { DENO_KV } from "./scenarios/deno_kv.ts";
import { RESYNC } from "./scenarios/resync.ts";
import { CLUSTER, YCSB } from "./scenarios/cluster.ts";
import { FAILOVER } from "./scenarios/failover.ts";
import { FOOTPRINT } from "./scenarios/footprint.ts";
import { LATENCY } from "./scenarios/latency.ts";
import { MAP_GROWTH } from "./scenarios/map_growth.ts";
import { SCALE } from "./scenarios/scale.ts";
import { NATS } from "./scenarios/nats.ts";
import { DURABLE, MEMORY } from "./scenarios/single_node.ts";
import { WRITE_COST } from "./scenarios/write_cost.ts";

/** The list. */
export const SCENARIOS: readonly Scenario[] = [
  MEMORY,
  DURABLE,
  CLUSTER,
  YCSB,
  DENO_KV,
  LATENCY,
  WRITE_COST,
  FOOTPRINT,
  RESYNC,
  FAILOVER,
  SCALE,
  MAP_GROWTH,
  NATS,
];
