/**
 * Three coordinators as real processes whose links are cut: the active one loses the others, or the nodes, or only one
 * direction; links of a standby come and go. Reads and writes go on throughout, and no healthy one is deposed.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { CoordinatorsReport } from "../../../client/calls/call.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { Workload } from "../../support/clients/workload.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { CoordinatorLinks, NODES } from "../../support/worlds/coordinator_links.ts";
import { TestCoordinators } from "../../support/worlds/coordinators.ts";

/**
 * Several times what it is by default, since this test is not about nodes that are late: on a busy machine the heartbeats of
 * a healthy one may be, by seconds. A coordinator that hears no node gives up after this time, which one step waits for.
 */
const FAILURE_TIMEOUT_MS = 10_000;

const ALL = [0, 1, 2];
const OTHERS = (index: number) => ALL.filter((one) => one !== index);

Deno.test("coordinators: links are cut in both directions, in one, and come and go; nobody notices", async (t) => {
  using links = new CoordinatorLinks();
  await using cluster = await TestCluster.start({
    nodes: 0,
    coordinatorFlags: [
      `--advertise-host=${links.hostOf(0)}`,
      `--failure-timeout-ms=${FAILURE_TIMEOUT_MS}`,
    ],
  });
  await using coordinators = await TestCoordinators.add(cluster, 2, links);
  const addresses = ALL.map((index) => formatAddress(links.addressOf(index))).join(",");
  await Promise.all(ALL.map(() => cluster.addNode([`--coordinator=${addresses}`])));
  await cluster.whole({ nodes: 3 });
  await using kv = await coordinators.connect();
  await using workload = Workload.start(kv, "loop");
  const ids = (of: readonly number[]) => of.map((index) => coordinators.idOf(index));

  const statsOf = async (index: number) => {
    const { result } = await coordinators.askOne(index, { req_type: "stats" });
    return result as {
      active: boolean;
      failovers: number;
      nodes: { up: number; down: number };
      coordinators: CoordinatorsReport;
    };
  };
  /** Another one than `before` acts, has all nodes, and has taken none of them to be down. */
  const takenOver = async (before: number): Promise<number> => {
    const active = await coordinators.active(OTHERS(before));
    await cluster.poll("all nodes are with the new active coordinator", async () => {
      const { nodes, active: isActive } = await statsOf(active);
      assert(isActive, "it stays active");
      return nodes.up === 3 ? true : undefined;
    });
    assertEquals((await statsOf(active)).failovers, 0);
    return active;
  };
  const healed = async () => {
    links.heal();
    await Promise.all(ALL.map((index) => coordinators.level(index)));
  };

  await t.step("the active one is cut off from the others, and not from the nodes", async () => {
    const before = await coordinators.active();
    for (const id of ids(OTHERS(before))) links.part(coordinators.idOf(before), id);
    await takenOver(before);
    await healed();
  });

  await t.step("the active one is cut off from the nodes, and not from the others", async () => {
    const before = await coordinators.active();
    links.part(coordinators.idOf(before), NODES);
    await takenOver(before);
    await healed();
  });

  await t.step("what the active one sends to the others is lost, and nothing else", async () => {
    const before = await coordinators.active();
    for (const id of ids(OTHERS(before))) links.cut(coordinators.idOf(before), id);
    await takenOver(before);
    await healed();
  });

  await t.step("a standby loses the active one again and again, and deposes nobody", async () => {
    const active = await coordinators.active();
    const standby = OTHERS(active)[0] ?? 0;
    const { generation } = (await statsOf(active)).coordinators;
    /** How long ago the standby has heard of the active one. */
    const silence = async () => {
      const { coordinators: list } = (await statsOf(standby)).coordinators;
      const line = list.find(({ id }) => id === coordinators.idOf(active));
      return line?.heard_ms ?? Infinity;
    };
    for (let i = 0; i < 3; i++) {
      links.cut(coordinators.idOf(active), coordinators.idOf(standby));
      // By then it has tried to become active itself.
      await cluster.poll(
        "the standby has lost the active one",
        async () => await silence() > 3_000 ? true : undefined,
      );
      links.heal();
      await cluster.poll(
        "the standby hears of the active one",
        async () => await silence() < 1_000 ? true : undefined,
      );
    }
    const after = (await statsOf(active)).coordinators;
    assertEquals([after.generation, after.coordinator], [generation, coordinators.idOf(active)]);
  });

  const { errors, violations, unknown } = await workload.stop();
  assertEquals([errors, violations, unknown, await workload.verify()], [[], [], 0, []]);
});
