/**
 * The Redis front end of a node. It makes a session for each stream that speaks neither JSON nor HTTP, and holds
 * what sessions share. It reaches the cluster only through `shared/database/database.ts`.
 *
 * @module
 */
import type { Seat } from "../../shared/admission/seat.ts";
import type { KvError } from "../../shared/base/errors.ts";
import type { ByteBudget } from "../../shared/base/byte_budget.ts";
import { ByteSlab } from "../../shared/base/byte_slab.ts";
import type { Clock } from "../../shared/platform/clock.ts";
import type { Database } from "../../shared/database/database.ts";
import { DeduplicatingDatabase } from "../../shared/database/deduplicating_database.ts";
import { REQUESTS_PER_CONNECTION_MAX } from "../../shared/limits/admission.ts";
import { RESP_REPLY_BYTES_MAX } from "../../shared/limits/resp.ts";
import { VALUE_BYTES_MAX } from "../../shared/limits/wire.ts";
import type { SlowLog } from "../../shared/metrics/slow_log.ts";
import { RequestMetrics } from "../../shared/metrics/request_metrics.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { AccessControl } from "../../shared/security/access_control.ts";
import type { KeyRequest, Reply } from "../../shared/wire/messages.ts";
import { KeyTurns } from "../../shared/scheduling/key_turns.ts";
import { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import { type Random, randomId } from "../../shared/platform/random.ts";
import type { Draining } from "../../shared/server/draining.ts";
import type { RequestLimits } from "../../shared/validation/request_checks.ts";
import type { Stream } from "../../shared/platform/transport.ts";
import { COMMAND_TABLE, type CommandTable } from "./tables/command_table.ts";
import type { CommandSession, RespNode } from "./command/command.ts";
import { type Execute, executeEach } from "./each_request.ts";
import type { CommandDatabases } from "./command/command.ts";
import { ClientPause } from "./client_pause.ts";
import { ScanCursors } from "./command/scan_cursors.ts";
import { AllNodes } from "./pubsub/all_nodes.ts";
import { Changes } from "./watch/changes.ts";
import { KeyEvents } from "./watch/key_events.ts";
import { Tracking } from "./watch/tracking.ts";
import { SessionWatches } from "./watch/session_watches.ts";
import { ScriptRunner, type StartThread } from "./scripts/script_runner.ts";
import { RespSession } from "./session.ts";
import type { SessionServer } from "./session_server.ts";

const EACH_LIMITS = {
  inFlightMax: REQUESTS_PER_CONNECTION_MAX,
  replyBytesMax: RESP_REPLY_BYTES_MAX,
};

/** What the front end needs. */
export interface RespServerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Gives heavy work its turns; each process has one. Default: one of its own. */
  readonly work?: WorkScheduler | undefined;
  readonly database: Database;
  /** Of a secured cluster: who may do what. */
  readonly access?: AccessControl | undefined;
  readonly node: RespNode;
  /** Makes sure that a database is there. Absent: there is `default` alone. */
  readonly databases?: CommandDatabases | undefined;
  /** The budget for the unanswered requests of all connections. */
  readonly budget: ByteBudget;
  readonly limits?: RequestLimits | undefined;
  /** Counts requests; each process has one. Default: one of its own. */
  readonly metrics?: RequestMetrics | undefined;
  /** Starts the thread in which scripts run. Absent: they are refused. */
  readonly startScriptThread?: StartThread | undefined;
  /** The group of connections that are drained when the node stops. */
  readonly draining?: Draining | undefined;
}

