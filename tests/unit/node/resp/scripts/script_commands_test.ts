/** EVAL and its kin: what scripts read and write, and when it takes effect. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { RESP_ATTEMPTS_MAX } from "../../../../../shared/limits/resp.ts";
import type { KeyRequest } from "../../../../../shared/wire/messages.ts";
import { RespBench, type RespPeer } from "../../../../support/clients/resp_bench.ts";

class Scripts extends RespBench implements Disposable {
  readonly peer: RespPeer;

  constructor(budgetBytes?: number) {
    super({ scripts: true, ...(budgetBytes === undefined ? {} : { budgetBytes }) });
    this.peer = this.connect();
  }

  eval(script: string, ...args: string[]): Promise<string> {
    return this.peer.askAndWait(["EVAL", script, ...args]);
  }

  /** Another client writes. */
  put(key: string, value: string): void {
    this.database.execute({ req_type: "put", key, value }, 1_000, () => {});
  }

  [Symbol.dispose](): void {
    this.server.close();
  }
}

/** The versions that a transaction expects; none of other requests. */
function checksOf(request: KeyRequest): readonly unknown[] {
  return "checks" in request && Array.isArray(request.checks) ? request.checks : [];
}

/** Counts, and says what it has read. */
const COUNT = "local v = redis.call('incr', KEYS[1]) redis.call('set', KEYS[2], v) return v";

Deno.test("EVAL: what a script writes is seen by it at once, and takes effect together", async () => {
  using bench = new Scripts();
  assertEquals(await bench.eval(COUNT, "2", "a", "b"), ":1\r\n");
  const { requests } = bench.database;
  assertEquals(requests.map(({ req_type }) => req_type), ["transaction", "transaction"]);
  assertEquals(requests.map(checksOf), [[], [["a", 0], ["b", 0]]]);
  assertEquals(await bench.peer.ask("MGET a b"), "*2\r\n$1\r\n1\r\n$1\r\n1\r\n");
});

Deno.test("EVAL: if a key changes meanwhile, the script runs again on what is there then", async () => {
  using bench = new Scripts();
  let writes = 0;
  bench.database.before = (request) => {
    if (checksOf(request).length > 0 && ++writes <= 3) {
      bench.put("a", `${writes * 10}`);
    }
  };
  assertEquals(await bench.eval(COUNT, "2", "a", "b"), ":31\r\n");
  assertEquals(writes, 4);
  bench.database.before = (request) => {
    if (checksOf(request).length > 0) {
      bench.put("a", `${++writes}`);
    }
  };
  // Others always come first.
  assertStringIncludes(await bench.eval(COUNT, "2", "a", "b"), "-ERR");
  assertEquals(writes, 4 + RESP_ATTEMPTS_MAX);
});

Deno.test("EVAL: a script that fails has changed nothing", async () => {
  using bench = new Scripts();
  bench.put("a", "text");
  const script = "redis.call('set', KEYS[2], 1) redis.call('incr', KEYS[1])";
  assertEquals(
    await bench.eval(script, "2", "a", "b"),
    "-ERR value is not an integer or out of range\r\n",
  );
  assertEquals(await bench.peer.ask("EXISTS b"), ":0\r\n");
  // Whoever expects the error goes on.
  const careful = "redis.call('set', KEYS[2], 1) return redis.pcall('incr', KEYS[1]).err";
  assertStringIncludes(await bench.eval(careful, "2", "a", "b"), "ERR value is not an integer");
  assertEquals(await bench.peer.ask("GET b"), "$1\r\n1\r\n");
});

