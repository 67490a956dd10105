/**
 * What clients ask a coordinator for. Any coordinator answers about the map and about itself, and passes requests for
 * keys on to the nodes; orders are for the active one.
 *
 * @module
 */
import { failureOf, invariant, KvError } from "../shared/base/errors.ts";
import { locateKey, nodeListings } from "../shared/cluster/directory.ts";
import type { ClusterMap } from "../shared/cluster/cluster_map.ts";
import {
  databaseDocument,
  databaseListing,
  databaseOrderOf,
  findDatabase,
} from "../shared/cluster/databases.ts";
import { forUser } from "../shared/database/for_user.ts";
import { namedRequest } from "../shared/database/named_request.ts";
import { FORCE_WAIT_MS } from "../shared/limits/membership.ts";
import { metricDocument } from "../shared/metrics/metric_document.ts";
import type { MetricSet } from "../shared/metrics/metric_set.ts";
import type { Clock } from "../shared/platform/clock.ts";
import type { Logger } from "../shared/platform/logger.ts";
import { formatAddress } from "../shared/platform/transport.ts";
import { notSecured } from "../shared/security/security_keeper.ts";
import { serveCount, serveDeleteMatching, serveScan } from "../shared/server/scan_requests.ts";
import { admitRequest, type WireLogins } from "../shared/server/wire_logins.ts";
import { checkKey } from "../shared/validation/request_checks.ts";
import type { Connection } from "../shared/wire/connection.ts";
import { toErrorReply } from "../shared/wire/error_reply.ts";
import {
  type CertificateOrder,
  isCertificateOrder,
  isForActive,
  isSecurityOrder,
  type KeyRequest,
  type Message,
  type ReplyTo,
  type Request,
  type SecurityOrder,
} from "../shared/wire/messages.ts";
import { userOf } from "../shared/wire/on_behalf.ts";
import type { ActiveCoordinator, SecurityOffice } from "./active_coordinator.ts";
import type { DatabaseInput } from "./database_changes.ts";
import type { DatabaseRequest } from "./gateway/database_orders.ts";
import type { Gateway } from "./gateway/gateway.ts";

/** What requests need of the coordinator. */
export interface RequestsOwner {
  readonly clock: Clock;
  readonly log: Logger;
  readonly gateway: Gateway;
  /** Of a secured cluster. */
  readonly logins: WireLogins | undefined;
  /** The certificates of the authorities, and whose they are; undefined if the cluster is not secured. */
  authorities(): { cluster: string; authorities: readonly string[] } | undefined;
  /** This coordinator, if it is the active one. @throws {KvError} `unavailable` if it is not */
  active(what: string): ActiveCoordinator;
  readonly isActive: boolean;
  /** To the active coordinator. @param peer who asks, if it has said so @throws {KvError} `unavailable` */
  passOn(request: Request, reply: ReplyTo, peer: unknown): void;
  /** How the coordinators stand. */
  coordinators(): unknown;
  /** @param done called when the change is done, or its time is over @throws {KvError} why it cannot be */
  changeCoordinators(
    change: { readonly add: readonly string[] | undefined; readonly remove: readonly string[] },
    done: () => void,
  ): void;
  /** @throws {KvError} `unavailable` if there is no map yet that may be shown */
  publishedMap(what: string): ClusterMap;
  stats(): Record<string, unknown>;
  metrics(): MetricSet;
  /** The newest of them. */
  slowRequests(limit: number | undefined): unknown;
}

/** Carries clients' requests out. */
export class ClientRequests {
  readonly #owner: RequestsOwner;

  constructor(owner: RequestsOwner) {
    this.#owner = owner;
  }

