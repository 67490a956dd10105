/**
 * Tools for Redis beside a real node: what redis_exporter (1.67) and RedisInsight ask, read as they read it. Where they
 * would leave something out in silence, this fails. And redis_exporter itself, as Debian has it (1.45).
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Redis } from "ioredis";
import { freePort } from "../../../tools/free_port.ts";
import { NODE } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { hasProgram, needing } from "../../support/needs.ts";

type Answer = string | number | null | Answer[];

/** `INFO`, as redis_exporter takes it apart: by section and field. */
function readInfo(text: string): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  let section = new Map<string, string>();
  for (const line of text.split("\n").map((line) => line.trim())) {
    if (line.startsWith("# ")) {
      section = new Map();
      sections.set(line.slice(2), section);
      continue;
    }
    const at = line.indexOf(":");
    if (line.length >= 2 && at > 0) section.set(line.slice(0, at), line.slice(at + 1));
  }
  return sections;
}

/** `a=1,b=2`. */
function readPairs(text: string): [name: string, value: number][] {
  return text.split(",").map((part) => {
    const [name = "", value = "", ...more] = part.split("=");
    assertEquals(more, [], part);
    const number = Number(value);
    assert(value !== "" && !Number.isNaN(number), part);
    return [name, number];
  });
}

/** What redis_exporter makes a metric of, if it is there. */
const NUMBERS: Readonly<Record<string, readonly string[]>> = {
  Server: ["uptime_in_seconds"],
  Clients: ["connected_clients", "blocked_clients", "maxclients"],
  Memory: ["used_memory", "used_memory_rss", "maxmemory"],
  Stats: [
    "total_connections_received",
    "total_commands_processed",
    "rejected_connections",
    "expired_keys",
    "evicted_keys",
    "pubsub_channels",
    "pubsub_patterns",
  ],
  Replication: ["connected_slaves"],
  CPU: ["used_cpu_sys", "used_cpu_user"],
};

