/** Listing, counting and deleting many keys over HTTP. */
import { assert, assertEquals } from "@std/assert";
import { DELETES_IN_FLIGHT_MAX } from "../../../../shared/limits/scans.ts";
import { HttpBench } from "../../../support/clients/http_bench.ts";

const KEYS = ["a", "b/1", "b/2", "b/3", "c", "ü", "\u{1f600}"];

function filled(): HttpBench {
  const bench = new HttpBench();
  for (const key of KEYS) bench.database.set(key, `value of ${key}`);
  return bench;
}

async function all(bench: HttpBench, path: string): Promise<string[]> {
  const keys: string[] = [];
  let cursor = "";
  for (;;) {
    const response = await bench.ask("GET", path + cursor);
    const page = await response.json();
    assertEquals(response.status, 200, JSON.stringify(page));
    keys.push(...page.keys);
    if (page.cursor === undefined) return keys;
    cursor = `&cursor=${page.cursor}`;
  }
}

Deno.test("HTTP listing: every key once, in the order of their bytes, in pages of any size", async () => {
  const bench = filled();
  for (let limit = 1; limit <= KEYS.length + 1; limit++) {
    assertEquals(await all(bench, `/kv?limit=${limit}`), KEYS);
    assertEquals(await all(bench, `/keys?limit=${limit}`), KEYS);
    assertEquals(await all(bench, `/kv?limit=${limit}&reverse`), KEYS.toReversed());
    assertEquals(await all(bench, `/kv?limit=${limit}&prefix=b/`), ["b/1", "b/2", "b/3"]);
    assertEquals(await all(bench, `/kv?limit=${limit}&start=b/2&end=c`), ["b/2", "b/3"]);
    assertEquals(await all(bench, `/kv?limit=${limit}&prefix=%C3%BC`), ["ü"]);
  }
  assertEquals(await all(bench, "/kv?prefix=none"), []);
});

Deno.test("HTTP listing: values, as text or base64, with version and expiry", async () => {
  const bench = new HttpBench();
  const { wallMs } = bench.database;
  bench.database.set("a", "text");
  bench.database.set("b", new Uint8Array([0xff]), wallMs + 1_000);
  bench.database.set("gone", "x", wallMs - 1);
  const { entries } = await (await bench.ask("GET", "/kv?values=true")).json();
  assertEquals(entries, [
    { key: "a", value: "text", version: 1, timestamp: wallMs },
    { key: "b", value64: "/w==", version: 2, timestamp: wallMs, expires_at: wallMs + 1_000 },
  ]);
});

Deno.test("HTTP listing: a cursor that is not of this listing is refused", async () => {
  const bench = filled();
  const { cursor } = await (await bench.ask("GET", "/kv?prefix=b/&limit=1")).json();
  const flipped = (cursor[0] === "A" ? "B" : "A") + cursor.slice(1);
  for (
    const path of [
      `/kv?limit=1&cursor=${cursor}`,
      `/kv?prefix=b&cursor=${cursor}`,
      `/kv?prefix=b/&reverse&cursor=${cursor}`,
      `/kv?prefix=b/&cursor=${flipped}`,
      `/kv?prefix=b/&cursor=${cursor.slice(0, -1)}`,
      `/kv?prefix=b/&cursor=${cursor}=`,
      "/kv?cursor=",
      "/kv?cursor=%20",
      "/kv?cursor=AAAA",
      "/kv?limit=0",
      "/kv?limit=1001",
      "/kv?prefx=b",
      "/kv?values=perhaps",
    ]
  ) {
    await bench.problem(400, "bad_request", "GET", path);
  }
});

Deno.test("HTTP count: all, by prefix, by range", async () => {
  const bench = filled();
  const cases: [string, number][] = [["", 7], ["?prefix=b/", 3], ["?start=b/2&end=c", 2]];
  for (const [query, count] of cases) {
    const response = await bench.ask("GET", `/count${query}`);
    assertEquals([response.status, await response.json()], [200, { count }]);
  }
});

