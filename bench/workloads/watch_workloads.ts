/**
 * Watches: how long after a write's acknowledgement its event is at a watcher, what a write costs that many are told of,
 * and what a node needs for each of many watchers.
 *
 * @module
 */
import { connect, type KvClient } from "../../client/mod.ts";
import type { Address } from "../../shared/platform/transport.ts";
import { MIB } from "../../shared/base/units.ts";
import { type Effort, median, type Report } from "../figure.ts";
import { processMemoryMiB, processorTimeUs, type Servers } from "../servers.ts";
import { LineConnection } from "./line_connection.ts";

/** Events a second that one watcher is told of. */
const EVENTS_PER_SECOND = 1_000;
/** A write each tick: timers are not finer. */
const TICK_MS = 5;
/** Watchers of one prefix, which are all told of each write. */
const CROWD = 100;
/** Watchers of a key each. */
const MANY = 10_000;
const WATCHES_PER_CONNECTION = 64;

/** Processor time of the servers, in ms; 0 where nobody tells it. */
function cpuMs({ pids }: Servers): number {
  return (processorTimeUs(pids) ?? 0) / 1_000;
}

function residentBytes({ pids }: Servers): number {
  return (processMemoryMiB(pids) ?? 0) * MIB;
}

/** Measures all of it. */
export async function measureWatch(
  group: string,
  contestants: readonly { readonly name: string; readonly servers: Servers }[],
  effort: Effort & { readonly quick: boolean },
  report: Report,
): Promise<void> {
  for (const { name, servers } of contestants) {
    const [node] = servers.nodes;
    if (node === undefined) throw new Error("no node");
    await using kv = await connect({ coordinator: `${node.host}:${node.port}` });
    await measureDelay(group, `put to event, ${EVENTS_PER_SECOND}/s, ${name}`, kv, effort, report);
  }
  const [first] = contestants;
  const node = first?.servers.nodes[0];
  if (first === undefined || node === undefined) throw new Error("no node");
  const many = effort.quick ? MANY / 10 : MANY;
  await measureCrowd(group, node, first.servers, effort, report);
  await measureMany(group, node, first.servers, many, report);
  await measureBesideMany(group, node, many, effort, report);
}

async function measureDelay(
  group: string,
  name: string,
  kv: KvClient,
  { rounds, roundMs }: Effort,
  report: Report,
): Promise<void> {
  const stop = new AbortController();
  const arrived = new Map<string, number>();
  const level = Promise.withResolvers<void>();
  const watching = (async () => {
    for await (const event of kv.watch({ prefix: "watched:", signal: stop.signal })) {
      if (event.type === "level") level.resolve();
      if (event.type === "put") arrived.set(event.key, performance.now());
    }
  })();
  await level.promise;
  const rates: number[] = [];
  const delays: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const acknowledged = new Map<string, number>();
    const writes: Promise<unknown>[] = [];
    const beganMs = performance.now();
    for (let sent = 0; performance.now() - beganMs < roundMs;) {
      const due = Math.floor((performance.now() - beganMs) * EVENTS_PER_SECOND / 1_000);
      for (; sent < due; sent++) {
        const key = `watched:${round}:${sent}`;
        writes.push(
          kv.put(key, "x".repeat(100)).then(() => acknowledged.set(key, performance.now())),
        );
      }
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
    await Promise.all(writes);
    while (![...acknowledged.keys()].every((key) => arrived.has(key))) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
    rates.push(acknowledged.size / ((performance.now() - beganMs) / 1_000));
    for (const [key, ms] of acknowledged) delays.push(Math.max(0, (arrived.get(key) ?? 0) - ms));
    arrived.clear();
  }
  stop.abort();
  await watching;
  delays.sort((a, b) => a - b);
  const at = (part: number) =>
    delays[Math.min(delays.length - 1, Math.floor(delays.length * part))] ?? 0;
  const latencyMs = { p50: at(0.5), p99: at(0.99), max: at(1) };
  report({ group, name, unit: "requests/s", median: median(rates), rounds: rates, latencyMs });
}

