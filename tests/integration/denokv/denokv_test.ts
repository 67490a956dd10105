/**
 * Deno KV against real nodes: Deno's own client beside Deno's own store, npm's `@deno/kv` in Node, and the death of a node.
 *
 * @module
 */
import { keyPrefixOf } from "../../../shared/cluster/databases.ts";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Address } from "../../../shared/platform/transport.ts";
import { KV_CONNECT_OTHER_NODE_MS } from "../../../shared/limits/http.ts";
import { needing } from "../../support/needs.ts";
import { RUNTIMES } from "../../support/worlds/package_project.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const HERE = new URL(".", import.meta.url).pathname;
/** Bound of each wait; no test waits for it to pass. */
const WAIT_BOUND_MS = 60_000;
const CLIENT = { DENO_KV_ACCESS_TOKEN: "any" };

function programOf(name: string, ...args: string[]): string[] {
  return ["run", "-A", "--quiet", "--unstable-kv", `${HERE}${name}`, ...args];
}

async function run(program: string, args: readonly string[], env = CLIENT): Promise<void> {
  const command = new Deno.Command(program, { args: [...args], env, cwd: HERE });
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
  await run(Deno.execPath(), programOf("denokv_limits.ts", urlOf(cluster, 1, "limits")));
});

/** Makes a project that has npm's package, which Deno has fetched, and a program of it. @returns the program's file */
async function makeProject(folder: string, program: string): Promise<string> {
  const bundle = `${folder}/${program}.mjs`;
  const [cached = ""] = new URL(import.meta.resolve("@deno/kv")).pathname.split("/esm/");
  await Deno.mkdir(`${folder}/node_modules/@deno`, { recursive: true });
  await Deno.symlink(cached, `${folder}/node_modules/@deno/kv`);
  const args = ["bundle", "--quiet", "--platform=deno", "--external=@deno/kv"];
  await run(Deno.execPath(), [...args, `--output=${bundle}`, `${HERE}${program}.ts`]);
  return bundle;
}

for (const { name, command: [program = ""], need } of RUNTIMES) {
  if (name === "deno") continue;
  Deno.test({
    ...needing(`openKv of @deno/kv in ${name}: does the same`, need),
    async fn() {
      await using cluster = await TestCluster.start({
        nodes: 1,
        replicationFactor: 1,
        minInSync: 1,
      });
      const bundle = await makeProject(cluster.folder, "denokv_npm");
      await run(program, [bundle, urlOf(cluster, 0, "npm")]);
    },
  });
}

for (const { name, command: [program = ""], need } of RUNTIMES) {
  if (name !== "node") continue;
  Deno.test({
    ...needing(
      "openKv of @deno/kv in Node: with a fetcher for all nodes, it goes on when one is killed",
      need,
    ),
    async fn() {
      await using cluster = await TestCluster.start();
      const bundle = await makeProject(cluster.folder, "denokv_npm_writer");
      const nodes = [0, 1, 2].map((index) => urlOf(cluster, index, "").replace(/\/db\/$/, ""));
      await writeThrough([program, bundle, ...nodes], () => cluster.crash(0));
    },
  });
}

Deno.test("Deno.openKv(URL): over TLS, with a user's token and nobody else's", async () => {
  await using cluster = await TestCluster.start({
    nodes: 1,
    replicationFactor: 1,
    minInSync: 1,
    secured: true,
  });
  const { ca, user } = cluster.credentials ?? {};
  const authority = `${cluster.folder}/ca.pem`;
  await Deno.writeTextFile(authority, ca ?? "");
  const made = await cluster.order({ req_type: "token_create", user: user ?? "" });
  const url = urlOf(cluster, 0, "uses").replace("http:", "https:");
  const [first = "", ...args] = programOf("denokv_uses.ts", url);
  const secured = [first, `--cert=${authority}`, ...args];
  await run(Deno.execPath(), secured, { DENO_KV_ACCESS_TOKEN: (made as { text: string }).text });
  const command = new Deno.Command(Deno.execPath(), { args: secured, env: CLIENT, cwd: HERE });
  const { code, stderr } = await command.output();
  assert(code !== 0);
  assertStringIncludes(new TextDecoder().decode(stderr), "not a token");
});

Deno.test("Deno KV: a program goes on when the primary of its database is killed, and nothing happens twice", async () => {
  await using cluster = await TestCluster.start();
  const primary = await primaryOfFirst(cluster);
  // By this name it stays at the node that it has named.
  const url = urlOf(cluster, (primary + 1) % 3, "app").replace("127.0.0.1", "localhost");
  await writeThrough(writerOf(url), () => cluster.crash(primary));
});

