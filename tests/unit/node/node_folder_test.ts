import { assertEquals, assertRejects } from "@std/assert";
import { KvError } from "../../../shared/base/errors.ts";
import { NO_LOG } from "../../support/doubles/no_log.ts";
import { type NodeFolder, openData } from "../../../node/node_folder.ts";
import { ScriptedStorage } from "../../support/doubles/scripted_storage.ts";

/** A folder whose database can be read or not, and what is done to it. */
class ScriptedFolder {
  readonly lines: string[] = [];
  repaired = false;

  constructor(readonly readable: boolean | "once repaired") {}

  open(): NodeFolder {
    const { lines, repaired } = this;
    const storage = new ScriptedStorage();
    if (this.readable === false || (this.readable === "once repaired" && !repaired)) {
      // Only then are rows read at once.
      storage.lost = { why: "batches are missing", writtenSince: () => false };
      storage.range = () => Promise.reject(new KvError("corrupt", "a block is damaged"));
    }
    lines.push("opened");
    return {
      nodeId: "n1",
      incarnation: 1,
      clusterId: "c",
      partitionCount: 1,
      storage,
      keptMap: undefined,
      repaired,
      keepMap: () => Promise.resolve(),
      joinCluster: () => Promise.resolve(),
      requestRepair: () => {
        this.repaired = true;
        lines.push("repair requested");
        return Promise.resolve();
      },
      repairDone: () => {
        lines.push("repair done");
        return Promise.resolve();
      },
      close: () => {
        lines.push("closed");
        return Promise.resolve();
      },
    };
  }

  openData(standalone = false) {
    const reopen = () => Promise.resolve(this.open());
    return openData(this.open(), { standalone, log: NO_LOG, reopen });
  }
}

Deno.test("openData: what can be read is opened as it is", async () => {
  const scripted = new ScriptedFolder(true);
  const { opened } = await scripted.openData();
  assertEquals([opened.size, opened.damaged.size, scripted.lines], [0, 0, ["opened"]]);
});

Deno.test("openData: a database that cannot be read is repaired once, and the new folder is the one that is open", async () => {
  const scripted = new ScriptedFolder("once repaired");
  const { folder } = await scripted.openData();
  assertEquals(folder.repaired, true);
  assertEquals(scripted.lines, ["opened", "repair requested", "closed", "opened", "repair done"]);
  const hopeless = new ScriptedFolder(false);
  await assertRejects(() => hopeless.openData(), KvError, "damaged");
  assertEquals(hopeless.lines, ["opened", "repair requested", "closed", "opened"]);
});

Deno.test("openData: the only copy of data is not repaired by itself", async () => {
  const scripted = new ScriptedFolder("once repaired");
  await assertRejects(() => scripted.openData(true), KvError, "damaged");
  assertEquals(scripted.lines, ["opened"]);
});
