import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { headerBlock } from "../../../bench/compare/clients/grpc_connection.ts";
import { HttpReplies } from "../../../bench/compare/clients/http_replies.ts";
import { RespReplies } from "../../../bench/compare/clients/resp_replies.ts";
import { WaitingCalls } from "../../../bench/compare/clients/waiting_calls.ts";
import { ratioOf, type RowResult } from "../../../bench/compare/comparison.ts";
import { keyOf, valuePool } from "../../../bench/compare/load/data_set.ts";
import { keyChooser, zipfianRanks } from "../../../bench/compare/load/key_chooser.ts";
import { parseCsv } from "../../../bench/compare/redis_benchmark.ts";
import { figureLine, figureTable, markdownTable, rowLines } from "../../../bench/compare/report.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";

const utf8 = new TextEncoder();

/** What a parser says of a text that comes in pieces of this many bytes. */
function fedBy(
  size: number,
  text: string,
  parser: (onReply: (error?: string) => void) => { feed(bytes: Uint8Array): void },
): (string | undefined)[] {
  const replies: (string | undefined)[] = [];
  const replying = parser((error) => replies.push(error));
  const bytes = utf8.encode(text);
  for (let at = 0; at < bytes.length; at += size) replying.feed(bytes.subarray(at, at + size));
  return replies;
}

Deno.test("RespReplies: one for each reply, however it is cut; errors and absent keys are told", () => {
  const text = "+OK\r\n$5\r\na\r\nbc\r\n$-1\r\n$0\r\n\r\n-ERR no\r\n:7\r\n";
  const expected = [undefined, undefined, "no such key", undefined, "-ERR no", undefined];
  for (const size of [1, 2, 3, 5, 7, 1_000]) {
    assertEquals(fedBy(size, text, (onReply) => new RespReplies(onReply)), expected, `${size}`);
  }
});

Deno.test("HttpReplies: one for each response, however it is cut; the body of an error is told", () => {
  const text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na\r\n\r\n" +
    "HTTP/1.1 204 No Content\r\nserver: x\r\n\r\n" +
    "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n" +
    "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone";
  const expected = [undefined, undefined, undefined, "404 gone"];
  for (const size of [1, 2, 3, 5, 7, 50, 1_000]) {
    assertEquals(fedBy(size, text, (onReply) => new HttpReplies(onReply)), expected, `${size}`);
  }
});

Deno.test("WaitingCalls: are answered in order, also if many wait, and all of them at the end", () => {
  const waiting = new WaitingCalls();
  const seen: string[] = [];
  let next = 0;
  const push = (count: number) => {
    for (let i = 0; i < count; i++) {
      const number = next++;
      waiting.push((error) => seen.push(`${number} ${error ?? "ok"}`));
    }
  };
  push(10);
  for (let i = 0; i < 7; i++) waiting.answer();
  push(30);
  waiting.answer("bad");
  waiting.end("closed");
  assertEquals(seen.length, 40);
  assertEquals(seen.slice(0, 3), ["0 ok", "1 ok", "2 ok"]);
  assertEquals(seen.slice(7, 9), ["7 bad", "8 closed"]);
  assertEquals(seen.at(-1), "39 closed");
});

Deno.test("headerBlock: literal fields without indexing, as in RFC 7541, appendix C.2.2", () => {
  const block = headerBlock("/sample/path");
  const start = block.indexOf(5, 1);
  const field = [0, 5, ...utf8.encode(":path"), 12, ...utf8.encode("/sample/path")];
  assert(start > 0);
  assertStringIncludes(block.join(" "), field.join(" "));
});

