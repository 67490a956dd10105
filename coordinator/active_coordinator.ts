/**
 * What a coordinator is while it is the active one: the state machine of `controller/` and the nodes' sessions,
 * from the document that it goes on from to the moment when it loses the register. It has no port of its own.
 *
 * Invariant: once it is closed, nothing of it sends, writes or answers any more.
 *
 * @module
 */
import type { ClusterMap } from "../shared/cluster/cluster_map.ts";
import { KvError } from "../shared/base/errors.ts";
import type { Logger } from "../shared/platform/logger.ts";
import type { Clock } from "../shared/platform/clock.ts";
import { type Random, randomId } from "../shared/platform/random.ts";
import { SuspensionWatch } from "../shared/platform/suspension.ts";
import { Secret } from "../shared/base/secret.ts";
import { MapSeals } from "../shared/security/map_seal.ts";
import type { MemberAuthority } from "../shared/security/members/member_authority.ts";
import type { SecurityDocument } from "../shared/security/security_document.ts";
import type { SecurityKeeper } from "../shared/security/security_keeper.ts";
import type { Message } from "../shared/wire/messages.ts";
import { ClusterController } from "./controller/cluster_controller.ts";
import type { ClusterStats } from "./controller/cluster_stats.ts";
import type { Input } from "./controller/input.ts";
import { DatabaseChanges, type DatabaseInput, type Decided } from "./database_changes.ts";
import { MemberSessions } from "./member_sessions.ts";
import type { HeartbeatTaker } from "./membership/heartbeat_listener.ts";
import { place } from "./placement/placement.ts";
import type { Register, Stamped } from "./register/register.ts";
import type { ClusterDocument } from "./state/cluster_document.ts";
import { DocumentComposer } from "./state/document_composer.ts";
import { NOTHING_TO_DO, type Ready, writeLog } from "./state/ready.ts";
import type { StoredCluster } from "./state/stored_cluster.ts";

/** Who may do what, and who is a member, while this coordinator may change it. */
export interface SecurityOffice {
  readonly keeper: SecurityKeeper;
  readonly members: MemberAuthority;
}

/** What it needs. */
export interface ActiveDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly register: Register<ClusterDocument>;
  logger(category: string): Logger;
  /** @throws {KvError} `unavailable` if another coordinator may have taken over */
  checkRight(what: string): void;
  /** Called if somebody else has written into the register: this one is not active any more. */
  onLost(reason: string): void;
  /** Called while no node is heard of any more. */
  onDeaf(): void;
  /** Of a secured cluster. @param write resolves when the document is chosen */
  openOffice:
    | ((
      document: SecurityDocument,
      write: (document: SecurityDocument) => Promise<void>,
    ) => SecurityOffice)
    | undefined;
}

/** How it acts. */
export interface ActiveOptions {
  /** The cluster that it goes on from, with the settings that count from now on. */
  readonly stored: StoredCluster;
  /** Whether `stored` is not in the register as it is. */
  readonly changed: boolean;
  readonly heartbeatPort: number;
  readonly repairDelayMs: number;
  readonly expectNodes: number;
  readonly acceptEpoch: number | undefined;
  /** Nodes show certificates, and seal their heartbeats. */
  readonly secured: boolean;
}

/** One time of being active. */
export class ActiveCoordinator implements HeartbeatTaker {
  readonly sessions: MemberSessions;
  readonly office: SecurityOffice | undefined;
  readonly #deps: ActiveDeps;
  readonly #options: ActiveOptions;
  readonly #log: Logger;
  readonly #controller: ClusterController;
  readonly #composer: DocumentComposer;
  readonly #suspensions: SuspensionWatch;
  readonly #databases: DatabaseChanges;
  #published: ClusterMap | undefined;
  /** Who waits for the map of an epoch. */
  readonly #awaited: { readonly epoch: number; readonly done: (map: ClusterMap) => void }[] = [];
  /** Refuses a change of users that is under way. */
  #refuseChange: ((error: KvError) => void) | undefined;
  #closed = false;

