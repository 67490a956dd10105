import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import type { CommandIo, CommandSettings } from "../../../../client/cli/command/command.ts";
import { COMMANDS } from "../../../../client/cli/commands/command_table.ts";
import { KvClient } from "../../../../client/library/kv_client.ts";
import { LineWords } from "../../../../client/cli/command/command_line.ts";
import { refuseLostBytes } from "../../../../client/cli/command/lost_bytes.ts";
import { systemReason, valueLabel } from "../../../../client/cli/command/output.ts";
import { Session } from "../../../../client/cli/session.ts";
import { CLIENT_PROGRAM, CLIENT_SETTINGS } from "../../../../client/cli/settings.ts";
import { completeLine, runScript } from "../../../../client/cli/shell.ts";
import { loadConfig } from "../../../../shared/program/config.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { flagOf } from "../../../../shared/program/setting.ts";
import { helpText } from "../../../../shared/program/help_text.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import { FakeCluster } from "../../../support/worlds/fake_cluster.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { NO_LOGINS } from "../../../support/doubles/no_logins.ts";

const decoder = new TextDecoder();
const { signal } = new AbortController();

const DEFAULTS: CommandSettings = {
  json: false,
  raw: false,
  timeoutMs: 1_000,
  consistency: "strong",
  acks: "all",
  database: undefined,
  keyColumn: undefined,
  format: "auto",
  giveUpAfterMs: 1_000,
};

/** A session on a fake cluster, with files in memory. */
class Bench {
  readonly cluster = new FakeCluster();
  readonly files = new Map<string, string>();
  readonly session: Session;
  readonly io: CommandIo;
  readonly binary = new Map<string, Uint8Array>();
  out = "";
  err = "";
  connects = 0;

  constructor(settings: Partial<CommandSettings> = {}, input?: string) {
    const clock = new ManualClock();
    const client = new KvClient({ clock, router: this.cluster });
    this.io = {
      write: (data) => {
        this.out += typeof data === "string" ? data : decoder.decode(data);
        return Promise.resolve();
      },
      note: (text) => void (this.err += text + "\n"),
      input: input === undefined ? undefined : chunks(input),
      openRead: (path) => {
        const text = this.files.get(path);
        if (text === undefined) return Promise.reject(new Error("No such file"));
        return Promise.resolve({ chunks: chunks(text), bytes: text.length });
      },
      createWhole: (path, replace) => {
        const pieces: Uint8Array[] = [];
        if (!replace && this.binary.has(path)) {
          return Promise.reject(new KvError("exists", `${path} is there already`));
        }
        return Promise.resolve({
          write: (bytes) => Promise.resolve(void pieces.push(bytes.slice())),
          finish: async () => {
            const whole = await new Blob(pieces.map((piece) => new Uint8Array(piece))).bytes();
            this.binary.set(path, whole);
            this.files.set(path, decoder.decode(whole));
          },
          abandon: () => Promise.resolve(),
        });
      },
      openKvFile: () => Promise.reject(new Error("Read-only")),
      createKvFile: () => Promise.reject(new Error("Read-only")),
      openAnywhere: (path) => {
        const bytes = this.binary.get(path);
        if (bytes === undefined) return Promise.reject(new Error("No such file"));
        return Promise.resolve({
          bytes: bytes.length,
          read: (at, length) => Promise.resolve(bytes.slice(at, at + length)),
          close: () => {},
        });
      },
      progress: () => undefined,
      screen: undefined,
      ask: undefined,
      askSecret: undefined,
    };
    this.session = new Session({
      logins: NO_LOGINS,
      client: () => {
        this.connects++;
        return Promise.resolve(client);
      },
      io: this.io,
      clock,
      random: new SeededRandom(1),
      options: CLIENT_SETTINGS,
      settings: { ...DEFAULTS, ...settings },
    });
  }

  /** Runs a line: exit code, and what it printed on both streams. */
  async line(text: string): Promise<[exitCode: number, printed: string]> {
    this.out = this.err = "";
    const { exitCode } = await this.session.runLine(text, signal);
    return [exitCode, this.out + this.err];
  }

  async words(...words: string[]): Promise<[exitCode: number, printed: string]> {
    this.out = this.err = "";
    const { exitCode } = await this.session.runWords(words, signal);
    return [exitCode, this.out + this.err];
  }
}

