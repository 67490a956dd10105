/**
 * The library's public methods have an example each, and the examples are true: they are type-checked and run one after
 * the other against a cluster, each with a client of its own, and print what their comments say.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { promisedLines, runProgram } from "../../support/worlds/page_program.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const ROOT = new URL("../../../", import.meta.url);

const FILES = [
  "client/library/connect.ts",
  "client/library/kv_client.ts",
  "client/library/atomic.ts",
  "client/library/collection.ts",
  "client/fetch/fetch_client.ts",
];

/** Public methods and functions, with the comment before each. */
const DOCUMENTED =
  /\/\*\*((?:(?!\*\/)[^])*)\*\/\n(?: {2}(?:async )?\*?([a-z]\w*)(?:<[^(]*>)?\(|export (?:async )?function (\w+)\()/g;
const NOT_METHODS = new Set(["constructor", "discoverFromHere", "connectTo"]);

Deno.test("library: each public method has an example, which compiles, runs, and prints what it says", async () => {
  const codes: string[] = [];
  const without: string[] = [];
  for (const file of FILES) {
    const source = await Deno.readTextFile(new URL(file, ROOT));
    for (const [, comment = "", method, fn] of source.matchAll(DOCUMENTED)) {
      const name = method ?? fn ?? "";
      if (NOT_METHODS.has(name)) continue;
      const text = comment.replace(/^ *\* ?/gm, "");
      const [, kind, code = ""] = /@example\n```(ts(?: ignore)?)\n([^]*?)```/.exec(text) ?? [];
      if (kind === undefined) without.push(`${file}: ${name}`);
      else if (kind === "ts") codes.push(code);
    }
  }
  assertEquals(without, []);
  assert(codes.length > 50, `${codes.length} examples`);

  await using cluster = await TestCluster.start({ nodes: 3 });
  const { out, errors } = await runProgram(`${cluster.folder}/examples`, codes, {
    "127.0.0.1:8080": formatAddress(cluster.coordinatorAddress),
    "127.0.0.1:9081": formatAddress(cluster.nodeHttpAddress(0)),
  });
  assertEquals(errors, "");
  assertEquals(out, codes.flatMap(promisedLines));
});
