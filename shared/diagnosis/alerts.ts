/**
 * What is wrong with a cluster, in words, and what to do: for the console, `top` and `doctor`. Each has the name of the rule
 * in `ops/prometheus/alerts.yml` that wakes somebody for the same reason, and of its part in docs/operations.md. A rule
 * waits for a while before it does; here things are told at once.
 *
 * Invariant: a process that does not answer is never taken to be well.
 *
 * @module
 */
import { COORDINATOR_AWAY_MS, COORDINATOR_BEHIND_MAX } from "../limits/membership.ts";
import type { CoordinatorsView, CoordinatorView } from "./coordinator_figures.ts";
import type { ClusterFacts, ProcessFigures } from "../metrics/figures.ts";

/** `critical`: something does not work, or data may be lost. `warning`: it may become so. */
export type Severity = "critical" | "warning";

/** One thing that is wrong. */
export interface Alert {
  readonly name: AlertName;
  readonly severity: Severity;
  readonly text: string;
  readonly todo: string;
}

/** A node, by the map and by what it says itself. */
export interface NodeFacts {
  readonly id: string;
  readonly address: string;
  readonly state: string;
  /** Undefined if it does not answer. */
  readonly figures: ProcessFigures | undefined;
}

/** Every alert: how bad it is, and what to do. The same names are in `ops/prometheus/alerts.yml`. */
export const ALERTS = {
  KvProcessDown: {
    severity: "critical",
    todo:
      "Look at its log and start it again on its folder; if its machine is gone, start a node on another one and use forget-node.",
  },
  KvPartitionsWithoutPrimary: {
    severity: "critical",
    todo:
      "Start the nodes that are down on their folders. If they are gone for good, see kv-coordinator --force.",
  },
  KvPartitionsUnserved: {
    severity: "critical",
    todo:
      "If it lasts, look at the logs of the nodes that do not serve: a follower that does not answer, or a full disk.",
  },
  KvWritesRefused: {
    severity: "critical",
    todo: "Too few replicas are in sync. Start the nodes that are down, or add one.",
  },
  KvUnderReplicated: {
    severity: "warning",
    todo:
      "It mends itself while there are enough nodes. If it lasts, start nodes that are down, or add one.",
  },
  KvDocumentUnusable: {
    severity: "critical",
    todo:
      "Make room on the coordinator's disk, or put the newest copy of register.json back: its log says which.",
  },
  KvCoordinatorUnreachable: {
    severity: "critical",
    todo:
      "Start the coordinator, or mend the network to it. Data is served meanwhile; nothing takes over from nodes that die.",
  },
  KvNoActiveCoordinator: {
    severity: "critical",
    todo:
      "Start the coordinators that are away, on their folders. If a majority is gone for good, see kv-coordinator --recover.",
  },
  KvCoordinatorAway: {
    severity: "warning",
    todo:
      "Look at its log and start it on its folder; if it is gone for good, put another one in its place by coordinators replace.",
  },
  KvDiskRefusesWrites: {
    severity: "critical",
    todo:
      "Make room on the disk, or replace it: its log says what failed. The node takes part again by itself.",
  },
  KvDiskAlmostFull: {
    severity: "warning",
    todo: "Add nodes or disk space: a node whose disk is full holds no replicas in sync.",
  },
  KvReplicationBehind: {
    severity: "warning",
    todo:
      "Look at the disk and the processor of the node that is behind, and at the network to it.",
  },
  KvReplicasDamaged: {
    severity: "warning",
    todo:
      "They are filled anew by themselves. A disk that damages data will do it again: replace it.",
  },
  KvSlowDisk: {
    severity: "warning",
    todo: "Each write waits for the disk. Look for what else uses it, or take a faster one.",
  },
  KvEventLoopBlocked: {
    severity: "warning",
    todo:
      "The process is short of processor time, or its machine swaps. Add nodes, or a faster machine.",
  },
  KvRequestsFailing: {
    severity: "warning",
    todo:
      "Look at the other alerts first; the metric kv_requests_total says which requests fail, and with which code.",
  },
  KvConnectionsRefused: {
    severity: "warning",
    todo:
      "Raise the limit of descriptors (ulimit -n, LimitNOFILE), or have clients share connections.",
  },
  KvCertificateEnds: {
    severity: "critical",
    todo:
      "It should have been renewed at two thirds of its life: the log says why not. See kv-client cert list.",
  },
} as const satisfies Record<string, { severity: Severity; todo: string }>;

