/** The thread that runs scripts, as the node has it: what a script can do, and what becomes of one that does too much. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { startScriptThread } from "../../../../../node/resp/scripts/deno_script_thread.ts";
import type {
  FromWorker,
  ToWorker,
} from "../../../../../node/resp/scripts/worker/script_messages.ts";
import { ScriptRunner } from "../../../../../node/resp/scripts/script_runner.ts";
import { RESP_SCRIPT_MS_MAX, RESP_SCRIPTS_WAITING_MAX } from "../../../../../shared/limits/resp.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";
import { NO_LOG } from "../../../../support/doubles/no_log.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NO_CALLS = () => encoder.encode("-ERR no commands here\r\n");

function scriptOf(text: string, keys: string[] = [], args: string[] = []) {
  const bytes = (texts: string[]) => texts.map((one) => encoder.encode(one));
  return { text: encoder.encode(text), keys: bytes(keys), args: bytes(args) };
}

class Bench implements Disposable {
  readonly clock = new ManualClock();
  readonly runner = new ScriptRunner(this.clock, NO_LOG, startScriptThread);
  /** Whether the last script has failed. */
  failed = false;

  async run(text: string, onCall: (args: readonly Uint8Array[]) => Uint8Array = NO_CALLS) {
    const { reply, failed } = await this.runner.run(scriptOf(text, ["k"], ["a", "b"]), onCall);
    this.failed = failed;
    return decoder.decode(reply);
  }

  [Symbol.dispose](): void {
    this.runner.close();
  }
}

Deno.test("ScriptRunner: values of Lua become replies by the rules of Redis", async () => {
  using bench = new Bench();
  const cases: [script: string, reply: string][] = [
    ["return 7", ":7\r\n"],
    ["return 3.99", ":3\r\n"],
    ["return 0/0", ":-9223372036854775808\r\n"],
    ["return 2^63", ":-9223372036854775808\r\n"],
    ["return 2^63 - 1024", ":9223372036854774784\r\n"],
    ["return -3.99", ":-3\r\n"],
    ["return 10 / 4 .. ''", "$3\r\n2.5\r\n"],
    ["return 10 / 2 .. ''", "$1\r\n5\r\n"],
    ["return 'a\\0b'", "$3\r\na\0b\r\n"],
    ["return true", ":1\r\n"],
    ["return false", "$-1\r\n"],
    ["return", "$-1\r\n"],
    ["return {1, {'two', 3}, nil, 4}", "*2\r\n:1\r\n*2\r\n$3\r\ntwo\r\n:3\r\n"],
    ["return {ok = 'FINE'}", "+FINE\r\n"],
    ["return {err = 'MY mistake'}", "-MY mistake\r\n"],
    ["return redis.status_reply('FINE')", "+FINE\r\n"],
    ["return redis.error_reply('MY mistake')", "-MY mistake\r\n"],
    ["return redis.error_reply('mistake')", "-ERR mistake\r\n"],
    ["return {KEYS[1], ARGV[1], ARGV[2], #ARGV}", "*4\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\nb\r\n:2\r\n"],
    ["local t = {} t[1] = t return #t", ":1\r\n"],
    ["return string.format('%.17g', 0.1)", "$19\r\n0.10000000000000001\r\n"],
    [
      "return #redis.REDIS_VERSION > 0 and redis.sha1hex('')",
      "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n",
    ],
    ["return unpack({1, 2}, 2)", ":2\r\n"],
  ];
  for (const [script, reply] of cases) assertEquals(await bench.run(script), reply, script);
  // A table that contains itself ends somewhere.
  const deep = await bench.run("local t = {} t[1] = t return t");
  assertStringIncludes(deep, "-ERR reached lua stack limit");
});