  /** @throws {KvError} which is the answer */
  take(request: Request, reply: ReplyTo, connection: Connection): void {
    const owner = this.#owner;
    const named = namedRequest(request, owner.gateway.database.map());
    if (named !== undefined) return this.take(named.request, named.replyTo(reply), connection);
    const { gateway, clock } = owner;
    admitRequest(request, connection, owner.logins);
    if (isForActive(request) && !owner.isActive) {
      return owner.passOn(request, reply, connection.peer);
    }
    if (isSecurityOrder(request) || isCertificateOrder(request)) {
      return this.#onSecurityOrder(request, reply, connection);
    }
    switch (request.req_type) {
      case "get_authorities": {
        const result = owner.authorities();
        if (result === undefined) throw notSecured(request);
        return reply({ req_type: "result", result });
      }
      case "join":
        return this.#office(request).members.join(request, connection.remote, reply);
      case "hello":
        return invariant(false, "a hello is judged before it is a request");
      case "force":
        return this.#onForce(request, reply, connection);
      case "forget_node":
        return this.#onForgetNode(request, reply, connection);
      case "databases":
        return reply({
          req_type: "result",
          result: databaseListing(owner.publishedMap(request.req_type).databases),
        });
      case "database_create":
      case "database_drop":
        return this.#changeDatabases(request, reply);
      case "coordinators":
        return reply({ req_type: "result", result: owner.coordinators() });
      case "coordinators_change":
        return this.#onChange(request, reply, connection);
      case "scan":
        return serveScan(gateway.database, request, reply);
      case "count":
        return serveCount(gateway.database, request, reply);
      case "delete_matching":
        return serveDeleteMatching(
          { clock, work: gateway.work, database: gateway.database },
          request,
          reply,
        );
      case "backup_partition":
      case "prepare_part":
      case "read_part":
      case "finish_part":
      case "transaction_status":
      case "scan_node":
      case "count_node":
      case "watch_node":
      case "watch":
      case "unwatch":
      case "database_usage":
      case "pubsub":
        throw new KvError(
          "bad_request",
          `${request.req_type}: ask a node; the coordinator has no keys`,
        );
      case "batch":
        return gateway.executeBatch(
          request,
          (one) => {
            owner.logins?.admit(one, connection, undefined);
            return ofItsUser(one);
          },
          reply,
        );
      case "ping":
        return reply({ req_type: "ack", message: "pong" });
      case "get_map":
        return reply({ req_type: "map", map: owner.publishedMap(request.req_type) });
      case "list_nodes": {
        const map = owner.publishedMap(request.req_type);
        return reply({ req_type: "result", result: nodeListings(map) });
      }
      case "get_nodes_for_key": {
        checkKey(request.key, undefined, request.req_type);
        const map = owner.publishedMap(request.req_type);
        return reply({ req_type: "result", result: locateKey(map, request.key) });
      }
      case "stats":
        return reply({ req_type: "result", result: owner.stats() });
      case "metrics":
        return reply({ req_type: "result", result: metricDocument(owner.metrics()) });
      case "slow_requests":
        return reply({
          req_type: "result",
          result: owner.slowRequests(request.limit ?? undefined),
        });
      case "announce":
        return reply({ req_type: "ack", message: "noted" });
      default:
        return gateway.execute(ofItsUser(request), reply);
    }
  }

