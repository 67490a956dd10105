/** What the sessions of the Redis front end share. @module */
import type { ByteBudget } from "../../shared/base/byte_budget.ts";
import type { AccessControl } from "../../shared/security/access_control.ts";
import type { RequestMetrics } from "../../shared/metrics/request_metrics.ts";
import type { ByteSlab } from "../../shared/base/byte_slab.ts";
import type { CommandServer, CommandSession } from "./command/command.ts";
import type { Tracking } from "./watch/tracking.ts";
import type { SessionWatches } from "./watch/session_watches.ts";
import type { CommandTable } from "./tables/command_table.ts";

/** What sessions share (`resp_server.ts`). */
export interface SessionServer extends CommandServer {
  readonly table: CommandTable;
  readonly watches: SessionWatches;
  readonly tracking: Tracking;
  /** Of a secured cluster: who may do what. */
  readonly access: AccessControl | undefined;
  /** The budget for the unanswered requests of all connections. */
  readonly budget: ByteBudget;
  readonly metrics: RequestMetrics;
  /** For values and replies that are on their way. */
  readonly slab: ByteSlab;
  readonly parserLimits: { readonly argumentBytesMax: number };
  /** Counts one more command. */
  counted(): void;
  /** The session has ended. */
  forget(session: CommandSession): void;
}