Deno.test("EVAL: a script that returns an error keeps what it has written, as in Redis", async () => {
  using bench = new Scripts();
  const script = "redis.call('set', KEYS[1], ARGV[1]) return redis.error_reply('LATE too late')";
  assertEquals(await bench.eval(script, "1", "a", "1"), "-LATE too late\r\n");
  assertEquals(await bench.peer.ask("GET a"), "$1\r\n1\r\n");
  // The error of a command that is passed on is returned as well.
  bench.put("text", "x");
  const passed = "redis.call('set', KEYS[1], 2) return redis.pcall('incr', KEYS[2])";
  assertStringIncludes(await bench.eval(passed, "2", "a", "text"), "-ERR value is not an integer");
  assertEquals(await bench.peer.ask("GET a"), "$1\r\n2\r\n");
  for (const line of ["MULTI", "GET a"]) await bench.peer.ask(line);
  await bench.peer.ask(["EVAL", script, "1", "a", "3"]);
  await bench.peer.ask("GET a");
  assertEquals(
    await bench.peer.askAndWait("EXEC"),
    "*3\r\n$1\r\n2\r\n-LATE too late\r\n$1\r\n3\r\n",
  );
});

Deno.test("EVAL: what a script writes is bounded while it runs, and so is what is kept of its commands", async () => {
  using bench = new Scripts();
  const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
  const large = "for i = 1, #KEYS do redis.call('setrange', KEYS[i], 999999, 'x') end";
  assertStringIncludes(await bench.eval(large, "40", ...keys), "-ERR transaction_too_large");
  assertEquals(await bench.peer.ask(["EXISTS", ...keys]), ":0\r\n");
  // One value over and over is one value.
  const again = "for i = 1, 200 do redis.call('set', KEYS[1], string.rep('x', 1e5)) end return 1";
  assertEquals(await bench.eval(again, "1", "a"), ":1\r\n");
  const deleted =
    "for i = 1, 30 do redis.call('setrange', KEYS[1], 999999, 'x') redis.call('del', KEYS[1]) end return 1";
  assertEquals(await bench.eval(deleted, "1", "a"), ":1\r\n");
});

Deno.test("EVAL: its arguments count as bytes under way until it has run, and too many are refused", async () => {
  using bench = new Scripts(200_000);
  const peer = bench.connect();
  const script = "redis.call('set', KEYS[1], 'x') return #ARGV[1]";
  let taken = 0;
  bench.database.before = () => taken = Math.max(taken, bench.budget.taken);
  const argument = "x".repeat(50_000);
  assertEquals(await peer.askAndWait(["EVAL", script, "1", "k", argument]), ":50000\r\n");
  assertEquals([taken > 50_000, bench.budget.taken], [true, 0]);
  // While one waits for its keys, there is no room for another.
  bench.database.later = true;
  const large = ["EVAL", script, "1", "k", "x".repeat(150_000)];
  assertEquals(await peer.ask(large), "");
  const other = bench.connect();
  assertStringIncludes(await other.ask(large), "-TRYAGAIN overloaded");
  assertEquals(other.closed, "flushed");
  bench.database.later = false;
  bench.database.release();
  assertEquals(await peer.askAndWait("PING"), ":150000\r\n+PONG\r\n");
});

Deno.test("EVAL: only keys that are declared, and commands on keys", async () => {
  using bench = new Scripts();
  const refused: [script: string, why: string][] = [
    ["return redis.call('get', 'b')", "non local key"],
    ["return redis.call('mset', KEYS[1], 1, 'b', 2)", "non local key"],
    ["return redis.call('rename', KEYS[1], 'b')", "non local key"],
    ["return redis.call('keys', '*')", "not allowed from script"],
    ["return redis.call('multi')", "not allowed from script"],
    ["return redis.call('subscribe', 'c')", "not allowed from script"],
    ["return redis.call('eval', 'return 1', 0)", "not allowed from script"],
    ["return redis.call('flushall')", "not allowed from script"],
    ["return redis.call('select', 1)", "not allowed from script"],
    ["return redis.call('nosuch')", "Unknown Redis command"],
    ["return redis.call('get')", "Wrong number of args"],
  ];
  for (const [script, why] of refused) {
    assertStringIncludes(await bench.eval(script, "1", "a"), why, script);
  }
  assertEquals(await bench.eval("return redis.call('ping')", "0"), "+PONG\r\n");
  assertEquals(await bench.eval("return #redis.call('time')", "0"), ":2\r\n");
  assertStringIncludes(await bench.eval("return 1", "-1"), "can't be negative");
  assertStringIncludes(
    await bench.eval("return 1", "2", "a"),
    "can't be greater than number of args",
  );
  assertStringIncludes(await bench.eval("return 1", "many"), "not an integer");
  assertEquals(
    await bench.peer.ask(["COMMAND", "GETKEYS", "EVAL", "x", "2", "a", "b", "c"]),
    "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
  );
});

