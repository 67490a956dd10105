/**
 * Requests of a client to the processes of a cluster, not about a key: counters, signs of life, and the order to forget
 * a node.
 *
 * @module
 */
import {
  type DatabaseDocument,
  type DatabaseList,
  type DatabaseSize,
  type DatabaseUsage,
  DEFAULT_DATABASE,
  demandDatabase,
  findDatabase,
  sizeOfDatabase,
} from "../../shared/cluster/databases.ts";
import { sleep } from "../../shared/platform/clock.ts";
import { RETRY_MS_MIN } from "../../shared/limits/requests.ts";
import { KvError } from "../../shared/base/errors.ts";
import { readMetricDocument } from "../../shared/metrics/metric_document.ts";
import { readSlowRequests } from "../../shared/metrics/slow_log.ts";
import type {
  CertificateOrder,
  Message,
  Reply,
  SecurityOrder,
} from "../../shared/wire/messages.ts";
import {
  type CallOptions,
  type CoordinatorsChange,
  type CoordinatorsReport,
  type CreateDatabaseOptions,
  type ForcedPartition,
  type ForgetNodeOptions,
  type ForgottenNode,
  type KvClientDeps,
  type PingResult,
  type ProcessMetrics,
  type ProcessSlowRequests,
  type ProcessStats,
  replyError,
  withSignal,
} from "../calls/call.ts";
import type { Sender } from "./sender.ts";

/** Asks processes. */
export class Processes {
  readonly #deps: KvClientDeps;
  readonly #sender: Sender;

  constructor(deps: KvClientDeps, sender: Sender) {
    this.#deps = deps;
    this.#sender = sender;
  }

