/**
 * Deno KV against real nodes: Deno's own client beside Deno's own store, npm's `@deno/kv` in Node, and the death of a node.
 *
 * @module
 */
import { keyPrefixOf } from "../../../shared/cluster/databases.ts";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { hasProgram, needing } from "../../support/needs.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const HERE = new URL(".", import.meta.url).pathname;
const CLIENT = { DENO_KV_ACCESS_TOKEN: "any" };

function programOf(name: string, ...args: string[]): string[] {
  return ["run", "-A", "--quiet", "--unstable-kv", `${HERE}${name}`, ...args];
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const command = new Deno.Command(program, { args: [...args], env: CLIENT, cwd: HERE });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  assertEquals(code, 0, text.decode(stderr) + text.decode(stdout));
}

function urlOf(cluster: TestCluster, index: number, database: string): string {
  const { host, port } = cluster.nodeHttpAddress(index);
  return `http://${host}:${port}/db/${database}`;
}

Deno.test("Deno.openKv(URL): does what Deno's own store does, at any node", async () => {
  await using cluster = await TestCluster.start();
  for (const seed of ["1", "2"]) {
    const url = urlOf(cluster, Number(seed), `random-${seed}`);
    await run(Deno.execPath(), programOf("denokv_program.ts", url, seed, "300"));
  }
  await run(Deno.execPath(), programOf("denokv_uses.ts", urlOf(cluster, 0, "uses")));
});

const NODE = { met: hasProgram("node", "--version"), otherwise: "no node" };

Deno.test({
  ...needing("openKv of @deno/kv in Node: does the same", NODE),
  async fn() {
    await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1, minInSync: 1 });
    // A project that has the package, which Deno has fetched.
    const bundle = `${cluster.folder}/uses.mjs`;
    const [folder = ""] = new URL(import.meta.resolve("@deno/kv")).pathname.split("/esm/");
    await Deno.mkdir(`${cluster.folder}/node_modules/@deno`, { recursive: true });
    await Deno.symlink(folder, `${cluster.folder}/node_modules/@deno/kv`);
    const args = ["bundle", "--quiet", "--platform=deno", "--external=@deno/kv"];
    await run(Deno.execPath(), [...args, `--output=${bundle}`, `${HERE}denokv_npm.ts`]);
    await run("node", [bundle, urlOf(cluster, 0, "npm")]);
  },
});

Deno.test("Deno KV: a program goes on when the primary of its database is killed", async () => {
  await using cluster = await TestCluster.start();
  const primary = await cluster.primaryOf(keyPrefixOf({ number: 1, together: true }) + "k");
  const named = (primary + 1) % 3;
  const child = new Deno.Command(Deno.execPath(), {
    args: programOf("denokv_writer.ts", urlOf(cluster, named, "app")),
    env: CLIENT,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let written = 0;
  const until = async (count: number) => {
    while (written < count) {
      const { value = "", done } = await lines.read();
      if (done) throw new Error("the program has ended");
      written += value.split("\n").length - 1;
    }
  };
  await until(20);
  await cluster.crash(primary);
  await until(written + 50);
  await child.stdin.close();
  while (!(await lines.read()).done);
  const errors = await new Response(child.stderr).text();
  assertEquals((await child.status).code, 0, errors);
});

Deno.test("kv-client import and export --deno-kv: a file of Deno KV becomes a database, and a file again", async () => {
  await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1, minInSync: 1 });
  const [old, made] = [`${cluster.folder}/old.sqlite`, `${cluster.folder}/new.sqlite`];
  await run(Deno.execPath(), programOf("denokv_file.ts", "make", old));
  const imported = await cluster.client("import", "--deno-kv", old, "--database", "app");
  assertEquals(imported.code, 0, imported.stderr);
  assertStringIncludes(imported.stderr, "1 messages of queues stay behind");
  const url = urlOf(cluster, 0, "app");
  await run(Deno.execPath(), programOf("denokv_file.ts", "compare", old, url));
  const exported = await cluster.client("export", "--deno-kv", made, "--database", "app");
  assertEquals(exported.code, 0, exported.stderr);
  await run(Deno.execPath(), programOf("denokv_file.ts", "compare", old, made));
  const again = await cluster.client("export", "--deno-kv", made, "--database", "app");
  assertStringIncludes(again.stderr, "exists");
  const wrong = await cluster.client(
    "import",
    "--deno-kv",
    `${HERE}denokv_file.ts`,
    "--database",
    "app",
  );
  assertStringIncludes(wrong.stderr, "not a file of Deno KV");
});

Deno.test("examples/denokv_todo.ts: moves from a file to the cluster by one line", async () => {
  await using cluster = await TestCluster.start({ nodes: 1, replicationFactor: 1, minInSync: 1 });
  const todo = async (kv: string, ...args: string[]) => {
    const command = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        "--unstable-kv",
        `${HERE}../../../examples/denokv_todo.ts`,
        ...args,
      ],
      env: { ...CLIENT, TODO_KV: kv },
    });
    const { stdout, stderr } = await command.output();
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  };
  const file = `${cluster.folder}/todo.sqlite`;
  assertEquals(await todo(file, "add", "buy milk"), "task 1\n");
  assertEquals(await todo(file, "done", "1"), "");
  const imported = await cluster.client("import", "--deno-kv", file, "--database", "todo");
  assertEquals(imported.code, 0, imported.stderr);
  const url = urlOf(cluster, 0, "todo");
  assertEquals(await todo(url, "add", "drink it"), "task 2\n");
  assertEquals(await todo(url, "done", "3"), "there is no task 3\n");
  assertEquals(await todo(url, "list"), "[x] 1 buy milk\n[ ] 2 drink it\n");
});