async function askAsExporter(ask: (...words: (string | number)[]) => Promise<Answer>) {
  assertEquals(await ask("CLIENT", "SETNAME", "redis_exporter"), "OK");
  const config = await ask("CONFIG", "GET", "*") as string[];
  assertEquals(config.length % 2, 0);
  const settings = new Map(
    config.flatMap((name, i) => i % 2 === 0 ? [[name, config[i + 1] ?? ""]] : []),
  );
  assertEquals([settings.get("databases"), settings.get("maxmemory")], ["16", "0"]);
  assert(Number(settings.get("maxclients")) > 0);

  const info = readInfo(await ask("INFO", "ALL") as string);
  for (const [section, names] of Object.entries(NUMBERS)) {
    for (const name of names) {
      const value = info.get(section)?.get(name);
      assert(value !== undefined && !Number.isNaN(Number(value)), `${section} ${name}: ${value}`);
    }
  }
  assert(Number(info.get("Memory")?.get("used_memory_rss")) > 1e6);
  assert(Number(info.get("CPU")?.get("used_cpu_user")) > 0);
  for (const name of ["role", "redis_version", "redis_mode", "tcp_port", "run_id"]) {
    const all = [...info.values()].flatMap((section) => section.get(name) ?? []);
    assertEquals(all.length, 1, name);
  }
  assertEquals(readPairs(info.get("Keyspace")?.get("db0") ?? "").slice(0, 2), [
    ["keys", 3],
    ["expires", 0],
  ]);
  const stats = new Map([...info.get("Commandstats") ?? []].map(([name, value]) => {
    assertMatch(name, /^cmdstat_[a-z._|-]+$/);
    return [name.slice("cmdstat_".length), readPairs(value)];
  }));
  const names = ["calls", "usec", "usec_per_call", "rejected_calls", "failed_calls"];
  for (const pairs of stats.values()) assertEquals(pairs.map(([name]) => name), names);
  assertEquals(stats.get("set")?.[0], ["calls", 3]);
  assertEquals(stats.get("incr")?.[4], ["failed_calls", 1]);
  for (const [name, value] of info.get("Latencystats") ?? []) {
    assert(stats.has(name.slice("latency_percentiles_usec_".length)), name);
    for (const [percentile, usec] of readPairs(value)) {
      assertMatch(percentile, /^p[\d.]+$/);
      assert(usec >= 0);
    }
  }

  // It asks this since INFO says cluster_enabled:1.
  assertEquals(info.get("Cluster")?.get("cluster_enabled"), "1");
  const cluster = await ask("CLUSTER", "INFO") as string;
  const fields = cluster.split("\r\n").map((line) => line.split(":"));
  assert(fields.some(([name, value]) => name === "cluster_known_nodes" && value === "1"), cluster);

  assertEquals(await ask("LATENCY", "LATEST"), []);
  const histograms = await ask("LATENCY", "HISTOGRAM") as Answer[];
  assert(histograms.length > 0 && histograms.length % 2 === 0);
  for (let i = 0; i < histograms.length; i += 2) {
    const [calls, total, what, buckets] = histograms[i + 1] as [string, number, string, number[]];
    assertEquals([typeof histograms[i], calls, what], ["string", "calls", "histogram_usec"]);
    assertEquals(buckets.length % 2, 0);
    assertEquals(buckets.at(-1), total, `${histograms[i]}`);
    for (let j = 2; j < buckets.length; j += 2) {
      assert((buckets[j] ?? 0) > (buckets[j - 2] ?? 0), "bounds grow");
      assert((buckets[j + 1] ?? 0) > (buckets[j - 1] ?? 0), "counts add up");
    }
  }
  const sets = await ask("LATENCY", "HISTOGRAM", "set") as Answer[];
  assertEquals([sets.length, sets[0], (sets[1] as Answer[])[1]], [2, "set", 3]);

  // check-keys, count-keys.
  assertEquals(await ask("SELECT", 0), "OK");
  const [cursor, keys] = await ask("SCAN", 0, "MATCH", "k:*", "COUNT", 1_000) as [string, string[]];
  assertEquals([cursor, keys.toSorted()], ["0", ["k:1", "k:2"]]);
  assertEquals([await ask("TYPE", "k:1"), await ask("TYPE", "none")], ["string", "none"]);
  // It tries this first, and takes the error for an answer.
  await assertRejects(() => ask("PFCOUNT", "k:1"));
  assertEquals([await ask("STRLEN", "k:1"), await ask("GET", "k:1")], [2, "10"]);

  assert(Number(await ask("SLOWLOG", "LEN")) > 0);
  for (const count of [1, 10]) {
    for (const one of await ask("SLOWLOG", "GET", count) as Answer[][]) {
      const [id, at, usec, words] = one;
      assert([id, at, usec].every((value) => typeof value === "number"), JSON.stringify(one));
      assert(Array.isArray(words) && typeof words[0] === "string");
    }
  }
  const clients = await ask("CLIENT", "LIST") as string;
  const [own = ""] = clients.split("\n").filter((line) => line.includes("name=redis_exporter"));
  assertMatch(own, /^id=\d+ addr=\S+/);
  const parts = new Map(own.split(" ").map((part) => part.split("=") as [string, string]));
  for (const name of ["age", "idle", "db", "omem"]) {
    assertMatch(parts.get(name) ?? "", /^\d+$/, name);
  }
  assertMatch(parts.get("addr") ?? "", /^127\.0\.0\.1:\d+$/);
}

