/**
 * One real `kv-coordinator`: why it does not start, and what bad clients get.
 *
 * @module
 */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { askJson } from "../../../tools/json_probe.ts";
import { COORDINATOR } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { LineClient } from "../../support/clients/line_client.ts";

/** A folder, and coordinators in it. */
class Bench implements AsyncDisposable {
  readonly folder: string;
  readonly #processes: ServerProcess[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Bench> {
    return new Bench(await Deno.makeTempDir({ prefix: "kv-coordinator-test-" }));
  }

  /** Starts one, without waiting; by default on free ports. */
  run(...flags: string[]): ServerProcess {
    const args = [
      ...(flags.some((flag) => flag.startsWith("--port")) ? [] : ["--port=0"]),
      ...(flags.some((flag) => flag.startsWith("--discovery")) ? [] : ["--discovery=off"]),
      ...flags,
    ];
    if (!flags.some((flag) => flag.startsWith("--heartbeat-port"))) args.push("--heartbeat-port=0");
    const process = ServerProcess.start(COORDINATOR, args, { cwd: this.folder, detached: false });
    this.#processes.push(process);
    return process;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.crash()));
    await Deno.remove(this.folder, { recursive: true });
  }
}

Deno.test("kv-coordinator says in one line why it does not start, with exit code 1 or 2", async () => {
  await using bench = await Bench.make();
  const first = bench.run("--data=data");
  const { port, facts } = await first.ready;
  await Deno.writeTextFile(`${bench.folder}/file`, "");
  await Deno.mkdir(`${bench.folder}/damaged`);
  await Deno.writeTextFile(`${bench.folder}/damaged/register.json`, '{"epoch":');

  await Deno.mkdir(`${bench.folder}/of-a-node`);
  await Deno.writeTextFile(`${bench.folder}/of-a-node/node.json`, "{}");

  const cases: [flags: string[], code: number, wanted: string][] = [
    [[`--port=${port}`, "--data=b"], 1, "another process has this port"],
    [[`--heartbeat-port=${facts.heartbeat}`, "--data=c"], 1, "name another --heartbeat-port"],
    [
      ["--host=192.0.2.1", "--insecure", "--data=d"],
      1,
      "give an address of this machine (--host)",
    ],
    [
      ["--force", "--port=1"],
      1,
      "Connection refused; --force is an order to a coordinator that runs",
    ],
    [["--data=data"], 1, "in use by another process"],
    [["--data=file"], 2, "must be a folder"],
    [["--data=damaged"], 1, "damaged"],
    [["--data=."], 2, "folder . is no coordinator's: it holds damaged, data, file and 1 more"],
    [["--data=of-a-node"], 2, "belongs to a node (it holds node.json), not to a coordinator"],
    [["--dat=x"], 2, "--data"],
    [["--port=99999"], 2, "65535"],
    [["--partitions=3"], 2, "power of two"],
    [["--lease-ms=5000"], 2, "--failure-timeout-ms"],
    [["--force-partition=1"], 2, "--force"],
    [["1", "2", "3"], 2, "usage"],
  ];
  for (const [flags, code, wanted] of cases) {
    const process = bench.run(...flags);
    const status = await process.status;
    const said = process.log.filter((line) => line.trim() !== "");
    const label = `${flags.join(" ")}: ${said.join("\n")}`;
    assertEquals([status.code, said.length], [code, 1], label);
    assertStringIncludes(said[0] ?? "", wanted, label);
  }
  assertEquals((await askJson({ host: "127.0.0.1", port }, { req_type: "ping" })).req_type, "ack");
  assertEquals((await first.stop()).code, 0);
});

Deno.test("kv-coordinator's cs_config.txt: taken over with a warning, and gone with who it names", async () => {
  await using bench = await Bench.make();
  const file = `${bench.folder}/cs_config.txt`;
  const written = async () => (await Deno.readTextFile(file)).split("\n")[1];
  const first = bench.run("--data=a");
  const one = await first.ready;
  assertEquals(await written(), String(one.port));
  const other = bench.run("--data=b", "--no-cs-config");
  await other.ready;
  assertEquals(await written(), String(one.port));
  assertEquals((await other.stop()).code, 0);

  const second = bench.run("--data=b");
  const two = await second.ready;
  assertEquals(await written(), String(two.port));
  assertEquals((await first.stop()).code, 0);
  assertEquals(await written(), String(two.port), "it is not the first one's any more");
  assertEquals((await second.stop()).code, 0);
  await assertRejects(() => Deno.stat(file), Deno.errors.NotFound);
  const warnings = second.log.filter((line) => line.includes("named another coordinator"));
  assertEquals(warnings.length, 1);
  for (const said of [`127.0.0.1:${one.port}`, `127.0.0.1:${two.port}`, "--no-cs-config"]) {
    assertStringIncludes(warnings[0] ?? "", said);
  }
  assertEquals(first.log.filter((line) => line.includes("cs_config")), []);
});

Deno.test("kv-coordinator answers bad input with a code, and serves others meanwhile", async () => {
  await using bench = await Bench.make();
  const { host, port } = await bench.run().ready;
  using other = await LineClient.connect({ host, port });
  using half = await LineClient.connect({ host, port });
  await half.send('{"req_type":"pi');
  using client = await LineClient.connect({ host, port });
  assertEquals((await client.ask({ req_type: "ping" })).message, "pong");
  const lines: [line: string | Uint8Array, code: string][] = [
    ["{nonsense\n", "bad_request"],
    ['{"req_type":"frobnicate"}\n', "bad_request"],
    ['{"req_type":"get"}\n', "bad_request"],
    ['{"req_type":"get","key":7}\n', "bad_request"],
    ['{"req_type":"get","key":""}\n', "bad_request"],
    ['{"req_type":"caught_up","p":0,"term":1,"node":"x"}\n', "bad_request"],
    [new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d, 0x0a]), "bad_request"],
  ];
  for (const [line, code] of lines) {
    await client.send(line);
    const reply = await client.reply();
    assertEquals([reply.req_type, reply.code], ["error", code], String(line));
    assertEquals((await other.ask({ req_type: "ping" })).message, "pong");
  }
});
