/**
 * The coordinator's state machine: who is in the cluster and who holds what. An input and the coordinator's
 * monotonic time go in, a {@linkcode Ready} comes out: what to write, publish, send and answer. It does no I/O,
 * sets no timer and calls nobody; whatever waits for time is looked at by the input `tick`.
 *
 * The order of a step, here and nowhere else:
 *
 * 1. The input is taken: facts about nodes (`membership/`) and reports about partitions (`partitions/reports.ts`).
 * 2. `#settle` decides: failover first, one partition after the other, then moves, until nothing is left to do now.
 * 3. What was decided goes into one document, to be written (`#settle`'s last line). While a write is under way,
 *    decisions wait for the next one.
 * 4. When the input `persisted` comes, and not before, the document's map is published: the gateway goes by it,
 *    nodes are sent it, and what was to be said once it counts is said (`map_publisher.ts`).
 *
 * Time for each input is proportional to what it touches, not to partitions or nodes.
 *
 * @module
 */
import type { ClusterMap, NodeId } from "../../shared/cluster/cluster_map.ts";
import { failureOf, KvError } from "../../shared/base/errors.ts";
import {
  type DatabaseOrder,
  findDatabase,
  withDatabase,
  withoutDatabase,
} from "../../shared/cluster/databases.ts";
import { formatAddress } from "../../shared/platform/transport.ts";
import type { MapSeals } from "../../shared/security/map_seal.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { checkForget, Departures } from "../membership/departure.ts";
import { DocumentCheck } from "../membership/document_check.ts";
import { Liveness, NOBODY_REGISTERED } from "../membership/liveness.ts";
import { checkRegistration, takeRegistration } from "../membership/registration.ts";
import { FailoverController } from "../partitions/failover_controller.ts";
import { FirstPlacement } from "../partitions/first_placement.ts";
import { ForcedPrimaries } from "../partitions/forced_primaries.ts";
import { Mover } from "../partitions/mover.ts";
import { type Report, Reports } from "../partitions/reports.ts";
import { type Place, TargetAssignment } from "../partitions/target_assignment.ts";
import { ClusterState } from "../state/cluster_state.ts";
import type { SessionId } from "../state/member.ts";
import { nameIsAwaited } from "../state/dropped_names.ts";
import { type Forced, Outbox, type Ready } from "../state/ready.ts";
import type { StoredCluster } from "../state/stored_cluster.ts";
import { type ClusterStats, countCluster } from "./cluster_stats.ts";
import type { Input } from "./input.ts";

/** What the state machine is given. */
export interface ControllerOptions {
  readonly place: Place;
  /** As read from disk, with the settings that count from now on; or a new cluster. */
  readonly stored: StoredCluster;
  /** Whether `stored` is not on disk as it is: a new cluster, or changed settings. */
  readonly changed: boolean;
  /** The id of this start: no other start of a coordinator has it. */
  readonly generation: string;
  /** Of a secured cluster: by what maps are sealed. */
  readonly seals?: MapSeals | undefined;
  /** The operator goes on from the document of this epoch, although nodes have seen later ones. */
  readonly acceptEpoch: number | undefined;
  /** A node that is down for less than this is still part of the target assignment. */
  readonly repairDelayMs: number;
  /** The first placement waits for this many nodes, and for as many as a write needs. */
  readonly expectNodes: number;
}

/** The state machine. */
export class ClusterController {
  readonly #out = new Outbox();
  readonly #changed: boolean;
  readonly #state: ClusterState;
  // Nodes.
  readonly #liveness: Liveness;
  readonly #documentCheck: DocumentCheck;
  readonly #departures: Departures;
  // Partitions.
  readonly #failover: FailoverController;
  readonly #mover: Mover;
  readonly #firstPlacement: FirstPlacement;
  readonly #reports: Reports;
  readonly #forcedPrimaries: ForcedPrimaries;