async function* chunks(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text);
}

async function* lines(...list: string[]): AsyncGenerator<string> {
  yield* list;
}

Deno.test("Session runs each data command and says how it ended", async () => {
  const bench = new Bench();
  const table: [line: string, exitCode: number, printed: string | RegExp][] = [
    ["put:username:alice", 0, "success (version 1)\n"],
    ["GET username", 0, "alice\n"],
    ["get --raw username", 0, "alice"],
    ["UPDATE username bob", 0, "success (version 2)\n"],
    ["update email x", 3, 'not_found: update: no such key "email"\n'],
    ["CREATE username x", 6, /^exists: /],
    ["exists username", 0, "true\n"],
    ["exists email", 3, "false\n"],
    ["get email", 3, 'not_found: get: no such key "email"\n'],
    ["DELETE username", 0, "deleted\n"],
    ["DEL username", 3, 'not_found: delete: no such key "username"\n'],
    ["", 0, ""],
    ["# a comment", 0, ""],
    ["nodes_for_key k", 0, /^partition \d, term 1\nnode .*\n0.* primary +up\n/],
    [
      "list-nodes",
      0,
      /^node +address .*\n00000000000000a1 +127\.0\.0\.1:8081 +zone-0 +up +4 +4 +0/,
    ],
    ["ping", 0, /^00000000000000a1: pong in 0\.0 ms\n/],
    ["stats", 0, /^00000000000000a1\n {2}node: 00000000000000a1\n {2}writes: 7\n/],
  ];
  for (const [line, exitCode, printed] of table) {
    const [code, text] = await bench.line(line);
    if (typeof printed === "string") assertEquals(text, printed, line);
    else assertMatch(text, printed, line);
    assertEquals(code, exitCode, line);
  }
});

Deno.test("Session refuses a word too many, in every command and syntax of words", async () => {
  const bench = new Bench();
  for (const line of ["put a b c", "get a b", "delete a b", "append a b c", "set a b c --ttl 1m"]) {
    const [code, printed] = await bench.line(line);
    assertEquals([code, /required .*; quote a key or value with spaces\n$/.test(printed)], [
      2,
      true,
    ], printed);
  }
  assertEquals((await bench.line("put:a:b c"))[0], 0);
  assertEquals(await bench.line("get:a"), [0, "b c\n"]);
});

Deno.test("Session takes values with quotes, and JSON, as they stand; with spaces they are quoted", async () => {
  const bench = new Bench();
  const table: [line: string, value: string][] = [
    ['PUT k "hello  big world" ', "hello  big world"],
    [`PUT k '{"a": 1, "b": [2]}'`, '{"a": 1, "b": [2]}'],
    ['PUT k {"a":1,"b":[2]}', '{"a":1,"b":[2]}'],
    ['PUT k "a b"', "a b"],
    [String.raw`PUT k "line\nline"`, "line\nline"],
    ['put:k:{"a": "x:y"}', '{"a": "x:y"}'],
    ["put:k: padded ", " padded "],
    ["PUT k ''", ""],
    ["PUT k -- --json", "--json"],
    ['PUT k "--json"', "--json"],
    ['PUT k "-"', "-"],
    ["PUT k it's", "it's"],
    [`PUT k "значение 🎉"`, "значение 🎉"],
    ["PUT k v --acks primary", "v"],
  ];
  for (const [line, value] of table) {
    const [code, printed] = await bench.line(line);
    assertEquals([code, printed.split(" ")[0]], [0, "success"], line);
    assertEquals(await bench.line("get k"), [0, value + "\n"], line);
  }
  assertEquals(bench.cluster.requests.at(-2), {
    req_type: "put",
    key: "k",
    value: "v",
    acks: "primary",
    timeout_ms: 1_000,
  });
});

