/**
 * The settings of `kv-node`: flags, environment variables, YAML keys and `--help`, in one table. It reads nothing by
 * itself.
 *
 * @module
 */
import type { Program, Values } from "../shared/program/config.ts";
import { SERVER_SETTINGS } from "../shared/program/server_settings.ts";
import { parseAddresses } from "../shared/discovery/coordinator_address.ts";
import { discoverySettings, whyWeakSecret } from "../shared/discovery/discovery_settings.ts";
import { failureOf, KvError } from "../shared/base/errors.ts";
import type { Address } from "../shared/platform/transport.ts";
import { HTTP_SETTINGS, whyHttpWrong } from "../shared/http/http_settings.ts";
import {
  NAME_CHARACTERS_MAX,
  PARTITIONS_DEFAULT,
  PARTITIONS_MAX,
  WORKERS_MAX,
} from "../shared/limits/cluster.ts";
import { DRAIN_TIMEOUT_MS } from "../shared/limits/membership.ts";
import { RECORD_CACHE_BYTES_DEFAULT } from "../shared/limits/storage.ts";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "../shared/limits/wire.ts";
import { whyNoWorkers } from "./worker_settings.ts";
import { isWildcard } from "../shared/platform/network_interface.ts";
import {
  bytes,
  choice,
  decimal,
  flag,
  host,
  integer,
  optionalHost,
  optionalText,
} from "../shared/program/setting.ts";

/** The port of a node if none is given. */
const NODE_PORT_DEFAULT = 8081;
/** How many ports after the default are tried if no port was asked for. */
export const NODE_PORTS_TRIED = 100;

