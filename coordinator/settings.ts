/**
 * What `kv-coordinator` can be told: its flags, environment variables, YAML keys and `--help`, in one
 * table. It reads nothing by itself.
 *
 * @module
 */
import type { Program, Values } from "../shared/program/config.ts";
import { SERVER_SETTINGS } from "../shared/program/server_settings.ts";
import {
  COORDINATOR_PORT_DEFAULT,
  CS_CONFIG_FILE,
} from "../shared/discovery/coordinator_address.ts";
import { discoverySettings, whyWeakSecret } from "../shared/discovery/discovery_settings.ts";
import { HTTP_SETTINGS, whyHttpWrong } from "../shared/http/http_settings.ts";
import { NODES_MAX, PARTITIONS_MAX } from "../shared/limits/cluster.ts";
import { REPAIR_DELAY_MS } from "../shared/limits/membership.ts";
import { GATEWAY_CACHE_ENTRIES_DEFAULT } from "../shared/limits/requests.ts";
import { CERTIFICATE_LIFETIME_MS, CERTIFICATE_LIFETIME_MS_MIN } from "../shared/limits/security.ts";
import {
  flag,
  host,
  integer,
  optionalHost,
  optionalInteger,
  optionalText,
  type Setting,
  text,
} from "../shared/program/setting.ts";
import {
  type CLUSTER_SETTINGS,
  type SettingName,
  settingRows,
  type SettingValue,
} from "../shared/cluster/cluster_settings.ts";
import type { WantedSettings } from "./state/cluster_settings.ts";

const HEARTBEAT_PORT_DEFAULT = 3769;

type Table = typeof CLUSTER_SETTINGS;

/** The flags of the settings of the cluster. They have no default here: if one is left out, a cluster keeps its own. */
type ClusterFlags = {
  readonly [N in SettingName as Table[N]["flag"]]: Setting<SettingValue<N> | undefined>;
};

const CLUSTER_FLAGS = Object.fromEntries(
  settingRows().map((
    [, row],
  ) => [row.flag, row.kind === "text" ? optionalText(row) : optionalInteger(row)]),
) as unknown as ClusterFlags;

/** The table. */
export const COORDINATOR_SETTINGS = {
  host: host({ help: "The address to listen on.", default: "127.0.0.1" }),
  port: integer({
    help: "The TCP port; 0 lets the system choose one.",
    min: 0,
    max: 65_535,
    default: COORDINATOR_PORT_DEFAULT,
    placeholder: "PORT",
  }),
  advertiseHost: optionalHost({
    help: `The address that ${CS_CONFIG_FILE} and discovery name; by default that of --host.`,
  }),
  ...HTTP_SETTINGS,
  ...SERVER_SETTINGS,
  heartbeatPort: integer({
    help: "The UDP port for the nodes' heartbeats; 0 lets the system choose one.",
    min: 0,
    max: 65_535,
    default: HEARTBEAT_PORT_DEFAULT,
    placeholder: "PORT",
  }),
  ...discoverySettings(
    "Whether nodes and clients of the local network can find this coordinator, and how: broadcast " +
      "and multicast (on), one of them, or not at all (off).",
    0,
  ),
  secure: flag({
    help:
      "A secured cluster: TLS on all ports but those for datagrams, certificates between its members, and a login for " +
      "everything. Users, roles and the certificate authority are in a folder beside that of --data, named FOLDER.security.",
  }),
  certificateLifetimeMs: integer({
    help:
      "With --secure: how long a member's certificate is good. It is renewed after two thirds of that.",
    min: CERTIFICATE_LIFETIME_MS_MIN,
    max: CERTIFICATE_LIFETIME_MS,
    unit: "ms",
    default: CERTIFICATE_LIFETIME_MS,
  }),
  id: optionalText({
    help:
      "The coordinator's name among the coordinators of its cluster, for a new folder; by default c1 for the " +
      "first one, and a random one with --join.",
    placeholder: "NAME",
  }),
  join: optionalText({
    help:
      "Become a coordinator of the cluster whose coordinators are at these addresses; an operator then adds it " +
      "(kv-client coordinators add). It has no effect on a folder that belongs to a cluster already.",
    placeholder: "HOST:PORT[,…]",
  }),
  joinToken: optionalText({
    help:
      "With --join and --secure: the token (kv-client token create --join coordinator), or a file that holds it.",
    placeholder: "TOKEN|FILE",
  }),
  register: optionalText({
    help:
      "Keep the cluster's document in an etcd instead of the --data folder: its members and a prefix for keys. Any number " +
      "of coordinators may be started with it.",
    placeholder: "etcd[s]://HOST:PORT[,…]/PREFIX",
  }),
  registerCa: optionalText({
    help: "With --register etcds://: the certificate of the authority of etcd's servers, PEM.",
    placeholder: "FILE",
  }),
  registerUser: optionalText({
    help: "With --register: who logs in at etcd.",
    placeholder: "NAME",
  }),
  registerPasswordFile: optionalText({
    help: "With --register-user: the file of the password.",
    placeholder: "FILE",
  }),
  registerCert: optionalText({
    help: "With --register etcds://: a client's certificate for etcd, PEM.",
    placeholder: "FILE",
  }),
  registerKey: optionalText({
    help: "With --register-cert: its key, PEM.",
    placeholder: "FILE",
  }),
  data: text({
    help: "The folder of the cluster's document; it is created if it does not exist.",
    default: ".kv-coordinator",
    placeholder: "FOLDER",
  }),
  ...CLUSTER_FLAGS,
  repairDelayMs: integer({
    help: "How long to wait for a failed node before other nodes get replicas in its place.",
    min: 0,
    max: 86_400_000,
    unit: "ms",
    default: REPAIR_DELAY_MS,
  }),
  expectNodes: integer({
    help: "A new cluster is laid out when this many nodes are there, and at least --min-in-sync.",
    min: 1,
    max: NODES_MAX,
    default: 1,
  }),
  acceptEpoch: optionalInteger({
    help: "After a disaster: go on from the document of this epoch, although nodes have seen a " +
      "later one. Acknowledged writes may be lost. It has no effect on any other document.",
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    placeholder: "EPOCH",
  }),
  cacheEntries: integer({
    help: "Values that the gateway keeps for cached reads; 0 for none.",
    min: 0,
    max: 1_000_000,
    default: GATEWAY_CACHE_ENTRIES_DEFAULT,
  }),
  noCsConfig: flag({ help: `Do not write ${CS_CONFIG_FILE} into the working folder.` }),
  recover: flag({
    help:
      "After the majority of the coordinators is gone for good: make this one, which does not run, the only " +
      "coordinator of its cluster, from the document in its folder; then exit.",
  }),
  recoverAdmin: flag({
    help:
      "Of a secured cluster whose coordinator does not run: give the user admin a new password, in " +
      "FOLDER.security/admin.json, and exit.",
  }),
  force: flag({
    help:
      "Order the coordinator at [host] [port] to serve again the partitions that no node can serve, " +
      "from replicas that may lack acknowledged writes; then exit.",
  }),
  forcePartition: optionalInteger({
    help: "With --force: only this partition.",
    min: 0,
    max: PARTITIONS_MAX - 1,
  }),
  forceNode: optionalText({
    help: "With --force: this node's replica, instead of the one that holds most.",
    placeholder: "NODE-ID",
  }),
};

