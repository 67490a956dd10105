/** All scenarios, in the order in which they run. @module */
import type { Scenario } from "./scenario.ts";
import { CLUSTER, YCSB } from "./scenarios/cluster.ts";
import { DURABLE, MEMORY } from "./scenarios/single_node.ts";

/** The list. */
export const SCENARIOS: readonly Scenario[] = [MEMORY, DURABLE, CLUSTER, YCSB];
