/** etcd: members on this machine, with default settings except for addresses and folders. @module */
import { ForeignProcess } from "./foreign_process.ts";
import { freePort } from "../../../tools/free_port.ts";
import type { Running, System } from "./system.ts";

/** Starts this many members in an empty folder, and waits until they have a leader. */
export async function startEtcd(
  members: number,
  folder: string,
  running: Running,
): Promise<System> {
  const host = "127.0.0.1";
  const ports = Array.from({ length: members }, () => ({ client: freePort(), peer: freePort() }));
  const cluster = ports.map(({ peer }, i) => `m${i}=http://${host}:${peer}`).join(",");
  await Deno.mkdir(folder, { recursive: true });
  const children = ports.map(({ client, peer }, i) => {
    const child = new ForeignProcess("etcd", [
      `--name=m${i}`,
      `--data-dir=${folder}/m${i}`,
      `--listen-client-urls=http://${host}:${client}`,
      `--advertise-client-urls=http://${host}:${client}`,
      `--listen-peer-urls=http://${host}:${peer}`,
      `--initial-advertise-peer-urls=http://${host}:${peer}`,
      `--initial-cluster=${cluster}`,
      "--initial-cluster-state=new",
      "--logger=zap",
      "--log-level=error",
    ], folder);
    running.add(() => child.stop());
    return child;
  });
  await Promise.all(children.map((child, i) =>
    child.untilReady(async () => {
      const response = await fetch(`http://${host}:${ports[i]?.client}/health`);
      const { health } = await response.json();
      if (health !== "true") throw new Error("no leader yet");
    })
  ));
  const endpoints = ports.map(({ client }) => ({ host, port: client }));
  return {
    name: "etcd",
    setup: `etcd, ${members} members, default settings (each write synced by a majority)`,
    processes: children.map(({ pid }, i) => ({ role: `member ${i + 1}`, pid })),
    endpoints,
    httpEndpoints: endpoints,
  };
}