/** The values of the table. */
export type CoordinatorSettings = Values<typeof COORDINATOR_SETTINGS>;

/** Everything about the command line. */
export const COORDINATOR_PROGRAM: Program<typeof COORDINATOR_SETTINGS> = {
  name: "kv-coordinator",
  summary: "keeps the list of nodes and who holds what; a gateway for simple clients",
  usage: ["[host] [port] [flags]", "[port] [flags]"],
  settings: COORDINATOR_SETTINGS,
  positionals: [["port"], ["host"], ["host", "port"]],
  check: whyWrong,
  notes: [
    "Examples:",
    "  kv-coordinator                              127.0.0.1:8080, data in .kv-coordinator",
    "  kv-coordinator 10.0.0.1 --data /var/lib/kv/coordinator --secure",
    "  kv-coordinator 10.0.0.1 --data /var/lib/kv/coordinator --insecure   on a network that you trust",
    "  kv-coordinator 10.0.0.1 8080 --force        after a disaster: serve what is left",
  ],
};

/** What these settings want of the cluster. */
export function wantedOf(settings: CoordinatorSettings): WantedSettings {
  const given: Readonly<Record<string, unknown>> = settings;
  const wanted = settingRows().map(([name, { flag }]) => [name, given[flag]]);
  return Object.fromEntries(wanted) as WantedSettings;
}

function whyWrong(settings: CoordinatorSettings): string | undefined {
  const { force, forcePartition, forceNode, secure, insecure } = settings;
  if (secure && insecure) return "--secure and --insecure exclude each other; leave one out";
  if (settings.joinToken !== undefined && (settings.join === undefined || !secure)) {
    return "--join-token needs --join and --secure";
  }
  const wrongRegister = whyRegisterWrong(settings);
  if (wrongRegister !== undefined) return wrongRegister;
  if (!force && (forcePartition !== undefined || forceNode !== undefined)) {
    return "--force-partition and --force-node need --force";
  }
  return whyWeakSecret(settings.discoverySecret) ?? whyHttpWrong(settings);
}

function whyRegisterWrong(settings: CoordinatorSettings): string | undefined {
  const { register, secure, join } = settings;
  const { registerCa, registerUser, registerPasswordFile, registerCert, registerKey } = settings;
  if (register === undefined) {
    const isGiven = [registerCa, registerUser, registerPasswordFile, registerCert, registerKey]
      .some((value) => value !== undefined);
    return isGiven
      ? "--register-ca, -user, -password-file, -cert and -key need --register"
      : undefined;
  }
  if (secure) {
    return "--secure and --register exclude each other: the authority's key would lie in etcd, and whoever reads etcd or " +
      "a backup of it could pose as any member; leave --register out, and keep the document in the coordinators' folders";
  }
  if (join !== undefined) {
    return "--join and --register exclude each other: who is started with the register has joined";
  }
  if ((registerUser === undefined) !== (registerPasswordFile === undefined)) {
    return "--register-user and --register-password-file need each other";
  }
  if ((registerCert === undefined) !== (registerKey === undefined)) {
    return "--register-cert and --register-key need each other";
  }
  return undefined;
}
