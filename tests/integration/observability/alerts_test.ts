/**
 * The alert rules: promtool accepts them and their tests, and a real Prometheus that scrapes a real cluster sees each of
 * them fire when its reason is caused. Those of data and certificates are in `data_alerts_test.ts`.
 */
import { assert, assertEquals } from "@std/assert";
import dashboard from "../../../ops/grafana/kv.json" with { type: "json" };
import { PROMTOOL, promtool } from "../../support/metrics.ts";
import { hasProgram, needing } from "../../support/needs.ts";
import { NODE } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { OF_THE_MACHINE, PROMETHEUS, Prometheus } from "../../support/prometheus.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { TestCoordinators } from "../../support/worlds/coordinators.ts";
import { limitFiles, nodeWithLimits } from "../../support/worlds/full_disk.ts";

Deno.test({
  ...needing(
    "alerts: promtool accepts the rules, their tests pass, and the dashboard's queries are queries",
    PROMTOOL,
  ),
  fn: async () => {
    assertEquals(await promtool(["check", "rules", "ops/prometheus/alerts.yml"]), "");
    assertEquals(await promtool(["test", "rules", "ops/prometheus/alerts_test.yml"]), "");
    const panels = dashboard.panels as { targets?: { expr: string }[] }[];
    const rules = panels.flatMap(({ targets = [] }) => targets).map(({ expr }, i) => ({
      record: `panel:${i}`,
      expr: expr.replaceAll("$__rate_interval", "5m").replaceAll("$job", "kv"),
    }));
    const file = await Deno.makeTempFile({ suffix: ".yml" });
    try {
      await Deno.writeTextFile(file, JSON.stringify({ groups: [{ name: "panels", rules }] }));
      assertEquals(await promtool(["check", "rules", file]), "");
    } finally {
      await Deno.remove(file);
    }
  },
});

Deno.test({
  ...needing(
    "alerts: each fires when its reason is caused in a real cluster, and ends with it",
    PROMETHEUS,
  ),
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "kv-test-" });
    try {
      const nodeExecutable = await nodeWithLimits(folder);
      await using cluster = await TestCluster.start({ nodes: 3, nodeExecutable });
      await using kv = await cluster.connect();
      await kv.put("k", "v");
      const ports = [0, 1, 2].map((i) => cluster.nodeHttpAddress(i).port);
      await using prometheus = await Prometheus.start([
        cluster.coordinatorFacts.http ?? 0,
        ...ports,
      ]);
      await prometheus.untilQuiet(OF_THE_MACHINE);

      const { pid } = cluster.node(2);
      await limitFiles(pid, 0);
      await prometheus.until("KvDiskRefusesWrites");
      await limitFiles(pid, "unlimited");
      await prometheus.untilNot("KvDiskRefusesWrites");
      await cluster.whole({ nodes: 3 });

      // It stands still until it has missed a scrape.
      Deno.kill(pid, "SIGSTOP");
      await prometheus.until("KvProcessDown").finally(() => Deno.kill(pid, "SIGCONT"));
      await prometheus.until("KvEventLoopBlocked");
      await cluster.whole({ nodes: 3 });
      await prometheus.untilNot("KvProcessDown");

      await cluster.crash(0);
      await prometheus.until("KvProcessDown", "KvUnderReplicated");
      await cluster.crash(1);
      await prometheus.until("KvWritesRefused");
      const failing = { isOver: false };
      const puts = (async () => {
        while (!failing.isOver) await kv.put("k", "v", { timeoutMs: 500 }).catch(() => {});
      })();
      await prometheus.until("KvRequestsFailing").finally(() => failing.isOver = true);
      await puts;
      await cluster.crash(2);
      await prometheus.until("KvPartitionsWithoutPrimary");
      for (const i of [2, 1]) await cluster.restart(i, [`--http-port=${ports[i]}`]);
      await prometheus.untilNot("KvPartitionsWithoutPrimary", "KvWritesRefused");
      await cluster.coordinatorProcess.crash();
      await prometheus.until("KvCoordinatorUnreachable");
      await cluster.restartCoordinator();
      await prometheus.untilNot("KvCoordinatorUnreachable");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  ...needing(
    "alerts: those of the coordinators fire when one is away, when none can act, and when the document cannot be written",
    PROMETHEUS,
  ),
  fn: async () => {
    await using cluster = await TestCluster.start({
      nodes: 1,
      replicationFactor: 1,
      minInSync: 1,
    });
    await using coordinators = await TestCoordinators.add(cluster, 2);
    const httpPorts = [0, 1, 2].map(async (i) => {
      return (await coordinators.processOf(i).ready).facts.http ?? 0;
    });
    await using prometheus = await Prometheus.start(await Promise.all(httpPorts));
    await prometheus.untilQuiet(OF_THE_MACHINE);

    await coordinators.processOf(2).crash();
    await prometheus.until("KvCoordinatorAway");

    // Its folder is gone, and comes back.
    const active = await coordinators.active([0, 1]);
    const folder = coordinators.folderOf(active);
    await Deno.rename(folder, `${folder}.away`);
    const order = { req_type: "database_create", database: "orders" } as const;
    const asked = coordinators.askOne(active, order).catch(() => undefined);
    await prometheus.until("KvDocumentUnusable").finally(() =>
      Deno.rename(`${folder}.away`, folder)
    );
    await prometheus.untilNot("KvDocumentUnusable");
    await asked;

    await coordinators.processOf(1).crash();
    await prometheus.until("KvNoActiveCoordinator");
  },
});

