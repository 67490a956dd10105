/**
 * The node's session with the coordinator over TCP: finds it, registers, keeps the map up to date,
 * passes orders to the node core, and begins anew for as long as it takes whenever the connection
 * breaks. It decides nothing about partitions, and serving goes on while there is no session.
 *
 * Invariant: a report leaves only on a session on which this process is registered. What maps the node core is
 * given is `map_intake.ts`.
 *
 * @module
 */
import type { Clock, Timer } from "../../shared/platform/clock.ts";
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import { Connection } from "../../shared/wire/connection.ts";
import { type ErrorCode, isErrorCode, KvError } from "../../shared/base/errors.ts";
import { Secret } from "../../shared/base/secret.ts";
import { CONNECT_TIMEOUT_MS } from "../../shared/limits/connections.ts";
import {
  SESSION_BACKOFF_MS,
  SESSION_BACKOFF_MS_MAX,
  SESSION_BACKOFF_OF_SEVERAL_MS_MAX,
  SESSION_GREETING_MS,
  SESSION_PING_MS,
  SESSION_REPLY_TIMEOUT_MS,
  SESSION_SILENCE_MS,
  SESSION_SILENCE_OF_SEVERAL_MS,
} from "../../shared/limits/membership.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { SeenMap } from "../../shared/security/map_seal.ts";
import { hello } from "../../shared/wire/hello.ts";
import type { HeldPartition, Message } from "../../shared/wire/messages.ts";
import type { Random } from "../../shared/platform/random.ts";
import { backoffMs } from "../../shared/scheduling/backoff.ts";
import { type Address, formatAddress, type Transport } from "../../shared/platform/transport.ts";
import type { HeartbeatAck, HeartbeatStart } from "./heartbeat_sender.ts";
import { areSeveral, CoordinatorChoice } from "./coordinator_choice.ts";
import { MapIntake } from "./map_intake.ts";

/** What the session needs of the node core. */
export interface SessionNode {
  /** What the disk holds, for the registration. */
  held(): HeldPartition[];
  /** The last batch of its database when this process opened it. */
  readonly openedBatch: number;
  map(): ClusterMap | undefined;
  /** The newest map that an earlier process went by, as far as it was kept. */
  readonly keptMap?: ClusterMap | undefined;
  /** The session is (again) up: repeat what the coordinator has not acted upon. */
  onCoordinatorUp(): void;
  onHandover(partition: number, term: number, to: string): void;
}

/** Who registers. */
export interface SessionIdentity {
  readonly node: string;
  readonly instance: string;
  readonly incarnation: number;
  readonly host: string;
  readonly port: number;
  /** The port for members of a secured cluster. */
  readonly peerPort?: number | undefined;
  readonly httpPort: number;
  readonly zone: string;
  readonly weight: number;
  /** Holds its data in memory, and so has a new id at each start. */
  readonly memory: boolean;
  /** The only cluster that it may become part of; absent: any. */
  readonly clusterName?: string | undefined;
}

/**
 * Finds the coordinators (of a given cluster, if the node belongs to one already), and calls one of
 * the two.
 */
export type Locate = (
  use: (addresses: readonly Address[]) => void,
  fail: (error: KvError) => void,
  clusterId: string | undefined,
) => void;

/** What the session calls. */
export interface SessionOptions {
  readonly identity: SessionIdentity;
  readonly node: SessionNode;
  /** Says where the coordinator is; asked before each attempt. */
  readonly locate: Locate;
  /** The cluster that the data folder belongs to; undefined for none yet. */
  clusterId(): string | undefined;
  /** Notes down that the folder belongs to this map's cluster, before the first map is used. */
  joinCluster(map: ClusterMap, done: (error: KvError | undefined) => void): void;
  /** In a secured cluster: see {@linkcode MapIntakeOptions}. */
  noteSeen?: ((map: ClusterMap, done: () => void) => void) | undefined;
  /** By which version of users and roles it judges, in a secured cluster. */
  securityVersion?: (() => number) | undefined;
  /** The newest map that was noted, by an earlier process as well. */
  noted?: (() => SeenMap | undefined) | undefined;
  /** A newer map, to be given to the node core and to whoever else wants it. */
  onMap(map: ClusterMap): void;
  /** Registered: so heartbeats are sent. */
  onRegistered(heartbeats: HeartbeatStart): void;
  /** Heartbeats must not go on: they would renew a lease that this node must not have. */
  onMistrust(): void;
  /** A heartbeat was acknowledged over this session. */
  onHeartbeatAck(ack: HeartbeatAck): void;
  /** By what to judge, in a secured cluster. */
  onSecurity?(message: Message<"security">): void;
  /** The next certificate. */
  onCertificate?(message: Message<"certificate">): void;
  /** What has come of a wish to make or drop a database. */
  onDatabaseDecided?(message: Message<"database_decided">): void;
  /** The session has broken; it tries to get another one. */
  onDown(): void;
  /** The coordinator has let the node go. */
  onLeft(): void;
  /** It makes no sense to go on: another run of this node, another cluster, another version. */
  onFatal(error: KvError): void;
}