Deno.test("Session refuses wrong lines with exit code 2, and sends nothing", async () => {
  const bench = new Bench();
  const table: [line: string, text: string][] = [
    ["nosuch k", 'unknown command "nosuch"'],
    ["gett k", "did you mean get?"],
    ["get", "required 1 argument, given 0: get KEY"],
    ["get a b", "quote a key or value with spaces"],
    ["put k", "required 2 arguments, given 1: put KEY VALUE"],
    ["put:k", "required 2 arguments, given 1"],
    ['PUT k "a', "is not closed"],
    ['PUT k "a" b', "required 2 arguments, given 3"],
    ["get k --nosuch", "unknown option --nosuch; it takes --json"],
    ["get k --consistency weak", "must be one of strong, replica, cached"],
    ["get k --timeout-ms", "got nothing"],
    ["put k -", "standard input"],
    ["import x.csv extra", "required 0 to 1 arguments"],
    ["import x.txt", "--format csv or --format jsonl"],
    ["import x.csv", "cannot read x.csv (No such file)"],
    ["import -", "does not end in"],
    ["help nosuch", "unknown command"],
  ];
  for (const [line, text] of table) {
    const [code, printed] = await bench.line(line);
    assertEquals(code, 2, `${line}: ${printed}`);
    assertStringIncludes(printed, text, line);
    assertMatch(printed, /^bad_request: .*\n$/, line);
  }
  assertEquals([bench.cluster.requests.length, bench.connects], [0, 0]);
});

Deno.test("Session.runWords takes words as they are, and - for standard input", async () => {
  const bench = new Bench({}, "from\nstdin\n");
  assertEquals(await bench.words("put", "my key", "a  b"), [0, "success (version 1)\n"]);
  assertEquals(await bench.words("PUT", "k:1", '"quoted"'), [0, "success (version 2)\n"]);
  assertEquals(await bench.words("put", "in", "-"), [0, "success (version 3)\n"]);
  assertEquals(await bench.words("get", "my key"), [0, "a  b\n"]);
  assertEquals(await bench.words("get", "k:1"), [0, '"quoted"\n']);
  assertEquals(await bench.words("get", "in"), [0, "from\nstdin\n\n"]);
  assertEquals((await bench.words("put", "a", "b", "c"))[0], 2);
});

Deno.test("Session prints one JSON document a command with --json, errors included", async () => {
  const bench = new Bench({ json: true });
  bench.cluster.values.set("bytes", { value: Uint8Array.of(255), version: 9 });
  const table: [line: string, exitCode: number, document: unknown][] = [
    ["put k v", 0, { key: "k", version: 1 }],
    ["get k", 0, { key: "k", value: "v", version: 1, timestamp: 1_000 }],
    ["get bytes", 0, { key: "bytes", value64: "/w==", version: 9, timestamp: 1_000 }],
    ["get x", 3, { error: { code: "not_found", message: 'get: no such key "x"' } }],
    ["exists x", 3, { key: "x", exists: false }],
    ["delete k", 0, { key: "k", deleted: true }],
  ];
  for (const [line, exitCode, document] of table) {
    const [code, printed] = await bench.line(line);
    assertEquals([code, JSON.parse(printed)], [exitCode, document], line);
  }
  assertEquals(JSON.parse((await bench.line("list-nodes"))[1])[1].port, 8082);
  assertEquals(JSON.parse((await bench.line("stats"))[1])[0].stats.writes, 7);
  assertEquals(JSON.parse((await bench.line("nodes-for-key k"))[1]).nodes[0].role, "primary");
  assert(JSON.parse((await bench.line("nosuch"))[1]).error.code === "bad_request");
});

Deno.test("Session maps each kind of error to its exit code", async () => {
  const table: [code: string, exitCode: number][] = [
    ["unavailable", 4],
    ["timeout", 4],
    ["not_enough_replicas", 4],
    ["outcome_unknown", 5],
    ["version_mismatch", 6],
    ["value_too_large", 2],
    ["corrupt", 1],
    ["internal", 1],
  ];
  const bench = new Bench();
  for (const [code, exitCode] of table) {
    bench.cluster.fault = () => ({ req_type: "error", code, message: "said so" });
    assertEquals(await bench.line("put k v"), [exitCode, `${code}: said so\n`]);
  }
});