Deno.test("HTTP deletion by prefix: only if it is confirmed, and all of it", async () => {
  const bench = filled();
  for (const query of ["", "?prefix=b/", "?all=no", "?all", "?prefx=b&all=yes"]) {
    await bench.problem(400, "bad_request", "DELETE", `/kv${query}`);
  }
  assertEquals(bench.database.entries.size, KEYS.length);
  const some = await bench.ask("DELETE", "/kv?prefix=b/&all=yes");
  assertEquals([some.status, await some.json()], [200, { deleted: 3 }]);
  const rest = await bench.ask("DELETE", "/kv?all=yes");
  assertEquals(await rest.json(), { deleted: KEYS.length - 3 });
  assertEquals(bench.database.entries.size, 0);
});

Deno.test("HTTP deletion by prefix: goes on from its cursor when time was up", async () => {
  const bench = new HttpBench();
  const count = 3 * DELETES_IN_FLIGHT_MAX;
  for (let i = 0; i < count; i++) bench.database.set(`k${i}`, "v");
  const scan = bench.database.scan.bind(bench.database);
  bench.database.scan = (request, timeoutMs, done) => {
    bench.clock.advance(60);
    return scan(request, timeoutMs, done);
  };
  let deleted = 0;
  let answers = 0;
  let cursor = "";
  do {
    const path = `/kv?prefix=k&all=yes&timeout_ms=100${cursor}`;
    const answer = await (await bench.ask("DELETE", path)).json();
    deleted += answer.deleted;
    answers++;
    cursor = answer.cursor === undefined ? "" : `&cursor=${answer.cursor}`;
  } while (cursor !== "");
  assertEquals([deleted, bench.database.entries.size], [count, 0]);
  assert(answers >= 2);
});

Deno.test("HTTP deletion by prefix: an error ends it, a key that is gone does not", async () => {
  const bench = filled();
  bench.database.intercept = ({ key }) => {
    if (key === "a") bench.database.entries.delete("b/1");
    return undefined;
  };
  assertEquals(await (await bench.ask("DELETE", "/kv?all=yes")).json(), { deleted: 6 });
  bench.database.set("x", "v");
  bench.database.intercept = () => ({
    req_type: "error",
    code: "outcome_unknown",
    message: "lost",
  });
  await bench.problem(500, "outcome_unknown", "DELETE", "/kv?all=yes");
});

Deno.test("HTTP deletion by prefix: an error says how many are gone, and nothing goes on behind it", async () => {
  const bench = new HttpBench();
  for (let i = 0; i < 2 * DELETES_IN_FLIGHT_MAX; i++) {
    bench.database.set(`k${String(i).padStart(4, "0")}`, "v");
  }
  const first = DELETES_IN_FLIGHT_MAX + 3;
  const broken = `k${String(first).padStart(4, "0")}`;
  const late: (() => void)[] = [];
  const execute = bench.database.execute.bind(bench.database);
  bench.database.execute = (request, timeoutMs, done) => {
    if (request.key < broken) execute(request, timeoutMs, done);
    else if (request.key === broken) {
      queueMicrotask(() => done({ req_type: "error", code: "unavailable", message: "no primary" }));
    } else late.push(() => execute(request, timeoutMs, done));
  };
  let answered = false;
  const answer = bench.problem(503, "unavailable", "DELETE", "/kv?prefix=k&all=yes");
  answer.finally(() => answered = true);
  // Those that were begun with it: until they end there is no answer.
  while (late.length === 0) await bench.clock.run(1);
  await bench.clock.run(10);
  assertEquals(answered, false);
  const begun = late.length;
  for (const go of late) go();
  const { problem } = await answer;
  assertEquals(late.length, begun);
  assertEquals(problem.context.deleted, first + begun);
  assertEquals(bench.database.entries.size, 2 * DELETES_IN_FLIGHT_MAX - first - begun);
  bench.database.execute = execute;
  const rest = await bench.ask("DELETE", `/kv?prefix=k&all=yes&cursor=${problem.context.cursor}`);
  assertEquals(await rest.json(), { deleted: 2 * DELETES_IN_FLIGHT_MAX - first - begun });
});
