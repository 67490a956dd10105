/**
 * The blocks of docs/library.md, type-checked and run one after the other against a cluster: what they
 * print is what the comments behind `console.log` say, or, after a loop, the lines of comments below it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import guide from "../../docs/library.md" with { type: "text" };
import { formatAddress } from "../../shared/platform/transport.ts";
import { TestCluster } from "../support/worlds/cluster.ts";

const ROOT = new URL("../../", import.meta.url);

function blocks(page: string): string[] {
  return [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
}

/** What a block says that it prints, line by line. */
function promised(code: string): string[] {
  return code.split("\n").flatMap((line) => {
    const [, behind, below] = /console\.log\(.*\); \/\/ (.*)$|^\/\/ (.*)$/.exec(line) ?? [];
    return behind ?? below ?? [];
  });
}

/** The blocks as one program, each in a scope of its own. */
function program(
  codes: readonly string[],
  coordinator: string,
  seeds: readonly string[],
  http: readonly string[],
): string {
  const imports = new Set<string>(['import { connect } from "kv-client";']);
  const scopes = codes.map((code) => {
    const lines = code.split("\n").filter((line) => {
      if (!line.startsWith("import ")) return true;
      imports.add(line);
      return false;
    });
    const own = lines.some((line) => line.startsWith("await using kv ="));
    const client = own
      ? ""
      : 'await using kv = await connect({ coordinator: "127.0.0.1:8080" });\n';
    return `{\n${client}${lines.join("\n")}}\n`;
  });
  return [...imports, ...scopes].join("\n")
    .replaceAll("127.0.0.1:8080", coordinator)
    .replaceAll("127.0.0.1:8081", seeds[0] ?? "")
    .replaceAll("127.0.0.1:8082", seeds[1] ?? "")
    .replaceAll("127.0.0.1:9081", http[0] ?? "")
    .replaceAll("127.0.0.1:9082", http[1] ?? "")
    .replaceAll('from "kv-client"', `from ${JSON.stringify(new URL("client/mod.ts", ROOT).href)}`)
    .replaceAll(
      'from "kv-client/fetch"',
      `from ${JSON.stringify(new URL("client/fetch.ts", ROOT).href)}`,
    );
}

Deno.test("docs/library.md: its examples compile, run, and print what it says", async () => {
  const codes = blocks(guide);
  assert(codes.length > 8, "the guide has blocks");
  await using cluster = await TestCluster.start({ nodes: 3 });
  const [first, second] = [0, 1].map((i) => formatAddress(cluster.nodeAddress(i)));
  const seeds = [first ?? "", second ?? ""];
  const folder = `${cluster.folder}/guide`;
  await Deno.mkdir(folder);
  const http = [0, 1].map((i) => formatAddress(cluster.nodeHttpAddress(i)));
  const text = program(codes, formatAddress(cluster.coordinatorAddress), seeds, http);
  await Deno.writeTextFile(`${folder}/guide.ts`, text);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--check", "--config", new URL("deno.json", ROOT).pathname],
      ...["--allow-net", "--allow-read=.", "--allow-write=.", "guide.ts"],
    ],
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  const [out = "", errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assertEquals(errors, "");
  assertEquals(out.trimEnd().split("\n"), codes.flatMap(promised));
});
