/**
 * A block of a LevelDB file that cannot be decoded any more was noticed as damage, and could not be got rid
 * of: to delete a copy its rows were read, nine silent attempts in 6 s, for ever; and LevelDB takes no write
 * any more once it has come upon such a block while it compacts files. Found by a review (suspect S2).
 */
import { assert, assertEquals } from "@std/assert";
import { SeededRandom } from "../../shared/platform/random.ts";
import { TestCluster } from "../support/worlds/cluster.ts";

const KEYS = 3_000;
/** So short that 64 bytes of a table file are never a part of one value alone. */
const VALUES = Array.from({ length: KEYS }, (_, i) => `${new SeededRandom(i).uint32()}`);

/** Overwrites 64 bytes in the first third of a node's largest table file. */
async function rot(folder: string): Promise<void> {
  let largest = { path: "", size: 0 };
  for await (const { name } of Deno.readDir(`${folder}/db`)) {
    if (!name.endsWith(".ldb")) continue;
    const path = `${folder}/db/${name}`;
    const { size } = await Deno.stat(path);
    if (size > largest.size) largest = { path, size };
  }
  assert(largest.size > 64 * 1024, "there is a table file with data");
  using file = await Deno.open(largest.path, { write: true });
  await file.seek(Math.floor(largest.size / 3), Deno.SeekMode.Start);
  await file.write(new Uint8Array(64).fill(0xab));
}

Deno.test("a copy in a database with an unreadable block is replaced, and the database repaired (rule D3)", async () => {
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
  // What was in the log is in a table file after a start.
  await cluster.crash(1);
  await cluster.restart(1);
  await cluster.whole({ nodes: 2 });
  await cluster.crash(1);
  await rot(cluster.nodeFolder(1));
  await cluster.restart(1);
  // The scrub comes upon it, or the primary when it brings the copy level.
  await cluster.poll("the repair", async () => {
    const lost = await Deno.stat(`${cluster.nodeFolder(1)}/db/lost`).catch(() => undefined);
    return lost?.isDirectory === true ? true : undefined;
  });
  await cluster.poll("a whole cluster with sound copies", async () => {
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