Deno.test("zipfianRanks: frequencies follow the law", () => {
  const count = 1_000;
  const draws = 200_000;
  const next = zipfianRanks(count, new SeededRandom(3));
  const seen = new Uint32Array(count);
  for (let i = 0; i < draws; i++) {
    const rank = next();
    assert(rank >= 0 && rank < count);
    seen[rank] = (seen[rank] ?? 0) + 1;
  }
  let zeta = 0;
  for (let i = 1; i <= count; i++) zeta += 1 / i ** 0.99;
  const share = (from: number, to: number) =>
    seen.subarray(from, to).reduce((sum, times) => sum + times, 0) / draws;
  const law = (from: number, to: number) => {
    let sum = 0;
    for (let i = from; i < to; i++) sum += 1 / (i + 1) ** 0.99;
    return sum / zeta;
  };
  // The generator is exact for the first two ranks, and approximates the others.
  for (
    const [from, to, by] of [[0, 1, 0.01], [1, 2, 0.01], [0, 10, 0.05], [0, 100, 0.05]] as const
  ) {
    assert(Math.abs(share(from, to) - law(from, to)) < by, `${from}–${to}: ${share(from, to)}`);
  }
});

Deno.test("keyChooser: every key can come, and a zipfian one is shuffled", () => {
  for (const distribution of ["uniform", "zipfian"] as const) {
    const next = keyChooser(distribution, 20, new SeededRandom(5));
    const seen = new Set(Array.from({ length: 5_000 }, next));
    assertEquals(seen.size, 20, distribution);
  }
  const next = keyChooser("zipfian", 1_000, new SeededRandom(5));
  const counts = new Map<number, number>();
  for (let i = 0; i < 10_000; i++) {
    const key = next();
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const [first] = [...counts].toSorted((a, b) => b[1] - a[1]);
  assert(first !== undefined && first[0] !== 0 && first[1] > 1_000);
});

Deno.test("valuePool and keyOf: sizes are right, values differ", () => {
  assertEquals(keyOf(7), "key:000000000007");
  const values = valuePool({ keys: 1, valueBytes: 256 });
  assert(values.every((value) => utf8.encode(value).length === 256));
  assertEquals(new Set(values).size, values.length);
});

Deno.test("parseCsv: reads the last line of redis-benchmark, and nothing else", () => {
  const text = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms",` +
    `"p99_latency_ms","max_latency_ms"\n` +
    `"SET","38610.04","0.680","0.184","0.623","1.087","1.671","4.143"\n`;
  assertEquals(parseCsv(text), {
    perSecond: 38_610.04,
    latencyMs: { p50: 0.623, p99: 1.671, max: 4.143 },
  });
  assertEquals(parseCsv("Could not connect to Redis"), undefined);
});

Deno.test("ratioOf: is that of rounds side by side", () => {
  const rounds = (...rates: number[]) => rates.map((perSecond) => ({ perSecond }));
  const ratio = ratioOf(rounds(10, 100, 30), rounds(20, 100, 10));
  assertEquals(ratio, { median: 1, min: 0.5, max: 3 });
  assertEquals(ratioOf(rounds(1), []), undefined);
});

const side = (store: string, perSecond: number) => ({
  store,
  client: "c",
  median: perSecond,
  cpuUs: 6,
  samples: [{
    perSecond,
    latencyMs: { p50: 1, p99: 2, max: 3 },
    serverCpuUs: { server: 4 },
    errors: store === "kv" ? 2 : 0,
    ...(store === "kv" ? { firstError: "overloaded" } : {}),
  }],
});

const ROW: RowResult = {
  name: "r",
  title: "a row",
  aim: 2,
  ours: side("kv", 3_000),
  theirs: side("etcd", 1_000),
  ratio: { median: 3, min: 2.5, max: 3.5 },
};

Deno.test("report: a row tells ratio, aim and errors; a figure whether its bound is kept", () => {
  const text = rowLines(ROW).join("\n");
  for (const part of ["3.00 (2.50–3.50)", "aim 2", "2 ERRORS", "overloaded", "3,000/s"]) {
    assertStringIncludes(text, part);
  }
  assertStringIncludes(
    markdownTable([ROW]),
    "| a row | 3,000/s | 1,000/s (etcd) | 3.00 (2.50–3.50) | 6.00 / 6.00 | 2 |",
  );
  const figure = { name: "f", title: "t", unit: "s", value: 3, bound: 2 };
  assertStringIncludes(figureLine(figure), "NOT KEPT");
  assertStringIncludes(figureTable([figure]), "| t | 3.00 s | 2 s |");
});