  /** @throws {KvError} `unavailable` if this is not the active coordinator; `bad_request` if there are no users */
  #office(request: Request): SecurityOffice {
    const { office } = this.#owner.active(request.req_type);
    if (office === undefined) throw notSecured(request);
    return office;
  }

  #onSecurityOrder(
    order: SecurityOrder | CertificateOrder,
    reply: ReplyTo,
    connection: Connection,
  ): void {
    const { keeper, members } = this.#office(order);
    const principal = this.#owner.logins?.principalFor(order, connection);
    if (principal === undefined) throw notSecured(order);
    const by = { principal, remote: connection.remote };
    if (isCertificateOrder(order)) members.order(order, by, reply);
    else keeper.order(order, by, reply);
  }

  /** An operator's order; if it names no node, it is carried out once the nodes have told what they hold by now. */
  #onForce(message: Message<"force">, reply: ReplyTo, connection: Connection): void {
    const node = message.node ?? undefined;
    const partition = message.partition ?? undefined;
    this.#order(
      message,
      { reply, connection },
      node === undefined,
      (active) => active.ask({ type: "force", partition, node }).forced,
    );
  }

  /** An operator's order. In a secured cluster nobody is believed as this node from then on. */
  #onForgetNode(message: Message<"forget_node">, reply: ReplyTo, connection: Connection): void {
    const { node } = message;
    const force = message.force === true;
    const principal = this.#owner.logins?.principalFor(message, connection);
    const { office } = this.#owner.active(message.req_type);
    let forced: unknown;
    const revoking: ReplyTo = (answer) => {
      if (answer.req_type !== "result" || office === undefined || principal === undefined) {
        return reply(answer);
      }
      office.members.forget(node, { principal, remote: connection.remote }, (revoked) => {
        if (revoked.req_type !== "result") return reply(revoked);
        reply({ req_type: "result", result: { node, forced, ...revoked.result as object } });
      });
    };
    this.#order(message, { reply: revoking, connection }, force, (active) => {
      forced = active.ask({ type: "forget_node", node, force }).forced;
      return { node, forced };
    });
  }

  /**
   * An order about a database, by a user of this process who has the right. It is answered when the map that has it is
   * durable: with the database as it is by then, or as it was before it went.
   */
  orderDatabase(request: DatabaseRequest, reply: ReplyTo): void {
    try {
      if (this.#owner.isActive) this.#changeDatabases(request, reply);
      else this.#owner.passOn(request, reply, undefined);
    } catch (error) {
      reply(toErrorReply(failureOf(error)));
    }
  }

  /** @throws {KvError} why not */
  #changeDatabases(request: DatabaseRequest, reply: ReplyTo): void {
    const { req_type: what, database: name } = request;
    const active = this.#owner.active(what);
    const before = findDatabase(this.#owner.publishedMap(what).databases, name);
    const input: DatabaseInput = request.req_type === "database_drop"
      ? { type: "drop_database", name }
      : {
        type: "create_database",
        order: databaseOrderOf(request),
        ifAbsent: request.if_absent === true,
      };
    active.orderDatabase(input, (outcome) => {
      if (outcome instanceof KvError) return reply(toErrorReply(outcome));
      this.#owner.log.info("a database is changed", { database: name, order: what });
      active.whenPublished(outcome, ({ databases }) => {
        const about = findDatabase(databases, name) ?? before;
        reply({ req_type: "result", result: about === undefined ? {} : databaseDocument(about) });
      });
    });
  }

  /** An operator's order. */
  #onChange(
    message: Message<"coordinators_change">,
    reply: ReplyTo,
    { remote }: Connection,
  ): void {
    const owner = this.#owner;
    // JSON null stands for an absent field.
    const change = { add: message.add ?? undefined, remove: message.remove ?? [] };
    owner.log.warn("an operator gives an order", {
      from: formatAddress(remote),
      order: JSON.stringify({ req_type: message.req_type, ...change }),
    });
    owner.changeCoordinators(
      change,
      () => reply({ req_type: "result", result: owner.coordinators() }),
    );
  }

  /** @param asking whether nodes first tell what they hold by now, if that may be asked for */
  #order(
    { id: _, ...order }: Message<"force" | "forget_node">,
    { reply, connection }: { reply: ReplyTo; connection: Connection },
    asking: boolean,
    carryOut: (active: ActiveCoordinator) => unknown,
  ): void {
    const { log, clock } = this.#owner;
    log.warn("an operator gives an order", {
      from: formatAddress(connection.remote),
      order: JSON.stringify(order),
    });
    const what = order.req_type;
    const answer = () => reply({ req_type: "result", result: carryOut(this.#owner.active(what)) });
    if (!asking || !this.#owner.active(what).step({ type: "ask_what_is_held" }).asked) {
      return answer();
    }
    clock.setTimer(FORCE_WAIT_MS, () => {
      try {
        answer();
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        reply(toErrorReply(error));
      }
    });
  }
}

/** A request whose user, if it has one, is known. */
function ofItsUser(request: KeyRequest): KeyRequest {
  const user = userOf(request);
  return user === undefined ? request : forUser(request, user);
}
