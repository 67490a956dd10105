/**
 * Seeded bugs of membership: leases, heartbeats, the map, failover and moves, at the coordinator and at the node.
 *
 * @module
 */
import type { Mutation } from "./mutation.ts";

export const MEMBERSHIP_MUTATIONS: readonly Mutation[] = [
  {
    name: "a lease never runs out",
    file: "node/membership/lease.ts",
    edits: [[
      "now.monotonicMs < this.#sent.monotonicMs + leaseMs &&\n" +
      "      now.wallMs < this.#sent.wallMs + leaseMs",
      "this.#sent.monotonicMs > -leaseMs",
    ]],
    seedsMax: 40,
    storm: "cuts",
  },
  {
    name: "a lease is longer than the coordinator thinks",
    file: "node/membership/lease.ts",
    edits: [["const leaseMs = this.#leaseMs();", "const leaseMs = 3 * this.#leaseMs();"]],
    seedsMax: 40,
  },
  {
    name: "an old map is good enough for a lease",
    file: "node/membership/lease.ts",
    edits: [["mapEpoch >= this.#epochNeeded &&", "mapEpoch >= 0 &&"]],
    seedsMax: 1,
    test: "tests/unit/node/membership/lease_test.ts",
  },
  {
    name: "a replica that restarted is made primary while others have gone on",
    file: "coordinator/partitions/failover.ts",
    edits: [[
      'replica.presence === "live" && !replica.stale && !replica.damaged',
      'replica.presence === "live" && !replica.damaged',
    ]],
    seedsMax: 60,
    storm: "moves",
  },
  {
    name: "a learner may be made primary",
    file: "coordinator/partitions/failover.ts",
    edits: [[
      "const current = config.inSync.filter((id) => isCurrent(of.replica(id)));",
      "const current = [...config.learners, ...config.inSync].filter((id) => isCurrent(of.replica(id)));",
    ]],
    seedsMax: 60,
    storm: "moves",
  },
  {
    name: "an old copy of the coordinator's document is believed",
    file: "coordinator/membership/document_check.ts",
    edits: [[
      "if (isPast && later === undefined) return undefined;",
      "return undefined;",
    ]],
    seedsMax: 5,
    storm: "documents",
  },
  {
    name: "an old document is told by its epoch alone",
    file: "coordinator/state/lineage.ts",
    edits: [["return next === undefined || seen.epoch < next.from;", "return true || next;"], [
      "if (at < 0) return seen.generation === undefined || seen.epoch < (lineage[0]?.from ?? 0);",
      "if (at < 0) return true;",
    ]],
    seedsMax: 10,
    storm: "documents",
  },
  {
    name: "an old copy of a node's folder counts as the folder",
    file: "coordinator/membership/registration.ts",
    edits: [["if (restarted) checkFolder(state, out, member, message);", ""]],
    seedsMax: 10,
    storm: "put_back",
  },
  {
    name: "a process with an old copy of a folder is let in",
    file: "coordinator/membership/registration.ts",
    edits: [["if (incarnation >= newest && !taken) return undefined;", "return undefined;"]],
    seedsMax: 10,
    storm: "copies",
  },
  {
    name: "a longer lease from before is forgotten",
    file: "coordinator/state/cluster_state.ts",
    edits: [[
      "leaseMsMax: this.leaseMsMax,",
      "leaseMsMax: this.settings.leaseMs,",
    ]],
    seedsMax: 60,
    storm: "leases",
  },
  {
    name: "a lease from before is not waited for",
    file: "coordinator/state/cluster_state.ts",
    edits: [["Math.max(leaseMs, stored.leaseMsMax)", "leaseMs"]],
    seedsMax: 60,
    storm: "leases",
  },
  {
    name: "the coordinator publishes a map that is not on its disk",
    file: "coordinator/state/document_composer.ts",
    edits: [[
      "this.#writing = true;",
      "this.#writing = true;\n    queueMicrotask(() => [cluster, security].forEach((part) => part?.done()));",
    ], ["      cluster?.done();\n      security?.done();\n", ""]],
    seedsMax: 40,
    storm: "coordinator",
  },
  {
    name: "replicas that are not urgently wanted are never made",
    file: "coordinator/partitions/move_queue.ts",
    edits: [["queue.urgent.size > 0 ? queue.urgent : queue.usual;", "queue.urgent;"]],
    seedsMax: 10,
  },
  {
    name: "the coordinator does not notice that it stood still itself",
    file: "coordinator/membership/liveness.ts",
    edits: [["if (ms <= failureTimeoutMs / 2) return;", "if (ms >= 0) return;"]],
    seedsMax: 30,
    storm: "coordinator's standstills",
  },
  {
    name: "a primary that cannot write stays primary",
    file: "coordinator/partitions/mover.ts",
    edits: [[
      "(node?.writable === false && this.#canWriteWithout(partition, id));",
      "(node?.writable === false && this.#canWriteWithout(partition, id) && false);",
    ]],
    seedsMax: 3,
    storm: "full",
  },
  {
    name: "a node does not tell a new coordinator that its disk is full",
    file: "node/node.ts",
    edits: [["if (!this.#disk.writable) this.#reportDisk();", ""]],
    seedsMax: 3,
    storm: "full",
  },
  {
    name: "a node that cannot be told anything is not found out",
    file: "coordinator/membership/liveness.ts",
    edits: [[
      'if (member.session === undefined) return "it has no connection to the TCP port";',
      "if (nowMs >= 0) return undefined;",
    ]],
    seedsMax: 5,
    storm: "outages",
  },
  {
    name: "a deaf node is given leases",
    file: "coordinator/membership/liveness.ts",
    edits: [["lease: hears && hasRight,", "lease: true,"]],
    seedsMax: 40,
    storm: "channels",
  },
  {
    name: "leases are given without the right",
    file: "coordinator/membership/liveness.ts",
    edits: [["lease: hears && hasRight,", "lease: hears,"]],
    seedsMax: 20,
    storm: "coordinators",
  },
  {
    name: "who has become active gives nodes no time to find it",
    file: "coordinator/membership/liveness.ts",
    edits: [["member.lastSeenMs = nowMs + NODE_SEARCH_MS", "member.lastSeenMs = nowMs"]],
    seedsMax: 1,
    test: "tests/unit/coordinator/membership/liveness_test.ts",
  },
  {
    name: "a node asks the coordinator first that does not answer any more",
    file: "node/membership/coordinator_choice.ts",
    edits: [["if (this.#mayAnswer(named, others)) return", "return"]],
    seedsMax: 1,
    test: "tests/unit/node/membership/coordinator_session_test.ts",
  },
  {
    name: "an active coordinator that hears of no node stays active",
    file: "coordinator/coordinator.ts",
    edits: [["this.#register?.release(COORDINATOR_DEAF_PAUSE_MS);", ""]],
    seedsMax: 3,
    storm: "deaf",
  },
  {
    name: "an order about coordinators undoes the one before it",
    file: "coordinator/change_coordinators.ts",
    edits: [["const voters = wanted ?? now;", "const voters = wanted === undefined ? now : now;"]],
    seedsMax: 1,
    test: "tests/unit/coordinator/change_coordinators_test.ts",
  },
  {
    name: "a node that does not take over its map is given partitions",
    file: "coordinator/membership/liveness.ts",
    edits: [["if (map < member.owedEpoch) {", "if (map < 0) {"]],
    seedsMax: 5,
    storm: "outages",
  },
  {
    name: "a coordinator that nobody has reached judges everybody",
    file: "coordinator/membership/liveness.ts",
    edits: [[
      "if (state.members.size > 0) this.#awaitsFirstSinceMs = nowMs;",
      "if (state.members.size < 0) this.#awaitsFirstSinceMs = nowMs;",
    ]],
    seedsMax: 5,
    storm: "outages",
  },
  {
    name: "an old document is gone on from below what nodes have seen",
    file: "coordinator/membership/document_check.ts",
    edits: [["    publisher.leapTo(from);\n", ""]],
    seedsMax: 5,
    storm: "accepted",
  },
  {
    name: "an old document is gone on from without new terms",
    file: "coordinator/membership/document_check.ts",
    edits: [[
      "Math.max(config.term, held.get(p) ?? 0) + ACCEPTED_TERM_LEAP;",
      "config.term;",
    ]],
    seedsMax: 5,
    storm: "accepted",
  },
  {
    name: "what came by datagram counts as heard",
    file: "node/membership/heartbeat_sender.ts",
    edits: [[
      "this.#datagramAckMs = this.#clock.monotonicMs();\n    if (!this.#blocked) return;",
      "this.#datagramAckMs = this.#clock.monotonicMs();\n" +
      "    if (ack.at > (this.#heard?.at ?? -Infinity)) this.#heard = { at: ack.at, askedMs: ack.sent };\n" +
      "    if (!this.#blocked) return;",
    ]],
    seedsMax: 10,
    storm: "outages",
  },
  {
    name: "a lease goes on after the machine has slept",
    file: "node/membership/lease.ts",
    edits: [[
      "now.monotonicMs < this.#sent.monotonicMs + leaseMs &&\n" +
      "      now.wallMs < this.#sent.wallMs + leaseMs;",
      "now.monotonicMs < this.#sent.monotonicMs + leaseMs;",
    ]],
    seedsMax: 40,
    storm: "channels",
  },
  {
    name: "a register that leaps is believed",
    file: "coordinator/membership/registration.ts",
    edits: [["    if (leap <= max) continue;\n", "    if (leap <= max || true) continue;\n"]],
    seedsMax: 1,
    test: "tests/unit/coordinator/membership/registration_test.ts",
  },
  {
    name: "a change of the map is laid on another map than it starts from",
    harmless:
      "a session is sent a change only if it was sent the map before it, on the same connection, in order",
    file: "shared/cluster/cluster_map.ts",
    edits: [["if (delta.fromEpoch !== map.epoch) return undefined;", ""]],
    seedsMax: 20,
    storm: "coordinator",
  },
  {
    name: "a replica with nothing may be made primary",
    harmless:
      "an in-sync replica has acknowledged every committed write, with the partition's state record in " +
      "the batch: if it holds nothing, nothing was committed; one that was wiped as damaged is told apart",
    file: "coordinator/partitions/failover.ts",
    edits: [[
      "const holding = restarted.filter((id) => of.replica(id).held !== undefined);",
      "const holding = restarted;",
    ]],
    seedsMax: 20,
  },
];
