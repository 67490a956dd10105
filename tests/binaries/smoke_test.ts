/**
 * The executables of `dist/` work where there is no Deno: in an empty folder, with an empty
 * environment and a PATH that has no `deno`. Run by `deno task test:binaries` after `deno task build`.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fetchMap, whatIsMissing } from "../../tools/cluster_state.ts";
import { COORDINATOR, NODE, PROGRAMS, type ProgramSpec } from "../../tools/programs.ts";
import { ServerProcess } from "../../tools/server_process.ts";

const DIST = new URL("../../dist/", import.meta.url).pathname;
/** What a self-extracting executable calls. */
const TOOLS = "cat chmod dirname gzip head id ls mkdir mv rm sha256sum tail".split(" ");
const WAIT_BOUND_MS = 30_000;

/** An empty machine: a folder, and an environment with next to nothing in it. */
class Sandbox implements AsyncDisposable {
  readonly servers: ServerProcess[] = [];

  private constructor(readonly folder: string) {}

  static async make(): Promise<Sandbox> {
    const folder = await Deno.makeTempDir({ prefix: "kv-smoke-" });
    await Deno.mkdir(`${folder}/bin`);
    await Deno.mkdir(`${folder}/work`);
    for (const tool of TOOLS) {
      const real = await firstThatExists([`/usr/bin/${tool}`, `/bin/${tool}`]);
      await Deno.symlink(real, `${folder}/bin/${tool}`);
    }
    return new Sandbox(folder);
  }

  get env(): Record<string, string> {
    return { PATH: `${this.folder}/bin`, HOME: this.folder };
  }

  /** Runs an executable to its end. */
  async run(program: string, ...args: string[]) {
    const { code, stdout, stderr } = await new Deno.Command(DIST + program, {
      args,
      cwd: `${this.folder}/work`,
      env: this.env,
      clearEnv: true,
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** Starts a server, and waits until it listens. */
  async start(program: ProgramSpec, ...args: string[]) {
    const server = ServerProcess.start(program, args, {
      executable: DIST + program.name,
      cwd: `${this.folder}/work`,
      env: this.env,
      clearEnv: true,
    });
    this.servers.push(server);
    return await server.ready;
  }

  /** Ends all servers by SIGTERM, the coordinator last, and checks that they end cleanly. */
  async stopAll(): Promise<void> {
    for (const server of this.servers.splice(0).reverse()) {
      const { code, signal } = await server.stop();
      assertEquals([code, signal], [0, null], `${server.program.name}: ${server.log.join("\n")}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server.crash()));
    await Deno.remove(this.folder, { recursive: true });
  }
}

async function firstThatExists(paths: string[]): Promise<string> {
  for (const path of paths) {
    if (await Deno.stat(path).then(() => true, () => false)) return path;
  }
  throw new Error(`none of ${paths.join(", ")} exists`);
}

Deno.test("dist: every executable answers --version and --help, and refuses a wrong flag", async () => {
  await using sandbox = await Sandbox.make();
  for (const { name } of PROGRAMS) {
    const version = await sandbox.run(name, "--version");
    assertEquals([version.code, version.stderr], [0, ""]);
    assertMatch(version.stdout, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+\n$`));
    const help = await sandbox.run(name, "--help");
    assertEquals([help.code, help.stderr], [0, ""]);
    assertStringIncludes(help.stdout, `Usage: ${name}`);
    const wrong = await sandbox.run(name, "--prot", "1");
    assertEquals([wrong.code, wrong.stdout], [2, ""]);
    assertMatch(wrong.stderr, new RegExp(`^${name}: unknown flag --prot.*\n$`));
  }
});

Deno.test("dist: simultaneous first starts do not harm each other", async () => {
  await using sandbox = await Sandbox.make();
  const runs = await Promise.all(
    PROGRAMS.flatMap((
      { name },
    ) => [sandbox.run(name, "--version"), sandbox.run(name, "--version")]),
  );
  assertEquals(runs.map(({ code, stderr }) => [code, stderr]), runs.map(() => [0, ""]));
});

Deno.test("dist: a cluster of executables keeps data over a clean end and a restart", async () => {
  await using sandbox = await Sandbox.make();
  const first = await startCluster(sandbox);
  const client = (...args: string[]) =>
    sandbox.run("kv-client", `--coordinator=127.0.0.1:${first.port}`, ...args);
  const put = await client("put", "greeting", "grüß dich");
  assertEquals([put.code, put.stderr], [0, ""]);
  assertEquals((await client("get", "greeting")).stdout.trimEnd(), "grüß dich");
  await sandbox.stopAll();

  await startCluster(sandbox, first.port);
  const get = await client("get", "greeting");
  assertEquals([get.code, get.stderr, get.stdout.trimEnd()], [0, "", "grüß dich"]);
  assert((await client("get", "nothing")).code !== 0);
  await sandbox.stopAll();
});

async function startCluster(sandbox: Sandbox, port = 0) {
  const ready = await sandbox.start(
    COORDINATOR,
    "127.0.0.1",
    String(port),
    "--heartbeat-port=0",
    "--discovery=off",
    "--data=coordinator",
    "--expect-nodes=2",
    "--partitions=16",
  );
  for (const name of ["a", "b"]) {
    await sandbox.start(NODE, "0", `--coordinator=127.0.0.1:${ready.port}`, `--data=${name}`);
  }
  const endMs = performance.now() + WAIT_BOUND_MS;
  let missing: string | undefined = "everything";
  while (missing !== undefined) {
    assert(performance.now() < endMs, `waited ${WAIT_BOUND_MS} ms: ${missing}`);
    missing = whatIsMissing(await fetchMap(ready), 2);
    if (missing !== undefined) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return ready;
}