/**
 * Answers that trying again will not change. The first means that this process must not go on. The
 * others end a node that was just started; one that serves its cluster goes on serving, since they
 * may as well mean that the coordinator was started on the wrong folder.
 */
const FATAL: ReadonlySet<ErrorCode> = new Set([
  "stale_incarnation",
  "wrong_cluster",
  "wrong_version",
  "unauthorized",
  "forbidden",
]);

type State = "waiting" | "connecting" | "registering" | "registered" | "closed";

const HELLO_ID = "hello";
const REGISTER_ID = "register";
const MAP_ID = "map";
const PING_ID = "ping";

/** The session; {@linkcode CoordinatorSession.start} begins it. */
export class CoordinatorSession {
  #deps: { clock: Clock; random: Random; transport: Transport; log: Logger };
  #options: SessionOptions;
  #state: State = "waiting";
  #connection: Connection | undefined;
  #address: Address = { host: "", port: 0 };
  #registeredAt: Address | undefined;
  #abandonConnect: (() => void) | undefined;
  #retry: Timer | undefined;
  #deadline: Timer | undefined;
  #watch: Timer | undefined;
  #attempts = 0;
  readonly #maps: MapIntake;
  readonly #choice: CoordinatorChoice;
  /** Nothing has come over the connection yet. */
  #isGreeting = false;
  #askingForMap = false;
  #aliveMs = 0;
  #leaving: "no" | "stopping" | "for good" = "no";
  #complained = false;
  /** Why the coordinator that answers cannot be used, as of the last attempt. */
  #refusal: string | undefined;
  #refusalLogged: string | undefined;

