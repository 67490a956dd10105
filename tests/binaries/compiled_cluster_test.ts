/**
 * A cluster of programs that `deno compile` has made. The toolchain is named by the environment,
 * since it may be another version of Deno than the one that runs the tests: `DENO` is the program and
 * `DENORT_BIN` the runtime stub that it puts ours on.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { fetchMap, whatIsMissing } from "../../tools/cluster_state.ts";
import { COORDINATOR, NODE } from "../../tools/programs.ts";
import { type ReadyLine, ServerProcess } from "../../tools/server_process.ts";
import { RespClient } from "../support/clients/resp_client.ts";
import { needing } from "../support/needs.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const DENO = Deno.env.get("DENO") ?? "";
const DENORT_BIN = Deno.env.get("DENORT_BIN") ?? "";
const POLL_MS = 50;
const WAIT_BOUND_MS = 120_000;
const decoder = new TextDecoder();

async function run(program: string, args: string[], options: Deno.CommandOptions = {}) {
  const { code, stdout, stderr } = await new Deno.Command(program, { args, ...options }).output();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Programs in a folder of their own, and the processes of them. */
class CompiledCluster implements AsyncDisposable {
  readonly folder: string;
  readonly servers: ServerProcess[] = [];
  #coordinator: ReadyLine | undefined;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Compiles the three programs. */
  static async compile(deno: string): Promise<CompiledCluster> {
    const cluster = new CompiledCluster(await Deno.makeTempDir({ prefix: "kv-compiled-" }));
    const args = ["run", "--no-prompt", "--no-lock", "-A", "tools/build.ts"];
    const built = await run(deno, [...args, "--out", cluster.folder], { cwd: ROOT });
    assertEquals(built.code, 0, built.stdout + built.stderr);
    for (const line of built.stdout.trimEnd().split("\n")) assertMatch(line, /\bcompiled$/);
    return cluster;
  }

  #start(program: typeof COORDINATOR, ...args: string[]): Promise<ReadyLine> {
    const executable = `${this.folder}/${program.name}`;
    const server = ServerProcess.start(program, args, { executable, cwd: this.folder });
    this.servers.push(server);
    return server.ready;
  }

  async startCoordinator(): Promise<void> {
    const flags = ["--heartbeat-port=0", "--discovery=off", "--no-cs-config", "--http-port=off"];
    const sizes = ["--partitions=16", "--expect-nodes=3"];
    this.#coordinator = await this.#start(COORDINATOR, "127.0.0.1", "0", ...flags, ...sizes);
  }

  async startNode(name: string): Promise<ServerProcess> {
    const flags = ["--http-port=off", "--storage=leveldb", `--data=${name}`];
    await this.#start(NODE, "127.0.0.1", "0", `--coordinator=127.0.0.1:${this.port}`, ...flags);
    return this.servers.at(-1) as ServerProcess;
  }

  get port(): number {
    return this.#coordinator?.port ?? 0;
  }

  /** Waits until this many nodes have every replica. */
  async untilWhole(nodes: number): Promise<void> {
    const endMs = performance.now() + WAIT_BOUND_MS;
    for (;;) {
      const gone = this.servers.find((server) => server.ended);
      if (gone !== undefined) throw new Error(`${gone.program.name}: ${gone.log.join("\n")}`);
      const map = await fetchMap({ host: "127.0.0.1", port: this.port });
      const missing = whatIsMissing(map, nodes);
      if (missing === undefined) return;
      if (performance.now() > endMs) throw new Error(missing);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async client(...args: string[]): Promise<string> {
    const flags = [`--coordinator=127.0.0.1:${this.port}`, "--timeout-ms=60000"];
    const { code, stdout, stderr } = await run(`${this.folder}/kv-client`, [...flags, ...args], {
      cwd: this.folder,
    });
    assertEquals([code, stderr], [0, ""], args.join(" "));
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server.crash()));
    await Deno.remove(this.folder, { recursive: true });
  }
}

Deno.test({
  ...needing(
    "compiled programs: a cluster takes writes, loses a node, gets another one, and is backed up",
    {
      met: DENO !== "" && DENORT_BIN !== "",
      otherwise: "no DENO and DENORT_BIN in the environment",
    },
  ),
  fn: async () => {
    await using cluster = await CompiledCluster.compile(DENO);
    await cluster.startCoordinator();
    await cluster.startNode("node-1");
    await cluster.startNode("node-2");
    const victim = await cluster.startNode("node-3");
    await cluster.untilWhole(3);
    const pairs = Array.from(
      { length: 100 },
      (_, i) => [`key:${i}`, i % 2 ? `v${i}` : `grüß ${i}`],
    );
    await cluster.client("put-many", ...pairs.flat());

    await victim.crash();
    cluster.servers.splice(cluster.servers.indexOf(victim), 1);
    await cluster.client("put", "after", "the kill");
    assertEquals(await cluster.client("get", "key:42"), "grüß 42\n");

    await cluster.startNode("node-4");
    await cluster.untilWhole(3);
    assertEquals(await cluster.client("count"), "101\n");
    assertMatch(await cluster.client("backup", "all.kvb"), /^backup: 101 keys of 16 partitions/);
    assertEquals(await cluster.client("get", "after"), "the kill\n");
    // Scripts run in a worker, whose program must be in the executable.
    const { host, port } = await cluster.servers[1]?.ready ?? { host: "", port: 0 };
    {
      using redis = await RespClient.connect({ hostname: host, port });
      const script = "return redis.call('incr', KEYS[1]) + ARGV[1]";
      assertEquals(await redis.ask(["EVAL", script, "1", "counted", "1"]), ":2\r\n");
    }
    for (const server of cluster.servers.toReversed()) {
      const { code } = await server.stop();
      assertEquals(code, 0, server.log.join("\n"));
    }
  },
});
