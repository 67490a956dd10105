/**
 * The commands of the Redis front end answer what redis-server 7.0 has been recorded to answer, byte for
 * byte (`deno run -A tests/support/data/record_redis.ts` records anew), and what Redis does not have.
 */
import { bytesOfKey } from "../../../../shared/base/key_text.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { COMMAND_TABLE } from "../../../../node/resp/tables/command_table.ts";
import { Glob } from "../../../../node/resp/command/glob.ts";
import { ScanCursors } from "../../../../node/resp/command/scan_cursors.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import { alike, REDIS_CASES } from "../../../support/data/redis_cases.ts";
import { RespBench } from "../../../support/clients/resp_bench.ts";
import RECORDED from "./redis_replies.json" with { type: "json" };

const encoder = new TextEncoder();

for (const protocol of ["2", "3"] as const) {
  Deno.test(`RESP${protocol}: commands answer what redis-server has been recorded to answer`, async () => {
    const differences: string[] = [];
    for (const [c, lines] of REDIS_CASES.entries()) {
      const bench = new RespBench({ partitions: 1, persistent: false });
      const peer = bench.connect();
      await peer.ask(`HELLO ${protocol}`);
      for (const [i, line] of lines.entries()) {
        const given = await peer.ask(line);
        const wanted = RECORDED[protocol][c]?.[i];
        if (wanted === undefined || !alike(line, wanted, given)) {
          differences.push(
            `${line}\n  redis ${JSON.stringify(wanted)}\n  ours  ${JSON.stringify(given)}`,
          );
        }
      }
    }
    assertEquals(differences, []);
  });
}

Deno.test("HELP is there wherever an unknown subcommand is told to try it, and names all of them", async () => {
  const peer = new RespBench().connect();
  for (const { name, subcommands = [] } of COMMAND_TABLE.all) {
    if (subcommands.length === 0) continue;
    const refusal = await peer.ask(`${name} fly`);
    assertStringIncludes(refusal, `Try ${name.toUpperCase()} HELP.`);
    const lines = (await peer.ask(`${name} help`)).split("\r\n");
    assertEquals(lines[0], `*${1 + 2 * subcommands.length}`);
    for (const subcommand of subcommands) {
      const word = subcommand.name.split("|")[1]?.toUpperCase();
      assert(lines.some((line) => line.split(" ")[0] === `+${word}`), `${name} ${word}`);
    }
  }
  const object = await peer.ask("OBJECT HELP");
  assertStringIncludes(object, "+ENCODING <key>\r\n+    The encoding that Redis would choose");
  assertStringIncludes(object, "+HELP\r\n+    Print this help.\r\n");
});

Deno.test("COPY, RENAME and a transaction keep a value's media type", async () => {
  const bench = new RespBench({ partitions: 1 });
  const peer = bench.connect();
  const typed = { req_type: "put", key: "a", value: "1", content_type: "text/html" } as const;
  bench.database.execute(typed, 1_000, () => {});
  for (const line of ["COPY a b", "RENAME a c", "MULTI\r\nCOPY b d\r\nAPPEND d 2\r\nEXEC"]) {
    await peer.ask(line);
  }
  const types = ["a", "b", "c", "d"].map((key) => bench.database.entries.get(key)?.contentType);
  assertEquals(types, [undefined, "text/html", "text/html", "text/html"]);
  assertEquals(await peer.ask("GET d"), "$2\r\n12\r\n");
});

Deno.test("SCAN gives every key once, whatever the pages, and forgets old cursors", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  const keys = Array.from({ length: 1_000 }, (_, i) => `key:${i}`);
  for (const key of [...keys, "other"]) await peer.ask(`SET ${key} 1`);
  for (const count of [1, 300, 10_000]) {
    const found: string[] = [];
    let cursor = "0";
    do {
      const reply = await peer.ask(`SCAN ${cursor} MATCH key:* COUNT ${count}`);
      const words = reply.split("\r\n").filter((line) => /^(key:)?\d+$/.test(line));
      cursor = words.shift() ?? "?";
      found.push(...words);
    } while (cursor !== "0");
    assertEquals(found.sort(), keys.toSorted(), `COUNT ${count}`);
  }
  assertEquals(await peer.ask("SCAN 12345"), "-ERR invalid cursor\r\n");
  const cursors = new ScanCursors(new SeededRandom(1), 3);
  const numbers = ["a", "b", "c"].map((key) => cursors.add(key));
  assertEquals(cursors.keyOf(numbers[0] ?? 0), "a");
  cursors.add("d");
  assertEquals(numbers.map((number) => cursors.keyOf(number)), ["a", undefined, "c"]);
  assertEquals(cursors.size, 3);
});

