/**
 * The Redis front end over a database and a stream in memory, for unit tests: commands in, reply bytes out.
 *
 * @module
 */
import { RespServer } from "../../../node/resp/resp_server.ts";
import { standaloneMap } from "../../../node/membership/standalone_cluster.ts";
import type { Admission } from "../../../shared/admission/admission.ts";
import { Seat } from "../../../shared/admission/seat.ts";
import { ByteBudget } from "../../../shared/base/byte_budget.ts";
import { findDatabase, NO_DATABASES, withDatabase } from "../../../shared/cluster/databases.ts";
import type { NodeInfo } from "../../../shared/cluster/cluster_map.ts";
import { MetricSet } from "../../../shared/metrics/metric_set.ts";
import { NO_LOG } from "../doubles/no_log.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";
import type { AccessControl } from "../../../shared/security/access_control.ts";
import type { RequestLimits } from "../../../shared/validation/request_checks.ts";
import type { Stream, StreamHandlers } from "../../../shared/platform/transport.ts";
import { ManualClock } from "../doubles/manual_clock.ts";
import { testAdmission } from "../doubles/test_admission.ts";
import { startScriptThread } from "../../../node/resp/scripts/deno_script_thread.ts";
import { ScriptedDatabase } from "../doubles/scripted_database.ts";

const encoder = new TextEncoder();
const latin1 = new TextDecoder("latin1");

const NODE: NodeInfo = {
  id: "n1",
  host: "node",
  port: 8081,
  httpPort: 0,
  zone: "z",
  weight: 1,
  incarnation: 1,
  state: "up",
};

/** A front end and its clients. */
export class RespBench {
  readonly clock = new ManualClock();
  readonly database: ScriptedDatabase;
  readonly budget: ByteBudget;
  readonly admission: Admission;
  readonly server: RespServer;

  constructor(
    options: {
      limits?: RequestLimits;
      budgetBytes?: number;
      partitions?: number;
      persistent?: boolean;
      nodes?: number;
      /** Of a secured cluster. */
      access?: AccessControl;
      /** Scripts run in a thread, which `server.close()` ends. */
      scripts?: true;
    } = {},
  ) {
    const { partitions: partitionCount = 16 } = options;
    const alone = standaloneMap({ clusterId: "c1", partitionCount, node: NODE });
    const others = Array.from({ length: (options.nodes ?? 1) - 1 }, (_, i) => ({
      ...NODE,
      id: `other${i}`,
    }));
    const map = { ...alone, nodes: [NODE, ...others] };
    this.admission = testAdmission({}, this.clock);
    this.database = new ScriptedDatabase(this.clock, map, options.limits);
    this.budget = new ByteBudget(options.budgetBytes ?? 1 << 28);
    this.server = new RespServer({
      clock: this.clock,
      random: new SeededRandom(1),
      log: NO_LOG,
      database: this.database,
      access: options.access,
      databases: {
        ensure: (name, together, done) => {
          const known = this.database.map();
          const order = { name, ...(together ? { together } : {}) };
          const databases = withDatabase(known.databases ?? NO_DATABASES, order);
          this.database.setMap({ ...known, databases });
          done(findDatabase(databases, name));
        },
      },
      budget: this.budget,
      limits: options.limits,
      startScriptThread: options.scripts && startScriptThread,
      node: {
        nodeId: "n1",
        persistent: options.persistent ?? true,
        address: () => ({ host: "node", port: 8081 }),
        clientsMax: () => this.admission.clientsMax,
        isReachable: () => true,
        askOthers: (message, _timeoutMs, done) => {
          const usage = { known: true, databases: [[1, 1, 10, 0]], defaultExpiring: 1 };
          const asks = (message as { req_type?: string }).req_type === "database_usage";
          this.clock.defer(() => done(asks ? [{ req_type: "result", result: usage }] : []));
        },
        stats: () => ({ node: "n1" }),
        metrics: () => {
          const set = new MetricSet();
          this.server.metrics.collect(set);
          set.set("process_cpu_seconds_total", 1.5);
          set.set("process_resident_memory_bytes", 3_000_000);
          set.set("kv_heap_bytes", 2_000_000, "used");
          return set;
        },
        databaseUsage: () => ({ known: true, databases: [[1, 1, 10, 1]], defaultExpiring: 2 }),
      },
    });
  }

  connect(): RespPeer {
    const peer = new RespPeer(this);
    const seat = this.admission.enter({ end: () => peer.close(false) });
    if (!(seat instanceof Seat)) throw seat;
    this.server.accept(peer, seat);
    return peer;
  }
}

/** A client, as the stream that the server has. */
export class RespPeer implements Stream {
  readonly remote = { host: "client", port: 40_000 };
  /** What the server wrote, a piece for each write. */
  readonly written: string[] = [];
  /** What it has not taken, as the test says. */
  queuedBytes = 0;
  paused = false;
  closed: "open" | "flushed" | "cut" = "open";
  readonly #bench: RespBench;
  #handlers: StreamHandlers | undefined;

  constructor(bench: RespBench) {
    this.#bench = bench;
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers;
  }

  write(bytes: Uint8Array): void {
    if (this.closed === "open") this.written.push(latin1.decode(bytes));
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  close(flush = false): void {
    if (this.closed !== "open") return;
    this.closed = flush ? "flushed" : "cut";
    this.#bench.clock.defer(() => this.#handlers?.onClose(undefined));
  }

  /** What has come and was not taken yet, as one text of one character a byte. */
  get received(): string {
    return this.written.splice(0).join("");
  }

  /** Bytes reach the server; they are changed afterwards, as a stream's buffer is. */
  feed(bytes: string | Uint8Array): void {
    const copy = typeof bytes === "string" ? encoder.encode(bytes) : bytes.slice();
    this.#handlers?.onData(copy);
    copy.fill(0xee);
  }

  end(): void {
    this.#handlers?.onEnd?.();
  }

  drain(): void {
    this.queuedBytes = 0;
    this.#handlers?.onDrain?.();
  }

  /** As {@linkcode ask}, for what takes real time: the hash of a password. */
  async askAndWait(line: string | readonly (string | Uint8Array)[]): Promise<string> {
    let answer = await this.ask(line);
    while (answer === "") {
      await new Promise((resolve) => setTimeout(resolve, 1));
      await this.#bench.clock.run();
      answer = this.received;
    }
    return answer;
  }

  /** Sends an inline line, or a command as an array; gives what came back. */
  async ask(line: string | readonly (string | Uint8Array)[]): Promise<string> {
    this.feed(typeof line === "string" ? line + "\r\n" : encodeCommand(line));
    await this.#bench.clock.run();
    return this.received;
  }
}

/** A command as clients send it. */
export function encodeCommand(args: readonly (string | Uint8Array)[]): Uint8Array {
  const parts: Uint8Array[] = [encoder.encode(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = typeof arg === "string" ? encoder.encode(arg) : arg;
    parts.push(encoder.encode(`$${bytes.length}\r\n`), bytes, encoder.encode("\r\n"));
  }
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
