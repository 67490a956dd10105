/**
 * How long others wait beside one heavy request: pings and single keys are asked one after the other on
 * connections of their own, at all front ends, while a worker has the node scan, list, count, back up and
 * delete everything, or asks for long values and reads them or not: each at every front end that has it. The
 * times are what each question took.
 *
 * @module
 */
import type { Address } from "../../shared/platform/transport.ts";
import { askJson } from "../../tools/json_probe.ts";
import type { Effort, Report } from "../figure.ts";
import type { HeavyOrder, ManyRequests } from "./fairness_load.ts";
import { processMemoryMiB, type Servers } from "../servers.ts";

/** Short values of the node under measurement; with `--quick` a hundredth. */
const KEYS = 1_000_000;
const LOAD_PIPELINE = 5_000;
const LONG_VALUE_BYTES = 8 * 1024 * 1024;
/** Between two questions on a connection. */
const PAUSE_MS = 5;
const PARTITIONS = 256;
/** Looking at the node's memory is a process of its own each time. */
const MEMORY_LOOK_MS = 1_000;

const encoder = new TextEncoder();

/** Of values that are long, and not so long that they are the exception. */
const MIDDLE_VALUES = 1_500;
const MIDDLE_VALUE_BYTES = 64 * 1024;
/** As many as the client's backup reads at a time. */
const BACKUPS_AT_ONCE = 4;

/** One heavy thing. */
interface Workload {
  readonly name: string;
  /** Undefined: nothing is done. */
  readonly order?: HeavyOrder;
  /** What it works on, and leaves as it was. Default: the short values. */
  readonly keys?: "middle";
}

/** The heavy requests, at each front end that has them. */
function workloads(port: number, httpPort: number, quick: boolean): Workload[] {
  const at = { json: port, resp: port, http: httpPort };
  const many = (
    name: string,
    kind: "json" | "resp" | "http",
    lines: readonly (string | object)[],
    atOnce = lines.length,
  ): Workload => ({
    name: `${name} (${kind === "json" ? "JSON wire" : kind === "resp" ? "Redis" : "HTTP"})`,
    order: {
      kind,
      port: at[kind],
      lines: lines.map((line) => typeof line === "string" ? line : JSON.stringify(line)),
      atOnce,
    },
  });
  const tooMany = (name: string, commands: readonly string[]): Workload => {
    const { order, ...workload } = many(name, "resp", commands);
    return { ...workload, order: { ...order as ManyRequests, isTooMuch: true } };
  };
  const long = (name: string, port: number, text: string, isRead: boolean): Workload => ({
    name,
    order: {
      kind: "long reads",
      port,
      text,
      connections: isRead ? 1 : 20,
      times: 4_000,
      isRead,
      holdMs: quick ? 2_000 : 15_000,
    },
  });
  const gets = [
    ["JSON wire", port, '{"req_type":"get","key":"long"}\n'],
    ["Redis", port, "GET long\r\n"],
    ["HTTP", httpPort, "GET /kv/long HTTP/1.1\r\nHost: localhost\r\n\r\n"],
  ] as const;
  const backups = Array.from({ length: PARTITIONS }, (_, partition) => ({
    req_type: "backup_partition",
    partition,
  }));
  return [
    { name: "nothing else" },
    many("scan with values", "json", [{ req_type: "scan", limit: 10_000, values: true }]),
    many("SCAN", "resp", ["SCAN 0 COUNT 10000"]),
    many("listing with values", "http", ["GET /kv?limit=1000&values=true"]),
    many("DBSIZE", "resp", ["DBSIZE"]),
    many("KEYS *9", "resp", ["KEYS *9"]),
    tooMany("30 x KEYS *9, DBSIZE", [...Array(30).fill("KEYS *9"), "DBSIZE"]),
    many("count by prefix", "json", [{ req_type: "count", prefix: "k" }]),
    many("KV.COUNT by prefix", "resp", ["KV.COUNT k"]),
    many("count by prefix", "http", ["GET /count?prefix=k"]),
    many("backup", "json", backups, BACKUPS_AT_ONCE),
    ...gets.map(([name, port, text]) =>
      long(`4,000 gets of 8 MiB, read (${name})`, port, text, true)
    ),
    ...gets.map(([name, port, text]) =>
      long(`20 x 4,000 gets of 8 MiB, never read (${name})`, port, text, false)
    ),
    many("delete_matching, a tenth", "json", [
      { req_type: "delete_matching", prefix: "k:1", timeout_ms: 60_000 },
    ]),
    many("delete_matching, all", "json", [
      { req_type: "delete_matching", prefix: "k:", timeout_ms: 60_000 },
    ]),
    many("deletion of all", "http", ["DELETE /kv?all=yes&prefix=k%3A"]),
    many("FLUSHALL", "resp", ["FLUSHALL"]),
    { ...many("KEYS, values of 64 KiB", "resp", ["KEYS *"]), keys: "middle" },
    { ...many("FLUSHALL, values of 64 KiB", "resp", ["FLUSHALL"]), keys: "middle" },
  ];
}

