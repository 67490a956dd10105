/** Values may be secrets, and so is what holds them: files and folders are their owner's alone. */
import { assert, assertEquals } from "@std/assert";
import { TestCluster } from "../../support/worlds/cluster.ts";

/** Whatever lies below a folder, with its mode. */
async function* modes(folder: string): AsyncGenerator<[path: string, mode: string]> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    const { mode } = await Deno.lstat(path);
    yield [path, ((mode ?? 0) & 0o777).toString(8)];
    if (isDirectory) yield* modes(path);
  }
}

Deno.test({
  name: "data, map, backup and export: files 0600, folders 0700; cs_config.txt may be read by all",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1 });
    for (const i of [1, 2, 3]) assertEquals((await cluster.client("put", "k", `v${i}`)).code, 0);
    assertEquals((await cluster.client("backup", "all.kvb")).code, 0);
    assertEquals((await cluster.client("export", "all.jsonl")).code, 0);
    await Deno.chmod(`${cluster.folder}/all.jsonl`, 0o644);
    assertEquals((await cluster.client("export", "all.jsonl", "--overwrite")).code, 0);
    // LevelDB makes new files at each start.
    await cluster.crash(0);
    await cluster.restart(0);
    let count = 0;
    for await (const [path, mode] of modes(cluster.folder)) {
      // A file that is being replaced is there for a moment.
      const info = await Deno.lstat(path).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
      if (info === undefined) continue;
      const wanted = path.endsWith("/cs_config.txt") ? "644" : info.isDirectory ? "700" : "600";
      assertEquals(mode, wanted, path);
      count++;
    }
    assert(count > 10, `${count} files and folders`);
  },
});
