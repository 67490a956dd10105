/** A server that serves can reach its own files, and no others; tried from inside of the real processes. */
import { assertEquals } from "@std/assert";
import { COORDINATOR, NODE, type ProgramSpec } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import type { Probed } from "../../support/data/permission_probe.ts";

const PROBE = new URL("../../support/data/permission_probe.ts", import.meta.url).pathname;
const REFUSED: Probed = {
  "read /etc/passwd": "NotCapable",
  "read the working folder": "NotCapable",
  "write the working folder": "NotCapable",
  "write the temporary folder": "NotCapable",
  "read cs_config.txt": "NotFound",
  "count descriptors": "done",
  "load native code": "NotCapable",
  "run a program": "NotCapable",
  "read the environment": "NotCapable",
};

/** What a program can do once it serves, and whether it says that it has permissions left. */
async function probed(
  program: ProgramSpec,
  args: readonly string[],
): Promise<{ can: Probed; warned: boolean }> {
  const folder = await Deno.makeTempDir();
  const found = Promise.withResolvers<Probed>();
  let warned = false;
  const server = ServerProcess.start(program, ["--host=127.0.0.1", "--port=0", ...args], {
    cwd: folder,
    detached: false,
    denoFlags: [`--preload=${PROBE}`],
    onLog(line) {
      if (line.startsWith("probe ")) found.resolve(JSON.parse(line.slice("probe ".length)));
      warned ||= line.includes("may read or write all files");
    },
  });
  try {
    await server.ready;
    server.signal("SIGUSR2");
    const can = await found.promise;
    // Its log is complete when it has ended.
    await server.stop();
    return { can, warned };
  } finally {
    await server.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

const PROGRAMS: [name: string, program: ProgramSpec, args: string[]][] = [
  ["kv-node on disk", NODE, ["--standalone", "--data=data"]],
  ["kv-node in memory", NODE, ["--standalone", "--storage=memory"]],
  ["kv-node --secure", NODE, ["--standalone", "--data=data", "--secure"]],
  ["kv-coordinator", COORDINATOR, [
    "--heartbeat-port=0",
    "--discovery=off",
    "--data=data",
    "--no-cs-config",
  ]],
];

for (const [name, program, args] of PROGRAMS) {
  Deno.test({
    name: `${name}: reaches no files but its own, no native code, no program, no environment`,
    ignore: Deno.build.os === "windows",
    fn: async () => {
      assertEquals(await probed(program, args), { can: REFUSED, warned: false });
    },
  });
}

Deno.test("kv-node: what was granted beyond what it asks for cannot be given up, and is told", async () => {
  const all = NODE.permissions.filter((flag) => !/--allow-(read|write)/.test(flag));
  const program = { ...NODE, permissions: [...all, "--allow-read", "--allow-write"] };
  const { can, warned } = await probed(program, ["--standalone", "--storage=memory"]);
  assertEquals([can["read /etc/passwd"], warned], ["done", true]);
});
