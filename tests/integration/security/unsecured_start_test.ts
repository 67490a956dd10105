/**
 * Real processes that are told to serve without security what must not be, or beyond this machine: each ends with 2 and
 * one line that says what to do.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { COORDINATOR, NODE, type ProgramSpec } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";

const PORTS: Readonly<Record<string, readonly string[]>> = {
  "kv-coordinator": ["--port=0", "--heartbeat-port=0", "--discovery=off", "--no-cs-config"],
  "kv-node": ["--port=0", "--coordinator=127.0.0.1:1"],
};

class Bench implements AsyncDisposable {
  readonly folder: string;
  readonly #processes: ServerProcess[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Bench> {
    return new Bench(await Deno.makeTempDir({ prefix: "kv-unsecured-test-" }));
  }

  run(program: ProgramSpec, flags: readonly string[], env: Record<string, string> = {}) {
    const process = ServerProcess.start(program, flags, {
      cwd: this.folder,
      detached: false,
      env,
    });
    this.#processes.push(process);
    return process;
  }

  /** What a program that does not start says. */
  async refusal(program: ProgramSpec, flags: readonly string[], env?: Record<string, string>) {
    const process = this.run(program, flags, env);
    const { code } = await process.status;
    const said = process.log.join("\n");
    assertEquals([code, process.log.length], [2, 1], `${flags.join(" ")}: ${said}`);
    return said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.crash()));
    await Deno.remove(this.folder, { recursive: true });
  }
}

Deno.test("beyond loopback: refused without --insecure, by flag, environment and file, and both ways are named", async () => {
  await using bench = await Bench.make();
  await Deno.writeTextFile(`${bench.folder}/kv.yaml`, "host: 0.0.0.0\nadvertise-host: h\n");
  const ways: [flags: readonly string[], env?: Record<string, string>][] = [
    [["--host=0.0.0.0", "--advertise-host=127.0.0.1"]],
    [["--host=::", "--advertise-host=::1"]],
    [["--host=kv.example"]],
    [["--host=127.example"]],
    [["--config=kv.yaml"]],
    [[], { KV_HOST: "10.77.99.1" }],
  ];
  for (const [flags, env] of ways) {
    for (const program of [COORDINATOR, NODE]) {
      const all = [...PORTS[program.name] ?? [], "--data=d", ...flags];
      const said = await bench.refusal(program, all, env);
      for (const word of [program === NODE ? "--join" : "--secure", "--insecure", "login"]) {
        assertStringIncludes(said, word);
      }
    }
  }
  const alone = ["--standalone", "--port=0", "--data=d", "--host=0.0.0.0", "--advertise-host=h"];
  assertStringIncludes(await bench.refusal(NODE, alone), "--secure with a --data folder");
  const both = [...alone, "--secure", "--insecure"];
  assertStringIncludes(await bench.refusal(NODE, both), "exclude each other");
});

Deno.test("beyond loopback: --insecure, by flag, environment and file, is what its user wants", async () => {
  await using bench = await Bench.make();
  await Deno.writeTextFile(`${bench.folder}/kv.yaml`, "insecure: true\n");
  const everywhere = ["--host=0.0.0.0", "--advertise-host=127.0.0.1"];
  const node = ["--standalone", "--port=0", "--storage=memory", ...everywhere];
  const coordinator = [...PORTS["kv-coordinator"] ?? [], "--data=c", ...everywhere];
  const started = [
    bench.run(NODE, [...node, "--insecure"]),
    bench.run(NODE, [...node, "--config=kv.yaml"]),
    bench.run(COORDINATOR, coordinator, { KV_INSECURE: "true" }),
  ];
  for (const process of started) {
    assertEquals((await process.ready).host, "0.0.0.0");
    assertEquals((await process.stop()).code, 0);
  }
  const secured = bench.run(NODE, [...node, "--secure", "--data=s"]);
  await secured.ready;
  assertEquals((await secured.stop()).code, 0);
});

Deno.test("a folder that was served secured is never served without security, and gets no new users by itself", async () => {
  await using bench = await Bench.make();
  const node = ["--standalone", "--port=0", "--partitions=8"];
  const first = bench.run(NODE, [...node, "--secure", "--data=data"]);
  await first.ready;
  assertEquals((await first.stop()).code, 0);
  for (const data of ["data", "data/", "./data"]) {
    const ways = [
      [...node, `--data=${data}`],
      [...node, `--data=${data}`, "--insecure"],
      [...node, `--data=${data}`, "--storage=memory"],
      ["--port=0", "--coordinator=127.0.0.1:1", `--data=${data}`],
    ];
    for (const flags of ways) {
      const said = await bench.refusal(NODE, flags);
      assertStringIncludes(said, "belongs to a secured process");
      assertStringIncludes(said, "start it with --");
    }
  }
  const coordinator = [...PORTS["kv-coordinator"] ?? [], "--data=data"];
  assertStringIncludes(
    await bench.refusal(COORDINATOR, coordinator),
    "belongs to a secured process",
  );
  const authority = await Deno.readTextFile(`${bench.folder}/data.security/ca.crt`);
  // With a slash it is the same folder, and has the same users.
  const again = bench.run(NODE, [...node, "--secure", "--data=data/"]);
  await again.ready;
  assertEquals((await again.stop()).code, 0);
  assertEquals(await Deno.readTextFile(`${bench.folder}/data.security/ca.crt`), authority);

  // As after a backup of the data alone.
  await Deno.rename(`${bench.folder}/data.security`, `${bench.folder}/elsewhere`);
  const without = await bench.refusal(NODE, [...node, "--data=data"]);
  assertStringIncludes(without, "put it back");
  const anew = await bench.refusal(NODE, [...node, "--data=data", "--secure"]);
  assertStringIncludes(anew, "remove data/secured to begin with new ones");
  await Deno.remove(`${bench.folder}/data/secured`);
  const renewed = bench.run(NODE, [...node, "--secure", "--data=data"]);
  await renewed.ready;
  assertEquals((await renewed.stop()).code, 0);
  assert(await Deno.readTextFile(`${bench.folder}/data.security/ca.crt`) !== authority);
});