Deno.test("EVAL_RO and EVALSHA_RO: a script that writes is refused", async () => {
  using bench = new Scripts();
  const ask = (...words: string[]) => bench.peer.askAndWait(words);
  const script = "return redis.call('set', KEYS[1], 1)";
  assertStringIncludes(
    await ask("EVAL_RO", script, "1", "a"),
    "not allowed from read-only scripts",
  );
  assertEquals(await ask("EVAL_RO", "return redis.call('get', KEYS[1])", "1", "a"), "$-1\r\n");
  const [, sha1 = ""] = (await ask("SCRIPT", "LOAD", script)).split("\r\n");
  assertStringIncludes(await ask("EVALSHA_RO", sha1, "1", "a"), "not allowed from read-only");
  assertEquals(await ask("EVALSHA", sha1.toUpperCase(), "1", "a"), "+OK\r\n");
});

Deno.test("SCRIPT: remembers scripts by their SHA-1, EVAL too, until FLUSH", async () => {
  using bench = new Scripts();
  const ask = (...words: string[]) => bench.peer.askAndWait(words);
  const sha1 = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
  assertStringIncludes(await ask("EVALSHA", sha1, "0"), "-NOSCRIPT No matching script");
  assertEquals(await ask("EVAL", "return 1", "0"), ":1\r\n");
  assertEquals(await ask("EVALSHA", sha1, "0"), ":1\r\n");
  assertEquals(await ask("SCRIPT", "EXISTS", sha1, "0".repeat(40)), "*2\r\n:1\r\n:0\r\n");
  assertEquals(await ask("SCRIPT", "FLUSH", "SYNC"), "+OK\r\n");
  assertEquals(await ask("SCRIPT", "EXISTS", sha1), "*1\r\n:0\r\n");
  assertEquals(await ask("SCRIPT", "LOAD", "return 1"), `$40\r\n${sha1}\r\n`);
  assertEquals(await ask("SCRIPT", "KILL"), "-NOTBUSY No scripts in execution right now.\r\n");
  assertStringIncludes(
    await ask("SCRIPT", "LOAD", "x".repeat(2 ** 20 + 1)),
    "-ERR a script may have",
  );
});

Deno.test("EVAL inside MULTI: in its place, and a failing one is as if it had not been", async () => {
  using bench = new Scripts();
  for (const line of ["MULTI", "SET n 5"]) await bench.peer.ask(line);
  const queue = (...words: string[]) => bench.peer.ask(words);
  await queue("EVAL", "return redis.call('incrby', KEYS[1], 10)", "1", "n");
  await queue("EVAL", "redis.call('set', KEYS[1], 0) error('no')", "1", "n");
  await queue("INCR", "n");
  assertEquals(
    await bench.peer.askAndWait("EXEC"),
    "*4\r\n+OK\r\n:15\r\n-ERR user_script:1: no\r\n:16\r\n",
  );
  assertEquals(await bench.peer.ask("GET n"), "$2\r\n16\r\n");
});

Deno.test("EVAL: RESP3 has its own null, and where no thread can be had scripts are refused", async () => {
  using bench = new Scripts();
  await bench.peer.ask("HELLO 3");
  assertEquals(await bench.eval("return {false, 'x'}", "0"), "*2\r\n_\r\n$1\r\nx\r\n");
  const without = new RespBench().connect();
  assertEquals(
    await without.askAndWait(["EVAL", "return 1", "0"]),
    "-ERR scripts cannot be run here\r\n",
  );
});
