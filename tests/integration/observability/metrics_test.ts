/** What real processes say of themselves in `/metrics`: it counts what was asked, and is true while nodes die. */
import { assert, assertEquals } from "@std/assert";
import { METRIC_ROWS } from "../../../shared/metrics/metric_table.ts";
import { metricsText, PROMTOOL, promtool, type Series, seriesOf } from "../../support/metrics.ts";
import { needing } from "../../support/needs.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

function coordinatorHttp(cluster: TestCluster) {
  return { host: "127.0.0.1", port: cluster.coordinatorFacts.http ?? 0 };
}

function sumOf(series: Series, begins: string, contains = ""): number {
  let sum = 0;
  for (const [name, value] of series) {
    if (name.startsWith(begins) && name.includes(contains)) sum += value;
  }
  return sum;
}

/** The names of the metrics that a text has. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = ""]) => name);
}

Deno.test("metrics: every process counts what it was asked, and says how the cluster is while a node is gone and comes back", async () => {
  await using cluster = await TestCluster.start();
  await using kv = await cluster.connect();
  for (let i = 0; i < 50; i++) await kv.put(`k${i}`, "v");
  await kv.get("k1");
  const nodes = await Promise.all([0, 1, 2].map(async (i) => {
    return seriesOf(await metricsText(cluster.nodeHttpAddress(i)));
  }));
  const all = (begins: string, contains = "") =>
    nodes.reduce((sum, series) => sum + sumOf(series, begins, contains), 0);
  assertEquals(all("kv_requests_total{", 'front_end="wire",operation="put",code="ok"'), 50);
  assertEquals(all("kv_request_seconds_count{", 'operation="put"'), 50);
  assertEquals(all("kv_requests_total{", 'operation="get",code="ok"'), 1);
  assertEquals(all('kv_replicas{state="primary"}'), 32);
  assertEquals(all('kv_replicas{state="in_sync"}'), 64);
  assertEquals(all("kv_entries", "keys"), 150);
  assertEquals(all("kv_node_lease"), 3);
  assertEquals(all("kv_replication_streams{", 'state="level"'), 64);
  assertEquals(all("kv_replication_streams{", 'state="down"'), 0);
  assert(all("kv_commit_seconds_count") > 0);
  assert(all("kv_commit_bytes_total") > 0);
  assert(all("process_resident_memory_bytes") > 0);

  const coordinator = async () => seriesOf(await metricsText(coordinatorHttp(cluster)));
  const well = await cluster.poll("all is well", async () => {
    const series = await coordinator();
    return series.get('kv_health{status="ok"}') === 1 ? series : undefined;
  });
  assertEquals(well.get('kv_cluster_nodes{state="up"}'), 3);
  assertEquals(well.get('kv_cluster_partitions{state="under_replicated"}'), 0);

  const map = await cluster.map();
  const gone = map.nodes.find(({ port }) => port === cluster.nodeAddress(0).port)?.id;
  await cluster.crash(0);
  const broken = await cluster.poll("the coordinator tells of the dead node", async () => {
    const series = await coordinator();
    // The coordinator counts what it has decided, and names what the published map says.
    return series.get('kv_cluster_nodes{state="down"}') === 1 &&
        series.get(`kv_cluster_node_up{node="${gone}"}`) === 0 &&
        series.get('kv_cluster_partitions{state="without_primary"}') === 0
      ? series
      : undefined;
  });
  assertEquals(broken.get('kv_cluster_partitions{state="under_replicated"}'), 32);
  assertEquals(broken.get('kv_health{status="degraded"}'), 1);
  assert((broken.get("kv_cluster_failovers_total") ?? 0) > 0);
  const left = seriesOf(await metricsText(cluster.nodeHttpAddress(1)));
  assertEquals(left.get(`kv_peer_up{peer="${gone}"}`) ?? 0, 0);

  await cluster.restart(0);
  await cluster.whole({ nodes: 3 });
  const again = await cluster.poll("all is well", async () => {
    const series = await coordinator();
    return series.get('kv_health{status="ok"}') === 1 ? series : undefined;
  });
  assertEquals(again.get('kv_cluster_partitions{state="under_replicated"}'), 0);
});

Deno.test({
  ...needing(
    "metrics: promtool accepts what every process says, and each metric of the table is said by somebody",
    PROMTOOL,
  ),
  fn: async () => {
    await using cluster = await TestCluster.start({ nodes: 2, secured: false });
    await cluster.order({
      req_type: "database_create",
      database: "orders",
      max_keys: 10,
      max_bytes: 1_000,
    });
    const texts = await cluster.poll("the node knows the database", async () => {
      const all = await Promise.all([
        metricsText(coordinatorHttp(cluster)),
        metricsText(cluster.nodeHttpAddress(0)),
      ]);
      return all[1].includes("kv_keyspace_keys_max") ? all : undefined;
    });
    for (const text of texts) assertEquals(await promtool(["check", "metrics"], text), "");
    const said = new Set(texts.flatMap(namesIn));
    const unsaid = METRIC_ROWS.map(([name]) => name).filter((name) => !said.has(name));
    // The size of the database is measured after a while.
    assertEquals(unsaid.filter((name) => name !== "kv_database_bytes"), [
      // Of a machine with workers (`tests/integration/node/workers_test.ts`), and of secured processes.
      "kv_worker_up",
      "kv_certificate_begin_seconds",
      "kv_certificate_end_seconds",
    ]);
  },
});

Deno.test("metrics: in a secured cluster they need the right to monitor, which allows nothing else", async () => {
  await using cluster = await TestCluster.start({ secured: true, nodes: 2 });
  const { credentials } = cluster;
  assert(credentials !== undefined);
  const monitor = [{ database: "default", prefix: "", right: "monitor" }];
  const all = [{ database: "default", prefix: "", right: "read" }];
  await cluster.order({ req_type: "role_set", role: "monitoring", grants: monitor });
  await cluster.order({ req_type: "role_set", role: "reading", grants: all });
  const password = "correct horse";
  for (const [user, role] of [["prometheus", "monitoring"], ["alice", "reading"]]) {
    await cluster.order({ req_type: "user_add", user, password, roles: [role] });
  }
  using client = Deno.createHttpClient({ caCerts: [credentials.ca] });
  const ask = async (port: number, path: string, user?: string) => {
    const headers: HeadersInit = user === undefined
      ? {}
      : { authorization: `Basic ${btoa(`${user}:${password}`)}` };
    const response = await fetch(`https://127.0.0.1:${port}${path}`, { client, headers });
    return { status: response.status, text: await response.text() };
  };
  const ports = [cluster.coordinatorFacts.http ?? 0, cluster.nodeHttpAddress(0).port];
  for (const port of ports) {
    assertEquals((await ask(port, "/metrics")).status, 401);
    assertEquals((await ask(port, "/metrics", "alice")).status, 403);
    const told = await cluster.poll("the user is known there", async () => {
      const answer = await ask(port, "/metrics", "prometheus");
      return answer.status === 200 ? answer.text : undefined;
    });
    const ends = seriesOf(told).get('kv_certificate_end_seconds{of="server"}') ?? 0;
    assert(ends * 1_000 > Date.now(), `${ends}`);
    assert(!told.includes(password));
    assertEquals((await ask(port, "/kv/a", "prometheus")).status, 403);
    assertEquals((await ask(port, "/kv", "prometheus")).status, 403);
  }
  const reply = await cluster.ask(0, { req_type: "slow_requests" });
  assertEquals(reply.req_type, "result");
});