Deno.test("Session imports CSV and exports JSON lines that it imports again", async () => {
  const bench = new Bench();
  const rows = Array.from({ length: 50 }, (_, i) => `k${i},"v ${i}\nx"\n`);
  bench.files.set("in.csv", `id,v\n${rows.join("")}k7,last\nk8\n`);
  const [code, printed] = await bench.line("import in.csv --key-column id");
  assertEquals(code, 1);
  for (
    const text of [
      "records        51\n",
      "keys           50\n",
      "repeated keys  1  k7 (line 102)\n",
      "written        51\n",
      "rejected       1\n",
      "line 103: 2 columns are required, 1 were found\n",
    ]
  ) assertStringIncludes(printed, text);
  assertEquals(await bench.line("get k7"), [0, '{"id":"k7","v":"last"}\n']);
  bench.cluster.values.set("bytes", { value: Uint8Array.of(255, 0), version: 9 });
  const typed = { value: new TextEncoder().encode("<p>"), version: 10, contentType: "text/html" };
  bench.cluster.values.set("page", typed);

  assertMatch((await bench.line("export out.jsonl"))[1], /^export: 52 keys, /);
  const exported = bench.files.get("out.jsonl") ?? "";
  assertStringIncludes(exported, '{"key":"bytes","value64":"/wA="}\n');
  assertStringIncludes(exported, '{"key":"page","value":"<p>","content_type":"text/html"}\n');
  const [exitCode, streamed] = await bench.line("export");
  assertEquals([exitCode, bench.out, streamed === bench.out + bench.err], [0, exported, true]);
  assertMatch(bench.err, /^export: 52 keys/);

  const copy = new Bench({ json: true });
  copy.files.set("out.jsonl", exported);
  const summary = JSON.parse((await copy.line("import out.jsonl"))[1]);
  assertEquals([summary.records, summary.written, summary.rejected], [52, 52, 0]);
  assertEquals(copy.cluster.values.get("page")?.contentType, "text/html");
  const values = (from: Bench) =>
    [...from.cluster.values].map(([k, { value }]) => [k, value]).sort();
  assertEquals(values(copy), values(bench));
});

Deno.test("Session runs the operations of the table with their options", async () => {
  const bench = new Bench();
  const table: [line: string, exitCode: number, printed: string | RegExp][] = [
    ["set a 1 --ttl 10m", 0, "success (version 1)\n"],
    [
      "get a --with-metadata",
      0,
      /^version 1, written 1970-01-01T00:00:01.000Z, expires in .* \(1970-01-01T00:10:01.000Z\)\n1\n$/,
    ],
    ["put a 2 --if-version 7", 6, /^version_mismatch: /],
    ["put a 2 --if-version 1 --previous --keep-ttl", 0, "success (version 2)\nbefore: 1\n"],
    ["increment a 10", 0, "12\n"],
    ["INCR a", 0, "13\n"],
    ["decrement a", 0, "12\n"],
    ["decr a -3", 0, "15\n"],
    ["increment:a:5", 0, "20\n"],
    ["increment_float a 0.5", 0, "20.5\n"],
    ["increment a x", 2, /^not_an_integer: increment: BY must be a whole number .*; given "x"\n$/],
    ["increment a 1.5", 2, /\(increment-float adds others\); given "1.5"\n$/],
    ["decrement a 1.5", 2, /^not_an_integer: decrement: BY must be .*; given "1.5"\n$/],
    ["increment-float a x", 2, /^not_a_float: increment-float: BY must be a number; given "x"\n$/],
    ["increment a", 1, /^not_an_integer: increment: the value of "a" /],
    ['append a "1 and more"', 0, "14\n"],
    ["append-value a !", 0, "15\n"],
    ["set-range a 0 30", 0, "15\n"],
    ["get a", 0, "30.51 and more!\n"],
    ["persist a", 0, "true\n"],
    ["persist a", 3, "false\n"],
    ["expire a 1h --when xx", 3, "false\n"],
    ["expire a --expires-at 2030-01-31T12:00:00Z", 0, "true\n"],
    ["get-and-expire a --persist", 0, "30.51 and more!\n"],
    ["set-bit b 1 1", 0, "0\n"],
    ["delete a --if-version 1", 6, /^version_mismatch: /],
    ["delete a --previous", 0, "deleted\nbefore: 30.51 and more!\n"],
    ["expire a 60", 2, /must be a time with its unit/],
    ["put a v --ttl soon", 2, /put: --ttl must be a time with its unit/],
    ["put a v --ttl", 2, /--ttl needs a value: a time with its unit, such as 10m, .* or 500ms\n$/],
    ["put a v --ttl 0s", 2, /--ttl must be more than 0; given "0s"/],
    ["put a v --ttl-ms 0", 2, /--ttl-ms must be more than 0/],
    ["put a v --ttl 99999999999d", 2, /--ttl must be at most 104249991d; given/],
    ["expire a", 2, /^bad_request: expire: give TTL or --expires-at\n$/],
    ["get-and-expire a 1m --persist", 2, /give --ttl or --persist, not both/],
    ["expire a 0s", 2, /expire: TTL must be more than 0/],
    ["put a v --ttl 1m --expires-at 2030-01-31", 2, /give --ttl or --expires-at, not both/],
    ["put a v --ttl 1m --keep-ttl", 2, /give --ttl or --keep-ttl, not both/],
    ["put-many a v --ttl 1m --keep-ttl", 2, /give --ttl or --keep-ttl, not both/],
    [
      "put a v --expires-at 2020-01-01",
      0,
      /^success .*\nput: the date of --expires-at has passed, /,
    ],
    ["put a v --expires-at soon", 2, /--expires-at must be a date such as/],
    ["scan --limit 0", 2, /--limit must be a whole number from 1; given "0"/],
    ["scan --limit abc", 2, /--limit must be a whole number from 1; given "abc"/],
    ["put a v --when nx", 2, /unknown option --when; it takes /],
  ];
  for (const [line, exitCode, printed] of table) {
    const [code, text] = await bench.line(line);
    if (typeof printed === "string") assertEquals(text, printed, line);
    else assertMatch(text, printed, line);
    assertEquals(code, exitCode, line);
  }
  assertEquals(bench.session.recentKeys(), ["b", "a"]);
});