Deno.test("KEYS, RANDOMKEY, DBSIZE and FLUSHALL walk over all keys", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  assertEquals(await peer.ask("RANDOMKEY"), "$-1\r\n");
  for (let i = 0; i < 300; i++) await peer.ask(`SET ${i % 3 === 0 ? "é" : "k"}:${i} 1`);
  assertEquals(await peer.ask("DBSIZE"), ":300\r\n");
  assertMatch(await peer.ask("KEYS é:*9"), /^\*(\d+)\r\n(\$\d+\r\nÃ©:\d+\r\n)+$/);
  const seen = new Set<string>();
  for (let i = 0; i < 200; i++) {
    const reply = await peer.ask("RANDOMKEY");
    assertMatch(reply, /^\$\d+\r\n(k|Ã©):\d+\r\n$/);
    seen.add(reply);
  }
  assert(seen.size > 20, `${seen.size} different keys of 200`);
  assertEquals(await peer.ask("FLUSHALL"), "+OK\r\n");
  assertEquals(await peer.ask("DBSIZE"), ":0\r\n");
});

Deno.test("KV.SCAN, KV.COUNT and KV.DELETE_MATCHING: a prefix or range, in order, both ways", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  for (const key of ["a", "k:1", "k:2", "k:3", "limit", "z"]) await peer.ask(`SET ${key} v${key}`);
  const bulk = (...texts: string[]) =>
    texts.map((text) => `$${text.length}\r\n${text}\r\n`).join("");
  const keys = (next: string | undefined, ...found: string[]) =>
    `*2\r\n${next === undefined ? "$-1\r\n" : bulk(next)}*${found.length}\r\n${bulk(...found)}`;
  const rows: [string, string][] = [
    ["KV.SCAN", keys(undefined, "a", "k:1", "k:2", "k:3", "limit", "z")],
    ["KV.SCAN k:", keys(undefined, "k:1", "k:2", "k:3")],
    ["kv.scan k: limit 2 reverse", keys("k:2", "k:3", "k:2")],
    ["KV.SCAN k: LIMIT 2 REVERSE AFTER k:2", keys(undefined, "k:1")],
    ["KV.SCAN START k:2 END limit", keys(undefined, "k:2", "k:3")],
    ["KV.SCAN PREFIX limit", keys(undefined, "limit")],
    ["KV.COUNT", ":6\r\n"],
    ["KV.COUNT k:", ":3\r\n"],
    ["KV.COUNT START k:2 END z", ":3\r\n"],
    ["KV.SCAN LIMIT 0", '-ERR bad_request scan: "limit" must be 1 to 10000\r\n'],
    ["KV.COUNT k: LIMIT 1", '-ERR bad_request kv.count: unknown option "LIMIT"; it takes '],
    ["KV.SCAN k: LIMIT", '-ERR bad_request kv.scan: "LIMIT" needs a value'],
    ["KV.DELETE_MATCHING", "-ERR wrong number of arguments for 'kv.delete_matching' command\r\n"],
    ['KV.DELETE_MATCHING ""', "-ERR bad_request kv.delete_matching: required a prefix or START"],
    ["KV.DELETE_MATCHING k: START k:3", ":1\r\n"],
    ["KV.DELETE_MATCHING k:", ":2\r\n"],
    ["KV.DELETE_MATCHING k:", ":0\r\n"],
    ["DBSIZE", ":3\r\n"],
  ];
  for (const [line, wanted] of rows) {
    const answer = await peer.ask(line);
    assertEquals(answer.slice(0, wanted.length), wanted, line);
    if (wanted.endsWith("\n")) assertEquals(answer, wanted, line);
  }
  await peer.ask("HELLO 3");
  assertMatch(
    await peer.ask("KV.SCAN z VALUES"),
    /^\*2\r\n_\r\n\*1\r\n%4\r\n\$3\r\nkey\r\n\$1\r\nz\r\n\$5\r\nvalue\r\n\$2\r\nvz\r\n\$7\r\nversion\r\n:\d+\r\n/,
  );
});

Deno.test("commands that walk over all keys see what was written before them, and are refused in MULTI", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  bench.database.later = true;
  peer.feed("SET a 1\r\nDBSIZE\r\nSET b 1\r\n");
  await bench.clock.run();
  assertEquals(bench.database.requests.length, 1, "what is behind waits as well");
  bench.database.later = false;
  bench.database.release();
  await bench.clock.run();
  assertEquals(peer.received, "+OK\r\n:1\r\n+OK\r\n");
  assertStringIncludes(
    await peer.ask("MULTI\r\nKEYS *\r\nEXEC"),
    "-ERR Command not allowed inside a transaction\r\n-EXECABORT",
  );
});

