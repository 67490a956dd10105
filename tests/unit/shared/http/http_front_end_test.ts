/** The HTTP front end over a database in memory: each route, each error, and hostile input. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { ClusterMap } from "../../../../shared/cluster/cluster_map.ts";
import type { ErrorCode } from "../../../../shared/base/errors.ts";
import { originRules } from "../../../../shared/http/http_settings.ts";
import type { OriginRules } from "../../../../shared/http/protocol/origins.ts";
import { ROUTES } from "../../../../shared/http/endpoints/routes.ts";
import { STATUS_OF_CODE } from "../../../../shared/http/protocol/problem.ts";
import {
  HTTP_BODY_TIMEOUT_MS,
  HTTP_TARGET_CHARACTERS_MAX,
} from "../../../../shared/limits/http.ts";
import { OPERATIONS } from "../../../../shared/operations/table.ts";
import {
  HOST,
  HttpBench,
  LOCAL,
  RawRequest,
  VALUE_BYTES_MAX,
} from "../../../support/clients/http_bench.ts";

const text = new TextEncoder();

Deno.test("HTTP: a value is kept byte for byte under any key", async () => {
  const bench = new HttpBench();
  const keys = ["k", "a/b/c", "..", "a/../b", "ü %/?#&=+", "\u0000", " ", "a//b/", "%2F"];
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  for (const key of keys) {
    const path = `/kv/${key.split("/").map(encodeURIComponent).join("/")}`;
    const put = await bench.ask("PUT", path, { body: bytes });
    assertEquals(put.status, 201, key);
    assertEquals(put.headers.get("etag"), `"${bench.database.entries.get(key)?.seq}"`);
    const whole = await bench.ask("GET", `/kv/${encodeURIComponent(key)}`);
    assertEquals(new Uint8Array(await whole.arrayBuffer()), bytes);
    assertEquals(whole.headers.get("content-length"), "256");
    assertEquals((await bench.ask("PUT", path, { body: "again" })).status, 204);
    assertEquals(await (await bench.ask("GET", path)).text(), "again");
    assertEquals((await bench.ask("DELETE", path)).status, 204);
    await bench.problem(404, "not_found", "GET", path);
    await bench.problem(404, "not_found", "DELETE", path);
  }
});

Deno.test("HTTP: HEAD is GET without the body", async () => {
  const bench = new HttpBench();
  const { wallMs } = bench.database;
  bench.database.entries.set("k", {
    ...bench.database.set("k", "value", wallMs + 5_000),
    contentType: "text/plain",
  });
  const get = await bench.ask("GET", "/kv/k");
  const head = await bench.ask("HEAD", "/kv/k");
  assertEquals(head.status, 200);
  assertEquals([...head.headers], [...get.headers]);
  assertEquals(head.headers.get("content-length"), "5");
  const asked = bench.database.requests.map(({ req_type }) => req_type);
  assertEquals(asked, ["get", "inspect"], "the value is not read");
  assertEquals(head.body, null);
  const headers = { "if-none-match": get.headers.get("etag") ?? "" };
  assertEquals((await bench.ask("HEAD", "/kv/k", { headers })).status, 304);
  const missing = await bench.ask("HEAD", "/kv/none");
  assertEquals([missing.status, missing.body], [404, null]);
  await get.body?.cancel();
});

Deno.test("HTTP: If-Match and If-None-Match on reads", async () => {
  const bench = new HttpBench();
  const { seq } = bench.database.set("k", "v");
  const cases: [headers: Record<string, string>, status: number][] = [
    [{ "if-none-match": `"${seq}"` }, 304],
    [{ "if-none-match": `W/"${seq}"` }, 304],
    [{ "if-none-match": `"x,y", "${seq}"` }, 304],
    [{ "if-none-match": "*" }, 304],
    [{ "if-none-match": `"${seq + 1}"` }, 200],
    [{ "if-match": `"${seq}"` }, 200],
    [{ "if-match": "*" }, 200],
    [{ "if-match": `W/"${seq}"` }, 412],
    [{ "if-match": `"${seq + 1}", "zz"` }, 412],
    [{ "if-match": `"${seq}"`, "if-none-match": `"${seq}"` }, 304],
    [{ "if-match": seq.toString() }, 400],
    [{ "if-none-match": '"unclosed' }, 400],
    [{ "if-match": "" }, 400],
    [{ "if-modified-since": new Date(bench.database.wallMs).toUTCString() }, 304],
    [{ "if-modified-since": new Date(bench.database.wallMs - 1_000).toUTCString() }, 200],
    [{ "if-modified-since": "yesterday" }, 200],
    [{ "if-unmodified-since": new Date(bench.database.wallMs - 1_000).toUTCString() }, 412],
    [{ "if-unmodified-since": new Date(bench.database.wallMs).toUTCString() }, 200],
    // A tag says more than a date.
    [{
      "if-none-match": '"999"',
      "if-modified-since": new Date(bench.database.wallMs).toUTCString(),
    }, 200],
  ];
  for (const [headers, status] of cases) {
    const response = await bench.ask("GET", "/kv/k", { headers });
    assertEquals(response.status, status, JSON.stringify(headers));
    if (status === 304) assertEquals(response.body, null);
    if (status < 400) assertEquals(response.headers.get("etag"), `"${seq}"`);
    await response.body?.cancel();
  }
  const none = await bench.ask("GET", "/kv/none", { headers: { "if-match": "*" } });
  assertEquals(none.status, 412);
  await none.body?.cancel();
  await bench.problem(404, "not_found", "GET", "/kv/none", { headers: { "if-none-match": "*" } });
});

Deno.test("HTTP: If-Match and If-None-Match on writes", async () => {
  const bench = new HttpBench();
  const write = async (method: string, key: string, headers: Record<string, string>) => {
    const body = method === "PUT" ? "new" : null;
    const response = await bench.ask(method, `/kv/${key}`, { headers, body });
    await response.body?.cancel();
    return response.status;
  };
  for (const method of ["PUT", "DELETE"]) {
    const done = 204;
    for (
      const [tag, status] of [
        ["*", done],
        ['"@"', done],
        ['"0", "@"', done],
        ['W/"@"', 412],
        ['"0"', 412],
        ['"other"', 412],
      ] as const
    ) {
      const { seq } = bench.database.set("k", "old");
      const headers = { "if-match": tag.replace("@", String(seq)) };
      assertEquals(await write(method, "k", headers), status, `${method} ${tag}`);
      const changed = bench.database.entries.get("k")?.seq !== seq;
      assertEquals(changed, status === done, `${method} ${tag}`);
      assertEquals(await write(method, "none", headers), 412, `${method} ${tag} on nothing`);
      assertEquals(bench.database.entries.has("none"), false);
    }
    const { seq } = bench.database.set("k", "old");
    assertEquals(await write(method, "k", { "if-none-match": "*" }), 412);
    assertEquals(await write(method, "k", { "if-none-match": `"1", W/"${seq}"` }), 412);
    assertEquals(bench.database.entries.get("k")?.seq, seq);
    assertEquals(await write(method, "k", { "if-none-match": `"${seq + 1}"` }), done);
  }
  assertEquals(await write("PUT", "new", { "if-none-match": "*" }), 201);
  assertEquals(await write("PUT", "new2", { "if-none-match": '"4"' }), 201);
  assertEquals(await write("DELETE", "none", { "if-none-match": "*" }), 404);
  const past = new Date(bench.database.wallMs - 5_000).toUTCString();
  assertEquals(await write("PUT", "new", { "if-unmodified-since": past }), 412);
  const now = new Date(bench.database.wallMs).toUTCString();
  assertEquals(await write("PUT", "new", { "if-unmodified-since": now }), 204);
});

Deno.test("HTTP: a list of tags is looked at again if somebody writes meanwhile", async () => {
  const bench = new HttpBench();
  bench.database.set("k", "a");
  let meddled = 0;
  bench.database.intercept = (request) => {
    if (request.req_type === "put" && meddled++ < 2) bench.database.set("k", "other");
    return undefined;
  };
  const headers = { "if-none-match": '"900", "901"' };
  const response = await bench.ask("PUT", "/kv/k", { headers, body: "mine" });
  assertEquals([response.status, meddled], [204, 3]);
  bench.database.intercept = (request) => {
    if (request.req_type === "put") bench.database.set("k", "other");
    return undefined;
  };
  await bench.problem(503, "overloaded", "PUT", "/kv/k", { headers, body: "mine" });
});

Deno.test("HTTP: expiry by parameter and header, shown on reads", async () => {
  const bench = new HttpBench();
  const { wallMs } = bench.database;
  const cases: [query: string, headers: Record<string, string>, at: number][] = [
    ["?ttl=10", {}, wallMs + 10_000],
    ["?ttl_ms=1500", {}, wallMs + 1_500],
    [`?expires_at=${wallMs + 5_000}`, {}, wallMs + 5_000],
    ["", { "kv-ttl": "7" }, wallMs + 7_000],
    ["", { "kv-expires-at": String(wallMs + 2_000) }, wallMs + 2_000],
    ["?keep_ttl", {}, wallMs + 2_000],
    ["", {}, 0],
  ];
  for (const [query, headers, at] of cases) {
    const put = await bench.ask("PUT", `/kv/k${query}`, { headers, body: "v" });
    assert(put.ok, query);
    const get = await bench.ask("GET", "/kv/k");
    await get.body?.cancel();
    assertEquals(get.headers.get("kv-expires-at"), at === 0 ? null : String(at), query);
    const left = at === 0 ? null : String(Math.ceil((at - wallMs) / 1_000));
    assertEquals(get.headers.get("kv-ttl"), left, query);
  }
  for (
    const query of [
      "?ttl=1&ttl_ms=1",
      "?ttl=1&keep_ttl",
      "?ttl=0",
      "?ttl=-1",
      "?ttl=1.5",
      "?ttl=99999999999999",
    ]
  ) {
    await bench.problem(400, "bad_request", "PUT", `/kv/k${query}`, { body: "v" });
  }
  const word = await bench.ask("PUT", "/kv/k?ttl=1h", { body: "v" });
  assertStringIncludes(await word.text(), String.raw`\"ttl\" must be a whole number of seconds`);
  const twice = { headers: { "kv-ttl": "5" }, body: "v" };
  await bench.problem(400, "bad_request", "PUT", "/kv/k?ttl_ms=1", twice);
  await bench.problem(400, "bad_request", "PUT", "/kv/k", {
    headers: { "kv-ttl": "x" },
    body: "v",
  });
});

Deno.test("HTTP: consistency, acks and deadline reach the database", async () => {
  const bench = new HttpBench();
  bench.database.set("k", "v");
  await (await bench.ask("GET", "/kv/k?consistency=replica&timeout_ms=77")).body?.cancel();
  await bench.ask("PUT", "/kv/k?acks=primary&timeout_ms=78", { body: "v" });
  const [get, put] = bench.database.requests;
  assertEquals(get, { req_type: "get", key: "k", consistency: "replica", timeout_ms: 77 });
  assertEquals([put?.timeout_ms, put?.req_type === "put" && put.acks], [78, "primary"]);
});

Deno.test("HTTP: the earlier paths", async () => {
  const bench = new HttpBench();
  const set = await bench.ask("POST", "/set", {
    body: '{"key":"a b","value":"ü"}',
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
  assertEquals([set.status, await set.json()], [200, { key: "a b", version: 1 }]);
  const get = await bench.ask("GET", "/get?key=a+b");
  const timestamp = bench.database.wallMs;
  assertEquals(await get.json(), { key: "a b", value: "ü", version: 1, timestamp });
  await bench.ask("POST", "/set", { body: '{"key":"b","value64":"/w=="}' });
  assertEquals((await (await bench.ask("GET", "/get?key=b")).json()).value64, "/w==");
  const gone = await bench.ask("DELETE", "/delete?key=a%20b");
  assertEquals([gone.status, (await gone.json()).version], [200, 3]);
  await bench.problem(404, "not_found", "GET", "/get?key=a%20b");
  await bench.problem(404, "not_found", "DELETE", "/delete?key=a%20b");
  await bench.problem(503, "unavailable", "GET", "/cluster");
});

Deno.test("HTTP: health is 200 only if the process can serve", async () => {
  const bench = new HttpBench();
  for (
    const [status, code] of [["ok", 200], ["degraded", 200], ["unavailable", 503]] as const
  ) {
    bench.health = { role: "node", status, reasons: ["r"], checks: {} };
    for (const path of ["/health", "/health/ready"]) {
      const response = await bench.ask("GET", path);
      assertEquals([response.status, await response.json()], [code, bench.health]);
      assertEquals((await bench.ask("HEAD", path)).status, code);
    }
    const live = await bench.ask("GET", "/health/live");
    assertEquals([live.status, await live.json()], [200, { live: true, role: "node" }]);
  }
});

Deno.test("HTTP: every error code has its status", async () => {
  const bench = new HttpBench();
  for (const [code, status] of Object.entries(STATUS_OF_CODE) as [ErrorCode, number][]) {
    bench.database.intercept = () => ({
      req_type: "error",
      code,
      message: "why",
      detail: { primary: "n" },
    });
    const { problem, response } = await bench.problem(status, code, "PUT", "/kv/k", { body: "v" });
    assertEquals([problem.detail, problem.context], ["why", { primary: "n" }]);
    assertEquals(response.headers.has("retry-after"), status === 503);
  }
  // A write that may have happened is never answered with what others repeat by themselves.
  assertEquals(STATUS_OF_CODE.outcome_unknown, 500);
  bench.database.intercept = () => ({ req_type: "error", code: "from_the_future", message: "m" });
  const { problem } = await bench.problem(500, "internal", "GET", "/kv/k");
  assertEquals(problem.detail, "from_the_future: m");
});

Deno.test("HTTP: bodies are bounded, announced or not", async () => {
  const bench = new HttpBench();
  const exact = new Uint8Array(VALUE_BYTES_MAX);
  assertEquals((await bench.ask("PUT", "/kv/k", { body: exact })).status, 201);
  const { response } = await bench.problem(413, "value_too_large", "PUT", "/kv/k", {
    body: new Uint8Array(VALUE_BYTES_MAX + 1),
  });
  assertEquals(response.headers.get("connection"), "close");
  await bench.problem(413, "value_too_large", "PUT", "/kv/k", {
    body: "x",
    headers: { "content-length": "99999999999" },
  });

  let pulled = 0;
  let cancelled = false;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled++;
      controller.enqueue(new Uint8Array(100));
    },
    cancel() {
      cancelled = true;
    },
  });
  await bench.problem(413, "value_too_large", "PUT", "/kv/k", { body: endless, duplex: "half" });
  assert(pulled < 20, "it stops reading at the limit");
  assert(cancelled);
  assertEquals(bench.database.entries.get("k")?.value.length, VALUE_BYTES_MAX);
});

Deno.test("HTTP: what is announced beside a Transfer-Encoding bounds nothing", async () => {
  const bench = new HttpBench();
  let pulled = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled++;
      if (pulled > 100) controller.close();
      else controller.enqueue(new Uint8Array(100));
    },
  });
  const headers = { "content-length": "3", "transfer-encoding": "chunked" };
  const init = { body: endless, duplex: "half", headers };
  await bench.problem(413, "value_too_large", "PUT", "/kv/k", init);
  assert(pulled < 20, "it stops reading at the limit");
});

Deno.test("HTTP: a body that does not come is given up", async () => {
  const bench = new HttpBench();
  for (const headers of [{}, { "content-length": "8" }]) {
    const body = new ReadableStream<Uint8Array>({ start: (c) => c.enqueue(text.encode("half")) });
    const asked = bench.problem(408, "timeout", "PUT", "/kv/k", { body, duplex: "half", headers });
    while (bench.clock.timers === 0) await Promise.resolve();
    bench.clock.advance(HTTP_BODY_TIMEOUT_MS);
    await asked;
    assertEquals([bench.database.entries.size, bench.clock.timers, bench.frontEnd.underWay], [
      0,
      0,
      0,
    ]);
  }
});

Deno.test("HTTP: a body that breaks off writes nothing", async () => {
  const bench = new HttpBench();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(text.encode("half"));
      controller.error(new Error("gone"));
    },
  });
  await bench.problem(400, "bad_request", "PUT", "/kv/k", { body, duplex: "half" });
  assertEquals([bench.database.entries.size, bench.clock.timers], [0, 0]);
});

Deno.test("HTTP: what is wrong with a request is told", async () => {
  const bench = new HttpBench();
  bench.database.set("k", "v");
  const cases: [status: number, code: ErrorCode, method: string, path: string, options?: object][] =
    [
      [400, "bad_request", "GET", "/kv/%"],
      [400, "bad_request", "GET", "/kv/%zz"],
      [400, "bad_request", "GET", "/kv/%f"],
      [400, "bad_request", "GET", "/kv/"],
      [400, "bad_request", "GET", "/kv/%00session%2Fx"],
      [414, "key_too_large", "GET", `/kv/${"x".repeat(101)}`],
      [414, "key_too_large", "PUT", `/kv/${"ü".repeat(51)}`, { body: "v" }],
      [414, "key_too_large", "GET", `/get?key=${"x".repeat(101)}`],
      [414, "bad_request", "GET", `/kv/${"x".repeat(HTTP_TARGET_CHARACTERS_MAX)}`],
      [400, "bad_request", "GET", "/get"],
      [400, "bad_request", "GET", "/get?key="],
      [400, "bad_request", "GET", "/get?key=a&key=b"],
      [400, "bad_request", "GET", "/get?key=%zz"],
      [400, "bad_request", "GET", "/get?key=k&konsistency=strong"],
      [400, "bad_request", "GET", "/get?key=k&__proto__=1"],
      [400, "bad_request", "GET", "/get?key=k&consistency=eventual"],
      [400, "bad_request", "GET", "/get?key=k&timeout_ms=0"],
      [400, "bad_request", "GET", "/get?key=k&timeout_ms=1e3"],
      [400, "bad_request", "DELETE", "/kv/k?all=yes"],
      [404, "bad_request", "GET", "/console"],
      [404, "bad_request", "GET", "/nothing"],
      [404, "bad_request", "GET", "/get/"],
      [404, "bad_request", "GET", "/__proto__"],
      [404, "not_found", "GET", "/kv/{key}"],
      [405, "bad_request", "POST", "/kv/k", { body: "v" }],
      [405, "bad_request", "PATCH", "/kv/k", { body: "v" }],
      [405, "bad_request", "GET", "/set"],
      [405, "bad_request", "toString", "/set"],
      [400, "bad_request", "POST", "/set", { body: "" }],
      [400, "bad_request", "POST", "/set", { body: "{" }],
      [400, "bad_request", "POST", "/set", { body: "[]" }],
      [400, "bad_request", "POST", "/set", { body: "null" }],
      [400, "bad_request", "POST", "/set", { body: new Uint8Array([0x22, 0xff, 0x22]) }],
      [400, "bad_request", "POST", "/set", { body: `${"[".repeat(200_000)}` }],
      [400, "bad_request", "POST", "/set", { body: "{}" }],
      [400, "bad_request", "POST", "/set", { body: '{"key":1,"value":"v"}' }],
      [400, "bad_request", "POST", "/set", { body: '{"key":"k"}' }],
      [400, "bad_request", "POST", "/set", { body: '{"key":"k","value":1}' }],
      [400, "bad_request", "POST", "/set", { body: '{"key":"k","value":"v","value64":""}' }],
      [400, "bad_request", "POST", "/set", { body: '{"key":"k","value64":"!"}' }],
      [400, "bad_request", "POST", "/set", { body: '{"key":"\\ud800","value":"v"}' }],
      [400, "bad_request", "POST", "/set", { body: '{"key":"k","value":"\\ud800"}' }],
      [400, "bad_request", "POST", "/set", { body: '{"key":"k","value":"v","ttl":1}' }],
      [415, "bad_request", "PUT", "/kv/k", { body: "v", headers: { "content-encoding": "gzip" } }],
      [400, "bad_request", "PUT", "/kv/k", {
        body: "v",
        headers: { "content-range": "bytes 0-1/2" },
      }],
    ];
  for (const [status, code, method, path, options] of cases) {
    await bench.problem(status, code, method, path, options);
  }
  assertEquals([bench.database.entries.size, bench.frontEnd.underWay], [1, 0]);
});

Deno.test("HTTP: Allow says what a path takes", async () => {
  const bench = new HttpBench();
  const allow = "GET, PUT, DELETE, HEAD, OPTIONS";
  const { response } = await bench.problem(405, "bad_request", "POST", "/kv/k");
  assertEquals(response.headers.get("allow"), allow);
  const options = await bench.ask("OPTIONS", "/kv/k");
  assertEquals([options.status, options.headers.get("allow")], [204, allow]);
  assertEquals(options.headers.has("access-control-allow-methods"), false);
});

Deno.test("HTTP: a page of another origin writes nothing", async () => {
  const bench = new HttpBench();
  const foreign: Record<string, string>[] = [
    { origin: "http://evil.example" },
    { origin: "null" },
    { origin: "http://127.0.0.1:8000" },
    { origin: "http://127.0.0.1:9081.evil.example" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
  ];
  for (const headers of foreign) {
    await bench.problem(403, "forbidden", "PUT", "/kv/k", { headers, body: "v" });
    await bench.problem(403, "forbidden", "POST", "/set", {
      headers,
      body: '{"key":"k","value":""}',
    });
    await bench.problem(403, "forbidden", "DELETE", "/kv/k", { headers });
  }
  assertEquals(bench.database.requests, []);
  for (const headers of [{ origin: HOST }, { "sec-fetch-site": "same-origin" }, {}]) {
    const put = await bench.ask("PUT", "/kv/k", { headers: new Headers(headers), body: "v" });
    assert(put.ok);
    assertEquals(put.headers.has("access-control-allow-origin"), false);
  }
  const read = await bench.ask("GET", "/kv/k", { headers: { origin: "http://evil.example" } });
  assertEquals([await read.text(), read.headers.get("access-control-allow-origin")], ["v", null]);
});

Deno.test("HTTP: a name that somebody points at this machine is refused", async () => {
  const asking = async (rules: OriginRules, authority: string, headers = {}) => {
    const bench = new HttpBench(rules);
    bench.database.set("k", "v");
    const request = new RawRequest(`http://${authority}/kv/k`, { method: "GET", headers });
    const response = await bench.frontEnd.handle(request);
    await response.body?.cancel();
    return response.status;
  };
  for (
    const authority of ["127.0.0.1", "localhost:9081", "[::1]:9081", "a.localhost", "10.1.2.3"]
  ) {
    assertEquals(await asking(LOCAL, authority), 200, authority);
  }
  for (const authority of ["evil.example", "evil.example:9081", "127.0.0.1.evil.example", ""]) {
    assertEquals(await asking(LOCAL, authority), 403, authority);
  }
  const named = { corsOrigins: [], hosts: ["kv.example"] };
  assertEquals(await asking(named, "other.example"), 403);
  assertEquals(await asking(named, "KV.example:9081", { origin: "http://kv.example" }), 200);
  const any = originRules({ host: "0.0.0.0", corsOrigin: [], allowedHost: ["*"] });
  assertEquals(await asking(any, "other.example"), 200);
  const told = originRules({
    host: "0.0.0.0",
    advertiseHost: "Node1.example",
    corsOrigin: [],
    allowedHost: ["kv.example."],
  });
  for (const authority of ["node1.example:9081", "kv.example", "KV.EXAMPLE."]) {
    assertEquals(await asking(told, authority), 200, authority);
  }
  assertEquals(await asking(told, "evil.example"), 403);
});

Deno.test("HTTP: CORS for the origins that were named", async () => {
  const bench = new HttpBench({ ...LOCAL, corsOrigins: ["https://app.example"] });
  const origin = "https://app.example";
  const preflight = await bench.ask("OPTIONS", "/kv/k", {
    headers: { origin, "access-control-request-method": "PUT" },
  });
  assertEquals(preflight.status, 204);
  assertEquals(preflight.headers.get("access-control-allow-origin"), origin);
  assertStringIncludes(preflight.headers.get("access-control-allow-methods") ?? "", "PUT");
  assertStringIncludes(preflight.headers.get("access-control-allow-headers") ?? "", "If-Match");
  const put = await bench.ask("PUT", "/kv/k", { headers: { origin }, body: "v" });
  assertEquals([put.status, put.headers.get("access-control-allow-origin")], [201, origin]);
  assertEquals(put.headers.get("vary"), "Origin");
  assertMatch(put.headers.get("access-control-expose-headers") ?? "", /ETag/);
  const missing = await bench.ask("GET", "/kv/none", { headers: { origin } });
  assertEquals(missing.headers.get("access-control-allow-origin"), origin);
  await missing.body?.cancel();
  const other = { origin: "https://app.example.evil" };
  await bench.problem(403, "forbidden", "PUT", "/kv/k", { headers: other, body: "v" });
  const refused = await bench.ask("OPTIONS", "/kv/k", {
    headers: { ...other, "access-control-request-method": "PUT" },
  });
  assertEquals(refused.headers.has("access-control-allow-origin"), false);

  const open = new HttpBench({ ...LOCAL, corsOrigins: ["*"] });
  const any = await open.ask("PUT", "/kv/k", { headers: { origin: "null" }, body: "v" });
  assertEquals([any.status, any.headers.get("access-control-allow-origin")], [201, "*"]);
});

Deno.test("HTTP: a stored page is inert", async () => {
  const bench = new HttpBench();
  bench.database.set("k", "<script>alert(1)</script>");
  const { headers, body } = await bench.ask("GET", "/kv/k");
  await body?.cancel();
  assertEquals(headers.get("x-content-type-options"), "nosniff");
  assertStringIncludes(headers.get("content-security-policy") ?? "", "sandbox");
});

Deno.test("HTTP: every operation of the table by its name", async () => {
  const bench = new HttpBench();
  const op = async (name: string, fields: object) => {
    const response = await bench.ask("POST", `/op/${name}`, {
      body: JSON.stringify(fields),
      headers: { "content-type": "application/json; charset=utf-8" },
    });
    return [response.status, await response.json()];
  };
  const version = (n: number) => ({ req_type: "ack", message: "success", version: n });
  assertEquals(await op("put", { key: "k", value: "7", acks: null }), [200, version(1)]);
  assertEquals(await op("increment", { key: "k", by: "5" }), [
    200,
    { req_type: "result", result: "12", version: 2 },
  ]);
  assertEquals(await op("put", { key: "k", value64: "/w==", previous: true, created: true }), [
    200,
    { ...version(3), previous: "12", created: false },
  ]);
  const timestamp = bench.database.wallMs;
  assertEquals(await op("get", { key: "k" }), [
    200,
    { req_type: "data", message: "", value64: "/w==", version: 3, timestamp },
  ]);
  assertEquals(await op("exists", { key: "none" }), [200, { req_type: "result", result: false }]);
  const problems: [number, ErrorCode, string, string][] = [
    [422, "not_an_integer", "increment", '{"key":"k"}'],
    [409, "exists", "create", '{"key":"k","value":""}'],
    [409, "version_mismatch", "put", '{"key":"k","value":"","if_version":9}'],
    [404, "not_found", "update", '{"key":"none","value":""}'],
    [400, "bad_request", "put", '{"key":"k"}'],
    [400, "bad_request", "put", '{"key":"k","value":7}'],
    [400, "bad_request", "put", '{"value":"7"}'],
    [400, "bad_request", "put", '{"key":"k","value":"7","ttl":1}'],
    [400, "bad_request", "put", '{"key":"k","value":"7","__proto__":1}'],
    [400, "bad_request", "get", '{"key":"k","forwarded":true}'],
    [400, "bad_request", "put", '{"key":"k","bytes":{"0":1}}'],
    [400, "bad_request", "put", '{"key":"k","value":"7","again":true}'],
    [400, "bad_request", "get", '{"key":"k","timeout_ms":0}'],
    [413, "key_too_large", "get", JSON.stringify({ key: "x".repeat(3_000) })],
    [400, "bad_request", "transaction", '{"key":"k","requests":[7]}'],
    [400, "bad_request", "transaction", '{"key":"k","requests":[{"req_type":"ping"}]}'],
    [
      400,
      "bad_request",
      "transaction",
      '{"key":"k","requests":[{"req_type":"increment","key":"k","by":{}}]}',
    ],
    [404, "bad_request", "nothing", "{}"],
  ];
  for (const [status, code, name, body] of problems) {
    await bench.problem(status, code, "POST", `/op/${name}`, { body: text.encode(body) });
  }
  const form = { body: "{}", headers: { "content-type": "text/plain" } };
  await bench.problem(415, "bad_request", "POST", "/op/put", form);
});

Deno.test("HTTP: every operation that is for this front end has its path", () => {
  for (const [name, { frontEnds }] of Object.entries(OPERATIONS)) {
    const there = Object.hasOwn(ROUTES, `/op/${name}`);
    assertEquals(there, (frontEnds as readonly string[]).includes("http"), name);
  }
});

Deno.test("HTTP: a body's content type is asked for, and its absence overlooked", async () => {
  const bench = new HttpBench();
  const body = text.encode('{"key":"k","value":"v"}');
  for (const type of ["application/json", "APPLICATION/JSON;a=b", "application/x+json"]) {
    const headers = { "content-type": type };
    assertEquals((await bench.ask("POST", "/op/put", { body, headers })).status, 200, type);
  }
  assertEquals((await bench.ask("POST", "/op/put", { body })).status, 200);
  for (const type of ["text/json", "application/jsonx", "json", "multipart/form-data"]) {
    const options = { body, headers: { "content-type": type } };
    await bench.problem(415, "bad_request", "POST", "/op/put", options);
  }
});

Deno.test("HTTP: /openapi.json describes every route", async () => {
  const bench = new HttpBench();
  const response = await bench.ask("GET", "/openapi.json");
  const document = await response.json();
  assertEquals(document.openapi, "3.1.0");
  assertEquals(Object.keys(document.paths), Object.keys(ROUTES));
  const ids = Object.values(ROUTES).flatMap((methods) =>
    Object.values(methods).map(({ id }) => id)
  );
  assertEquals(new Set(ids).size, ids.length, "operation ids are unique");
});

Deno.test("HTTP: the content type is kept with the value", async () => {
  const bench = new HttpBench();
  const typeAt = async (path: string) => {
    const response = await bench.ask("GET", path);
    await response.body?.cancel();
    return response.headers.get("content-type");
  };
  const put = (type: string) =>
    bench.ask("PUT", "/kv/k", { body: text.encode("v"), headers: { "content-type": type } });
  for (const type of ["text/html", "image/svg+xml", 'a/b; c="d e"', `a/${"x".repeat(253)}`]) {
    assert((await put(type)).ok, type);
    assertEquals(await typeAt("/kv/k"), type);
    await (await bench.ask("POST", "/op/append_value", {
      body: text.encode('{"key":"k","value":"w"}'),
    }))
      .body?.cancel();
    assertEquals(await typeAt("/kv/k"), type);
  }
  const entry = await (await bench.ask("GET", "/get?key=k")).json();
  assertEquals(entry.content_type, `a/${"x".repeat(253)}`);
  const { entries } = await (await bench.ask("GET", "/kv?values")).json();
  assertEquals(entries[0].content_type, entry.content_type);
  assert((await bench.ask("PUT", "/kv/k", { body: text.encode("v") })).ok);
  assertEquals(await typeAt("/kv/k"), "application/octet-stream");
  for (const type of ["text", "a/b, c/d", `a/${"x".repeat(254)}`, "a/ü"]) {
    const options = { body: text.encode("v"), headers: { "content-type": type } };
    await bench.problem(400, "bad_request", "PUT", "/kv/k", options);
  }
});

Deno.test("HTTP batch: each by itself, with a reply at its place", async () => {
  const bench = new HttpBench();
  const batch = async (body: unknown) => {
    const response = await bench.ask("POST", "/batch", { body: text.encode(JSON.stringify(body)) });
    return [response.status, await response.json()];
  };
  const [status, { replies }] = await batch({
    requests: [
      { req_type: "put", key: "a", value: "1" },
      { req_type: "get", key: "none" },
      { req_type: "put", key: "b", value64: "/w==" },
      { req_type: "nonsense", key: "b" },
      { req_type: "get" },
      null,
      { req_type: "exists", key: "a", timeout_ms: 5 },
      { req_type: "put", key: "a", value: "2", if_verson: 7 },
      { req_type: "get", key: "a" },
    ],
  });
  assertEquals(status, 200);
  assertEquals(replies.map((r: { code?: string; req_type: string }) => r.code ?? r.req_type), [
    "ack",
    "not_found",
    "ack",
    "bad_request",
    "bad_request",
    "bad_request",
    "result",
    "bad_request",
    "data",
  ]);
  const [misspelt, after] = replies.slice(-2);
  assertEquals(misspelt.message, 'put: there is no field "if_verson"');
  assertEquals(after.message, "1");
  const [, got] = await batch({ requests: [{ req_type: "get", key: "b" }] });
  assertEquals([got.replies[0].message, got.replies[0].value64], ["", "/w=="]);
  const wrong = [
    {},
    { requests: {} },
    { requests: [] },
    { requests: [{}], atomic: 1 },
    { requests: [{}], checks: [] },
    { requests: [{}], timeout_ms: 0 },
    { requests: [{}], timeout_ms: 1.5 },
    { requests: [{}], atomic: true },
    { requests: [{ req_type: "get" }], atomic: true },
    { requests: [null], atomic: true },
    { requests: [{ req_type: "get", key: "a" }, { req_type: "fly", key: "a" }], atomic: true },
    { requests: [{ req_type: "get", key: "a" }], atomic: true, checks: [["a"]] },
    { requests: [{ req_type: "get", key: "a" }], also: 1 },
    { requests: [{ req_type: "get", key: "a", also: 1 }], atomic: true },
    { requests: [{ req_type: "get", key: "a", forwarded: true }], atomic: true },
    { requests: Array.from({ length: 10_001 }, () => ({})) },
  ];
  for (const body of wrong) {
    await bench.problem(400, "bad_request", "POST", "/batch", {
      body: text.encode(JSON.stringify(body)),
    });
  }
  const step = { key: "a", requests: [{ req_type: "get", key: "a", also: 1 }] };
  const { problem } = await bench.problem(400, "bad_request", "POST", "/op/transaction", {
    body: text.encode(JSON.stringify(step)),
  });
  assertEquals(problem.detail, 'transaction: requests[0]: get: there is no field "also"');
});

Deno.test("HTTP batch: with atomic it is one transaction", async () => {
  const bench = new HttpBench();
  bench.database.intercept = (request) => {
    if (request.req_type !== "transaction") return undefined;
    const ack = { req_type: "ack", message: "success", version: 9 } as const;
    const data = { req_type: "data", bytes: new Uint8Array([0xff]), version: 9 } as const;
    return { req_type: "result", result: [ack, data], version: 9 };
  };
  const requests = [
    { req_type: "put", key: "{t}a", value: "1" },
    { req_type: "get", key: "{t}b" },
  ];
  const body = { atomic: true, requests, checks: [["{t}a", 0]], timeout_ms: 50 };
  const response = await bench.ask("POST", "/batch", { body: text.encode(JSON.stringify(body)) });
  assertEquals([response.status, await response.json()], [200, {
    replies: [
      { req_type: "ack", message: "success", version: 9 },
      { req_type: "data", message: "", value64: "/w==", version: 9 },
    ],
    version: 9,
  }]);
  const [asked] = bench.database.requests;
  assert(asked?.req_type === "transaction");
  assertEquals([asked.key, asked.checks, asked.timeout_ms], ["{t}a", [["{t}a", 0]], 50]);
  assertEquals(asked.requests.length, 2);
  for (const code of ["transaction_too_large", "version_mismatch"] as const) {
    bench.database.intercept = () => ({ req_type: "error", code, message: "m", detail: {} });
    await bench.problem(STATUS_OF_CODE[code], code, "POST", "/batch", {
      body: text.encode(JSON.stringify(body)),
    });
  }
});

function mapOf(nodes: number): ClusterMap {
  const ids = Array.from({ length: nodes }, (_, i) => `n${i + 1}`);
  return {
    epoch: 1,
    nodes: ids.map((id) => ({
      id,
      host: id,
      port: 1,
      httpPort: 0,
      zone: id,
      weight: 1,
      incarnation: 1,
      state: "up",
    })),
    partitions: [{ term: 1, primary: "n1", inSync: ids, learners: [] }],
    settings: {
      clusterId: "c",
      clusterName: "test",
      partitionCount: 1,
      replicationFactor: 2,
      minInSync: 1,
      leaseMs: 1_500,
      heartbeatIntervalMs: 500,
      failureTimeoutMs: 2_500,
    },
  };
}

Deno.test("HTTP: what would do harm twice goes in a client session, if there are several nodes", async () => {
  const bench = new HttpBench();
  bench.database.clusterMap = mapOf(2);
  const deduplicated = async (method: string, path: string, options: RequestInit = {}) => {
    bench.database.requests.length = 0;
    const response = await bench.ask(method, path, options);
    assert(response.status < 300, `${method} ${path}: ${await response.text()}`);
    return bench.database.requests.map((request) => "session" in request && request.session);
  };
  const operation = (fields: object) => ({
    headers: { "content-type": "application/json" },
    body: JSON.stringify(fields),
  });
  assertEquals(await deduplicated("PUT", "/kv/n", { body: "1" }), [false]);
  assertEquals(await deduplicated("GET", "/kv/n"), [false]);
  const [session] = await deduplicated("POST", "/op/increment", operation({ key: "n" }));
  assertMatch(String(session), /^http-[0-9a-f]{16}\.\d+\.0$/);
  const headers = { "if-match": "*" };
  assertEquals(await deduplicated("PUT", "/kv/n", { body: "1", headers }), [session]);
  const own = operation({ key: "n", session: "mine", request_number: 1 });
  assertEquals(await deduplicated("POST", "/op/increment", own), ["mine"]);
  const put = { req_type: "put", key: "n", value: "1" };
  const increment = { req_type: "increment", key: "n" };
  const atomic = operation({ requests: [put, increment], atomic: true });
  bench.database.intercept = ({ req_type }) =>
    req_type === "transaction" ? { req_type: "result", result: [] } : undefined;
  assertEquals(await deduplicated("POST", "/batch", atomic), [session]);
  const each = operation({ requests: [put, increment] });
  assertEquals((await deduplicated("POST", "/batch", each)).toSorted(), [false, session]);

  bench.database.clusterMap = mapOf(1);
  assertEquals(await deduplicated("POST", "/op/increment", operation({ key: "n" })), [false]);
});