Deno.test("Session.runWords takes a command's own flags, and refuses another command's", async () => {
  const bench = new Bench({ json: true });
  const run = async (words: string[], flags: Record<string, string>) => {
    bench.out = bench.err = "";
    const map = new Map(Object.entries(flags));
    const { exitCode } = await bench.session.runWords(words, signal, map);
    return [exitCode, JSON.parse(bench.out)];
  };
  assertEquals(await run(["put", "k", "v"], { ttl: "1s" }), [0, { key: "k", version: 1 }]);
  assertEquals(await run(["put", "k", "w"], { previous: "true" }), [
    0,
    { key: "k", version: 2, previous: "v" },
  ]);
  assertEquals(await run(["increment", "n", "-5"], {}), [0, {
    key: "n",
    result: "-5",
    version: 3,
  }]);
  const [code, { error }] = await run(["get", "k"], { ttl: "1s" });
  assertEquals([code, error.code], [2, "bad_request"]);
});

Deno.test("Session runs commands on many keys, each key by itself", async () => {
  const bench = new Bench();
  const table: [line: string, exitCode: number, printed: string | RegExp][] = [
    [
      "put-many a 1 b 2 'c d' 3 --ttl 1h",
      0,
      "a\tsuccess (version 1)\nb\tsuccess (version 2)\nc d\tsuccess (version 3)\n",
    ],
    ["get-many a x b", 3, 'a\t1\nb\t2\nx: not_found: get: no such key "x"\n'],
    ["delete-many x b", 3, /^b\tdeleted\nx: not_found: /],
    ["mget a b", 3, /^a\t1\nb: not_found: /],
    ["put-many a 1 b", 2, /keys and values come in pairs, given 3 words/],
    ["put-many a", 2, /required 2 or more arguments, given 1: put-many KEY VALUE \[KEY VALUE…\]/],
    ["get-many", 2, /required 1 or more arguments/],
    ["ttl a", 0, / \(1970-01-01T01:00:01.000Z\)\n$/],
    ["persist a", 0, "true\n"],
    ["ttl a", 0, "never expires\n"],
    ["ttl x", 3, 'not_found: ttl: no such key "x"\n'],
    ["inspect a", 0, "length: 1\nversion: 5\ntimestamp: 1000\n"],
  ];
  for (const [line, exitCode, printed] of table) {
    const [code, text] = await bench.line(line);
    if (typeof printed === "string") assertEquals(text, printed, line);
    else assertMatch(text, printed, line);
    assertEquals(code, exitCode, line);
  }
  const [code, printed] = await bench.line("get-many a x --json");
  assertEquals([code, JSON.parse(printed)], [3, [
    { key: "a", value: "1", version: 5, timestamp: 1_000 },
    { key: "x", error: { code: "not_found", message: 'get: no such key "x"' } },
  ]]);
});