Deno.test("PUT, UPDATE and DELETE are for people, and say OK", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  assertEquals(await peer.ask("PUT k v"), "+OK\r\n");
  assertEquals(await peer.ask("UPDATE k w TTL 1h"), "+OK\r\n");
  assertEquals(await peer.ask("TTL k"), ":3600\r\n");
  assertMatch(await peer.ask("UPDATE none w"), /^-ERR not_found update: no such key/);
  assertMatch(await peer.ask("KV.CREATE k v"), /^-ERR exists /);
  assertMatch(await peer.ask("PUT k v IF-VERSION 99"), /^-ERR version_mismatch /);
  assertMatch(await peer.ask("PUT k"), /^-ERR bad_request put: required 2 arguments/);
  assertEquals(await peer.ask("DELETE k"), "+OK\r\n");
  assertMatch(await peer.ask("DELETE k"), /^-ERR not_found /);
  assertMatch(await peer.ask("LIST_NODES"), /^\*1\r\n\*20\r\n\$2\r\nid\r\n\$2\r\nn1\r\n/);
  await peer.ask("HELLO 3");
  assertMatch(await peer.ask("GET_NODES_FOR_KEY k"), /^%4\r\n\$3\r\nkey\r\n\$1\r\nk\r\n/);
});

Deno.test("INFO, COMMAND and CLIENT LIST are what tools can read", async () => {
  const bench = new RespBench();
  const peer = bench.connect();
  await peer.ask("SET a 1");
  const info = await peer.ask("INFO");
  assertMatch(info, /redis_version:7\.0\.\d+\r\n/);
  assertMatch(info, /role:master\r\n/);
  // What this node and another one say of `default`, and no more than there are.
  assertMatch(info, /db0:keys=1,expires=1,avg_ttl=0\r\n/);
  assertMatch(info, /kv_node:n1\r\n/);
  await peer.ask("MSET b 1 c 1 d 1");
  await peer.ask("SELECT 5\r\nMSET e 1 f 1");
  assertStringIncludes(
    await peer.ask("INFO keyspace"),
    "# Keyspace\r\ndb0:keys=4,expires=3,avg_ttl=0\r\ndb5:keys=2,expires=1,avg_ttl=0\r\n",
  );
  assertMatch(
    await peer.ask("CLIENT LIST"),
    /id=1 addr=client:40000 .* cmd=client\|list .* resp=2 /,
  );
  assertMatch(await peer.ask("CLIENT LIST"), / flags=N db=5 sub=0 psub=0 ssub=0 multi=-1 /);
  await peer.ask(
    "SELECT 0\r\nHELLO 3\r\nSUBSCRIBE a b\r\nPSUBSCRIBE p*\r\nCLIENT TRACKING ON BCAST",
  );
  assertMatch(await peer.ask("CLIENT INFO"), / flags=PtB db=0 sub=2 psub=1 ssub=0 /);
  await peer.ask("UNSUBSCRIBE\r\nPUNSUBSCRIBE\r\nCLIENT TRACKING OFF\r\nHELLO 2");
  const count = Number((await peer.ask("COMMAND COUNT")).slice(1));
  assertMatch(
    await peer.ask("COMMAND"),
    new RegExp(`^\\*${count}\\r\\n\\*10\\r\\n\\$3\\r\\nget\\r\\n:2\\r\\n`),
  );
  assertStringIncludes(await peer.ask("COMMAND DOCS get client"), "client|getname");
  assertMatch(await peer.ask("GETRANGE"), /^-ERR wrong number/);
});

Deno.test("who speaks HTTP to this port is sent away before anything of it is taken for a command", async () => {
  const bench = new RespBench();
  for (
    const request of ["GET /set?a=1 HTTP/1.1\r\nHost: here\r\n\r\n", "POST / HTTP/1.1\r\n\r\n"]
  ) {
    const peer = bench.connect();
    peer.feed(request + "SET a 1\r\n");
    await bench.clock.run();
    assertEquals(peer.closed, "flushed");
    assertMatch(peer.received, /-ERR this port speaks the Redis protocol/);
  }
  assertEquals(bench.database.requests.length, 0);
});

