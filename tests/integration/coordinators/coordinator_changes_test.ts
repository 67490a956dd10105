/**
 * The set of coordinators changes, and whoever carries it out is killed on the way, at each step; a change is called
 * off; folders that are none of this cluster's take no part. Real processes; reads and writes go on throughout.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { CoordinatorsReport } from "../../../client/calls/call.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { TestCoordinators } from "../../support/worlds/coordinators.ts";
import { Workload } from "../../support/clients/workload.ts";

const ALL = [0, 1, 2];
const OTHERS = (index: number) => ALL.filter((one) => one !== index);

type Line = CoordinatorsReport["coordinators"][number];

/** How they stand, as one of those that answer says it. */
async function linesOf(
  coordinators: TestCoordinators,
  among?: readonly number[],
): Promise<readonly Line[]> {
  const reply = await coordinators.ask({ req_type: "coordinators" }, among);
  return (reply?.result as CoordinatorsReport | undefined)?.coordinators ?? [];
}

/** Waits until these, and nobody else, are coordinators, none on its way in or out. */
async function areNow(coordinators: TestCoordinators, ids: readonly string[], at: number[]) {
  await coordinators.cluster.poll(`the coordinators are ${ids.join(" ")}`, async () => {
    const lines = await linesOf(coordinators, at);
    const seated = lines.filter(({ role }) => role === "active" || role === "standby");
    const isSettled = lines.every(({ role }) => role !== "joining" && role !== "leaving");
    const isActive = seated.some(({ role }) => role === "active");
    return isSettled && isActive && seated.map(({ id }) => id).toSorted().join() === ids.join() ||
      undefined;
  });
}

Deno.test("coordinators: who carries out a change is killed at each step; it goes through, or is called off", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1 });
  await using coordinators = new TestCoordinators(cluster);
  await coordinators.startAnother();
  await coordinators.startAnother();
  await using kv = await cluster.connect();
  await using workload = Workload.start(kv, "loop");
  const waiting = (ids: string) =>
    cluster.poll(`${ids} wait`, async () => {
      const lines = await linesOf(coordinators, [0]);
      const found = lines.filter(({ role }) => role === "waiting").map(({ id }) => id).toSorted();
      return found.join() === ids || undefined;
    });
  const isJoining = async (id: string) =>
    (await linesOf(coordinators, [0])).some((line) => line.id === id && line.role === "joining") ||
    undefined;
  let answer: unknown = "none";
  /** An order whose answer is not waited for: whoever has it may die. It is shown if what was ordered does not come. */
  const order = (change: object, at = 0) =>
    void coordinators.askOne(at, { req_type: "coordinators_change", ...change })
      .then((reply) => answer = reply, (error) => answer = String(error));

  await t.step(
    "while a new one is not level yet: the change goes on after the restart",
    async () => {
      await waiting("c2,c3");
      coordinators.processOf(2).signal("SIGSTOP");
      await cluster.poll("c3 is joining", async () => {
        if (await isJoining("c3")) return true;
        order({ add: ["c2", "c3"] });
        return undefined;
      }, () => answer);
      await coordinators.processOf(0).crash();
      await coordinators.restart(0);
      await cluster.poll("c3 is joining still", () => isJoining("c3"));
      coordinators.processOf(2).signal("SIGCONT");
      await areNow(coordinators, ["c1", "c2", "c3"], [0]);
    },
  );

  await t.step(
    "at any moment of a removal and of an addition, the active one is killed",
    async () => {
      let out = 2;
      for (const [i, pauseMs] of [0, 5, 15, 40].entries()) {
        const isRemoval = i % 2 === 0;
        const active = await coordinators.active();
        // The first one would begin another cluster on an empty folder.
        if (isRemoval) out = active === 2 ? 1 : 2;
        const id = coordinators.idOf(out);
        const change = isRemoval ? { remove: [id] } : { add: [id] };
        order(change, active);
        // Whichever step that is: what follows holds for each.
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        await coordinators.processOf(active).crash();
        await coordinators.restart(active);
        const stay = OTHERS(out);
        await cluster.poll("the change is done, or is ordered again", async () => {
          const now = await coordinators.active();
          const line = (await linesOf(coordinators, [now])).find((one) => one.id === id);
          const isIn = line !== undefined && line.role !== "waiting";
          if (isIn !== isRemoval) return true;
          order(change, now);
          return undefined;
        });
        if (isRemoval) {
          await areNow(coordinators, stay.map((index) => coordinators.idOf(index)), stay);
          // A removed folder is of no use any more.
          await coordinators.processOf(out).crash();
          await Deno.remove(coordinators.folderOf(out), { recursive: true });
          await coordinators.restart(out);
        } else await areNow(coordinators, ["c1", "c2", "c3"], stay);
      }
    },
  );

  const { errors, violations } = await workload.stop();
  assertEquals([errors, violations, await workload.verify()], [[], [], []]);
});

