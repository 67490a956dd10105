/**
 * The program `kv-node`: it reads its settings, gives the node the machine's own clock, randomness, network and
 * disk, and ends it when it is told to. Nothing imports it.
 *
 * @module
 */
import type { Clock } from "../shared/platform/clock.ts";
import { DenoProcessFacts, diskSpace } from "../shared/metrics/deno_process_facts.ts";
import { ProcessMetrics } from "../shared/metrics/process_metrics.ts";
import { CertificatePeriods } from "../shared/security/members/certificate_periods.ts";
import { DenoClock } from "../shared/platform/deno/deno_clock.ts";
import type { Source } from "../shared/program/given_value.ts";
import {
  CS_CONFIG_FILE,
  describeSearch,
  findCoordinator,
} from "../shared/discovery/coordinator_address.ts";
import { networkInterfaces } from "../shared/platform/deno/deno_network_interfaces.ts";
import { countFreeDescriptors } from "../shared/platform/deno/deno_descriptors.ts";
import { DenoTransport } from "../shared/platform/deno/deno_transport.ts";
import { type AnswerTrust, trustOf } from "../shared/discovery/answer_signature.ts";
import { discover } from "../shared/discovery/discovery.ts";
import { readTextFileIfThere } from "../shared/platform/deno/file_text.ts";
import { failureOf, isDamage, KvError } from "../shared/base/errors.ts";
import { type HandleHttp, listenHttp } from "../shared/http/deno_http_server.ts";
import { httpAddresses, originRules } from "../shared/http/http_settings.ts";
import { exitOnDefect, type Run, runProgram, untilTold } from "../shared/program/program.ts";
import type { Logger } from "../shared/platform/logger.ts";
import type { MemberIdentity } from "../shared/platform/member_identity.ts";
import { printLine } from "../shared/program/terminal.ts";
import { type Random, SystemRandom } from "../shared/platform/random.ts";
import { type Address, formatAddress, type Transport } from "../shared/platform/transport.ts";
import { keepOnly, type Needed } from "../shared/program/deno_permissions.ts";
import { damagedFolders, DataFolder } from "./storage/leveldb/data_folder.ts";
import { MemoryFolder } from "./storage/memory/memory_folder.ts";
import type { NodeFolder } from "./node_folder.ts";
import { startScriptThread } from "./resp/scripts/deno_script_thread.ts";
import { NodeRuntime } from "./node_runtime.ts";
import type { NodeRuntimeOptions, SharedFrontEnds } from "./node_runtime_options.ts";
import { MemberTransport } from "../shared/platform/deno/deno_member_transport.ts";
import type { SecurityDeps } from "../shared/security/members/file_security.ts";
import type { NodeSecurity } from "./file_node_security.ts";
import { certificateHosts } from "../shared/platform/network_interface.ts";
import {
  hasSecurity,
  refuseUnsecured,
  securityFolderOf,
} from "../shared/platform/deno/folder_security.ts";
import { whyExposed } from "../shared/program/server_settings.ts";
import {
  clientAddresses,
  NODE_PORTS_TRIED,
  NODE_PROGRAM,
  type NODE_SETTINGS,
  peerAddresses,
} from "./settings.ts";
import { parsePlace, settingsOfWorker, type WorkerPlace } from "./worker_settings.ts";
import { WorkerLink } from "./workers/deno_worker_link.ts";
import { refuseMachineFolder } from "./workers/file_machine_folder.ts";
import type { Admission } from "../shared/admission/admission.ts";
import type { ServerCertificate } from "../shared/platform/server_certificate.ts";

type NodeRun = Run<typeof NODE_SETTINGS>;

async function main(run: NodeRun): Promise<number | void> {
  if (run.config.workers > 1 && run.config.worker === undefined) {
    const { runMachine } = await import("./deno_machine.ts");
    return await runMachine(run);
  }
  // Only a supervisor starts programs.
  Deno.permissions.revokeSync({ name: "run" });
  await runNode(run);
}

