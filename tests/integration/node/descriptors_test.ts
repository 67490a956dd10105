/**
 * Programs that run out of file descriptors: with a limit of 256, the 230th idle HTTP connection ended
 * node and coordinator with exit code 70.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { askJson } from "../../../tools/json_probe.ts";
import { COORDINATOR, NODE, type ProgramSpec } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";

const LIMIT = 256;
const ROOT = new URL("../../..", import.meta.url).pathname;
const GREETINGS = ["", "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"];

/** Starts a program that may open this many files and connections. */
function startLimited(program: ProgramSpec, args: readonly string[]): ServerProcess {
  const command = [
    `--nofile=${LIMIT}`,
    Deno.execPath(),
    "run",
    "--quiet",
    "--no-prompt",
    ...program.permissions,
    ROOT + program.entry,
    ...args,
  ];
  return ServerProcess.start(program, command, { executable: "prlimit", detached: false });
}

const HAS_PRLIMIT = await new Deno.Command("prlimit", { args: ["--version"], stdout: "null" })
  .output().then(({ success }) => success, () => false);

for (const program of [NODE, COORDINATOR]) {
  Deno.test({
    name: `${program.name} serves on, whoever takes its descriptors`,
    ignore: !HAS_PRLIMIT,
    async fn() {
      const folder = await Deno.makeTempDir({ prefix: "kv-test-" });
      const process = startLimited(program, [
        "--port=0",
        "--http-port=0",
        `--data=${folder}/data`,
        ...(program === NODE
          ? ["--standalone"]
          : ["--heartbeat-port=0", "--discovery=off", "--no-cs-config"]),
      ]);
      const open: Deno.TcpConn[] = [];
      try {
        const { port, facts: { http = 0 } } = await process.ready;
        const address = { host: "127.0.0.1", port };
        for (const greeting of GREETINGS) {
          for (const target of [http, port, http]) {
            for (let i = 0; i < LIMIT; i++) {
              const connection = await Deno.connect({ hostname: "127.0.0.1", port: target });
              open.push(connection);
              // One that was ended to make room takes nothing.
              if (target === http && greeting !== "") {
                await connection.write(new TextEncoder().encode(greeting)).catch(() => {});
              }
            }
            assertEquals((await askJson(address, { req_type: "ping" })).message, "pong");
            const health = await fetch(`http://127.0.0.1:${http}/health`);
            assert([200, 503].includes(health.status));
            await health.body?.cancel();
          }
        }
        assert(!process.ended, process.lastWords());
        if (program === NODE) {
          const put = await askJson(address, { req_type: "put", key: "k", value: "v" });
          assertEquals(put.message, "success");
        }
      } finally {
        for (const connection of open) connection.close();
        const status = await process.stop();
        await Deno.remove(folder, { recursive: true });
        assertEquals(status.code, 0, process.log.join("\n"));
      }
    },
  });
}