  constructor(options: ControllerOptions, nowMs: number) {
    const { stored, seals, acceptEpoch, repairDelayMs, expectNodes, place } = options;
    const out = this.#out;
    const state = this.#state = new ClusterState(out, stored, options, nowMs);
    this.#changed = options.changed;
    this.#liveness = new Liveness(state, out, nowMs);
    this.#documentCheck = new DocumentCheck(state, out, { acceptEpoch, seals });
    this.#departures = new Departures(state, out, repairDelayMs);
    const target = new TargetAssignment(state, place, repairDelayMs);
    this.#failover = new FailoverController(state, target, out);
    this.#mover = new Mover(state, target, out);
    this.#firstPlacement = new FirstPlacement(state, this.#mover, out, expectNodes);
    this.#reports = new Reports(state, this.#failover, this.#mover, out);
    this.#forcedPrimaries = new ForcedPrimaries(state, this.#failover, out);
  }

  /** The map that everybody may know. */
  get published(): ClusterMap {
    return this.#state.published;
  }

  /** Whether a node may take writes that does not know that the database of this name was dropped. Rule C13. */
  isNameAwaited(name: string): boolean {
    return this.#state.dropped.has(name);
  }

  /** Counts; takes time proportional to the number of partitions. */
  stats(): ClusterStats {
    return {
      ...countCluster(this.#state),
      awaited_nodes: this.#firstPlacement.awaitedNodes,
      stale_document: this.#documentCheck.stale ?? null,
      nobody_registered: this.#liveness.nobodyRegistered,
      lost_partitions: this.#failover.lost.length,
      handovers: this.#mover.handoverCount,
    };
  }

  /** Takes an input. @returns what is to be done, in the order of its fields */
  step(input: Input, nowMs: number): Ready {
    if (this.#documentCheck.stale === undefined) this.#take(input, nowMs);
    else this.#takeOfStale(input, nowMs);
    return this.#out.take();
  }

  #take(input: Input, nowMs: number): void {
    switch (input.type) {
      case "start":
        this.#state.publisher.heartbeatPort = input.heartbeatPort;
        if (this.#changed) this.#state.settingsEpoch = this.#state.publisher.decide();
        return this.#settle(nowMs);
      case "register":
        return this.#register(input.session, input.message, nowMs);
      case "heartbeat":
        return this.#heartbeat(input, nowMs);
      case "report":
        return this.#report(input.session, input.message, nowMs);
      case "disk":
        return this.#disk(input.session, input.writable, nowMs);
      case "leave":
        return this.#leave(input.session, input.stopping, nowMs);
      case "session_closed":
        return this.#closeSession(input.session, nowMs);
      case "tick":
        return this.#tick(nowMs);
      case "stood_still":
        return this.#liveness.stoodStill(input.ms, nowMs);
      case "coordinators":
        this.#state.setCoordinators(input.coordinators);
        return this.#state.flush(nowMs);
      case "persisted":
        this.#state.publisher.persisted(input.epoch, nowMs);
        this.#mover.onPublished();
        return this.#settle(nowMs);
      case "persist_failed":
        return this.#state.publisher.persistFailed(input.epoch, input.error, nowMs);
      case "ask_what_is_held":
        return this.#askWhatIsHeld();
      case "force":
        return this.#order("force", () => {
          const { partition, node } = input;
          const forced = this.#forcedPrimaries.force(partition, node, nowMs);
          this.#settle(nowMs);
          return forced;
        });
      case "forget_node":
        return this.#order("forget_node", () => this.#forgetNode(input.node, input.force, nowMs));
      case "create_database":
      case "drop_database":
        return this.#changeDatabases(input, nowMs);
    }
  }

