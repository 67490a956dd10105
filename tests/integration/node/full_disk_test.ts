/**
 * A node whose disk takes no writes, as a full one does: here by a limit on the size of its files, which
 * works without a disk of its own. Another replica takes over what it was primary of, and it takes part
 * again when its disk does.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { countByLibrary } from "../../support/clients/counting.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { limitFiles, nodeWithLimits } from "../../support/worlds/full_disk.ts";

/** Of a node's folder. */
const DATABASE = "db";

Deno.test("cluster: a primary whose disk is full hands over, and takes its place again with room", async () => {
  const folder = await Deno.makeTempDir({ prefix: "kv-test-" });
  try {
    const nodeExecutable = await nodeWithLimits(folder);
    await using cluster = await TestCluster.start({ nodes: 3, nodeExecutable });
    await using kv = await cluster.connect();
    const counter = countByLibrary(kv, "counter");
    const index = await cluster.primaryOf("counter");
    const port = cluster.nodeAddress(index).port;
    const { pid } = cluster.node(index);
    const { facts } = await cluster.node(index).ready;
    const ownCount = async () => {
      const map = await cluster.map();
      const id = map.nodes.find((node) => node.port === port)?.id;
      return map.partitions.filter(({ primary }) => primary === id).length;
    };
    const before = await ownCount();
    assert(before > 0);

    await limitFiles(pid, 0);
    await cluster.poll("no primary on the node", async () => await ownCount() === 0 || undefined);
    const { acknowledged } = counter;
    await cluster.poll(
      "writes",
      () =>
        Promise.resolve(
          counter.acknowledged > acknowledged || counter.errors.length > 0 || undefined,
        ),
    );
    assertEquals(counter.errors, []);
    assertEquals((await cluster.stats("coordinator")).read_only_nodes, 1);
    const health = await fetch(`http://127.0.0.1:${facts.http}/health`);
    assertStringIncludes(await health.text(), "the disk refuses writes");
    assertEquals(health.status, 503);

    await limitFiles(pid, "unlimited");
    await cluster.poll(
      "the primaries' return",
      async () => await ownCount() === before || undefined,
    );
    await cluster.whole({ nodes: 3 });
    await counter.stop();
    assertEquals(counter.errors, []);
    assertEquals(await kv.getText("counter"), String(counter.acknowledged));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("cluster: a node whose database files were deleted says so, writes nothing more and hands over", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await using kv = await cluster.connect();
  const counter = countByLibrary(kv, "counter");
  const index = await cluster.primaryOf("counter");
  const port = cluster.nodeAddress(index).port;
  const { facts } = await cluster.node(index).ready;
  for await (const { name } of Deno.readDir(`${cluster.nodeFolder(index)}/${DATABASE}`)) {
    // Of the log alone nobody need hear: LevelDB may have begun another one, with all that was in it in a table.
    if (name.endsWith(".log") || name === "CURRENT") {
      await Deno.remove(`${cluster.nodeFolder(index)}/${DATABASE}/${name}`);
    }
  }
  const health = await cluster.poll("a health that says so", async () => {
    const response = await fetch(`http://127.0.0.1:${facts.http}/health`);
    const text = await response.text();
    return text.includes("are gone") ? { status: response.status, text } : undefined;
  });
  assertEquals(health.status, 503);
  assertStringIncludes(health.text, "--rebuild");
  await cluster.waitFor("no primary on the node", (map) => {
    const id = map.nodes.find((node) => node.port === port)?.id;
    return map.partitions.every(({ primary }) => primary !== id);
  });
  await counter.stop();
  assertEquals(counter.errors, []);
  assertEquals(await kv.getText("counter"), String(counter.acknowledged));
});
