/**
 * Clients in the cluster mode and in the sentinel mode of Redis, unchanged, against three nodes of which one is killed:
 * ioredis, iovalkey and node-redis from npm, and redis-py if it is installed. They find the nodes, spread their keys over them,
 * and go on.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Cluster, Redis } from "ioredis";
import { Cluster as ValkeyCluster } from "iovalkey";
import { createCluster } from "redis";
import { hasProgram, needing } from "../../support/needs.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

/** Clients leave timers of their own behind when they are closed while they look for a node. */
const FOREIGN = { sanitizeOps: false, sanitizeResources: false } as const;
const KEYS = Array.from({ length: 60 }, (_, i) => `key:${i}`);

interface Texts {
  get(key: string): Promise<unknown>;
  set(key: string, value: string): Promise<unknown>;
}

/**
 * Writes and reads all keys before and while a node is killed. Each is tried again until it is done: what a client gives
 * up after how many attempts is its own business, and that it gets through at last is ours.
 */
async function useThroughDeath(client: Texts, cluster: TestCluster, victim: number): Promise<void> {
  const untilDone = async (key: string, value: string) => {
    for (;;) {
      try {
        await client.set(key, value);
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  };
  await Promise.all(KEYS.map((key) => client.set(key, "before")));
  for (const key of KEYS) assertEquals(await client.get(key), "before");
  const writing = KEYS.map((key) => untilDone(key, "after"));
  await cluster.crash(victim);
  await Promise.all(writing);
  await Promise.all(KEYS.map((key) => untilDone(key, "at last")));
  for (const key of KEYS) assertEquals(await client.get(key), "at last");
}

/** Commands that a node has run for clients of Redis. */
async function commandsOf(cluster: TestCluster, index: number): Promise<number> {
  const redis = new Redis({ ...cluster.nodeAddress(index) });
  redis.on("error", () => {});
  try {
    return Number(/total_commands_processed:(\d+)/.exec(await redis.info("stats"))?.[1]);
  } finally {
    redis.disconnect();
  }
}

async function assertSpread(cluster: TestCluster): Promise<void> {
  for (let i = 0; i < 3; i++) assert(await commandsOf(cluster, i) > 20, `node ${i} has its share`);
}

for (const [name, AnyCluster] of [["ioredis", Cluster], ["iovalkey", ValkeyCluster]] as const) {
  Deno.test({
    name:
      `${name} in cluster mode: spreads its keys over the nodes, and goes on when one is killed`,
    ...FOREIGN,
    async fn() {
      await using cluster = await TestCluster.start({ nodes: 3 });
      const client = new AnyCluster([cluster.nodeAddress(0)]);
      client.on("error", () => {});
      try {
        await Promise.all(KEYS.map((key) => client.set(key, "x")));
        await assertSpread(cluster);
        assertEquals(client.nodes("master").length, 3);
        assertEquals(await client.mget("{tag}a", "{tag}b"), [null, null]);
        await useThroughDeath(client, cluster, 0);
      } finally {
        client.disconnect();
      }
    },
  });
}

Deno.test({
  name:
    "node-redis in cluster mode: spreads its keys over the nodes, and goes on when one is killed",
  ...FOREIGN,
  async fn() {
    await using cluster = await TestCluster.start({ nodes: 3 });
    const { host, port } = cluster.nodeAddress(0);
    const client = createCluster({
      rootNodes: [0, 1, 2].map((i) => ({ socket: cluster.nodeAddress(i) })),
    });
    assert(host !== "" && port > 0);
    client.on("error", () => {});
    await client.connect();
    try {
      await Promise.all(KEYS.map((key) => client.set(key, "x")));
      await assertSpread(cluster);
      assertEquals(client.masters.length, 3);
      await useThroughDeath(client, cluster, 0);
    } finally {
      client.destroy();
    }
  },
});

Deno.test({
  name: "ioredis in sentinel mode: goes on at another node when its own is killed",
  ...FOREIGN,
  async fn() {
    await using cluster = await TestCluster.start({ nodes: 3 });
    const sentinels = [0, 1].map((i) => cluster.nodeAddress(i));
    const client = new Redis({ sentinels, name: "mymaster", sentinelRetryStrategy: () => 50 });
    client.on("error", () => {});
    try {
      await useThroughDeath(client, cluster, 0);
    } finally {
      client.disconnect();
    }
  },
});

const PYTHON = `
import sys, time
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.sentinel import Sentinel

name = sys.argv[1]
ports = [int(p) for p in sys.argv[2:]]

def until_done(action):
    said = set()
    while True:
        try:
            return action()
        except Exception as error:
            # What stands in the way is seen if this never ends.
            if str(error) not in said: print(error, file=sys.stderr, flush=True)
            said.add(str(error))
            time.sleep(0.05)

def connect():
    return RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", port) for port in ports])

# A client of redis-py 4.3 that has to connect anew to ask for the slots cannot: it copies its own settings, which hold a lock
# by then. That is so if the node dies that is the first in the order of slots. Its user makes a new client.
def cluster_set(key, value):
    global cluster
    try:
        cluster.set(key, value)
    except RedisClusterException:
        cluster = connect()
        cluster.set(key, value)

cluster = connect()
master = Sentinel([("127.0.0.1", port) for port in ports]).master_for(name)
keys = ["key:%d" % i for i in range(60)]
# The slot of this key is 0.
slot_0 = "3560"
for key in keys: cluster.set(key, "before")
for key in keys: assert master.get(key) == b"before"
print(len(cluster.get_primaries()), cluster.get_node_from_key(slot_0).port, flush=True)
sys.stdin.readline()
for key in keys: until_done(lambda: cluster_set(key, "after"))
for key in keys: assert until_done(lambda: master.get(key)) == b"after", key
print("done", flush=True)
`;

/** Debian's package is for Debian's Python, which need not be the first on the path. */
const PYTHON_WITH_REDIS = ["python3", "/usr/bin/python3"].find((python) =>
  hasProgram(python, "-c", "import redis.cluster")
);
const REDIS_PY = { met: PYTHON_WITH_REDIS !== undefined, otherwise: "no redis-py" };

Deno.test({
  ...needing("redis-py in cluster and sentinel mode: goes on when a node is killed", REDIS_PY),
  async fn() {
    await using cluster = await TestCluster.start({ nodes: 3 });
    const ports = [0, 1, 2].map((i) => String(cluster.nodeAddress(i).port));
    const child = new Deno.Command(PYTHON_WITH_REDIS ?? "", {
      // redis-py looks for the name among the masters.
      args: ["-c", PYTHON, (await cluster.map()).settings.clusterName, ...ports],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    const line = async () => {
      while (!rest.includes("\n")) {
        const { done, value } = await output.read();
        if (done) return rest;
        rest += value;
      }
      const end = rest.indexOf("\n");
      const text = rest.slice(0, end);
      rest = rest.slice(end + 1);
      return text;
    };
    const input = child.stdin.getWriter();
    const [primaries, first] = (await line()).split(" ");
    assertEquals(primaries, "3");
    // Which node is the first in the order of slots is chance, and to lose that one is the hardest for a client.
    await cluster.crash(ports.findIndex((port) => port === first));
    await input.write(new TextEncoder().encode("killed\n"));
    assertEquals(await line(), "done");
    await input.close();
    assertEquals(await line(), "");
    assertEquals((await child.status).code, 0);
  },
});
