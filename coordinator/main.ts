/**
 * The program `kv-coordinator`: reads its settings, gives the coordinator the machine's own clock,
 * chance, network and disk, and ends it when it is told to. Nothing imports it.
 *
 * @module
 */
import { type Clock, sleep, SystemClock } from "../shared/platform/clock.ts";
import { DenoProcessFacts } from "../shared/metrics/deno_process_facts.ts";
import { ProcessMetrics } from "../shared/metrics/process_metrics.ts";
import { CertificatePeriods } from "../shared/security/members/certificate_periods.ts";
import { DenoClock } from "../shared/platform/deno/deno_clock.ts";
import { networkInterfaces } from "../shared/platform/deno/deno_network_interfaces.ts";
import { countFreeDescriptors } from "../shared/platform/deno/deno_descriptors.ts";
import { DenoTransport } from "../shared/platform/deno/deno_transport.ts";
import { MemberTransport } from "../shared/platform/deno/deno_member_transport.ts";
import { CS_CONFIG_FILE, parseAddresses } from "../shared/discovery/coordinator_address.ts";
import { fromErrorReply } from "../shared/wire/error_reply.ts";
import { KvError } from "../shared/base/errors.ts";
import { FileDocumentStore } from "../shared/platform/deno/file_document_store.ts";
import { checkFolderKind } from "../shared/platform/deno/folder_kind.ts";
import { FolderLock } from "../shared/platform/deno/folder_lock.ts";
import { listenHttp } from "../shared/http/deno_http_server.ts";
import { httpAddresses, originRules } from "../shared/http/http_settings.ts";
import { JOIN_ASK_MS, JOIN_ASK_PAUSE_MS } from "../shared/limits/membership.ts";
import { REQUEST_TIMEOUT_MS } from "../shared/limits/requests.ts";
import { hello } from "../shared/wire/hello.ts";
import type { Message, Reply } from "../shared/wire/messages.ts";
import { exitOnDefect, type Run, runProgram, untilTold } from "../shared/program/program.ts";
import { keepOnly } from "../shared/program/deno_permissions.ts";
import { printLine } from "../shared/program/terminal.ts";
import type { KeptUsers } from "../shared/security/members/file_recovery.ts";
import { type Random, randomId, SystemRandom } from "../shared/platform/random.ts";
import type { MemberIdentity } from "../shared/platform/member_identity.ts";
import { refuseUnsecured, securityFolderOf } from "../shared/platform/deno/folder_security.ts";
import { whyExposed } from "../shared/program/server_settings.ts";
import { RpcClient } from "../shared/wire/rpc_client.ts";
import { certificateHosts, isWildcard } from "../shared/platform/network_interface.ts";
import { joinHint } from "../shared/security/members/file_join_token.ts";
import { type Address, formatAddress } from "../shared/platform/transport.ts";
import { Coordinator } from "./coordinator.ts";
import type { DiscoveryOptions } from "./coordinator_options.ts";
import type { OpenedCoordinatorSecurity } from "./file_security.ts";
import {
  clusterIdOf,
  type CoordinatorRecord,
  FIRST_ID,
  newClusterRecord,
  readRecord,
  RECORD_FILE,
  withSecurity,
} from "./state/coordinator_record.ts";
import { recover } from "./register/recover.ts";
import { CS_CONFIG_BESIDE, removeCsConfig, writeCsConfig } from "./discovery/cs_config.ts";
import { openRegisterService } from "./register_service.ts";
import { COORDINATOR_PROGRAM, COORDINATOR_SETTINGS, wantedOf } from "./settings.ts";

type CoordinatorRun = Run<typeof COORDINATOR_SETTINGS>;

async function main(run: CoordinatorRun): Promise<void> {
  exitOnDefect(COORDINATOR_PROGRAM.name);
  const { config } = run;
  if (config.recoverAdmin) await recoverUsers(run);
  else if (config.recover) await recoverAlone(run);
  else if (config.force) await force(run);
  else await serve(run);
}

/** This coordinator goes on alone. */
async function recoverAlone({ config }: CoordinatorRun): Promise<void> {
  await checkFolderKind(config.data, "coordinator");
  const lock = await FolderLock.acquire(config.data, COORDINATOR_PROGRAM.name);
  try {
    const store = new FileDocumentStore(`${config.data}/${RECORD_FILE}`);
    const found = await readRecord(store);
    if (found === undefined) {
      throw new KvError(
        "bad_config",
        `--recover: ${config.data} is no coordinator's folder; give the --data folder of a survivor`,
      );
    }
    const address = {
      host: config.advertiseHost ?? reachable(config.host),
      port: config.port,
    };
    const { record, report } = recover(found, address);
    await store.write(record);
    for (const line of report) printLine(line);
  } finally {
    lock.release();
  }
}