/** The name of an alert. */
export type AlertName = keyof typeof ALERTS;

/** From these values on something is told; the rules of Prometheus have the same. */
export const ALERT_BOUNDS = {
  /** Free part of the disk. */
  diskFreePart: 0.1,
  lagWrites: 10_000,
  coordinatorBehind: COORDINATOR_BEHIND_MAX,
  commitP99Ms: 250,
  loopDelayP99Ms: 250,
  failuresPart: 0.01,
  /** What is left of a certificate's life; it is renewed with a third left. */
  certificatePart: 0.25,
} as const;

/** What is wrong now, the worst first. @param coordinators undefined if none was asked */
export function alertsOf(
  cluster: ClusterFacts,
  nodes: readonly NodeFacts[],
  wallMs: number,
  coordinators?: CoordinatorsView,
): Alert[] {
  const found: Alert[] = [];
  const add = (name: AlertName, condition: boolean, text: string) => {
    if (condition) found.push({ name, ...ALERTS[name], text });
  };
  const some = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`;
  if (coordinators !== undefined) alertsOfCoordinators(coordinators, add);
  const { partitions, awaitedNodes } = cluster;
  const isLaidOut = awaitedNodes === 0;
  const of = (count: number) => `${some(count, "partition", "partitions")} of ${partitions}`;
  add(
    "KvPartitionsWithoutPrimary",
    isLaidOut && cluster.withoutPrimary > 0,
    `${of(cluster.withoutPrimary)} cannot be read or written: nobody is the primary` +
      (cluster.lost > 0 ? `; ${cluster.lost} of them wait for a node or an operator` : ""),
  );
  // The nodes say it too, for the time when no coordinator hears them.
  const byNodes = nodes.reduce((sum, { figures }) => sum + (figures?.unserved ?? 0), 0);
  const unserved = Math.max(cluster.unserved, byNodes);
  add(
    "KvPartitionsUnserved",
    unserved > 0,
    `${of(unserved)} cannot be served now by the primary`,
  );
  add(
    "KvWritesRefused",
    isLaidOut && cluster.readOnly > 0,
    `writes to ${of(cluster.readOnly)} are refused`,
  );
  add(
    "KvUnderReplicated",
    isLaidOut && cluster.underReplicated > 0,
    `${of(cluster.underReplicated)} have fewer replicas in sync than they should`,
  );
  add(
    "KvReplicasDamaged",
    cluster.damagedReplicas > 0,
    `${some(cluster.damagedReplicas, "replica is", "replicas are")} damaged`,
  );
  add(
    "KvDocumentUnusable",
    cluster.documentStale,
    "the coordinator's document is an old copy: it does nothing",
  );
  add(
    "KvDocumentUnusable",
    cluster.documentFailing,
    "the cluster's map cannot be written to disk",
  );
  for (const node of nodes) alertsOfNode(node, wallMs, add);
  const order = { critical: 0, warning: 1 };
  return found.toSorted((a, b) => order[a.severity] - order[b.severity]);
}

function alertsOfCoordinators(
  { list, hasActive, needed }: CoordinatorsView,
  add: (name: AlertName, condition: boolean, text: string) => void,
): void {
  const there = list.filter(({ figures }) => figures !== undefined);
  const none = list.length > 1
    ? `none of the ${list.length} coordinators answers`
    : "the coordinator does not answer";
  add("KvCoordinatorUnreachable", there.length === 0, none);
  if (there.length === 0) return;
  // One that is alone waits for nobody.
  add(
    "KvNoActiveCoordinator",
    list.length > 1 && !hasActive,
    `no coordinator can act: ${there.length} of ${list.length} answer` +
      (needed === undefined ? "" : `, and ${needed} have to reach each other`),
  );
  for (const one of list) {
    const why = whyAway(one);
    add("KvCoordinatorAway", why !== undefined, `${nameOf(one)} ${why}`);
  }
}

function nameOf({ id, address }: CoordinatorView): string {
  return `coordinator ${id}${address === "" ? "" : ` (${address})`}`;
}

/** Why a coordinator could not take over now, in words that follow its name; undefined if it could. */
export function whyAway(
  { role, figures, silentMs = 0, behind = 0 }: CoordinatorView,
): string | undefined {
  if (role === "waiting") return undefined;
  const isSilent = silentMs > COORDINATOR_AWAY_MS;
  const last = `was last heard of ${Math.round(silentMs / 1_000)} s ago by the active one`;
  if (figures === undefined) return isSilent ? `does not answer, and ${last}` : "does not answer";
  if (isSilent) return last;
  if (behind > COORDINATOR_BEHIND_MAX) return `is ${behind} changes behind`;
  return undefined;
}

function alertsOfNode(
  { id, address, state, figures }: NodeFacts,
  wallMs: number,
  add: (name: AlertName, condition: boolean, text: string) => void,
): void {
  const who = `node ${id} (${address})`;
  add("KvProcessDown", state === "down", `${who} is down`);
  if (figures === undefined) {
    add("KvProcessDown", state !== "down", `${who} counts as ${state}, and does not answer`);
    return;
  }
  const { diskFreeBytes: free, diskSizeBytes: size } = figures;
  const { requestsPerSecond: rate = 0, failuresPerSecond: failures = 0 } = figures;
  add("KvCoordinatorUnreachable", figures.registered === false, `${who} has lost the coordinator`);
  add("KvDiskRefusesWrites", figures.diskWritable === false, `the disk of ${who} takes no writes`);
  add(
    "KvDiskAlmostFull",
    free !== undefined && size !== undefined && free < ALERT_BOUNDS.diskFreePart * size,
    `the disk of ${who} is ${percent(1 - (free ?? 0) / (size ?? 1))} full`,
  );
  add(
    "KvReplicationBehind",
    (figures.lagWrites ?? 0) > ALERT_BOUNDS.lagWrites,
    `followers of ${who} have ${figures.lagWrites} writes not on disk`,
  );
  add(
    "KvSlowDisk",
    (figures.commitP99Ms ?? 0) > ALERT_BOUNDS.commitP99Ms,
    `the disk of ${who} takes ${Math.round(figures.commitP99Ms ?? 0)} ms for a batch (p99)`,
  );
  add(
    "KvEventLoopBlocked",
    (figures.loopDelayP99Ms ?? 0) > ALERT_BOUNDS.loopDelayP99Ms,
    `${who} stands still for ${Math.round(figures.loopDelayP99Ms ?? 0)} ms at a time (p99)`,
  );
  add(
    "KvRequestsFailing",
    failures > ALERT_BOUNDS.failuresPart * rate && failures > 0,
    `${percent(failures / Math.max(rate, failures))} of the requests at ${who} fail`,
  );
  add(
    "KvConnectionsRefused",
    (figures.refusedPerSecond ?? 0) > 0,
    `${who} refuses connections: it has ${figures.connections} of ${figures.connectionsMax}`,
  );
  const { certificateFromMs: from = -Infinity, certificateEndMs: until = Infinity } = figures;
  add(
    "KvCertificateEnds",
    until - wallMs < ALERT_BOUNDS.certificatePart * (until - from),
    `the certificate of ${who} ends ${dateText(until)}`,
  );
}

/** A process may say anything. */
function dateText(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : "at no date";
}

function percent(part: number): string {
  return `${(100 * part).toFixed(part < 0.1 ? 1 : 0)} %`;
}
