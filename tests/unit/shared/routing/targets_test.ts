import { assertEquals } from "@std/assert";
import type { ClusterMap } from "../../../../shared/cluster/cluster_map.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import type { NodePool } from "../../../../shared/routing/node_pool.ts";
import { Targets } from "../../../../shared/routing/targets.ts";
import { taskOf } from "../../../../shared/routing/task.ts";
import type { KeyRequest } from "../../../../shared/wire/messages.ts";

const CONFIG = { term: 1, primary: "n1", inSync: ["n1", "n2", "n3"], learners: [] };

/** Nodes n1 to n5, some of which are down, some of which cannot be reached. */
function setUp({ self = "", down = "", doubtful = "" } = {}) {
  const nodes = ["n1", "n2", "n3", "n4", "n5"].map((id) => {
    return { id, state: down.includes(id) ? "down" : "up" };
  });
  const pool = {
    node: (id: string) => nodes.find((node) => node.id === id),
    client: (id: string) => ({ isDoubtful: doubtful.includes(id) }),
  } as unknown as NodePool;
  const map = { nodes } as unknown as ClusterMap;
  return { map, targets: new Targets(pool, new SeededRandom(1), self === "" ? undefined : self) };
}

const get = (consistency?: "replica") => {
  const request: KeyRequest = { req_type: "get", key: "k", ...(consistency && { consistency }) };
  return taskOf(request, 0, 100, () => {});
};

Deno.test("Targets.choose: the primary, unless somebody has named a node that there is", () => {
  const { targets } = setUp();
  assertEquals(targets.choose(get(), CONFIG), "n1");
  assertEquals(targets.choose({ ...get(), hint: "n4" }, CONFIG), "n4");
  assertEquals(targets.choose({ ...get(), hint: "n9" }, CONFIG), "n1");
  assertEquals(targets.choose(get(), undefined), undefined);
});

Deno.test("Targets.choose: a hint is good for one attempt", () => {
  const { targets } = setUp();
  const task = { ...get(), hint: "n4" };
  assertEquals([targets.choose(task, CONFIG), targets.choose(task, CONFIG)], ["n4", "n1"]);
});

Deno.test("Targets.choose: a read of any replica tries each of those that are up once", () => {
  const { targets } = setUp({ down: "n2" });
  const task = get("replica");
  const chosen = [];
  for (let i = 0; i < 2; i++) {
    assertEquals(targets.hasUntried(task, CONFIG), i > 0);
    chosen.push(targets.choose(task, CONFIG));
  }
  assertEquals(chosen.toSorted(), ["n1", "n3"]);
  assertEquals(targets.hasUntried(task, CONFIG), false);
  assertEquals(targets.choose(task, CONFIG), "n1", "and then the primary");
});

Deno.test("Targets.choose: the nearest replica is the one in this process", () => {
  assertEquals(setUp({ self: "n3" }).targets.choose(get("replica"), CONFIG), "n3");
});

Deno.test("Targets.wayRound: only if the node cannot be reached, by a replica if one can be", () => {
  const way = (given: Parameters<typeof setUp>[0]) => {
    const { map, targets } = setUp(given);
    return targets.wayRound(map, "n1", CONFIG);
  };
  assertEquals(way({}), undefined);
  assertEquals(way({ doubtful: "n1 n2" }), "n3");
  assertEquals(way({ doubtful: "n1 n2 n3", down: "n4" }), "n5");
  assertEquals(way({ doubtful: "n1 n2 n3", down: "n4", self: "n5" }), undefined);
});
