/**
 * What a coordinator is given and told, and what it may be given in the place of its own parts.
 *
 * @module
 */
import type { Admission, AdmissionOptions } from "../shared/admission/admission.ts";
import type { Clock } from "../shared/platform/clock.ts";
import type { DocumentStore } from "../shared/platform/document_store.ts";
import type { HandleHttp, HttpServer } from "../shared/http/deno_http_server.ts";
import type { OriginRules } from "../shared/http/protocol/origins.ts";
import type { ProcessSite } from "../shared/metrics/process_site.ts";
import type { Logger } from "../shared/platform/logger.ts";
import type { Random } from "../shared/platform/random.ts";
import type { AccessControl } from "../shared/security/access_control.ts";
import type { SecurityDocument } from "../shared/security/security_document.ts";
import type { Address, Transport } from "../shared/platform/transport.ts";
import type { ActiveDeps } from "./active_coordinator.ts";
import type { OwnCertificate } from "./agreement/envelope.ts";
import type { WantedSettings } from "./state/cluster_settings.ts";
import type { DiscoveryResponderOptions } from "./discovery/discovery_responder.ts";
import type { ManagedRegister, RegisterEvents } from "./register/register.ts";
import type { CoordinatorMember } from "./register/coordinator_set.ts";
import type { ClusterDocument } from "./state/cluster_document.ts";

/** The world, as the coordinator sees it. */
export interface CoordinatorDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  /** Where the coordinator's record is kept, with the cluster's document. */
  readonly store: DocumentStore;
  /** The log of one part, such as `membership`. */
  logger(category: string): Logger;
}

/** What a coordinator is told. */
export interface CoordinatorOptions {
  readonly listen: Address;
  readonly heartbeats: Address;
  /** Its name among the coordinators, if the folder is new. Default: `c1`. */
  readonly id?: string | undefined;
  /** Where others reach it, if that is not the address to listen on. */
  readonly advertiseHost?: string | undefined;
  readonly settings: WantedSettings;
  readonly repairDelayMs: number;
  readonly expectNodes: number;
  /** See {@linkcode ControllerOptions}. */
  readonly acceptEpoch?: number | undefined;
  readonly cacheEntries: number;
  /** Opens the port of the HTTP front end, given the TCP port. Absent: no HTTP. */
  openHttp?(tcpPort: number, handle: HandleHttp, admission: Admission): HttpServer | undefined;
  /** Bounds on what comes from outside. Default: those of `shared/limits/admission.ts`. */
  readonly admission?: AdmissionOptions | undefined;
  /** Which web pages may use it. Default: none. */
  readonly origins?: OriginRules | undefined;
  /** How nodes and clients find it that were told of none; by default they cannot. */
  readonly discovery?: DiscoveryOptions | undefined;
  /** Nodes show certificates, and seal their heartbeats. Default: whether there are users (`security`). */
  readonly secured?: boolean | undefined;
  /** The id of the cluster, if it is a new one (default: a random one), or one that this coordinator joins. */
  readonly clusterId?: string | undefined;
  /** Where coordinators of the cluster are that a new folder joins. Absent or empty: it begins a cluster. */
  readonly join?: readonly Address[] | undefined;
  /** A service of the operator that keeps the document. Absent: the coordinators keep it themselves. */
  readonly service?: RegisterService | undefined;
  /** Users, roles, tokens and members' certificates of a secured cluster. Absent: everybody may everything. */
  readonly security?: CoordinatorSecurity | undefined;
  /** What is known of the process and its machine, for metrics. Default: nothing. */
  readonly process?: ProcessSite | undefined;
  /** Default {@linkcode SLOW_REQUEST_MS}. */
  readonly slowRequestMs?: number | undefined;
}

/** A register outside of the coordinators. */
export interface RegisterService {
  /** The newest document, as it was found at the start. */
  readonly found: ClusterDocument;
  open(
    member: CoordinatorMember,
    events: RegisterEvents<ClusterDocument>,
  ): ManagedRegister<ClusterDocument>;
}

/** What a secured coordinator has for as long as its process runs. */
export interface CoordinatorSecurity {
  /** Judges by the newest document that is chosen. */
  readonly access: AccessControl;
  /** A document is chosen: from now on it is the one that counts. */
  adopt(document: SecurityDocument): void;
  readonly openOffice: NonNullable<ActiveDeps["openOffice"]>;
  /** Its own certificate, if the document that counts does not list it. */
  unlisted(): OwnCertificate | undefined;
}

/** See {@linkcode DiscoveryResponderOptions}. */
export type DiscoveryOptions = Pick<
  DiscoveryResponderOptions,
  "mode" | "port" | "secret" | "advertiseHost" | "interfaces" | "identity"
>;
