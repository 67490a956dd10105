import { assertEquals } from "@std/assert";
import type { ClusterMap } from "../../../../shared/cluster/cluster_map.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { KEEP_MAP_MS_MIN, KEEP_MAP_REST } from "../../../../shared/limits/membership.ts";
import type {} from "../../../../shared/platform/logger.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";
import {
  keptMapDocument,
  MapKeeper,
  parseKeptMap,
} from "../../../../node/membership/map_keeper.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

function map(epoch: number): ClusterMap {
  return {
    epoch,
    settings: {
      clusterId: "c",
      clusterName: "test",
      partitionCount: 1,
      replicationFactor: 1,
      minInSync: 1,
      leaseMs: 1_500,
      heartbeatIntervalMs: 500,
      failureTimeoutMs: 2_500,
    },
    nodes: [{
      id: "n1",
      host: "n1",
      port: 1,
      httpPort: 0,
      zone: "n1",
      weight: 1,
      incarnation: 1,
      state: "up",
    }],
    partitions: [{ term: 1, primary: "n1", inSync: ["n1"], learners: [] }],
  };
}

/** A keeper whose writes last as long as they are told, and fail when they are told. */
function keeper(keptEpoch = 0) {
  const clock = new ManualClock();
  const disk = { written: [] as number[], begun: [] as number[], tookMs: 1, full: false };
  const keeper = new MapKeeper({ clock, log: NO_LOG }, {
    keptEpoch,
    write: ({ epoch }) =>
      new Promise((resolve, reject) => {
        disk.begun.push(epoch);
        clock.setTimer(disk.tookMs, () => {
          if (disk.full) {
            reject(new KvError("storage_failed", "no space is left"));
            return;
          }
          disk.written.push(epoch);
          resolve();
        });
      }),
  });
  return { clock, disk, keeper };
}

Deno.test("MapKeeper: the first map is written at once, and of those that follow the newest", async () => {
  const { clock, disk, keeper: maps } = keeper();
  maps.keep(map(3));
  assertEquals(disk.begun, [3]);
  maps.keep(map(4));
  maps.keep(map(5));
  await clock.run(KEEP_MAP_MS_MIN - 1);
  assertEquals(disk.begun, [3]);
  await clock.run(10);
  assertEquals(disk.written, [3, 5]);
});

Deno.test("MapKeeper: never an older map, nor the same again", async () => {
  const { clock, disk, keeper: maps } = keeper(4);
  for (const epoch of [3, 4, 5, 5, 4]) maps.keep(map(epoch));
  await clock.run(10 * KEEP_MAP_MS_MIN);
  assertEquals(disk.written, [5]);
});

Deno.test("MapKeeper: a write that takes long is followed by a longer rest", async () => {
  const { clock, disk, keeper: maps } = keeper();
  disk.tookMs = KEEP_MAP_MS_MIN;
  maps.keep(map(1));
  await clock.run(disk.tookMs);
  maps.keep(map(2));
  await clock.run(KEEP_MAP_REST * disk.tookMs - 10);
  assertEquals(disk.begun, [1]);
  await clock.run(20);
  assertEquals(disk.begun, [1, 2]);
});

Deno.test("MapKeeper: what the disk refuses is written later, or something newer in its place", async () => {
  const { clock, disk, keeper: maps } = keeper();
  disk.full = true;
  maps.keep(map(1));
  await clock.run(3 * KEEP_MAP_MS_MIN);
  disk.full = false;
  await clock.run(2 * KEEP_MAP_MS_MIN);
  assertEquals(disk.written, [1]);
  disk.full = true;
  maps.keep(map(2));
  await clock.run(2 * KEEP_MAP_MS_MIN);
  maps.keep(map(3));
  disk.full = false;
  await clock.run(2 * KEEP_MAP_MS_MIN);
  assertEquals(disk.written, [1, 3]);
});

Deno.test("MapKeeper.close: waits for the write under way, and begins no other", async () => {
  const { clock, disk, keeper: maps } = keeper();
  maps.keep(map(1));
  maps.keep(map(2));
  let closed = false;
  const closing = maps.close().then(() => closed = true);
  await clock.run(0);
  assertEquals(closed, false);
  await clock.run(10 * KEEP_MAP_MS_MIN);
  await closing;
  maps.keep(map(3));
  await clock.run(10 * KEEP_MAP_MS_MIN);
  assertEquals(disk.begun, [1]);
});

Deno.test("parseKeptMap: gives back what was kept, and nothing that is none or of another cluster", () => {
  const document = JSON.parse(JSON.stringify(keptMapDocument(map(7))));
  assertEquals(parseKeptMap(document, "c"), map(7));
  const { map: kept } = document;
  const cases: unknown[] = [
    undefined,
    null,
    7,
    "text",
    [],
    {},
    { format: 1 },
    { format: 2, map: kept },
    { format: 1, map: { ...kept, partitions: [] } },
    { format: 1, map: { ...kept, nodes: [] } },
    { format: 1, map: { ...kept, epoch: -1 } },
  ];
  for (const one of cases) assertEquals(parseKeptMap(one, "c"), undefined, JSON.stringify(one));
  assertEquals(parseKeptMap(document, "d"), undefined);
  assertEquals(parseKeptMap(document, undefined), undefined);
});