Deno.test("Deno KV: a program goes on without the node that it has named, and then without the one it was sent to", async () => {
  await using cluster = await TestCluster.start();
  // It is sent to the primary.
  const primary = await primaryOfFirst(cluster);
  const named = (primary + 1) % 3;
  const { port: httpPort } = cluster.nodeHttpAddress(named);
  await writeThrough(writerOf(urlOf(cluster, named, "app"), "breaks"), async (goesOn) => {
    await cluster.crash(named);
    // Longer than what it was told holds: it cannot ask anew, and keeps to it.
    const endMs = performance.now() + KV_CONNECT_OTHER_NODE_MS + 1_000;
    while (performance.now() < endMs) await goesOn();
    await cluster.restart(named, [`--http-port=${httpPort}`]);
    await cluster.whole({ nodes: 3 });
    // It asks again after 5 s, and is told another node.
    await cluster.crash(primary);
  });
});

Deno.test("Deno KV: behind an address of all nodes, a program goes on when the node that it reached is killed", async () => {
  await using cluster = await TestCluster.start();
  const first = (await primaryOfFirst(cluster) + 1) % 3;
  const nodes = [0, 1, 2].map((i) => cluster.nodeHttpAddress((first + i) % 3));
  await using balancer = new Balancer(nodes);
  await writeThrough(writerOf(`${balancer.url}/db/app`, "breaks"), () => cluster.crash(first));
});

/** The primary of the database that is made first. */
function primaryOfFirst(cluster: TestCluster): Promise<number> {
  return cluster.primaryOf(keyPrefixOf({ number: 1, together: true }) + "k");
}

function writerOf(url: string, ...args: string[]): string[] {
  return [Deno.execPath(), ...programOf("denokv_writer.ts", url, ...args)];
}

/** A program writes while something is killed, and finds all of it. */
async function writeThrough(
  [program = "", ...args]: readonly string[],
  crash: (goesOn: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const child = new Deno.Command(program, {
    args,
    env: CLIENT,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // Deno's client says often what it cannot reach.
  const errors = new Response(child.stderr).text();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let written = 0;
  const until = async (count: number) => {
    // It writes some hundred keys a second; a minute is not waited for.
    using _ = new Bound(() => child.kill("SIGKILL"));
    while (written < count) {
      const { value = "", done } = await lines.read();
      if (done) throw new Error(`the program has ended: ${(await errors).slice(-2_000)}`);
      written += value.split("\n").length - 1;
    }
  };
  await until(20);
  await crash(() => until(written + 1));
  await until(written + 50);
  await child.stdin.close();
  while (!(await lines.read()).done);
  const { code } = await child.status;
  assertEquals(code, 0, (await errors).slice(-2_000));
}

/** Does something if it is not disposed of in time. */
class Bound implements Disposable {
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(end: () => void) {
    this.#timer = setTimeout(end, WAIT_BOUND_MS);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** One address in front of several: a connection goes to the first that takes it. */
class Balancer implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #serving: Promise<void>;

  constructor(addresses: readonly Address[]) {
    this.#serving = this.#serve(addresses);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#listener.addr.port}`;
  }

  async #serve(addresses: readonly Address[]): Promise<void> {
    const ends: Promise<void>[] = [];
    for await (const client of this.#listener) ends.push(this.#join(client, addresses));
    await Promise.all(ends);
  }

  async #join(client: Deno.Conn, addresses: readonly Address[]): Promise<void> {
    const node = await firstOf(addresses);
    const both = node === undefined ? [client] : [client, node];
    for (const connection of both) this.#open.add(connection);
    if (node !== undefined) {
      await Promise.all([
        client.readable.pipeTo(node.writable).catch(() => {}),
        node.readable.pipeTo(client.writable).catch(() => {}),
      ]);
    }
    for (const connection of both) this.#close(connection);
  }

  #close(connection: Deno.Conn): void {
    this.#open.delete(connection);
    try {
      connection.close();
    } catch {
      // Its streams have ended, and it with them.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of [...this.#open]) this.#close(connection);
    await this.#serving;
  }
}

async function firstOf(addresses: readonly Address[]): Promise<Deno.Conn | undefined> {
  for (const { host: hostname, port } of addresses) {
    try {
      return await Deno.connect({ hostname, port });
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    }
  }
  return undefined;
}

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