/** A node: one that is alone on its machine, or one of its workers. */
async function runNode(given: NodeRun): Promise<void> {
  exitOnDefect(NODE_PROGRAM.name);
  const place = given.config.worker === undefined ? undefined : parsePlace(given.config.worker);
  const run = place === undefined ? given : asWorker(given, place);
  const link = place === undefined ? undefined : new WorkerLink();
  const { config, logger } = run;
  keepFilesPrivate(logger("storage"));
  if (config.data !== undefined) await refuseMachineFolder(config.data);
  const [clock, random] = [new DenoClock(), new SystemRandom()];
  if (config.recoverAdmin && config.data !== undefined) {
    const deps = { clock, random, log: logger("security") };
    const { recoverAdmin, recoveredLine } = await import(
      "../shared/security/members/file_recovery.ts"
    );
    printLine(recoveredLine(await recoverAdmin(config.data, NODE_PROGRAM.name, deps)));
    return;
  }
  const plain = new DenoTransport(logger("transport"));
  // Who joins knows no authority yet; then its token has the authority's hash.
  let identity = undefined as MemberIdentity | undefined;
  const trust = () => identity && trustOf(identity);
  const cluster = clusterOf(run, { clock, random, transport: plain }, trust);
  const security = await securityOf(run, cluster, { clock, random, log: logger("security") });
  const exposed = whyExposed({
    ...config,
    isSecured: security !== undefined,
    howToSecure: howToSecure(config),
  });
  if (exposed !== undefined) throw new KvError("bad_config", exposed);
  const deps = {
    clock,
    random,
    transport: new DenoTransport(logger("transport"), { server: security?.tls }),
    logger,
    startScriptThread,
  };
  const member = security?.member;
  identity = member?.identity;
  const told = Promise.race([
    untilTold(config.endWithInput, (bytes) => link?.onInput(bytes)),
    ...(link === undefined ? [] : [link.stop]),
  ]);
  const leaving = Promise.race([
    untilToldToLeave(),
    ...(link === undefined ? [] : [link.leave]),
  ]);
  const ended = Promise.race([told, leaving]);
  let dataPath = config.data;
  const periods = new CertificatePeriods();
  const processMetrics = new ProcessMetrics(clock, new DenoProcessFacts());
  const start = (listen: readonly Address[]) =>
    NodeRuntime.start(deps, {
      listen,
      advertiseHost: config.advertiseHost,
      openFolder: async (port): Promise<NodeFolder> => {
        if (config.storage === "memory") {
          return new MemoryFolder(deps.clock, deps.random, security?.member?.node);
        }
        const path = dataPath = config.data ?? `.kv-node-${port}`;
        await refuseMachineFolder(path);
        if (security === undefined) await refuseUnsecured(path, `with ${howToSecure(config)}`);
        const folder = await DataFolder.open(path, {
          random: deps.random,
          rebuild: config.rebuild,
        });
        if (folder.movedTo !== undefined) {
          logger("storage").warn("the damaged data was put aside; begins as a new node", {
            old_data: folder.movedTo,
          });
        } else if (config.rebuild) {
          logger("storage").info("--rebuild has nothing to do: the data folder can be used");
        }
        await checkFolderIs(folder, security);
        return folder;
      },
      memory: config.storage === "memory",
      fsync: config.fsync,
      cacheBytes: config.cacheBytes,
      zone: config.zone,
      weight: config.weight,
      openHttp: (tcpPort, handle, admission) => {
        const found = httpAddresses(config, tcpPort, NODE_PORTS_TRIED);
        return found.length === 0
          ? undefined
          : listenHttp(found, handle, admission, { log: logger("http"), tls: security?.tls });
      },
      shared: place && link && sharedFrontEnds(run, place, link, security?.tls),
      origins: originRules(config),
      slowRequestMs: config.slowRequestMs,
      process: {
        metrics: processMetrics,
        diskSpace: () =>
          dataPath === undefined || config.storage === "memory" ? undefined : diskSpace(dataPath),
        ...(security === undefined ? {} : {
          certificates: () => ({
            server: periods.periodOf("server", security.tls.current().certificate),
            authority: periods.periodOf("authority", authorityOf(security)),
          }),
        }),
      },
      security: security?.keeper,
      secured: member === undefined ? undefined : {
        access: member.access,
        membership: member,
        transport: new MemberTransport(member.identity, {
          log: logger("transport"),
          datagrams: plain,
        }),
        listen: (clientPort) => peerAddresses(config, clientPort, run.sources.port !== "default"),
      },
      admission: { freeDescriptors: countFreeDescriptors },
      limits: { keyBytesMax: config.keyBytesMax, valueBytesMax: config.valueBytesMax },
      cluster,
    });
  const log = logger("node");
  let runtime = await start(clientAddresses(config, run.sources.port !== "default"));
  keepOnly(filesOf(dataPath), log);
  if (link === undefined) console.log(readyLine(config.host, runtime));
  else {
    const { address: { port }, httpPort, node: { nodeId } } = runtime;
    await link.report({ report: "ready", port, http: httpPort, node: nodeId });
    link.reportHealth(() => runtime.health());
  }

  let end = await Promise.race([ended, runtime.failed]);
  while (end instanceof KvError && isDamage(end)) {
    // As if a supervisor had started the process again, because a database is repaired when it is opened.
    await runtime.stop(config.drainTimeoutMs).catch((error) =>
      log.warn("stopped with an error", { error: failureOf(error).message })
    );
    runtime = await start([runtime.address]);
    log.info("started again");
    end = await Promise.race([ended, runtime.failed]);
  }
  if (end instanceof KvError) {
    await runtime.close();
    throw end;
  }
  if (end === "SIGUSR1") {
    log.info(`${end}: leaving the cluster for good; what is held here is moved to others first`);
    // Leaving may take long: a signal to stop still counts.
    if (await runtime.leave(told)) {
      await link?.report({ report: "left" });
      log.info("left the cluster");
      return;
    }
    log.warn(`${await told}: stopping, without having left`);
  } else log.info(`${end}: stopping`);
  await runtime.stop(config.drainTimeoutMs);
}