  constructor(
    deps: { clock: Clock; random: Random; transport: Transport; log: Logger },
    options: SessionOptions,
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#choice = new CoordinatorChoice(deps.random);
    this.#maps = new MapIntake({
      log: deps.log,
      known: options.node.map(),
      clusterId: () => options.clusterId(),
      joinCluster: (map, done) => options.joinCluster(map, done),
      noteSeen: options.noteSeen,
      onMap: (map) => options.onMap(map),
      onJoinFailed: (error) => this.#fatal(error),
    });
  }

  /** Whether this process is registered over a living connection. */
  get up(): boolean {
    return this.#state === "registered";
  }

  /** If whoever answers is not this node's coordinator: why not. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** The coordinator with which this process was registered last; undefined if with none. */
  get registeredAt(): Address | undefined {
    return this.#registeredAt;
  }

  /** Where it connects to, or tried last. */
  get address(): Address {
    return this.#address;
  }

  /** Begins. It goes on until {@linkcode close}, or until it has called `onFatal`. */
  start(): void {
    this.#attempt();
  }

  /** Sends a report; false, and dropped, while not registered. */
  send(message: object): boolean {
    if (this.#state !== "registered") return false;
    this.#connection?.send(message);
    return true;
  }

  /** Asks to be let go; `onLeft` follows. Repeated after each new registration. */
  leave(stopping: boolean): void {
    this.#leaving = stopping ? "stopping" : "for good";
    this.#sendLeave();
  }

  /** Ends it. Nothing is called any more. */
  close(): void {
    this.#state = "closed";
    this.#maps.close();
    this.#cancelTimers();
    this.#abandonConnect?.();
    this.#connection?.close(true);
    this.#connection = undefined;
  }

  #attempt(): void {
    if (this.#state === "closed") return;
    this.#state = "connecting";
    this.#options.locate(
      (located) => {
        const address = this.#choice.next(located, this.#newestMap);
        if (address !== undefined) this.#connect(address);
        else this.#failed(new KvError("unavailable", "no coordinator is known"));
      },
      (error) => this.#failed(error),
      this.#options.clusterId(),
    );
  }

  #connect(address: Address): void {
    if (this.#state !== "connecting") return;
    this.#address = address;
    this.#abandonConnect = this.#deps.transport.connect(
      address,
      CONNECT_TIMEOUT_MS,
      (stream) => {
        this.#abandonConnect = undefined;
        const connection = new Connection(stream, this.#deps.clock, {
          onMessage: (message, from) => {
            if (from === this.#connection) this.#onMessage(message);
          },
          // A message of a later version can be done without; a change of the map that is lost so is
          // noticed by the next one's epoch, or by a heartbeat's.
          onInvalid: (error) =>
            this.#deps.log.warn("not a message, from the coordinator", { error: error.message }),
          onClose: (reason, from) => {
            if (from === this.#connection) this.#onClose(reason);
          },
          onExpiring: (expiring) => {
            if (expiring === this.#connection) this.#goOver(expiring);
          },
        });
        this.#connection = connection;
        this.#register(connection, true);
      },
      (reason) => {
        this.#abandonConnect = undefined;
        this.#choice.silent(address);
        this.#failed(reason);
      },
      { role: "coordinator" },
    );
  }

  #register(connection: Connection, first: boolean): void {
    const { identity, node, securityVersion } = this.#options;
    const clusterId = this.#options.clusterId();
    const cluster = clusterId === undefined ? {} : { cluster_id: clusterId };
    this.#state = "registering";
    if (first) connection.send(hello("member", { id: HELLO_ID, node: identity.node, ...cluster }));
    const register: Message<"register"> = {
      req_type: "register",
      id: REGISTER_ID,
      node: identity.node,
      instance: identity.instance,
      incarnation: identity.incarnation,
      host: identity.host,
      port: identity.port,
      ...(identity.peerPort === undefined ? {} : { peer_port: identity.peerPort }),
      http_port: identity.httpPort,
      zone: identity.zone,
      weight: identity.weight,
      ...cluster,
      ...(identity.memory ? { memory: true } : {}),
      ...(identity.clusterName === undefined ? {} : { cluster_name: identity.clusterName }),
      held: node.held(),
      ...this.#seen(),
      batch: node.openedBatch,
      ...(securityVersion === undefined ? {} : { security_version: securityVersion() }),
    };
    connection.send(register);
    this.#isGreeting = first && areSeveral(this.#newestMap);
    this.#setDeadline(
      "register",
      this.#isGreeting ? SESSION_GREETING_MS : SESSION_REPLY_TIMEOUT_MS,
    );
  }

  /** The newest map that this process has seen, or one before it. */
  get #newestMap(): ClusterMap | undefined {
    const { node } = this.#options;
    const known = node.map() ?? node.keptMap;
    const came = this.#maps.map;
    return (known?.epoch ?? 0) > (came?.epoch ?? 0) ? known : came;
  }

  /** The newest map that this node has seen, or one before it; of a secured cluster, with the seal that shows it. */
  #seen(): { seen_epoch?: number; seen_generation?: string; seen_seal?: string } {
    const { node, noted } = this.#options;
    const known: (SeenMap | undefined)[] = [node.map(), node.keptMap, this.#maps.map, noted?.()];
    const [map] = known.filter((one) => one !== undefined).sort((a, b) => b.epoch - a.epoch);
    if (map === undefined) return {};
    const { epoch, generation, seal } = map;
    return {
      seen_epoch: epoch,
      ...(generation === undefined ? {} : { seen_generation: generation }),
      ...(seal === undefined ? {} : { seen_seal: seal }),
    };
  }

  #onMessage(message: Message): void {
    this.#aliveMs = this.#deps.clock.monotonicMs();
    if (this.#isGreeting) {
      this.#isGreeting = false;
      this.#setDeadline("register");
    }
    switch (message.req_type) {
      case "registered":
        return this.#onRegistered(message);
      case "map_delta":
        return this.#onDelta(message);
      case "map":
        return this.#onWholeMap(message.map);
      case "handover":
        return this.#options.node.onHandover(message.p, message.term, message.to);
      case "heartbeat_ack":
        this.#options.onHeartbeatAck(message);
        if (this.#maps.onAcknowledged(message.epoch)) {
          this.#askForMap("an acknowledged heartbeat tells of a newer map");
        }
        return;
      case "register_again":
        this.#deps.log.warn("the coordinator asks this node to register again");
        if (this.#connection !== undefined) this.#register(this.#connection, false);
        return;
      case "security":
        return this.#options.onSecurity?.(message);
      case "certificate":
        return this.#options.onCertificate?.(message);
      case "database_decided":
        return this.#options.onDatabaseDecided?.(message);
      case "left":
        if (this.#leaving !== "no") this.#options.onLeft();
        return;
      case "error":
        return this.#onError(message);
      default:
        // An ack of hello; or something of a later version, which this one can do without.
    }
  }

  #onRegistered(message: Message<"registered">): void {
    const { map } = message;
    if (!this.#takeMap(map)) return;
    const asked = this.#state === "registering";
    this.#state = "registered";
    this.#registeredAt = this.#address;
    this.#attempts = 0;
    this.#complained = false;
    this.#refusal = this.#refusalLogged = undefined;
    this.#clearDeadline();
    this.#maps.adopt(map);
    if (!asked) return;
    this.#deps.log.info("registered with the coordinator", {
      coordinator: formatAddress(this.#address),
      epoch: map.epoch,
      incarnation: this.#options.identity.incarnation,
    });
    this.#options.onRegistered({
      to: { host: this.#address.host, port: message.heartbeat_port },
      intervalMs: map.settings.heartbeatIntervalMs,
      at: message.at,
      key: this.#heartbeatKey(message),
    });
    this.#watchForSilence();
    this.#options.node.onCoordinatorUp();
    this.#sendLeave();
  }

  /** What is sealed by it is believed as much as the session: a key that came in the clear is no key. */
  #heartbeatKey({ heartbeat_key: key }: Message<"registered">): Secret | undefined {
    const isCertified = this.#connection?.member !== undefined;
    return isCertified && typeof key === "string" ? new Secret(key) : undefined;
  }

  #onDelta({ delta }: Message<"map_delta">): void {
    if (this.#askingForMap || this.#maps.onDelta(delta)) return;
    this.#askForMap("a change of the map does not fit the map");
  }

  #onWholeMap(map: ClusterMap): void {
    if (!this.#askingForMap) return;
    this.#clearDeadline();
    if (this.#takeMap(map)) this.#maps.adopt(map);
  }

  /** Takes a whole map. @returns false if it may not be used; then the session has been ended, or all of it */
  #takeMap(map: ClusterMap): boolean {
    const refusal = this.#maps.whyRefused(map, formatAddress(this.#address));
    if (refusal === undefined) return true;
    const { error, mistrust } = refusal;
    if (mistrust) this.#options.onMistrust();
    if (error.code === "wrong_cluster" && !this.#maps.joined) this.#fatal(error);
    else this.#break(error);
    return false;
  }

  #askForMap(reason: string): void {
    if (this.#askingForMap || this.#state !== "registered") return;
    this.#deps.log.info("asking for the whole map", { reason, epoch: this.#maps.map?.epoch ?? 0 });
    const request: Message<"get_map"> = { req_type: "get_map", id: MAP_ID };
    this.#connection?.send(request);
    this.#setDeadline("get_map");
    this.#askingForMap = true;
  }

  #onError(message: Message<"error">): void {
    const code = isErrorCode(message.code) ? message.code : "internal";
    const { detail } = message;
    const isRecord = typeof detail === "object" && detail !== null;
    const error = new KvError(
      code,
      message.message,
      isRecord ? { detail: detail as Record<string, unknown> } : {},
    );
    const ends = FATAL.has(code) && (code === "stale_incarnation" || !this.#maps.joined);
    if (ends) this.#fatal(error);
    else if (message.id === REGISTER_ID || message.id === HELLO_ID || message.id === MAP_ID) {
      this.#break(error);
    } else {
      this.#deps.log.warn("the coordinator refused a message", { code, error: message.message });
    }
  }

  #sendLeave(): void {
    if (this.#leaving === "no") return;
    const message: Message<"leave"> = this.#leaving === "stopping"
      ? { req_type: "leave", stopping: true }
      : { req_type: "leave" };
    this.send(message);
  }

  /** Ends the connection for a reason of ours, and tries again later. */
  #break(reason: Error): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.close();
    this.#failed(reason);
  }

  /** Nothing comes from the coordinator. */
  #giveUp(reason: Error): void {
    this.#choice.silent(this.#address);
    this.#break(reason);
  }

  /** The connection's certificates end before long: this node registers over a new one. */
  #goOver(connection: Connection): void {
    if (this.#state !== "registered") return;
    this.#connection = undefined;
    connection.close(true);
    this.#cancelTimers();
    this.#options.onDown();
    this.#deps.log.debug("a new connection to the coordinator, under the present certificates");
    this.#attempt();
  }

  #onClose(reason: Error | undefined): void {
    this.#connection = undefined;
    this.#failed(reason ?? new KvError("unavailable", "the coordinator closed the connection"));
  }

  #failed(reason: Error): void {
    if (this.#state === "closed") return;
    const wasUp = this.#state === "registered";
    this.#state = "waiting";
    this.#cancelTimers();
    if (wasUp) {
      this.#choice.lost(this.#address);
      this.#options.onDown();
    }
    const isShownTheWay = reason instanceof KvError && this.#choice.refused(reason);
    const refused = reason instanceof KvError &&
      (FATAL.has(reason.code) || reason.code === "stale_document");
    this.#refusal = refused ? reason.message : undefined;
    if (refused && reason.message !== this.#refusalLogged) {
      // Waiting will not mend it, and it may come long after the session was lost.
      this.#complained = true;
      this.#refusalLogged = reason.message;
      this.#deps.log.error("the coordinator cannot be used; trying again until it can", {
        coordinator: formatAddress(this.#address),
        reason: reason.message,
      });
    } else if (!this.#complained) {
      this.#complained = true;
      this.#deps.log.warn("no session with the coordinator; trying again until there is one", {
        coordinator: this.#address.host === "" ? undefined : formatAddress(this.#address),
        reason: reason.message,
      });
    }
    // Chance spreads it, so that the nodes of a cluster do not all come at the same moment.
    const { clock, random } = this.#deps;
    const maxMs = areSeveral(this.#newestMap)
      ? SESSION_BACKOFF_OF_SEVERAL_MS_MAX
      : SESSION_BACKOFF_MS_MAX;
    // Who was shown the way goes there soon; if that is no help, the pauses grow all the same.
    const attempts = isShownTheWay ? Math.min(this.#attempts, 1) : this.#attempts;
    this.#attempts++;
    const pauseMs = backoffMs(SESSION_BACKOFF_MS, maxMs, attempts, random);
    this.#retry = clock.setTimer(pauseMs, () => this.#attempt());
  }

  #fatal(error: KvError): void {
    this.close();
    this.#options.onFatal(error);
  }

  #setDeadline(what: string, timeoutMs: number = SESSION_REPLY_TIMEOUT_MS): void {
    this.#clearDeadline();
    this.#deadline = this.#deps.clock.setTimer(timeoutMs, () => {
      this.#giveUp(new KvError("timeout", `${what}: no answer within ${timeoutMs} ms`));
    });
  }

  #clearDeadline(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
    this.#askingForMap = false;
  }

  /**
   * A connection whose other end has vanished says nothing; only the silence tells. Heartbeats by UDP
   * say nothing about it: they may go on while reports and maps are lost.
   */
  #watchForSilence(): void {
    this.#watch?.cancel();
    const silentMs = this.#deps.clock.monotonicMs() - this.#aliveMs;
    const silenceMs = areSeveral(this.#newestMap)
      ? SESSION_SILENCE_OF_SEVERAL_MS
      : SESSION_SILENCE_MS;
    if (silentMs >= silenceMs) {
      this.#giveUp(
        new KvError("timeout", `nothing came from the coordinator for ${silenceMs} ms`),
      );
      return;
    }
    if (silentMs >= SESSION_PING_MS) this.#connection?.send({ req_type: "ping", id: PING_ID });
    this.#watch = this.#deps.clock.setTimer(
      Math.min(SESSION_PING_MS, silenceMs - silentMs),
      () => this.#watchForSilence(),
    );
  }

  #cancelTimers(): void {
    this.#clearDeadline();
    this.#retry?.cancel();
    this.#watch?.cancel();
    this.#retry = undefined;
    this.#watch = undefined;
  }
}
