/**
 * NATS with JetStream: servers on this machine, with default settings except for addresses and folders.
 *
 * @module
 */
import { freePort } from "../../../tools/free_port.ts";
import { natsBucket } from "../clients/nats_client.ts";
import { ForeignProcess } from "./foreign_process.ts";
import type { Running, System } from "./system.ts";

/** Starts this many servers in an empty folder, and waits until they hold a bucket. */
export async function startNats(
  servers: number,
  folder: string,
  running: Running,
): Promise<System> {
  const host = "127.0.0.1";
  const ports = Array.from({ length: servers }, () => ({ client: freePort(), peer: freePort() }));
  const routes = ports.map(({ peer }) => `nats://${host}:${peer}`).join(",");
  await Deno.mkdir(folder, { recursive: true });
  const children = ports.map(({ client, peer }, i) => {
    const child = new ForeignProcess("nats-server", [
      "--jetstream",
      `--store_dir=${folder}/s${i}`,
      `--name=s${i}`,
      `--addr=${host}`,
      `--port=${client}`,
      "--cluster_name=bench",
      `--cluster=nats://${host}:${peer}`,
      `--routes=${routes}`,
    ], folder);
    running.add(() => child.stop());
    return child;
  });
  const endpoints = ports.map(({ client }) => ({ host, port: client }));
  // The bucket is there for all once one has made it, and needs a leader of all servers before that.
  for (const [i, child] of children.entries()) {
    const endpoint = endpoints[i];
    if (endpoint === undefined) continue;
    await child.untilReady(async () => await (await natsBucket(endpoint)).close());
  }
  return {
    name: "nats",
    setup: `NATS, ${servers} servers, JetStream KV with ${servers} replicas in files, default ` +
      "settings: a majority acknowledges, and this version does so before it syncs",
    processes: children.map(({ pid }, i) => ({ role: `server ${i + 1}`, pid })),
    endpoints,
    httpEndpoints: endpoints,
  };
}