/** The files of a node that serves, whose data folder this is. One in memory may have none. */
function filesOf(data: string | undefined): Needed {
  const read = [CS_CONFIG_FILE];
  if (data === undefined) return { read, write: [] };
  // A damaged folder is moved aside also while the process runs.
  return { read, write: [data, securityFolderOf(data), ...damagedFolders(data)] };
}

/** LevelDB creates its files with the process's mask; files that we create ourselves state their mode. */
function keepFilesPrivate(log: Logger): void {
  if (Deno.build.os === "windows") return;
  try {
    Deno.umask(0o077);
  } catch (error) {
    log.warn("the database's files may be readable by others: run with --allow-sys", {
      reason: error instanceof Error ? error.message : String(error),
    });
  }
}

/** How a node is secured, as it follows "add". */
function howToSecure({ standalone }: NodeRun["config"]): string {
  return standalone ? "--secure with a --data folder" : "--join TOKEN";
}

/** The certificate of the authority that signs, PEM. */
function authorityOf({ keeper, member }: NodeSecurity): string {
  const authorities = keeper?.document.authorities ?? member?.identity.current().authorities;
  return authorities?.[0] ?? "";
}

/** Users and TLS, if they were asked for, or the node is a member of a secured cluster, or becomes one. */
async function securityOf(
  { config, sources }: NodeRun,
  cluster: NodeRuntimeOptions["cluster"],
  deps: SecurityDeps,
): Promise<NodeSecurity | undefined> {
  const { data, secure, join } = config;
  const hosts = certificateHosts(config.host, config.advertiseHost);
  const locate = "locate" in cluster
    ? () => new Promise<readonly Address[]>((use, fail) => cluster.locate(use, fail, undefined))
    : undefined;
  if (config.storage === "memory" && join !== undefined && locate !== undefined) {
    const { joinInMemory } = await import("./file_node_security.ts");
    return await joinInMemory({ join, joinSource: sources.join, hosts, locate }, deps);
  }
  if (data === undefined) return undefined;
  if (secure || join !== undefined || await hasSecurity(data)) {
    const { openNodeSecurity } = await import("./file_node_security.ts");
    const security = await openNodeSecurity({
      data,
      secure,
      join,
      joinSource: sources.join,
      hosts,
      locate,
    }, deps);
    if (security !== undefined) return security;
  }
  // Whatever its storage: also one in memory would be filled by others of a secured cluster.
  await refuseUnsecured(data, `with ${howToSecure(config)}`);
  return undefined;
}