  /** With an old document nothing is done, and whoever asks for something is told so. Rule C9. */
  #takeOfStale(input: Input, nowMs: number): void {
    const { stale } = this.#documentCheck;
    switch (input.type) {
      case "register":
        return this.#register(input.session, input.message, nowMs);
      case "session_closed":
        this.#endSession(input.session);
        return;
      case "force":
      case "forget_node":
      case "create_database":
      case "drop_database":
        this.#out.answer({ refusal: new KvError("stale_document", `${input.type}: ${stale}`) });
        return;
    }
  }

  /** Judges and moves until nothing is left to do now, then writes what was decided. */
  #settle(nowMs: number): void {
    this.#firstPlacement.placeIfReady(nowMs);
    do {
      this.#spreadNews();
      while (this.#failover.judgeNext(nowMs)) this.#spreadNews();
      this.#mover.work(nowMs);
    } while (this.#state.hasNews);
    this.#failover.logLost();
    this.#state.flush(nowMs);
  }

  /** Who has to look again at what has changed. */
  #spreadNews(): void {
    if (!this.#state.hasNews) return;
    const news = this.#state.takeNews();
    this.#failover.note(news);
    this.#mover.note(news);
  }

  // Nodes.

  #register(session: SessionId, message: Message<"register">, nowMs: number): void {
    const refusal = checkRegistration(this.#state, session, message) ??
      this.#documentCheck.check(message, nowMs);
    if (refusal !== undefined) {
      this.#out.warn("a registration was refused", {
        node: message.node,
        code: refusal.code,
        reason: refusal.message,
      });
      this.#out.answer({ refusal });
      return;
    }
    this.#liveness.noteRegistration(nowMs);
    this.#departures.forgetSession(session);
    const member = takeRegistration(this.#state, this.#out, session, message, nowMs);
    this.#settle(nowMs);
    member.owedEpoch = this.#state.publisher.subscribe(session, nowMs);
    member.owedMs = nowMs;
  }

  #heartbeat(
    { session: over, message, hasRight }: Extract<Input, { type: "heartbeat" }>,
    nowMs: number,
  ): void {
    const sender = this.#liveness.senderOf(message);
    if (sender === undefined || !this.#liveness.hear(sender, message, nowMs)) {
      const session = over ?? sender?.session;
      if (session === undefined || this.#departures.isDismissed(session)) return;
      this.#out.send([session], { req_type: "register_again" });
      return;
    }
    if (this.#state.hasNews) this.#settle(nowMs);
    this.#liveness.noteAdopted(sender, message.epoch);
    this.#state.flush(nowMs);
    const acknowledgement = this.#liveness.acknowledge(sender, message, hasRight, nowMs);
    this.#out.answer({ acknowledgement });
  }

  #report(session: SessionId, message: Report, nowMs: number): void {
    const member = this.#state.memberOf(session);
    if (member === undefined) return;
    this.#reports.take(member, message, nowMs);
    this.#settle(nowMs);
  }

  #disk(session: SessionId, writable: boolean, nowMs: number): void {
    const member = this.#state.memberOf(session);
    if (member === undefined || member.writable === writable) return;
    member.writable = writable;
    if (writable) this.#out.info("the disk of a node takes writes again", { node: member.id });
    else this.#out.error("the disk of a node takes no writes", { node: member.id });
    this.#state.touchReplicas(member);
    this.#settle(nowMs);
  }

  #leave(session: SessionId, stopping: boolean, nowMs: number): void {
    const member = this.#state.memberOf(session);
    if (member === undefined) return;
    this.#departures.begin(member, stopping);
    this.#mover.tick(nowMs);
    this.#settle(nowMs);
    this.#departures.letGo();
    this.#state.flush(nowMs);
  }

  #closeSession(session: SessionId, nowMs: number): void {
    const member = this.#endSession(session);
    if (member?.released !== true) return;
    this.#liveness.markDown(member, nowMs, "it has said good-bye and gone");
    this.#settle(nowMs);
  }

  /** @returns the member whose session it was */
  #endSession(session: SessionId) {
    const { members, sessions, publisher } = this.#state;
    publisher.unsubscribe(session);
    this.#departures.forgetSession(session);
    const id = sessions.get(session);
    sessions.delete(session);
    const member = id === undefined ? undefined : members.get(id);
    if (member?.session !== session) return undefined;
    member.session = undefined;
    return member;
  }

  #tick(nowMs: number): void {
    const { settings, leaseGraceUntilMs, leaseMsMax, publisher, dropped } = this.#state;
    if (dropped.size > 0) dropped.letGo(this.#state.epochOfPrimaries());
    if (nowMs >= leaseGraceUntilMs && leaseMsMax !== settings.leaseMs) {
      this.#state.leaseMsMax = settings.leaseMs;
      publisher.decide();
    }
    if (!this.#liveness.tick(nowMs)) return this.#state.flush(nowMs);
    this.#failover.tick(nowMs);
    this.#departures.forgetNodes(nowMs);
    this.#mover.tick(nowMs);
    this.#settle(nowMs);
    this.#departures.letGo();
    this.#state.flush(nowMs);
  }

  // Operators.

  #askWhatIsHeld(): void {
    if (this.#failover.lost.length === 0) return;
    for (const { presence, session, released } of this.#state.members.values()) {
      if (presence === "down" || session === undefined || released) continue;
      this.#out.send([session], { req_type: "register_again" });
    }
    this.#out.answer({ asked: true });
  }

  /** An order is carried out, or refused and nothing is done. */
  #order(what: string, carryOut: () => Forced[]): void {
    try {
      if (this.#liveness.awaitsFirst) {
        throw new KvError("unavailable", `${what}: ${NOBODY_REGISTERED}`);
      }
      this.#out.answer({ forced: carryOut() });
    } catch (error) {
      this.#out.answer({ refusal: failureOf(error) });
    }
  }

  #changeDatabases(
    input: Extract<Input, { type: "create_database" | "drop_database" }>,
    nowMs: number,
  ): void {
    const { databases, publisher } = this.#state;
    const { session } = input;
    if (session !== undefined && this.#state.memberOf(session) === undefined) return;
    try {
      const isDone = input.type === "create_database"
        ? input.ifAbsent && findDatabase(databases, input.order.name) !== undefined
        : input.number !== undefined &&
          findDatabase(databases, input.name)?.number !== input.number;
      if (isDone) return this.#out.answer({ orderedEpoch: publisher.decidedEpoch });
      const orderedEpoch = input.type === "create_database"
        ? this.#createDatabase(input.order)
        : this.#dropDatabase(input.name);
      this.#out.answer({ orderedEpoch });
    } catch (error) {
      return this.#out.answer({ refusal: failureOf(error) });
    }
    this.#state.flush(nowMs);
  }

  /** @throws {KvError} why not */
  #createDatabase(order: DatabaseOrder): number {
    const { databases, dropped } = this.#state;
    const list = withDatabase(databases, order);
    // Rule C13.
    if (dropped.has(order.name)) throw nameIsAwaited(order.name);
    return this.#state.setDatabases(list);
  }

  /** @throws {KvError} why not */
  #dropDatabase(name: string): number {
    const { databases, dropped } = this.#state;
    const list = withoutDatabase(databases, name);
    dropped.checkRoom();
    const epoch = this.#state.setDatabases(list);
    dropped.add(name, epoch);
    return epoch;
  }

  #forgetNode(id: NodeId, force: boolean, nowMs: number): Forced[] {
    const { member, alone } = checkForget(this.#state, id, force, nowMs);
    const held = this.#state.table.heldBy(id).size;
    const forced = this.#forcedPrimaries.forceAll(alone, undefined, nowMs);
    this.#settle(nowMs);
    this.#forcedPrimaries.giveUp(member);
    this.#settle(nowMs);
    this.#out.warn("an operator has a node forgotten", {
      node: id,
      address: formatAddress(member.info),
      held,
      forced: forced.length,
    });
    this.#state.remove(member);
    if (member.session !== undefined) this.#state.dropSession(member.session);
    this.#settle(nowMs);
    return forced;
  }
}
