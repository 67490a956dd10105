/**
 * A node that no other node could tell of a newer map asked the coordinators of its map for one, without saying that
 * it looked for coordinators. Over TLS between members that is an internal error, which ends the process: when a node of
 * a secured cluster died, the others ended with it.
 */
import { assertEquals, assertRejects } from "@std/assert";
import { KvError } from "../../shared/base/errors.ts";
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import type { WantedMember } from "../../shared/platform/member_identity.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import type { Transport } from "../../shared/platform/transport.ts";
import { Router, type RouterOptions } from "../../shared/routing/router.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { MemoryNetwork } from "../support/doubles/memory_transport.ts";

const MAP: ClusterMap = {
  epoch: 7,
  nodes: [],
  partitions: [],
  coordinators: [{ id: "c1", host: "coordinator", port: 8080 }],
  settings: {
    clusterId: "cluster",
    clusterName: "test",
    partitionCount: 1,
    replicationFactor: 1,
    minInSync: 1,
    leaseMs: 1_500,
    heartbeatIntervalMs: 500,
    failureTimeoutMs: 2_500,
  },
};

/** Whom a process of this role looks for, when it asks for a newer map. */
async function lookedFor(role: RouterOptions["role"]): Promise<(WantedMember | undefined)[]> {
  const clock = new ManualClock();
  const there = new MemoryNetwork(clock, { delayMs: 1 }).transport("here");
  const wanted: (WantedMember | undefined)[] = [];
  const transport: Transport = {
    ...there,
    connect(_address, _timeoutMs, _onOpen, onFail, member) {
      wanted.push(member);
      onFail(new KvError("unavailable", "refused"));
      return () => {};
    },
  };
  const router = new Router({ clock, random: new SeededRandom(1), transport }, { role });
  router.adopt(MAP);
  const refreshed = router.refresh();
  clock.advance(10_000);
  await assertRejects(() => refreshed, KvError, "no newer cluster map");
  router.close();
  return [...new Set(wanted)];
}

Deno.test("a node that asks coordinators for a map says that it looks for a coordinator", async () => {
  assertEquals(await lookedFor("node"), [{ role: "coordinator" }]);
  assertEquals(await lookedFor("gateway"), [{ role: "coordinator" }]);
});

Deno.test("a client that asks coordinators for a map takes whoever is there: it shows no certificate", async () => {
  assertEquals(await lookedFor("client"), [undefined]);
});