/** Redis' stringmatchlen, as it is defined: recursive, and slow if a pattern has many stars. */
function naiveMatch(p: Uint8Array, s: Uint8Array): boolean {
  let i = 0;
  let j = 0;
  for (; i < p.length; i++) {
    switch (p[i]) {
      case 0x2a:
        for (let k = j; k <= s.length; k++) {
          if (naiveMatch(p.subarray(i + 1), s.subarray(k))) return true;
        }
        return false;
      case 0x3f:
        if (j++ >= s.length) return false;
        break;
      case 0x5b: {
        if (j >= s.length) return false;
        const not = p[i + 1] === 0x5e;
        i += not ? 2 : 1;
        let match = false;
        for (; i < p.length && p[i] !== 0x5d; i++) {
          if (p[i] === 0x5c && i + 1 < p.length) match = p[++i] === s[j] || match;
          else if (p[i + 1] === 0x2d && i + 2 < p.length) {
            const [low = 0, high = 0] = [p[i] ?? 0, p[i + 2] ?? 0].sort((a, b) => a - b);
            i += 2;
            match = ((s[j] ?? 0) >= low && (s[j] ?? 0) <= high) || match;
          } else match = p[i] === s[j] || match;
        }
        if (match === not) return false;
        j++;
        break;
      }
      default:
        if (p[i] === 0x5c && i + 1 < p.length) i++;
        if (p[i] !== s[j++]) return false;
    }
  }
  return j === s.length;
}

Deno.test("Glob matches as a naive matcher does, and its prefix is one of all that matches", () => {
  const alphabet = "ab*?[]^-\\é";
  for (let seed = 0; seed < 20_000; seed++) {
    const random = new SeededRandom(seed);
    const make = (letters: string, length: number) =>
      Array.from(
        { length: randomBelow(random, length) },
        () => [...letters][randomBelow(random, [...letters].length)],
      ).join("");
    const pattern = make(alphabet, 8);
    const glob = new Glob(encoder.encode(pattern));
    for (let i = 0; i < 5; i++) {
      const text = make("abé-", 6);
      const given = glob.matches(encoder.encode(text));
      assertEquals(
        given,
        naiveMatch(encoder.encode(pattern), encoder.encode(text)),
        `${pattern} ${text}`,
      );
      if (!given) continue;
      const begin = bytesOfKey(glob.prefix);
      assertEquals(encoder.encode(text).subarray(0, begin.length), begin, `${pattern} ${text}`);
    }
  }
  assertEquals(new Glob(encoder.encode("user:1\\*[a]*")).prefix, "user:1*");
  assertEquals(new Glob(Uint8Array.of(0x61, 0xc3)).prefix, "a\udcc3");
  // A recursive matcher would not come back from this one.
  const hostile = new Glob(encoder.encode("*a".repeat(50) + "b"));
  assertEquals(hostile.matches(encoder.encode("a".repeat(1_000))), false);
});

Deno.test("SLOWLOG: the newest requests that took long, as Redis shows them", async () => {
  const bench = new RespBench();
  const { metrics } = bench.server;
  const peer = bench.connect();
  assertEquals(await peer.ask("SLOWLOG GET"), "*0\r\n");
  const remote = { host: "10.0.0.9", port: 4711 };
  const series = metrics.series("resp", "set");
  for (const key of ["a", "b", "c"]) {
    metrics.ended(series, bench.clock.monotonicMs() - 250, undefined, { key }, remote);
  }
  bench.clock.settle();
  assertEquals(await peer.ask("SLOWLOG LEN"), ":3\r\n");
  const seconds = Math.floor(bench.clock.wallMs() / 1_000);
  const entry = (id: number, key: string) =>
    `*6\r\n:${id}\r\n:${seconds}\r\n:250000\r\n*2\r\n$3\r\nset\r\n$1\r\n${key}\r\n` +
    "$13\r\n10.0.0.9:4711\r\n$0\r\n\r\n";
  assertEquals(await peer.ask("SLOWLOG GET 2"), `*2\r\n${entry(2, "c")}${entry(1, "b")}`);
  assertEquals((await peer.ask("SLOWLOG GET -1")).split("*6").length, 4);
  assertEquals(await peer.ask("SLOWLOG GET 0"), "*0\r\n");
  assertMatch(await peer.ask("SLOWLOG GET x"), /^-ERR value is not an integer/);
  assertMatch(await peer.ask("SLOWLOG GET -2"), /^-ERR count should be/);
  assertEquals(await peer.ask("SLOWLOG RESET"), "+OK\r\n");
  assertEquals(await peer.ask("SLOWLOG LEN"), ":0\r\n");
});
