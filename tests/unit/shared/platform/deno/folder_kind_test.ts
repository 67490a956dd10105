import { assertEquals, assertStringIncludes } from "@std/assert";
import { type FolderRole, whyForeign } from "../../../../../shared/platform/deno/folder_kind.ts";

Deno.test("whyForeign: a folder of the role, or without anybody's files, is taken", () => {
  const table: [role: FolderRole, names: string[]][] = [
    ["node", []],
    ["node", ["lock"]],
    ["node", ["lock", "node.json.new"]],
    ["node", ["db", "journal", "lock"]], // Without node.json: the folder's own check has better advice.
    ["node", ["db", "lock", "node.json", "notes.txt"]],
    ["node", [".snapshot", "lost+found"]],
    ["coordinator", ["lock", "register.json.new"]],
    ["coordinator", ["lock", "register.json", "monday.json"]],
    ["coordinator", ["lock", "register.json.bak", "cs_config.txt"]],
  ];
  for (const [role, names] of table) assertEquals(whyForeign(names, role), undefined, names.join());
});

Deno.test("whyForeign: says what is there in a folder that is not the role's", () => {
  const table: [role: FolderRole, names: string[], wanted: string][] = [
    [
      "node",
      ["library.md", "architecture.md"],
      "it holds architecture.md, library.md, and no node",
    ],
    ["node", ["node-1", "node-2", "logs", "coordinator"], "coordinator, logs, node-1 and 1 more"],
    ["node", ["lock", "register.json"], "belongs to a coordinator (it holds register.json)"],
    ["coordinator", ["lock", "node.json", "db"], "belongs to a node (it holds node.json)"],
    ["coordinator", ["lock", "db"], "is no coordinator's: it holds db, and no register.json"],
    ["node", ["app", "db"], "it holds app, and no node.json"],
  ];
  for (const [role, names, wanted] of table) {
    assertStringIncludes(whyForeign(names, role) ?? "", wanted);
  }
});
