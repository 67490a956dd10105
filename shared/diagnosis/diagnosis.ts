/**
 * What `kv-client doctor` finds out about a cluster from what all of its processes say: what is wrong now, and what will go
 * wrong one day. Pure.
 *
 * Invariant: what could not be found out is said to be unknown, and never that it is well.
 *
 * @module
 */
import { type ClusterMap, isLaidOut } from "../cluster/cluster_map.ts";
import { formatAddress } from "../platform/transport.ts";
import { isLoopback } from "../platform/network_interface.ts";
import type { Alert } from "./alerts.ts";
import { coordinatorProblems, whoIsActive } from "./coordinator_diagnosis.ts";
import type { CoordinatorsView } from "./coordinator_figures.ts";
import type { ProcessFigures } from "../metrics/figures.ts";

/** `bad`: mend it. `unknown`: it could not be found out. */
export type Verdict = "ok" | "bad" | "unknown";

/** One thing that was looked at. */
export interface Finding {
  readonly about: string;
  readonly verdict: Verdict;
  readonly text: string;
  /** What to do, if it is bad. */
  readonly todo?: string;
}

/** What is looked at. */
export interface Patient {
  readonly map: ClusterMap;
  /** What is wrong now, as the console tells it. */
  readonly alerts: readonly Alert[];
  /** How the coordinators stand; undefined if none was asked. */
  readonly coordinators: CoordinatorsView | undefined;
  /** Each process: what it says, or why it does not. */
  readonly processes: readonly Examined[];
}

/** One process. */
export interface Examined {
  readonly id: string;
  readonly figures: ProcessFigures | undefined;
  readonly error: string | undefined;
  /** Its date minus ours, as if the answer had taken no time back. */
  readonly clockMs: number | undefined;
  /** How long its answer took: a difference of the dates up to this means nothing. */
  readonly answerMs: number;
}

/** From these values on something is to be mended. */
export const DOCTOR_BOUNDS = {
  /** Keys expire by the primary's date: a failover would move the moment by this. */
  clockMs: 1_000,
  /** Each write waits for a sync. */
  syncMs: 50,
  connections: 1_000,
  certificatePart: 0.25,
} as const;

/** All findings, in a fixed order. */
export function diagnose(patient: Patient): Finding[] {
  return [
    answers(patient),
    alerts(patient),
    coordinators(patient),
    redundancy(patient),
    zones(patient),
    versions(patient),
    clocks(patient),
    disks(patient),
    addresses(patient),
    descriptors(patient),
    certificates(patient),
  ];
}

function ok(about: string, text: string): Finding {
  return { about, verdict: "ok", text };
}

function bad(about: string, text: string, todo: string): Finding {
  return { about, verdict: "bad", text, todo };
}

function unknown(about: string, text: string): Finding {
  return { about, verdict: "unknown", text };
}

function answers({ processes }: Patient): Finding {
  const silent = processes.filter(({ figures }) => figures === undefined);
  if (silent.length === 0) return ok("processes", `all ${processes.length} answer`);
  const told = silent.map(({ id, error }) => `${id} (${error ?? "no answer"})`).join(", ");
  return bad(
    "processes",
    `${silent.length} of ${processes.length} do not answer: ${told}`,
    "look at their logs and start them on their folders; a node that is gone for good is taken off the list by forget-node",
  );
}

function alerts({ alerts }: Patient): Finding {
  const [first, ...others] = alerts;
  if (first === undefined) return ok("alerts", "nothing is wrong now");
  const rest = others.map(({ text }) => text).join("; ");
  return bad("alerts", rest === "" ? first.text : `${first.text}; ${rest}`, first.todo);
}

/** What is wrong with each of them, and with their number. Several things may be: each has its own advice. */
function coordinators({ map, coordinators: view }: Patient): Finding {
  const about = "coordinators";
  if (view === undefined) {
    return map.coordinators === undefined
      ? ok(about, "the node is a cluster by itself, and needs none")
      : unknown(about, "none was asked: this is a node's address; name a coordinator's");
  }
  const found = [...coordinatorProblems(view)];
  const [first] = found;
  if (first === undefined) return ok(about, whoIsActive(view));
  return bad(
    about,
    found.map(([text]) => text).join("; "),
    [...new Set(found.map(([, todo]) => todo))].join("; "),
  );
}

function redundancy({ map }: Patient): Finding {
  const { replicationFactor, minInSync } = map.settings;
  const about = "redundancy";
  const up = map.nodes.filter(({ state }) => state === "up").length;
  const what = `${replicationFactor} replicas, ${minInSync} in sync for a write, ${up} nodes up`;
  if (!isLaidOut(map)) return unknown(about, "the cluster is not laid out yet");
  if (replicationFactor === 1) {
    return bad(
      about,
      "each key has one replica: it is gone with its disk",
      "start more nodes, and the coordinator with --replication-factor 3",
    );
  }
  if (up < replicationFactor) {
    return bad(about, what, "start more nodes: there are fewer than each key is to have replicas");
  }
  if (minInSync === 1) {
    return bad(
      about,
      what,
      "start the coordinator with --min-in-sync 2: what a lone replica acknowledges is gone with its disk",
    );
  }
  return ok(about, what);
}

