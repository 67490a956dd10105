/**
 * What redis-server answers, we answer: the same commands to both, and the bytes of the replies
 * compared, in RESP2 and RESP3. Where the machine has no redis-server 7.0 this is passed over.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { NODE } from "../../tools/programs.ts";
import { ServerProcess } from "../../tools/server_process.ts";
import { HOSTILE_BYTES, REDIS_CASES, timeless } from "../support/data/redis_cases.ts";
import { hasRedis, RedisServer } from "../support/clients/redis_server.ts";
import { needing } from "../support/needs.ts";
import { RespClient } from "../support/clients/resp_client.ts";

const REDIS = { met: hasRedis("redis-server"), otherwise: "no redis-server 7.0" };

/** A node whose keys are all in one partition, as those of one redis-server are. */
async function startNode(): Promise<{ process: ServerProcess; connect(): Promise<RespClient> }> {
  const args = ["--port=0", "--http-port=0", "--standalone", "--partitions=1", "--storage=memory"];
  const process = ServerProcess.start(NODE, args, { detached: false });
  const { host, port } = await process.ready;
  return { process, connect: () => RespClient.connect({ hostname: host, port }) };
}

for (const protocol of [2, 3]) {
  Deno.test({
    ...needing(`RESP${protocol}: replies are those of redis-server, byte for byte`, REDIS),
    fn: async () => {
      await using redis = await RedisServer.start();
      const node = await startNode();
      const differences: string[] = [];
      try {
        for (const lines of REDIS_CASES) {
          using theirs = await redis.connect();
          using ours = await node.connect();
          for (const client of [theirs, ours]) {
            await client.ask(`HELLO ${protocol}`);
            await client.ask("FLUSHALL");
          }
          for (const [i, line] of lines.entries()) {
            const wanted = timeless(line, await theirs.ask(line));
            const given = timeless(line, await ours.ask(line));
            if (given === wanted) continue;
            const before = lines.slice(Math.max(0, i - 3), i).join("; ");
            differences.push(
              `${line.slice(0, 100)}\n  redis ${JSON.stringify(wanted.slice(0, 300))}\n` +
                `  ours  ${JSON.stringify(given.slice(0, 300))}\n  after ${before.slice(0, 200)}`,
            );
          }
        }
      } finally {
        await node.process.crash();
      }
      assertEquals(differences.length, 0, `\n${differences.join("\n")}`);
    },
  });
}

Deno.test({
  ...needing("RESP: hostile bytes get the answers of redis-server, and the same end", REDIS),
  fn: async () => {
    await using redis = await RedisServer.start();
    const node = await startNode();
    try {
      for (const bytes of HOSTILE_BYTES) {
        const answers: string[][] = [];
        for (const client of [await redis.connect(), await node.connect()]) {
          using it = client;
          const all: string[] = [];
          await it.send(new TextEncoder().encode(bytes)).catch(() => {});
          await it.send(new TextEncoder().encode("\r\nPING end\r\n")).catch(() => {});
          for (let reply = await it.reply(); reply !== ""; reply = await it.reply()) {
            all.push(reply);
            if (reply.includes("end")) break;
          }
          answers.push(all);
        }
        assertEquals(answers[1], answers[0], JSON.stringify(bytes.slice(0, 60)));
      }
    } finally {
      await node.process.crash();
    }
  },
});
