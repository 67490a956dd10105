/**
 * What a {@linkcode NodeRuntime} is given: the world, and what the node is told.
 *
 * @module
 */
import type { Admission, AdmissionOptions } from "../shared/admission/admission.ts";
import type { HandleHttp, HttpServer } from "../shared/http/deno_http_server.ts";
import type { OriginRules } from "../shared/http/protocol/origins.ts";
import type { ProcessSite } from "../shared/metrics/process_site.ts";
import type { Clock } from "../shared/platform/clock.ts";
import type { Logger } from "../shared/platform/logger.ts";
import type { Random } from "../shared/platform/random.ts";
import type { Address, Transport } from "../shared/platform/transport.ts";
import type { AccessControl } from "../shared/security/access_control.ts";
import type { SecurityKeeper } from "../shared/security/security_keeper.ts";
import type { RequestLimits } from "../shared/validation/request_checks.ts";
import type { WorkerHealth } from "./workers/worker_lines.ts";
import type { Locate } from "./membership/coordinator_session.ts";
import type { MemberSecurity } from "./membership/member_security.ts";
import type { NodeFolder } from "./node_folder.ts";
import type { StartThread } from "./resp/scripts/script_runner.ts";
import type { FsyncMode } from "./storage/partition_store.ts";

/** The world, as a node sees it. */
export interface NodeRuntimeDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  /** The log of one part. */
  logger(category: string): Logger;
  /** Starts the thread in which scripts of Redis clients run. Absent: they are refused. */
  readonly startScriptThread?: StartThread;
}

/** What the runtime asks of a {@linkcode MemberSecurity}. */
export type NodeMembership = Pick<
  MemberSecurity,
  "start" | "stop" | "onSecurity" | "onCertificate" | "seen" | "noteSeen"
>;

/** What a node of a secured cluster has besides. */
export interface SecuredNode {
  /** Judges clients by what the coordinator has told. */
  readonly access: AccessControl;
  /** Hears what the coordinator tells of it. Absent: nothing of that is used. */
  readonly membership?: NodeMembership | undefined;
  /** The network between members, who show certificates; with a port of its own. */
  readonly transport: Transport;
  /** Where members reach it: the first that is free, given the clients' port. */
  listen(clientPort: number): readonly Address[];
}

/** What a node shares with the other workers of its machine (`node/workers/`). */
export interface SharedFrontEnds {
  /** The port of all of them. */
  readonly listen: Address;
  /** Opens the HTTP port of all of them. Absent: no HTTP. */
  openHttp?(handle: HandleHttp, admission: Admission): HttpServer;
  /** How all of them are, as the supervisor has told last. */
  health(): readonly WorkerHealth[];
  /** The number of this one. */
  readonly worker: number;
  readonly workers: number;
}

/** What a node is told. */
export interface NodeRuntimeOptions {
  /** Where to listen: the first that is free. */
  readonly listen: readonly Address[];
  /** How others reach it, if not by the host of `listen`. */
  readonly advertiseHost?: string | undefined;
  /** Opens the folder; the port is for its default name. */
  openFolder(port: number): Promise<NodeFolder>;
  /** The data is gone with the process, and so is the node's id. */
  readonly memory: boolean;
  readonly fsync: FsyncMode;
  readonly cacheBytes: number;
  /** Default: as {@linkcode NodeOptions}. */
  readonly tombstoneKeepMs?: number;
  /** Default: as {@linkcode NodeOptions}. */
  readonly clientSessionsMax?: number | undefined;
  /** As in `NodeOptions`. */
  readonly recentWritesMax?: number | undefined;
  /** As in `NodeOptions`. */
  readonly resyncRowsMax?: number | undefined;
  /** Default: the host. */
  readonly zone?: string | undefined;
  readonly weight: number;
  readonly limits?: RequestLimits | undefined;
  /** Opens the port of the HTTP front end, given the TCP port. Absent: no HTTP. */
  openHttp?(tcpPort: number, handle: HandleHttp, admission: Admission): HttpServer | undefined;
  /** Ports that other workers of this machine serve as well. Absent: it is alone. */
  readonly shared?: SharedFrontEnds | undefined;
  /** Bounds on what comes from outside. Default: those of `shared/limits/admission.ts`. */
  readonly admission?: AdmissionOptions | undefined;
  /** Which web pages may use it. Default: none. */
  readonly origins?: OriginRules | undefined;
  /** Users, roles and tokens of a secured node, which is a cluster by itself. Absent: everybody may everything. */
  readonly security?: SecurityKeeper | undefined;
  /** A node of a secured cluster. */
  readonly secured?: SecuredNode | undefined;
  /** What is known of the process and its machine, for metrics. Default: nothing. */
  readonly process?: ProcessSite | undefined;
  /** Default {@linkcode SLOW_REQUEST_MS}. */
  readonly slowRequestMs?: number | undefined;
  /** Where the coordinator is; or that there is none, and into how many partitions data is divided. */
  readonly cluster:
    | { locate: Locate; name?: string | undefined }
    | { standalone: true; partitionCount: number | undefined };
}