  stats(options: CallOptions): Promise<ProcessStats[]> {
    return this.#askAll({ req_type: "stats" }, options, (id, reply) => {
      if (reply.req_type === "result") return { id, stats: reply.result };
      return { id, error: replyError(reply, "stats") };
    });
  }

  metrics(options: CallOptions): Promise<ProcessMetrics[]> {
    return this.#askAll({ req_type: "metrics" }, options, (id, reply) => {
      const metrics = reply.req_type === "result" ? readMetricDocument(reply.result) : undefined;
      return metrics === undefined ? { id, error: replyError(reply, "metrics") } : { id, metrics };
    });
  }

  slowRequests(limit: number, options: CallOptions): Promise<ProcessSlowRequests[]> {
    return this.#askAll({ req_type: "slow_requests", limit }, options, (id, reply) => {
      if (reply.req_type !== "result") return { id, error: replyError(reply, "slow_requests") };
      return { id, requests: readSlowRequests(reply.result) };
    });
  }

  ping(options: CallOptions): Promise<PingResult[]> {
    return this.#askAll({ req_type: "ping" }, options, (id, reply, elapsedMs) => {
      if (reply.req_type === "ack") return { id, elapsedMs };
      return { id, error: replyError(reply, "ping") };
    });
  }

  async databases(options: CallOptions): Promise<DatabaseDocument[]> {
    this.#sender.checkOpen();
    return await this.#askDirectory({ req_type: "databases" }, options) as DatabaseDocument[];
  }

  /** @throws {KvError} as `KvClient.createDatabase` */
  async createDatabase(
    name: string,
    { together, maxKeys, maxBytes, ifAbsent, ...options }: CreateDatabaseOptions,
  ): Promise<DatabaseDocument> {
    const order = {
      req_type: "database_create",
      database: name,
      together,
      max_keys: maxKeys,
      max_bytes: maxBytes,
      if_absent: ifAbsent,
    };
    const made = await this.#askDirectory(order, options) as DatabaseDocument;
    await this.#untilKnown(options, (databases) => findDatabase(databases, name) !== undefined);
    return made;
  }

  /** @throws {KvError} as `KvClient.databaseSize` */
  async databaseSize(name: string, options: CallOptions): Promise<DatabaseSize | undefined> {
    const { databases, nodes } = await this.#sender.map();
    if (name === DEFAULT_DATABASE) return undefined;
    const { number } = demandDatabase(databases, name);
    const timeoutMs = this.#sender.timeoutMs(options);
    const { router } = this.#deps;
    const up = nodes.filter(({ state }) => state !== "down");
    const usages = await Promise.all(up.map(async ({ id }) => {
      const reply = await askOne(
        options,
        (done) => router.request(id, { req_type: "database_usage" }, timeoutMs, done),
      );
      if (reply.req_type !== "result") throw replyError(reply, "database_usage");
      return reply.result as DatabaseUsage;
    }));
    return sizeOfDatabase(usages, number);
  }

  /** @throws {KvError} as `KvClient.dropDatabase` */
  async dropDatabase(name: string, options: CallOptions): Promise<void> {
    const order = { req_type: "database_drop", database: name };
    const dropped = await this.#askDirectory(order, options) as DatabaseDocument;
    await this.#untilKnown(
      options,
      (databases) => findDatabase(databases, name)?.number !== dropped.number,
    );
  }

  /** Until the map that is known here has a change: a node that was asked for it may not have heard of it. */
  async #untilKnown(
    options: CallOptions,
    isKnown: (databases: DatabaseList | undefined) => boolean,
  ): Promise<void> {
    const { clock, router } = this.#deps;
    const untilMs = clock.monotonicMs() + this.#sender.timeoutMs(options);
    while (!isKnown((await router.refresh()).databases)) {
      if (clock.monotonicMs() >= untilMs) return;
      await sleep(clock, RETRY_MS_MIN);
    }
  }

  /** Asks who keeps the list of databases: the coordinator, or the node that is a cluster by itself. */
  async #askDirectory(
    message: { req_type: string; database?: string },
    options: CallOptions,
  ): Promise<unknown> {
    this.#sender.checkOpen();
    const { coordinator, router } = this.#deps;
    const timeoutMs = this.#sender.timeoutMs(options);
    const lone = coordinator === undefined ? (await this.#sender.map()).nodes[0]?.id : undefined;
    const reply = await askOne(options, (done) => {
      if (coordinator !== undefined) coordinator.request(message, timeoutMs, done);
      else if (lone !== undefined) router.request(lone, message, timeoutMs, done);
    });
    if (reply.req_type !== "result") throw replyError(reply, message.req_type);
    return reply.result;
  }

  /** @throws {KvError} as `KvClient.forgetNode` */
  async forget(id: string, options: ForgetNodeOptions): Promise<ForgottenNode> {
    this.#sender.checkOpen();
    const { coordinator } = this.#deps;
    if (coordinator === undefined) {
      throw new KvError(
        "unavailable",
        "forgetNode: the coordinator has to do it, and this client was given a node's address; name " +
          "the coordinator's",
      );
    }
    const order = { req_type: "forget_node", node: id, force: options.force === true };
    const timeoutMs = this.#sender.timeoutMs(options);
    const reply = await askOne(options, (done) => coordinator.request(order, timeoutMs, done));
    if (reply.req_type !== "result") throw replyError(reply, "forget_node");
    const { forced, revoked = [] } = reply.result as {
      forced: (ForcedPartition & { last_seq: number })[];
      revoked?: string[];
    };
    return {
      forced: forced.map(({ partition, node, term, last_seq: lastSeq }) => {
        return { partition, node, term, lastSeq };
      }),
      revoked,
    };
  }

  /** @throws {KvError} as `KvClient.administer` */
  async administer(
    order: SecurityOrder | CertificateOrder,
    options: CallOptions,
  ): Promise<unknown> {
    this.#sender.checkOpen();
    const administrator = this.#deps.administrator ?? this.#deps.coordinator;
    if (administrator === undefined) {
      throw new KvError(
        "bad_request",
        `${order.req_type}: only a secured process has users; give the certificate of its authority (ca)`,
      );
    }
    const timeoutMs = this.#sender.timeoutMs(options);
    const reply = await askOne(options, (done) => administrator.request(order, timeoutMs, done));
    if (reply.req_type !== "result") throw replyError(reply, order.req_type);
    return reply.result;
  }

  /** @throws {KvError} as `KvClient.coordinators` */
  async coordinators(
    change: CoordinatorsChange | undefined,
    options: CallOptions,
  ): Promise<CoordinatorsReport> {
    this.#sender.checkOpen();
    const { coordinator } = this.#deps;
    if (coordinator === undefined) {
      throw new KvError(
        "unavailable",
        "coordinators: this client was given a node's address; name a coordinator's",
      );
    }
    const order = change === undefined
      ? { req_type: "coordinators" }
      : { req_type: "coordinators_change", ...change };
    const timeoutMs = this.#sender.timeoutMs(options);
    const reply = await askOne(options, (done) => coordinator.request(order, timeoutMs, done));
    if (reply.req_type !== "result") throw replyError(reply, order.req_type);
    return reply.result as CoordinatorsReport;
  }

  /** @throws {KvError} as `KvClient.announce` */
  async announce(what: Message<"announce">["what"], options: CallOptions): Promise<void> {
    const { administrator, secured = false } = this.#deps;
    if (!secured || administrator === undefined) return;
    this.#sender.checkOpen();
    const message: Message<"announce"> = { req_type: "announce", what };
    const timeoutMs = this.#sender.timeoutMs(options);
    const reply = await askOne(options, (done) => administrator.request(message, timeoutMs, done));
    if (reply.req_type !== "ack") throw replyError(reply, "announce");
  }

  /** Asks the coordinators and each node, all of them at once. */
  async #askAll<T>(
    message: object,
    options: CallOptions,
    read: (id: string, reply: Reply, elapsedMs: number) => T,
  ): Promise<T[]> {
    const { clock, router, coordinator } = this.#deps;
    const map = await this.#sender.map();
    const timeoutMs = this.#sender.timeoutMs(options);
    const begin = clock.monotonicMs();
    const ask = async (id: string, send: (done: (reply: Reply) => void) => void) =>
      read(id, await askOne(options, send), clock.monotonicMs() - begin);
    const calls = map.nodes.map(({ id }) =>
      ask(id, (done) => router.request(id, message, timeoutMs, done))
    );
    const { coordinators = [] } = map;
    if (coordinator?.requestAt !== undefined && coordinators.length > 1) {
      calls.unshift(...coordinators.map(({ id, host, port }) =>
        ask(
          coordinatorName(id),
          (done) => coordinator.requestAt?.({ host, port }, message, timeoutMs, done),
        )
      ));
    } else if (coordinator !== undefined) {
      const name = coordinatorName(undefined);
      calls.unshift(ask(name, (done) => coordinator.request(message, timeoutMs, done)));
    }
    return await Promise.all(calls);
  }
}

const COORDINATOR = "coordinator";

/** What a coordinator is called beside the ids of nodes. @param id if there are several */
function coordinatorName(id: string | undefined): string {
  return id === undefined ? COORDINATOR : `${COORDINATOR} ${id}`;
}

/** Which coordinator a process is by its name: its id, "" if it is the only one; undefined for a node. */
export function coordinatorOf(name: string): string | undefined {
  if (name === COORDINATOR) return "";
  return name.startsWith(`${COORDINATOR} `) ? name.slice(COORDINATOR.length + 1) : undefined;
}

/** A request that cannot be taken back: the signal ends only the waiting. */
function askOne(
  { signal }: CallOptions,
  send: (done: (reply: Reply) => void) => void,
): Promise<Reply> {
  return withSignal<Reply>(signal, (done) => {
    send(done);
    return () => {};
  });
}
