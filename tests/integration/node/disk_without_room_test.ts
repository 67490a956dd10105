/**
 * A lone node whose file system fills up: what it has accepted it writes, into the space that its journal has taken in
 * advance; then it refuses writes with a reason, and serves reads; and it goes on by itself when there is room.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { connect } from "../../../client/mod.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { KIB } from "../../../shared/base/units.ts";
import { JOURNAL_RESERVE_BYTES } from "../../../shared/limits/storage.ts";
import { NODE } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { needing } from "../../support/needs.ts";
import { SMALL_FILE_SYSTEM, SmallFileSystem } from "../../support/worlds/small_file_system.ts";

const CLIENTS = 20;
const VALUE = "v".repeat(4 * KIB);
const WAIT_BOUND_MS = 60_000;

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (const endMs = performance.now() + WAIT_BOUND_MS; performance.now() < endMs;) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain for ${what}`);
}

Deno.test({
  ...needing(
    "kv-node: a full file system refuses writes, and loses and forgets none",
    SMALL_FILE_SYSTEM,
  ),
  fn: async () => {
    await using files = SmallFileSystem.make(96);
    const data = `${files.path}/data`;
    const start = () => ServerProcess.start(NODE, ["--standalone", "--port=0", `--data=${data}`]);
    let process = start();
    const library = async () => {
      const { port } = await process.ready;
      return await connect({ coordinator: `127.0.0.1:${port}` });
    };
    const written = new Map<string, string>();
    const errors: KvError[] = [];
    {
      await using kv = await library();
      await kv.put("first", "1");
      written.set("first", "1");
      await until("the reserve", async () => {
        const stat = await Deno.stat(`${data}/journal/reserve`).catch(() => undefined);
        return stat?.size === JOURNAL_RESERVE_BYTES;
      });
      await files.fill(300 * KIB);

      const client = async (id: number) => {
        for (let i = 0;; i++) {
          const key = `${id}-${i}`;
          try {
            await kv.put(key, VALUE);
            written.set(key, VALUE);
          } catch (error) {
            assert(error instanceof KvError, String(error));
            errors.push(error);
            return;
          }
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, (_, id) => client(id)));
      assertEquals(errors.map(({ code }) => code), errors.map(() => "storage_failed"));
      assertStringIncludes(errors[0]?.message ?? "", "No space left");
      assert(written.size > 1, "some were written before");
      assertEquals(await kv.getText("first"), "1", "reads go on");

      await files.makeRoom();
      await until("a write", () => kv.put("last", "1").then(() => true, () => false));
      written.set("last", "1");
    }
    await process.crash();
    process = start();
    try {
      await using kv = await library();
      for (const [key, value] of written) assertEquals(await kv.getText(key), value, key);
    } finally {
      await process.stop();
    }
  },
});
