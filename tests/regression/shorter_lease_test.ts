/**
 * A coordinator that is started again with a shorter lease, and whose first write of the map takes long,
 * acknowledged heartbeats under the old map until then. Nodes so held the old, longer lease, but it was
 * counted with the new one: a second primary could serve while the first one still answered by its
 * lease. Found by a review.
 */
import { assert, assertExists } from "@std/assert";
import type { StoredCluster } from "../../coordinator/state/stored_cluster.ts";
import { type Process, settled, startedAgain } from "../support/worlds/membership_world.ts";

const FORMER = { leaseMs: 3_000, failureTimeoutMs: 5_000 };
const NOW = { leaseMs: 1_500, failureTimeoutMs: 2_500 };
const HEARTBEAT_MS = 500;

Deno.test("nobody is made primary while another one's lease of before lasts", () => {
  const [world, a, b] = settled(2, {
    settings: { ...FORMER, replicationFactor: 2, partitionCount: 1 },
  });
  const { disk } = world;
  assertExists(a);
  assertExists(b);
  assertExists(disk);
  const [primary, other] = disk.map.partitions[0]?.primary === a.node ? [a, b] : [b, a];
  // A new coordinator, on the same disk.
  const startMs = 5_000_000;
  let nowMs = startMs;
  let writing: StoredCluster | undefined;
  const controller = startedAgain(disk, NOW, (cluster) => writing = cluster, nowMs);
  const identity = ({ node, instance, incarnation }: Process) => ({ node, instance, incarnation });
  const register = (process: Process, session: number) =>
    controller.register(session, {
      req_type: "register",
      ...identity(process),
      host: "h",
      port: 1,
      http_port: 0,
      zone: process.node,
      weight: 1,
      held: [[0, 1, 1, 0]],
    }, nowMs);
  nowMs += 100;
  register(primary, 1);
  register(other, 2);
  let leaseUntilMs = 0;
  const beat = (process: Process) => {
    const { epoch } = controller.published;
    const ack = controller.heartbeat(
      {
        req_type: "heartbeat",
        ...identity(process),
        ...{ sent: nowMs, epoch, map: epoch, heard: nowMs, unserved: 0 },
      },
      undefined,
      nowMs,
    );
    // As a node does: the lease of the map that it has, unless the acknowledgement names a newer one.
    if (process !== primary || ack?.lease !== true || ack.epoch > epoch) return;
    leaseUntilMs = nowMs + FORMER.leaseMs;
  };
  const written = () => {
    const stored = writing;
    writing = undefined;
    if (stored !== undefined) controller.persisted(stored.map.epoch, nowMs);
  };
  let tookOver = false;
  // The disk takes six seconds; after three and a half the primary is not heard any more.
  while (nowMs < startMs + 9_000) {
    nowMs += 100;
    if (nowMs % HEARTBEAT_MS === 0) {
      beat(other);
      if (nowMs <= startMs + 3_500) beat(primary);
    }
    controller.tick(nowMs);
    if (nowMs >= startMs + 6_100) { while (writing !== undefined) written(); }
    // Nobody was told that it is registered before that.
    if (nowMs === startMs + 6_200) register(other, 3);
    if (controller.published.partitions[0]?.primary !== other.node) continue;
    tookOver = true;
    const early = leaseUntilMs - nowMs;
    assert(early <= 0, `another primary is published ${early} ms before the old lease ends`);
  }
  assert(tookOver, "in the end another one is primary");
});