/** Each write is told to many watchers of one prefix: how many events a second reach them. */
async function measureCrowd(
  group: string,
  node: Address,
  servers: Servers,
  { rounds, roundMs }: Effort,
  report: Report,
): Promise<void> {
  let events = 0;
  const watchers = await watchMany(node, CROWD, () => ({ prefixes: ["crowd:"] }), () => events++);
  await using kv = await connect({ coordinator: `${node.host}:${node.port}` });
  const rates: number[] = [];
  const costs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const [beganMs, before, cpu] = [performance.now(), events, cpuMs(servers)];
    for (let i = 0; performance.now() - beganMs < roundMs; i++) {
      const told = events + CROWD;
      await kv.put(`crowd:${i % 10}`, "x".repeat(100));
      while (events < told) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const told = events - before;
    rates.push(told / ((performance.now() - beganMs) / 1_000));
    costs.push((cpuMs(servers) - cpu) * 1_000 / told);
  }
  for (const watcher of watchers) watcher.close();
  report({
    group,
    name: `events to ${CROWD} watchers of one prefix, in step`,
    unit: "requests/s",
    median: median(rates),
    rounds: rates,
    serverCpuUsPerRequest: median(costs),
  });
}

/** What a node needs for each of many watchers of a key that nobody writes. */
async function measureMany(
  group: string,
  node: Address,
  servers: Servers,
  count: number,
  report: Report,
): Promise<void> {
  for (
    const [what, selection] of [
      ["a key", (i: number) => ({ keys: [`many:${i}`] })],
      ["a prefix", (i: number) => ({ prefixes: [`many:${i}:`] })],
    ] as const
  ) {
    // All partitions are asked about for a prefix.
    const watches = what === "a key" ? count : count / 10;
    const before = residentBytes(servers);
    const watchers = await watchMany(node, watches, selection, () => {});
    const each = (residentBytes(servers) - before) / watches;
    const cpu = cpuMs(servers);
    const beganMs = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    const idle = (cpuMs(servers) - cpu) * 1_000 / watches / ((performance.now() - beganMs) / 1_000);
    for (const watcher of watchers) watcher.close();
    report({
      group,
      name: `memory for each of ${watches} idle watchers of ${what}`,
      unit: "bytes",
      median: each,
      rounds: [each],
      // Of a second.
      serverCpuUsPerRequest: idle,
    });
  }
}

/** As {@linkcode measureDelay}, while many others watch a key each that nobody writes. */
async function measureBesideMany(
  group: string,
  node: Address,
  count: number,
  effort: Effort,
  report: Report,
): Promise<void> {
  const watchers = await watchMany(node, count, (i) => ({ keys: [`many:${i}`] }), () => {});
  await using kv = await connect({ coordinator: `${node.host}:${node.port}` });
  const name = `put to event, ${EVENTS_PER_SECOND}/s, one node, beside ${count} watchers of a key`;
  await measureDelay(group, name, kv, effort, report);
  for (const watcher of watchers) watcher.close();
}

/** Connections with watches over the JSON wire, all of them level. */
async function watchMany(
  node: Address,
  count: number,
  selection: (i: number) => object,
  onEvent: () => void,
): Promise<LineConnection[]> {
  const connections: LineConnection[] = [];
  let level = 0;
  for (let i = 0; i < count; i += WATCHES_PER_CONNECTION) {
    const connection = await LineConnection.connect(node, (line) => {
      if (line.includes('"type":"level"')) level++;
      else if (line.includes('"type":"put"')) onEvent();
    });
    connections.push(connection);
    for (let id = i; id < Math.min(count, i + WATCHES_PER_CONNECTION); id++) {
      connection.send({ id, req_type: "watch", ...selection(id) });
    }
  }
  while (level < count) await new Promise((resolve) => setTimeout(resolve, 10));
  return connections;
}
