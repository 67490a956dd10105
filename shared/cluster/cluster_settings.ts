/**
 * The settings of a cluster, one row each. All else follows from the row: the coordinator's flag with its
 * environment variable, YAML key, help and bounds, the field of the cluster map and its check when a map is read, what
 * a new cluster has, whether it may change, and how it is shown by `stats`, HTTP, `INFO` and in docs/operations.md.
 * A setting is read as `map.settings.NAME`.
 *
 * Not here: settings of one process, which are in the `settings.ts` of its program, and rules between settings
 * (`whyContradictory` of `coordinator/state/cluster_settings.ts`).
 *
 * @module
 */
import {
  NAME_CHARACTERS_MAX,
  PARTITIONS_DEFAULT,
  PARTITIONS_MAX,
  REPLICATION_FACTOR_DEFAULT,
  REPLICATION_FACTOR_MAX,
} from "../limits/cluster.ts";
import { FAILURE_TIMEOUT_MS, HEARTBEAT_INTERVAL_MS, LEASE_MS } from "../limits/membership.ts";

const DURATION_MS_MAX = 600_000;

interface Row {
  /** The flag is `--lease-ms`, the environment variable `KV_LEASE_MS`, the field where it is shown `lease_ms`. */
  readonly flag: string;
  readonly help: string;
  /** Given when the cluster is created, and never changed. */
  readonly fixed?: true;
}

/** A whole number within bounds. */
export interface NumberRow extends Row {
  readonly kind: "number";
  readonly min: number;
  readonly max: number;
  readonly unit?: "ms";
  /** What a new cluster has. A function: it follows other settings until somebody gives it. */
  readonly standard: number | ((others: Readonly<Record<string, string | number>>) => number);
}

/** A text that is not empty. */
export interface TextRow extends Row {
  readonly kind: "text";
  readonly placeholder: string;
  readonly charactersMax: number;
  readonly standard: string;
}

/** The table, by the names of the map's fields. */
export const CLUSTER_SETTINGS = {
  /** By which discovery keeps the clusters of a network apart. */
  clusterName: {
    kind: "text",
    flag: "clusterName",
    placeholder: "NAME",
    charactersMax: NAME_CHARACTERS_MAX,
    standard: "kv",
    fixed: true,
    help:
      "A name for people, by which discovery keeps the clusters of a network apart; fixed when " +
      'the cluster is created ("kv" if none is given).',
  },
  partitionCount: {
    kind: "number",
    flag: "partitions",
    min: 1,
    max: PARTITIONS_MAX,
    standard: PARTITIONS_DEFAULT,
    fixed: true,
    help: "Partitions, a power of two, fixed when the cluster is created " +
      `(${PARTITIONS_DEFAULT} if none is given).`,
  },
  replicationFactor: {
    kind: "number",
    flag: "replicationFactor",
    min: 1,
    max: REPLICATION_FACTOR_MAX,
    standard: REPLICATION_FACTOR_DEFAULT,
    help: `Replicas of each key (${REPLICATION_FACTOR_DEFAULT} in a new cluster).`,
  },
  /** Writes are refused while fewer replicas are in sync. */
  minInSync: {
    kind: "number",
    flag: "minInSync",
    min: 1,
    max: REPLICATION_FACTOR_MAX,
    standard: ({ replicationFactor }) => minInSyncDefault(Number(replicationFactor)),
    help:
      "Writes are refused while fewer replicas are in sync (expired keys are deleted all the same), and a new " +
      "cluster is not laid out until this many nodes are there. By default half of the replicas, rounded up: 2 of 3, 1 of 2. With 1, a " +
      "write may be on one disk alone.",
  },
  leaseMs: {
    kind: "number",
    flag: "leaseMs",
    min: 10,
    max: DURATION_MS_MAX,
    unit: "ms",
    standard: LEASE_MS,
    help: "How long after its last acknowledged heartbeat a node may answer reads alone " +
      `(${LEASE_MS} in a new cluster).`,
  },
  heartbeatIntervalMs: {
    kind: "number",
    flag: "heartbeatIntervalMs",
    min: 1,
    max: DURATION_MS_MAX,
    unit: "ms",
    standard: HEARTBEAT_INTERVAL_MS,
    help: `How often nodes send a heartbeat (${HEARTBEAT_INTERVAL_MS} in a new cluster).`,
  },
  failureTimeoutMs: {
    kind: "number",
    flag: "failureTimeoutMs",
    min: 10,
    max: DURATION_MS_MAX,
    unit: "ms",
    standard: FAILURE_TIMEOUT_MS,
    help:
      "A node that has sent no heartbeat for this long is declared failed. It must be longer than " +
      `a lease with its allowance for clock drift (${FAILURE_TIMEOUT_MS} in a new cluster).`,
  },
} as const satisfies Record<string, NumberRow | TextRow>;

type Table = typeof CLUSTER_SETTINGS;

/** The name of a setting, as the map has it. */
export type SettingName = keyof Table;

/** The value of a setting. */
export type SettingValue<N extends SettingName> = Table[N]["kind"] extends "text" ? string : number;

/** What is fixed, or changes rarely, in a cluster. */
export type ClusterSettings =
  & { readonly [N in SettingName]: SettingValue<N> }
  & {
    readonly clusterId: string;
    /** Settings that nobody has given, and that follow others; absent: none. */
    readonly byDefault?: readonly SettingName[];
  };

/** The rows. */
export function settingRows(): [name: SettingName, row: NumberRow | TextRow][] {
  return Object.entries(CLUSTER_SETTINGS) as [SettingName, NumberRow | TextRow][];
}

/**
 * The settings of a cluster of which only these are given.
 *
 * @param given undefined for what a new cluster has
 */
export function standardSettings(
  clusterId: string,
  given: { readonly [N in SettingName]?: SettingValue<N> | undefined },
): ClusterSettings {
  const values: Record<string, string | number> = {};
  const byDefault: SettingName[] = [];
  for (const [name, { standard }] of settingRows()) {
    const value = given[name];
    if (value !== undefined) values[name] = value;
    else if (typeof standard !== "function") values[name] = standard;
    else {
      // What it follows stands further up in the table.
      values[name] = standard(values);
      byDefault.push(name);
    }
  }
  const settings = { clusterId, ...values, ...(byDefault.length > 0 ? { byDefault } : {}) };
  return settings as unknown as ClusterSettings;
}

/** How settings are shown: by their flags' names in snake case. */
export function settingsShown(settings: ClusterSettings): Record<string, string | number> {
  return Object.fromEntries(
    settingRows().map(([name, { flag }]) => [snakeCase(flag), settings[name]]),
  );
}

/** `leaseMs` is `lease_ms`. */
export function snakeCase(flag: string): string {
  return flag.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/**
 * How many in-sync replicas a write needs unless an operator says otherwise: half of the replicas that were
 * asked for, rounded up. Of three replicas two, of two one, of one one.
 */
export function minInSyncDefault(replicationFactor: number): number {
  return Math.ceil(replicationFactor / 2);
}

/** Form of the settings in a map. */
export function isClusterSettings(value: Readonly<Record<string, unknown>>): boolean {
  const { clusterId, byDefault } = value;
  return typeof clusterId === "string" &&
    (byDefault === undefined || Array.isArray(byDefault)) &&
    settingRows().every(([name, row]) => {
      const given = value[name];
      return row.kind === "text"
        ? typeof given === "string" && given !== ""
        : typeof given === "number" && Number.isSafeInteger(given) && given > 0;
    });
}
