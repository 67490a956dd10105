/** Coordinators whose document is in an etcd, as real processes: the active one is killed, and another one acts. */
import { assert, assertEquals } from "@std/assert";
import { startEtcd } from "../../../bench/compare/systems/etcd_system.ts";
import { Running } from "../../../bench/compare/systems/system.ts";
import { connect } from "../../../client/mod.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { COORDINATOR, NODE, type ProgramSpec } from "../../../tools/programs.ts";
import { askJson } from "../../../tools/json_probe.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { hasProgram, needing } from "../../support/needs.ts";

const NEEDS_ETCD = { met: hasProgram("etcd", "--version"), otherwise: "no etcd" };
const POLL_MS = 100;

Deno.test({
  ...needing(
    "coordinators on etcd: the active one is killed, another one acts, and nothing is lost",
    NEEDS_ETCD,
  ),
  async fn() {
    const folder = await Deno.makeTempDir();
    const processes: ServerProcess[] = [];
    const start = (program: ProgramSpec, ...flags: string[]) => {
      const process = ServerProcess.start(program, flags, { cwd: folder, detached: false });
      processes.push(process);
      return process;
    };
    try {
      await using running = new Running();
      const etcd = await startEtcd(1, `${folder}/etcd`, running);
      const [endpoint] = etcd.endpoints;
      assert(endpoint !== undefined);
      const register = `etcd://${formatAddress(endpoint)}/kv/test`;
      const coordinators = [1, 2].map((n) =>
        start(
          COORDINATOR,
          `--register=${register}`,
          `--id=c${n}`,
          "--port=0",
          "--heartbeat-port=0",
          "--http-port=0",
          "--discovery=off",
          "--no-cs-config",
        )
      );
      const addresses = (await Promise.all(coordinators.map(({ ready }) => ready)))
        .map(formatAddress).join(",");
      for (let n = 1; n <= 3; n++) {
        start(NODE, `--coordinator=${addresses}`, `--data=node-${n}`, "--port=0", "--http-port=0");
      }
      await Promise.all(processes.map(({ ready }) => ready));
      await using client = await connect({ coordinator: addresses });
      await client.put("key", "before");

      // Neither has a folder.
      const there = [...Deno.readDirSync(folder)].map(({ name }) => name);
      assertEquals(there.filter((name) => name.includes("coordinator")), []);

      const lines = async (n: number): Promise<{ id: string; role: string }[]> => {
        const { host, port } = await coordinators[n - 1]?.ready ?? { host: "", port: 0 };
        const reply = await askJson({ host, port }, { req_type: "coordinators" });
        // A standby asks the active one, which may be dead.
        return reply.req_type === "result" ? Object(reply.result).coordinators : [];
      };
      const active = (await lines(1)).find(({ role }) => role === "active");
      const [killed, left] = active?.id === "c1" ? [1, 2] : [2, 1];
      const victim = await coordinators[killed - 1]?.ready;
      Deno.kill(victim?.facts.pid ?? 0, "SIGKILL");
      // Data goes on meanwhile.
      await client.put("key", "meanwhile");
      for (;;) {
        const now = await lines(left);
        if (now.some(({ id, role }) => id === `c${left}` && role === "active")) break;
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
      assertEquals(new TextDecoder().decode(await client.get("key")), "meanwhile");
    } finally {
      await Promise.all(processes.map((process) => process.stop()));
      await Deno.remove(folder, { recursive: true });
    }
  },
});