async function askAsInsight(ask: (...words: (string | number)[]) => Promise<Answer>) {
  assertEquals(await ask("MODULE", "LIST"), []);
  assert((await ask("COMMAND") as Answer[]).length > 100);
  assertEquals(await ask("DBSIZE"), 3);
  assertEquals(await ask("ACL", "WHOAMI"), "default");
  const [, keys] = await ask("SCAN", 0, "MATCH", "*", "COUNT", 10_000, "TYPE", "string") as [
    string,
    string[],
  ];
  assertEquals(keys.length, 3);
  for (const key of keys) {
    assert(Number(await ask("MEMORY", "USAGE", key, "SAMPLES", 0)) > 0);
    assertEquals([await ask("TYPE", key), await ask("TTL", key)], ["string", -1]);
    assert(Number(await ask("STRLEN", key)) > 0);
    assertEquals(typeof await ask("GETRANGE", key, 0, 4_999), "string");
    assertEquals(typeof await ask("OBJECT", "ENCODING", key), "string");
  }
  const slow = await ask("CONFIG", "GET", "slowlog*") as string[];
  assertEquals(slow.filter((_, i) => i % 2 === 0), ["slowlog-log-slower-than", "slowlog-max-len"]);
  assertEquals(await ask("PUBSUB", "CHANNELS"), []);
  assertMatch(await ask("INFO", "server") as string, /^# Server\r\nredis_version:7/);
  assertMatch(await ask("INFO") as string, /used_memory_human:[\d.]+[KMG]\r\n/);
}

Deno.test("redis_exporter and RedisInsight find what they ask a node, in the form that they read", async () => {
  const flags = ["--port=0", "--http-port=off", "--standalone", "--storage=memory"];
  const node = ServerProcess.start(NODE, [...flags, "--slow-request-ms=1"], { detached: false });
  try {
    const { host, port } = await node.ready;
    const redis = new Redis({ host, port });
    try {
      await redis.mset("k:1", "10", "k:2", "x", "other", "y");
      for (const key of ["k:1", "k:2", "other"]) await redis.set(key, key === "k:1" ? "10" : "x");
      await assertRejects(() => redis.incr("k:2"));
      const ask = (...words: (string | number)[]) => {
        const [name = "", ...args] = words;
        return redis.call(String(name), ...args) as Promise<Answer>;
      };
      // Slow on every machine.
      await ask("EVAL", "local t = os.clock() while os.clock() - t < 0.05 do end", 0);
      await askAsExporter(ask);
      await askAsInsight(ask);
    } finally {
      redis.disconnect();
    }
  } finally {
    await node.crash();
  }
});

const EXPORTER = "prometheus-redis-exporter";
const WAIT_BOUND_MS = 30_000;

/** What it shows when it has asked the node; it takes a moment until it listens. */
async function exported(port: number): Promise<Map<string, number>> {
  const endMs = performance.now() + WAIT_BOUND_MS;
  for (;;) {
    try {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
      return new Map(lines.map((line) => {
        const at = line.lastIndexOf(" ");
        return [line.slice(0, at), Number(line.slice(at + 1))];
      }));
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

Deno.test({
  ...needing("redis_exporter itself finds nothing wrong with a node, and shows its databases", {
    met: hasProgram(EXPORTER, "-version"),
    otherwise: `no ${EXPORTER} (Debian's package)`,
  }),
  fn: async () => {
    const flags = ["--port=0", "--http-port=off", "--standalone", "--storage=memory"];
    const node = ServerProcess.start(NODE, flags, { detached: false });
    let exporter: Deno.ChildProcess | undefined;
    try {
      const { host, port } = await node.ready;
      const redis = new Redis({ host, port, db: 3 });
      await redis.set("k:1", "10", "EX", 1_000);
      await redis.set("k:2", "20");
      redis.disconnect();
      const listen = freePort();
      exporter = new Deno.Command(EXPORTER, {
        args: [
          `-redis.addr=redis://${host}:${port}`,
          `-web.listen-address=127.0.0.1:${listen}`,
          "-check-keys=db3=k:*",
          "-count-keys=db3=k:*",
        ],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      const shown = await exported(listen);
      const found = (name: string) => shown.get(name);
      assertEquals(
        [found("redis_up"), found('redis_exporter_last_scrape_error{err=""}')],
        [1, 0],
        [...shown.keys()].filter((name) => name.includes("error")).join(),
      );
      assertEquals(
        [found('redis_db_keys{db="db3"}'), found('redis_db_keys_expiring{db="db3"}')],
        [2, 1],
      );
      assertEquals(found('redis_key_value{db="db3",key="k:1"}'), 10);
      assertEquals(found('redis_keys_count{db="db3",key="k:*"}'), 2);
      assertEquals(found('redis_commands_total{cmd="set"}'), 2);
      assertEquals([found("redis_cluster_state"), found("redis_cluster_slots_ok")], [1, 16_384]);
      assert((found("redis_memory_used_rss_bytes") ?? 0) > 1e6);
    } finally {
      exporter?.kill("SIGKILL");
      await exporter?.status;
      await node.crash();
    }
  },
});
