/**
 * Makes a client with the machine's own clock, randomness and network. It finds the coordinator, fetches the
 * cluster map, and says what was tried if no process answers.
 *
 * @module
 */
import { type Clock, SystemClock } from "../../shared/platform/clock.ts";
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import {
  type CoordinatorAddress,
  describeSearch,
  findCoordinator,
  parseAddress,
} from "../../shared/discovery/coordinator_address.ts";
import {
  discover,
  type Discovered,
  type DiscoverOptions,
} from "../../shared/discovery/discovery.ts";
import { KvError, toKvError } from "../../shared/base/errors.ts";
import { REQUEST_TIMEOUT_MS } from "../../shared/limits/requests.ts";
import { hello } from "../../shared/wire/hello.ts";
import { randomId, SystemRandom } from "../../shared/platform/random.ts";
import { Router } from "../../shared/routing/router.ts";
import { RpcClient } from "../../shared/wire/rpc_client.ts";
import { type Address, formatAddress } from "../../shared/platform/transport.ts";
import { VERSION } from "../../shared/base/version.ts";
import type { ClientLogin, KvClientOptions } from "../calls/call.ts";
import { AnyCoordinator } from "./any_coordinator.ts";
import { CallTrace } from "../calls/call_trace.ts";
import { globalTracer } from "../../shared/tracing/tracer.ts";
import { ClientEvents } from "../calls/client_events.ts";
import { awaitMap } from "./first_map.ts";
import { KvClient } from "./kv_client.ts";
import { clientPlatform } from "./current_platform.ts";

/** How to look for the coordinator on the local network. */
export type ClientDiscovery = Pick<DiscoverOptions, "mode" | "port" | "name" | "secret">;

/** How to reach a cluster, and the defaults of the client's calls. */
export interface ConnectOptions extends KvClientOptions {
  /**
   * The coordinator, `host:port`; any node's address works as well. Default: `KV_COORDINATOR` of the
   * environment, else `cs_config.txt` in the working folder, else what {@linkcode discovery} finds, else
   * 127.0.0.1:8080.
   */
  coordinator?: string | undefined;
  /**
   * How to look for it on the local network by UDP (needs `--unstable-net`). Default: on, port 7946, any
   * cluster if there is only one, the secret from `KV_DISCOVERY_SECRET` of the environment. A cluster that does
   * not have the `name` given here is refused, however it was found.
   */
  discovery?: ClientDiscovery | undefined;
  /** Further nodes, `host:port`, that are asked if the coordinator does not answer. */
  seeds?: readonly string[] | undefined;
}

/** What to do if no process answers. */
const ADVICE = "start one, or say where it is with the option coordinator; the address of any " +
  "node that runs works as well, there or in the option seeds";

/**
 * Connects to a cluster.
 *
 * @throws {KvError} `unavailable` if no process answers, with what was tried, or if those that answer have
 * not joined their cluster within `timeoutMs`; `bad_config` if an address is not valid; `wrong_cluster` if
 * the cluster does not have the name that was asked for
 *
 * @example
 * ```ts
 * import { connect } from "kv-client";
 *
 * await using kv = await connect({ coordinator: "127.0.0.1:8080" });
 * const version = await kv.put("username", "alice");
 * console.log(version > 0, await kv.getText("username")); // true alice
 * ```
 */
export async function connect(options: ConnectOptions = {}): Promise<KvClient> {
  const { environment, readTextFileIfThere } = await clientPlatform();
  const found = await findCoordinator({
    flag: options.coordinator,
    flagName: "option coordinator",
    environment: options.coordinator === undefined ? environment("KV_COORDINATOR") : undefined,
    readTextFile: readTextFileIfThere,
    discover: () =>
      discoverFromHere({
        secret: environment("KV_DISCOVERY_SECRET"),
        ...options.discovery,
      }, options.ca),
  });
  const seeds = (options.seeds ?? []).map((seed) => parseAddress(seed, "option seeds"));
  return await connectTo(found, seeds, options, { name: options.discovery?.name, advice: ADVICE });
}

