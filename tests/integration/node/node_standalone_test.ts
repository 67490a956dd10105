/**
 * One real `kv-node --standalone`: what it keeps, what it refuses, and what bad clients cannot do.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "../../../shared/limits/wire.ts";
import { NODE } from "../../../tools/programs.ts";
import { ServerProcess } from "../../../tools/server_process.ts";
import { LineClient } from "../../support/clients/line_client.ts";

/** A folder, and nodes on it one after the other. */
class Bench implements AsyncDisposable {
  readonly folder: string;
  readonly processes: ServerProcess[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Bench> {
    return new Bench(await Deno.makeTempDir({ prefix: "kv-node-test-" }));
  }

  /** Starts a node on the folder's `data`, without waiting. */
  run(...flags: string[]): ServerProcess {
    const given = (name: string) => flags.some((flag) => flag.startsWith(name));
    const args = [
      ...(given("--data") ? [] : [`--data=${this.folder}/data`]),
      ...(given("--partitions") ? [] : ["--partitions=8"]),
      ...flags,
    ];
    const process = ServerProcess.start(NODE, args, { cwd: this.folder, detached: false });
    this.processes.push(process);
    return process;
  }

  async start(...flags: string[]): Promise<{ process: ServerProcess; connect: Connect }> {
    const process = this.run("--port=0", "--standalone", ...flags);
    const { host, port } = await process.ready;
    return { process, connect: () => LineClient.connect({ host, port }) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.processes.map((process) => process.crash()));
    await Deno.remove(this.folder, { recursive: true });
  }
}

type Connect = () => Promise<LineClient>;

/** How a node that must not start ended. */
async function refusal(process: ServerProcess): Promise<{ code: number; said: string }> {
  const { code } = await process.status;
  const lines = process.log.filter((line) => line.trim() !== "" && !line.startsWith("{"));
  assertEquals(lines.length, 1, `one line on standard error, not:\n${process.log.join("\n")}`);
  return { code, said: lines[0] ?? "" };
}

Deno.test("kv-node --standalone answers lines without ids in order, and closes after the last", async () => {
  await using bench = await Bench.make();
  const { process, connect } = await bench.start();
  assertMatch((await process.ready).text, /^kv-node 127\.0\.0\.1:\d+ http=\d+ pid=\d+$/);
  using client = await connect();
  await client.send(
    '{"req_type":"put","key":"username","value":"alice"}\n' +
      '{"req_type":"get","key":"username"}\n' +
      '{"req_type":"get","key":"email"}\n' +
      '{"req_type":"delete","key":"username"}\n' +
      '{"req_type":"exists","key":"username"}\n',
  );
  await client.end();
  const { req_type, message } = await client.reply();
  assertEquals([req_type, message], ["ack", "success"]);
  const data = await client.reply();
  assertEquals([data.req_type, data.message, data.version], ["data", "alice", 1]);
  const missing = await client.reply();
  assertEquals(missing, {
    req_type: "error",
    code: "not_found",
    message: 'get: no such key "email"',
  });
  assertEquals((await client.reply()).message, "success");
  assertEquals(await client.reply(), { req_type: "result", result: false });
  assertEquals(await client.line(), undefined);
});

Deno.test("kv-node --standalone keeps its data through SIGTERM and SIGKILL", async () => {
  await using bench = await Bench.make();
  const big = "x".repeat(100_000);
  let nodes = await bench.start();
  {
    using client = await nodes.connect();
    await client.ask({ req_type: "put", key: "kept", value: "1" });
    await client.ask({ req_type: "put", key: "big", value: big });
    await client.ask({ req_type: "put", key: "gone", value: "1" });
    await client.ask({ req_type: "delete", key: "gone" });
  }
  assertEquals((await nodes.process.stop()).code, 0);

  nodes = await bench.start();
  {
    using client = await nodes.connect();
    await client.ask({ req_type: "update", key: "kept", value: "2" });
  }
  await nodes.process.crash();

  nodes = await bench.start();
  using client = await nodes.connect();
  const kept = await client.ask({ req_type: "get", key: "kept" });
  assertEquals(kept.message, "2");
  assertEquals((await client.ask({ req_type: "get", key: "big" })).message, big);
  assertEquals((await client.ask({ req_type: "get", key: "gone" })).code, "not_found");
});

Deno.test("kv-node --storage memory --standalone needs no folder and forgets everything", async () => {
  await using bench = await Bench.make();
  let nodes = await bench.start("--storage=memory");
  {
    using client = await nodes.connect();
    await client.ask({ req_type: "put", key: "a", value: "1" });
    assertEquals((await client.ask({ req_type: "get", key: "a" })).message, "1");
  }
  assertEquals((await nodes.process.stop()).code, 0);
  assertEquals([...Deno.readDirSync(bench.folder)], []);
  nodes = await bench.start("--storage=memory");
  using client = await nodes.connect();
  assertEquals((await client.ask({ req_type: "get", key: "a" })).code, "not_found");
});

Deno.test("kv-node answers every kind of bad input with a code, and serves others meanwhile", async () => {
  await using bench = await Bench.make();
  const { connect } = await bench.start();
  using other = await connect();
  const stillServes = async () => {
    assertEquals((await other.ask({ req_type: "ping" })).message, "pong");
  };

  /** Lines after which the connection lives on. */
  const lines: [name: string, line: string | Uint8Array, code: string][] = [
    ["broken JSON", "{nonsense\n", "bad_request"],
    ["cut off JSON", '{"req_type":"get","key"\n', "bad_request"],
    ["an unknown type", '{"id":1,"req_type":"frobnicate"}\n', "bad_request"],
    ["a type that is no text", '{"req_type":7}\n', "bad_request"],
    ["no type", "{}\n", "bad_request"],
    ["a missing field", '{"req_type":"get"}\n', "bad_request"],
    ["a mistyped field", '{"req_type":"get","key":["a"]}\n', "bad_request"],
    ["a mistyped option", '{"req_type":"get","key":"a","timeout_ms":"soon"}\n', "bad_request"],
    ["an empty key", '{"req_type":"get","key":""}\n', "bad_request"],
    ["no value", '{"req_type":"put","key":"a"}\n', "bad_request"],
    ["a value that is not base64", '{"req_type":"put","key":"a","value64":"%"}\n', "bad_request"],
    ["a reply", '{"req_type":"ack"}\n', "bad_request"],
    ["a message for peers", '{"req_type":"appended","acks":[]}\n', "bad_request"],
    [
      "an over-long key",
      JSON.stringify({ req_type: "get", key: "k".repeat(KEY_BYTES_MAX + 1) }) + "\n",
      "key_too_large",
    ],
    [
      "a key that is too long in UTF-8 only",
      JSON.stringify({ req_type: "get", key: "é".repeat(KEY_BYTES_MAX / 2 + 1) }) + "\n",
      "key_too_large",
    ],
    [
      "an over-long value",
      JSON.stringify({ req_type: "put", key: "k", value: "v".repeat(VALUE_BYTES_MAX + 1) }) + "\n",
      "value_too_large",
    ],
    [
      "invalid UTF-8",
      new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d, 0x0a]),
      "bad_request",
    ],
  ];
  using client = await connect();
  // The first byte decides on the protocol, so that the JSON wire is spoken from then on.
  assertEquals((await client.ask({ req_type: "ping" })).message, "pong");
  for (const [name, line, code] of lines) {
    await client.send(line);
    const reply = await client.reply();
    assertEquals([reply.req_type, reply.code], ["error", code], name);
    assert(typeof reply.message === "string" && reply.message !== "", name);
    await stillServes();
  }
  assertEquals((await client.ask({ req_type: "put", key: "a", value: "1", extra: 1 })).version, 1);