Deno.test("Session makes one transaction of the lines between multi and exec", async () => {
  const bench = new Bench();
  const table: [line: string, exitCode: number, printed: string | RegExp][] = [
    ["exec", 2, /multi comes first/],
    ["multi", 0, /wait for exec/],
    ["multi", 2, /between multi and exec only operations/],
    ["set {a}1 x --ttl 1h", 0, "waits for exec (1)\n"],
    ["incr {a}1", 0, "waits for exec (2)\n"],
    ["get {a}1 --nosuch", 2, /unknown option/],
    ["get {a}1", 0, "waits for exec (3)\n"],
    ["list-nodes", 2, /between multi and exec only operations/],
    ["help get", 0, /^get KEY/],
    ["check {a}1 x", 2, /whole number/],
    ["check {a}1 0", 0, "noted\n"],
    ["exec", 0, /^1\) success \(version 1\)\n2\) not_an_integer: .*\n3\) x\n$/],
    ["get {a}1", 0, "x\n"],
    ["multi", 0, /wait/],
    ["delete {a}1", 0, "waits for exec (1)\n"],
    ["discard", 0, "discarded\n"],
    ["exists {a}1", 0, "true\n"],
    ["multi", 0, /wait/],
    ["put a 1", 0, /waits/],
    ["put b 1", 0, /waits/],
    ["exec", 0, /^1\) success .*\n2\) success /],
    ["exists a", 0, "true\n"],
  ];
  for (const [line, exitCode, printed] of table) {
    const [code, text] = await bench.line(line);
    if (typeof printed === "string") assertEquals(text, printed, line);
    else assertMatch(text, printed, line);
    assertEquals(code, exitCode, line);
  }
  const sent = bench.cluster.requests.find(({ req_type }) => req_type === "transaction");
  assert(sent?.req_type === "transaction");
  assertEquals([sent.key, sent.checks, sent.requests.length], ["{a}1", [["{a}1", 0]], 3]);
});

Deno.test("Session takes a batch from a file, each request by itself or all as one", async () => {
  const bench = new Bench();
  const put = (key: string) => JSON.stringify({ req_type: "put", key, value: "v" });
  bench.files.set("b", `${put("a")}\n\n{"req_type":"get","key":"x"}\n${put("c")}\n`);
  assertEquals(await bench.line("batch b"), [
    3,
    '{"req_type":"ack","message":"success","version":1}\n' +
    '{"req_type":"error","code":"not_found","message":"get: no such key \\"x\\""}\n' +
    '{"req_type":"ack","message":"success","version":2}\n',
  ]);
  bench.files.set("one", `${put("{a}1")}\n${put("{a}2")}\n`);
  assertEquals((await bench.line("batch one --atomic"))[0], 0);
  assertEquals(bench.cluster.requests.at(-1)?.req_type, "transaction");
  assertEquals((await bench.line("batch b --atomic"))[0], 3, "of what is not found in it");
  for (const bad of ["{", "7", '{"req_type":"stats"}', '{"req_type":"put"}']) {
    bench.files.set("bad", `${put("z")}\n${bad}\n`);
    const [code, text] = await bench.line("batch bad");
    assertEquals(code, 2);
    assertMatch(text, /^bad_request: batch: line 2: /);
  }
  assertEquals(bench.cluster.values.has("z"), false);
});

Deno.test("runScript goes on after an error, and gives the first one's exit code", async () => {
  const bench = new Bench();
  const script = lines("put:k:v", "get nosuch", "nosuch", "", "GET k", "exit", "get k");
  assertEquals(await runScript(script, bench.session, bench.io), 3);
  assertEquals(bench.out, "success (version 1)\nv\nTATA!!!!\n");
  assertMatch(bench.err, /^not_found: .*\nbad_request: .*\n$/);
  bench.out = "";
  assertEquals(await runScript(lines("get k"), bench.session, bench.io), 0);
  assertEquals(bench.out, "v\n");
});