Deno.test("ScriptRunner: cjson goes both ways, and says what it cannot do", async () => {
  using bench = new Bench();
  const text = '{"a":[1,2.5,{"b":null}],"c":"ä","d":true,"e":{}}';
  const script = (use: string) => `local v = cjson.decode('${text}') ${use}`;
  assertEquals(await bench.run(script("return v.a[3].b == cjson.null")), ":1\r\n");
  assertEquals(await bench.run(script("return v.c .. #v.a")), "$3\r\nä3\r\n");
  assertEquals(
    await bench.run("return cjson.encode({1, 'x', {y = 2}})"),
    '$15\r\n[1,"x",{"y":2}]\r\n',
  );
  assertEquals(
    await bench.run("return cjson.encode({[2] = 'b', [1] = 'a'})"),
    '$9\r\n["a","b"]\r\n',
  );
  assertEquals(await bench.run("return cjson.encode({})"), "$2\r\n{}\r\n");
  assertStringIncludes(await bench.run("return cjson.decode('{')"), "-ERR ");
  assertStringIncludes(await bench.run("return cjson.encode({[true] = 1})"), "table key must be");
  assertStringIncludes(
    await bench.run("local t = {} t.t = t return cjson.encode(t)"),
    "excessive nesting",
  );
});

Deno.test("ScriptRunner: an error that is returned is an answer, and one that is raised a failure", async () => {
  using bench = new Bench();
  for (
    const [script, failed] of [
      ["return redis.error_reply('MY mistake')", false],
      ["return {err = 'MY mistake'}", false],
      ["return redis.pcall('get', 'k')", false],
      ["error('MY mistake')", true],
      ["error({err = 'MY mistake'})", true],
      ["redis.call('get', 'k')", true],
      ["not Lua", true],
    ] as const
  ) {
    assertEquals((await bench.run(script)).charAt(0), "-", script);
    assertEquals(bench.failed, failed, script);
  }
});

Deno.test("ScriptRunner: bit, struct and cmsgpack take hostile input for what it is, within their bounds", async () => {
  using bench = new Bench();
  const errors: [script: string, error: string][] = [
    ["return bit.band()", "number expected"],
    ["return bit.band('x')", "number expected"],
    ["return bit.tobit({})", "number expected"],
    ["return struct.pack('i33', 1)", "larger than limit"],
    ["return struct.pack('i99999999999', 1)", "size overflow"],
    ["return struct.pack('!3i', 1)", "not a power of 2"],
    ["return struct.pack('q', 1)", "invalid format option 'q'"],
    ["return struct.pack('c5', 'abc')", "too short"],
    ["return struct.pack('i')", "number expected"],
    ["return struct.pack(string.rep('b', 100000))", "a format of struct may have"],
    ["return struct.unpack('i', 'abc')", "too short"],
    ["return struct.unpack('i', 'abcd', 0)", "offset must be 1"],
    ["return struct.unpack('s', 'abc')", "unfinished string"],
    ["return struct.unpack('c0', 'abc')", "needs a previous size"],
    ["return struct.unpack('bc0', '\\255abc')", "too short"],
    ["return struct.unpack('dc0', struct.pack('d', 0/0))", "too short"],
    ["return struct.unpack(string.rep('b', 9000), string.rep('x', 9000))", "too many results"],
    ["return struct.size('s')", "variable-size"],
    ["return struct.size('c0')", "variable-length"],
    ["return cmsgpack.pack()", "needs input"],
    ["return cmsgpack.unpack({})", "string expected"],
    ["return cmsgpack.unpack('\\193')", "Bad data format"],
    ["return cmsgpack.unpack('\\220\\0')", "Missing bytes"],
    ["return cmsgpack.unpack('\\221\\255\\255\\255\\255')", "Missing bytes"],
    ["return cmsgpack.unpack('\\129\\192\\1')", "nil"],
    ["return cmsgpack.unpack(string.rep('\\145', 2000) .. '\\1')", "nested"],
    ["return cmsgpack.unpack(string.rep('\\1', 100000))", "too many"],
    ["return cmsgpack.unpack_limit('\\1', -1)", "Invalid request"],
    ["return cmsgpack.unpack_one('\\1', 5)", "greater than input"],
    [
      "local t = string.rep('x', 2^20) local all = {} for i = 1, 64 do all[i] = t end return #cmsgpack.pack(all)",
      "cmsgpack.pack may make",
    ],
    [
      "local t = string.rep('x', 2^20) local f, a = '', {} for i = 1, 40 do f = f .. 'c0' a[i] = t end return #struct.pack(f, unpack(a))",
      "struct.pack may make",
    ],
  ];
  for (const [script, error] of errors) {
    const reply = await bench.run(script);
    assert(reply.startsWith("-"), `${script}: ${reply}`);
    assertStringIncludes(reply, error, script);
  }
  // A table that contains itself ends somewhere, and what is left is used as ever.
  assertEquals(await bench.run("local t = {} t[1] = t return #cmsgpack.pack(t)"), ":17\r\n");
  assertEquals(await bench.run("bit.band = nil return 1"), ":1\r\n");
  assertEquals(await bench.run("return bit.band(7, 2)"), ":2\r\n");
});

