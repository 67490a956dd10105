/**
 * What is left when nothing is to be done: queued work, timers, connections. An idle process has as
 * many as its standing work needs, and a closed one has none.
 *
 * @module
 */
import { REQUEST_TIMEOUT_MS } from "../../../shared/limits/requests.ts";
import type { SimProcess } from "../sim/scheduler.ts";
import type { World } from "../sim/world.ts";

/** After which a process that was closed must have let go of everything. */
export const OPEN_AFTER_CLOSE_MS = 2 * REQUEST_TIMEOUT_MS;

/** Of an idle node: beside a few for each other node. */
const NODE_TIMERS_MAX = 10;
const NODE_TIMERS_PER_PEER_MAX = 3;
/** To each other node: one as its primary, one as its replica, one to pass requests on, each way. */
const STREAMS_PER_PEER_MAX = 6;
const COORDINATOR_TIMERS_MAX = 6;
const CLIENT_TIMERS_MAX = 4;

/** Work that waits although nobody wants anything; undefined if there is none. */
export function whatIsQueued(world: World): string | undefined {
  for (const { name, runtime } of world.members) {
    if (runtime === undefined) continue;
    const { in_flight, waiting, reports } = runtime.node.stats();
    const { outstanding } = runtime.server;
    for (const [what, count] of Object.entries({ in_flight, waiting, reports, outstanding })) {
      if (count !== 0) return `${name}: ${what} is ${count} although nothing is to be done`;
    }
  }
  const stats = world.coordinator?.stats();
  for (const what of ["moves", "handovers", "lost_partitions"]) {
    const count = stats?.[what];
    if (count !== 0) return `coordinator: ${what} is ${count} although nothing is to be done`;
  }
  return undefined;
}

/** More timers, streams or sockets than there may be; undefined if that is not so. */
export function whatIsOpen(world: World, when: "idle" | "closed"): string | undefined {
  const nodes = world.members.length;
  const clients = world.clientProcesses.length;
  const peers = nodes - 1;
  const limits = (timers: number, streams: number, sockets: number) =>
    when === "closed" ? { timers: 0, streams: 0, sockets: 0 } : { timers, streams, sockets };
  const check = (
    process: SimProcess | undefined,
    most: { timers: number; streams: number; sockets: number },
  ) => {
    if (process === undefined) return undefined;
    const found = {
      timers: process.timers,
      streams: world.network.openStreams(process, when === "closed"),
      sockets: world.network.openSockets(process),
    };
    for (const what of ["timers", "streams", "sockets"] as const) {
      if (found[what] <= most[what]) continue;
      return `${process.name} (${when}) has ${found[what]} ${what}, at most ${most[what]} are due`;
    }
    return undefined;
  };
  for (const { process } of world.members) {
    const wrong = check(
      process,
      limits(
        NODE_TIMERS_MAX + NODE_TIMERS_PER_PEER_MAX * peers,
        STREAMS_PER_PEER_MAX * peers + 2 * clients + 3,
        // In a secured cluster members have a port of their own.
        world.shape.secured ? 3 : 2,
      ),
    );
    if (wrong !== undefined) return wrong;
  }
  const wrong = check(
    world.coordinatorProcess,
    // For each node that the gateway keeps a connection to: its pings, and the wait for their answers.
    limits(
      COORDINATOR_TIMERS_MAX + 3 * nodes + 2 * world.standbys.length,
      4 * nodes + 2 * clients + 4 * world.standbys.length,
      2,
    ),
  );
  if (wrong !== undefined) return wrong;
  for (const process of world.clientProcesses) {
    const wrong = check(process, limits(CLIENT_TIMERS_MAX + nodes, 2 * world.hosts.length + 2, 0));
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}