/** The table. */
export const NODE_SETTINGS = {
  host: host({ help: "The address to listen on.", default: "127.0.0.1" }),
  port: integer({
    help: "The TCP port; 0 lets the system choose one. If none is given and 8081 is taken, the " +
      `node uses the next free one of the following ${NODE_PORTS_TRIED}.`,
    min: 0,
    max: 65_535,
    default: NODE_PORT_DEFAULT,
    placeholder: "PORT",
  }),
  advertiseHost: optionalHost({
    help:
      "The address by which clients and other nodes reach this node; by default that of --host.",
  }),
  ...HTTP_SETTINGS,
  ...SERVER_SETTINGS,
  coordinator: optionalText({
    help:
      "The coordinator, as host or host:port. Without it: cs_config.txt in the working folder, " +
      "discovery, then 127.0.0.1:8080.",
    placeholder: "HOST:PORT",
  }),
  clusterName: optionalText({
    help: "Discovery finds only the cluster of this name, and a new node joins no other. By " +
      "default any cluster is used if there is only one.",
    placeholder: "NAME",
  }),
  ...discoverySettings(
    "Whether to look for the coordinator on the local network if no other source names one, and " +
      "how: broadcast and multicast (on), one of them, or not at all (off).",
    1,
  ),
  data: optionalText({
    help:
      "The data folder; it is created if it does not exist. By default .kv-node-PORT in the working " +
      "folder.",
    placeholder: "FOLDER",
  }),
  storage: choice(["leveldb", "memory"], {
    help:
      "Where data is stored: on disk, or in memory alone (a restart then begins empty, as a new node).",
    default: "leveldb",
  }),
  fsync: choice(["always", "interval", "never"], {
    help: "When a write is safe from a power cut: before it is acknowledged, a moment later, or " +
      "whenever the operating system writes it. If only the process dies, nothing is lost.",
    default: "always",
  }),
  cacheBytes: bytes({
    help:
      "Memory for the cache of records that were read or written lately, its table included; 0 for none.",
    default: RECORD_CACHE_BYTES_DEFAULT,
    min: 0,
    max: 2 ** 40,
  }),
  keyBytesMax: bytes({
    help: "The longest key that is accepted.",
    default: KEY_BYTES_MAX,
    min: 1,
    max: KEY_BYTES_MAX,
  }),
  valueBytesMax: bytes({
    help: "The longest value that is accepted.",
    default: VALUE_BYTES_MAX,
    min: 1,
    max: VALUE_BYTES_MAX,
  }),
  zone: optionalText({
    help:
      "The failure domain, such as a rack: replicas of a key avoid sharing one. By default the " +
      "host.",
    placeholder: "ZONE",
  }),
  weight: decimal({
    help: "The node's capacity, relative to others.",
    min: 0.01,
    max: 100,
    default: 1,
  }),
  workers: integer({
    help:
      "How many processes of this machine serve, so that all of its cores have work. Each is a node of the cluster, " +
      "with a folder worker-N in the data folder; all share the ports, and each has ports of its own besides: those " +
      "plus its number. One that dies is started again. Memory for the cache is divided among them. Linux only.",
    min: 1,
    max: WORKERS_MAX,
    default: 1,
  }),
  worker: optionalText({
    help:
      "Given by kv-node --workers to each of the processes that it starts: its number, and the ports that all of them " +
      "share. Not for people.",
    placeholder: "N:PORT:HTTP-PORT",
  }),
  standalone: flag({ help: "Be a cluster of one node, without a coordinator." }),
  secure: flag({
    help:
      "With --standalone and --data: TLS on all ports, and a login for everything. Users, roles and the " +
      "certificate authority are in a folder beside that of the data, named FOLDER.security.",
  }),
  join: optionalText({
    help:
      "Become a node of a secured cluster, by a token (kv-client token create --join node) or the file that holds " +
      "it. It is used once; from then on the node is secured by what is in FOLDER.security, also without --join " +
      "(with --storage memory: at each start). " +
      "Needs a --data folder.",
    placeholder: "TOKEN|FILE",
  }),
  peerPort: integer({
    help:
      "In a secured cluster, the TCP port for other members, who show certificates; 0: 10000 more than " +
      "the clients' port, or the next free one if none was given for clients either.",
    min: 0,
    max: 65_535,
    default: 0,
    placeholder: "PORT",
  }),
  recoverAdmin: flag({
    help:
      "Of a node that was started with --standalone and --secure, and does not run: give the user admin a new password, " +
      "in FOLDER.security/admin.json, and exit.",
  }),
  partitions: integer({
    help: "With --standalone: partitions of a new data folder, a power of two.",
    min: 1,
    max: PARTITIONS_MAX,
    default: PARTITIONS_DEFAULT,
  }),
  rebuild: flag({
    help:
      "If the data folder is too damaged to be used, put it aside as FOLDER.damaged-1 and get " +
      "the data from the other nodes again. A usable folder is used as it is.",
  }),
  drainTimeoutMs: integer({
    help: "How long a node that is told to stop may take to hand its primaries over.",
    min: 0,
    max: 3_600_000,
    unit: "ms",
    default: DRAIN_TIMEOUT_MS,
  }),
};

/** The values of the table. */
export type NodeSettings = Values<typeof NODE_SETTINGS>;

/** Everything about the command line. */
export const NODE_PROGRAM: Program<typeof NODE_SETTINGS> = {
  name: "kv-node",
  summary: "a node of the key-value store",
  usage: ["[host] [port] [flags]", "[port] [flags]"],
  settings: NODE_SETTINGS,
  positionals: [["port"], ["host"], ["host", "port"]],
  check: whyWrong,
  notes: [
    "Signals: SIGTERM and SIGINT hand this node's partitions over to the other replicas and stop; its",
    "data stays, and it takes its place again when it is started again. A second one stops at once.",
    "SIGUSR1 leaves the cluster for good: everything is moved to other nodes first, however long that",
    "takes. With --workers, all of this is for the machine; sent to one worker, it is for that one.",
    "",
    "Examples:",
    "  kv-node --standalone                        one node, no coordinator, 127.0.0.1:8081",
    "  kv-node 10.0.0.7 8081 --coordinator 10.0.0.1 --data /var/lib/kv/node --join token.txt",
    "  kv-node 10.0.0.7 8081 --coordinator 10.0.0.1 --insecure      on a network that you trust",
    "  kv-node 8083 --data /var/lib/kv/node --zone rack-2",
    "  kv-node 10.0.0.7 --coordinator 10.0.0.1 --data /var/lib/kv/node --workers 4 --insecure",
  ],
};