Deno.test("runScript: a transaction whose exec never comes is an error", async () => {
  for (const last of ["put {1}b 2", "exit", "no such command"]) {
    const bench = new Bench();
    const code = await runScript(
      lines("put a 1", "multi", "put {1}a 1", last),
      bench.session,
      bench.io,
    );
    assertEquals(code, 2, last);
    assertMatch(bench.err, /bad_request: multi: the end came before exec; \d operations? .* not/);
    assertEquals(bench.cluster.requests.length, 1);
  }
  const bench = new Bench({ json: true });
  assertEquals(await runScript(lines("multi", "discard"), bench.session, bench.io), 0);
  bench.out = "";
  assertEquals(await runScript(lines("multi"), bench.session, bench.io), 2);
  assertEquals(JSON.parse(bench.out.split("\n")[1] ?? "").error.code, "bad_request");
});

Deno.test("Session says what an interrupted command may have done", async () => {
  for (
    const [line, exitCode, printed] of [
      ["get a", 4, /^timeout: interrupted\n$/],
      ["get-many a b", 4, /^timeout: interrupted\n$/],
      ["scan", 4, /^timeout: interrupted\n$/],
      ["put a 1", 5, /^outcome_unknown: interrupted; a write may or may not have happened\n$/],
      ["put-many a 1 b 2", 5, /^outcome_unknown: interrupted; a write may/],
    ] as const
  ) {
    const bench = new Bench();
    bench.cluster.held = [];
    const controller = new AbortController();
    const running = bench.session.runLine(line, controller.signal);
    controller.abort();
    assertEquals((await running).exitCode, exitCode, line);
    assertMatch(bench.err, printed, line);
  }
});

Deno.test("Session says how far an interrupted import came", async () => {
  const bench = new Bench();
  bench.files.set("in.jsonl", '{"key":"a","value":"1"}\n{"key":"b","value":"2"}\n');
  const controller = new AbortController();
  bench.cluster.fault = (request) => {
    if ("key" in request && request.key === "b") controller.abort();
    return undefined;
  };
  const { exitCode } = await bench.session.runLine("import in.jsonl", controller.signal);
  assertEquals(exitCode, 5);
  assertMatch(
    bench.err,
    /^import: 1 written, 0 rejected before it ended; run it again to write all of the file\noutcome_/,
  );
});

Deno.test("Session: a file is written whole, and an export or a backup over none that is there", async () => {
  const bench = new Bench();
  await bench.line("put a 1");
  assertEquals((await bench.line("export all.jsonl"))[0], 0);
  const before = bench.files.get("all.jsonl");
  bench.cluster.fault = ({ req_type }) =>
    req_type === "scan_node"
      ? { req_type: "error", code: "corrupt", message: "damaged" }
      : undefined;
  assertEquals(await bench.line("export all.jsonl"), [
    6,
    "exists: export: all.jsonl is there already; --overwrite replaces it\n",
  ]);
  const [code, printed] = await bench.line("export all.jsonl --overwrite");
  assertEquals([code, bench.files.get("all.jsonl")], [1, before]);
  assertMatch(printed, /^export: all.jsonl was not written\ncorrupt: damaged\n$/);
  bench.binary.set("monday.kvb", new Uint8Array(1));
  assertEquals(await bench.line("backup monday.kvb"), [
    6,
    "exists: backup: monday.kvb is there already; --overwrite replaces it\n",
  ]);
  assertEquals(bench.binary.get("monday.kvb")?.length, 1);
});

Deno.test("valueLabel is one line, and tells what value it stands for", () => {
  const encoder = new TextEncoder();
  const plain = ["", "alice", '{"x": 1}', "a  b", "Zoë 🔑", "bas", "Base64:x"];
  for (const text of plain) assertEquals(valueLabel(encoder.encode(text)), encoder.encode(text));
  assertEquals(valueLabel(Uint8Array.of(0xff, 0x41)), Uint8Array.of(0xff, 0x41));
  for (const text of ["a\nb", '"a"', "\t", "base64:AA==", "\b\f\r\0\x7f\x1b", '\n"\\']) {
    const label = String(valueLabel(encoder.encode(text)));
    assertEquals(label.includes("\n"), false);
    assertEquals([JSON.parse(label), new LineWords(label).next()?.text], [text, text]);
  }
  assertEquals(valueLabel(Uint8Array.of(0xff, 0x0a)), "base64:/wo=");
});

Deno.test("systemReason says what the system said, without our runtime's words", () => {
  const gone = new Error("No such file or directory (os error 2): open 'x'");
  assertEquals(systemReason(gone), "No such file or directory");
  const denied = new Deno.errors.NotCapable("run again with the --allow-all flag");
  assertStringIncludes(systemReason(denied), "devices and system files");
});

