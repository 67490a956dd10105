/** The files of a journal in a real folder: what is kept of a removed file, and what the next one has of it. */
import { assertEquals, assertRejects } from "@std/assert";
import { DenoJournalFiles } from "../../node/storage/journal/deno_journal_files.ts";
import { KvError } from "../../shared/base/errors.ts";

const text = (s: string) => new TextEncoder().encode(s);

async function inFolder(body: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(`${folder}/journal`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function made(files: DenoJournalFiles, name: string, content: string): Promise<void> {
  const file = await files.create(name, text(content.slice(0, 2)));
  await file.append(text(content.slice(2)), true);
  file.close();
}

Deno.test("DenoJournalFiles: a removed file is written over by the next one, under its own name", async () => {
  await inFolder(async (path) => {
    const files = new DenoJournalFiles(path);
    await files.list();
    await made(files, "first", "0123456789");
    const { ino } = await Deno.stat(`${path}/first`);
    await files.remove("first");
    assertEquals(await files.list(), ["spare"]);
    const second = await files.create("second", text("ab"));
    await second.append(text("cd"), true);
    assertEquals(await files.list(), ["second"]);
    assertEquals((await Deno.stat(`${path}/second`)).ino, ino);
    assertEquals(
      await files.read("second"),
      text("abcd456789"),
      "behind its end it has the first's",
    );
    second.close();
    assertEquals(await files.read("second"), text("abcd"), "it is cut when it ends");
  });
});

Deno.test("DenoJournalFiles: a file that becomes longer than the one before it goes on", async () => {
  await inFolder(async (path) => {
    const files = new DenoJournalFiles(path);
    await files.list();
    await made(files, "first", "0123");
    await files.remove("first");
    await made(files, "second", "abcdefgh");
    assertEquals(await files.read("second"), text("abcdefgh"));
  });
});

Deno.test("DenoJournalFiles: a new file is longer than what was written, with zeros, until it ends", async () => {
  await inFolder(async (path) => {
    const files = new DenoJournalFiles(path);
    await files.list();
    const file = await files.create("first", text("ab"));
    const { size } = await Deno.stat(`${path}/first`);
    let content = "ab";
    const add = async (more: string) => {
      await file.append(text(more), true);
      content += more;
      const found = await files.read("first");
      assertEquals(new TextDecoder().decode(found.subarray(0, content.length)), content);
      assertEquals(found.subarray(content.length).every((byte) => byte === 0), true);
      return found.length;
    };
    assertEquals(await add("cd"), size, "a short write does not make it longer");
    const piece = "x".repeat(Math.floor(size * 0.6));
    assertEquals(await add(piece), size);
    // As long as two pieces; then one that is too long to be written at once; then a short one again.
    const longer = await add(piece);
    assertEquals(longer > size, true);
    await add("y".repeat(2 * longer));
    await add("z");
    file.close();
    assertEquals((await files.read("first")).length, content.length);
  });
});

Deno.test("DenoJournalFiles keeps one file, of those that it has made, and none if there is no room", async () => {
  await inFolder(async (path) => {
    const earlier = new DenoJournalFiles(path);
    await earlier.list();
    for (const name of ["a", "b", "c"]) await made(earlier, name, "0123");
    const files = new DenoJournalFiles(path);
    await files.remove("a");
    assertEquals((await files.list()).sort(), ["b", "c"], "an earlier process has made it");
    await earlier.remove("b");
    await earlier.remove("c");
    assertEquals(await files.list(), ["spare"]);
    await Deno.mkdir(`${path}/reserve`);
    await assertRejects(() => files.reserve(100), KvError);
    assertEquals(await files.list(), []);
  });
});
