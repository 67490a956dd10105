/** Redis, one process. @module */
import { ForeignProcess } from "./foreign_process.ts";
import { freePort } from "../../../tools/free_port.ts";
import type { Running, System } from "./system.ts";

/** Without any persistence, or with every write synced before its answer. */
export type RedisDurability = "none" | "always";

/** Starts it in an empty folder. */
export async function startRedis(
  durability: RedisDurability,
  folder: string,
  running: Running,
): Promise<System> {
  const host = "127.0.0.1";
  const port = freePort();
  const persistence = durability === "none"
    ? ["--appendonly", "no"]
    : ["--appendonly", "yes", "--appendfsync", "always"];
  await Deno.mkdir(folder, { recursive: true });
  const args = ["--port", String(port), "--bind", host, "--dir", folder, "--save", ""];
  const child = new ForeignProcess("redis-server", [...args, ...persistence], folder);
  running.add(() => child.stop());
  await child.untilReady(async () => {
    const conn = await Deno.connect({ hostname: host, port });
    conn.close();
  });
  const endpoint = { host, port };
  return {
    name: "Redis",
    setup: `redis-server --save "" ${persistence.join(" ")}`,
    processes: [{ role: "server", pid: child.pid }],
    endpoints: [endpoint],
    httpEndpoints: [],
  };
}