/** The front end. */
export class RespServer implements SessionServer {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly work: WorkScheduler;
  readonly database: Database;
  readonly access: AccessControl | undefined;
  readonly node: RespNode;
  readonly databases: CommandDatabases | undefined;
  readonly budget: ByteBudget;
  readonly limits: RequestLimits | undefined;
  readonly metrics: RequestMetrics;
  readonly valueBytesMax: number;
  readonly cursors: ScanCursors;
  readonly pubSub: AllNodes;
  readonly watches = new SessionWatches();
  readonly tracking: Tracking;
  readonly keyEvents: KeyEvents;
  readonly scripts: ScriptRunner;
  readonly pause: ClientPause;
  readonly keyTurns = new KeyTurns();
  readonly #changes: Changes;
  readonly #once: DeduplicatingDatabase;
  readonly #draining: Draining | undefined;
  readonly parserLimits: { readonly argumentBytesMax: number };
  readonly table: CommandTable = COMMAND_TABLE;
  /** For values and replies that are on their way. */
  readonly slab = new ByteSlab();
  readonly sessions = new Map<number, RespSession>();
  readonly startedMs: number;
  /** Counts since the start. */
  connections = 0;
  commands = 0;
  countedBefore = { connections: 0, commands: 0 };

  constructor(deps: RespServerDeps) {
    this.clock = deps.clock;
    this.random = deps.random;
    this.log = deps.log;
    this.work = deps.work ?? new WorkScheduler(deps.clock);
    this.database = deps.database;
    this.access = deps.access;
    this.node = deps.node;
    this.databases = deps.databases;
    this.budget = deps.budget;
    this.limits = deps.limits;
    this.metrics = deps.metrics ?? new RequestMetrics(deps.clock);
    this.#draining = deps.draining;
    const name = `resp-${randomId(deps.random)}`;
    this.#once = new DeduplicatingDatabase(deps.database, deps.clock, () => name);
    this.cursors = new ScanCursors(deps.random);
    this.pubSub = new AllNodes(deps.node);
    this.#changes = new Changes(deps.clock, deps.database);
    this.tracking = new Tracking(this.#changes);
    this.keyEvents = new KeyEvents(
      this.#changes,
      this.pubSub.local,
      () => deps.database.map()?.databases,
    );
    this.scripts = new ScriptRunner(deps.clock, deps.log, deps.startScriptThread);
    this.pause = new ClientPause(deps.clock, () => {
      for (const session of this.sessions.values()) session.goOn();
    });
    this.valueBytesMax = deps.limits?.valueBytesMax ?? VALUE_BYTES_MAX;
    // A value that is a little too long is read, and refused by name; a much longer one is not read.
    this.parserLimits = { argumentBytesMax: 2 * this.valueBytesMax };
    this.startedMs = deps.clock.monotonicMs();
  }

  get slow(): SlowLog {
    return this.metrics.slow;
  }

  /** The number of unanswered commands. */
  get outstanding(): number {
    let sum = 0;
    for (const session of this.sessions.values()) sum += session.outstanding;
    return sum;
  }

  /** Takes a stream over. @param isShared whether it came by the port that the workers of a machine share */
  accept(stream: Stream, seat: Seat, isShared = false): void {
    const id = ++this.connections;
    const session = new RespSession(this, stream, id, seat, isShared);
    this.sessions.set(id, session);
    this.#draining?.add(session);
  }

  /** The message to a client whose connection admission control ends. */
  refusal({ code, message }: KvError): string {
    return `-TRYAGAIN ${code} ${message}\r\n`;
  }

  /** The node stops: nobody is told what changes any more. */
  close(): void {
    this.pause.end();
    this.#changes.close();
    this.scripts.close();
  }

  counted(): void {
    this.commands++;
  }

  forget(session: CommandSession): void {
    const known = this.sessions.get(session.id);
    if (known === undefined) return;
    this.sessions.delete(session.id);
    this.#draining?.delete(known);
  }

  wallMs(): number {
    return this.clock.wallMs();
  }

  copy(argument: Uint8Array): Uint8Array {
    return this.slab.copy(argument);
  }

  /** Carries out a request; one that would do harm twice, in a client session. */
  execute(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): void {
    this.#once.execute(request, timeoutMs, done);
  }

  executeEach(
    requests: readonly KeyRequest[],
    execute: Execute,
    done: (replies: readonly Reply[]) => void,
  ): void {
    executeEach(requests, EACH_LIMITS, execute, done);
  }
}