/** Asks the networks of this machine. @param ca the authority (PEM) of a secured cluster: only its coordinators count */
export async function discoverFromHere(
  options: ClientDiscovery,
  ca: string | undefined,
): Promise<Discovered> {
  const platform = await clientPlatform();
  return await discover({
    clock: new SystemClock(),
    random: new SystemRandom(),
    transport: platform.transport(undefined),
    interfaces: platform.networkInterfaces,
  }, { ...options, trust: ca === undefined ? undefined : { authorities: () => [ca] } });
}

/**
 * As {@linkcode connect}, once the address is known.
 *
 * @param about the name that the cluster must have, and what the caller's user can do if no process answers
 */
export async function connectTo(
  found: CoordinatorAddress,
  seeds: readonly Address[],
  options: KvClientOptions,
  about: { name: string | undefined; advice: string },
): Promise<KvClient> {
  const clock = new SystemClock();
  const transport = (await clientPlatform()).transport(options.ca);
  const deps = { clock, random: new SystemRandom(), transport };
  const login = loginOf(options);
  const { debug, tracer = globalTracer("kv-client", VERSION) } = options;
  const events = new ClientEvents(
    debug && (({ type, ...facts }) => debug(type, facts)),
  );
  const router = new Router(deps, {
    role: "client",
    hello: login,
    seeds: [...found.addresses, ...seeds],
    connections: events,
    onMap: ({ epoch, nodes }) => events.onMap(epoch, new Set(nodes.map(({ id }) => id))),
  });
  const map = await firstMap(clock, router, found, seeds, options, about.advice);
  const { clusterName: name } = map.settings;
  if (about.name !== undefined && name !== about.name) {
    router.close();
    // The search ends with a default address, where another cluster may run.
    throw new KvError(
      "wrong_cluster",
      `the cluster at ${formatAddress(found.address)} is named ${JSON.stringify(name)}, and ` +
        `${JSON.stringify(about.name)} was asked for (how the coordinator was looked for: ` +
        `${describeSearch(found)})`,
    );
  }
  const { host, port } = found.address;
  // With a node's address one can find the cluster, but the node does not become a coordinator by that.
  const isNode = map.nodes.some((node) => node.host === host && node.port === port);
  const ours = hello("client", login);
  const coordinator = isNode ? undefined : new AnyCoordinator(deps, {
    hello: ours,
    named: found.addresses,
    map: () => router.map(),
  });
  // A node that is a cluster by itself keeps its users itself.
  const administrator = coordinator ??
    (options.ca === undefined ? undefined : new RpcClient(deps, found.address, ours));
  return new KvClient(
    {
      clock,
      router,
      coordinator,
      administrator,
      secured: options.ca !== undefined,
      clientId: randomId(deps.random),
      events,
      trace: debug === undefined && tracer === undefined
        ? undefined
        : new CallTrace(clock, name, { debug, tracer }),
    },
    options,
  );
}

/** What `hello` says of whoever logs in. @throws {KvError} `bad_config` */
function loginOf(
  { ca, user, password, token }: ClientLogin,
): { user?: string; secret?: string } {
  const byToken = token !== undefined && user === undefined && password === undefined;
  const byPassword = token === undefined && user !== undefined && password !== undefined;
  if (!byToken && !byPassword) {
    if (user === undefined && password === undefined && token === undefined) return {};
    throw new KvError("bad_config", "to log in, give user and password, or a token alone");
  }
  if (ca === undefined) {
    throw new KvError(
      "bad_config",
      "a login without encryption would show its secret to everybody: give the certificate of the " +
        "cluster's authority as well (ca)",
    );
  }
  return byPassword ? { user, secret: password } : byToken ? { secret: token } : {};
}

async function firstMap(
  clock: Clock,
  router: Router,
  found: CoordinatorAddress,
  seeds: readonly Address[],
  { timeoutMs = REQUEST_TIMEOUT_MS }: KvClientOptions,
  advice: string,
): Promise<ClusterMap> {
  try {
    return await awaitMap(clock, router, timeoutMs);
  } catch (cause) {
    router.close();
    const error = toKvError(cause);
    const asked = [...found.addresses, ...seeds].map(formatAddress).join(", ");
    throw new KvError(
      error.code,
      `cannot reach the cluster at ${asked}: ${error.message} (how the coordinator was looked for: ` +
        `${describeSearch(found)}); ${advice}`,
      { cause },
    );
  }
}