/** Where to listen: the port that was asked for, or the first free one from the default on. */
export function clientAddresses(
  { host, port }: Pick<NodeSettings, "host" | "port">,
  isPortGiven: boolean,
): Address[] {
  const count = isPortGiven ? 1 : NODE_PORTS_TRIED + 1;
  return Array.from({ length: count }, (_, i) => ({ host, port: port + i }));
}

/** The port for members is higher than that for clients by this much. */
const PEER_PORT_DISTANCE = 10_000;

/**
 * Where a node of a secured cluster listens for members: the first that is free.
 *
 * @throws {KvError} `bad_config` if there is no such port
 */
export function peerAddresses(
  { host, port, peerPort }: Pick<NodeSettings, "host" | "port" | "peerPort">,
  clientPort: number,
  isPortGiven: boolean,
): Address[] {
  if (peerPort !== 0) return [{ host, port: peerPort }];
  // Who lets the system choose the clients' port lets it choose this one.
  if (port === 0) return [{ host, port: 0 }];
  const first = clientPort + PEER_PORT_DISTANCE;
  const tried = Math.min(isPortGiven ? 1 : NODE_PORTS_TRIED + 1, 65_536 - first);
  if (tried > 0) return Array.from({ length: tried }, (_, i) => ({ host, port: first + i }));
  throw new KvError(
    "bad_config",
    `the port for members would be ${first}, and the last port is 65535: give --peer-port`,
  );
}

function whyWrong(values: NodeSettings): string | undefined {
  const { host, partitions, port } = values;
  if ((partitions & (partitions - 1)) !== 0) {
    return `--partitions must be a power of two; got ${partitions}`;
  }
  if (values.standalone && values.rebuild) {
    return "--rebuild gets the data from other nodes, and a --standalone node has none; to begin " +
      "empty, name another --data folder";
  }
  if (values.standalone && values.coordinator !== undefined) {
    return "--standalone and --coordinator exclude each other; leave one out";
  }
  if (values.secure && !values.standalone) {
    return "--secure is for a --standalone node; a node of a secured cluster is started with --join TOKEN";
  }
  if (values.secure && values.data === undefined) return "--secure needs a --data folder";
  if (values.recoverAdmin && values.data === undefined) {
    return "--recover-admin needs the --data folder of the node";
  }
  const noWorkers = whyNoWorkers(values);
  if (noWorkers !== undefined) return noWorkers;
  const wrongJoin = values.join === undefined ? undefined : whyNoJoin(values);
  if (wrongJoin !== undefined) return wrongJoin;
  if (values.secure && values.insecure) {
    return "--secure and --insecure exclude each other; leave one out";
  }
  const wrongAddress = whyNoAddress(values.coordinator) ?? whyHttpWrong(values);
  if (wrongAddress !== undefined) return wrongAddress;
  const weakSecret = whyWeakSecret(values.discoverySecret);
  if (weakSecret !== undefined) return weakSecret;
  for (const name of [host, values.advertiseHost ?? host, values.zone ?? host]) {
    if (name.length > NAME_CHARACTERS_MAX) {
      return `a host or --zone may have ${NAME_CHARACTERS_MAX} characters; got ${name.length}`;
    }
  }
  if (values.storage === "leveldb" && port === 0 && values.data === undefined) {
    return "--port 0 needs a --data folder (its default is named after the port), or --storage memory";
  }
  if (isWildcard(host) && values.advertiseHost === undefined) {
    return `no other process can connect to ${host}; add --advertise-host with this machine's address`;
  }
  return undefined;
}

function whyNoJoin(values: NodeSettings): string | undefined {
  if (values.standalone) return "--standalone and --join exclude each other; leave one out";
  if (values.insecure) return "--insecure and --join exclude each other; leave one out";
  if (values.storage === "leveldb" && values.data === undefined) {
    return "--join needs a --data folder, or --storage memory";
  }
  return undefined;
}

/** Found out at the start, and not at each attempt to connect. */
function whyNoAddress(coordinator: string | undefined): string | undefined {
  try {
    if (coordinator !== undefined) parseAddresses(coordinator, "--coordinator");
    return undefined;
  } catch (error) {
    return failureOf(error).message;
  }
}
