import { assertEquals } from "@std/assert";
import { brokenNames, namesIn, treeOf } from "../../../../tools/checks/check_paths.ts";

const TREE = treeOf(
  new Map([
    ["shared/wire/codec.ts", ""],
    ["shared/wire/README.md", ""],
    ["docs/protocol.md", "# Protocol\n\n## Error codes: `bad_request` and others\n"],
    ["README.md", ""],
  ]),
);

Deno.test("namesIn: finds files anywhere, folders in backquotes, and no packages or addresses", () => {
  assertEquals(
    namesIn(
      "See docs/a.md and `shared/wire/`, either/or, `npm:x`, https://host/b.ts, @std/c.ts, d.ts(1), *_test.ts.",
    ),
    ["docs/a.md", "shared/wire/"],
  );
});

Deno.test("brokenNames: a name leads to a file from the root, from its folder, or as the end of a path", () => {
  for (const name of ["shared/wire/codec.ts", "codec.ts", "wire/codec.ts", "`shared/wire/`"]) {
    assertEquals(brokenNames("README.md", `See ${name}.`, TREE), [], name);
  }
  assertEquals(brokenNames("shared/wire/README.md", "See ./codec.ts.", TREE), []);
});

Deno.test("brokenNames: finds files and folders that do not exist, in pages and in comments", () => {
  assertEquals(brokenNames("README.md", "See shared/codec.ts, `shared/wires/`.", TREE), [
    "names shared/codec.ts, which does not exist",
    "names shared/wires/, which does not exist",
  ]);
  const source =
    'import "./gone.ts"; // As docs/gone.md says.\n/** See `old.ts`. */ const a = "b.ts";';
  assertEquals(brokenNames("shared/wire/codec.ts", source, TREE), [
    "names docs/gone.md, which does not exist",
    "names old.ts, which does not exist",
  ]);
});

Deno.test("brokenNames: finds links to pages and headings that do not exist", () => {
  const good =
    "[a](docs/protocol.md#error-codes-bad_request-and-others) [b](shared/wire) [c](https://x/y)";
  assertEquals(brokenNames("README.md", good, TREE), []);
  assertEquals(brokenNames("README.md", "[a](protocol) [b](docs/protocol.md#errors)", TREE), [
    "links to protocol, which does not exist",
    "links to docs/protocol.md#errors, which has no such heading",
  ]);
});
