/**
 * Real programs that find each other by UDP: on loopback, and across network namespaces, which are
 * machines of their own as far as the network is concerned.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CLIENT, COORDINATOR, NODE, type ProgramSpec } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { NetworkNamespaces } from "../../support/worlds/network_namespaces.ts";

const SECRET = "a long and dull secret";
/** Bound of a wait; long, since a loaded machine is slow, and no test waits for it to pass. */
const WAIT_BOUND_MS = 60_000;

/** A folder, and programs in it, on this host or on others. */
class Bench implements AsyncDisposable {
  readonly #folder: string;
  readonly #network: NetworkNamespaces | undefined;
  readonly #servers: ServerProcess[] = [];

  private constructor(folder: string, network: NetworkNamespaces | undefined) {
    this.#folder = folder;
    this.#network = network;
  }

  static async make(network?: NetworkNamespaces): Promise<Bench> {
    return new Bench(await Deno.makeTempDir({ prefix: "kv-discovery-test-" }), network);
  }

  /** Starts a server in a folder of its own, so that it finds no `cs_config.txt`. */
  async start(host: string, program: ProgramSpec, flags: string[], env = {}) {
    const cwd = await Deno.makeTempDir({ dir: this.#folder });
    const executable = await this.#network?.program(host, program);
    const server = ServerProcess.start(program, [...flags, `--data=${cwd}/data`], {
      cwd,
      env,
      detached: false,
      ...(executable === undefined ? {} : { executable }),
    });
    this.#servers.push(server);
    return await server.ready;
  }

  /** Starts a server that is to end by itself. @returns its log */
  async refused(program: ProgramSpec, flags: string[]): Promise<string> {
    const cwd = await Deno.makeTempDir({ dir: this.#folder });
    const all = [...flags, `--data=${cwd}/data`];
    const server = ServerProcess.start(program, all, { cwd, detached: false });
    this.#servers.push(server);
    const { code } = await server.status;
    assert(code !== 0, "it ended as if all were well");
    return server.log.join("\n");
  }

  /** Where the first administrator's credentials of a secured coordinator are. */
  async credentials(): Promise<string> {
    for await (const { name } of Deno.readDir(this.#folder)) {
      const file = `${this.#folder}/${name}/data.security/admin.json`;
      if (await Deno.stat(file).then(() => true, () => false)) return file;
    }
    throw new Error("no coordinator is secured");
  }

  /** Runs `kv-client` once. */
  async client(host: string, args: string[], env: Record<string, string> = {}) {
    const cwd = await Deno.makeTempDir({ dir: this.#folder });
    const executable = await this.#network?.program(host, CLIENT);
    const entry = new URL(`../../../${CLIENT.entry}`, import.meta.url).pathname;
    const words = ["run", "--quiet", "--no-prompt", ...CLIENT.permissions, entry];
    const { code, stdout, stderr } = await new Deno.Command(executable ?? Deno.execPath(), {
      args: [...(executable === undefined ? words : []), ...args],
      cwd,
      env,
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout).trim(), stderr: decoder.decode(stderr).trim() };
  }

  /** Runs `kv-client` until it gives what is wanted: a cluster of two is not there at once. */
  async untilClient(wanted: string, host: string, args: string[], env = {}): Promise<void> {
    const endMs = performance.now() + WAIT_BOUND_MS;
    let last;
    do {
      last = await this.client(host, args, env);
      if (last.code === 0 && last.stdout.includes(wanted)) return;
    } while (performance.now() < endMs);
    const logs = this.#servers.flatMap(({ program, log }) => [program.name, ...log.slice(-20)]);
    throw new Error(`${args.join(" ")}: ${JSON.stringify(last)}\n${logs.join("\n")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.crash()));
    await Deno.remove(this.#folder, { recursive: true });
  }
}

const FREE_PORTS = [
  "--port=0",
  "--heartbeat-port=0",
  "--no-cs-config",
  "--partitions=4",
  "--min-in-sync=1",
];

Deno.test("discovery on loopback: node and client find their coordinator of two by its name", async () => {
  await using bench = await Bench.make();
  const first = await bench.start("", COORDINATOR, [
    ...FREE_PORTS,
    "--discovery-port=0",
    "--cluster-name=alpha",
  ]);
  const port = `--discovery-port=${first.facts.discovery}`;
  const alone = await bench.client("", [port, "--json", "stats"]);
  assertStringIncludes(alone.stdout, "alpha", alone.stderr);

  const second = await bench.start("", COORDINATOR, [...FREE_PORTS, port, "--cluster-name=beta"]);
  assertEquals(second.facts.discovery, first.facts.discovery);
  await bench.start("", NODE, ["--port=0", port, "--cluster-name=alpha"]);
  await bench.start("", NODE, ["--port=0", port], { KV_CLUSTER_NAME: "beta" });
  for (const name of ["alpha", "beta"]) {
    const named = [port, `--cluster-name=${name}`];
    await bench.untilClient("", "", [...named, "put", "who", name]);
  }
  for (const name of ["alpha", "beta"]) {
    const got = await bench.client("", [port, `--cluster-name=${name}`, "get", "who"]);
    assertEquals(got, { code: 0, stdout: name, stderr: "" });
  }

  const either = await bench.client("", [port, "get", "who"]);
  assertEquals(either.code, 2);
  assertStringIncludes(either.stderr, "2 coordinators answered");
  for (const { host, port } of [first, second]) {
    assertStringIncludes(either.stderr, `${host}:${port}`);
  }
});

Deno.test("discovery on loopback: who has a cluster's credentials finds its secured coordinator, whatever else answers", async () => {
  await using bench = await Bench.make();
  const named = "--cluster-name=alpha";
  const flags = [...FREE_PORTS, named, "--discovery-port=0", "--secure"];
  const { facts } = await bench.start("", COORDINATOR, flags);
  const port = `--discovery-port=${facts.discovery}`;
  // Somebody who pretends to be it.
  await bench.start("", COORDINATOR, [...FREE_PORTS, named, port]);
  const pretended = await bench.client("", [port, named, "--json", "stats"]);
  assertStringIncludes(pretended.stdout, "2 coordinators answered");
  const credentials = `--credentials=${await bench.credentials()}`;
  const found = await bench.client("", [port, named, credentials, "--json", "stats"]);
  assertEquals(found.code, 0, found.stderr);
  assertStringIncludes(found.stdout, "refused_heartbeats");
});

Deno.test("a cluster of another name is neither joined nor used, however it was found", async () => {
  await using bench = await Bench.make();
  const { host, port } = await bench.start("", COORDINATOR, [
    ...FREE_PORTS,
    "--discovery=off",
    "--cluster-name=alpha",
  ]);
  const at = `--coordinator=${host}:${port}`;
  await bench.start("", NODE, ["--port=0", at, "--cluster-name=alpha"]);
  await bench.untilClient("", "", [at, "--cluster-name=alpha", "put", "who", "alpha"]);

  const other = await bench.client("", [at, "--cluster-name=beta", "flush-all", "--force"]);
  assertEquals([other.code, other.stdout], [1, ""]);
  assertStringIncludes(other.stderr, `is named "alpha", and "beta" was asked for`);
  const kept = await bench.client("", [at, "get", "who"]);
  assertEquals(kept.stdout, "alpha", kept.stderr);

  const told = await bench.refused(NODE, ["--port=0", at, "--cluster-name=beta"]);
  assertStringIncludes(told, "is to join a cluster named");
});

Deno.test("discovery on loopback: a weak secret is refused at start", async () => {
  await using bench = await Bench.make();
  const { code, stderr } = await bench.client("", ["get", "k"], { KV_DISCOVERY_SECRET: "hunter2" });
  assertEquals(code, 2);
  assertStringIncludes(stderr, "at least 16 characters");
  assert(!stderr.includes("hunter2"));
});

Deno.test("discovery across hosts: by broadcast and by multicast, kept apart by name and secret", async (t) => {
  const network = await NetworkNamespaces.make(["alpha", "beta", "one", "two", "guest"]);
  if (network === undefined) {
    console.log("skipped: no network namespaces here (needs Linux, root and iproute2)");
    return;
  }
  await using _network = network;
  await using bench = await Bench.make(network);
  const everywhere = [
    "--host=0.0.0.0",
    "--insecure",
    "--partitions=4",
    "--no-cs-config",
    "--min-in-sync=1",
  ];
  const secret = { KV_DISCOVERY_SECRET: SECRET };
  await bench.start("alpha", COORDINATOR, [...everywhere, "--cluster-name=alpha"]);
  await bench.start("beta", COORDINATOR, [...everywhere, "--cluster-name=beta"], secret);
  const nodes: [host: string, way: string, name: string, env: Record<string, string>][] = [
    ["one", "broadcast", "alpha", {}],
    ["two", "multicast", "alpha", {}],
    ["one", "multicast", "beta", secret],
  ];
  for (const [host, way, name, env] of nodes) {
    const flags = [
      `--host=${network.addressOf(host)}`,
      "--insecure",
      "--port=0",
      `--discovery=${way}`,
    ];
    await bench.start(host, NODE, [...flags, `--cluster-name=${name}`], env);
  }

  await t.step("clients reach their cluster by either way", async () => {
    for (const way of ["on", "broadcast", "multicast"]) {
      const alpha = [`--discovery=${way}`, "--cluster-name=alpha"];
      const beta = [`--discovery=${way}`, "--cluster-name=beta"];
      await bench.untilClient("", "guest", [...alpha, "put", "who", "alpha"]);
      await bench.untilClient("", "guest", [...beta, "put", "who", "beta"], secret);
      await bench.untilClient("alpha", "guest", [...alpha, "get", "who"]);
      await bench.untilClient("beta", "guest", [...beta, "get", "who"], secret);
    }
  });

  await t.step("both nodes of a cluster came in, and no node of the other", async () => {
    const list = ["--cluster-name=alpha", "list-nodes"];
    await bench.untilClient(network.addressOf("two"), "guest", list);
    await bench.untilClient(network.addressOf("one"), "guest", list);
    const { stdout } = await bench.client("guest", ["--cluster-name=beta", "list-nodes"], secret);
    assert(!stdout.includes(network.addressOf("two")), stdout);
  });

  await t.step(
    "who has no secret, or another one, does not find the cluster that has",
    async () => {
      // Without a name, there is one cluster for each of them to find.
      await bench.untilClient("alpha", "guest", ["get", "who"]);
      await bench.untilClient("beta", "guest", ["get", "who"], secret);
      const wrong = { KV_DISCOVERY_SECRET: `${SECRET}!` };
      for (const env of [{}, wrong]) {
        const args = ["--cluster-name=beta", "--timeout-ms=500", "get", "who"];
        const { code, stderr } = await bench.client("guest", args, env);
        assertEquals(code, 4, stderr);
        assertStringIncludes(stderr, "nobody answered discovery (asked ");
        for (const asked of [network.broadcast, "255.255.255.255", "239.255.79.46", "port 7946"]) {
          assertStringIncludes(stderr, asked);
        }
        assertStringIncludes(stderr, 'for a cluster named "beta"');
        assertStringIncludes(stderr, "127.0.0.1:8080");
        assert(!stderr.includes(SECRET));
      }
      const off = await bench.client("guest", [
        "--discovery=off",
        "--timeout-ms=500",
        "get",
        "who",
      ]);
      assertStringIncludes(off.stderr, "discovery is off");
    },
  );

  await t.step("two coordinators of one name are refused, and listed", async () => {
    const flags = [...everywhere, "--cluster-name=alpha"];
    await bench.start("two", COORDINATOR, flags);
    const { code, stderr } = await bench.client("guest", ["--cluster-name=alpha", "get", "who"]);
    assertEquals(code, 2, stderr);
    for (const host of ["alpha", "two"]) {
      assertStringIncludes(stderr, `${network.addressOf(host)}:8080`);
    }
  });
});