Deno.test("coordinators: one that is being added and does not come is called off by its removal", async () => {
  await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1 });
  await using coordinators = new TestCoordinators(cluster);
  await coordinators.startAnother();
  await cluster.poll("c2 waits", async () => {
    const lines = await linesOf(coordinators, [0]);
    return lines.some(({ role }) => role === "waiting") || undefined;
  });
  coordinators.processOf(1).signal("SIGSTOP");
  // By no process that has to start first: of one that is silent for seconds, nobody knows any more that it waits.
  const adding = coordinators.askOne(0, { req_type: "coordinators_change", add: ["c2"] })
    .catch(() => {});
  await cluster.poll("c2 is joining", async () => {
    const lines = await linesOf(coordinators, [0]);
    return lines.some(({ id, role }) => id === "c2" && role === "joining") || undefined;
  });
  const { stdout } = await cluster.client("coordinators", "remove", "c2");
  assertStringIncludes(stdout, "c1");
  assert(!stdout.includes("joining"), stdout);
  await adding;
  await areNow(coordinators, ["c1"], [0]);
});

Deno.test("coordinators: a folder that was removed, and one of another cluster, take no part", async (t) => {
  await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1 });
  await using coordinators = await TestCoordinators.add(cluster, 2);
  await using kv = await coordinators.connect();
  await kv.put("k", "v");
  const record = (index: number) => `${coordinators.folderOf(index)}/register.json`;

  await t.step("one of another cluster, in the place of a coordinator's", async () => {
    await using stranger = await TestCluster.start({ nodes: 0 });
    await stranger.coordinatorProcess.crash();
    await coordinators.processOf(1).crash();
    const own = await Deno.readFile(record(1));
    await Deno.copyFile(`${stranger.folder}/coordinator/register.json`, record(1));
    await coordinators.restart(1);
    await kv.put("k", "w");
    await cluster.poll("c2 is away, since nothing of the stranger counts", async () => {
      const line = (await linesOf(coordinators, [0, 2])).find(({ id }) => id === "c2");
      return (line?.heard_ms ?? Infinity) > 5_000 || undefined;
    });
    await areNow(coordinators, ["c1", "c2", "c3"], [0, 2]);
    await coordinators.processOf(1).crash();
    await Deno.writeFile(record(1), own);
    await coordinators.restart(1);
    await coordinators.level(1);
  });

  await t.step("one that was removed, and is started again", async () => {
    await coordinators.change({ remove: ["c3"] });
    await areNow(coordinators, ["c1", "c2"], [0, 1]);
    await coordinators.processOf(2).crash();
    await coordinators.restart(2);
    const process = coordinators.processOf(2);
    await cluster.poll(
      "it says that it was removed",
      () => Promise.resolve(process.log.some((line) => line.includes("was removed")) || undefined),
    );
    const reply = await coordinators.askOne(2, { req_type: "coordinators" });
    const { active } = (reply.detail ?? {}) as { active?: string };
    assert(reply.req_type === "result" || active !== undefined, "it shows the way");
    await areNow(coordinators, ["c1", "c2"], [0, 1]);
  });
  assertEquals(await kv.getText("k"), "w");
});
