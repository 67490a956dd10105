/**
 * With the primary's clock a minute behind, `SET k v EX 30` and then `TTL k` by way of another node was 0: a
 * time to live was worked out by the clock of whoever was asked, and in a transaction that looks at its
 * keys first it was set by that clock too.
 */
import { assertEquals } from "@std/assert";
import { ValueCache } from "../../coordinator/gateway/value_cache.ts";
import { entryOfReply } from "../../client/calls/key_calls.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";
import { RespBench } from "../support/clients/resp_bench.ts";

for (const aheadMs of [-60_000, 60_000]) {
  const name = `${Math.abs(aheadMs / 1_000)} s ${aheadMs < 0 ? "behind" : "ahead"}`;

  Deno.test(`Redis: what is left to live is told by the primary, whose clock is ${name}`, async () => {
    const bench = new RespBench({ partitions: 1 });
    bench.database.aheadMs = aheadMs;
    const peer = bench.connect();
    const asked: [command: string, reply: string][] = [
      ["SET k v EX 30", "+OK\r\n"],
      ["TTL k", ":30\r\n"],
      ["PTTL k", ":30000\r\n"],
      ["EXPIRE k 40", ":1\r\n"],
      ["TTL k", ":40\r\n"],
      [
        "MULTI\r\nSET k v EX 30\r\nTTL k\r\nEXPIRE k 50\r\nPTTL k\r\nEXEC",
        "*4\r\n+OK\r\n:30\r\n:1\r\n:50000\r\n",
      ],
      // These look at the keys first, and work on a snapshot of them.
      ["MULTI\r\nSET k v EX 30\r\nRENAME k l\r\nTTL l\r\nEXEC", "*3\r\n+OK\r\n+OK\r\n:30\r\n"],
      ["TTL l", ":30\r\n"],
      ["COPY l m", ":1\r\n"],
      ["PTTL m", ":30000\r\n"],
    ];
    for (const [command, reply] of asked) {
      const given = await peer.ask(command);
      // Of a transaction, what EXEC answers.
      assertEquals(given.slice(-reply.length), reply, `${command}: ${given}`);
    }
  });
}

Deno.test("a node tells what is left to live by its own clock, and callers pass it on", async () => {
  const cluster = new NodeCluster({ nodes: 1 });
  await cluster.startAll();
  await cluster.ask("n1", { ...put("k", "v"), ttl_ms: 30_000 });
  const reply = await cluster.ask("n1", { req_type: "get", key: "k" });
  assertEquals(reply.req_type, "data");
  if (reply.req_type !== "data") return;
  const { ttl_ms: ttlMs = 0, expires_at: at = 0 } = reply;
  assertEquals(at - ttlMs <= cluster.clock.wallMs() && ttlMs > 29_000, true);
  assertEquals(entryOfReply("k", reply).ttlMs, ttlMs);
});

Deno.test("ValueCache: a value is gone when its primary's time to live has passed, whatever the date is here", () => {
  const cache = new ValueCache(4, 1 << 20);
  const value = { req_type: "data", message: "v", version: 1, expires_at: 5, ttl_ms: 100 } as const;
  cache.endRead(cache.beginRead("k", 1_000), value);
  assertEquals(cache.get("k", 1_040)?.ttl_ms, 60);
  assertEquals(cache.get("k", 1_100), undefined);
});
