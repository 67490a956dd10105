/**
 * How long others wait beside one heavy request. Pings and single keys are asked for one after the other on
 * separate connections, while a worker has the node scan, list, count, back up and delete everything, or asks
 * for long values and never reads them. The times are those of each question.
 *
 * @module
 */
import type { Address } from "../shared/platform/transport.ts";
import type { Effort, Report } from "./figure.ts";
import type { HeavyOrder } from "./fairness_load.ts";
import { processMemoryMiB, type Servers } from "./servers.ts";

/** Keys of the node under measurement; with `--quick` a hundredth. */
const KEYS = 1_000_000;
const LOAD_PIPELINE = 5_000;
const LONG_VALUE_BYTES = 8 * 1024 * 1024;
/** The time between two questions on a connection. */
const PAUSE_MS = 5;
const PARTITIONS = 256;
/** Reading the node's memory takes a process of its own each time. */
const MEMORY_LOOK_MS = 1_000;

const encoder = new TextEncoder();

/** The heavy requests, by name. */
function orders(port: number, quick: boolean): { name: string; order: HeavyOrder }[] {
  const command = (name: string, lines: string[]) => ({
    name,
    order: { kind: "commands" as const, port, lines },
  });
  const pages = (name: string, requests: object[]) => ({
    name,
    order: { kind: "pages" as const, port, lines: requests.map((r) => JSON.stringify(r)) },
  });
  const backups = (first: number) => ({ req_type: "backup_partition", partition: first });
  return [
    command("nothing else", []),
    command("DBSIZE", ["DBSIZE"]),
    command("KEYS *9", ["KEYS *9"]),
    command("30 x KEYS *9, and DBSIZE", [...Array(30).fill("KEYS *9"), "DBSIZE"]),
    pages("a scan of everything, with values", [{ req_type: "scan", limit: 10_000, values: true }]),
    pages("a count by prefix", [{ req_type: "count", prefix: "k" }]),
    pages("a backup", Array.from({ length: PARTITIONS }, (_, p) => backups(p)).slice(0, 16)),
    {
      name: "20 x 4,000 gets of 8 MiB, never read",
      order: {
        kind: "unread gets",
        port,
        lines: [`{"req_type":"get","key":"long"}`],
        connections: 20,
        times: 4_000,
        holdMs: quick ? 2_000 : 15_000,
      },
    },
    pages("a delete_matching of a tenth", [
      { req_type: "delete_matching", prefix: "k:1", timeout_ms: 60_000 },
    ]),
    command("FLUSHALL", ["FLUSHALL"]),
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
  await load(node, effort.quick ? KEYS / 100 : KEYS);
  for (const { name, order } of orders(node.port, effort.quick)) {
    const beganMs = performance.now();
    const idle = order.lines.length === 0;
    const done = idle
      ? new Promise<void>((resolve) => setTimeout(resolve, effort.roundMs))
      : carryOut(order);
    const { times, memoryMiB } = await askMeanwhile(node, pids, done);
    const seconds = (performance.now() - beganMs) / 1000;
    times.sort((a, b) => a - b);
    const at = (part: number) => times[Math.floor((times.length - 1) * part)] ?? Number.NaN;
    report({
      group,
      name: `${name} (${seconds.toFixed(1)} s, ${memoryMiB} MiB)`,
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
  pids: readonly number[],
  done: Promise<void>,
): Promise<{ times: number[]; memoryMiB: number }> {
  const times: number[] = [];
  let ended = false;
  let memoryMiB = 0;
  const questions = [
    `{"req_type":"ping"}\n`,
    `{"req_type":"get","key":"other"}\n`,
    `{"req_type":"put","key":"other","value":"x"}\n`,
    "PING\r\n",
    "GET other\r\n",
  ];
  const ask = async (question: string) => {
    const connection = await Deno.connect({ hostname: node.host, port: node.port });
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

/** Fills the node through its Redis front end. */
async function load({ host, port }: Address, count: number): Promise<void> {
  const connection = await Deno.connect({ hostname: host, port });
  const buffer = new Uint8Array(256 * 1024);
  const send = async (bytes: Uint8Array, replyBytes: number) => {
    const reading = (async () => {
      for (let got = 0; got < replyBytes;) got += await connection.read(buffer) ?? replyBytes;
    })();
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    await reading;
  };
  const ok = "+OK\r\n".length;
  for (let from = 0; from < count; from += LOAD_PIPELINE) {
    let text = "";
    const to = Math.min(count, from + LOAD_PIPELINE);
    for (let i = from; i < to; i++) text += `SET k:${String(i).padStart(7, "0")} value-${i}\r\n`;
    await send(encoder.encode(text), (to - from) * ok);
  }
  const head = encoder.encode(`*3\r\n$3\r\nSET\r\n$4\r\nlong\r\n$${LONG_VALUE_BYTES}\r\n`);
  const long = new Uint8Array(head.length + LONG_VALUE_BYTES + 2);
  long.set(head);
  for (let i = 0; i < LONG_VALUE_BYTES; i++) {
    long[head.length + i] = Math.imul(i, 2654435761) >>> 13;
  }
  long.set(encoder.encode("\r\n"), long.length - 2);
  await send(long, ok);
  connection.close();
}
