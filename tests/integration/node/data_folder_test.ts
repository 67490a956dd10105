import { assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { DataFolder } from "../../../node/storage/leveldb/data_folder.ts";
import { standaloneMap } from "../../../node/membership/standalone_cluster.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { FileDocumentStore } from "../../../shared/platform/deno/file_document_store.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";

const random = new SeededRandom(3);

async function inFolder(body: (path: string) => Promise<void>): Promise<void> {
  const parent = await Deno.makeTempDir();
  try {
    await body(`${parent}/some/node`);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

/** Opens the folder, which must fail, in one line. */
async function whyNot(path: string, rebuild = false): Promise<{ code: string; text: string }> {
  const error = await assertRejects(() => DataFolder.open(path, { random, rebuild }), KvError);
  assertEquals(error.message.includes("\n"), false, error.message);
  return { code: error.code, text: error.message };
}

/** Makes a folder that was used, and closes it. */
async function used(path: string): Promise<string> {
  const folder = await DataFolder.open(path, { random });
  await folder.joinCluster("c1", 256);
  await new Promise<void>((resolve) => {
    folder.storage.write(
      [{ key: new Uint8Array(3), value: new Uint8Array(9) }],
      true,
      () => resolve(),
    );
  });
  await folder.close();
  return folder.nodeId;
}

Deno.test("DataFolder keeps id and cluster, and has a greater incarnation at each start", async () => {
  await inFolder(async (path) => {
    const ids = new Set<string>();
    for (let start = 1; start <= 4; start++) {
      const folder = await DataFolder.open(path, { random });
      ids.add(folder.nodeId);
      assertMatch(folder.nodeId, /^[0-9a-f]{16}$/);
      assertEquals(folder.incarnation, start);
      assertEquals(folder.clusterId, start === 1 ? undefined : "c1");
      await folder.joinCluster("c1", 64);
      assertEquals([folder.clusterId, folder.partitionCount], ["c1", 64]);
      await folder.close();
    }
    assertEquals(ids.size, 1);
  });
});

Deno.test("DataFolder.joinCluster refuses another cluster, or another number of partitions", async () => {
  await inFolder(async (path) => {
    await used(path);
    const folder = await DataFolder.open(path, { random });
    for (const [id, count] of [["c2", 256], ["c1", 128]] as const) {
      const error = await assertRejects(() => folder.joinCluster(id, count), KvError);
      assertEquals(error.code, "wrong_cluster");
    }
    await folder.joinCluster("c1", 256);
    await folder.close();
  });
});

Deno.test("DataFolder refuses a folder that is in use, leaving its user alone", async () => {
  await inFolder(async (path) => {
    const folder = await DataFolder.open(path, { random });
    for (const rebuild of [false, true, false]) {
      assertEquals((await whyNot(path, rebuild)).code, "folder_in_use");
    }
    await folder.joinCluster("c1", 256);
    await folder.close();
    await (await DataFolder.open(path, { random })).close();
  });
});

Deno.test("DataFolder refuses a folder of a newer format, and says how to leave an older one", async () => {
  await inFolder(async (path) => {
    await used(path);
    const store = new FileDocumentStore(`${path}/node.json`);
    await store.write({ ...(await store.read() as object), format: 4, incarnation: "other" });
    assertEquals((await whyNot(path)).code, "wrong_version");
    await store.write({ ...(await store.read() as object), format: 2 });
    const { code, text } = await whyNot(path);
    assertEquals(code, "wrong_version");
    assertMatch(text, /earlier version .* kv-client backup/);
  });
});

Deno.test("DataFolder names what is damaged and how to rebuild it, and rebuilds it", async () => {
  const table: [string, (path: string) => Promise<void>][] = [
    ["database deleted", (path) => Deno.remove(`${path}/db`, { recursive: true })],
    ["journal deleted", (path) => Deno.remove(`${path}/journal`, { recursive: true })],
    ["journal of another node", async (path) => {
      await used(`${path}-2`);
      await Deno.remove(`${path}/journal`, { recursive: true });
      await Deno.rename(`${path}-2/journal`, `${path}/journal`);
    }],
    ["identity deleted", (path) => Deno.remove(`${path}/node.json`)],
    ["identity garbled", (path) => Deno.writeTextFile(`${path}/node.json`, "{")],
    ["identity without fields", (path) => new FileDocumentStore(`${path}/node.json`).write({})],
    ["manifest garbled", async (path) => {
      for await (const { name } of Deno.readDir(`${path}/db`)) {
        if (name.startsWith("MANIFEST")) await Deno.writeTextFile(`${path}/db/${name}`, "garbage");
      }
    }],
    ["database of another node", async (path) => {
      await used(`${path}-2`);
      await Deno.remove(`${path}/db`, { recursive: true });
      await Deno.rename(`${path}-2/db`, `${path}/db`);
    }],
    ["table lost", async (path) => {
      // Opening writes the log of the run before to a table.
      await (await DataFolder.open(path, { random })).close();
      for await (const { name } of Deno.readDir(`${path}/db`)) {
        if (name.endsWith(".ldb")) await Deno.remove(`${path}/db/${name}`);
      }
    }],
    ["CURRENT lost", async (path) => {
      await (await DataFolder.open(path, { random })).close();
      await Deno.remove(`${path}/db/CURRENT`);
    }],
  ];
  for (const [what, damage] of table) {
    await inFolder(async (path) => {
      const id = await used(path);
      await damage(path);
      const { code, text } = await whyNot(path);
      assertEquals(code, "corrupt", `${what}: ${text}`);
      assertMatch(text, /--rebuild/);
      const folder = await DataFolder.open(path, { random, rebuild: true });
      assertNotEquals(folder.nodeId, id);
      assertEquals([folder.incarnation, folder.movedTo], [1, `${path}.damaged-1`]);
      await folder.close();
      await Deno.writeTextFile(`${path}/node.json`, "{");
      const again = await DataFolder.open(path, { random, rebuild: true });
      assertEquals(again.movedTo, `${path}.damaged-2`);
      await again.close();
    });
  }
});

Deno.test("DataFolder with rebuild uses a folder that can be used", async () => {
  await inFolder(async (path) => {
    const id = await used(path);
    for (const incarnation of [2, 3]) {
      const folder = await DataFolder.open(path, { random, rebuild: true });
      assertEquals([folder.nodeId, folder.clusterId, folder.movedTo], [id, "c1", undefined]);
      assertEquals(folder.incarnation, incarnation);
      await folder.close();
    }
    // A newer version's data is not damaged.
    const store = new FileDocumentStore(`${path}/node.json`);
    await store.write({ ...(await store.read() as object), format: 4 });
    assertEquals((await whyNot(path, true)).code, "wrong_version");
  });
});

Deno.test("DataFolder with rebuild on nothing begins as a new node", async () => {
  await inFolder(async (path) => {
    const folder = await DataFolder.open(path, { random, rebuild: true });
    assertEquals([folder.incarnation, folder.movedTo], [1, undefined]);
    await folder.close();
  });
});

Deno.test("DataFolder says in one line why a path cannot be a folder", async () => {
  await inFolder(async (path) => {
    await Deno.mkdir(path, { recursive: true });
    await Deno.writeTextFile(`${path}/file`, "");
    for (const bad of [`${path}/file`, `${path}/file/below`]) {
      const { code, text } = await whyNot(bad);
      assertEquals(code, "bad_config");
      assertMatch(text, /is a file/);
    }
  });
});

Deno.test("DataFolder refuses a folder of others, rebuild or not, and writes nothing there", async () => {
  for (const name of ["README.md", "register.json"]) {
    await inFolder(async (path) => {
      await Deno.mkdir(path, { recursive: true });
      await Deno.writeTextFile(`${path}/${name}`, "");
      for (const rebuild of [false, true]) {
        const open = () => DataFolder.open(path, { random, rebuild });
        const error = await assertRejects(open, KvError, name);
        assertEquals((error as KvError).code, "bad_config");
      }
      assertEquals((await Array.fromAsync(Deno.readDir(path))).map((file) => file.name), [name]);
    });
  }
});

Deno.test("DataFolder takes a folder that a start left before it was anybody's", async () => {
  await inFolder(async (path) => {
    await Deno.mkdir(path, { recursive: true });
    for (const name of ["lock", "node.json.new", ".hidden"]) {
      await Deno.writeTextFile(`${path}/${name}`, "");
    }
    await (await DataFolder.open(path, { random })).close();
  });
});

Deno.test("DataFolder finishes a first start that was cut off before the database had its id", async () => {
  await inFolder(async (path) => {
    const id = await used(path);
    const store = new FileDocumentStore(`${path}/node.json`);
    await store.write({ ...(await store.read() as object), database_made: false });
    await Deno.remove(`${path}/db`, { recursive: true });
    const folder = await DataFolder.open(path, { random });
    assertEquals(folder.nodeId, id);
    await folder.close();
    await (await DataFolder.open(path, { random })).close();
  });
});

Deno.test("DataFolder keeps the newest map, and does without one that it cannot use", async () => {
  const map = standaloneMap({
    clusterId: "c1",
    partitionCount: 4,
    node: {
      id: "n1",
      host: "h",
      port: 1,
      httpPort: 0,
      zone: "h",
      weight: 1,
      incarnation: 1,
      state: "up",
    },
  });
  await inFolder(async (path) => {
    await used(path);
    const folder = await DataFolder.open(path, { random });
    assertEquals(folder.keptMap, undefined);
    await folder.keepMap(map);
    await folder.keepMap({ ...map, epoch: map.epoch + 1 });
    await folder.close();
    const next = await DataFolder.open(path, { random });
    assertEquals(next.keptMap?.epoch, map.epoch + 1);
    await next.keepMap({ ...map, settings: { ...map.settings, clusterId: "another" } });
    await next.close();
    for (const damage of ["", "{", `{"crc32c":1,"document":{}}`]) {
      const last = await DataFolder.open(path, { random });
      assertEquals(last.keptMap, undefined);
      await last.close();
      await Deno.writeTextFile(`${path}/map.json`, damage);
    }
  });
});