Deno.test("ScriptRunner: redis.call raises errors, redis.pcall returns them, numbers arrive as Redis writes them", async () => {
  using bench = new Bench();
  const asked: string[][] = [];
  const onCall = (args: readonly Uint8Array[]) => {
    const words = args.map((arg) => decoder.decode(arg));
    asked.push(words);
    if (words[0] === "bad") return encoder.encode("-WRONGTYPE no\r\n");
    if (words[0] === "long") return encoder.encode(`$200000\r\n${"x".repeat(200_000)}\r\n`);
    return encoder.encode("*3\r\n:1\r\n$-1\r\n+OK\r\n");
  };
  assertEquals(
    await bench.run(
      "local r = redis.call('x', 1, 1.5, 0.1, 1e20, 'y') return {r[1], r[2] == false, r[3].ok}",
      onCall,
    ),
    "*3\r\n:1\r\n:1\r\n$2\r\nOK\r\n",
  );
  assertEquals(asked.pop(), ["x", "1", "1.5", "0.10000000000000001", "1e+20", "y"]);
  assertEquals(await bench.run("redis.call('bad') return 1", onCall), "-WRONGTYPE no\r\n");
  assertEquals(await bench.run("return redis.pcall('bad').err", onCall), "$12\r\nWRONGTYPE no\r\n");
  assertEquals(
    await bench.run("local ok, e = pcall(redis.call, 'bad') return {ok and 1 or 0, e.err}", onCall),
    "*2\r\n:0\r\n$12\r\nWRONGTYPE no\r\n",
  );
  // Longer than the memory that both threads share.
  assertEquals(await bench.run("return #redis.call('long')", onCall), ":200000\r\n");
  assertStringIncludes(await bench.run("return redis.call()"), "at least one argument");
  assertStringIncludes(await bench.run("return redis.call({})"), "must be strings or integers");
});

Deno.test("ScriptRunner: a script has no more than it is given, and leaves nothing to the next", async () => {
  using bench = new Bench();
  for (
    const name of ["io", "require", "package", "debug", "dofile", "loadfile", "newproxy", "print"]
  ) {
    assertStringIncludes(await bench.run(`return ${name}`), "nonexistent global variable");
  }
  assertEquals(
    await bench.run("return {os.execute == nil, os.getenv == nil, os.clock() >= 0}"),
    "*3\r\n:1\r\n:1\r\n:1\r\n",
  );
  assertStringIncludes(await bench.run("x = 1"), "Attempt to modify a readonly table");
  assertEquals(await bench.run("rawset(_G, 'left', 1) string.rep = nil return left"), ":1\r\n");
  assertStringIncludes(await bench.run("return left"), "nonexistent global variable 'left'");
  assertEquals(await bench.run("return string.rep('ab', 2)"), "$4\r\nabab\r\n");
  // Chunks that no compiler has made.
  assertEquals(
    await bench.run("return {loadstring(string.dump(function() end)) == nil}"),
    "*1\r\n:1\r\n",
  );
  const pieces = "local d, sent = string.dump(function() end), false " +
    "return {load(function() if not sent then sent = true return d end end) == nil}";
  assertEquals(await bench.run(pieces), "*1\r\n:1\r\n");
  assertEquals(await bench.run("return loadstring('return 5')()"), ":5\r\n");
});

Deno.test("ScriptRunner: memory is bounded, however it is asked for, and is given back", async () => {
  using bench = new Bench();
  const greedy = [
    "local s = 'x' while true do s = s .. s end",
    "return string.rep('x', 1e9)",
    "local s, t = string.rep('x', 1e6), {} for i = 1, 1e9 do t[i] = {s .. i} end",
    "local function f() return f() + 1 end return f()",
    "return cjson.encode(string.rep('\\1', 5e7))",
    // Not a byte is left when its answer is looked at.
    "local s, t = string.rep('x', 1e6), {} " +
    "pcall(function() while true do t[#t + 1] = s .. #t end end) " +
    "pcall(function() while true do t[#t + 1] = 'y' .. #t end end) return {t}",
    // The same table many times.
    "local t = {string.rep('x', 1e5)} for i = 1, 40 do t = {t, t} end return t",
    "local t = {string.rep('x', 1e5)} for i = 1, 40 do t = {t, t} end return cjson.encode(t)",
    "local s, t = string.rep('x', 1e6), {} for i = 1, 100 do t[i] = s end return t",
    "return #cjson.decode('[' .. string.rep('[],', 3e6) .. '1]')",
  ];
  for (const script of greedy) {
    assertStringIncludes(await bench.run(script), "-ERR", script);
    assertEquals(await bench.run("return #string.rep('x', 1e7)"), ":10000000\r\n", script);
  }
});