/** @throws {KvError} `bad_config` if the certificate is another node's */
async function checkFolderIs(
  folder: NodeFolder,
  security: NodeSecurity | undefined,
): Promise<void> {
  try {
    security?.checkIs?.(folder.nodeId);
  } catch (error) {
    await folder.close();
    throw error;
  }
}

/** `kv-node 127.0.0.1:8081 http=9081 pid=4242` */
function readyLine(host: string, { address: { port }, httpPort }: NodeRuntime): string {
  const address = formatAddress({ host, port });
  return `${NODE_PROGRAM.name} ${address} http=${httpPort} pid=${Deno.pid}`;
}

/** The run of a worker: as that of a node which was told its ports and its folder. */
function asWorker(run: NodeRun, place: WorkerPlace): NodeRun {
  const sources = { ...run.sources, port: "flag" } as const;
  return { ...run, config: settingsOfWorker(run.config, place), sources };
}

/** What a worker serves together with the others of its machine. */
function sharedFrontEnds(
  { config, logger }: NodeRun,
  { number, port, httpPort }: WorkerPlace,
  link: WorkerLink,
  tls: ServerCertificate | undefined,
): SharedFrontEnds {
  const { host, workers } = config;
  return {
    listen: { host, port },
    worker: number,
    workers,
    ...(httpPort === "off" ? {} : {
      openHttp: (handle: HandleHttp, admission: Admission) =>
        listenHttp([{ host, port: httpPort }], handle, admission, {
          log: logger("http"),
          tls,
          shared: true,
        }),
    }),
    health: () => link.workers,
  };
}

function clusterOf(
  { config, sources, logger }: NodeRun,
  deps: { clock: Clock; transport: Transport; random: Random },
  trust: () => AnswerTrust | undefined,
): NodeRuntimeOptions["cluster"] {
  if (config.standalone) {
    const partitionCount = sources.partitions === "default" ? undefined : config.partitions;
    return { standalone: true, partitionCount };
  }
  const from = (source: Source) => sources.coordinator === source ? config.coordinator : undefined;
  let said = "";
  return {
    name: config.clusterName,
    locate(use, fail, cluster) {
      // Asked again before each attempt, because the coordinator may have moved and written its new address.
      findCoordinator({
        flag: from("flag"),
        environment: from("environment"),
        configFile: from("file"),
        readTextFile: readTextFileIfThere,
        discover: () =>
          discover({ ...deps, interfaces: networkInterfaces }, {
            mode: config.discovery,
            port: config.discoveryPort,
            secret: config.discoverySecret,
            trust: trust(),
            name: config.clusterName,
            cluster,
          }),
      }).then(
        (found) => {
          const search = describeSearch(found);
          if (search !== said) logger("session").info("looking for the coordinator", { search });
          said = search;
          use(found.addresses);
        },
        (error) => fail(failureOf(error)),
      );
    },
  };
}

function untilToldToLeave(): Promise<"SIGUSR1"> {
  return new Promise((resolve) => {
    if (Deno.build.os === "windows") return;
    Deno.addSignalListener("SIGUSR1", () => resolve("SIGUSR1"));
  });
}

if (import.meta.main) await runProgram(NODE_PROGRAM, main);
