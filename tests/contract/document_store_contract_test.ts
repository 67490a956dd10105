/** What every {@linkcode DocumentStore} keeps to: one suite for files and memory. */
import { assertEquals, assertRejects } from "@std/assert";
import type { DocumentStore } from "../../shared/platform/document_store.ts";
import { KvError } from "../../shared/base/errors.ts";
import { FileDocumentStore } from "../../shared/platform/deno/file_document_store.ts";
import { MemoryDocumentStore } from "../support/doubles/memory_document_store.ts";

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const name of ["FileDocumentStore", "MemoryDocumentStore"]) {
  Deno.test(`${name} gives back the last document, and a copy of it`, async () => {
    await inFolder(async (folder) => {
      const store: DocumentStore = name === "FileDocumentStore"
        ? new FileDocumentStore(`${folder}/d.json`)
        : new MemoryDocumentStore();
      assertEquals(await store.read(), undefined);
      const documents = [{ a: [1, "ö\u{1f600}", null] }, "text", 7, null, false, [], {
        "2": 1,
        "1": 2,
      }];
      for (const document of documents) {
        await store.write(document);
        assertEquals(await store.read(), document);
      }
      const mine = { list: [1] };
      await store.write(mine);
      mine.list.push(2);
      assertEquals(await store.read(), { list: [1] });
    });
  });
}

Deno.test("FileDocumentStore survives a write that was cut short, and clears it away", async () => {
  await inFolder(async (folder) => {
    const store = new FileDocumentStore(`${folder}/d.json`);
    await store.write({ n: 1 });
    await Deno.writeTextFile(`${folder}/d.json.new`, `{"crc32c":12,"docum`);
    assertEquals(await new FileDocumentStore(`${folder}/d.json`).read(), { n: 1 });
    assertEquals([...Deno.readDirSync(folder)].map((entry) => entry.name), ["d.json"]);
  });
});

Deno.test("FileDocumentStore reads a document damaged anywhere as corrupt", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/d.json`;
    const store = new FileDocumentStore(path);
    await store.write({ epoch: 12345, nodes: ["a", "b"], on: true });
    const whole = await Deno.readFile(path);
    const isCorrupt = async (bytes: Uint8Array, what: string) => {
      await Deno.writeFile(path, bytes);
      const error = await assertRejects(() => store.read());
      assertEquals(error instanceof KvError && error.code, "corrupt", what);
    };
    for (let length = 0; length < whole.length - 1; length++) {
      await isCorrupt(whole.slice(0, length), `cut to ${length}`);
    }
    for (let bit = 0; bit < 8 * (whole.length - 1); bit++) {
      const garbled = whole.slice();
      garbled[bit >>> 3] = (garbled[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      await isCorrupt(garbled, `bit ${bit}`);
    }
    for (const text of ["null", "7", "[]", "{}", `{"document":1}`]) {
      await isCorrupt(new TextEncoder().encode(text), text);
    }
  });
});

Deno.test("FileDocumentStore says which file cannot be read or written", async () => {
  await inFolder(async (folder) => {
    const store = new FileDocumentStore(`${folder}/missing/d.json`);
    assertEquals(await store.read(), undefined);
    const error = await assertRejects(() => store.write({}), KvError, "missing/d.json");
    assertEquals(error.code, "storage_failed");
    const folderInstead = new FileDocumentStore(folder);
    await assertRejects(() => folderInstead.read(), KvError, "cannot be read");
  });
});
