/**
 * A block of a LevelDB file that cannot be decoded any more was noticed as damage, and could not be got rid
 * of: to delete a replica its rows were read, nine silent attempts in 6 s, for ever; and LevelDB takes no write
 * any more once it has come upon such a block while it compacts files. Found by a review (suspect S2).
 */
import { assert, assertEquals } from "@std/assert";
import { SeededRandom } from "../../shared/platform/random.ts";
import { TestCluster } from "../support/worlds/cluster.ts";

const KEYS = 3_000;
/** So short that 64 bytes of a table file are never a part of one value alone. */
const VALUES = Array.from({ length: KEYS }, (_, i) => `${new SeededRandom(i).uint32()}`);

/** Overwrites 64 bytes in the first third of a node's newest table file that has data. */
async function rot(folder: string): Promise<void> {
  let newest = { number: 0, path: "", size: 0 };
  for await (const { name } of Deno.readDir(`${folder}/db`)) {
    if (!name.endsWith(".ldb")) continue;
    const path = `${folder}/db/${name}`;
    const { size } = await Deno.stat(path);
    const number = parseInt(name);
    if (size > 64 * 1024 && number > newest.number) newest = { number, path, size };
  }
  assert(newest.size > 0, "there is a table file with data");
  using file = await Deno.open(newest.path, { write: true });
  await file.seek(Math.floor(newest.size / 3), Deno.SeekMode.Start);
  await file.write(new Uint8Array(64).fill(0xab));
}

/** Asks a node for every key, of its own replica. What it answers does not matter. */
async function readAll(cluster: TestCluster, node: number): Promise<void> {
  for (let from = 0; from < KEYS; from += 500) {
    const requests = Array.from({ length: Math.min(500, KEYS - from) }, (_, i) => ({
      req_type: "get",
      key: `k${from + i}`,
      consistency: "replica",
    }));
    await cluster.ask(node, { req_type: "batch", requests }, 30_000);
  }
}

Deno.test("a replica in a database with an unreadable block is replaced, and the database repaired (rule D3)", async () => {
  await using cluster = await TestCluster.start({
    nodes: 2,
    replicationFactor: 2,
    minInSync: 1,
    partitions: 1,
  });
  {
    await using client = await cluster.connect();
    await Promise.all(Array.from({ length: KEYS }, (_, i) => client.put(`k${i}`, VALUES[i] ?? "")));
  }
  // What was in the journal is in a table file after a stop. Rows that are sent to it again are in a newer file, and
  // hide what rots in an older one; so it starts again until nothing is sent.
  for (let sent = -1, before = -2; sent !== before;) {
    before = sent;
    await cluster.node(1).stop();
    await cluster.restart(1);
    await cluster.whole({ nodes: 2 });
    sent = (await cluster.stats(0)).resynced_entries as number;
  }
  await cluster.crash(1);
  await rot(cluster.nodeFolder(1));
  await cluster.restart(1);
  // Whoever reads the block first comes upon it: the replica when it is brought level, the scrub, or these reads.
  await cluster.poll("the repair", async () => {
    await readAll(cluster, 1);
    const lost = await Deno.stat(`${cluster.nodeFolder(1)}/db/lost`).catch(() => undefined);
    return lost?.isDirectory === true ? true : undefined;
  });
  await cluster.poll("a whole cluster with sound replicas", async () => {
    await cluster.whole({ nodes: 2 });
    const { damaged, retries, storage_failure } = await cluster.stats(1);
    return damaged === 0 && storage_failure === undefined && (retries as unknown[]).length === 0
      ? true
      : undefined;
  });
  // It has everything, and takes writes, alone.
  await cluster.crash(0);
  await cluster.waitFor(
    "node 1 as primary of all",
    (map) => map.partitions.every(({ inSync }) => inSync.length === 1),
  );
  await using client = await cluster.connect();
  for (let i = 0; i < KEYS; i++) assertEquals(await client.getText(`k${i}`), VALUES[i]);
  await client.put("k0", "still");
  assertEquals(await client.getText("k0"), "still");
});