const SLOW_DISK = [
  {
    met: hasProgram("prlimit", "--version") && hasProgram("strace", "--version"),
    otherwise: "no prlimit or strace",
  },
  {
    met: hasProgram("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"),
    otherwise: "may not mount a file system",
  },
];

/** A node on a file system of its own of 64 MiB, with few descriptors, whose syncs take a while. */
async function misfit(folder: string): Promise<ServerProcess> {
  const { success } = await new Deno.Command("mount", {
    args: ["-t", "tmpfs", "-o", "size=64m", "tmpfs", folder],
  }).output();
  assert(success, "a file system of its own");
  const syncs = "fsync,fdatasync";
  const command = [
    ...["--nofile=256", "strace", "--follow-forks", "--seccomp-bpf", "--output=/dev/null"],
    ...[`--trace=${syncs}`, `--inject=${syncs}:delay_enter=300000`],
    ...[Deno.execPath(), "run", "--quiet", "--no-prompt", ...NODE.permissions],
    new URL(`../../../${NODE.entry}`, import.meta.url).pathname,
    ...["--port=0", "--http-port=0", "--standalone", `--data=${folder}/data`],
  ];
  return ServerProcess.start(NODE, command, { executable: "prlimit", detached: false });
}

async function freeBytes(folder: string): Promise<number> {
  const args = ["-f", "-c", "%a %S", folder];
  const { stdout } = await new Deno.Command("stat", { args }).output();
  const [blocks = 0, blockBytes = 0] = new TextDecoder().decode(stdout).trim().split(" ").map(
    Number,
  );
  return blocks * blockBytes;
}

Deno.test({
  ...needing(
    "alerts: those of a node fire when its disk is slow or nearly full, and when it has no room for connections",
    PROMETHEUS,
    ...SLOW_DISK,
  ),
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "kv-test-" });
    const open: Deno.TcpConn[] = [];
    let process: ServerProcess | undefined;
    try {
      process = await misfit(folder);
      const { port, facts: { http = 0 } } = await process.ready;
      await using prometheus = await Prometheus.start([http]);
      await prometheus.untilQuiet(OF_THE_MACHINE);

      const busy = { isOver: false };
      const puts = (async () => {
        while (!busy.isOver) {
          const url = `http://127.0.0.1:${http}/kv/k`;
          await (await fetch(url, { method: "PUT", body: "v" })).body?.cancel();
        }
      })();
      await prometheus.until("KvSlowDisk").finally(() => busy.isOver = true);
      await puts;

      const almostAll = await freeBytes(folder) - 3 * 2 ** 20;
      await Deno.writeFile(`${folder}/other`, new Uint8Array(almostAll));
      await prometheus.until("KvDiskAlmostFull");
      await Deno.remove(`${folder}/other`);
      await prometheus.untilNot("KvDiskAlmostFull");

      // More clients than it has descriptors, and each of them has said something. They go away again: while they are
      // there, whoever wants the metrics is refused as well.
      const full = { isOver: false };
      const flood = (async () => {
        while (!full.isOver) {
          for (let i = 0; i < 300; i++) {
            const connection = await Deno.connect({ hostname: "127.0.0.1", port });
            open.push(connection);
            await connection.write(new TextEncoder().encode("PING\r\n")).catch(() => {});
          }
          for (const connection of open.splice(0)) connection.close();
          await new Promise((resolve) => setTimeout(resolve, 2_000));
        }
      })();
      await prometheus.until("KvConnectionsRefused").finally(() => full.isOver = true);
      await flood;
    } finally {
      for (const connection of open) connection.close();
      await process?.crash();
      await new Deno.Command("umount", { args: ["--lazy", folder] }).output();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
