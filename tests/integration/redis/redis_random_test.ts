/**
 * Random commands of two clients, the same ones to redis-server and to a node, in RESP2 and RESP3: their replies are alike.
 * A machine without redis-server 7.0 passes this over. `KV_REDIS_SEEDS=100-200` tries other seeds.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { NODE } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { hasRedis, RedisServer } from "../../support/clients/redis_server.ts";
import { RespClient } from "../../support/clients/resp_client.ts";
import {
  answeredAlike,
  randomStream,
  type Words,
} from "../../support/data/random_redis_commands.ts";
import { needing } from "../../support/needs.ts";

const REDIS = { met: hasRedis("redis-server"), otherwise: "no redis-server 7.0" };
const CLIENTS = 2;
const COMMANDS = 1_000;
const [FIRST = 1, LAST = 6] = (Deno.env.get("KV_REDIS_SEEDS") ?? "1-6").split("-").map(Number);

function shown(words: Words): string {
  return words.map((word) =>
    JSON.stringify(typeof word === "string" ? word : String.fromCharCode(...word))
  ).join(" ");
}

Deno.test({
  ...needing("random commands of two clients: replies are those of redis-server", REDIS),
  async fn() {
    await using redis = await RedisServer.start();
    const args = [
      "--port=0",
      "--http-port=0",
      "--standalone",
      "--partitions=1",
      "--storage=memory",
    ];
    const node = ServerProcess.start(NODE, args, { detached: false });
    const { host: hostname, port } = await node.ready;
    const differences: string[] = [];
    try {
      for (let seed = FIRST; seed <= LAST; seed++) {
        const theirs = await clients(() => redis.connect(), seed);
        const ours = await clients(() => RespClient.connect({ hostname, port }), seed);
        const before: string[] = [];
        for (const { client, words } of randomStream(new SeededRandom(seed), CLIENTS, COMMANDS)) {
          const wanted = await theirs[client]?.ask(words) ?? "";
          const given = await ours[client]?.ask(words) ?? "";
          if (!answeredAlike(words, wanted, given)) {
            differences.push(
              `seed ${seed}: ${client}> ${shown(words)}\n  redis ${
                JSON.stringify(wanted.slice(0, 300))
              }\n` +
                `  ours  ${JSON.stringify(given.slice(0, 300))}\n  after ${
                  before.slice(-12).join("\n        ")
                }`,
            );
            break;
          }
          before.push(`${client}> ${shown(words)} => ${JSON.stringify(wanted.slice(0, 60))}`);
        }
        for (const client of [...theirs, ...ours]) client[Symbol.dispose]();
      }
    } finally {
      await node.crash();
    }
    assertEquals(differences.length, 0, `\n${differences.join("\n")}`);
  },
});

/** Connections to one server, which is empty then. */
async function clients(connect: () => Promise<RespClient>, seed: number): Promise<RespClient[]> {
  const made = await Promise.all(Array.from({ length: CLIENTS }, connect));
  for (const client of made) await client.ask(`HELLO ${2 + seed % 2}`);
  await made[0]?.ask("FLUSHALL");
  return made;
}
