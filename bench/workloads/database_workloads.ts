/**
 * What databases cost: a put before there are any, beside a thousand of them, and in one of a thousand; and how long others
 * wait while one with a million keys is dropped, until its rows are gone.
 *
 * @module
 */
import type { Address } from "../../shared/platform/transport.ts";
import type { DatabaseUsage } from "../../shared/cluster/databases.ts";
import { askJson } from "../../tools/json_probe.ts";
import { type Effort, median, type Report } from "../figure.ts";
import { processMemoryMiB, processorTimeUs, type Servers } from "../servers.ts";

/** With `--quick` a hundredth. */
const DATABASES = 1_000;
const KEYS = 1_000_000;
/** In each of the thousand. */
const KEYS_EACH = 10;
const CONNECTIONS = 8;
/** Commands of the load that are under way on a connection. */
const PIPELINE = 1_000;
const PAUSE_MS = 5;
const POLL_MS = 50;

const encoder = new TextEncoder();

/** The databases that are made: their names. */
const nameOf = (i: number) => `d${i}`;

/** Measures both, each on servers of its own. */
export async function measureDatabases(
  group: string,
  { many, large }: { readonly many: Servers; readonly large: Servers },
  effort: Effort & { readonly quick: boolean },
  report: Report,
): Promise<void> {
  const part = effort.quick ? 100 : 1;
  await measureMany(group, many, effort, DATABASES / part, report);
  await measureDrop(group, large, effort, KEYS / part, report);
}

async function measureMany(
  group: string,
  { nodes, pids }: Servers,
  effort: Effort,
  count: number,
  report: Report,
): Promise<void> {
  const [node] = nodes;
  if (node === undefined) throw new Error("there is no node");
  const put = (database?: string) => (i: number) =>
    JSON.stringify({ req_type: "put", key: `k${i % 50_000}`, value: "v".repeat(100), database });
  const puts = async (name: string, line: (i: number) => string) => {
    const memory = `${processMemoryMiB(pids) ?? "?"} MiB`;
    const rates: number[] = [];
    const times: number[] = [];
    const cpu: number[] = [];
    await askAll(node, line, effort.roundMs / 2);
    for (let round = 0; round < effort.rounds; round++) {
      const before = processorTimeUs(pids) ?? Number.NaN;
      const found = await askAll(node, line, effort.roundMs);
      cpu.push(((processorTimeUs(pids) ?? Number.NaN) - before) / found.length);
      rates.push(found.length * 1_000 / effort.roundMs);
      times.push(...found);
    }
    report({
      group,
      name: `${name}, ${memory}`,
      unit: "requests/s",
      median: median(rates),
      rounds: rates,
      latencyMs: latency(times),
      serverCpuUsPerRequest: median(cpu),
    });
  };
  await puts("put, no database but default", put());
  const beganMs = performance.now();
  for (let i = 0; i < count; i++) await make(node, nameOf(i));
  const rate = count * 1_000 / (performance.now() - beganMs);
  report({
    group,
    name: `${count} databases made one by one`,
    unit: "requests/s",
    median: rate,
    rounds: [rate],
  });
  for (let i = 0; i < count; i++) {
    const keys = Array.from({ length: KEYS_EACH }, (_, k) => `SET k${k} v\r\n`).join("");
    await command(node, [`KV.USE ${nameOf(i)}\r\n${keys}`], 1 + KEYS_EACH);
  }
  await puts(`put into default, ${count} databases`, put());
  await puts(`put into one of ${count} databases`, put(nameOf(count - 1)));
}