/** Measures all of them, one after the other, on a node without data. */
export async function measureFairness(
  group: string,
  { nodes, pids }: Servers,
  effort: Effort & { readonly quick: boolean },
  report: Report,
): Promise<void> {
  const [node] = nodes;
  if (node === undefined) throw new Error("there is no node");
  const count = effort.quick ? KEYS / 100 : KEYS;
  const httpPort = node.facts.http ?? 0;
  for (const { name, order, keys } of workloads(node.port, httpPort, effort.quick)) {
    if (keys === "middle") await loadMiddle(node);
    else await loadShort(node, count);
    const beganMs = performance.now();
    const done = order === undefined
      ? new Promise<void>((resolve) => setTimeout(resolve, effort.roundMs))
      : carryOut(order);
    const { times, memoryMiB } = await askMeanwhile(node, httpPort, pids, done);
    const seconds = (performance.now() - beganMs) / 1000;
    times.sort((a, b) => a - b);
    const at = (part: number) => times[Math.floor((times.length - 1) * part)] ?? Number.NaN;
    report({
      group,
      name: `${name}: ${seconds.toFixed(1)} s, ${memoryMiB} MiB`,
      unit: "requests/s",
      median: times.length / seconds,
      rounds: [times.length / seconds],
      latencyMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
    });
  }
}

async function carryOut(order: HeavyOrder): Promise<void> {
  const worker = new Worker(new URL("./fairness_load.ts", import.meta.url), { type: "module" });
  try {
    const said = await new Promise<string>((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.postMessage(order);
    });
    if (said !== "done") throw new Error(said);
  } finally {
    worker.terminate();
  }
}

/** Questions of others, one after the other on each connection, until `done`. */
async function askMeanwhile(
  node: Address,
  httpPort: number,
  pids: readonly number[],
  done: Promise<void>,
): Promise<{ times: number[]; memoryMiB: number }> {
  const times: number[] = [];
  let ended = false;
  let memoryMiB = 0;
  const questions: [port: number, text: string][] = [
    [node.port, `{"req_type":"ping"}\n`],
    [node.port, `{"req_type":"get","key":"other"}\n`],
    [node.port, `{"req_type":"put","key":"other","value":"x"}\n`],
    [node.port, "PING\r\n"],
    [node.port, "GET other\r\n"],
    [httpPort, "GET /kv/other HTTP/1.1\r\nHost: localhost\r\n\r\n"],
  ];
  const ask = async ([port, question]: [number, string]) => {
    const connection = await Deno.connect({ hostname: node.host, port });
    const bytes = encoder.encode(question);
    const buffer = new Uint8Array(4_096);
    while (!ended) {
      const beganMs = performance.now();
      await connection.write(bytes);
      if (await connection.read(buffer) === null) throw new Error("the node closed a connection");
      times.push(performance.now() - beganMs);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    connection.close();
  };
  const look = () => memoryMiB = Math.max(memoryMiB, processMemoryMiB(pids) ?? 0);
  look();
  const looking = setInterval(look, MEMORY_LOOK_MS);
  try {
    const asked = Promise.all(questions.map(ask));
    await Promise.race([done, asked]);
    ended = true;
    await asked;
    look();
  } finally {
    clearInterval(looking);
  }
  return { times, memoryMiB };
}

/** A connection that loads by Redis commands whose replies are `+OK`. */
async function loading(
  { host, port }: Address,
  work: (send: (bytes: Uint8Array, commands: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  const connection = await Deno.connect({ hostname: host, port });
  const buffer = new Uint8Array(256 * 1024);
  await work(async (bytes, commands) => {
    const replyBytes = commands * "+OK\r\n".length;
    const reading = (async () => {
      for (let got = 0; got < replyBytes;) got += await connection.read(buffer) ?? replyBytes;
    })();
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    await reading;
  });
  connection.close();
}

/** Fills the node with short values and a long one; what is there stays. */
function loadShort(node: Address, count: number): Promise<void> {
  return loading(node, async (send) => {
    if (await hasKeys(node, count)) return;
    for (let from = 0; from < count; from += LOAD_PIPELINE) {
      let text = "";
      const to = Math.min(count, from + LOAD_PIPELINE);
      for (let i = from; i < to; i++) text += `SET k:${String(i).padStart(7, "0")} value-${i}\r\n`;
      await send(encoder.encode(text), to - from);
    }
    await send(setCommand("long", LONG_VALUE_BYTES), 1);
  });
}

/** Whether this many keys are there, or more. */
async function hasKeys(node: Address, count: number): Promise<boolean> {
  const { result } = await askJson(node, { req_type: "count" });
  return (result as { count: number }).count >= count;
}

function loadMiddle(node: Address): Promise<void> {
  return loading(node, async (send) => {
    await send(encoder.encode("FLUSHALL\r\n"), 1);
    for (let i = 0; i < MIDDLE_VALUES; i++) {
      await send(setCommand(`middle:${i}`, MIDDLE_VALUE_BYTES), 1);
    }
  });
}

/** A value that cannot be compressed much. */
function setCommand(key: string, valueBytes: number): Uint8Array {
  const head = encoder.encode(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${valueBytes}\r\n`);
  const command = new Uint8Array(head.length + valueBytes + 2);
  command.set(head);
  for (let i = 0; i < valueBytes; i++) command[head.length + i] = Math.imul(i, 2654435761) >>> 13;
  command.set(encoder.encode("\r\n"), command.length - 2);
  return command;
}