Deno.test("help COMMAND tells of arguments whose name does not tell", async () => {
  const [, expire] = await new Bench().line("help expire");
  assertMatch(expire, /^arguments:\n {2}TTL +How long from now .*: a time with its unit, such as/m);
});

Deno.test("refuseLostBytes refuses what may have been other bytes", () => {
  refuseLostBytes([]);
  refuseLostBytes(["put", "clé 🔑", "\ufeff", "\u0000"]);
  const error = assertThrows(() => refuseLostBytes(["put", "k", "a\ufffdb"]), KvError);
  assertEquals(error.code, "bad_request");
  assertStringIncludes(error.message, '"a\ufffdb" is not UTF-8');
});

Deno.test("completeLine offers commands, and the options of a command", () => {
  const table: [line: string, candidates: string[], part: string][] = [
    ["ex", ["exec ", "exists ", "exit ", "expire ", "export "], "ex"],
    ["PU", ["PUT ", "PUT_MANY "], "PU"],
    ["LIST_", ["LIST_NODES "], "LIST_"],
    ["help q", ["quit "], "q"],
    ["get k --c", ["--consistency "], "--c"],
    ["get k", [], "k"],
    ["nosuch --", [], "--"],
    ["put k v --t", ["--timeout-ms ", "--ttl "], "--t"],
    ["expire k 1m --when ", ["gt ", "lt ", "nx ", "xx ", "xx_lt "], ""],
    ["expire k 1m --when g", ["gt "], "g"],
  ];
  for (const [line, candidates, part] of table) {
    assertEquals(completeLine(line), [candidates, part], line);
  }
  assert(completeLine("")[0].length > COMMANDS.size);
  const recent = ["user:1", "city", "user:2", "with space"];
  assertEquals(completeLine("get us", recent), [["user:2 ", "user:1 "], "us"]);
  assertEquals(completeLine("put user:1 c", recent), [[], "c"]);
});

Deno.test("help and --help show every command", async () => {
  const bench = new Bench();
  const [code, help] = await bench.line("help");
  assertEquals([code, bench.connects], [0, 0]);
  const usage = helpText(CLIENT_PROGRAM);
  for (const command of COMMANDS.values()) {
    assertStringIncludes(help, command.name);
    if (command.shellOnly !== true) assertStringIncludes(usage, `  ${command.name}`);
  }
  assertStringIncludes((await bench.line("help import"))[1], "--key-column");
  const [, put] = await bench.line("help set");
  for (
    const text of [
      "put KEY VALUE: write a value, whether the key exists or not\n",
      "also: set\n",
      "  --ttl TIME          How long from now until the key expires, or --ttl-ms in ms [default never]\n",
      "  --acks all|primary ",
      "example: put username alice --ttl 30m\n",
    ]
  ) assertStringIncludes(put, text);
  for (const command of COMMANDS.values()) {
    const [exitCode, text] = await bench.line(`help ${command.name}`);
    assertEquals([exitCode, text.startsWith(command.name)], [0, true]);
  }
});

Deno.test("kv-client's command line takes the commands' options beside its settings", () => {
  const input = (...args: string[]) => ({ args, env: () => undefined, readFile: () => "" });
  const loaded = loadConfig(
    CLIENT_PROGRAM,
    input("put", "--ttl", "10m", "k", "-5", "--previous", "--json", "--", "--v"),
  );
  assert(loaded.kind === "run");
  assertEquals([loaded.rest, loaded.values.json], [["put", "k", "-5", "--v"], true]);
  assertEquals([...loaded.restFlags], [["ttl", "10m"], ["previous", "true"]]);
  const settings = Object.keys(CLIENT_SETTINGS).map(flagOf);
  for (const { name } of CLIENT_PROGRAM.restFlags ?? []) {
    assert(!settings.includes(name), `--${name} is a setting and a command's option`);
  }
  const help = loadConfig(CLIENT_PROGRAM, input("set", "--help"));
  assert(help.kind === "help");
  assertStringIncludes(CLIENT_PROGRAM.helpOf?.(help.rest) ?? "", "put KEY VALUE");
  assertEquals(CLIENT_PROGRAM.helpOf?.([]), undefined);
});