  using notJson = await connect();
  await notJson.send("what is this?\n");
  assertEquals(
    await notJson.line(),
    "-ERR unknown command 'what', with args beginning with: 'is' 'this?' \r",
  );
  await notJson.send("PING\n");
  assertEquals(await notJson.line(), "+PONG\r");
  await stillServes();

  using endless = await connect();
  const chunk = new Uint8Array(1024 * 1024).fill(0x20);
  await endless.send('{"req_type":"put","key":"a","value":"');
  // The node stops reading at its limit, so that the rest may fail to be sent.
  const sending = (async () => {
    for (let i = 0; i < 20; i++) await endless.send(chunk);
  })().catch(() => {});
  assertEquals((await endless.reply()).code, "frame_too_large");
  assertEquals(await endless.line(), undefined);
  await sending;
  await stillServes();
});

Deno.test("kv-node holds back a client that reads no replies, and touches nobody else", async () => {
  await using bench = await Bench.make();
  const { connect } = await bench.start();
  using other = await connect();
  const value = "v".repeat(1024 * 1024);
  assertEquals((await other.ask({ req_type: "put", key: "big", value })).message, "success");
  using deaf = await connect();
  let asked = 0;
  // 300 MiB of replies would follow. Sending ends when the node reads no more.
  const line = '{"id":1,"req_type":"get","key":"big"}\n';
  const sending = (async () => {
    for (; asked < 300; asked++) await deaf.send(line);
  })().catch(() => {});
  await sending;
  for (let i = 0; i < 10; i++) {
    assertEquals((await other.ask({ req_type: "ping" })).message, "pong");
  }
  const stats = (await other.ask({ req_type: "stats" })).result as Record<string, number>;
  assert((stats.requests ?? 0) < 300, "the node does not even read what it could not answer");
});

