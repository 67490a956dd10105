/**
 * Databases on three real nodes: they outlive their primaries, restarts of everything, and a node that is away while one of
 * them is dropped; a quota counts what all nodes have.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { type DatabaseUsage, keyPrefixOf } from "../../../shared/cluster/databases.ts";
import { RespClient } from "../../support/clients/resp_client.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const NODES = [0, 1, 2];
const KEYS = 300;

/** The numbers of the databases of which any node still has rows. */
async function numbersOfRows(cluster: TestCluster): Promise<number[]> {
  const replies = await Promise.all(
    NODES.map((index) => cluster.ask(index, { req_type: "database_usage" })),
  );
  const usages = replies.map(({ result }) => result as DatabaseUsage);
  assert(usages.every(({ known }) => known), "all rows are counted");
  return [...new Set(usages.flatMap(({ databases }) => databases.map(([number]) => number)))]
    .sort((a, b) => a - b);
}

async function countAt(cluster: TestCluster, index: number, database: string): Promise<unknown> {
  const reply = await cluster.ask(index, { req_type: "count", database }, 30_000);
  return reply.result ?? reply;
}

Deno.test("cluster: databases outlive primaries, a drop while a node is away, and a restart of everything", async () => {
  await using cluster = await TestCluster.start({ nodes: 3, partitions: 16 });
  await using kv = await cluster.connect();
  const spread = await kv.createDatabase("spread");
  const together = await kv.createDatabase("together", { together: true });
  for (const name of ["spread", "together"]) {
    const entries = Array.from({ length: KEYS }, (_, i) => [`k${i}`, `${name}${i}`] as const);
    await kv.database(name).putMany(entries);
    for (const index of NODES) {
      const key = `at-${index}`;
      const put = await cluster.ask(index, { req_type: "put", database: name, key, value: "1" });
      assertEquals(put.req_type, "ack", JSON.stringify(put));
      const read = await cluster.ask((index + 1) % 3, { req_type: "get", database: name, key });
      assertEquals(read.message, "1");
    }
  }

  // The node that has all of one database dies; meanwhile the other one is dropped, and made again.
  const away = await cluster.primaryOf(
    keyPrefixOf({ number: together.number, together: true }) + "k",
  );
  const [asked = 0, other = 0] = NODES.filter((index) => index !== away);
  await cluster.crash(away);
  const moved = kv.database("together");
  assertEquals(await moved.count({ timeoutMs: 30_000 }), KEYS + 3);
  await moved.put("k0", "newer", { timeoutMs: 30_000 });
  await kv.dropDatabase("spread");
  const lost = await cluster.ask(asked, { req_type: "get", database: "spread", key: "k1" });
  assertEquals(lost.code, "no_database", JSON.stringify(lost));
  const again = await kv.createDatabase("spread");
  assertNotEquals(again.number, spread.number);
  await kv.database("spread").put("fresh", "1", { timeoutMs: 30_000 });
  const stored = keyPrefixOf({ number: spread.number }) + "k1";
  for (
    const request of [{ req_type: "get", key: stored }, { req_type: "put", key: stored, value: "" }]
  ) {
    const reply = await cluster.ask(other, request, 30_000);
    assertEquals(reply.code, "no_database", "who has an old list is not served");
  }
  const ranged = { req_type: "scan", prefix: keyPrefixOf({ number: spread.number }) };
  assertEquals((await cluster.ask(other, ranged, 30_000)).code, "no_database");

  await cluster.restart(away);
  await cluster.whole({ nodes: 3 });
  for (const index of NODES) {
    assertEquals(await countAt(cluster, index, "spread"), 1);
    assertEquals(await countAt(cluster, index, "together"), KEYS + 3);
    assertEquals(await countAt(cluster, index, "default"), 0);
  }
  await cluster.poll("nobody has rows of the dropped database", async () => {
    const numbers = await numbersOfRows(cluster);
    return numbers.includes(spread.number) ? undefined : numbers;
  });

  // Everything dies at once.
  await Promise.all([cluster.coordinatorProcess.crash(), ...NODES.map((i) => cluster.crash(i))]);
  await cluster.restartCoordinator();
  for (const index of NODES) await cluster.restart(index);
  await cluster.whole({ nodes: 3 });
  await using after = await cluster.connect();
  assertEquals(
    (await after.databases()).map(({ name, number }) => [name, number]),
    [["default", 0], ["together", together.number], ["spread", again.number]],
  );
  assertEquals(await after.database("together").getText("k0", { timeoutMs: 30_000 }), "newer");
  for (const index of NODES) {
    assertEquals(await countAt(cluster, index, "together"), KEYS + 3);
    assertEquals(await countAt(cluster, index, "spread"), 1);
  }
  await after.database("together").flushAll();
  for (const index of NODES) assertEquals(await countAt(cluster, index, "together"), 0);
  assert((await after.createDatabase("third")).number > again.number, "no number is given twice");
});

Deno.test("cluster: a quota counts what all nodes have, and refuses only what grows", async () => {
  const keysMax = 200;
  await using cluster = await TestCluster.start({ nodes: 3, partitions: 16 });
  await using kv = await cluster.connect();
  await kv.createDatabase("small", { maxKeys: keysMax });
  const write = async (index: number) => {
    const codes = new Set<unknown>();
    for (let i = 0; i < 150; i++) {
      const put = { req_type: "put", database: "small", key: `${index}-${i}`, value: "v" };
      codes.add((await cluster.ask(index, put, 30_000)).code);
    }
    return codes;
  };
  const codes = await Promise.all(NODES.map(write));
  for (const some of codes) {
    some.delete(undefined);
    assertEquals([...some], ["quota_exceeded"]);
  }
  const small = kv.database("small");
  const count = await small.count();
  assert(count >= keysMax && count <= 1.25 * keysMax + NODES.length, `${count} keys`);
  for (const index of NODES) {
    const ask = (request: { req_type: string; [field: string]: unknown }) =>
      cluster.ask(index, { database: "small", ...request }, 30_000);
    assertEquals((await ask({ req_type: "put", key: "new", value: "v" })).code, "quota_exceeded");
    assertEquals((await ask({ req_type: "put", key: `${index}-0`, value: "w" })).req_type, "ack");
    // Nor is a transaction refused whose keys are on all nodes and are there already.
    const puts = Array.from({ length: 10 }, (_, i) => (
      { req_type: "put", key: `${index}-${i}`, value: "w" }
    ));
    const all = { req_type: "transaction", key: `${index}-0`, requests: puts };
    assertEquals((await ask(all)).req_type, "result");
  }
  // What leaves one database is new in the other, whichever partition leads the transaction.
  await kv.createDatabase("5", { maxKeys: 1 });
  const { host, port } = await cluster.node(0).ready;
  using resp = await RespClient.connect({ hostname: host, port });
  for (let i = 0; i < 8; i++) await resp.ask(["SET", `moved-${i}`, "v"]);
  assertEquals(await resp.ask(["MOVE", "moved-0", "5"]), ":1\r\n");
  for (let i = 1; i < 8; i++) {
    const key = `moved-${i}`;
    for (const words of [["MOVE", key, "5"], ["COPY", key, key, "DB", "5"]]) {
      assertMatch(await resp.ask(words), /^-ERR quota_exceeded /);
    }
  }
  assertEquals(await kv.database("5").count(), 1);
  // What is deleted makes room.
  await small.deleteMatching({ prefix: "1-" });
  assert(await small.count() < keysMax);
  await small.put("new", "v");
});
