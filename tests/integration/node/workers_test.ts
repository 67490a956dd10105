/** Several workers on one machine, as real processes: one port, one log, one machine for whoever starts and stops it. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { MachineFolder, refuseMachineFolder } from "../../../node/workers/file_machine_folder.ts";
import { KvError } from "../../../shared/base/errors.ts";
import type { Address } from "../../../shared/platform/transport.ts";
import { askJson, type ProbeLogin } from "../../../tools/json_probe.ts";
import { NODE } from "../../../tools/programs.ts";
import { type ReadyLine, ServerProcess } from "../../../tools/server_process.ts";
import { LineClient } from "../../support/clients/line_client.ts";
import { RespClient } from "../../support/clients/resp_client.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

/** Connections until each worker should have had one, by far. */
const CONNECTIONS_MAX = 1_000;

/** A `kv-node --workers`, with its log. */
class Machine {
  readonly process: ServerProcess;
  readonly #lines: Record<string, unknown>[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(cluster: TestCluster, folder: string, flags: readonly string[], joinToken?: string) {
    const { host, port } = cluster.coordinatorAddress;
    this.process = ServerProcess.start(NODE, [
      "--host=127.0.0.1",
      "--port=0",
      `--coordinator=${host}:${port}`,
      `--data=${folder}`,
      ...flags,
    ], {
      cwd: cluster.folder,
      detached: false,
      ...(joinToken === undefined ? {} : { env: { KV_JOIN: joinToken } }),
      onLog: (line) => {
        if (line.startsWith("{")) this.#lines.push(JSON.parse(line));
        for (const look of [...this.#waiting]) look();
      },
    });
  }

  /** The newest lines with this event first. */
  said(event: string): Record<string, unknown>[] {
    return this.#lines.filter((line) => line.event === event).reverse();
  }

  /** Waits until the log has what is looked for. */
  async until<T>(look: () => T | undefined): Promise<T> {
    const found = Promise.withResolvers<T>();
    const check = () => {
      const seen = look();
      if (seen !== undefined) found.resolve(seen);
    };
    this.#waiting.add(check);
    check();
    const ended = this.process.status.then(() => {
      throw new Error(`the machine has ended: ${this.process.log.join("\n")}`);
    });
    try {
      return await Promise.race([found.promise, ended]);
    } finally {
      this.#waiting.delete(check);
      ended.catch(() => {});
    }
  }

  /** The process of a worker, as it was started last. */
  pidOf(worker: number): number {
    return Number(this.said("a worker is started").find((line) => line.worker === worker)?.pid);
  }
}

/** What `stats` says at the port that the workers share, as far as this looks at it. */
interface MachineStats {
  readonly workers: number;
  readonly answered: number;
  readonly answered_by: number;
  readonly own: number;
  readonly of_each: readonly {
    readonly stats?: { readonly own: number };
    readonly error?: { readonly code: string };
  }[];
}

async function machineStats(client: LineClient): Promise<MachineStats> {
  await client.send('{"req_type":"stats"}\n');
  const { result } = await client.reply();
  return result as MachineStats;
}

async function health({ host, facts }: ReadyLine): Promise<{ status: string; reasons: string[] }> {
  const response = await fetch(`http://${host}:${facts.http}/health`);
  return await response.json();
}

/** Which of two workers answer at the port that they share. */
async function workersAt(address: Address, login?: ProbeLogin): Promise<unknown[]> {
  const seen = new Set<unknown>();
  for (let i = 0; seen.size < 2 && i < CONNECTIONS_MAX; i++) {
    const { result } = await askJson(address, { req_type: "stats" }, undefined, login);
    seen.add((result as { answered_by?: number }).answered_by);
  }
  return [...seen].sort();
}

function isRunning(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

const ONLY_LINUX = { ignore: Deno.build.os !== "linux" };

Deno.test(
  "kv-node --workers: one machine to whoever uses it, several nodes to the cluster",
  ONLY_LINUX,
  async (t) => {
    await using cluster = await TestCluster.start({ nodes: 0, replicationFactor: 2 });
    await cluster.addNode(["--zone=other"]);
    const folder = `${cluster.folder}/machine`;
    let machine = new Machine(cluster, folder, ["--workers=2", "--zone=machine"]);
    let ready = await machine.process.ready;
    try {
      await cluster.whole({ nodes: 3 });

      await t.step("it says one line, and which workers it has", () => {
        assertEquals([ready.facts.workers, ready.facts.pid], [2, machine.process.pid]);
        assertEquals(machine.said("a worker listens").length, 2);
      });

      await t.step(
        "no two replicas of a partition are on it, while another machine is there",
        async () => {
          const { nodes } = await cluster.waitFor("replicas on both machines", (map) => {
            const zones = new Map(map.nodes.map(({ id, zone }) => [id, zone]));
            return map.partitions.every(({ inSync }) =>
              inSync.map((id) => zones.get(id)).sort().join() === "machine,other"
            );
          });
          assertEquals(nodes.map(({ zone }) => zone).sort(), ["machine", "machine", "other"]);
        },
      );

      await t.step(
        "its health and its figures are those of the machine, at a worker's own port those of the worker",
        async () => {
          const well = await cluster.poll("a machine that is well", async () => {
            const report = await health(ready);
            return report.status === "ok" ? report : undefined;
          });
          assertEquals(well.reasons, []);
          const [own] = machine.said("a worker listens");
          const metrics = await (await fetch(`http://127.0.0.1:${own?.http}/metrics`)).text();
          assertStringIncludes(metrics, "kv_info{role=");
          assertEquals(metrics.includes("kv_worker_up"), false);
          const shared = await cluster.poll("figures of both workers", async () => {
            const response = await fetch(`http://127.0.0.1:${ready.facts.http}/metrics`);
            const text = await response.text();
            return text.includes('kv_worker_up{worker="2"} 1') &&
                text.includes('kv_worker_up{worker="1"} 1')
              ? text
              : undefined;
          });
          for (const worker of [1, 2]) {
            assertStringIncludes(shared, `kv_info{worker="${worker}",role="node",id="`);
          }
          using client = await RespClient.connect({ hostname: ready.host, port: ready.port });
          const said = await client.ask("INFO server clients workers");
          assertStringIncludes(said, `tcp_port:${ready.port}\r\n`);
          assertMatch(said, /worker_1:node=[^,]+,status=\w+,answered=1,/);
          assertMatch(said, /worker_2:node=[^,]+,status=\w+,answered=1,/);
          assertStringIncludes(said, "connected_clients:1\r\n");
          const { result } = await askJson({ host: "127.0.0.1", port: Number(own?.port) }, {
            req_type: "stats",
          });
          const stats = result as Record<string, unknown>;
          assertEquals([stats.worker, stats.workers], [own?.worker, 2]);
        },
      );

      await t.step(
        "figures of the machine: a worker that hangs or is killed is missed, and nothing else is",
        async () => {
          const clients = [await LineClient.connect(ready)];
          try {
            // Which worker a connection comes to is the kernel's choice.
            let [client] = clients;
            while (client === undefined || (await machineStats(client)).answered_by !== 2) {
              assert(clients.length < CONNECTIONS_MAX);
              clients.push(client = await LineClient.connect(ready));
            }
            const whole = await machineStats(client);
            assertEquals([whole.workers, whole.answered, whole.answered_by], [2, 2, 2]);
            const own = whole.of_each.map(({ stats }) => Number(stats?.own));
            assertEquals(whole.own, (own[0] ?? 0) + (own[1] ?? 0));

            Deno.kill(machine.pidOf(1), "SIGSTOP");
            const hanging = await machineStats(client);
            assertEquals([hanging.workers, hanging.answered], [2, 1]);
            assertEquals(hanging.of_each[0]?.stats, undefined);
            assertEquals(typeof hanging.of_each[0]?.error?.code, "string");
            assertEquals(hanging.own, hanging.of_each[1]?.stats?.own);

            Deno.kill(machine.pidOf(1), "SIGKILL");
            const deaths = () => machine.said("a worker has died; it is started again").length;
            await machine.until(() => deaths() === 1 || undefined);
            const asked = client;
            await cluster.poll("both workers again", async () => {
              const stats = await machineStats(asked);
              assertEquals([stats.workers, stats.of_each.length], [2, 2]);
              for (const { stats: one, error } of stats.of_each) assert((one && !error) || error);
              return stats.answered === 2 || undefined;
            });
            await cluster.whole({ nodes: 3 });
          } finally {
            for (const one of clients) one[Symbol.dispose]();
          }
        },
      );

      await t.step(
        "a worker that is killed is started again, and no acknowledged write is lost",
        async () => {
          await using kv = await cluster.connect();
          const acknowledged: string[] = [];
          const write = async (key: string) => {
            await kv.put(key, key).then(() => acknowledged.push(key), (error) => {
              assert(error instanceof KvError, String(error));
            });
          };
          for (let i = 0; i < 50; i++) await write(`before-${i}`);
          const killed = machine.pidOf(1);
          Deno.kill(killed, "SIGKILL");
          let isBack = false;
          const back = machine.until(() =>
            machine.said("a worker listens").length === 4 || undefined
          )
            .then(() => isBack = true);
          for (let i = 0; !isBack; i++) await write(`meanwhile-${i}`);
          await back;
          const [death] = machine.said("a worker has died; it is started again");
          assertEquals([death?.worker, death?.end], [1, "was ended by SIGKILL"]);
          assert(machine.pidOf(1) !== killed);
          await cluster.whole({ nodes: 3 });
          assert(acknowledged.length > 50, "some writes were acknowledged meanwhile");
          for (const key of acknowledged) assertEquals(await kv.getText(key), key);
        },
      );

      await t.step("it stops as one", async () => {
        const pids = [machine.pidOf(1), machine.pidOf(2)];
        const { code, signal } = await machine.process.stop();
        assertEquals([code, signal, pids.some(isRunning)], [0, null, false]);
      });

      await t.step(
        "without workers, or with fewer, its folder is refused, and nothing is done to it",
        async () => {
          for (
            const [flags, wanted] of [
              [[], "holds the data of a node with 2 workers; start it with --workers 2"],
              [["--workers=1"], "start it with --workers 2"],
            ] as const
          ) {
            const other = new Machine(cluster, folder, flags);
            assertEquals((await other.process.status).code, 2);
            assertStringIncludes(other.process.lastWords(), wanted);
          }
        },
      );

      await t.step("with one worker more it goes on", async () => {
        machine = new Machine(cluster, folder, ["--workers=3", "--zone=machine"]);
        ready = await machine.process.ready;
        assertEquals(ready.facts.workers, 3);
        await cluster.whole({ nodes: 4 });
      });

      await t.step("a worker can leave for good by itself; then one less is enough", async () => {
        Deno.kill(machine.pidOf(3), "SIGUSR1");
        const gone = "a worker has left the cluster; it is not started again";
        await machine.until(() => machine.said(gone)[0]);
        await cluster.whole({ nodes: 3 });
        await machine.process.stop();
        machine = new Machine(cluster, folder, ["--workers=2", "--zone=machine"]);
        await machine.process.ready;
        await cluster.whole({ nodes: 3 });
      });

      await t.step("however it is killed, no worker is left behind", async () => {
        const pids = [machine.pidOf(1), machine.pidOf(2)];
        await machine.process.crash();
        await cluster.poll("the end of its workers", () => {
          return Promise.resolve(pids.some(isRunning) ? undefined : true);
        });
        machine = new Machine(cluster, folder, ["--workers=2", "--zone=machine"]);
        await machine.process.ready;
        await cluster.whole({ nodes: 3 });
      });

      await t.step("it leaves the cluster as one", async () => {
        machine.process.signal("SIGUSR1");
        assertEquals((await machine.process.status).code, 0);
        assertEquals((await cluster.whole({ nodes: 1 })).nodes.length, 1);
      });
    } finally {
      await machine.process.stop();
    }
  },
);

Deno.test(
  "kv-node --workers: in a secured cluster each worker joins by the token, and is a member of its own",
  ONLY_LINUX,
  async () => {
    await using cluster = await TestCluster.start({
      nodes: 0,
      replicationFactor: 2,
      secured: true,
    });
    const folder = `${cluster.folder}/machine`;
    const machine = new Machine(cluster, folder, ["--workers=2"], await cluster.joinToken());
    try {
      const ready = await machine.process.ready;
      const { nodes } = await cluster.whole({ nodes: 2 });
      assertEquals(new Set(nodes.map(({ peerPort }) => peerPort)).size, 2);
      assertEquals(await workersAt(ready, cluster.probeLogin), [1, 2]);
      for (const worker of [1, 2]) {
        await Deno.lstat(
          `${folder}/worker-${worker}.security/member.json`,
        );
      }
    } finally {
      await machine.process.stop();
    }
  },
);

Deno.test(
  "kv-node --workers: a setting that is wrong ends it with exit code 2, and says why",
  ONLY_LINUX,
  async () => {
    await using cluster = await TestCluster.start({ nodes: 0 });
    const folder = `${cluster.folder}/machine`;
    // A worker finds it out, not the supervisor: its folder is another role's.
    await Deno.mkdir(`${folder}/worker-2`, { recursive: true });
    await Deno.writeTextFile(`${folder}/worker-2/register.json`, "{}");
    const machine = new Machine(cluster, folder, ["--workers=2"]);
    assertEquals((await machine.process.status).code, 2);
    assertMatch(
      machine.process.log.join("\n"),
      /\[worker 2\] kv-node: folder .* belongs to a coordinator/,
    );
  },
);

Deno.test(
  "kv-node --workers: a port that a worker would need and has not is said at once",
  ONLY_LINUX,
  async () => {
    await using cluster = await TestCluster.start({ nodes: 0 });
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = taken.addr;
    const process = ServerProcess.start(NODE, [
      `--port=${port - 1}`,
      "--workers=2",
      "--storage=memory",
    ], {
      cwd: cluster.folder,
      detached: false,
    });
    assertEquals((await process.status).code, 1);
    assertStringIncludes(process.lastWords(), "a port of their own each");
  },
);

Deno.test("MachineFolder: refuses what would leave data behind, until those workers have left", async () => {
  const root = await Deno.makeTempDir();
  const path = `${root}/machine`;
  try {
    const refused = async (workers: number, wanted: string) => {
      const error = await assertRejects(() => MachineFolder.open(path, workers), KvError);
      assertStringIncludes(error.message, wanted);
      return error.code;
    };
    let folder = await MachineFolder.open(path, 4);
    assertEquals(await refused(4, "is in use"), "folder_in_use");
    await folder.noteLeft(4);
    folder.close();
    assertEquals(await refused(2, "leave that of worker 3 behind"), "bad_config");
    assertEquals(await refused(1, "leave that of workers 2, 3 behind"), "bad_config");
    folder = await MachineFolder.open(path, 3);
    await Promise.all([folder.noteLeft(3), folder.noteLeft(2)]);
    folder.close();
    const alone = await assertRejects(() => refuseMachineFolder(path), KvError);
    assertStringIncludes(alone.message, `--data ${path}/worker-1`);
    // Those that have left may come back, as any node may.
    folder = await MachineFolder.open(path, 4);
    folder.close();
    assertEquals(await refused(3, "leave that of worker 4 behind"), "bad_config");
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("MachineFolder: refuses folders of others, and says how a node's becomes a worker's", async () => {
  const path = await Deno.makeTempDir();
  try {
    for (
      const [name, wanted] of [
        ["node.json", `mv ${path}.one ${path}/worker-1`],
        ["register.json", "belongs to a coordinator"],
        ["holiday.jpg", "is no node with several workers's: it holds holiday.jpg"],
      ] as const
    ) {
      await Deno.writeTextFile(`${path}/${name}`, "");
      const error = await assertRejects(() => MachineFolder.open(path, 2), KvError);
      assertEquals(error.code, "bad_config");
      assertStringIncludes(error.message, wanted);
      await Deno.remove(`${path}/${name}`);
    }
    await refuseMachineFolder(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});