async function recoverUsers({ config, logger }: CoordinatorRun): Promise<void> {
  const deps = { clock: new DenoClock(), random: new SystemRandom(), log: logger("security") };
  const store = new FileDocumentStore(`${config.data}/${RECORD_FILE}`);
  const users: KeptUsers = {
    read: async () => (await readRecord(store))?.accepted?.document.body.security,
    write: async (security) => {
      const record = await readRecord(store);
      if (record !== undefined) await store.write(withSecurity(record, security));
    },
  };
  const { recoverAdmin, recoveredLine } = await import(
    "../shared/security/members/file_recovery.ts"
  );
  printLine(recoveredLine(await recoverAdmin(config.data, COORDINATOR_PROGRAM.name, deps, users)));
}

async function serve({ config, sources, logger }: CoordinatorRun): Promise<void> {
  const ended = untilTold(config.endWithInput);
  const log = logger("coordinator");
  const howToSecure = "--secure";
  if (!config.secure) await refuseUnsecured(config.data, `with ${howToSecure}`);
  const exposed = whyExposed({ ...config, isSecured: config.secure, howToSecure });
  if (exposed !== undefined) throw new KvError("bad_config", exposed);
  const service = await serviceOf({ config, logger });
  // Whose document is in a service needs no folder.
  if (service === undefined) await checkFolderKind(config.data, "coordinator");
  const lock = service === undefined
    ? await FolderLock.acquire(config.data, COORDINATOR_PROGRAM.name)
    : undefined;
  let started = false;
  try {
    const [clock, random] = [new DenoClock(), new SystemRandom()];
    const store = new FileDocumentStore(`${config.data}/${RECORD_FILE}`);
    const found = service === undefined ? await readRecord(store) : undefined;
    const join = joinAddresses(config, found);
    const security = config.secure
      ? await secure({ config, logger, sources }, { store, found, join }, { clock, random })
      : undefined;
    const plain = new DenoTransport(logger("transport"));
    const transport = security === undefined ? plain : new MemberTransport(security.identity, {
      clients: true,
      log: logger("transport"),
      datagrams: plain,
    });
    const periods = new CertificatePeriods();
    const coordinator = await Coordinator.start({ clock, random, transport, store, logger }, {
      security,
      service,
      id: security?.id ?? config.id ??
        (join.length === 0 && service === undefined ? undefined : joiningId(random)),
      join,
      clusterId: security?.access.document.cluster ??
        (join.length === 0 ? undefined : await clusterAt(join, { clock, random })),
      advertiseHost: config.advertiseHost ?? reachable(config.host),
      listen: { host: config.host, port: config.port },
      heartbeats: { host: config.host, port: config.heartbeatPort },
      settings: wantedOf(config),
      repairDelayMs: config.repairDelayMs,
      expectNodes: config.expectNodes,
      acceptEpoch: config.acceptEpoch,
      cacheEntries: config.cacheEntries,
      openHttp: (tcpPort, handle, admission) => {
        // The default port is the one that people look for: another one is no help.
        const found = httpAddresses(config, tcpPort, 0);
        return found.length === 0 ? undefined : listenHttp(
          found,
          handle,
          admission,
          { log: logger("http"), tls: security?.identity },
        );
      },
      origins: originRules(config),
      slowRequestMs: config.slowRequestMs,
      process: {
        metrics: new ProcessMetrics(clock, new DenoProcessFacts()),
        ...(security === undefined ? {} : {
          certificates: () => ({
            server: periods.periodOf("server", security.identity.current().certificate),
            authority: periods.periodOf("authority", security.access.document.authorities[0] ?? ""),
          }),
        }),
      },
      admission: { freeDescriptors: countFreeDescriptors },
      discovery: discoveryOf(config, security?.identity),
    });
    started = true;
    const folders = service === undefined ? [config.data, securityFolderOf(config.data)] : [];
    const write = [...folders, CS_CONFIG_FILE, CS_CONFIG_BESIDE];
    keepOnly({ read: [], write }, log);
    const { port } = coordinator.address;
    const address = { host: config.advertiseHost ?? reachable(config.host), port };
    // One write after the other, and none after the removal.
    let writing = Promise.resolve();
    if (!config.noCsConfig) {
      coordinator.onCoordinators = (all) => {
        const others = all.filter(({ host, port }) =>
          host !== address.host || port !== address.port
        );
        writing = writing.then(() => writeCsConfig(address, others, log));
      };
      await writing;
    }
    console.log(readyLine(config.host, coordinator));
    log.info(`${await ended}: stopping`);
    if (!config.noCsConfig) {
      coordinator.onCoordinators = () => {};
      await writing;
      await removeCsConfig(address, log);
    }
    await coordinator.close();
    security?.stop();
  } finally {
    service?.close();
    // A start that failed, as when the port is taken, leaves nothing behind.
    if (started) lock?.release();
    else await lock?.undo();
  }
}

