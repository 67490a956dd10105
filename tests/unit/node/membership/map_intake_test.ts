import { assertEquals } from "@std/assert";
import type { KvError } from "../../../../shared/base/errors.ts";
import type {
  ClusterMap,
  ClusterMapDelta,
  PartitionConfig,
} from "../../../../shared/cluster/cluster_map.ts";
import type {} from "../../../../shared/platform/logger.ts";
import { NO_LOG } from "../../../support/doubles/no_log.ts";
import { MapIntake } from "../../../../node/membership/map_intake.ts";

const config = (term: number): PartitionConfig => ({
  term,
  primary: "n1",
  inSync: ["n1"],
  learners: [],
});

function mapOf(epoch: number, clusterId = "c1"): ClusterMap {
  return {
    epoch,
    settings: {
      clusterId,
      clusterName: "test",
      partitionCount: 1,
      replicationFactor: 1,
      minInSync: 1,
      leaseMs: 1500,
      heartbeatIntervalMs: 500,
      failureTimeoutMs: 2500,
    },
    nodes: [{
      id: "n1",
      host: "node",
      port: 8081,
      httpPort: 0,
      zone: "z",
      weight: 1,
      incarnation: 4,
      state: "up",
    }],
    partitions: [config(epoch)],
  };
}

const deltaTo = (epoch: number, fromEpoch = epoch - 1): ClusterMapDelta => ({
  fromEpoch,
  epoch,
  partitions: [[0, config(epoch)]],
});

/** An intake that knows a map or none, and what it called. */
function setUp({ known, clusterId }: { known?: ClusterMap; clusterId?: string } = {}) {
  const lines: string[] = [];
  const joins: ((error?: KvError) => void)[] = [];
  const intake = new MapIntake({
    log: NO_LOG,
    known,
    clusterId: () => clusterId,
    joinCluster: ({ settings }, done) => {
      lines.push(`join ${settings.clusterId}`);
      joins.push(done);
    },
    onMap: ({ epoch }) => void lines.push(`map ${epoch}`),
    onJoinFailed: ({ code }) => void lines.push(`failed ${code}`),
  });
  const refusal = (map: ClusterMap) => {
    const refused = intake.whyRefused(map, "there");
    return refused && [refused.error.code, refused.mistrust];
  };
  return { intake, lines, joins, refusal };
}

Deno.test("MapIntake.whyRefused: another cluster, an older map, and what is no map", () => {
  const { refusal } = setUp({ known: mapOf(5), clusterId: "c1" });
  assertEquals(refusal(mapOf(5)), undefined);
  assertEquals(refusal(mapOf(4)), ["stale_incarnation", true]);
  assertEquals(refusal(mapOf(9, "c2")), ["wrong_cluster", false]);
  assertEquals(refusal({ ...mapOf(9), partitions: [] }), ["bad_request", false]);
  assertEquals(setUp().refusal(mapOf(1, "any")), undefined);
});

Deno.test("MapIntake.adopt: the first map waits until its cluster is noted down; then the newest is used", () => {
  const { intake, lines, joins } = setUp();
  intake.adopt(mapOf(1));
  assertEquals(intake.onDelta(deltaTo(2)), true);
  assertEquals([lines.splice(0), intake.joined], [["join c1"], false]);
  joins[0]?.();
  intake.adopt(mapOf(3));
  assertEquals([lines, intake.joined], [["map 2", "map 3"], true]);
});

Deno.test("MapIntake.onDelta: a change that does not follow the map asks for a whole one, an old one for nothing", () => {
  const { intake, lines } = setUp({ known: mapOf(5) });
  assertEquals([intake.onDelta(deltaTo(5)), intake.onDelta(deltaTo(3))], [true, true]);
  assertEquals([intake.onDelta(deltaTo(8)), lines], [false, []]);
  assertEquals([intake.onDelta(deltaTo(6)), lines, intake.map?.epoch], [true, ["map 6"], 6]);
  assertEquals(setUp().intake.onDelta(deltaTo(2)), true, "before the first whole map");
});

Deno.test("MapIntake.onAcknowledged: a newer map counts as lost when two heartbeats in a row tell of it", () => {
  const { intake } = setUp({ known: mapOf(5) });
  const told = (epochs: number[]) => epochs.map((epoch) => intake.onAcknowledged(epoch));
  assertEquals(told([6, 5, 6, 6]), [false, false, false, true]);
  intake.adopt(mapOf(6));
  assertEquals(told([6, 7]), [false, false]);
});

Deno.test("MapIntake.close: nothing is called any more", () => {
  const { intake, lines, joins } = setUp();
  intake.adopt(mapOf(1));
  intake.close();
  joins[0]?.();
  assertEquals(lines, ["join c1"]);
});
