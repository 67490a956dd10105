/** Watches of `FetchKv` on answers that a test gives: where they go on, what they refuse, and when they end. */
import { assertEquals, assertRejects } from "@std/assert";
import { watchOverHttp } from "../../../../client/fetch/fetch_watch.ts";
import { fetchKv, type FetchWatchEvent, KvError } from "../../../../client/fetch.ts";

/** What one connection answers. */
type Answer = (path: string, signal: AbortSignal) => Response | Promise<Response>;

const event = (type: string, id: string, data: object = {}) =>
  `event: ${type}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
const put = (id: string, key: string, more: object = { value: id }) =>
  event("put", id, { key, ...more, version: Number(id), timestamp: 5 });

/** A stream of these pieces, that then ends. */
function stream(...pieces: (string | Uint8Array)[]): Response {
  return new Response(new Blob(pieces as BlobPart[]));
}

/** A stream that goes on until it is aborted. */
function open(text: string): Answer {
  return (_, signal) =>
    new Response(
      new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(text));
          signal.addEventListener("abort", () => controller.error(signal.reason));
        },
      }),
    );
}

function problem(status: number, code: string): Response {
  return new Response(JSON.stringify({ code, detail: "why" }), { status });
}

/** A client whose connections get one answer after the other, and the addresses that it asked. */
function client(...answers: Answer[]) {
  const asked: string[] = [];
  const kv = fetchKv({
    urls: ["http://a", "http://b/base"],
    timeoutMs: 60_000,
    fetch: async (url, { signal }) => {
      asked.push(url);
      const answer = answers.shift();
      if (answer === undefined || !signal) throw new Error("nothing more is asked");
      return await answer(url, signal);
    },
  });
  return { kv, asked };
}

async function take(
  events: AsyncGenerator<FetchWatchEvent, void, void>,
  count: number,
): Promise<FetchWatchEvent[]> {
  const taken: FetchWatchEvent[] = [];
  for await (const event of events) {
    taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
}

Deno.test("FetchKv.watch: what the events of HTTP say", async () => {
  const more = { value64: "/wA=", expires_at: 9, content_type: "text/plain" };
  const text = event("reset", "r") + put("1", "a/é") + put("2", "b", more) +
    event("delete", "3", { key64: "/w==", version: 3, timestamp: 6 }) +
    event("expired", "4", { key: "c", version: 4, timestamp: 7 }) + event("level", "l");
  const { kv, asked } = client(open(text));
  const at = { timestampMs: 5 };
  assertEquals(
    await take(kv.watch({ prefix: "a/é", keys: ["\udcff", "b&c"], snapshot: true }), 6),
    [
      { type: "reset", token: "r" },
      { type: "put", key: "a/é", version: 1, ...at, token: "1", value: Uint8Array.of(49) },
      {
        ...{ type: "put", key: "b", version: 2, ...at, token: "2", value: Uint8Array.of(255, 0) },
        ...{ expiresAtMs: 9, contentType: "text/plain" },
      },
      { type: "delete", key: "\udcff", version: 3, timestampMs: 6, token: "3" },
      { type: "expired", key: "c", version: 4, timestampMs: 7, token: "4" },
      { type: "level", token: "l" },
    ],
  );
  assertEquals(asked, ["http://a/watch?prefix=a%2F%C3%A9&key=%FF&key=b%26c&snapshot=true"]);
});

Deno.test("FetchKv.watch: goes on at the next address behind the last event that was told", async () => {
  const { kv, asked } = client(
    () => stream(put("1", "a"), put("2", "a").slice(0, -10)),
    () => {
      throw new TypeError("refused");
    },
    () => problem(503, "unavailable"),
    () => stream("<html>a proxy's page"),
    () => new Response("a proxy", { status: 502 }),
    () => stream(event("error", "", { code: "overloaded", message: "later" })),
    open(put("2", "a")),
  );
  const keys = await take(kv.watch({ key: "a" }), 2);
  assertEquals(keys.map(({ token }) => token), ["1", "2"]);
  const [first, ...others] = asked;
  assertEquals(first, "http://a/watch?key=a");
  assertEquals(
    others,
    ["b/base", "a", "b/base", "a", "b/base", "a"].map((at) => `http://${at}/watch?key=a&token=1`),
  );
});

Deno.test("FetchKv.watch: an error that stays so ends it", async () => {
  const table: [string, ...Answer[]][] = [
    ["forbidden", () => problem(403, "forbidden")],
    ["no_database", () => problem(404, "no_database")],
    ["bad_request", () => new Response("who are you", { status: 404 })],
    ["forbidden", () => stream(event("error", "", { code: "forbidden", message: "no more" }))],
    ["internal", () => stream(event("error", "", { code: "new", message: "of a later version" }))],
    ["bad_request", () => stream(event("put", "1", { value: "x" }))],
    ["bad_request", () => stream(event("put", "1", { key: "x" }))],
    ["bad_request", () => stream(event("news", "1"))],
    ["bad_request", () => stream("event: put\ndata: [\n\n")],
    ["bad_request", () => stream("event: put\ndata: 7\n\n")],
  ];
  for (const [code, ...answers] of table) {
    const { kv, asked } = client(...answers);
    const error = await assertRejects(() => take(kv.watch({ prefix: "" }), 1), KvError);
    assertEquals([error.code, asked.length], [code, 1], String(answers));
  }
  for (const options of [{}, { keys: [] }, { key: "\ud800" }, { prefixes: [7 as never] }]) {
    const { kv, asked } = client();
    const error = await assertRejects(() => take(kv.watch(options), 1), KvError);
    assertEquals([error.code, asked], ["bad_request", []]);
  }
});

Deno.test("FetchKv.watch: ends with its signal, its loop, or its time if it has not begun", async () => {
  const stop = new AbortController();
  const { kv } = client(open(put("1", "a")));
  let told = 0;
  for await (const _ of kv.watch({ key: "a", signal: stop.signal })) {
    told++;
    queueMicrotask(() => stop.abort());
  }
  assertEquals(told, 1);
  assertEquals(await take(kv.watch({ key: "a", signal: stop.signal }), 1), []);

  let aborted = false;
  const left = client((_, signal) => {
    signal.addEventListener("abort", () => aborted = true);
    return open(put("1", "a"))(_, signal);
  });
  await take(left.kv.watch({ key: "a" }), 1);
  assertEquals(aborted, true, "the connection ends with the loop");

  const late = client(...Array.from({ length: 100 }, () => () => problem(503, "unavailable")));
  const error = await assertRejects(
    () => take(late.kv.watch({ key: "a", timeoutMs: 1 }), 1),
    KvError,
  );
  assertEquals(error.code, "unavailable");
});

Deno.test("FetchKv.watch: a connection of which nothing is heard any more is left for another one", async () => {
  const asked: string[] = [];
  const events = watchOverHttp({
    timeoutMs: 60_000,
    silenceMs: 20,
    pause: () => Promise.resolve(),
    open: async (path, signal) => {
      asked.push(path);
      // The first says something and is silent, the second does not even answer.
      if (asked.length === 2) {
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        return new KvError("unavailable", "no answer");
      }
      const answer = await open(put(String(asked.length), "a"))(path, signal);
      return answer.body ?? new KvError("internal", "no body");
    },
  }, { key: "a" });
  assertEquals((await take(events, 2)).map(({ token }) => token), ["1", "3"]);
  assertEquals(asked, ["/watch?key=a", "/watch?key=a&token=1", "/watch?key=a&token=1"]);
});
