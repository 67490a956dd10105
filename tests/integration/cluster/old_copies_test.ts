/**
 * Old copies that an operator puts back, as files of real processes: a data folder that was copied while its node ran,
 * and the coordinator's document of before.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { TestCluster } from "../../support/worlds/cluster.ts";

const KEYS = 200;
/** So many more refusals: with each of them, the fault of before brought the document nearer to being believed. */
const REFUSALS = 12;

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    if (entry.isDirectory) await copyFolder(source, target);
    else {
      await Deno.copyFile(source, target).catch((error) => {
        // Files come and go while the node runs.
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
    }
  }
}

Deno.test("cluster: a data folder copied while its node ran, and put back, is filled anew and leads nothing before", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await using kv = await cluster.connect();
  const write = async (value: string) => {
    for (let i = 0; i < KEYS; i++) await kv.put(`key ${i}`, value, { timeoutMs: 60_000 });
  };
  await write("old");
  const copy = `${cluster.folder}/copy`;
  await copyFolder(cluster.nodeFolder(0), copy);
  await write("acknowledged");
  // The coordinator knows by heartbeats how far a node is. A drop is answered when each primary has sent one since (C13).
  await cluster.order({ req_type: "database_create", database: "orders" });
  await cluster.order({ req_type: "database_drop", database: "orders" });

  // It dies with the others, and the copy is the first to come back: whoever leads with it loses what was acknowledged.
  await Promise.all([0, 1, 2].map((index) => cluster.crash(index)));
  await Deno.remove(cluster.nodeFolder(0), { recursive: true });
  await Deno.rename(copy, cluster.nodeFolder(0));
  await cluster.restart(0);
  const { log } = cluster.coordinatorProcess;
  await cluster.poll("the coordinator has noticed", () =>
    Promise.resolve(
      log.some((line) => line.includes("an old copy of its folder was put back")) || undefined,
    ));
  // It is in the log before the map that takes away what its earlier process led is on the coordinator's disk.
  const { port } = cluster.nodeAddress(0);
  await cluster.waitFor("it leads nothing", ({ nodes, partitions }) => {
    const id = nodes.find((node) => node.port === port)?.id;
    return partitions.every(({ primary }) => primary !== id);
  });

  // With one that has everything it is served, and the copy is filled; then the other one dies as well.
  await cluster.restart(1);
  await cluster.restart(2);
  await cluster.whole({ nodes: 3 });
  await cluster.crash(1);
  for (let i = 0; i < KEYS; i++) {
    assertEquals(await kv.getText(`key ${i}`, { timeoutMs: 60_000 }), "acknowledged", `key ${i}`);
  }
});

Deno.test("cluster: an old copy of the coordinator's document stays refused, and the newest one goes on", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await using kv = await cluster.connect();
  await kv.put("k", "v");
  const file = `${cluster.folder}/coordinator/register.json`;
  const old = await Deno.readFile(file);
  await cluster.crash(2);
  await cluster.whole({ nodes: 2 });
  await cluster.restart(2);
  await cluster.whole({ nodes: 3 });
  const { epoch } = await cluster.map();
  await cluster.coordinatorProcess.crash();
  const newest = await Deno.readFile(file);

  await Deno.writeFile(file, old);
  await cluster.restartCoordinator();
  const stale = () => cluster.stats("coordinator").then((stats) => stats.stale_document);
  const said = await cluster.poll("it says so", async () => await stale() ?? undefined);
  assertStringIncludes(String(said), "--accept-epoch");
  const refusals = () =>
    cluster.coordinatorProcess.log.filter((line) => line.includes("a registration was refused"))
      .length;
  await cluster.poll(
    "the nodes were refused again and again",
    () => Promise.resolve(refusals() >= REFUSALS || undefined),
    refusals,
  );
  assertEquals(await stale(), said);
  assertEquals(await kv.getText("k"), "v");
  await kv.put("k", "meanwhile");

  await cluster.coordinatorProcess.crash();
  await Deno.writeFile(file, newest);
  await cluster.restartCoordinator();
  const { epoch: now } = await cluster.whole({ nodes: 3 });
  assert(now >= epoch);
  assertEquals(await kv.getText("k"), "meanwhile");
});
