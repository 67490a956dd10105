/**
 * Random commands with random arguments, valid and not, in pieces of random size, against the Redis
 * front end: each gets exactly one reply that is one, nothing is thrown, and nothing stays behind.
 */
import { assert, assertEquals } from "@std/assert";
import { COMMAND_TABLE } from "../../../../node/resp/tables/command_table.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import { encodeCommand, RespBench } from "../../../support/clients/resp_bench.ts";

const WORDS = [
  "",
  "0",
  "1",
  "-1",
  "10",
  "x",
  "{t}a",
  "{t}b",
  "{t}c",
  "other",
  "*",
  "[",
  "EX",
  "PX",
  "NX",
  "XX",
  "GET",
  "KEEPTTL",
  "PERSIST",
  "EXAT",
  "GT",
  "LT",
  "MATCH",
  "COUNT",
  "TYPE",
  "string",
  "DB",
  "REPLACE",
  "IDX",
  "LEN",
  "BIT",
  "BYTE",
  "9223372036854775807",
  "-9223372036854775808",
  "1.5",
  "1e400",
  "inf",
  "default",
  "SETNAME",
  "AUTH",
  "2",
  "3",
  "ON",
  "ASYNC",
  "ID",
  "INFO",
  "LIST",
  "DOCS",
  "ENCODING",
  "GETNAME",
  "FILTERBY",
  "PATTERN",
  "\r\n",
  "\x00",
  "é",
  "TTL",
  "IF-VERSION",
  "10m",
  "MINMATCHLEN",
  "WITHMATCHLEN",
  "100000",
];

/** Commands after which a connection's replies cannot be counted, or that end it. */
const LEFT_OUT = new Set([
  ...["quit", "post", "host:", "client"],
  ...["subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe"],
]);

const NAMES = COMMAND_TABLE.all.map(({ name }) => name).filter((name) => !LEFT_OUT.has(name));

/** The end of the value that begins at `at`; throws if there is none. */
function endOf(text: string, at: number): number {
  const end = text.indexOf("\r\n", at);
  assert(end >= 0, `a line's end behind ${JSON.stringify(text.slice(at, at + 40))}`);
  const line = text.slice(at, end);
  const mark = line[0] ?? "";
  if ("+-".includes(mark) || line === "_") return end + 2;
  assert(/^[:$*%~=]-?\d+$/.test(line), JSON.stringify(line));
  const count = Number(line.slice(1));
  if (mark === ":") return end + 2;
  if (mark === "$" || mark === "=") {
    if (count < 0) return end + 2;
    assertEquals(text.slice(end + 2 + count, end + 4 + count), "\r\n");
    return end + 4 + count;
  }
  let next = end + 2;
  for (let i = 0; i < count * (mark === "%" ? 2 : 1); i++) next = endOf(text, next);
  return next;
}

Deno.test("RespSession: every command gets one reply, whatever its arguments", async () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = new SeededRandom(seed);
    const pick = <T>(list: readonly T[]): T => list[randomBelow(random, list.length)] as T;
    const bench = new RespBench({ nodes: 1 + (seed % 2), partitions: pick([1, 16]) });
    const peer = bench.connect();
    let received = "";
    const commands: string[][] = [];
    for (let i = 0; i < 60; i++) {
      const args = Array.from({ length: randomBelow(random, 5) }, () => pick(WORDS));
      commands.push([pick(NAMES), ...args]);
    }
    const parts = commands.map(encodeCommand);
    const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    bench.database.later = seed % 3 === 0;
    for (let from = 0; from < all.length;) {
      const to = from + 1 + randomBelow(random, 400);
      peer.feed(all.subarray(from, to));
      from = to;
      if (randomBelow(random, 4) === 0) {
        bench.database.release();
        await bench.clock.run();
      }
    }
    for (let i = 0; i < 400; i++) {
      bench.database.release();
      await bench.clock.run();
    }
    received += peer.received;
    let count = 0;
    for (let from = 0; from < received.length; count++) from = endOf(received, from);
    assertEquals(count, commands.length, `seed ${seed}`);
    assertEquals(peer.closed, "open");
    peer.close();
    await bench.clock.run();
    assertEquals(bench.budget.taken, 0, `seed ${seed}`);
    assertEquals(bench.server.sessions.size, 0);
  }
});
