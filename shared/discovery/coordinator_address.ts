/**
 * How a node or a client finds the coordinator: by flag, environment, configuration file,
 * `cs_config.txt` in the working folder, a login, discovery, and finally 127.0.0.1:8080. It is pure except for
 * the functions that the caller passes in to read the file and to discover. It opens nothing itself and
 * does not check that anybody listens. The result says what was tried, for the text of a later error.
 *
 * @module
 */
import type { Discovered } from "./discovery.ts";
import { KvError } from "../base/errors.ts";
import { canonicalHost } from "../platform/host.ts";
import { type Address, formatAddress } from "../platform/transport.ts";

/** Where a coordinator listens by default. */
export const COORDINATOR_PORT_DEFAULT = 8080;

const DEFAULT: Address = { host: "127.0.0.1", port: COORDINATOR_PORT_DEFAULT };

/**
 * The file that a coordinator writes into its working folder: host on line 1, port on line 2; further coordinators
 * behind that, a line each.
 */
export const CS_CONFIG_FILE = "cs_config.txt";

/** Where to look. Each source is optional; the first that names an address wins. */
export interface CoordinatorSources {
  /** `host`, `host:port` or `[ipv6]:port`, or several behind commas, from the command line or the program. */
  flag?: string | undefined;
  /** What the first source is called in texts. Default `--coordinator`. */
  flagName?: string | undefined;
  /** The same, from the environment. */
  environment?: string | undefined;
  /** The same, from a configuration file; left out if there can be none. */
  configFile?: string | undefined;
  /** The text of a file of the working folder, or undefined if there is none. */
  readTextFile?: ((path: string) => Promise<string | undefined>) | undefined;
  /** Where its user has logged in, as `host:port`; left out if there can be no login. */
  login?: string | undefined;
  /** Asks the local network; see `discovery.ts`. */
  discover?: (() => Promise<Discovered>) | undefined;
}

/** Where the coordinator should be, and how that is known. */
export interface CoordinatorAddress {
  /** The first of them. */
  address: Address;
  /** All coordinators that the source names. */
  addresses: readonly Address[];
  /** The source that named it, such as `KV_COORDINATOR`. */
  source: string;
  /** One clause for each source, in the order of the search, the winner last. */
  tried: readonly string[];
}

/**
 * Parses `host`, `host:port` or `[ipv6]:port`.
 *
 * @param what names the text in the error, such as `--coordinator`
 * @throws {KvError} `bad_config`
 */
export function parseAddress(
  text: string,
  what: string,
  defaultPort: number = COORDINATOR_PORT_DEFAULT,
): Address {
  const match = /^(?:\[([^\[\]\s]+)\]|([^:\[\]\s]+))(?::(.*))?$/.exec(text.trim());
  const host = canonicalHost(match?.[1] === undefined ? match?.[2] ?? "" : `[${match[1]}]`);
  const port = match?.[3] === undefined ? defaultPort : parsePort(match[3]);
  if (host === undefined || port === undefined) {
    throw new KvError(
      "bad_config",
      `${what}: required host, host:port or [ipv6]:port with a port from 1 to 65535, given ${
        JSON.stringify(text)
      }`,
    );
  }
  return { host, port };
}

function parsePort(text: string): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port >= 1 && port <= 65_535 ? port : undefined;
}

/**
 * Parses one address, or several behind commas.
 *
 * @throws {KvError} `bad_config`
 */
export function parseAddresses(text: string, what: string): Address[] {
  return text.split(",").map((one) => parseAddress(one, what));
}

/**
 * Parses the text of a {@linkcode CS_CONFIG_FILE}.
 *
 * @throws {KvError} `bad_config`
 */
export function parseCsConfig(text: string): Address[] {
  const [host = "", portText = "", ...others] = text.replace(/^\uFEFF/, "").split(/\r?\n/)
    .map((line) => line.trim());
  const port = parsePort(portText);
  const canonical = canonicalHost(host);
  if (canonical === undefined || port === undefined) {
    throw new KvError(
      "bad_config",
      `${CS_CONFIG_FILE}: required the coordinator's host on line 1 and its port (1 to 65535) on ` +
        `line 2, found ${JSON.stringify(host.slice(0, 64))} and ${
          JSON.stringify(portText.slice(0, 64))
        }; correct the file or delete it`,
    );
  }
  const further = others.filter((line) => line !== "")
    .map((line) => parseAddress(line, CS_CONFIG_FILE));
  return [{ host: canonical, port }, ...further];
}

/** The text of a {@linkcode CS_CONFIG_FILE}: further coordinators have a line each. */
export function formatCsConfig(address: Address, others: readonly Address[] = []): string {
  const lines = [address.host, address.port, ...others.map(formatAddress)];
  return lines.map((line) => `${line}\n`).join("");
}

/**
 * Looks in every source in order.
 *
 * @throws {KvError} `bad_config` if a source gives something that is not an address
 */
export async function findCoordinator(sources: CoordinatorSources): Promise<CoordinatorAddress> {
  const tried: string[] = [];
  const found = (addresses: readonly Address[], source: string): CoordinatorAddress => {
    const [address = DEFAULT] = addresses;
    tried.push(`${source} says ${addresses.map(formatAddress).join(", ")}`);
    return { address, addresses, source, tried };
  };

  const named = [
    [sources.flagName ?? "--coordinator", sources.flag, "not given"],
    ["KV_COORDINATOR", sources.environment, "not set"],
    ...("configFile" in sources
      ? [["configuration file", sources.configFile, "does not name one"] as const]
      : []),
  ] as const;
  for (const [source, text, absent] of named) {
    if (text !== undefined && text !== "") return found(parseAddresses(text, source), source);
    tried.push(`${source} ${absent}`);
  }

  const file = await sources.readTextFile?.(CS_CONFIG_FILE);
  if (file !== undefined) return found(parseCsConfig(file), CS_CONFIG_FILE);
  tried.push(`no ${CS_CONFIG_FILE} in the working folder`);

  if (sources.login !== undefined) {
    return found(parseAddresses(sources.login, "the login"), "the login");
  }
  if (sources.discover !== undefined) {
    const { address, said } = await sources.discover();
    if (address !== undefined) return found([address], "discovery");
    tried.push(`nobody answered discovery (${said})`);
  }
  return found([DEFAULT], "the default");
}

/** The search as a clause for an error text. */
export function describeSearch(found: CoordinatorAddress): string {
  return found.tried.join("; ");
}
