/**
 * npm's package of the client library in the hands of its users: installed from the tarball, compiled in strict mode,
 * and run in Node, Bun and Deno against real processes, plain and secured, with a node that dies; and `npx kv-client`.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import suite from "../../support/clients/library_suite.ts" with { type: "text" };
import { createAuthority } from "../../../shared/security/certificate_authority.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { needing } from "../../support/needs.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import {
  PackageProject,
  PACKAGING,
  type Runtime,
  RUNTIMES,
} from "../../support/worlds/package_project.ts";

/** Made once: it is the same for all tests. */
let made: Promise<PackageProject> | undefined;

function project(): Promise<PackageProject> {
  return made ??= (async () => {
    const project = await PackageProject.make();
    await project.write("library_suite.ts", suite);
    await project.compile();
    return project;
  })();
}

Deno.test.afterAll(async () => {
  await (await made)?.[Symbol.asyncDispose]();
});

interface Line {
  readonly case?: string;
  readonly error?: string;
  readonly wants?: string;
}

/** Runs the suite. @param onWant does what the program wants of the test @returns the cases that passed */
async function runSuite(
  runtime: Runtime,
  place: object,
  onWant: () => Promise<void> = () => Promise.resolve(),
): Promise<string[]> {
  const { folder } = await project();
  const child = (await project()).spawn(
    runtime,
    `${folder}/out/library_suite.js`,
    JSON.stringify(place),
  );
  const passed: string[] = [];
  const failed: string[] = [];
  const input = child.stdin.getWriter();
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const { case: name = "", error, wants } = JSON.parse(line) as Line;
      if (wants !== undefined) {
        await onWant();
        await input.write(new TextEncoder().encode("done\n"));
      } else if (error === undefined) passed.push(name);
      else failed.push(`${name}: ${error}`);
    }
  }
  await input.close().catch(() => {});
  assertEquals(failed, []);
  assertEquals((await child.status).code, 0);
  return passed;
}

/** A port of this machine that nobody listens at. */
function nobody(): string {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return `127.0.0.1:${port}`;
}

/** Those of this machine; a test below says which are missing. */
const HERE = RUNTIMES.filter(({ need }) => need.met);

for (const { name, need } of RUNTIMES) {
  Deno.test({ ...needing(`the package is tried in ${name}`, PACKAGING, need), fn() {} });
}

Deno.test({
  ...needing(
    "the package: all that the library promises, and no write is lost with a node",
    PACKAGING,
  ),
  async fn(t) {
    await using cluster = await TestCluster.start({ nodes: 3 });
    const place = {
      coordinator: formatAddress(cluster.coordinatorAddress),
      seeds: [formatAddress(cluster.nodeAddress(1))],
      nobody: nobody(),
    };
    for (const runtime of HERE) {
      await t.step(runtime.name, async () => {
        const passed = await runSuite(runtime, place);
        assert(passed.length >= 14, `${passed.length} cases`);
        const failover = { ...place, failover: true };
        assertEquals(await runSuite(runtime, failover, () => cluster.crash(0)), ["failover"]);
        await cluster.restart(0);
        await cluster.whole({ nodes: 3 });
      });
    }
  },
});

Deno.test({
  ...needing("the package: TLS, a login, and nobody else's authority", PACKAGING),
  async fn(t) {
    await using cluster = await TestCluster.start({
      nodes: 1,
      replicationFactor: 1,
      minInSync: 1,
      secured: true,
    });
    const place = {
      ...cluster.credentials,
      coordinator: formatAddress(cluster.coordinatorAddress),
      nobody: nobody(),
      otherCa: (await createAuthority("another", Date.now())).certificate,
    };
    for (const runtime of HERE) {
      await t.step(runtime.name, async () => {
        const passed = await runSuite(runtime, place);
        assert(passed.length >= 14, `${passed.length} cases`);
      });
    }
  },
});

/** Runs `kv-client` as the project has it. @param starter `npx` as users type it, `node` for what npx starts, sooner */
async function runClient(starter: "npx" | "node", input: string, ...words: string[]) {
  const { folder } = await project();
  const program = starter === "npx"
    ? ["--offline", "kv-client"]
    : [`${folder}/node_modules/.bin/kv-client`];
  const child = new Deno.Command(starter, {
    args: [...program, ...words],
    cwd: folder,
    env: { NO_COLOR: "1", HOME: folder },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), errors: text(stderr) };
}

Deno.test({
  ...needing("npx kv-client: commands, scripts, files and logins on Node alone", PACKAGING),
  async fn() {
    const { folder } = await project();
    await using cluster = await TestCluster.start({
      nodes: 1,
      replicationFactor: 1,
      minInSync: 1,
      secured: true,
    });
    const at = [
      `--coordinator=${formatAddress(cluster.coordinatorAddress)}`,
      `--credentials=${cluster.credentialsFile}`,
    ];
    const run = async (input: string, ...words: string[]) => {
      const { code, out, errors } = await runClient("node", input, ...at, ...words);
      assertEquals(code, 0, `${words.join(" ")}: ${errors}`);
      return out;
    };
    const first = await runClient("npx", "", ...at, "put", "a", "1");
    assertEquals(first.code, 0, first.errors);
    assertEquals(await run("", "get", "a"), "1\n");
    assertMatch(await run("put b Zoë\nget b\n"), /^success.*\nZoë\n$/);
    await run("from a pipe", "put", "c", "-");
    assertEquals(await run("", "--raw", "get", "c"), "from a pipe");
    await run("", "backup", "all.kvb");
    await run("", "export", "all.jsonl");
    assertEquals((await Deno.stat(`${folder}/all.kvb`)).mode, 0o100600);
    await run("", "flush-all", "--force");
    assertEquals(await run("", "count"), "0\n");
    await run("", "restore", "all.kvb");
    await run("", "import", "all.jsonl");
    assertEquals(await run("", "count"), "3\n");
    const absent = await runClient("node", "", ...at, "get", "nobody");
    assertEquals(absent.code, 3, absent.errors);
    const nowhere = await runClient("node", "", ...at, "export", "/no/such");
    assertEquals(nowhere.code, 2);
    assertStringIncludes(nowhere.errors, "cannot write /no/such (No such file or directory)");
  },
});
