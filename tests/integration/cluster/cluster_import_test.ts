/**
 * A real data set into a real cluster, while nodes die.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { wrongValues } from "../../support/data/bulk.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { KEY_COLUMN, makeMakersTable, realMakersTable } from "../../support/data/makers_table.ts";

Deno.test("cluster: a data set is imported while a node is killed, and survives a second death", async () => {
  const table = await realMakersTable() ?? makeMakersTable();
  await using cluster = await TestCluster.start({ nodes: 4, partitions: 64 });

  // The second half of the file comes after the death, so that the import is under way then.
  const half = table.csv.indexOf("\n", table.csv.length / 2) + 1;
  const importing = cluster.startClient(
    "import",
    "-",
    "--format=csv",
    `--key-column=${KEY_COLUMN}`,
    "--json",
  );
  await importing.write(table.csv.slice(0, half));
  await cluster.poll("a third of the entries", async () => {
    const stats = await Promise.all([0, 1, 2, 3].map((i) => cluster.stats(i)));
    const stored = stats.reduce((sum, { entries }) => sum + Number(entries), 0);
    return stored > table.values.size ? true : undefined;
  });
  await cluster.crash(1);
  await importing.write(table.csv.slice(half));
  const { code, stdout, stderr } = await importing.end();
  assertEquals([code, stderr], [0, ""], stdout + cluster.logs());
  const summary = JSON.parse(stdout);
  assertEquals(
    [summary.records, summary.keys, summary.repeatedKeys, summary.written, summary.rejected],
    [32_530, 32_527, 3, 32_530, 0],
  );
  console.log(`import: ${summary.elapsedMs} ms with a death in the middle`);

  await using kv = await cluster.connect();
  assertEquals(table.values.size, 32_527);
  assertEquals(await wrongValues(kv, table.values), []);
  await cluster.whole({ nodes: 3 });
  await cluster.crash(3);
  assertEquals(await wrongValues(kv, table.values), []);
});