/** The service that keeps the document, if there is one. */
async function serviceOf(
  { config, logger }: Pick<CoordinatorRun, "config" | "logger">,
): Promise<Awaited<ReturnType<typeof openRegisterService>> | undefined> {
  const { register } = config;
  if (register === undefined) return undefined;
  const deps = { clock: new DenoClock(), random: new SystemRandom(), log: logger("register") };
  return await openRegisterService({ ...config, register }, wantedOf(config), deps);
}

/**
 * Where the coordinators are that a new folder joins; none for a folder that belongs to a cluster.
 *
 * @throws {KvError} `bad_config`
 */
function joinAddresses(
  { join, data }: CoordinatorRun["config"],
  found: CoordinatorRecord | undefined,
): Address[] {
  if (found?.accepted !== undefined) return [];
  if (join !== undefined) return parseAddresses(join, "--join");
  if (found === undefined) return [];
  throw new KvError(
    "bad_config",
    `folder ${data} is that of coordinator ${found.id}, which has no document yet: start it with --join and the ` +
      "address of another coordinator of its cluster",
  );
}

function joiningId(random: Random): string {
  return `c-${randomId(random).slice(0, 8)}`;
}

/**
 * The id of the cluster whose coordinators are at these addresses. They may be starting as well, so they are asked for some
 * seconds.
 *
 * @throws {KvError} `unavailable`
 */
async function clusterAt(
  addresses: readonly Address[],
  deps: { clock: Clock; random: Random },
): Promise<string> {
  const { clock } = deps;
  const untilMs = clock.monotonicMs() + JOIN_ASK_MS;
  for (;;) {
    const why: string[] = [];
    for (const address of addresses) {
      const reply = await mapAt(address, deps);
      if (reply.req_type === "map") return reply.map.settings.clusterId;
      why.push(reply.req_type === "error" ? reply.message : reply.req_type);
    }
    if (clock.monotonicMs() >= untilMs) {
      throw new KvError("unavailable", `--join: no coordinator answers: ${why.join("; ")}`);
    }
    await sleep(clock, JOIN_ASK_PAUSE_MS);
  }
}

const GET_MAP: Message<"get_map"> = { req_type: "get_map" };

async function mapAt(address: Address, deps: { clock: Clock; random: Random }): Promise<Reply> {
  const transport = new DenoTransport();
  const client = new RpcClient({ ...deps, transport }, address, hello("client"));
  try {
    return await new Promise((resolve) => client.request(GET_MAP, REQUEST_TIMEOUT_MS, resolve));
  } finally {
    client.close();
  }
}

/** A secured coordinator's folder. */
interface Kept {
  readonly store: FileDocumentStore;
  readonly found: CoordinatorRecord | undefined;
  readonly join: readonly Address[];
}

/** Opens users, authority and the coordinator's own certificate, and says where they are. */
async function secure(
  run: Pick<CoordinatorRun, "config" | "logger" | "sources">,
  { store, found, join }: Kept,
  deps: { clock: Clock; random: Random },
): Promise<OpenedCoordinatorSecurity & { readonly id: string }> {
  const { config, logger, sources } = run;
  const log = logger("security");
  // What certificates need takes a third of the time of a start, and only who is secured needs it.
  const { joinSecured, openCoordinatorSecurity } = await import("./file_security.ts");
  const hosts = certificateHosts(config.host, config.advertiseHost);
  if (config.joinToken !== undefined) {
    const hint = joinHint(config.joinToken, sources.joinToken, "--join-token");
    if (hint !== undefined) log.warn(hint);
  }
  const joined = join.length === 0 ? undefined : await joinSecured(config.data, {
    id: found?.id ?? config.id,
    addresses: join,
    token: config.joinToken,
    hosts,
  }, { ...deps, log });
  const id = joined?.id ?? found?.id ?? config.id ?? FIRST_ID;
  const cluster = joined?.document.cluster ?? clusterIdOf(found) ?? randomId(deps.random);
  const security = await openCoordinatorSecurity(config.data, {
    id,
    cluster,
    read: () => Promise.resolve(joined?.document ?? found?.accepted?.document.body.security),
    write: async (security) => {
      // A cluster that was not secured until now.
      if (found !== undefined) return await store.write(withSecurity(found, security));
      const address = {
        host: config.advertiseHost ?? reachable(config.host),
        port: config.port,
      };
      const member = { id, folder: randomId(deps.random), address };
      const settings = wantedOf(config);
      await store.write(newClusterRecord(member, { clusterId: cluster, settings, security }));
    },
    hosts,
    lifetimeMs: config.certificateLifetimeMs,
  }, { ...deps, log });
  const { fingerprint, authorityFile, credentialsFile } = security;
  log.info("secured: clients need the authority's certificate", { authorityFile, fingerprint });
  if (credentialsFile !== undefined) {
    log.info("the first administrator's credentials are in a file, for kv-client --credentials", {
      credentialsFile,
    });
  }
  return { ...security, id };
}