Deno.test("ScriptRunner: keys and arguments that leave no memory for a script are refused", async () => {
  using bench = new Bench();
  const large = "x".repeat(10_000_000);
  const args = [large, large, large, large];
  const { reply } = await bench.runner.run(scriptOf("return 1", [], args), NO_CALLS);
  assertStringIncludes(decoder.decode(reply), "-ERR keys and arguments may take");
  const many = Array.from({ length: 130_000 }, () => "x");
  const { reply: counted } = await bench.runner.run(scriptOf("return #ARGV", [], many), NO_CALLS);
  assertEquals(decoder.decode(counted), ":130000\r\n");
  assertEquals(await bench.run("return 1"), ":1\r\n");
});

Deno.test("ScriptRunner: a script that does not end is ended, and those that wait are run", async () => {
  using bench = new Bench();
  // A hook of Lua would not see the second one, which is within one function of C.
  const endless = [
    "while true do pcall(function() while true do end end) end",
    "return string.find(string.rep('a', 1e5), '.-.-.-.-b')",
  ];
  for (const script of endless) {
    let begun = () => {};
    const running = new Promise<void>((resolve) => begun = resolve);
    const refused = assertRejects(
      () => bench.run(`redis.pcall('begun') ${script}`, () => (begun(), NO_CALLS())),
      Error,
      "took longer than",
    );
    const next = bench.run("return 1");
    await running;
    bench.clock.advance(RESP_SCRIPT_MS_MAX);
    await refused;
    assertEquals(await next, ":1\r\n");
  }
});

Deno.test("ScriptRunner: so many scripts wait, one more is refused; closing ends all of them", async () => {
  const threads: { messages: ToWorker[]; tell: (message: FromWorker) => void }[] = [];
  let ended = 0;
  const runner = new ScriptRunner(new ManualClock(), NO_LOG, (tell) => {
    const messages: ToWorker[] = [];
    threads.push({ messages, tell });
    return { postMessage: (message) => messages.push(message), terminate: () => ended++ };
  });
  const all = [runner.run(scriptOf("return 1"), NO_CALLS)];
  threads[0]?.tell({ kind: "ready" });
  for (let i = 0; i < RESP_SCRIPTS_WAITING_MAX; i++) {
    all.push(runner.run(scriptOf("return 1"), NO_CALLS));
  }
  let text = "";
  try {
    await runner.run(scriptOf("return 1"), NO_CALLS);
  } catch (error) {
    text = (error as Error).message;
  }
  assertStringIncludes(text, "BUSY too many scripts");
  // One at a time.
  assertEquals(threads.map(({ messages }) => messages.map(({ kind }) => kind)), [["start", "run"]]);
  runner.close();
  const settled = await Promise.allSettled(all);
  assert(settled.every(({ status }) => status === "rejected"));
  assertEquals(ended, 1);
});

Deno.test("ScriptRunner: a thread that fails fails its scripts, and the next script gets another one", async () => {
  const failures: ((why: string) => void)[] = [];
  const runner = new ScriptRunner(new ManualClock(), NO_LOG, (_tell, onFailed) => {
    failures.push(onFailed);
    return { postMessage: () => {}, terminate: () => {} };
  });
  const first = runner.run(scriptOf("return 1"), NO_CALLS);
  failures[0]?.("no");
  await assertRejects(() => first, Error, "cannot be run at the moment");
  const second = runner.run(scriptOf("return 1"), NO_CALLS);
  assertEquals(failures.length, 2);
  // What an ended thread says late concerns nobody.
  failures[0]?.("late");
  runner.close();
  await assertRejects(() => second, Error, "the node stops");
});
