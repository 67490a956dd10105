import { assertEquals, assertMatch } from "@std/assert";
import {
  checkFile,
  circlesOf,
  crowdedFolders,
  FOLDER_FILES_MAX,
  importsOf,
  realWorldOf,
  whyForbidden,
} from "../../../../tools/checks/check_imports.ts";

Deno.test("importsOf: finds every form of import, and none in comments", () => {
  const source = `
    /** import { x } from "./comment.ts"; */
    // import "./comment.ts";
    import { a } from "./a.ts";
    import type { B } from './b.ts';
    import {
      c,
      type D,
    } from "./c.ts";
    export * from "./d.ts";
    export { e } from "./e.ts";
    import "./f.ts";
    const g = await import("./g.ts");
    const from = "./not.ts";
  `;
  assertEquals(importsOf(source).toSorted(), [
    "./a.ts",
    "./b.ts",
    "./c.ts",
    "./d.ts",
    "./e.ts",
    "./f.ts",
    "./g.ts",
  ]);
});

Deno.test("whyForbidden: keeps the layers apart", () => {
  const table: [file: string, specifier: string, forbidden: RegExp | undefined][] = [
    ["node/replica.ts", "../shared/clock.ts", undefined],
    ["node/replica.ts", "./primary.ts", undefined],
    ["node/replica.ts", "@std/crypto", undefined],
    ["node/replication/primary.ts", "../storage/record.ts", undefined],
    ["node/replication/primary.ts", "./follower.ts", undefined],
    [
      "node/storage/record.ts",
      "../replication/primary.ts",
      /replication\/ is not below node\/storage/,
    ],
    ["node/storage/record.ts", "../membership/lease.ts", /membership\/ is not below node\/storage/],
    ["node/storage/record.ts", "../node.ts", /not below/],
    ["node/somewhere/a.ts", "../storage/record.ts", /say in LAYERS where node\/somewhere\/ stands/],
    ["node/replica.ts", "../client/mod.ts", /node\/ imports only shared/],
    ["shared/router.ts", "../node/node.ts", /shared\/ imports only shared/],
    ["shared/router.ts", "../std/cli/parse_args.ts", /by its name/],
    ["std/cli/mod.ts", "../../shared/clock.ts", /std\/ imports only itself/],
    ["tools/up.ts", "../node/main.ts", /nothing imports a main.ts/],
    ["tools/up.ts", "../shared/codec.ts", undefined],
    ["tools/up.ts", "../tests/support/cluster.ts", /only tests/],
    ["tests/unit/a_test.ts", "../../node/node.ts", undefined],
    ["tests/unit/a_test.ts", "./b_test.ts", /nothing imports a test/],
    ["node/replica.ts", "./_private.ts", undefined],
    ["tests/unit/a_test.ts", "../../node/_private.ts", /private to its folder/],
    ["node/replica.ts", "npm:yaml@2", /deno.json/],
    ["node/replica.ts", "../../elsewhere/a.ts", /outside of the project/],
  ];
  for (const [file, specifier, forbidden] of table) {
    const what = whyForbidden(file, specifier);
    if (forbidden === undefined) assertEquals(what, undefined, `${file} ${specifier}`);
    else assertMatch(what ?? "", forbidden, `${file} ${specifier}`);
  }
});

Deno.test("circlesOf: names each circle once, and nothing if there is none", () => {
  const graph = (arrows: Record<string, string[]>) => new Map(Object.entries(arrows));
  assertEquals(circlesOf(graph({ a: ["b", "c"], b: ["c"], c: [] })), []);
  assertEquals(circlesOf(graph({ a: ["b"], b: ["c"], c: ["a"] })), [["a", "b", "c", "a"]]);
  assertEquals(circlesOf(graph({ a: ["a"], b: ["a"] })), [["a", "a"]]);
  assertEquals(circlesOf(graph({ a: ["b", "c"], b: ["a"], c: ["a"] })), [
    ["a", "b", "a"],
    ["a", "c", "a"],
  ]);
});

Deno.test("realWorldOf: only files whose work it is touch the real world", () => {
  const source =
    "const now = Date.now(); setTimeout(f, 1); await Deno.connect(); // performance.now";
  assertEquals(realWorldOf("node/replica.ts", source).length, 3);
  assertEquals(realWorldOf("shared/platform/deno/deno_transport.ts", source), []);
  assertEquals(realWorldOf("node/main.ts", source), []);
  assertEquals(
    realWorldOf("node/replica.ts", "clock.setTimer(1, f); new Date(timeMs)"),
    [],
  );
  assertEquals(checkFile("node/a.ts", `import "../client/mod.ts"; Date.now()`).length, 2);
});

Deno.test("crowdedFolders: names folders of the product with too many files, and no others", () => {
  const files = (folder: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${folder}/file${i}.ts`);
  const graph = [
    ...files("shared/ring", FOLDER_FILES_MAX),
    ...files("node/resp", FOLDER_FILES_MAX + 1),
    ...files("node/resp/commands", 3),
    ...files("tests/unit", 40),
  ];
  assertEquals(crowdedFolders(graph), [{
    file: "node/resp",
    what: `has ${FOLDER_FILES_MAX + 1} files, at most ${FOLDER_FILES_MAX}: part it by what they do`,
  }]);
});
