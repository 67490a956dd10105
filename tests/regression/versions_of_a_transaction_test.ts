/**
 * If EXEC looked at keys first, as RENAME and COPY need it, it answered with versions that it had made up: an
 * IF-VERSION with them failed. Found by a review.
 */
import { assertEquals } from "@std/assert";
import { RespBench } from "../support/clients/resp_bench.ts";

Deno.test("MULTI with RENAME and KV.PUT: the versions that EXEC tells are those of the keys", async () => {
  const versions: string[] = [];
  for (const withRename of [false, true]) {
    const bench = new RespBench();
    const peer = bench.connect();
    for (let i = 0; i < 9; i++) await peer.ask("SET {t}a v");
    await peer.ask("MULTI");
    if (withRename) await peer.ask("RENAME {t}a {t}b");
    await peer.ask("KV.PUT {t}c x");
    const told = /version\r\n:(\d+)/.exec(await peer.ask("EXEC"))?.[1];
    const version = bench.database.entries.get("{t}c")?.seq;
    versions.push(`told ${told}, is ${version}`);
    const later = await peer.ask(`KV.PUT {t}c y IF-VERSION ${told}`);
    versions.push(later.startsWith("-") ? later.split(" ")[1] ?? "" : "ok");
  }
  assertEquals(versions, ["told 10, is 10", "ok", versions[2] ?? "", "ok"]);
});
