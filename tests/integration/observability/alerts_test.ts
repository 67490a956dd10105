/**
 * The alert rules: promtool accepts them and their tests, and a real Prometheus that scrapes a real cluster sees each of
 * them fire when its reason is caused. Those whose reason cannot be caused in a few seconds have promtool's tests alone.
 */
import { assertEquals } from "@std/assert";
import dashboard from "../../../ops/grafana/kv.json" with { type: "json" };
import { PROMTOOL, promtool } from "../../support/metrics.ts";
import { needing } from "../../support/needs.ts";
import { PROMETHEUS, Prometheus } from "../../support/prometheus.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
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

/** What a busy machine may cause by itself. */
const OF_THE_MACHINE = ["KvSlowDisk", "KvEventLoopBlocked", "KvDiskAlmostFull"];

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
