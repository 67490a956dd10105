/**
 * What redis-server answers, we answer: the same commands to both, and the bytes of the replies
 * compared, in RESP2 and RESP3. If the machine has no redis-server 7.0, this is passed over.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  addLongDoubles,
  formatLongDouble,
  parseLongDouble,
} from "../../../shared/operations/long_double.ts";
import {
  type Random,
  randomBelow,
  randomFraction,
  SeededRandom,
} from "../../../shared/platform/random.ts";
import { NODE } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { alike, HOSTILE_BYTES, REDIS_CASES } from "../../support/data/redis_cases.ts";
import { hasRedis, RedisServer } from "../../support/clients/redis_server.ts";
import { needing } from "../../support/needs.ts";
import { RespClient } from "../../support/clients/resp_client.ts";

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
            const wanted = await theirs.ask(line);
            const given = await ours.ask(line);
            if (alike(line, wanted, given)) continue;
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
  ...needing("INCRBYFLOAT: random sums are those of redis-server", REDIS),
  fn: async () => {
    await using redis = await RedisServer.start();
    using server = await redis.connect();
    const random = new SeededRandom(41);
    for (let i = 0; i < 1_000; i++) {
      const before = randomDecimal(random);
      const by = randomDecimal(random);
      await server.ask(["SET", "k", before]);
      const wanted = (await server.ask(["INCRBYFLOAT", "k", by])).split("\r\n")[1];
      const [a, b] = [parseLongDouble(before), parseLongDouble(by)];
      assert(a !== undefined && b !== undefined, `${before}, ${by}`);
      assertEquals(formatLongDouble(addLongDoubles(a, b)), wanted, `${before} + ${by}`);
    }
  },
});

/** Short and long ones, of few and of many places, fractions that have no end among them. */
function randomDecimal(random: Random): string {
  const sign = randomFraction(random) < 0.5 ? "-" : "";
  const value = randomFraction(random) * 10 ** (randomBelow(random, 40) - 20);
  switch (randomBelow(random, 5)) {
    case 0:
      return sign + String(1 / (1 + randomBelow(random, 100)));
    case 1:
      return sign + Math.min(value, 1e15).toFixed(randomBelow(random, 20));
    case 2:
      return sign + value.toExponential(randomBelow(random, 20));
    case 3:
      return sign + String(randomBelow(random, 1_000) / 8);
    default:
      return sign + String(randomFraction(random) * 10 ** (randomBelow(random, 600) - 300));
  }
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
