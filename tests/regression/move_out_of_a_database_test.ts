/**
 * `MOVE key 0` from another database wrote a key that looks like a row of a named database as exactly that row: a user of
 * one database could write into every other one.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { RespBench } from "../support/clients/resp_bench.ts";

Deno.test("MOVE and COPY: no key of default is a row of another database, whatever the key is", async () => {
  const bench = new RespBench();
  const victim = bench.connect();
  await victim.ask("SELECT 1");
  await victim.ask(["SET", "k", "mine"]);
  const peer = bench.connect();
  await peer.ask("SELECT 2");
  const row = "\0db/000001/other";
  assertEquals(await peer.ask(["SET", row, "x"]), "+OK\r\n", "a key like any other here");
  for (const command of [["MOVE", row, "0"], ["COPY", row, row, "DB", "0"]]) {
    assertMatch(await peer.ask(command), /^-ERR bad_request .*not for users/);
  }
  assertEquals(await victim.ask("KEYS *"), "*1\r\n$1\r\nk\r\n");
  // Nor is one read or taken away so.
  await peer.ask("SELECT 0");
  for (const command of ["MOVE", "COPY"]) {
    const words = command === "MOVE" ? ["\0db/000001/k", "2"] : ["\0db/000001/k", "k", "DB", "2"];
    assertMatch(await peer.ask([command, ...words]), /^-ERR bad_request .*not for users/);
  }
  assertEquals(await victim.ask("GET k"), "$4\r\nmine\r\n");
});