function discoveryOf(
  config: CoordinatorRun["config"],
  identity: MemberIdentity | undefined,
): DiscoveryOptions | undefined {
  const { discovery: mode, discoveryPort: port, discoverySecret: secret, advertiseHost } = config;
  if (mode === "off") return undefined;
  return { mode, port, secret, advertiseHost, interfaces: networkInterfaces, identity };
}

/** `kv-coordinator 127.0.0.1:8080 heartbeat=3769 discovery=7946 http=9080 pid=4242` */
function readyLine(host: string, coordinator: Coordinator): string {
  const { address: { port }, heartbeatPort, discoveryPort, httpPort } = coordinator;
  const discovery = discoveryPort === undefined ? "" : ` discovery=${discoveryPort}`;
  return `${COORDINATOR_PROGRAM.name} ${formatAddress({ host, port })} ` +
    `heartbeat=${heartbeatPort}${discovery} http=${httpPort} pid=${Deno.pid}`;
}

/** Nobody can connect to "any address". */
function reachable(host: string): string {
  return isWildcard(host) ? "127.0.0.1" : host;
}

/** Sends the order to the coordinator that runs, and prints what it did. */
async function force({ config }: CoordinatorRun): Promise<void> {
  const login = config.secure ? await administratorIn(config.data) : undefined;
  const deps = {
    clock: new SystemClock(),
    random: new SystemRandom(),
    transport: new DenoTransport(undefined, { authority: login?.ca }),
  };
  const address = { host: reachable(config.host), port: config.port };
  let reached = false;
  const says = login === undefined ? {} : { user: login.user, secret: login.password };
  const client = new RpcClient(deps, address, hello("client", says), {
    onUp: () => void (reached = true),
  });
  const order = {
    req_type: "force",
    ...(config.forcePartition === undefined ? {} : { partition: config.forcePartition }),
    ...(config.forceNode === undefined ? {} : { node: config.forceNode }),
  };
  const reply = await new Promise<Reply>((resolve) =>
    client.request(order, REQUEST_TIMEOUT_MS, resolve)
  );
  client.close();
  if (reply.req_type === "error") throw refusalOf(reply, reached);
  const forced = reply.req_type === "result" && Array.isArray(reply.result) ? reply.result : [];
  for (const { partition, node, term, last_seq } of forced) {
    const holds = term === 0 && last_seq === 0
      ? "which has nothing of it"
      : `whose replica is of term ${term}, with writes up to seq ${last_seq}`;
    printLine(`partition ${partition}: node ${node}, ${holds}`);
  }
  if (forced.length === 0) console.log("every partition is served; nothing was done");
}

/** The credentials that the first start has made. @throws {KvError} `bad_config` */
async function administratorIn(
  data: string,
): Promise<{ ca: string; user: string; password: string }> {
  const file = `${securityFolderOf(data)}/admin.json`;
  try {
    return JSON.parse(await Deno.readTextFile(file));
  } catch (cause) {
    throw new KvError(
      "bad_config",
      `--force --secure needs an administrator's credentials in ${file} (ca, user, password), which cannot be read`,
      { cause },
    );
  }
}

function refusalOf(reply: Message<"error">, reached: boolean): KvError {
  const error = fromErrorReply(reply);
  if (reached || error.code !== "unavailable") return error;
  return new KvError(
    error.code,
    `${error.message}; --force is an order to a coordinator that runs: start it first, on its ` +
      "folder, or name its host and port; with --secure, and its --data folder, if it is secured",
    { cause: error },
  );
}

if (import.meta.main) await runProgram(COORDINATOR_PROGRAM, main);