function zones({ map }: Patient): Finding {
  const { replicationFactor } = map.settings;
  const about = "zones";
  const count =
    new Set(map.nodes.filter(({ state }) => state !== "down").map(({ zone }) => zone)).size;
  const what = `${count} zone${count === 1 ? "" : "s"} for ${replicationFactor} replicas`;
  if (replicationFactor === 1 || count >= replicationFactor) return ok(about, what);
  return bad(
    about,
    `${what}: replicas of a key share a machine, or what else --zone names`,
    "run the nodes on machines of their own, or give them their racks as --zone",
  );
}

function versions({ processes }: Patient): Finding {
  const about = "versions";
  const found = new Map<string, string[]>();
  for (const { id, figures } of processes) {
    if (figures?.version === undefined) continue;
    found.set(figures.version, [...found.get(figures.version) ?? [], id]);
  }
  if (found.size === 0) return unknown(about, "no process tells its version");
  const [[version] = [""]] = found;
  if (found.size === 1) return ok(about, `all are ${version}`);
  const told = [...found].map(([one, ids]) => `${one}: ${ids.join(", ")}`).join("; ");
  return bad(about, told, "upgrade the older ones, one after the other");
}

function clocks({ processes }: Patient): Finding {
  const about = "clocks";
  const offsets = processes.flatMap(({ id, clockMs, answerMs }) =>
    clockMs === undefined ? [] : [{ id, clockMs, answerMs }]
  );
  if (offsets.length < 2) return unknown(about, "fewer than two processes tell their date");
  // Each was read between the question and the answer.
  const earliest = Math.min(...offsets.map(({ clockMs, answerMs }) => clockMs + answerMs));
  const latest = Math.max(...offsets.map(({ clockMs }) => clockMs));
  const apartMs = Math.max(0, Math.round(latest - earliest));
  if (apartMs <= DOCTOR_BOUNDS.clockMs) {
    return ok(about, `at most ${Math.max(1, apartMs)} ms apart, as far as the network lets see`);
  }
  const ahead = offsets.find(({ clockMs }) => clockMs === latest)?.id;
  return bad(
    about,
    `at least ${apartMs} ms apart; ${ahead} is ahead`,
    "run an NTP client on all machines: keys expire by the date of their primary, and by another one after a failover",
  );
}

function disks({ processes }: Patient): Finding {
  const about = "disks";
  const told = processes.flatMap(({ id, figures }) =>
    figures?.commitP99Ms === undefined ? [] : [{ id, ms: figures.commitP99Ms }]
  );
  if (told.length === 0) return unknown(about, "nothing has been written yet");
  const slowest = told.reduce((a, b) => b.ms > a.ms ? b : a);
  const what = `99 of 100 batches take ${slowest.ms.toFixed(0)} ms or less, at ${slowest.id}`;
  if (slowest.ms <= DOCTOR_BOUNDS.syncMs) return ok(about, what);
  return bad(
    about,
    what,
    "each write waits for a sync on every replica: use a faster disk, or one that nothing else uses",
  );
}

function addresses({ map }: Patient): Finding {
  const about = "addresses";
  const local = map.nodes.filter(({ host }) => isLoopback(host));
  if (local.length > 0 && local.length < map.nodes.length) {
    return bad(
      about,
      `${
        local.map(formatAddress).join(", ")
      }: others cannot reach a node by its own machine's loopback`,
      "start it with its address on the network, or with --advertise-host",
    );
  }
  const same = map.nodes.map(formatAddress).toSorted().find((one, i, all) => one === all[i + 1]);
  if (same !== undefined) {
    return bad(
      about,
      `two nodes say that they are at ${same}`,
      "take the one that is gone off the list by forget-node",
    );
  }
  return ok(
    about,
    local.length > 0 ? "all on this machine alone" : `${map.nodes.length} addresses`,
  );
}

function descriptors({ processes }: Patient): Finding {
  const about = "descriptors";
  const told = processes.flatMap(({ id, figures }) =>
    figures?.connectionsMax === undefined ? [] : [{ id, max: figures.connectionsMax }]
  );
  if (told.length === 0) return unknown(about, "no process tells how many connections it may have");
  const least = told.reduce((a, b) => b.max < a.max ? b : a);
  const what = `room for ${least.max} clients at ${least.id}`;
  if (least.max >= DOCTOR_BOUNDS.connections) return ok(about, what);
  return bad(
    about,
    what,
    "raise the limit of descriptors: ulimit -n 65536, LimitNOFILE=65536 in the unit",
  );
}

function certificates({ processes }: Patient): Finding {
  const about = "certificates";
  const ends = processes.flatMap(({ id, figures }) => {
    const { certificateFromMs: from, certificateEndMs: until } = figures ?? {};
    return from === undefined || until === undefined ? [] : [{ id, from, until }];
  });
  if (ends.length === 0) return ok(about, "not secured: there are none");
  const first = ends.reduce((a, b) => b.until < a.until ? b : a);
  const date = Math.abs(first.until) <= 8.64e15 ? new Date(first.until).toISOString() : "no date";
  const what = `the first to end is that of ${first.id}: ${date}`;
  // A process that renews its certificate has more than a quarter of its life before it.
  const overdue = ends.find(({ id, from, until }) => {
    const nowMs = dateOf(processes, id);
    return nowMs !== undefined && until - nowMs < DOCTOR_BOUNDS.certificatePart * (until - from);
  });
  if (overdue === undefined) return ok(about, what);
  return bad(
    about,
    `that of ${overdue.id} was not renewed`,
    "look at its log; it must reach the coordinator to renew it",
  );
}

function dateOf(processes: readonly Examined[], id: string): number | undefined {
  return processes.find((one) => one.id === id)?.figures?.dateMs;
}
