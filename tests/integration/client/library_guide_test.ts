/**
 * The blocks of docs/library.md, type-checked and run one after the other against a cluster: they print what the page
 * says.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import guide from "../../../docs/library.md" with { type: "text" };
import { formatAddress } from "../../../shared/platform/transport.ts";
import { promisedLines, runProgram } from "../../support/worlds/page_program.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

function blocks(page: string): string[] {
  return [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
}

Deno.test("docs/library.md: its examples compile, run, and print what it says", async () => {
  const codes = blocks(guide);
  assert(codes.length > 8, "the guide has blocks");
  await using cluster = await TestCluster.start({ nodes: 3 });
  const { out, errors } = await runProgram(`${cluster.folder}/guide`, codes, {
    "127.0.0.1:8080": formatAddress(cluster.coordinatorAddress),
    "127.0.0.1:8081": formatAddress(cluster.nodeAddress(0)),
    "127.0.0.1:8082": formatAddress(cluster.nodeAddress(1)),
    "127.0.0.1:9081": formatAddress(cluster.nodeHttpAddress(0)),
    "127.0.0.1:9082": formatAddress(cluster.nodeHttpAddress(1)),
  });
  assertEquals(errors, "");
  assertEquals(out, codes.flatMap(promisedLines));
});
