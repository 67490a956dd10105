/**
 * Records what redis-server answers to the cases of `redis_cases.ts`, so that unit tests can compare with it on
 * machines without Redis: `deno run -A tests/support/data/record_redis.ts`.
 *
 * @module
 */
import { REDIS_CASES } from "./redis_cases.ts";
import { RedisServer } from "../clients/redis_server.ts";

if (import.meta.main) {
  await using redis = await RedisServer.start();
  const recorded: Record<string, string[][]> = {};
  for (const protocol of [2, 3]) {
    const replies: string[][] = [];
    for (const lines of REDIS_CASES) {
      using client = await redis.connect();
      await client.ask(`HELLO ${protocol}`);
      await client.ask("FLUSHALL");
      const ofCase: string[] = [];
      for (const line of lines) ofCase.push(await client.ask(line));
      replies.push(ofCase);
    }
    recorded[protocol] = replies;
  }
  const file = new URL("../../unit/node/resp/redis_replies.json", import.meta.url);
  await Deno.writeTextFile(
    file,
    JSON.stringify(recorded, null, 0).replaceAll("],[", "],\n[") + "\n",
  );
}