async function measureDrop(
  group: string,
  { nodes }: Servers,
  effort: Effort,
  count: number,
  report: Report,
): Promise<void> {
  const [node] = nodes;
  if (node === undefined) throw new Error("there is no node");
  await make(node, "large");
  const lines: string[] = [];
  for (let from = 0; from < count; from += PIPELINE) {
    const to = Math.min(count, from + PIPELINE);
    let text = "";
    for (let i = from; i < to; i++) text += `SET k:${String(i).padStart(7, "0")} value-${i}\r\n`;
    lines.push(text);
  }
  await command(node, ["KV.USE large\r\n", ...lines], 1 + count);
  const others = async (name: string, until: () => Promise<void>) => {
    const beganMs = performance.now();
    const { times } = await askMeanwhile(node, until());
    const seconds = (performance.now() - beganMs) / 1_000;
    report({
      group,
      name: `others, ${name}: ${seconds.toFixed(1)} s`,
      unit: "requests/s",
      median: times.length / seconds,
      rounds: [times.length / seconds],
      latencyMs: latency(times),
    });
  };
  const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  await others("nothing else", () => pause(effort.rounds * effort.roundMs));
  await others(`${count} keys are dropped, until no row is left`, async () => {
    const url = `http://${node.host}:${node.facts.http}/db/large?all=yes`;
    const { ok, body } = await fetch(url, { method: "DELETE" });
    await body?.cancel();
    if (!ok) throw new Error("the database is not dropped");
    while (await hasRows(nodes)) await pause(POLL_MS);
  });
}

async function make(node: Address & { facts: { http?: number } }, name: string): Promise<void> {
  const url = `http://${node.host}:${node.facts.http}/db/${name}`;
  const { ok, status, body } = await fetch(url, { method: "PUT" });
  await body?.cancel();
  if (!ok) throw new Error(`${name} is not made: ${status}`);
}

/** Whether any node has rows of a named database. */
async function hasRows(nodes: readonly Address[]): Promise<boolean> {
  for (const node of nodes) {
    const { result } = await askJson(node, { req_type: "database_usage" });
    if ((result as DatabaseUsage).databases.length > 0) return true;
  }
  return false;
}

/** Sends texts of Redis commands, each when the one before is answered; every reply is `+OK`. */
async function command(
  { host: hostname, port }: Address,
  texts: readonly string[],
  replies: number,
): Promise<void> {
  const connection = await Deno.connect({ hostname, port });
  const buffer = new Uint8Array(256 * 1024);
  let got = 0;
  let expected = 0;
  for (const text of texts) {
    expected += text.split("\r\n").length - 1;
    const bytes = encoder.encode(text);
    const reading = (async () => {
      while (got < expected * "+OK\r\n".length) {
        const count = await connection.read(buffer);
        if (count === null) throw new Error("the node closed a connection");
        if (buffer[0] === 0x2d) throw new Error(new TextDecoder().decode(buffer.subarray(0, 200)));
        got += count;
      }
    })();
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    await reading;
  }
  if (expected !== replies) throw new Error(`${expected} replies`);
  connection.close();
}

/** Asks on several connections, one question after the other on each. @returns what each took, in ms */
async function askAll(
  { host: hostname, port }: Address,
  line: (i: number) => string,
  roundMs: number,
): Promise<number[]> {
  const times: number[] = [];
  let next = 0;
  const endMs = performance.now() + roundMs;
  await Promise.all(Array.from({ length: CONNECTIONS }, async () => {
    const connection = await Deno.connect({ hostname, port });
    const buffer = new Uint8Array(4_096);
    while (performance.now() < endMs) {
      const beganMs = performance.now();
      await connection.write(encoder.encode(line(next++) + "\n"));
      const count = await connection.read(buffer);
      if (count === null) throw new Error("the node closed a connection");
      const reply = new TextDecoder().decode(buffer.subarray(0, count));
      if (!reply.includes('"ack"')) throw new Error(reply);
      times.push(performance.now() - beganMs);
    }
    connection.close();
  }));
  return times;
}

/** Pings and single keys of others, until something is done. */
async function askMeanwhile(
  { host: hostname, port }: Address,
  done: Promise<void>,
): Promise<{ times: number[] }> {
  const times: number[] = [];
  let ended = false;
  const questions = [
    `{"req_type":"ping"}\n`,
    `{"req_type":"get","key":"other"}\n`,
    `{"req_type":"put","key":"other","value":"x"}\n`,
    "GET other\r\n",
  ];
  const asked = Promise.all(questions.map(async (question) => {
    const connection = await Deno.connect({ hostname, port });
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
  }));
  await Promise.race([done, asked]);
  ended = true;
  await asked;
  return { times };
}

function latency(times: readonly number[]): { p50: number; p99: number; max: number } {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor((sorted.length - 1) * part)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