  /** @param held the document that it goes on from */
  constructor(deps: ActiveDeps, held: Stamped<ClusterDocument>, options: ActiveOptions) {
    const { clock, random, register } = deps;
    this.#deps = deps;
    this.#options = options;
    this.#log = deps.logger("membership");
    this.#suspensions = new SuspensionWatch(clock);
    this.#composer = new DocumentComposer(register, held, (reason) => deps.onLost(reason));
    const { security } = held.document;
    const office = security === undefined
      ? undefined
      : deps.openOffice?.(security, (document) => this.#writeSecurity(document));
    this.office = office;
    const isClosed = () => this.#closed;
    this.#databases = new DatabaseChanges({
      clock,
      step: (input) => this.step(input),
      checkRight: (what) => deps.checkRight(what),
      isNameAwaited: (name) => this.#controller.isNameAwaited(name),
    });
    this.sessions = new MemberSessions(
      { log: deps.logger("coordinator"), random },
      {
        step: (input) => this.step(input),
        orderDatabase: (input, decided) => this.orderDatabase(input, decided),
        hasRight: () => register.hasRight(),
        checkRight: (what) => deps.checkRight(what),
        publishedMap: (what) => this.publishedMap(what),
        get closed() {
          return isClosed();
        },
      },
      office === undefined ? undefined : {
        get document() {
          return office.keeper.access.document;
        },
        noteVersion: (version, node) => {
          const newer = office.keeper.noteVersion(version, node);
          if (newer !== undefined) this.#log.error("an older copy of users and roles", { newer });
        },
        renew: (message, caller, done) => office.members.renew(message, caller, done),
      },
    );
    if (!options.changed) this.#published = options.stored.map;
    this.#controller = new ClusterController({
      ...options,
      place,
      generation: randomId(random),
      seals: security &&
        new MapSeals(new Secret(security.sealKey), options.stored.map.settings.clusterId),
    }, clock.monotonicMs());
  }

  /** To be called once, when whoever has made it can be called. */
  start(): void {
    this.step({ type: "start", heartbeatPort: this.#options.heartbeatPort });
  }

  get channels() {
    return this.#options.secured ? this.sessions.channels : undefined;
  }

  onHeartbeat(message: Message<"heartbeat">): object | undefined {
    const hasRight = this.#deps.register.hasRight();
    return this.step({ type: "heartbeat", session: undefined, message, hasRight }).acknowledgement;
  }

  /** What time alone brings about; every COORDINATOR_TICK_MS. */
  tick(): void {
    this.step({ type: "stood_still", ms: this.#suspensions.lostMs() });
    this.step({ type: "tick" });
    this.#databases.look();
  }

  stats(): ClusterStats {
    return this.#controller.stats();
  }

  /** The map that nodes and clients are given. @throws {KvError} `unavailable` */
  publishedMap(what: string): ClusterMap {
    if (this.#published !== undefined) return this.#published;
    throw notOnDisk(what);
  }

  /** The controller takes an input, and all that it asks for is done, in its order. */
  step(input: Input): Ready {
    if (this.#closed) return NOTHING_TO_DO;
    const ready = this.#controller.step(input, this.#deps.clock.monotonicMs());
    writeLog(this.#log, ready.log);
    if (ready.published !== undefined) this.#onPublished(ready.published);
    for (const { sessions, message } of ready.messages) this.sessions.send(sessions, message);
    for (const session of ready.closed) this.sessions.close(session);
    const { document } = ready;
    if (document !== undefined) {
      const { epoch } = document.map;
      this.#composer.writeCluster(document, () => this.step({ type: "persisted", epoch }));
    }
    if (ready.deaf) this.#deps.onDeaf();
    return ready;
  }

  /** As {@linkcode step}. @throws {KvError} if what was asked for is refused */
  ask(input: Input): Ready {
    const ready = this.step(input);
    if (ready.refusal !== undefined) throw ready.refusal;
    return ready;
  }

  /** Makes or drops a database. `decided` is called once, perhaps before this returns. */
  orderDatabase(input: DatabaseInput, decided: Decided): void {
    this.#databases.order(input, decided);
  }

  /** Calls back with the map of this epoch, or a later one, once it is published; not at all if it never is. */
  whenPublished(epoch: number, done: (map: ClusterMap) => void): void {
    if (this.#published !== undefined && this.#published.epoch >= epoch) done(this.#published);
    else this.#awaited.push({ epoch, done });
  }

  #onPublished(map: ClusterMap): void {
    this.#published = map;
    const due = this.#awaited.filter(({ epoch }) => epoch <= map.epoch);
    if (due.length === 0) return;
    this.#awaited.splice(0, Infinity, ...this.#awaited.filter(({ epoch }) => epoch > map.epoch));
    for (const { done } of due) done(map);
  }

  /** It is not active any more: the nodes look for the next one. */
  close(): void {
    this.#closed = true;
    this.#composer.close();
    this.#databases.close();
    this.#refuseChange?.(
      new KvError(
        "outcome_unknown",
        "this coordinator is not the active one any more, and whether the change counts is not known",
      ),
    );
    this.sessions.closeAll();
  }

  #writeSecurity(document: SecurityDocument): Promise<void> {
    if (this.#closed) {
      const text = "this coordinator is not the active one any more";
      return Promise.reject(new KvError("unavailable", text));
    }
    return new Promise((resolve, reject) => {
      this.#refuseChange = reject;
      this.#composer.writeSecurity(document, resolve);
    });
  }
}

/** What is answered while there is no map that may be shown. */
export function notOnDisk(what: string): KvError {
  return new KvError("unavailable", `${what}: the cluster's map is not on disk yet`);
}