Deno.test("kv-node serves a client among 2,000 idle and 100 half-said ones", async () => {
  await using bench = await Bench.make();
  const { connect } = await bench.start("--storage=memory");
  const idle: LineClient[] = [];
  try {
    for (let i = 0; i < 2_100; i += 100) {
      idle.push(...await Promise.all(Array.from({ length: 100 }, connect)));
    }
    await Promise.all(idle.slice(0, 100).map((client) => client.send('{"req_type":"pi')));
    using client = await connect();
    assertEquals((await client.ask({ req_type: "put", key: "a", value: "1" })).message, "success");
    assertEquals((await client.ask({ req_type: "get", key: "a" })).message, "1");
    const stats = (await client.ask({ req_type: "stats" })).result as Record<string, unknown>;
    assertEquals(stats.connections, 2_101);
    await idle[0]?.send('ng"}\n');
    assertEquals((await idle[0]?.reply())?.message, "pong");
    assertEquals((await idle[2_000]?.ask({ req_type: "ping" }))?.message, "pong");
  } finally {
    for (const client of idle) client[Symbol.dispose]();
  }
});

Deno.test("kv-node says in one line why it does not start, with exit code 1 or 2", async () => {
  await using bench = await Bench.make();
  const { process } = await bench.start();
  const { port } = await process.ready;
  const taken = await refusal(bench.run(`--port=${port}`, "--standalone", "--storage=memory"));
  assertEquals(taken.code, 1);
  assertStringIncludes(taken.said, "another process has this port");

  const held = await refusal(bench.run("--port=0", "--standalone"));
  assertEquals(held.code, 1);
  assertStringIncludes(held.said, "in use by another process");
  assertEquals((await process.stop()).code, 0);

  const inCluster = await refusal(bench.run("--port=0", "--coordinator=127.0.0.1:1"));
  assertEquals(inCluster.code, 1);
  assertStringIncludes(inCluster.said, "--standalone");

  const otherwise = await refusal(bench.run("--port=0", "--standalone", "--partitions=16"));
  assertEquals(otherwise.code, 2);
  assertStringIncludes(otherwise.said, "--partitions");

  await Deno.writeTextFile(`${bench.folder}/file`, "");
  const noFolder = await refusal(
    bench.run("--port=0", "--standalone", `--data=${bench.folder}/file`),
  );
  assert(noFolder.code === 1 || noFolder.code === 2);

  const cases: [flags: string[], wanted: string][] = [
    [["--standalon"], "--standalone"],
    [["--port=99999"], "65535"],
    [["--port=0", "--fsync=sometimes"], "always"],
    [["--port=0", "--partitions=3", "--standalone"], "power of two"],
    [["0.0.0.0", "8081"], "--advertise-host"],
    [["1", "2", "3"], "usage"],
  ];
  for (const [flags, wanted] of cases) {
    const { code, said } = await refusal(bench.run(...flags));
    assertEquals(code, 2, said);
    assertStringIncludes(said, wanted);
  }
});

Deno.test("kv-node takes the next free port if none was asked for", async () => {
  await using bench = await Bench.make();
  const first = bench.run("--standalone", "--storage=memory");
  const second = bench.run("--standalone", "--storage=memory");
  const ports = [(await first.ready).port, (await second.ready).port];
  assert(ports[0] !== ports[1]);
  for (const port of ports) assert(port >= 8081 && port <= 8181);
});
