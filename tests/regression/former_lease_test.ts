/**
 * A coordinator that is started with a shorter lease waits until the longer ones of before have ended.
 * Its second start had forgotten them, for the map on disk by then had the shorter one: started twice
 * within 200 ms, it named another primary 7 s before the lease of one that was cut off ended. Found by a
 * review.
 */
import { assert, assertEquals, assertExists } from "@std/assert";
import { parseStoredCluster, type StoredCluster } from "../../coordinator/state/stored_cluster.ts";
import {
  type DrivenController,
  settled,
  startedAgain,
} from "../support/worlds/membership_world.ts";

const FORMER = { leaseMs: 10_000, failureTimeoutMs: 12_000 };
const NOW = { leaseMs: 1_500, failureTimeoutMs: 2_500 };

/** How long after the cut-off primary's last heartbeat another one is named. */
function takeOverMs(starts: number): number {
  const [world, a, b] = settled(2, {
    settings: { ...FORMER, replicationFactor: 2, partitionCount: 1 },
  });
  assertExists(world.disk);
  assertExists(a);
  assertExists(b);
  const other = world.disk.map.partitions[0]?.primary === a.node ? b : a;
  let disk: StoredCluster = world.disk;
  let writing: StoredCluster | undefined;
  const cutMs = 5_000_000;
  let nowMs = cutMs;
  const start = (): DrivenController => {
    const stored = parseStoredCluster(JSON.parse(JSON.stringify(disk)));
    return startedAgain(stored, NOW, (cluster) => writing = cluster, nowMs);
  };
  const tick = () => {
    controller.tick(nowMs);
    while (writing !== undefined) {
      disk = writing;
      writing = undefined;
      controller.persisted(disk.map.epoch, nowMs);
    }
  };
  let controller = start();
  for (let i = 1; i < starts; i++) {
    tick();
    nowMs += 200;
    controller = start();
  }
  const { node, instance, incarnation } = other;
  controller.register(900, {
    req_type: "register",
    ...{ node, instance, incarnation },
    host: "h",
    port: 1,
    http_port: 0,
    zone: node,
    weight: 1,
    held: [[0, 1, 1, 0]],
  }, nowMs);
  while (controller.published.partitions[0]?.primary !== node) {
    assert(nowMs < cutMs + 60_000, "in the end another one is primary");
    nowMs += 100;
    tick();
    const { epoch } = controller.published;
    controller.heartbeat(
      {
        req_type: "heartbeat",
        ...{ node, instance, incarnation },
        ...{ sent: nowMs, epoch, map: epoch, heard: nowMs, unserved: 0 },
      },
      undefined,
      nowMs,
    );
  }
  const tookOverMs = nowMs - cutMs;
  // The longer lease is not waited for again by those who start from now on.
  tick();
  assertEquals(disk.leaseMsMax, NOW.leaseMs);
  return tookOverMs;
}

for (const starts of [1, 2, 3]) {
  Deno.test(`a former, longer lease is waited for at start ${starts} with a shorter one`, () => {
    const ms = takeOverMs(starts);
    assert(ms >= FORMER.leaseMs, `another primary after ${ms} ms, the lease is ${FORMER.leaseMs}`);
  });
}
